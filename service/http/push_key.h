/* SPDX-License-Identifier: Apache-2.0 */
/* What keys of labels and records mean, and what their values say: pure functions of slices. */
#pragma once
#include "service/base/str.h"

#include <stdint.h>

/* Of these one value each is kept: the first FL_PUSH_SAID are told apart by it. */
enum fl_push_role {
    FL_PUSH_IS_JOB,
    FL_PUSH_IS_RANK,
    FL_PUSH_IS_LOCAL_RANK,
    FL_PUSH_IS_NODE,
    FL_PUSH_IS_POD,
    FL_PUSH_IS_CONTAINER,
    FL_PUSH_IS_FILE,
    FL_PUSH_IS_PROGRAM,
    FL_PUSH_IS_INSTANCE,
    FL_PUSH_SAID,
    FL_PUSH_IS_TRACE = FL_PUSH_SAID, /* text that belongs behind the line's */
    FL_PUSH_IS_TEXT,
    FL_PUSH_IS_TIME,
    FL_PUSH_IS_LEVEL,
    FL_PUSH_IS_PARENT,  /* an object whose members count as PARENT_KEY */
    FL_PUSH_IS_BAG,     /* an object whose members count as if they stood beside it */
    FL_PUSH_IS_PASSING, /* says nothing about the sender */
    FL_PUSH_IS_OTHER,
};

struct fl_push_key {
    enum fl_push_role role;
    int weight; /* among keys of one role the least counts */
};

enum {
    FL_PUSH_KEY = 64,  /* bytes; longer ones mean nothing */
    FL_PUSH_SLURM = 1, /* weight of a job's key whose value is a number of Slurm: the job is slurm-NUMBER */
};

/* Upper case is as lower case, and . - / @ are as _. `parent` ("": none) stands before the key. */
struct fl_push_key fl_push_key_of(struct fl_str parent, struct fl_str key);

/* Nanoseconds since 1970 of RFC 3339 or of a number of s, ms, us or ns; 0 when it is neither. */
int64_t fl_push_time(struct fl_str text);

/* A whole number of 0 to FL_PUSH_RANK_MAX, or -1. */
long fl_push_rank(struct fl_str text);

/* What a pod's name says about the job that made it: "train" of train-0-x7k2p, train-worker-3. */
struct fl_str fl_push_pod_job(struct fl_str pod);

/* slurm-123_4 of slurm-123_4.out, empty when there is none. */
struct fl_str fl_push_slurm_job(struct fl_str path);

/* A job's name with other bytes than A-Z a-z 0-9 . _ - replaced. out has room for FL_PUSH_JOB and
 * NUL. */
void fl_push_job_name(struct fl_str text, char *out);

/* Copies text without control bytes, at most `most` of them: what is too long ends in a hash of
 * all. */
void fl_push_name(struct fl_str text, size_t most, char *out);
