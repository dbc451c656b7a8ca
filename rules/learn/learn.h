/* SPDX-License-Identifier: Apache-2.0 */
/* What was learned becomes a rule file in the state folder: rules/learned_diagnosis.json and
 * rules/learned_filters.json, replaced atomically, with a checksum, beside it NAME.prev: the version
 * before until the new one is safely in place, from then on a copy of it. Files are a function of the
 * rules they hold, so a rule that is taken out leaves no trace; without a rule there is no file.
 *
 * Everything that passes the gate (gate.h) comes in as `proposed`: seen, listed, not applied until
 * someone approves. Changes are made under the state folder's lock, to files read anew under it. */
#pragma once
#include "rules/learn/gate.h"

/* Checks and writes one proposal; its id goes to id (FL_CONFLICT: an equal pattern is there). */
enum fl_status fl_learn_propose(const struct fl_ruleset *set, const char *state_dir,
                                const struct fl_proposal *proposal, char id[64],
                                struct fl_err *err) FL_MUST_USE;

/* The learned file of a kind in the state folder, checked. Damaged: the previous version is taken,
 * complain is told, the damaged one stays as it is. No file: FL_OK, nothing loaded. */
enum fl_status fl_learn_load(struct fl_ruleset *set, const char *state_dir,
                             fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                             struct fl_err *err) FL_MUST_USE;

/* A change: the rules as they are now, held under the lock from begin to end; commit writes what was
 * changed. After a failed begin nothing is held. */
struct fl_learn_edit {
    const char *state_dir; /* borrowed */
    struct fl_ruleset *set;
    bool *gone;
    bool touched[2];
    int lock;
};
enum fl_status fl_learn_begin(const struct fl_taxonomy *taxonomy, const char *state_dir,
                              struct fl_learn_edit *edit, struct fl_err *err) FL_MUST_USE;
struct fl_rule *fl_learn_find(const struct fl_learn_edit *edit, struct fl_str id); /* or NULL */
void fl_learn_set_state(struct fl_learn_edit *edit, struct fl_rule *rule, enum fl_rule_state state);
void fl_learn_remove(struct fl_learn_edit *edit, const struct fl_rule *rule);
enum fl_status fl_learn_commit(struct fl_learn_edit *edit, struct fl_err *err) FL_MUST_USE;
void fl_learn_end(struct fl_learn_edit *edit);

/* Writes the given rules (all of one kind) as the learned file; none: no file. */
enum fl_status fl_learn_save(const char *state_dir, bool filters, const struct fl_rule *const *rules,
                             size_t n, struct fl_err *err) FL_MUST_USE;
