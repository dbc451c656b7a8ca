/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/judge.h"

#include "service/pipeline.h"
#include "service/report.h"
#include "service/signals_report.h"

#include <stdio.h>

enum {
    DOCUMENT_CAP = 4 << 20,
    ARENA_CAP = 64 << 20,
    HOSTS_MOST = 256,
    AROUND_MS = 60000,      /* before the job's first byte and after its last one */
    KERNEL_MOST = 16 << 20, /* bytes of a node */
};

/* ---- the bytes of jobs.db as streams of the walk ---- */

struct feeding {
    const struct fl_judge *judge;
    struct fl_arena *arena;
    const struct fl_jobs_row *row;
    struct fl_job *job;
    struct fl_feed *feed;
    int64_t read;
    int64_t seen; /* with those that were trimmed away */
    struct fl_str hosts[HOSTS_MOST];
    size_t hosts_n;
    char host[FL_JOBS_NAME + 8];
};

static enum fl_status push(void *ctx, struct fl_str bytes, struct fl_err *err)
{
    struct feeding *f = ctx;
    f->read += (int64_t)bytes.n;
    return fl_lines_push(fl_feed_lines(f->feed), bytes, err);
}

/* What the pusher said of the stream counts where its name says nothing. */
static void set_origin(struct feeding *f, const struct fl_jobs_stream *stream)
{
    uint32_t n = 0;
    struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(f->job), &n);
    struct fl_place *origin = &streams[n - 1].origin;
    origin->rank = origin->rank >= 0 ? origin->rank : stream->rank;
    origin->node = origin->node.n ? origin->node : stream->node;
}

static enum fl_status feed_stream(void *ctx, const struct fl_jobs_stream *stream, struct fl_err *err)
{
    struct feeding *f = ctx;
    enum fl_status status = fl_feed_open(f->job, stream->name.p, stream->name.p, &f->feed, err);
    if (status != FL_OK) {
        return status;
    }
    set_origin(f, stream);
    f->seen += stream->bytes;
    status = fl_jobs_text(f->judge->jobs, stream->row, 0, stream->bytes, push, f, err);
    enum fl_status closed = fl_feed_close(f->feed, NULL, err);
    return status == FL_OK ? closed : status;
}

/* What the kernel of a node said while the job ran there (journals that are uploaded are jobs of their own,
 * node.NAME): the GPU that fell off its bus, the process that the OOM killer took. */
static enum fl_status feed_kernel(void *ctx, const struct fl_jobs_stream *stream, struct fl_err *err)
{
    struct feeding *f = ctx;
    int64_t from = 0;
    int64_t to = 0;
    char name[FL_JOBS_NAME + 16];
    if (!fl_str_eq(stream->name, FL_LIT("kernel"))) {
        return FL_OK;
    }
    enum fl_status status =
        fl_jobs_between(f->judge->jobs, stream->row, f->row->created_ms - AROUND_MS,
                        f->row->grown_ms + AROUND_MS, &from, &to, err);
    if (status != FL_OK || to <= from) {
        return status;
    }
    from = to - from > KERNEL_MOST ? to - KERNEL_MOST : from;
    snprintf(name, sizeof name, "%s/kernel", f->host);
    status = fl_feed_open(f->job, name, name, &f->feed, err);
    if (status != FL_OK) {
        return status;
    }
    set_origin(f, stream);
    status = fl_jobs_text(f->judge->jobs, stream->row, from, to, push, f, err);
    enum fl_status closed = fl_feed_close(f->feed, NULL, err);
    return status == FL_OK ? closed : status;
}

static enum fl_status note_host(void *ctx, const struct fl_jobs_stream *stream, struct fl_err *err)
{
    struct feeding *f = ctx;
    struct fl_jobs_row host;
    (void)err;
    bool known = stream->node.n == 0 || f->hosts_n == HOSTS_MOST;
    for (size_t i = 0; i < f->hosts_n && !known; i++) {
        known = fl_str_eq(f->hosts[i], stream->node);
    }
    if (!known) {
        f->hosts[f->hosts_n++] = stream->node;
        snprintf(f->host, sizeof f->host, "node.%.*s", (int)stream->node.n, stream->node.p);
        bool found = fl_jobs_get(f->judge->jobs, fl_str_of(f->host), f->arena, &host, NULL) == FL_OK;
        char *domain = found ? NULL : strchr(f->host + strlen("node."), '.');
        if (domain) { /* a journal may know the short name only */
            *domain = '\0';
            found = fl_jobs_get(f->judge->jobs, fl_str_of(f->host), f->arena, &host, NULL) == FL_OK;
        }
        return found ? fl_jobs_streams(f->judge->jobs, host.row, f->arena, feed_kernel, f, err) : FL_OK;
    }
    return FL_OK;
}

static enum fl_status feed_all(void *ctx, struct fl_job *job, struct fl_err *err)
{
    struct feeding *f = ctx;
    f->job = job;
    enum fl_status status =
        fl_jobs_streams(f->judge->jobs, f->row->row, f->arena, feed_stream, f, err);
    bool any = f->read > 0;
    if (status == FL_OK && !fl_str_starts(f->row->name, FL_LIT("node."))) {
        status = fl_jobs_streams(f->judge->jobs, f->row->row, f->arena, note_host, f, err);
    }
    return status == FL_OK && !any
               ? fl_fail(err, FL_NOTFOUND, "job %s has no log", f->row->name.p)
               : status;
}

