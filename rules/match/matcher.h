/* SPDX-License-Identifier: Apache-2.0 */
/* Many patterns over a block of lines at once. A literal scan (vectorscan's literal API) proposes
 * which patterns may match which lines; PCRE2 decides. Where the CPU lacks what vectorscan needs,
 * every pattern is proposed for every line: slower, same answers.
 *
 * Borrows the texts of patterns; they must live as long as the matcher. Immutable after building;
 * share it between threads. Each thread brings its own struct fl_match_work, which owns the
 * compiled patterns (program.h) and must not outlive the matcher. */
#pragma once
#include "rules/match/program.h"

struct fl_matcher;
struct fl_match_work;

/* A pattern proposed for a line. */
struct fl_candidate {
    uint32_t pattern;
    bool sure;   /* it matches; try it for its captures only */
    bool always; /* and so it does all lines of the shape */
};

enum fl_status fl_matcher_new(struct fl_matcher **out, struct fl_err *err) FL_MUST_USE;
void fl_matcher_free(struct fl_matcher *matcher);

/* Checks a pattern, unless it is trusted or was checked (see fl_pattern_check), and gives it the next number from
 * 0. */
enum fl_status fl_matcher_add(struct fl_matcher *matcher, struct fl_str pattern, unsigned flags,
                              uint32_t *number_r, size_t *at_r, struct fl_err *err) FL_MUST_USE;

/* Shows the matcher a line of routine text, so that it looks for literals that are rare there. */
void fl_matcher_show(struct fl_matcher *matcher, struct fl_str text);

/* Keeps the literals and their compiled scanner in a file of that name in folder (NULL: nowhere), for the
 * next process; see sieve.h. Both texts must live until fl_matcher_ready. */
void fl_matcher_cache(struct fl_matcher *matcher, const char *folder, const char *name);

/* Ends adding; builds the literal scanner. */
enum fl_status fl_matcher_ready(struct fl_matcher *matcher, struct fl_err *err) FL_MUST_USE;

/* Does the pattern lack a literal, so that it is tried on every line? */
bool fl_matcher_lacks_literal(const struct fl_matcher *matcher, uint32_t pattern);

enum fl_status fl_match_work_new(const struct fl_matcher *matcher, struct fl_match_work **out,
                                 struct fl_err *err) FL_MUST_USE;
void fl_match_work_free(struct fl_match_work *work);

/* From now on the pattern is not proposed in this work; for patterns that the caller never tries. */
void fl_match_work_mute(struct fl_match_work *work, uint32_t pattern);

/* The patterns that may match a line by itself, in their order. The result belongs to work and lasts
 * until the next call. FL_NOMEM: nothing can be said. */
enum fl_status fl_matcher_propose(struct fl_match_work *work, struct fl_str line,
                                  const struct fl_candidate **out, size_t *out_n) FL_MUST_USE;

/* The same for a stream, which goes through batches of lines: fl_matcher_batch, then fl_matcher_line
 * for each line in turn, and the candidates tried before the next one. What was answered for a line
 * is remembered for its shape (shape.h): of later lines of the shape only those patterns are
 * proposed that may give another answer, or said yes. A pattern must always be tried on the same
 * part of a line (all of it, or what is behind a prefix that does not depend on digits' values). */
enum fl_status fl_matcher_batch(struct fl_match_work *work, const struct fl_str *lines,
                                size_t n) FL_MUST_USE;
enum fl_status fl_matcher_line(struct fl_match_work *work, size_t line,
                               const struct fl_candidate **out, size_t *out_n) FL_MUST_USE;

/* The shape of a line of the batch; 0: not looked at. */
uint64_t fl_matcher_shape(const struct fl_match_work *work, size_t line);

/* Of the line that fl_matcher_line was last asked for: are its candidates those of all lines of its
 * shape for which the sure ones say yes, too? */
bool fl_matcher_settled(const struct fl_match_work *work);

/* See fl_program_is_blind. */
bool fl_matcher_is_blind(const struct fl_match_work *work, uint32_t pattern);

/* See fl_program_try. */
enum fl_match fl_matcher_try(struct fl_match_work *work, uint32_t pattern, struct fl_str subject,
                             struct fl_captures *captures);

/* "vectorscan 5.4.9 literals + PCRE2 10.42 JIT", for doctor. */
const char *fl_matcher_engine(char *out, size_t n);
