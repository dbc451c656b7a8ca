/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in, batches of lines out; how the bytes were cut into chunks never shows.
 * A line ends at \n or, with FL_LINES_BARS, also at \r (a progress bar redraws itself so; \r\n is one end);
 * ANSI escape sequences are then removed as well. Without the flag lines are the bytes between \n,
 * untouched.
 * Limits: a line's text is its first FL_LINE_BYTES bytes; the rest is dropped (with the flag) or
 * delivered as pieces marked FL_LINE_REST.
 * Owns: the buffers. Slices of a batch last until the next call. Threads: one. */
#pragma once
#include "service/base/status.h"
#include "service/base/str.h"

#include <stdint.h>

enum { FL_LINE_BYTES = 64 * 1024, FL_LINES_BLOCK = 256 * 1024 };
enum { FL_LINES_BARS = 1 };
enum { FL_LINE_CUT = 1, FL_LINE_REST = 2, FL_LINE_OPEN = 4 /* ended by the end of data */ };

struct fl_line_at {
    uint64_t offset; /* of its first byte in the stream */
    long number;     /* from 1; segments of one \n line share it */
    unsigned flags;
};

struct fl_batch {
    struct fl_str block; /* holds every text, in order */
    const struct fl_str *texts;
    const struct fl_line_at *at;
    size_t n;
};

typedef enum fl_status (*fl_lines_sink)(void *ctx, const struct fl_batch *batch,
                                        struct fl_err *err);

struct fl_lines;

enum fl_status fl_lines_new(unsigned flags, fl_lines_sink sink, void *ctx, struct fl_lines **out,
                            struct fl_err *err) FL_MUST_USE;
void fl_lines_free(struct fl_lines *lines);

/* Where the next bytes may be put (at least one), and how many were. A full buffer goes to the
 * sink. */
char *fl_lines_room(struct fl_lines *lines, size_t *n_r);
enum fl_status fl_lines_filled(struct fl_lines *lines, size_t n, struct fl_err *err) FL_MUST_USE;

/* Goes on where `from` (NULL: nobody) stopped, which has nothing left then; what it delivered lasts. */
void fl_lines_take_over(struct fl_lines *lines, struct fl_lines *from);

/* Copies bytes in. */
enum fl_status fl_lines_push(struct fl_lines *lines, struct fl_str bytes, struct fl_err *err)
    FL_MUST_USE;

/* Delivers all complete lines (a follower calls it when the file rests). */
enum fl_status fl_lines_flush(struct fl_lines *lines, struct fl_err *err) FL_MUST_USE;

/* Delivers all, also a last line without an end. */
enum fl_status fl_lines_end(struct fl_lines *lines, struct fl_err *err) FL_MUST_USE;

/* After fl_lines_end: a truncated or rotated file begins anew at offset 0 and line 1. */
void fl_lines_restart(struct fl_lines *lines);

long fl_lines_count(const struct fl_lines *lines); /* \n lines delivered */
uint64_t fl_lines_bytes(const struct fl_lines *lines);
