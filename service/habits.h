/* SPDX-License-Identifier: Apache-2.0 */
/* What a job does with lines of a shape (match/shape.h) when it is the same for all of them: routine
 * lines come by the million, and nothing has to be found out twice.
 * Limits: FL_HABITS shapes, a new one takes the place of an old one. Threads: one. */
#pragma once
#include "rules/diagnose.h"

enum { FL_HABITS = 4096 };

struct fl_job_habit {
    uint64_t shape;   /* 0: a free place */
    bool dropped;     /* by this filter rule: */
    uint32_t rule;
    uint32_t depends; /* as long as this pattern says yes to the whole line; UINT32_MAX: on none */
    bool timed;       /* its time is the last one seen */
    bool reports;     /* as follows */
    struct fl_habit habit;
};

/* Does it hang on one pattern at most whether lines of the shape are dropped? */
bool fl_habit_drops(const struct fl_ruleset *set, const struct fl_candidate *candidates, size_t n,
                    bool dropped, uint32_t *depends_r);

struct fl_habits;

enum fl_status fl_habits_new(struct fl_habits **out, struct fl_err *err) FL_MUST_USE;
void fl_habits_free(struct fl_habits *habits);

/* NULL: none is known. It lasts until the next put. */
const struct fl_job_habit *fl_habits_find(const struct fl_habits *habits, uint64_t shape);
void fl_habits_put(struct fl_habits *habits, const struct fl_job_habit *habit);
