/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/judge.h"

#include "service/pipeline.h"
#include "service/report.h"

enum { DOCUMENT_CAP = 4 << 20, ARENA_CAP = 32 << 20 };

/* ---- the bytes of jobs.db as streams of the walk ---- */

struct feeding {
    const struct fl_judge *judge;
    struct fl_arena *arena;
    const struct fl_jobs_row *row;
    struct fl_job *job;
    struct fl_feed *feed;
    int64_t read;
    int64_t seen; /* with those that were trimmed away */
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

static enum fl_status feed_all(void *ctx, struct fl_job *job, struct fl_err *err)
{
    struct feeding *f = ctx;
    f->job = job;
    enum fl_status status =
        fl_jobs_streams(f->judge->jobs, f->row->row, f->arena, feed_stream, f, err);
    return status == FL_OK && f->read == 0
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
    struct judging *j = (struct judging *)(void *)((char *)write - offsetof(struct judging, write));
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
                     .incident = copy(out, r->incident),
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

void fl_job_verdict_free(struct fl_job_verdict *judged)
{
    fl_arena_free(&judged->arena);
}
