/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors that a file declares (format faultline.detectors/1, rules/README.md): a statistic over a
 * window that slides along a metric's values, a bound, and how many values in a row must be beyond
 * it. What they find stands beside what the compiled detectors find.
 * Limits: FL_DECLARED_MAX detectors. Threads: read-only after fl_declared_settle. */
#pragma once
#include "rules/base/taxonomy.h"
#include "rules/signals/metrics.h"

enum { FL_DECLARED_MAX = 32, FL_DECLARED_WINDOW_MAX = 1000, FL_DECLARED_TEXT = 160 };

enum fl_statistic {
    FL_STATISTIC_MEAN,
    FL_STATISTIC_MIN,
    FL_STATISTIC_MAX,
    FL_STATISTIC_STD,
    FL_STATISTIC_SLOPE,            /* of a straight line through the window's values, a step */
    FL_STATISTIC_RATIO_TO_FIRST,   /* mean of the window to mean of the first window */
    FL_STATISTIC_RATIO_TO_MEDIAN,  /* mean of the window to median of all values before it */
    FL_STATISTIC_COUNT_NOT_FINITE,
    FL_STATISTICS_N,
};

struct fl_declared_one {
    const char *id;
    const char *file;
    const char *metric_name;
    int metric; /* from settle on */
    enum fl_statistic statistic;
    bool below;
    double value;
    long window;   /* values */
    long duration; /* values */
    const char *kind;
    enum fl_severity severity;
    const char *cause; /* slug, or NULL */
    double confidence; /* how surely the cause follows */
    const char *text;  /* {value} and {step} stand for what they were when it began */
};

struct fl_declared {
    struct fl_declared_one list[FL_DECLARED_MAX];
    size_t n;
};

/* Hears of each fault: "FILE: detector ID: WHAT". NULL: nobody does. */
typedef void (*fl_declared_complain)(void *ctx, const char *message);

bool fl_declared_is(const fl_json *root);

/* Adds the detectors of a file to *declared, which is made when it is NULL and owned by the caller
 * (fl_declared_free). A bad one is left out, complained of and counted in *bad_r. Texts are copied into
 * the arena; the taxonomy must outlive them. FL_SYNTAX when there is no list of detectors. */
enum fl_status fl_declared_extend(struct fl_declared **declared, const fl_json *root,
                                  const char *path, const struct fl_taxonomy *taxonomy,
                                  struct fl_arena *arena, fl_declared_complain complain, void *ctx,
                                  size_t *bad_r, struct fl_err *err) FL_MUST_USE;

/* Ends loading: those whose metric no file names are left out, as above. declared and metrics may be
 * NULL. */
void fl_declared_settle(struct fl_declared *declared, const struct fl_metrics *metrics,
                        fl_declared_complain complain, void *ctx, size_t *bad_r);
void fl_declared_free(struct fl_declared *declared);
