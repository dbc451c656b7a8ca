/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/filter.h"

/* Words that failures use keep a line from a learned rule, whatever it was learned from. */
static bool is_alarming(const struct fl_ruleset *set, struct fl_match_work *work, struct fl_str raw,
                        const struct fl_candidate *candidates, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (candidates[i].pattern == set->attention) {
            return candidates[i].sure || fl_matcher_try(set->lines, work, set->attention, raw,
                                                        NULL) != FL_MATCH_NO;
        }
    }
    return false;
}

bool fl_filter_drops(const struct fl_ruleset *set, struct fl_match_work *work, struct fl_str raw,
                     const struct fl_candidate *candidates, size_t n, uint32_t *rule_r)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t owner = set->line_owner[candidates[i].pattern].rule;
        if (owner == UINT32_MAX || !set->rules[owner].is_filter || set->rules[owner].broken ||
            set->rules[owner].state != FL_STATE_ACTIVE) {
            continue;
        }
        bool matches =
            candidates[i].sure ||
            fl_matcher_try(set->lines, work, candidates[i].pattern, raw, NULL) == FL_MATCH_YES;
        if (matches && !(fl_rule_is_learned(&set->rules[owner]) &&
                         is_alarming(set, work, raw, candidates, n))) {
            *rule_r = owner;
            return true;
        }
    }
    return false;
}
