/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of one printer (a stream's run, or one rank in it) over its steps, in constant
 * memory: a thinned sample of the progress lines, every 2^k-th of each kind once there are more than
 * FL_SERIES_ROWS, each with the line it came from; and, exactly, the range of all values and the
 * unbroken run of equal or of not finite ones at the end.
 * Limits: FL_SERIES_MAX printers; of more, the values are not kept. Threads: one. */
#pragma once
#include "rules/attribute/place.h"
#include "rules/signals/metrics.h"

enum { FL_SERIES_MAX = 128, FL_SERIES_PLACES = 256, FL_SERIES_ROWS = 1024, FL_ROW_TEXT = 240, FL_SERIES_KINDS = 8 };
/* Bytes of all rows together; beyond it a table is thinned at a quarter of its rows. */
enum { FL_SERIES_BYTES = 16 << 20 };

struct fl_row {
    long step; /* as printed, else the printer's last, else the epoch or the number of the line */
    long ordinal; /* among the lines that carry the same metrics */
    long number;  /* among all lines with a value */
    uint64_t order;
    struct fl_place place;
    struct fl_values values;
    size_t text_n;
    char text[FL_ROW_TEXT];
};

/* The last values of a metric, as far back as they are the same (all not finite counts as the
 * same). */
struct fl_tail {
    double value;
    long count;
    long from_step;
    uint8_t digits;
    struct fl_row *first; /* kept for zero and for not finite values only, else NULL */
};

/* Of all values of a metric, not of the sample only. */
struct fl_range {
    double least; /* of the finite ones; 0 when there are none */
    double most;
    long least_step; /* where it came first */
    long most_step;
    long not_finite;
};

struct fl_series {
    uint32_t stream;
    uint32_t run;
    long rank; /* -1: not said */
    struct fl_row *rows;
    size_t n;
    size_t size;
    long seen;   /* lines with a value */
    long said;   /* the last step that any of them told, -1: none did */
    long stride; /* of the sample, among the lines of each kind; a power of two */
    struct {
        uint32_t present;
        long count;
        long epoch_steps; /* of the epochs before, where steps begin anew in each */
        long step;        /* as printed last */
        double epoch;
        bool by_line; /* epochs do not count its lines */
    } kinds[FL_SERIES_KINDS]; /* lines by the metrics that they carry; the last takes the rest */
    struct fl_row last;
    long count[FL_METRICS_MAX];
    long last_step[FL_METRICS_MAX]; /* of the last line with the metric */
    struct fl_tail tail[FL_METRICS_MAX];
    struct fl_range range[FL_METRICS_MAX];
};

struct fl_series_set {
    const struct fl_metrics *metrics; /* NULL: nothing is read */
    int step;                         /* numbers of these metrics, -1: there are none */
    int epoch;
    struct fl_arena *arena;
    struct fl_series *list[FL_SERIES_MAX];
    uint8_t place[FL_SERIES_PLACES]; /* number in the list, from 1; 0: free */
    size_t n;
    size_t bytes; /* of rows */
};

/* Bits of the metrics that tell where a line stands, not how it goes: step and epoch. */
static inline uint32_t fl_series_axis(const struct fl_series_set *set)
{
    return (set->step >= 0 ? 1U << set->step : 0) | (set->epoch >= 0 ? 1U << set->epoch : 0);
}

/* metrics may be NULL. */
void fl_series_init(struct fl_series_set *set, const struct fl_metrics *metrics,
                    struct fl_arena *arena);

/* One progress line with its values. step: -1 when the pattern did not tell. place->node is not
 * kept. */
void fl_series_add(struct fl_series_set *set, uint32_t run, const struct fl_place *place,
                   uint64_t order, long step, const struct fl_values *values,
                   struct fl_str text);
void fl_series_fini(struct fl_series_set *set);
