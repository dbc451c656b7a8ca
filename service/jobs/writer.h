/* SPDX-License-Identifier: Apache-2.0 */
/* The one who writes to jobs.db while the service runs: whatever waits is written in one transaction
 * (so a thousand small pushes cost one sync), and each is told when its bytes are on disk. One that
 * fails by itself (a gap, a bad name) takes nothing of the others with it.
 * On a full disk the reserve (reserve.h) is given up, writes that yield are refused with FL_FULL, and the
 * others still made, until there is room again.
 * Threads: any may submit; run and done are called in the writer's own. */
#pragma once
#include "service/jobs/jobs.h"

enum { FL_WRITER_WAITING = 24 << 20 /* bytes */, FL_WRITER_BATCH = 8 << 20 };

/* Part of what is written; the owner's until submitted, and again from done on. */
struct fl_write {
    enum fl_status (*run)(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err);
    void (*done)(struct fl_write *write, enum fl_status status, const struct fl_err *err);
    size_t bytes; /* about what it holds in memory */
    bool yields;  /* lines: whoever sent them still has them */
    struct fl_write *next;
    enum fl_status status;
    struct fl_err err;
};

/* What a write is the part `member` of. */
#define FL_WRITE_OF(write, type, member)                                                           \
    ((type *)(void *)((char *)(write) - offsetof(type, member)))

struct fl_writer;

/* jobs must outlive it, and be used by nobody else meanwhile. */
enum fl_status fl_writer_start(struct fl_jobs *jobs, struct fl_writer **out,
                               struct fl_err *err) FL_MUST_USE;
/* All that was submitted is written first; what comes later is refused with FL_UNAVAILABLE. */
void fl_writer_stop(struct fl_writer *writer);
void fl_writer_free(struct fl_writer *writer); /* stopped, and nobody will submit */

/* FL_UNAVAILABLE: too much waits, try again soon; done is not called then. */
enum fl_status fl_writer_submit(struct fl_writer *writer, struct fl_write *write,
                                struct fl_err *err) FL_MUST_USE;

/* Submits, however much waits, and waits for it; done is not needed. */
enum fl_status fl_writer_do(struct fl_writer *writer, struct fl_write *write,
                            struct fl_err *err) FL_MUST_USE;

struct fl_writer_state {
    size_t waiting; /* bytes */
    long writes;
    long transactions;
    long failed;
    enum fl_status fault; /* of the last transaction, or FL_FULL; FL_OK: all is written */
    struct fl_err why;
};
void fl_writer_look(struct fl_writer *writer, struct fl_writer_state *out);
