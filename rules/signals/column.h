/* SPDX-License-Identifier: Apache-2.0 */
/* One metric of one series as a list of numbers, and statistics over such lists that a few odd
 * values do not move. Lists hold FL_SERIES_ROWS + 1 values at most. Stateless. */
#pragma once
#include "rules/signals/series.h"

/* Finite values only, in the order of their lines. */
struct fl_column {
    double v[FL_SERIES_ROWS + 1];
    const struct fl_row *row[FL_SERIES_ROWS + 1]; /* of the series */
    size_t n;
};

/* The sample of a metric (-1: none) with the last line, if it has the metric. */
void fl_column_of(const struct fl_series *s, int m, struct fl_column *c);

/* Of at least one value. */
double fl_median(const double *v, size_t n);
double fl_smallest(const double *v, size_t n);
/* Median distance from the median, as a share of it. */
double fl_spread(const double *v, size_t n);
/* Median change from one value to the next; 0 when there is one only. */
double fl_jitter(const double *v, size_t n);
