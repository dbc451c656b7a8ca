/* SPDX-License-Identifier: Apache-2.0 */
/* What a proposed rule must pass before it is kept, and again before it is applied: the world may
 * have got new rules and incidents in between. Everything here is decided by reading and trying the
 * pattern; nobody's word is taken for it. A refusal is FL_DENIED with the reason.
 *
 * Any rule: compiles within the matcher's limits; has a literal for the scanner; matches its own
 * samples; matches neither the empty line nor plain routine ones; reaches no match limit on hostile
 * lines of up to 4 KiB, is done within 25 ms with those of FL_GATE_LONG bytes, and needs at most
 * FL_GATE_LINE_NS of processor time a line on the average.
 *
 * A filter, which hides: is plain (plain.h), with FL_GATE_LITERALS literal bytes on every way
 * through it and not open at both ends; its samples hold no word of the failure lexicon; it matches
 * no guarded line, nor one of its own job that a diagnosis rule knows, nor a sample of a rule whose
 * role is root, symptom, confirmation or success: the same roles that keep a line when a filter is
 * applied. The other roles do not protect: what is benign or routine (progress, checkpoints, metrics,
 * starts) is what filters are for, and rules read it all the same, since nothing is hidden from them.
 *
 * A diagnosis rule, which claims: matches no sample of a rule of another cause or of none (a line
 * that shows progress or success proves no failure), and no guarded line of another cause.
 *
 * Guarded lines are tried as they stand, without terminal colours, and behind the usual prefixes. */
#pragma once
#include "rules/base/ruleset.h"

enum { FL_GATE_LITERALS = 12, FL_GATE_LONG = 1 << 20, FL_GATE_LINE_NS = 5000 };

/* Lines that must stay visible: evidence of incidents and of labelled logs. */
struct fl_guarded {
    struct fl_str line;
    struct fl_str cause;  /* {"", 0}: not known */
    struct fl_str whence; /* "incident inc-1", for the refusal */
};

struct fl_guard {
    struct fl_arena arena;
    struct fl_guarded *item;
    size_t n;
    size_t size;
};

void fl_guard_init(struct fl_guard *guard);
void fl_guard_free(struct fl_guard *guard);

/* Adds a copy of each line of text that has four bytes or more. */
enum fl_status fl_guard_add(struct fl_guard *guard, struct fl_str text, struct fl_str cause,
                            struct fl_str whence, struct fl_err *err) FL_MUST_USE;

struct fl_proposal {
    bool is_filter;
    struct fl_str pattern;
    struct fl_str sample;        /* a line it must match, verbatim */
    struct fl_str samples;       /* more of them, joined by \n */
    struct fl_str protects;      /* filters: lines it must not match, joined by \n (evidence) */
    struct fl_str lines;         /* filters: lines of its job, joined by \n */
    const struct fl_guard *guard; /* NULL: only what is above */
    const struct fl_cause *cause; /* diagnosis */
    struct fl_str summary;
    const char *kind;     /* learned, imported, operator */
    struct fl_str job;
    struct fl_str incident;
    struct fl_str model;
    struct fl_str prompt;
    const char *time; /* ISO, UTC */
};

/* A plain routine line, which no rule may match. */
extern const char fl_gate_routine[];

enum fl_status fl_gate(const struct fl_ruleset *set, const struct fl_proposal *proposal,
                       struct fl_err *err) FL_MUST_USE;
