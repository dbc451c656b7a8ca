/* SPDX-License-Identifier: Apache-2.0 */
/* What others are to be told of verdicts, in jobs.db (schema 2), so that a crash neither loses nor repeats it:
 *   news     jobs whose verdict has become final, or that were forgotten, and that nobody has thought about
 *            since; written by triggers, within the transaction of the verdict
 *   matters  failures that are told and not over; one job's, or of many that fail alike
 *   members  which job is in which matter; a job is in one at most
 *   outbox   messages that wait to be sent, and dead ones, which nobody took
 *
 * Threads: as jobs.h. One worker (service/notices) writes news, matters and members; what it has read is
 * still so when it writes. */
#pragma once
#include "service/jobs/jobs.h"

enum { FL_OUTBOX_ROWS = 20000 /* kept; older ones are dropped */, FL_OUTBOX_BODY = 1 << 20 };

struct fl_news {
    int64_t row; /* 0: none */
    int64_t job;
};

struct fl_matter {
    int64_t row; /* 0: not kept yet */
    struct fl_str key; /* equal failures have equal ones */
    struct fl_str facts; /* JSON of the worker's */
    int64_t job;   /* the first one */
    long jobs;     /* in all */
    bool untold;   /* more came since it was told */
    int64_t opened_ms; /* since 1970; so the next ones */
    int64_t told_ms;
    int64_t seen_ms; /* when the last job came */
};

struct fl_message {
    int64_t row;
    int64_t matter; /* 0: none any more */
    struct fl_str receiver;
    struct fl_str event;
    struct fl_str job;
    struct fl_str trace;
    struct fl_str body;
    int64_t made_ms;
    int64_t due_ms;
    int tries;
    bool dead;
    struct fl_str why; /* of the last try */
};

/* ---- reading; texts end in the arena ---- */

enum fl_status fl_outbox_news(struct fl_jobs *jobs, struct fl_news *out, struct fl_err *err) FL_MUST_USE;

/* FL_NOTFOUND without a message. */
enum fl_status fl_matter_of(struct fl_jobs *jobs, int64_t job, struct fl_arena *arena,
                            struct fl_matter *out, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_matter_find(struct fl_jobs *jobs, struct fl_str key, struct fl_arena *arena,
                              struct fl_matter *out, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_matter_members(struct fl_jobs *jobs, int64_t matter, int64_t *n_r,
                                 struct fl_err *err) FL_MUST_USE;

/* The matter after that row which has more to tell since told_ms, or was not seen since seen_ms. FL_NOTFOUND
 * without a message: there are no more. */
enum fl_status fl_matter_next(struct fl_jobs *jobs, int64_t after, int64_t told_ms, int64_t seen_ms,
                              struct fl_arena *arena, struct fl_matter *out, struct fl_err *err) FL_MUST_USE;

/* The one that is due first for a receiver; FL_NOTFOUND without a message. */
enum fl_status fl_outbox_due(struct fl_jobs *jobs, struct fl_str receiver, int64_t now_ms,
                             struct fl_arena *arena, struct fl_message *out, struct fl_err *err) FL_MUST_USE;

typedef enum fl_status (*fl_outbox_visit)(void *ctx, const struct fl_message *message, struct fl_err *err);
/* All, the oldest first, without their bodies. */
enum fl_status fl_outbox_list(struct fl_jobs *jobs, fl_outbox_visit visit, void *ctx,
                              struct fl_err *err) FL_MUST_USE;

/* ---- inside a write transaction ---- */

/* All up to this row have been thought about. */
enum fl_status fl_outbox_read(struct fl_jobs *jobs, int64_t news, struct fl_err *err) FL_MUST_USE;

/* Makes it (and sets its row) or changes it. */
enum fl_status fl_matter_keep(struct fl_jobs *jobs, struct fl_matter *matter, struct fl_err *err) FL_MUST_USE;
/* The job leaves the one that it is in, and is in this one; 0: in none. */
enum fl_status fl_matter_join(struct fl_jobs *jobs, int64_t job, int64_t matter, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_matter_close(struct fl_jobs *jobs, int64_t matter, struct fl_err *err) FL_MUST_USE;

/* instead: of what else is there for this receiver about this matter, whose state it tells anew. */
enum fl_status fl_outbox_add(struct fl_jobs *jobs, const struct fl_message *message, bool instead,
                             struct fl_err *err) FL_MUST_USE;
enum fl_status fl_outbox_taken(struct fl_jobs *jobs, int64_t row, struct fl_err *err) FL_MUST_USE;
/* Its tries, due_ms, dead and why are as the message says. */
enum fl_status fl_outbox_failed(struct fl_jobs *jobs, const struct fl_message *message,
                                struct fl_err *err) FL_MUST_USE;
/* What waits for receivers that are not in this JSON list of names is dead. */
enum fl_status fl_outbox_orphans(struct fl_jobs *jobs, struct fl_str names, struct fl_err *err) FL_MUST_USE;

/* A dead one is sent again, or forgotten; row 0: all dead ones. FL_NOTFOUND: there is none such. */
enum fl_status fl_outbox_retry(struct fl_jobs *jobs, int64_t row, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_outbox_drop(struct fl_jobs *jobs, int64_t row, struct fl_err *err) FL_MUST_USE;
