/* SPDX-License-Identifier: Apache-2.0 */
#include "service/pace.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_GAPS = 8, MEDIANS = 10, LONGESTS = 2 };

static const int64_t least_us = 60 * 1000000LL;

void fl_pace_note(struct fl_pace *p, long count, int64_t now_us)
{
    if (p->last_us == 0) {
        p->last_us = now_us;
    } else if (count != p->count) {
        int64_t gap = now_us - p->last_us;
        p->gap_us[p->gaps++ % FL_PACE_GAPS] = gap;
        p->longest_us = gap > p->longest_us ? gap : p->longest_us;
        p->last_us = now_us;
    }
    p->count = count;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

int64_t fl_pace_median(const struct fl_pace *p)
{
    int64_t sorted[FL_PACE_GAPS];
    size_t n = p->gaps < FL_PACE_GAPS ? (size_t)p->gaps : FL_PACE_GAPS;
    memcpy(sorted, p->gap_us, sizeof sorted);
    qsort(sorted, n, sizeof *sorted, by_size);
    return n ? sorted[n / 2] : 0;
}

int64_t fl_pace_patience(const struct fl_pace *p)
{
    int64_t patience = least_us;
    int64_t by_median = MEDIANS * fl_pace_median(p);
    int64_t by_longest = LONGESTS * p->longest_us;
    if (p->gaps < LEAST_GAPS) {
        return INT64_MAX;
    }
    patience = by_median > patience ? by_median : patience;
    return by_longest > patience ? by_longest : patience;
}
