/* SPDX-License-Identifier: Apache-2.0 */
/* Rules held against the samples that they carry, and rows of tables against theirs. Stateless. */
#pragma once
#include "rules/base/ruleset.h"

/* Does the rule say yes to this text, taken as its scope takes it (a line, or lines)? */
enum fl_match fl_rule_judges(const struct fl_ruleset *set, const struct fl_rule *rule,
                             struct fl_match_work *lines, struct fl_match_work *events,
                             struct fl_str text);

/* Holds every rule that is not trusted against its own samples. A rule that fails one is complained
 * of, counted in *bad_r and from now on broken. A row's sample must be matched, with that row's key,
 * by a rule that uses the table and came with it (same origin). */
enum fl_status fl_samples_check(struct fl_ruleset *set, fl_ruleset_complain complain, void *ctx,
                                size_t *bad_r, struct fl_err *err) FL_MUST_USE;
