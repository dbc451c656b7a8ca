/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/signals/column.h"

#include <math.h>
#include <stdlib.h>

void fl_column_of(const struct fl_series *s, int m, struct fl_column *c)
{
    c->n = 0;
    for (size_t i = 0; m >= 0 && i <= s->n; i++) {
        const struct fl_row *row = i < s->n ? &s->rows[i] : &s->last;
        bool again = i == s->n && s->n && s->rows[s->n - 1].order == row->order;
        if (!again && fl_values_has(&row->values, m) && isfinite(row->values.value[m])) {
            c->v[c->n] = row->values.value[m];
            c->row[c->n++] = row;
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double fl_median(const double *v, size_t n)
{
    double sorted[FL_SERIES_ROWS + 1];
    memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, by_value);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double fl_smallest(const double *v, size_t n)
{
    double least = v[0];
    for (size_t i = 1; i < n; i++) {
        least = v[i] < least ? v[i] : least;
    }
    return least;
}

double fl_spread(const double *v, size_t n)
{
    double away[FL_SERIES_ROWS + 1];
    double middle = fl_median(v, n);
    for (size_t i = 0; i < n; i++) {
        away[i] = fabs(v[i] - middle);
    }
    return middle != 0 ? fl_median(away, n) / fabs(middle) : 0;
}

double fl_jitter(const double *v, size_t n)
{
    double change[FL_SERIES_ROWS + 1];
    for (size_t i = 1; i < n; i++) {
        change[i - 1] = fabs(v[i] - v[i - 1]);
    }
    return n > 1 ? fl_median(change, n - 1) : 0;
}
