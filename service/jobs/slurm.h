/* SPDX-License-Identifier: Apache-2.0 */
/* The record that Slurm's jobcomp/elasticsearch sends of a finished job (Slurm 22.05 and later): which job that
 * is, what is worth keeping, and where its logs are. The batch script in it is not kept: it may hold secrets.
 * Pure functions. */
#pragma once
#include "service/base/buf.h"
#include "service/base/json.h"
#include "service/jobs/jobs.h"

enum {
    FL_SLURM_PATH = 4096,
    FL_SLURM_HEALTHY_LOG = 16 << 20, /* bytes of a log that are read though the job did not fail */
};

struct fl_slurm {
    char job[FL_JOBS_NAME + 1]; /* slurm-48213, slurm-48213_4 of an array, slurm-48213-1 of a het job */
    char cluster[FL_JOBS_NAME + 1];
    struct fl_buf facts; /* {"slurm": {...}, "log": {...}}, see fetch.h */
    bool has_log;
};

/* FL_SYNTAX: it is no such record. To be freed in any case. */
enum fl_status fl_slurm_read(const fl_json *record, struct fl_slurm *out, struct fl_err *err) FL_MUST_USE;
void fl_slurm_free(struct fl_slurm *slurm);

/* What the replacement symbols of sbatch --output stand for. */
struct fl_slurm_names {
    long job;
    long array_job;  /* the same when it is no array */
    long array_task; /* -1: no array */
    struct fl_str name;
    struct fl_str user;
    struct fl_str nodes; /* gpu[01-04] */
    struct fl_str folder; /* what a relative path begins at */
};
/* The path of the file; false: it is too long, or relative to nowhere. */
bool fl_slurm_path(struct fl_str pattern, const struct fl_slurm_names *names, char out[static FL_SLURM_PATH]);
