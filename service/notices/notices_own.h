/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of the worker only: think.c turns verdicts into messages, send.c sends them. */
#pragma once
#include "service/http/counters.h"
#include "service/jobs/outbox.h"
#include "service/notices/notice.h"
#include "service/notices/notices.h"
#include "service/notices/post.h"

#include <pthread.h>

enum { FL_NOTICES_ARENA = 96 << 20 /* a cap: two bodies a receiver, two verdicts */ };

struct fl_notices {
    struct fl_notices_options o;
    char *path;
    struct fl_jobs *jobs; /* a connection to read by */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool woken;
    atomic_bool stop;
    struct fl_receivers *fresh; /* to take the place of `to` */
    /* the worker's own */
    struct fl_receivers *to;
    struct {
        int64_t paused_ms; /* until then (monotonic), nothing is sent there */
        int64_t resend_ms; /* when active alerts are sent again */
    } state[FL_RECEIVERS_MOST];
    int64_t fault_ms; /* until then, the database is left alone */
};

static inline struct fl_str fl_notices_link(struct fl_str base_url, struct fl_str job, struct fl_buf *room)
{
    fl_buf_clear(room);
    if (base_url.n && job.n) {
        fl_buf_addf(room, "%.*s/api/v1/jobs/%.*s", (int)base_url.n, base_url.p, (int)job.n, job.p);
    }
    return fl_buf_str(room);
}

/* An alert that is not sent again ends by itself then. */
static inline int64_t fl_notices_until(const struct fl_receiver *receiver, int64_t now_ms)
{
    return now_ms + (int64_t)(4 * receiver->resend_s * 1000);
}

/* Thinks about the oldest news; *any_r: there was one. */
enum fl_status fl_notices_think(struct fl_notices *notices, bool *any_r, struct fl_err *err) FL_MUST_USE;
/* Matters whose window is over, or that nobody has seen for long. */
enum fl_status fl_notices_tend(struct fl_notices *notices, struct fl_err *err) FL_MUST_USE;

/* Sends what is due, one message a receiver; *any_r: there was one. */
enum fl_status fl_notices_send(struct fl_notices *notices, bool *any_r, struct fl_err *err) FL_MUST_USE;
/* Active alerts once more, where it is time. */
enum fl_status fl_notices_resend(struct fl_notices *notices, struct fl_err *err) FL_MUST_USE;
