/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that this run goes by: taxonomy, shipped rules, what the state folder adds, and how sure
 * their verdicts are. Faults in single rules are warnings; the rest serves.
 *
 * Shipped rules were held against their samples when the program was tested, and are not again at
 * every start; rules of the state folder are. What this run may leave behind: the compiled
 * scanner in the folder `cache` of the state folder. */
#pragma once
#include "rules/attribute/calibration.h"
#include "rules/base/ruleset.h"

struct fl_rulebook {
    struct fl_taxonomy taxonomy;
    struct fl_ruleset *set;
    struct fl_calibration calibration;
    size_t bad; /* rules left out */
};

/* state_dir may be NULL. */
enum fl_status fl_rulebook_open(const char *state_dir, struct fl_rulebook *out,
                                struct fl_err *err) FL_MUST_USE;
/* A part of it: without what was learned, without the rules that `without` names (NULL: all; see
 * fl_ruleset). checked: as in fl_ruleset. */
enum fl_status fl_rulebook_open_part(const char *state_dir, bool learned, const char *without,
                                     struct fl_checked *checked, struct fl_rulebook *out,
                                     struct fl_err *err) FL_MUST_USE;
/* The same with shipped rules checked like any others. */
enum fl_status fl_rulebook_check(const char *state_dir, struct fl_rulebook *out,
                                 struct fl_err *err) FL_MUST_USE;

/* A base to try rules out on: the same without them and, if `with`, then with them, last and
 * active. They must outlive it. Quiet about faults. */
struct fl_trial {
    const struct fl_rule *rules;
    uint32_t n;
    bool with;
};
enum fl_status fl_rulebook_open_trial(const char *state_dir, const struct fl_trial *trial,
                                      struct fl_rulebook *out, struct fl_err *err) FL_MUST_USE;
void fl_rulebook_close(struct fl_rulebook *book);
