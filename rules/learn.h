/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned becomes a rule file in the state folder: rules/learned_diagnosis.json and
 * rules/learned_filters.json, replaced atomically, with a checksum, the previous version kept as
 * NAME.prev. Everything comes in as `proposed`: seen, listed, not applied until someone approves.
 *
 * The gate (a proposal that fails it is refused with the reason): the pattern compiles within
 * limits, has a literal the scanner can look for, matches its own sample, does not match what it
 * must not: for a filter that is every sample of every diagnosis rule and any text with a word of
 * failure; a diagnosis pattern must not match an empty or a plain routine line. */
#pragma once
#include "rules/ruleset.h"

struct fl_proposal {
    bool is_filter;
    struct fl_str pattern;
    struct fl_str sample;        /* a line it must match, verbatim */
    struct fl_str protects;      /* filters: lines it must not match, joined by \n (evidence) */
    const struct fl_cause *cause; /* diagnosis */
    struct fl_str summary;
    const char *kind;     /* learned, imported, operator */
    struct fl_str job;
    struct fl_str incident;
    struct fl_str model;
    struct fl_str prompt;
    const char *time; /* ISO, UTC */
};

/* Checks and writes one proposal; its id goes to id (FL_CONFLICT: an equal pattern is there). */
enum fl_status fl_learn_propose(const struct fl_ruleset *set, const char *state_dir,
                                const struct fl_proposal *proposal, char id[64],
                                struct fl_err *err) FL_MUST_USE;

/* The learned file of a kind in the state folder, checked. Damaged: the previous version is taken,
 * complain is told, the damaged one stays as it is. No file: FL_OK, nothing loaded. */
enum fl_status fl_learn_load(struct fl_ruleset *set, const char *state_dir,
                             fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                             struct fl_err *err) FL_MUST_USE;

/* Writes the given rules (all of one kind) as the learned file. */
enum fl_status fl_learn_save(const char *state_dir, bool filters, const struct fl_rule *const *rules,
                             size_t n, struct fl_err *err) FL_MUST_USE;
