/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics that a training framework keeps beside its logs: trainer_state.json (Hugging Face). */
#pragma once
#include "service/job.h"

/* Is that the name of one? */
bool fl_job_history_name(const char *path);

/* Reads it as a stream of the job, a value as it stands in its line. *read_r: it has a list of what was
 * logged; else it is left alone. Limit: 64 MiB. */
enum fl_status fl_job_history(struct fl_job *job, const char *name, const char *path, bool *read_r,
                              struct fl_err *err) FL_MUST_USE;
