/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/filter.h"

/* Words that failures use keep a line from a learned rule, whatever it was learned from. */
static bool is_alarming(const struct fl_ruleset *set, struct fl_match_work *work, struct fl_str raw,
                        const struct fl_candidate *candidates, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (candidates[i].pattern == set->attention) {
            return candidates[i].sure || fl_matcher_try(work, set->attention, raw,
                                                        NULL) != FL_MATCH_NO;
        }
    }
    return false;
}

bool fl_filter_drops(const struct fl_ruleset *set, struct fl_match_work *work, struct fl_str raw,
                     const struct fl_candidate *candidates, size_t n, uint32_t *rule_r)
{
    for (size_t i = 0; i < n; i++) {
        const struct fl_pattern_owner *owner = &set->line_owner[candidates[i].pattern];
        if (!owner->drops) {
            continue;
        }
        bool matches =
            candidates[i].sure ||
            fl_matcher_try(work, candidates[i].pattern, raw, NULL) == FL_MATCH_YES;
        if (matches && !(owner->learned && is_alarming(set, work, raw, candidates, n))) {
            *rule_r = owner->rule;
            return true;
        }
    }
    return false;
}
