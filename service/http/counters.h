/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of the service, in the text format of Prometheus (0.0.4). Labels have few values: never a job,
 * a node or a text of a log.
 * Threads: any. */
#pragma once
#include "service/base/buf.h"

#include <stdint.h>

struct fl_counters;

enum fl_status fl_counters_new(struct fl_counters **out, struct fl_err *err) FL_MUST_USE;
void fl_counters_free(struct fl_counters *counters);

/* Adds to a counter with at most two labels; names and keys are literals, values are copied. Over
 * FL_COUNTERS_ROWS different ones, further ones are not counted. */
enum { FL_COUNTERS_ROWS = 512, FL_COUNTERS_VALUE = 48 };
struct fl_counter_label {
    const char *key;
    const char *value;
};
void fl_counters_add(struct fl_counters *counters, const char *name, const struct fl_counter_label *labels,
                    size_t labels_n, double by);

/* An observation of a histogram of seconds. */
void fl_counters_observe(struct fl_counters *counters, const char *name,
                        const struct fl_counter_label *label, double seconds);

/* What was counted, by name. Gauges are the caller's: fl_counters_gauge. */
void fl_counters_write(struct fl_counters *counters, struct fl_buf *out);
void fl_counters_gauge(struct fl_buf *out, const char *name, const char *help, double value);
