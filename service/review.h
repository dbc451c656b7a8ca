/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents that a person wants to look at together: what they are, and what their jobs have in common. */
#pragma once
#include "rag/groups.h"
#include "service/base/json.h"
#include "service/jobs/coverage.h"

enum { FL_REVIEW_MOST = 1000 };

struct fl_reviewed {
    struct fl_incident incident;
    struct fl_str note;    /* of its flag */
    struct fl_str flagged; /* when, or "" */
};

struct fl_review {
    struct fl_reviewed *list;
    size_t n;
    struct fl_coverage coverage; /* of the jobs of all of them */
};

/* ids_n 0: those that are flagged. jobs may be NULL. Lives in the arena. FL_NOTFOUND: no such incident. */
enum fl_status fl_review_of(struct fl_incidents *store, struct fl_jobs *jobs, const char *const *ids,
                            size_t ids_n, struct fl_arena *arena, struct fl_review *out,
                            struct fl_err *err) FL_MUST_USE;

void fl_review_report(const struct fl_review *review, bool json, struct fl_buf *out);
void fl_review_write(const struct fl_review *review, struct fl_jw *w);
