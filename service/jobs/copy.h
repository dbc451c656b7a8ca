/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of files into streams of jobs.db, many files in one transaction. The offset in the file is the offset in
 * the stream: a copy that is broken off, by kill -9 too, goes on where the stream ends. What is copied already
 * is the mark by which a file is known again: when its bytes before the offset are others, the file was
 * rewritten, and is copied from its beginning into a stream of its own, "NAME (2)".
 * Threads: one. Limits: FL_COPY_*. */
#pragma once
#include "service/jobs/triage.h"

enum {
    FL_COPY_MARK = 256,      /* bytes compared */
    FL_COPY_TURN = 1 << 20,  /* bytes of a file in a turn, so that none starves the others */
    FL_COPY_BATCH = 4 << 20, /* bytes of a transaction */
    FL_COPY_PARTS = 1024,    /* files of a transaction */
    FL_COPY_STREAM = 200,
};

/* A file that is copied; the caller's memory, which stays in place between a turn and the flush. */
struct fl_copy {
    char job[FL_JOBS_NAME + 1];
    char stream[FL_COPY_STREAM + 1];
    char node[FL_JOBS_NAME + 1]; /* "": not known */
    int generation;              /* 0: jobs.db was not asked yet how far it is */
    int64_t offset;
    size_t mark_n;
    char mark[FL_COPY_MARK];
};

struct fl_copier;

/* All must outlive it; jobs is a connection to read by. */
enum fl_status fl_copier_new(struct fl_jobs *jobs, struct fl_writer *writer, struct fl_triage *triage,
                             struct fl_copier **out, struct fl_err *err) FL_MUST_USE;
void fl_copier_free(struct fl_copier *copier);

enum fl_copy_step {
    FL_COPY_NOTHING, /* there is no more at present */
    FL_COPY_END,     /* there is no more now than was taken */
    FL_COPY_MORE,    /* there may be more: flush, and take another turn */
    FL_COPY_OTHER,   /* the file holds other bytes than were copied */
};

/* Finds out how far it is, if that is not known. */
enum fl_status fl_copy_resume(struct fl_copier *copier, struct fl_copy *copy, struct fl_err *err) FL_MUST_USE;

/* At most FL_COPY_TURN bytes of fd into the batch. A file has one turn between two flushes. */
enum fl_status fl_copy_turn(struct fl_copier *copier, struct fl_copy *copy, int fd, enum fl_copy_step *step_r,
                            struct fl_err *err) FL_MUST_USE;
/* After FL_COPY_OTHER: from the beginning, into the next stream. */
void fl_copy_anew(struct fl_copy *copy);

bool fl_copier_full(const struct fl_copier *copier);
/* Writes the batch and waits. When it fails, each of its files is looked up anew. */
enum fl_status fl_copier_flush(struct fl_copier *copier, struct fl_err *err) FL_MUST_USE;
int64_t fl_copier_bytes(const struct fl_copier *copier); /* in all */
