/* SPDX-License-Identifier: Apache-2.0 */
/* The condensed view of a job: of each stream the lines that look like trouble and its last lines,
 * few enough to be shown to a model, stored as an incident, or searched with.
 * Limits: FL_VIEW_FIRST first and FL_VIEW_LAST last lines of trouble and FL_VIEW_TAIL last lines a
 * stream, FL_VIEW_BYTES of each, FL_VIEW_LINES in all. Owns its text. */
#pragma once
#include "rules/diagnose.h"

enum {
    FL_VIEW_FIRST = 60,
    FL_VIEW_LAST = 60,
    FL_VIEW_TAIL = 15,
    FL_VIEW_BYTES = 800,
    FL_VIEW_LINES = 1200
};

struct fl_view_line {
    uint32_t stream;
    long line;
    uint64_t offset;
    long rank;
    bool trouble; /* it looks like it */
    struct fl_str text;
};

struct fl_view;

enum fl_status fl_view_new(struct fl_view **out, struct fl_err *err) FL_MUST_USE;
void fl_view_free(struct fl_view *view);

/* A stream begins. */
struct fl_view_stream;
enum fl_status fl_view_begin(struct fl_view_stream **out, struct fl_err *err) FL_MUST_USE;

/* A line of the stream that looks like trouble or is one of its last. Offering a line twice keeps one:
 * the one with more text, as trouble if either is. */
void fl_view_offer(struct fl_view_stream *stream, const struct fl_view_line *line);

/* The stream is over: its lines are settled, in order. The stream is gone. */
void fl_view_end(struct fl_view *view, struct fl_view_stream *stream);
void fl_view_drop(struct fl_view_stream *stream);

/* All lines, stream by stream, in order. */
const struct fl_view_line *fl_view_lines(const struct fl_view *view, size_t *n_r);
