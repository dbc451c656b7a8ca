/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: their state, their verdicts, their logs. */
#include "service/base/clock.h"
#include "service/http/serving.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA = 16 << 20, LIST_MOST = 500, LIST_USUAL = 50, LOG_MOST = 4 << 20, WAIT_MOST_S = 60 };

/* The first verdict of a job comes within a moment: who asks for it waits that long. */
enum { FIRST_WAIT_MS = 3000 };

static long number_arg(const struct fl_http_request *r, const char *name, long missing)
{
    const char *text = fl_http_arg(r, name);
    return text && *text ? strtol(text, NULL, 10) : missing;
}

static struct fl_str text_arg(const struct fl_http_request *r, const char *name)
{
    const char *text = fl_http_arg(r, name);
    return fl_str_of(text ? text : "");
}

static void key_or_null(struct fl_jw *w, const char *key, struct fl_str s)
{
    fl_jw_key(w, key);
    if (s.n) {
        fl_jw_str(w, s);
    } else {
        fl_jw_null(w);
    }
}

static void key_time(struct fl_jw *w, const char *key, int64_t ms)
{
    char text[21];
    fl_clock_format(ms / 1000, text);
    fl_jw_key_text(w, key, text);
}

/* Parsed and written again, so that what was stored cannot break the document around it. */
static void key_json(struct fl_jw *w, const char *key, struct fl_str text)
{
    fl_json *root = NULL;
    fl_jw_key(w, key);
    if (text.n && fl_json_parse(text, key, &root, NULL) == FL_OK) {
        fl_jw_json(w, root);
    } else {
        fl_jw_null(w);
    }
    fl_json_free(root);
}

static const char *state_of(const struct fl_jobs_row *job)
{
    return job->ended ? "ended" : job->last.final ? "resting" : "running";
}

static void write_head(struct fl_jw *w, const struct fl_jobs_row *job)
{
    fl_jw_key_str(w, "job", job->name);
    fl_jw_key_text(w, "state", state_of(job));
    key_time(w, "created", job->created_ms);
    key_time(w, "last_line", job->grown_ms);
    fl_jw_key_int(w, "bytes", job->bytes);
    fl_jw_key_int(w, "lines", job->lines);
    fl_jw_key_int(w, "revision", job->revision);
    fl_jw_key(w, "final");
    fl_jw_bool(w, job->last.final);
    fl_jw_key(w, "pending"); /* bytes came that the verdict has not seen */
    fl_jw_bool(w, job->last.judged < job->bytes);
}

static enum fl_status write_short(void *ctx, const struct fl_jobs_row *job, struct fl_err *err)
{
    struct fl_jw *w = ctx;
    (void)err;
    fl_jw_begin(w, '{');
    fl_jw_key_int(w, "id", job->row);
    write_head(w, job);
    key_or_null(w, "verdict", job->last.outcome);
    key_or_null(w, "cause", job->last.cause);
    key_or_null(w, "severity", job->last.severity);
    fl_jw_key(w, "confidence");
    fl_jw_num(w, job->last.confidence);
    key_or_null(w, "method", job->last.method);
    key_or_null(w, "action", job->last.action);
    key_or_null(w, "node", job->last.node);
    fl_jw_key(w, "rank");
    if (job->last.rank >= 0) {
        fl_jw_int(w, job->last.rank);
    } else {
        fl_jw_null(w);
    }
    key_or_null(w, "incident", job->last.incident);
    key_or_null(w, "summary", job->last.summary);
    key_json(w, "facts", job->facts);
    fl_jw_end(w, '}');
    return FL_OK;
}

void fl_api_jobs(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_jw w;
    long limit = number_arg(r, "limit", LIST_USUAL);
    const struct fl_jobs_query query = {.outcome = text_arg(r, "verdict"),
                                        .cause = text_arg(r, "cause"),
                                        .node = text_arg(r, "node"),
                                        .incident = text_arg(r, "incident"),
                                        .before = number_arg(r, "before", 0),
                                        .limit = limit > 0 && limit < LIST_MOST ? (size_t)limit : LIST_MOST};
    fl_reply_json(r, MHD_HTTP_OK, &w);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "jobs");
    fl_jw_begin(&w, '[');
    pthread_mutex_lock(&s->reading);
    enum fl_status status = fl_jobs_list(s->read_jobs, &query, write_short, &w, &err);
    pthread_mutex_unlock(&s->reading);
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    if (status != FL_OK) {
        fl_reply_failed(r, status, &err);
    }
}

static enum fl_status write_stream(void *ctx, const struct fl_jobs_stream *stream, struct fl_err *err)
{
    struct fl_jw *w = ctx;
    (void)err;
    fl_jw_begin(w, '{');
    fl_jw_key_str(w, "name", stream->name);
    key_or_null(w, "node", stream->node);
    fl_jw_key(w, "rank");
    if (stream->rank >= 0) {
        fl_jw_int(w, stream->rank);
    } else {
        fl_jw_null(w);
    }
    fl_jw_key_int(w, "bytes", stream->bytes);
    fl_jw_key_int(w, "lines", stream->lines);
    fl_jw_end(w, '}');
    return FL_OK;
}

