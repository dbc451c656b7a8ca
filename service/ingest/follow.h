/* SPDX-License-Identifier: Apache-2.0 */
/* Many files followed at once, like `tail -F`: each is read as it grows, through rotation and
 * truncation, in turns of at most one block, so that none starves the others. Whoever takes the lines
 * may be slow: what is not read yet waits in the files, and nothing is dropped.
 * Threads: one. */
#pragma once
#include "service/ingest/lines.h"
#include "service/ingest/source.h"

enum { FL_FOLLOWED_MAX = 1024 };

struct fl_followed {
    struct fl_source *source; /* opened with FL_SOURCE_FOLLOW */
    struct fl_lines *lines;
    bool over;           /* a pipe or packed file that has ended, or a fault */
    struct fl_err fault; /* of reading */
};

struct fl_follow {
    bool (*stop)(void *ctx); /* asked at least every 250 ms */
    /* After each turn over the files; rested: they had nothing new. May be NULL. */
    void (*turn)(void *ctx, bool rested);
    void *ctx;
};

/* n is FL_FOLLOWED_MAX at most. Until stop says so or all files are over. What was written before stop said so is still read; all
 * lines are ended. The status is that of the lines. */
enum fl_status fl_follow_files(struct fl_followed *files, size_t n, const struct fl_follow *follow,
                               struct fl_err *err) FL_MUST_USE;
