/* SPDX-License-Identifier: Apache-2.0 */
/* A file of metrics beside the logs of a job: a table with a head of names, fields parted by commas or
 * tabs (what loggers export as CSV). Its rows are read as lines of progress are, by the names of
 * rules/signals/metrics.json; columns of no known metric are passed over. */
#pragma once
#include "service/job.h"

/* Is that the name of one? */
bool fl_job_table_name(const char *path);

/* The next field of *row, without quotes around it; `mark` parts fields. False: there is none. */
bool fl_job_table_field(struct fl_str *row, char mark, struct fl_str *out);

/* Reads it as a stream of the job. *read_r: its head names a step or an epoch, and a metric; else it is
 * left alone. */
enum fl_status fl_job_table(struct fl_job *job, const char *name, const char *path, bool *read_r,
                            struct fl_err *err) FL_MUST_USE;
