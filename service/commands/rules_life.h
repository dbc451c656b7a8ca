/* SPDX-License-Identifier: Apache-2.0 */
/* `faultline rules` for learned rules: their steps, who waits for one, and what they have done. */
#pragma once
#include "service/life.h"

struct fl_rules_life {
    const struct fl_config *config;
    const struct fl_ruleset *set; /* the rules in force */
    bool active;                  /* approve: straight to active */
    const char *reason;
    bool json;
};

/* Is it approve, reject, retire or revoke? */
bool fl_rules_life_has(struct fl_str verb);
enum fl_status fl_rules_life_change(const struct fl_rules_life *life, struct fl_str verb,
                                    const char *id, struct fl_err *err) FL_MUST_USE;

/* Rules that are proposed or in shadow, and what speaks for them. */
enum fl_status fl_rules_life_pending(const struct fl_rules_life *life, struct fl_buf *out,
                                     struct fl_err *err) FL_MUST_USE;

/* What a learned rule did, to which jobs, and its history. */
enum fl_status fl_rules_life_show(const struct fl_rules_life *life, const struct fl_rule *rule,
                                  struct fl_buf *out, struct fl_err *err) FL_MUST_USE;

/* Every change of a learned rule, or of all (NULL), oldest first. */
enum fl_status fl_rules_life_history(const struct fl_rules_life *life, const char *id,
                                     struct fl_buf *out, struct fl_err *err) FL_MUST_USE;

/* Retires active learned rules that nothing was heard of for so many days. */
enum fl_status fl_rules_life_stale(const struct fl_rules_life *life, long days, struct fl_buf *out,
                                   struct fl_err *err) FL_MUST_USE;
