/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the service, in the text format of Prometheus (0.0.4). Labels have few values: never a job,
 * a node or a text of a log.
 * Threads: any. */
#pragma once
#include "service/base/buf.h"

#include <stdint.h>

struct fl_metrics;

enum fl_status fl_metrics_new(struct fl_metrics **out, struct fl_err *err) FL_MUST_USE;
void fl_metrics_free(struct fl_metrics *metrics);

/* Adds to a counter with at most two labels; names and keys are literals, values are copied. Over
 * FL_METRICS_ROWS different ones, further ones are not counted. */
enum { FL_METRICS_ROWS = 512, FL_METRICS_VALUE = 48 };
struct fl_metric_label {
    const char *key;
    const char *value;
};
void fl_metrics_add(struct fl_metrics *metrics, const char *name, const struct fl_metric_label *labels,
                    size_t labels_n, double by);

/* An observation of a histogram of seconds. */
void fl_metrics_observe(struct fl_metrics *metrics, const char *name,
                        const struct fl_metric_label *label, double seconds);

/* What was counted, by name. Gauges are the caller's: fl_metrics_gauge. */
void fl_metrics_write(struct fl_metrics *metrics, struct fl_buf *out);
void fl_metrics_gauge(struct fl_buf *out, const char *name, const char *help, double value);
