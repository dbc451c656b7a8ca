/* SPDX-License-Identifier: Apache-2.0 */
/* One verdict on one job of the service: the walk over the bytes that jobs.db has of it. */
#pragma once
#include "service/base/buf.h"
#include "service/config.h"
#include "service/jobs/books.h"
#include "service/jobs/writer.h"

struct fl_incidents;

struct fl_judge {
    const struct fl_config *config;
    bool asks_later; /* unknown ones are judged once more, by a model: they are not remembered yet */
    struct fl_books *books;
    struct fl_incidents *incidents;
    struct fl_writer *writer;
    struct fl_jobs *jobs; /* a connection to read by */
};

struct fl_job_verdict {
    struct fl_arena arena;   /* of all texts */
    struct fl_jobs_row job;  /* with the new verdict */
    struct fl_str document;
    bool changed;
    bool is_unknown;
};

/* goes_on: it has not ended, the verdict is of so far, and nothing is remembered. FL_NOTFOUND: there is no
 * such job, or it has no log. To be freed in either case. */
enum fl_status fl_judge_job(const struct fl_judge *judge, int64_t job, bool goes_on,
                            struct fl_job_verdict *out, struct fl_err *err) FL_MUST_USE;
/* The metrics of a job, and what is wrong with their course (names: NULL for all; see signals.h). */
struct fl_signals_options;
enum fl_status fl_judge_signals(const struct fl_judge *judge, const struct fl_jobs_row *job,
                                const char *names, const struct fl_signals_options *options,
                                struct fl_buf *out, struct fl_err *err) FL_MUST_USE;
void fl_job_verdict_free(struct fl_job_verdict *judged);