static void not_found(struct fl_http_request *r)
{
    fl_reply_problem(r, MHD_HTTP_NOT_FOUND, "there is no such job (see /api/v1/jobs)");
}

static enum fl_status write_job(struct fl_serve *s, struct fl_http_request *r, struct fl_arena *arena,
                                const struct fl_jobs_row *job, struct fl_err *err)
{
    struct fl_jw w;
    struct fl_str document = {"", 0};
    enum fl_status status = fl_jobs_document(s->read_jobs, job->row, 0, arena, &document, err);
    if (status != FL_OK && status != FL_NOTFOUND) {
        return status;
    }
    fl_reply_json(r, MHD_HTTP_OK, &w);
    fl_jw_begin(&w, '{');
    write_head(&w, job);
    key_json(&w, "verdict", document);
    key_or_null(&w, "incident", job->last.incident);
    key_json(&w, "facts", job->facts);
    fl_jw_key(&w, "streams");
    fl_jw_begin(&w, '[');
    status = fl_jobs_streams(s->read_jobs, job->row, arena, write_stream, &w, err);
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    return status;
}

/* There is more than its verdict has seen. */
static bool is_behind(const struct fl_jobs_row *job)
{
    return job->last.judged < job->bytes || (job->ended && !job->last.final && job->bytes > 0);
}

/* Answers with what is known now, if that is all that came or nothing else will. */
static bool answer_job(void *ctx, struct fl_http_request *r, bool last)
{
    struct fl_serve *s = ctx;
    struct fl_err err = {0};
    struct fl_arena arena;
    struct fl_jobs_row job;
    fl_arena_init(&arena, ARENA);
    pthread_mutex_lock(&s->reading);
    enum fl_status status = fl_jobs_get(s->read_jobs, r->segment[0], &arena, &job, &err);
    bool ready = last || status != FL_OK || !is_behind(&job);
    if (status == FL_OK && ready) {
        status = write_job(s, r, &arena, &job, &err);
    }
    pthread_mutex_unlock(&s->reading);
    if (status == FL_NOTFOUND) {
        not_found(r);
    } else if (status != FL_OK) {
        fl_reply_failed(r, status, &err);
    }
    fl_arena_free(&arena);
    return ready;
}

/* ?wait=SECONDS: for the verdict on all that has come so far. */
void fl_api_job(struct fl_serve *s, struct fl_http_request *r)
{
    long wait_s = number_arg(r, "wait", -1);
    for (;;) {
        struct fl_arena arena;
        struct fl_jobs_row job = {.row = 0};
        uint64_t told = fl_hub_told(s->hub); /* before the job is read */
        fl_arena_init(&arena, ARENA);
        pthread_mutex_lock(&s->reading);
        enum fl_status status = fl_jobs_get(s->read_jobs, r->segment[0], &arena, &job, NULL);
        pthread_mutex_unlock(&s->reading);
        fl_arena_free(&arena);
        int64_t wait_ms = wait_s < 0 ? (job.revision == 0 ? FIRST_WAIT_MS : 0)
                                     : (wait_s < WAIT_MOST_S ? wait_s : WAIT_MOST_S) * 1000;
        if (status != FL_OK || !is_behind(&job) || wait_ms == 0) {
            answer_job(s, r, true);
            return;
        }
        if (fl_hub_wait(s->hub, r, job.row, wait_ms, told, answer_job, s)) {
            fl_triage_wanted(s->triage, job.row);
            return;
        }
    }
}

void fl_api_job_verdict(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_arena arena;
    struct fl_jobs_row job;
    struct fl_str number = r->segment[1];
    struct fl_str document = {"", 0};
    long revision = 0;
    fl_arena_init(&arena, ARENA);
    bool last = fl_str_eq(number, FL_LIT("last"));
    bool known = last || (fl_str_take_number(&number, &revision) && number.n == 0 && revision > 0);
    pthread_mutex_lock(&s->reading);
    enum fl_status status =
        known ? fl_jobs_get(s->read_jobs, r->segment[0], &arena, &job, &err) : FL_NOTFOUND;
    if (status == FL_OK) {
        status = fl_jobs_document(s->read_jobs, job.row, revision, &arena, &document, &err);
    }
    pthread_mutex_unlock(&s->reading);
    if (status == FL_OK) {
        struct fl_jw w;
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_buf_add_str(&r->answer, document);
    } else if (status == FL_NOTFOUND) {
        fl_reply_problem(r, MHD_HTTP_NOT_FOUND, "there is no such verdict (its number, or last)");
    } else {
        fl_reply_failed(r, status, &err);
    }
    fl_arena_free(&arena);
}

/* ---- logs ---- */

struct log_asked {
    struct fl_str name;
    struct fl_jobs_stream found;
    bool any;
};

