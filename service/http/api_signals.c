/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of a job: read anew for who asks, one at a time. */
#include "service/http/serving.h"
#include "service/jobs/judge.h"
#include "service/signals_report.h"

enum { ARENA = 16 << 20, MOST = 512 << 20 };

void fl_api_signals(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_arena arena;
    struct fl_jobs_row job;
    struct fl_jobs *jobs = NULL;
    struct fl_buf text;
    const struct fl_signals_options how = {.format = FL_SIGNALS_JSON, .all = fl_http_arg(r, "all") != NULL};
    if (atomic_exchange(&s->reads_signals, true)) {
        fl_reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "the metrics of another job are being read");
        return;
    }
    fl_arena_init(&arena, ARENA);
    fl_buf_init(&text, 32 << 20);
    enum fl_status status = fl_jobs_open(s->state, true, &jobs, &err);
    if (status == FL_OK) {
        status = fl_jobs_get(jobs, r->segment[0], &arena, &job, &err);
    }
    if (status == FL_OK && job.bytes > MOST) {
        status = fl_fail(&err, FL_LIMIT, "the log of this job has %lld bytes: use faultline signals on it",
                         (long long)job.bytes);
    }
    if (status == FL_OK) {
        const struct fl_judge judge = {.config = s->o.config, .books = s->books, .jobs = jobs};
        status = fl_judge_signals(&judge, &job, fl_http_arg(r, "metric"), &how, &text, &err);
    }
    if (status == FL_OK) {
        struct fl_jw w;
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_buf_add_str(&r->answer, fl_buf_str(&text));
    } else if (status == FL_NOTFOUND) {
        fl_reply_problem(r, MHD_HTTP_NOT_FOUND, "there is no such job, or it has no log");
    } else {
        fl_reply_failed(r, status, &err);
    }
    fl_buf_free(&text);
    fl_jobs_close(jobs);
    fl_arena_free(&arena);
    atomic_store(&s->reads_signals, false);
}
