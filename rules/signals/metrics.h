/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in a line of progress: "lm loss: 5.46E+00", "'grad_norm': nan", "lr 4e-2", "tps: 6,979".
 * Files list, for each metric, the names under which programs print it (rules/signals/metrics.json
 * and the operator's own, format faultline.metrics/1), so a new dialect needs no code. Names compare without
 * letter case, with any of blank - _ / . between their words; a name of one letter is taken as it
 * stands.
 * Threads: read-only after loading. */
#pragma once
#include "rules/signals/number.h"
#include "service/base/arena.h"
#include "service/base/json.h"
#include "service/base/status.h"

#include <stdint.h>

enum { FL_METRICS_MAX = 25, FL_METRIC_NAME = 40 };

struct fl_metrics;

bool fl_metrics_is(const fl_json *root);

/* Adds the metrics and names of a file to *metrics, which is made when it is NULL and owned by the
 * caller (fl_metrics_free). A name that is there already keeps its metric. FL_SYNTAX names the file
 * and the entry at fault. */
enum fl_status fl_metrics_extend(struct fl_metrics **metrics, const fl_json *root, const char *path,
                                 struct fl_err *err) FL_MUST_USE;
void fl_metrics_free(struct fl_metrics *metrics);

/* The number of the metric with this name of its own, or -1. metrics may be NULL. */
int fl_metrics_find(const struct fl_metrics *metrics, struct fl_str name);
const char *fl_metrics_name(const struct fl_metrics *metrics, int metric);

/* The metric that a line "NAME: 1" would tell, or -1. metrics may be NULL. */
int fl_metrics_meant(const struct fl_metrics *metrics, struct fl_str name);

/* What one line says. A metric printed twice keeps its first value. */
struct fl_values {
    uint32_t present; /* bit per metric */
    double value[FL_METRICS_MAX];
    uint8_t digits[FL_METRICS_MAX]; /* how many the value was printed with, leading zeros out */
    bool rounds[FL_METRICS_MAX];    /* a zero that may be a small number cut at few decimals */
};

/* A place in a line. */
struct fl_spot {
    uint16_t at;
    uint8_t n;
    int8_t metric;
    struct fl_number_form form; /* of a value; other spots are read */
};

/* Where a line prints values, each metric once. */
struct fl_spots {
    uint8_t n;
    bool holds; /* lines that differ from this one in digits only print the same metrics there */
    struct fl_spot item[FL_METRICS_MAX];
};

static inline struct fl_spot fl_spot_at(struct fl_str text, struct fl_str part, int metric)
{
    size_t at = (size_t)(part.p - text.p);
    bool far = part.p < text.p || at > UINT16_MAX || part.n > UINT8_MAX || at + part.n > text.n;
    return (struct fl_spot){.at = far ? 0 : (uint16_t)at, .n = far ? 0 : (uint8_t)part.n,
                            .metric = (int8_t)metric};
}

static inline struct fl_str fl_spot_text(struct fl_spot spot, struct fl_str text)
{
    return (struct fl_str){text.p + spot.at, spot.n};
}

/* Adds the spot of a part of the text, unless it is empty, of no metric, longer than numbers are, or its
 * metric has one. */
void fl_spots_add(struct fl_spots *spots, struct fl_str text, struct fl_str part, int metric);

/* Adds what the text says; out->n and out->holds are set already. */
void fl_metrics_spots(const struct fl_metrics *metrics, struct fl_str text, struct fl_spots *out);

/* The values at the spots of a text. */
void fl_spots_read(const struct fl_spots *spots, struct fl_str text, struct fl_values *out);

/* Both at once; out may hold values already, which stay. */
void fl_metrics_read(const struct fl_metrics *metrics, struct fl_str text, struct fl_values *out);

/* Adds one value, unless the metric has one. */
void fl_values_put(struct fl_values *values, int metric, struct fl_str number);

static inline bool fl_values_has(const struct fl_values *values, int metric)
{
    return metric >= 0 && (values->present >> metric & 1);
}
