/* SPDX-License-Identifier: Apache-2.0 */
/* Logs that are read here instead of being pushed: those of jobs that a scheduler says have ended, and those in
 * watched folders. Both are copied into jobs.db (copy.h), and judged from there.
 *
 * A job whose logs are to be read once says so in its facts, so that what was promised is kept after a crash:
 *   {"log": {"state": "waiting", "files": [{"path": "/...", "stream": "slurm-12.out"}],
 *            "uid": 1000, "most": 16777216}}
 * A file must be below a root, be the user's own (uid, when given), and have `most` bytes at most (when given).
 * When its files were read, or cannot be, state says "read" or why not, and the job is ended.
 * Threads: one of its own. */
#pragma once
#include "service/jobs/triage.h"

struct fl_fetch_options {
    const char *state;     /* the folder */
    const char *log_roots; /* folders with colons between them, or NULL */
    const char *watch;     /* the same */
    struct fl_writer *writer;
    struct fl_triage *triage;
};

struct fl_fetch;

/* What options point to must outlive it. */
enum fl_status fl_fetch_start(const struct fl_fetch_options *options, struct fl_fetch **out,
                              struct fl_err *err) FL_MUST_USE;
/* After the block in hand. */
void fl_fetch_stop(struct fl_fetch *fetch);

/* A job waits for its logs to be read. Any thread. */
void fl_fetch_poke(struct fl_fetch *fetch);

struct fl_fetch_state {
    size_t watched; /* files */
    size_t waiting; /* jobs whose logs are to be read */
    int64_t bytes;  /* copied */
};
void fl_fetch_look(struct fl_fetch *fetch, struct fl_fetch_state *out);
