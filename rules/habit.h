/* SPDX-License-Identifier: Apache-2.0 */
/* What a line of progress does, when all lines of its shape (match/shape.h) do the same with other
 * numbers: it is found out while one line is judged, from its candidates (which must be settled, see
 * fl_matcher_settled), what they answered, and what came of it. */
#pragma once
#include "rules/base/ruleset.h"
#include "rules/signals/reading.h"

enum { FL_HABIT_ACTS = 2, FL_HABIT_NOES = 5 };

struct fl_habit {
    bool holds;
    uint8_t noes_n;
    uint8_t acts_n;
    uint32_t no[FL_HABIT_NOES]; /* as long as these patterns go on saying no to the message */
    enum fl_role role[FL_HABIT_ACTS];
    struct fl_reading reading[FL_HABIT_ACTS];
};

/* What a candidate of a diagnosis rule answered. */
void fl_habit_answer(struct fl_habit *habit, const struct fl_ruleset *set,
                     const struct fl_match_work *work, const struct fl_candidate *candidate,
                     enum fl_match answer);

/* A rule of this role holds for the line. */
void fl_habit_role(struct fl_habit *habit, enum fl_role role);

/* A line of progress was read. */
void fl_habit_act(struct fl_habit *habit, enum fl_role role, const struct fl_reading *reading);
