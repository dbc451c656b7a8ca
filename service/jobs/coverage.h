/* SPDX-License-Identifier: Apache-2.0 */
/* What jobs have in common that ended in some incidents: nodes they ran on, users, images, ranks ...;
 * each with how often all other jobs have it, so that "node-17 is in 9 of 11" means something. */
#pragma once
#include "service/jobs/jobs.h"

enum {
    FL_COVERAGE_MOST = 200,   /* things in common */
    FL_COVERAGE_JOBS = 20000, /* the newest are compared */
};

struct fl_common {
    struct fl_str key; /* node, user, image, rank, cause ... */
    struct fl_str value;
    long in;        /* of the selected jobs, how many have it */
    long among_all; /* of all jobs */
    double lift;    /* how many times as often as among all */
    double chance;  /* that so many or more of them have it by accident (hypergeometric) */
};

struct fl_coverage {
    long selected; /* jobs */
    long all;
    struct fl_common *list; /* the least likely by accident first */
    size_t n;
};

/* incidents: a JSON array of their ids. What one job alone has is left out. Lives in the arena. */
enum fl_status fl_jobs_coverage(struct fl_jobs *jobs, struct fl_str incidents, struct fl_arena *arena,
                                struct fl_coverage *out, struct fl_err *err) FL_MUST_USE;
