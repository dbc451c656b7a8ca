/* SPDX-License-Identifier: Apache-2.0 */
/* The streams of a job, and what the runs in each showed besides findings: how far they came and
 * whether they succeeded. Append-mode files hold several runs.
 * Texts and runs live in the arena that was given, the list until fl_streams_fini.
 * Limits: FL_STREAMS_MAX streams a job, FL_RUNS_MAX runs a stream (later ones count to the last). */
#pragma once
#include "rules/attribute/place.h"
#include "service/base/arena.h"
#include "service/base/status.h"

enum { FL_STREAMS_MAX = 4096, FL_RUNS_MAX = 256 };

struct fl_run {
    long steps; /* progress lines */
    long first_step;
    long last_step;  /* -1: none */
    long checkpoint; /* last step saved, -1: none */
    bool milestone;
    bool success;
    uint64_t success_order;
    uint64_t begin_order;
    long failures; /* findings of root or symptom role */
    long trouble;  /* lines since the last step with words that failures use, known to no rule */
};

struct fl_stream {
    const char *name;
    const char *path;
    long lines; /* a progress bar's redraws count one each */
    uint64_t bytes;
    long dropped;
    long kept;
    struct fl_place origin; /* what its path says */
    struct fl_run *runs;
    uint32_t runs_n; /* at least one */
    const char *fault; /* why it could not be read to its end, or NULL */
};

struct fl_streams {
    struct fl_arena *arena;
    struct fl_stream *list;
    uint32_t n;
    uint32_t size;
};

enum fl_status fl_streams_add(struct fl_streams *streams, const char *name, const char *path,
                              uint32_t *stream_r, struct fl_err *err) FL_MUST_USE;
void fl_streams_fini(struct fl_streams *streams);

/* The run in hand. */
struct fl_run *fl_stream_run(const struct fl_stream *stream);

/* Something started. The printers of a multi-node job start one after the other: only a start after
 * work was done, or after a failure, begins a new run. */
void fl_stream_started(struct fl_stream *stream, struct fl_arena *arena, uint64_t order);

/* Steps: -1 when the line does not say which. */
void fl_run_stepped(struct fl_run *run, long step);
void fl_run_saved(struct fl_run *run, long step);
void fl_run_succeeded(struct fl_run *run, uint64_t order);

/* The number of the last run that shows anything. */
uint32_t fl_stream_last_run(const struct fl_stream *stream);
