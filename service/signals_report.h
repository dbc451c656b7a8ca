/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of a job for a reader: text with sparklines, Markdown, one HTML page with plots; or for
 * a program, JSON of schema faultline.signals/1. Appends to out. */
#pragma once
#include "service/signals.h"

enum fl_signals_format {
    FL_SIGNALS_TEXT,
    FL_SIGNALS_JSON,
    FL_SIGNALS_MARKDOWN,
    FL_SIGNALS_HTML
};

struct fl_signals_options {
    enum fl_signals_format format;
    bool ascii;  /* no other characters in sparklines */
    bool colour; /* text */
    bool all;    /* text and Markdown: every printer, however many */
    int width;   /* columns of a sparkline, at least 1 */
};

enum fl_status fl_signals_report(const struct fl_signals *signals,
                                 const struct fl_signals_options *options, struct fl_buf *out,
                                 struct fl_err *err) FL_MUST_USE;

/* Its parts. */
void fl_signals_json(const struct fl_signals *signals, struct fl_buf *out);
void fl_signals_html(const struct fl_signals *signals, struct fl_buf *out);
