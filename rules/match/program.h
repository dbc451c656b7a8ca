/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns as one thread runs them (PCRE2, byte mode). Each is compiled when it is first tried and
 * translated (JIT) when it is tried often.
 * Borrows the patterns; they must outlive it. Owns what it compiles.
 * Limits: FL_PATTERN_BYTES of pattern text, FL_PATTERN_CODE bytes compiled, match and depth limits
 * that shrink with the subject's length, so that one call stays in the milliseconds
 * (a match limit alone does not bound time: it counts steps from one start, and a step may walk the
 * subject). From each of its bytes `(?:a+\.)+a` may walk all of a subject; of patterns that no person
 * wrote the subject is limited, too. */
#pragma once
#include "rules/match/captures.h"
#include "service/base/status.h"

#include <stdint.h>

enum { FL_PATTERN_BYTES = 2000, FL_PATTERN_CODE = 64 * 1024, FL_PATTERN_SUBJECT = 8 * 1024 };

enum fl_match { FL_MATCH_NO, FL_MATCH_YES, FL_MATCH_ERROR };

enum fl_pattern_flags {
    FL_PATTERN_LINES = 1,   /* ^ and $ match at inner line ends */
    FL_PATTERN_SILENT = 2,  /* never proposed, only tried */
    FL_PATTERN_TRUSTED = 4, /* not checked: a bad one is FL_MATCH_ERROR when it is tried */
    FL_PATTERN_ENOUGH = 8,  /* once one of these says yes to a line, nobody asks the others; they are
                               tried on the whole line */
    FL_PATTERN_CHECKED = 16, /* it was checked before */
    FL_PATTERN_LEARNED = 32 /* a subject longer than FL_PATTERN_SUBJECT is not tried: it cannot be told */
};

struct fl_pattern {
    struct fl_str text;
    unsigned flags;
};

struct fl_programs;

/* Is it a pattern? FL_SYNTAX and FL_LIMIT come with a message, and *at_r the offset. */
enum fl_status fl_pattern_check(const struct fl_pattern *pattern, size_t *at_r,
                                struct fl_err *err) FL_MUST_USE;

/* Hashes of patterns that were checked, for who reads the same rules again and again; zeroed, it holds
 * none. One that is taken for another is found out when it is first tried (FL_MATCH_ERROR). */
enum { FL_CHECKED = 8192 };
struct fl_checked {
    uint64_t hash[FL_CHECKED];
};
bool fl_checked_has(const struct fl_checked *checked, const struct fl_pattern *pattern);
void fl_checked_put(struct fl_checked *checked, const struct fl_pattern *pattern);

enum fl_status fl_programs_new(const struct fl_pattern *patterns, uint32_t n,
                               struct fl_programs **out, struct fl_err *err) FL_MUST_USE;
void fl_programs_free(struct fl_programs *programs);

/* PCRE2's answer. captures may be NULL. FL_MATCH_ERROR: a limit was hit or memory ran out. */
enum fl_match fl_program_try(struct fl_programs *programs, uint32_t pattern, struct fl_str subject,
                             struct fl_captures *captures);

/* Can the pattern not tell one digit from another? No, before it was tried. */
bool fl_program_is_blind(const struct fl_programs *programs, uint32_t pattern);

/* Does that answer hold for all subjects that differ from this one in their digits only? */
bool fl_program_holds(struct fl_programs *programs, uint32_t pattern, struct fl_str subject,
                      enum fl_match answer);
