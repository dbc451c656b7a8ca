/* SPDX-License-Identifier: Apache-2.0 */
/* What a job does with lines of a shape (match/shape.h) when it is the same for all of them: routine
 * lines come by the million, and nothing has to be found out twice.
 * Limits: FL_HABITS shapes, a new one takes the place of an old one. Threads: one. */
#pragma once
#include "rules/diagnose.h"

enum { FL_HABITS = 16384 };

struct fl_job_habit {
    uint64_t shape;   /* 0: a free place */
    uint32_t rule;    /* the filter rule that drops it */
    uint32_t depends; /* as long as this pattern says yes to the whole line; UINT32_MAX: on none */
    bool dropped;
    bool timed;       /* its time is the last one seen */
    const struct fl_habit *reports; /* NULL: nothing */
};

/* Does it hang on one pattern at most whether lines of the shape are dropped? */
bool fl_habit_drops(const struct fl_ruleset *set, const struct fl_candidate *candidates, size_t n,
                    bool dropped, uint32_t *depends_r);

struct fl_habits;

enum fl_status fl_habits_new(struct fl_habits **out, struct fl_err *err) FL_MUST_USE;
void fl_habits_free(struct fl_habits *habits);

void fl_habits_fetch(const struct fl_habits *habits, uint64_t shape); /* it will be looked up soon */

/* NULL: none is known. It lasts until the next put. */
const struct fl_job_habit *fl_habits_find(const struct fl_habits *habits, uint64_t shape);
void fl_habits_put(struct fl_habits *habits, const struct fl_job_habit *habit); /* copies all */
