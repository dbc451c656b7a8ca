/* SPDX-License-Identifier: Apache-2.0 */
#include "service/habits.h"

#include <stdlib.h>

struct fl_habits {
    struct fl_job_habit list[FL_HABITS];
    struct fl_habit reports[FL_HABITS]; /* apart, being large and few */
};

enum fl_status fl_habits_new(struct fl_habits **out, struct fl_err *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for the shapes of routine lines");
}

void fl_habits_free(struct fl_habits *habits)
{
    free(habits);
}

void fl_habits_fetch(const struct fl_habits *habits, uint64_t shape)
{
    size_t i = shape % FL_HABITS;
    const char *reports = (const char *)&habits->reports[i];
    __builtin_prefetch(&habits->list[i]);
    __builtin_prefetch(reports);
    __builtin_prefetch(reports + 64);
}

const struct fl_job_habit *fl_habits_find(const struct fl_habits *habits, uint64_t shape)
{
    const struct fl_job_habit *one = &habits->list[shape % FL_HABITS];
    return shape && one->shape == shape ? one : NULL;
}

void fl_habits_put(struct fl_habits *habits, const struct fl_job_habit *habit)
{
    size_t i = habit->shape % FL_HABITS;
    habits->list[i] = *habit;
    if (habit->reports) {
        habits->reports[i] = *habit->reports;
        habits->list[i].reports = &habits->reports[i];
    }
}

bool fl_habit_drops(const struct fl_ruleset *set, const struct fl_candidate *candidates, size_t n,
                    bool dropped, uint32_t *depends_r)
{
    bool alike = true;
    *depends_r = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct fl_candidate *c = &candidates[i];
        if (!set->line_owner[c->pattern].drops) {
            continue;
        }
        if (c->always) {
            *depends_r = UINT32_MAX;
            return dropped;
        }
        alike = alike && dropped; /* else it said no, and may say yes next time */
        *depends_r = c->sure ? c->pattern : *depends_r;
    }
    return alike && dropped == (*depends_r != UINT32_MAX);
}
