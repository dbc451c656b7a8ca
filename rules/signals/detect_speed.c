/* SPDX-License-Identifier: Apache-2.0 */
/* Time: of one printer over its steps, and of ranks beside each other. */
#include "rules/signals/detecting.h"

/* Steady, then slower for good by a third or more. One printer's steps wait for all ranks, so it is
 * not told which of them is slow. */
static void slower(struct fl_detecting *w, const struct fl_series *s, const char *name,
                   bool more_is_slower)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, name);
    fl_column_of(s, m, &c);
    size_t warm = c.n / 20;
    size_t last = c.n / 10;
    if (c.n < 40) {
        return;
    }
    double early = fl_median(c.v + warm, c.n / 4);
    double end = fl_median(c.v + c.n - last, last);
    bool steady = fl_spread(c.v + warm, c.n / 4) < 0.1 && fl_spread(c.v + c.n - last, last) < 0.15;
    double ratio = more_is_slower ? early / end : end / early;
    if (!(early > 0) || !(end > 0) || !steady || ratio > 0.67) {
        return;
    }
    double middle = (early + end) / 2;
    size_t from = c.n;
    size_t away = 0; /* the rows that are slow only at the very end prove nothing */
    while (from > 0 && (more_is_slower ? c.v[from - 1] > middle : c.v[from - 1] < middle)) {
        from--;
        away++;
    }
    if (away < last || from == 0) {
        return;
    }
    struct fl_detection *d = fl_detecting_add(w, s, c.row[from], m, "straggler");
    if (d) {
        d->rank = -1;
    }
    fl_detecting_blame(d, "straggler", 0.42, "steps are %.1f times as slow from step %ld on",
                       1 / ratio, c.row[from]->step);
}

/* (min, max) over the ranks, as Megatron's timers print them. */
static void ranks_apart(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column low;
    struct fl_column high;
    int m = fl_detecting_metric(w, "rank_time_max");
    fl_column_of(s, fl_detecting_metric(w, "rank_time_min"), &low);
    fl_column_of(s, m, &high);
    if (low.n != high.n || low.n < 12) {
        return;
    }
    double ratio[FL_SERIES_ROWS + 1];
    for (size_t i = 0; i < low.n; i++) {
        ratio[i] = low.v[i] > 0 ? high.v[i] / low.v[i] : 1;
    }
    size_t last = low.n / 10 < 4 ? 4 : low.n / 10;
    double end = fl_median(ratio + low.n - last, last);
    double early = fl_median(ratio, low.n / 4);
    if (end < 1.3 || end < 1.2 * early) {
        return;
    }
    size_t from = low.n - 1;
    while (from > 0 && ratio[from - 1] > (early + end) / 2) {
        from--;
    }
    struct fl_detection *d = fl_detecting_add(w, s, high.row[from], m, "straggler");
    fl_detecting_blame(d, "straggler", 0.45,
                       "one rank takes %.1f times as long as the fastest, from step %ld on", end,
                       high.row[from]->step);
    struct fl_column steps;
    fl_column_of(s, fl_detecting_metric(w, "step_time"), &steps);
    for (size_t i = 0; d && i < steps.n && !d->effect; i++) {
        d->effect = steps.row[i]->step >= d->from_step ? steps.row[i] : NULL;
    }
}

/* Ranks that print their own time: one is slower than the middle of all by a third, and the next
 * one is not. */
static void slow_rank(struct fl_detecting *w, const char *name)
{
    int m = fl_detecting_metric(w, name);
    double time[FL_SERIES_MAX];
    const struct fl_series *of[FL_SERIES_MAX];
    struct fl_column c;
    size_t n = 0;
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *s = w->set->list[i];
        fl_column_of(s, m, &c);
        if (s->rank >= 0 && c.n >= 10) {
            time[n] = fl_median(c.v + c.n - c.n / 5, c.n / 5);
            of[n++] = s;
        }
    }
    if (n < 3) {
        return;
    }
    size_t slow = 0;
    for (size_t i = 1; i < n; i++) {
        slow = time[i] > time[slow] ? i : slow;
    }
    double middle = fl_median(time, n);
    for (size_t i = 0; i < n; i++) {
        if (i != slow && time[i] > 1.15 * middle) {
            return;
        }
    }
    if (middle <= 0 || time[slow] <= 1.33 * middle) {
        return;
    }
    fl_column_of(of[slow], m, &c);
    size_t from = c.n - 1;
    while (from > 0 && c.v[from - 1] > (middle + time[slow]) / 2) {
        from--;
    }
    struct fl_detection *d = fl_detecting_add(w, of[slow], c.row[from], m, "straggler");
    fl_detecting_blame(d, "straggler", 0.5,
                       "rank %ld takes %.1f times as long as the others, from step %ld on",
                       of[slow]->rank, time[slow] / middle, c.row[from]->step);
}

/* Where one rank is known to be slow, all the others are slower for it. */
void fl_detect_speed(struct fl_detecting *w)
{
    slow_rank(w, "compute_time");
    if (w->n == 0) {
        slow_rank(w, "step_time");
    }
    bool named = w->n > 0;
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *s = w->set->list[i];
        ranks_apart(w, s);
        if (!named) {
            slower(w, s, "throughput", false);
            slower(w, s, "step_time", true);
        }
    }
}
