/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/filter.h"

bool fl_filter_drops(const struct fl_ruleset *set, struct fl_match_work *work, struct fl_str raw,
                     const struct fl_candidate *candidates, size_t n, uint32_t *rule_r)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t owner = set->line_owner[candidates[i].pattern].rule;
        if (owner == UINT32_MAX || !set->rules[owner].is_filter || set->rules[owner].broken ||
            set->rules[owner].state != FL_STATE_ACTIVE) {
            continue;
        }
        if (candidates[i].sure ||
            fl_matcher_try(set->lines, work, candidates[i].pattern, raw, NULL) == FL_MATCH_YES) {
            *rule_r = owner;
            return true;
        }
    }
    return false;
}
