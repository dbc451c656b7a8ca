/* SPDX-License-Identifier: Apache-2.0 */
/* The walk: log files in, verdict out. */
#pragma once
#include "rag/retrieve.h"
#include "rag/verdicts.h"
#include "service/config.h"
#include "service/identity.h"
#include "service/job.h"
#include "service/rulebook.h"
#include "service/telling.h"

/* Streams that are no files: feeds them into the job (fl_feed_open ...). */
struct fl_streams_elsewhere {
    enum fl_status (*read)(void *ctx, struct fl_job *job, struct fl_err *err);
    void *ctx;
};

struct fl_request {
    const char *const *paths;
    size_t paths_n;
    const struct fl_streams_elsewhere *elsewhere; /* NULL: all are at the paths */
    const struct fl_config *config;
    /* What a program that judges many jobs holds open for all of them; NULL: opened for this one. */
    const struct fl_rulebook *book;
    struct fl_incidents *store;
    const char *id; /* of the job, if its paths are not it; NULL */
    bool goes_on;   /* the job has not ended: nobody is asked, nothing is counted */
    const struct fl_follow *follow; /* NULL: read once */
    const struct fl_watch *watch;   /* NULL: nobody looks on */
};

enum { FL_SIMILAR_MAX = 3, FL_WARNINGS_MAX = 8 };

struct fl_result {
    struct fl_arena arena;
    const char *id; /* of the request */
    const struct fl_rulebook *book;
    struct fl_rulebook own_book;
    struct fl_job *job; /* there with its book before a line is read: who follows may look at both */
    struct fl_incidents *store;
    bool owns_store;
    struct fl_verdict verdict;
    struct fl_identity identity;
    struct fl_telling telling; /* of a job that is not healthy */
    struct fl_hits similar;
    struct fl_str incident; /* id of what this failure is remembered as, or "" */
    struct fl_str own_incident; /* the same but for merges */
    struct fl_seen seen;    /* jobs that ended in it before this one */
    bool keeps;             /* there is a place to keep it in */
    double seconds;
    struct fl_str model; /* that answered, or "" */
    long model_calls;
    long asked_tokens; /* sent ... */
    long answer_tokens;
    double money; /* below 0: no prices are set */
    const char *warnings[FL_WARNINGS_MAX]; /* what became of learned rules, for the reader */
    size_t warnings_n;
    bool remembered;
    const char *model_note; /* why the model's answer was not taken, NULL otherwise */
};

/* Runs it. Failure means that no verdict could be given: nothing readable, no rules. The result
 * owns all that the verdict borrows; free it in either case. */
enum fl_status fl_pipeline_run(const struct fl_request *request, struct fl_result *out,
                               struct fl_err *err) FL_MUST_USE;
/* What is kept for the next time; after the verdict is out, so that nobody waits for a disk. */
void fl_pipeline_keep(struct fl_result *result);
/* The walk up to attribute, with these rules: no state, no memory of incidents, no model. The
 * verdict borrows from *job_r; free that in either case. */
enum fl_status fl_pipeline_judge(const struct fl_rulebook *book, const struct fl_request *request,
                                 struct fl_job **job_r, struct fl_verdict *verdict_r,
                                 struct fl_err *err) FL_MUST_USE;
void fl_result_free(struct fl_result *result);
