/* SPDX-License-Identifier: Apache-2.0 */
/* What the metrics of a job did, ready to be shown: each metric of each printer (stream, run, rank) is
 * a chart with its sampled points; printers whose points are the same share one. With them goes what
 * the detectors found.
 * Borrows from the job, which must outlive it; owns the rest, until fl_signals_free. */
#pragma once
#include "rules/signals/detect.h"
#include "service/job.h"

struct fl_point {
    long step;
    double value; /* may be not finite */
};

struct fl_chart {
    const char *metric;
    const struct fl_series *const *printers; /* at least one; those that say the same */
    size_t printers_n;
    const struct fl_point *points; /* in the order of their lines; at least one */
    size_t n;
    long count; /* values in the log; more than n when the sample is thinned */
    struct fl_range range;
    bool log_scale; /* its finite values are above 0 and far apart */
};

struct fl_signals {
    struct fl_arena arena;
    struct fl_diagnosis *diagnosis;
    struct fl_chart *charts; /* those of a metric beside each other */
    size_t charts_n;
    struct fl_detection found[FL_DETECTIONS_MAX];
    size_t found_n;
};

/* names: metrics to take, parted by commas, NULL for all; FL_USAGE when there is no such metric. The
 * job must have been read to its end. Free it in either case. */
enum fl_status fl_signals_of(struct fl_job *job, const char *names, struct fl_signals *out,
                             struct fl_err *err) FL_MUST_USE;
void fl_signals_free(struct fl_signals *signals);

/* Was it found in this chart? */
bool fl_chart_has(const struct fl_chart *chart, const struct fl_detection *found);

/* The first of its charts with another metric, or the end. */
size_t fl_signals_next_metric(const struct fl_signals *signals, size_t chart);

/* Where `value` stands between the least (0) and the most (1) of lo..hi; 0.5 when they are one.
 * Finite values only. */
double fl_chart_height(bool log_scale, double lo, double hi, double value);

/* Who printed it, as far as that tells it from others: "rank0.log, run 2, ranks 0-7", or nothing.
 * Text of logs is safe for a terminal. */
void fl_signals_label(const struct fl_signals *signals, const struct fl_chart *chart,
                      struct fl_buf *out);
/* A number for a reader: "65536", "2.314", "1.2e-05", "nan". */
void fl_signals_number(struct fl_buf *out, double value);
/* What was read and how to make metrics known, when there are none. */
void fl_signals_none(const struct fl_signals *signals, struct fl_buf *out);
/* How grave the worst is, -1 when nothing was found. */
int fl_signals_worst(const struct fl_signals *signals);
/* Name of the file that a row is of, as the job calls it. */
const char *fl_signals_file(const struct fl_signals *signals, const struct fl_row *row);
