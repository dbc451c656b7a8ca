/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/filter.h"

bool fl_filter_drops(const struct fl_ruleset *set, struct fl_match_work *work, struct fl_str raw,
                     const struct fl_candidate *candidates, size_t n, uint32_t *rule_r)
{
    for (size_t i = 0; i < n; i++) {
        const struct fl_pattern_owner *owner = &set->line_owner[candidates[i].pattern];
        if (!owner->drops) {
            continue;
        }
        if (candidates[i].sure ||
            fl_matcher_try(set->lines, work, candidates[i].pattern, raw, NULL) == FL_MATCH_YES) {
            *rule_r = owner->rule;
            return true;
        }
    }
    return false;
}
