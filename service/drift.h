/* SPDX-License-Identifier: Apache-2.0 */
/* Files of features or metrics held against a reference: which columns drifted, and from which step
 * on a rerun parts from the run before. Borrows from both sides. */
#pragma once
#include "service/features.h"
#include "service/signals_report.h"

enum { FL_RERUNS_MAX = 8 };

struct fl_drift_column {
    const char *name;
    bool categorical;
    bool course;
    struct fl_drift d;
};

struct fl_drift_rerun {
    const char *name;
    struct fl_rerun r;
};

struct fl_drift_report {
    struct fl_drift_column column[FL_FEATURES_MAX]; /* the worst first */
    size_t n;
    size_t found_n; /* columns that drifted: the first ones */
    struct fl_drift_rerun rerun[FL_RERUNS_MAX];
    size_t reruns_n;
    const char *gone[FL_FEATURES_MAX]; /* the reference alone has them */
    size_t gone_n;
    const char *added[FL_FEATURES_MAX];
    size_t added_n;
    size_t passed; /* in both, but no numbers and no few categories, or steps, times, ids */
    bool full;
};

/* FL_NOTFOUND, with what to do, when nothing is in both. */
enum fl_status fl_drift_compare(const struct fl_features *reference, const struct fl_features *now,
                                const struct fl_metrics *metrics, struct fl_drift_report *out,
                                struct fl_err *err) FL_MUST_USE;

/* How grave the worst is, -1 when nothing was found. */
int fl_drift_worst(const struct fl_drift_report *report);

/* Appends it, in any of the formats; JSON is of schema faultline.drift/1. */
enum fl_status fl_drift_show(const struct fl_drift_report *report,
                             const struct fl_signals_options *options, struct fl_buf *out,
                             struct fl_err *err) FL_MUST_USE;
