/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/habit.h"

static bool all_blind(const struct fl_match_work *work, const struct fl_pattern_set *patterns)
{
    for (size_t i = 0; i < patterns->n; i++) {
        if (!fl_matcher_is_blind(work, patterns->number[i])) {
            return false;
        }
    }
    return true;
}

void fl_habit_answer(struct fl_habit *habit, const struct fl_ruleset *set,
                     const struct fl_match_work *work, const struct fl_candidate *candidate,
                     enum fl_match answer)
{
    struct fl_pattern_owner owner = set->line_owner[candidate->pattern];
    const struct fl_rule *rule = &set->rules[owner.rule];
    if (candidate->always) { /* a table would look at what was captured */
        habit->holds = habit->holds && owner.kind == 0 && !rule->rows &&
                       all_blind(work, &rule->all) && all_blind(work, &rule->none);
    } else if (answer == FL_MATCH_NO && habit->noes_n < FL_HABIT_NOES) {
        habit->no[habit->noes_n++] = candidate->pattern;
    } else {
        habit->holds = false;
    }
}

void fl_habit_role(struct fl_habit *habit, enum fl_role role)
{
    habit->holds = habit->holds && (role == FL_ROLE_PROGRESS || role == FL_ROLE_METRIC ||
                                    role == FL_ROLE_CHECKPOINT || role == FL_ROLE_BENIGN);
}

void fl_habit_act(struct fl_habit *habit, enum fl_role role, const struct fl_reading *reading)
{
    habit->holds = habit->holds && reading->values.holds && habit->acts_n < FL_HABIT_ACTS;
    if (habit->holds) {
        habit->role[habit->acts_n] = role;
        habit->reading[habit->acts_n++] = *reading;
    }
}
