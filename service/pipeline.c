/* SPDX-License-Identifier: Apache-2.0 */
/* The walk of README's figure, step by step. Everything up to `attribute` needs no state folder, no
 * network and no model; what comes after can only add to the verdict. */
#include "service/pipeline.h"

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/consult.h"
#include "service/life.h"
#include "service/remember.h"

/* ingest, filter, match: each stream once, front to back */
static enum fl_status read_streams(const struct fl_request *request, struct fl_job *job,
                                   struct fl_err *err)
{
    struct fl_err fault = {0};
    size_t read = 0;
    enum fl_status status = FL_OK;
    if (request->follow) {
        status = fl_job_follow(job, request->paths, request->paths_n, request->follow, err);
        fl_diagnosis_end(fl_job_diagnosis(job));
        return status;
    }
    if (request->elsewhere) {
        status = request->elsewhere->read(request->elsewhere->ctx, job, err);
        if (status != FL_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < request->paths_n; i++) {
        struct fl_err one = {0};
        status = fl_job_read(job, request->paths[i], &read, &one);
        if (status == FL_OK) {
            continue;
        }
        if (status == FL_NOMEM) {
            return fl_fail(err, status, "%s", one.msg);
        }
        fl_log(FL_LOG_WARN, "%s", one.msg);
        fl_fail(&fault, status, "%s", one.msg);
    }
    uint32_t streams_n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(job), &streams_n);
    bool any = read > 0;
    for (uint32_t i = 0; i < streams_n; i++) {
        any |= streams[i].lines > 0; /* a broken file gave its first part */
    }
    fl_diagnosis_end(fl_job_diagnosis(job));
    return any ? FL_OK : fl_fail(err, fault.status ? fault.status : FL_NOTFOUND,
                                 "no log could be read");
}

enum fl_status fl_pipeline_judge(const struct fl_rulebook *book, const struct fl_request *request,
                                 struct fl_job **job_r, struct fl_verdict *verdict_r,
                                 struct fl_err *err)
{
    enum fl_status status = fl_job_new(book->set, job_r, err);
    if (status == FL_OK) {
        fl_job_watch(*job_r, request->watch);
        status = read_streams(request, *job_r, err);
    }
    if (status == FL_OK) {
        fl_attribute(fl_job_diagnosis(*job_r), verdict_r);
        fl_calibrate(&book->calibration, verdict_r);
    }
    return status;
}

enum fl_status fl_pipeline_run(const struct fl_request *request, struct fl_result *out,
                               struct fl_err *err)
{
    int64_t start = fl_clock_mono_us();
    *out = (struct fl_result){.job = NULL};
    fl_arena_init(&out->arena, 64 << 20);
    const char *state = request->config->value[FL_SET_STATE];
    enum fl_status status = FL_OK;
    out->book = request->book ? request->book : &out->own_book;
    out->id = request->id;
    out->store = request->store;
    out->owns_store = !request->store;
    if (!request->book) {
        status = fl_rulebook_open_part(state, !request->config->no_learned,
                                       request->config->without_rules, NULL, &out->own_book, err);
    }
    if (status == FL_OK) {
        status = fl_pipeline_judge(out->book, request, &out->job, &out->verdict, err);
    }
    if (status != FL_OK) {
        return status;
    }
    fl_identity_of(out->job, request->id, &out->identity);
    if (out->verdict.outcome != FL_OUTCOME_HEALTHY) {
        fl_recall(request->config, out); /* retrieve: what looked like this before */
    }
    if (out->verdict.outcome == FL_OUTCOME_UNKNOWN && !request->goes_on &&
        fl_consult_wanted(request->config)) {
        fl_consult(request->config, out); /* ask, ground, learn; the verdict stands if it fails */
    }
    if (!request->goes_on) {
        fl_life_count(request->config, out);
    }
    out->seconds = (double)(fl_clock_mono_us() - start) / 1e6;
    return FL_OK;
}

void fl_pipeline_keep(struct fl_result *result)
{
    fl_remember(result);
}

void fl_result_free(struct fl_result *result)
{
    fl_job_free(result->job);
    if (result->owns_store) {
        fl_incidents_close(result->store);
    }
    fl_rulebook_close(&result->own_book);
    fl_arena_free(&result->arena);
}