/* ---- the verdict as a revision ---- */

struct judging {
    struct fl_write write;
    int64_t job;
    struct fl_revision revision;
    long number;
};

static enum fl_status write_revision(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct judging *j = FL_WRITE_OF(write, struct judging, write);
    return fl_jobs_judge(jobs, j->job, &j->revision, &j->number, err);
}

static struct fl_str copy(struct fl_job_verdict *out, struct fl_str s)
{
    struct fl_str kept = fl_arena_str(&out->arena, s);
    return kept.p ? kept : FL_LIT("");
}

static enum fl_status keep_verdict(const struct fl_judge *judge, struct fl_result *r, bool goes_on,
                                   int64_t seen, struct fl_job_verdict *out, struct fl_err *err)
{
    const struct fl_verdict *v = &r->verdict;
    const struct fl_report_options style = {.format = FL_FORMAT_JSON};
    struct fl_buf text;
    fl_buf_init(&text, DOCUMENT_CAP);
    enum fl_status status = fl_report(r, &style, &text, err);
    out->document = copy(out, fl_buf_str(&text));
    fl_buf_free(&text);
    struct judging j = {
        .write = {.run = write_revision, .bytes = out->document.n},
        .job = out->job.row,
        .revision = {.judged = seen,
                     .final = !goes_on,
                     .outcome = fl_str_of(fl_outcome_name(v->outcome)),
                     .cause = copy(out, fl_str_of(v->cause ? v->cause->slug : "")),
                     .severity = fl_str_of(v->cause ? fl_severity_name(v->severity) : ""),
                     .action = copy(out, fl_str_of(v->cause && v->action ? v->action : "")),
                     .method = fl_str_of(v->cause ? fl_method_name(v->method) : ""),
                     .node = copy(out, v->faulty.node),
                     .incident = copy(out, r->own_incident),
                     .summary = copy(out, v->summary),
                     .rank = v->faulty.rank,
                     .confidence = v->confidence,
                     .document = out->document}};
    if (status == FL_OK) {
        status = fl_writer_do(judge->writer, &j.write, err);
    }
    out->changed = j.number != out->job.revision;
    out->is_unknown = v->outcome == FL_OUTCOME_UNKNOWN;
    out->job.revision = j.number;
    out->job.last = j.revision;
    return status;
}

enum fl_status fl_judge_job(const struct fl_judge *judge, int64_t job, bool goes_on,
                            struct fl_job_verdict *out, struct fl_err *err)
{
    *out = (struct fl_job_verdict){.changed = false};
    fl_arena_init(&out->arena, ARENA_CAP);
    enum fl_status status = fl_jobs_at(judge->jobs, job, &out->arena, &out->job, err);
    if (status != FL_OK) {
        return status;
    }
    struct feeding feeding = {.judge = judge, .arena = &out->arena, .row = &out->job};
    const struct fl_streams_elsewhere elsewhere = {feed_all, &feeding};
    struct fl_book *book = fl_books_take(judge->books);
    const struct fl_request request = {.elsewhere = &elsewhere,
                                       .config = judge->config,
                                       .book = &book->rules,
                                       .store = judge->incidents,
                                       .id = out->job.name.p,
                                       .goes_on = goes_on};
    struct fl_result result;
    status = fl_pipeline_run(&request, &result, err);
    if (status == FL_OK) {
        status = keep_verdict(judge, &result, goes_on, feeding.seen, out, err);
    }
    if (status == FL_OK && !goes_on && !(out->is_unknown && judge->asks_later)) {
        fl_pipeline_keep(&result);
    }
    fl_result_free(&result);
    fl_books_give(judge->books, book);
    return status;
}

enum fl_status fl_judge_signals(const struct fl_judge *judge, const struct fl_jobs_row *row,
                                const char *names, const struct fl_signals_options *options,
                                struct fl_buf *out, struct fl_err *err)
{
    struct fl_arena arena;
    struct fl_job *job = NULL;
    struct fl_verdict verdict;
    struct fl_signals signals;
    fl_arena_init(&arena, ARENA_CAP);
    struct feeding feeding = {.judge = judge, .arena = &arena, .row = row};
    const struct fl_streams_elsewhere elsewhere = {feed_all, &feeding};
    const struct fl_request request = {.elsewhere = &elsewhere, .config = judge->config};
    struct fl_book *book = fl_books_take(judge->books);
    enum fl_status status = fl_pipeline_judge(&book->rules, &request, &job, &verdict, err);
    if (status == FL_OK) {
        status = fl_signals_of(job, names, &signals, err);
        if (status == FL_OK) {
            status = fl_signals_report(&signals, options, out, err);
        }
        fl_signals_free(&signals);
    }
    fl_job_free(job);
    fl_books_give(judge->books, book);
    fl_arena_free(&arena);
    return status;
}

void fl_job_verdict_free(struct fl_job_verdict *judged)
{
    fl_arena_free(&judged->arena);
}