static enum fl_status find_stream(void *ctx, const struct fl_jobs_stream *stream, struct fl_err *err)
{
    struct log_asked *asked = ctx;
    (void)err;
    if (!asked->any && (asked->name.n == 0 || fl_str_eq(stream->name, asked->name))) {
        asked->found = *stream;
        asked->any = true;
    }
    return FL_OK;
}

static enum fl_status take_text(void *ctx, struct fl_str bytes, struct fl_err *err)
{
    struct fl_buf *out = ctx;
    (void)err;
    return fl_buf_add_str(out, bytes);
}

/* Bytes from..to of a stream (the first one when none is named), at most LOG_MOST at a time. */
void fl_api_job_log(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_arena arena;
    struct fl_jobs_row job;
    struct log_asked asked = {.name = text_arg(r, "stream")};
    int64_t from = number_arg(r, "from", 0);
    int64_t to = number_arg(r, "to", -1);
    fl_arena_init(&arena, ARENA);
    fl_reply_text(r, MHD_HTTP_OK, "");
    pthread_mutex_lock(&s->reading);
    enum fl_status status = fl_jobs_get(s->read_jobs, r->segment[0], &arena, &job, &err);
    if (status == FL_OK) {
        status = fl_jobs_streams(s->read_jobs, job.row, &arena, find_stream, &asked, &err);
    }
    if (status == FL_OK && asked.any) {
        char range[96];
        from = from < 0 ? asked.found.bytes + from : from;
        from = from < 0 ? 0 : from;
        to = to < 0 || to > asked.found.bytes ? asked.found.bytes : to;
        to = to - from > LOG_MOST ? from + LOG_MOST : to;
        snprintf(range, sizeof range, "bytes %lld-%lld/%lld", (long long)from,
                 (long long)(to > from ? to - 1 : from), (long long)asked.found.bytes);
        fl_http_set(r, "X-Log-Range", range);
        status = fl_jobs_text(s->read_jobs, asked.found.row, from, to, take_text, &r->answer, &err);
    }
    pthread_mutex_unlock(&s->reading);
    if (status == FL_NOTFOUND) {
        not_found(r);
    } else if (status != FL_OK) {
        fl_reply_failed(r, status, &err);
    } else if (!asked.any) {
        fl_reply_problem(r, MHD_HTTP_NOT_FOUND, "the job has no such stream");
    }
    fl_arena_free(&arena);
}

/* ---- from outside ---- */

struct noting {
    struct fl_write write;
    struct fl_str job;
    struct fl_str facts;
    struct fl_str trace;
    bool forgets;
};

static enum fl_status run_note(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct noting *n = FL_WRITE_OF(write, struct noting, write);
    enum fl_status status =
        n->trace.n ? fl_jobs_note(jobs, n->job, n->trace, true, err) : FL_OK; /* the facts may say better */
    if (status != FL_OK) {
        return status;
    }
    return n->forgets ? fl_jobs_forget(jobs, n->job, err)
                      : fl_jobs_note(jobs, n->job, n->facts, true, err);
}

/* It is over: judged for good, now. The body, if any, is facts about it. */
void fl_api_job_end(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_arena arena;
    struct fl_jobs_row job = {.row = 0};
    char trace[96];
    fl_json *body = fl_serve_body(r);
    if (!body) {
        return;
    }
    struct fl_buf facts; /* as we write JSON, whatever the body's looks like */
    struct fl_jw w;
    fl_buf_init(&facts, 2 * FL_HTTP_BODY);
    fl_jw_init(&w, &facts, false);
    fl_jw_json(&w, body);
    struct noting note = {.write = {.run = run_note, .bytes = facts.n},
                          .job = r->segment[0],
                          .facts = fl_buf_str(&facts),
                          .trace = fl_serve_trace(r, trace)};
    if (fl_serve_write(s, r, &note.write)) {
        fl_arena_init(&arena, ARENA);
        pthread_mutex_lock(&s->reading);
        bool found = fl_jobs_get(s->read_jobs, note.job, &arena, &job, NULL) == FL_OK;
        pthread_mutex_unlock(&s->reading);
        fl_arena_free(&arena);
        if (found) {
            fl_triage_over(s->triage, job.row);
        }
        fl_reply_empty(r, MHD_HTTP_NO_CONTENT);
    }
    fl_buf_free(&facts);
    fl_json_free(body);
}

void fl_api_job_forget(struct fl_serve *s, struct fl_http_request *r)
{
    struct noting note = {.write = {.run = run_note}, .job = r->segment[0], .forgets = true};
    struct fl_err err = {0};
    enum fl_status status = fl_writer_do(s->writer, &note.write, &err);
    if (status == FL_OK) {
        fl_reply_empty(r, MHD_HTTP_NO_CONTENT);
    } else if (status == FL_NOTFOUND) {
        not_found(r);
    } else {
        fl_reply_failed(r, status, &err);
    }
}
