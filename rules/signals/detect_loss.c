/* SPDX-License-Identifier: Apache-2.0 */
/* How well it learns: loss, error rate, accuracy. */
#include "rules/signals/detecting.h"

/* From its lowest point on the loss has grown by half of that or more, far beyond its usual change,
 * and it ends there. Where a reward is earned, the loss does not say how well it goes: that of a
 * policy begins near zero and grows with its distance from the reference. */
static void divergence(struct fl_detecting *w, const struct fl_series *s, const char *name,
                       double weight)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, name);
    int reward = fl_detecting_metric(w, "reward");
    fl_column_of(s, m, &c);
    if (c.n < 6 || (reward >= 0 && s->count[reward] > 0)) {
        return;
    }
    size_t window = c.n / 20 ? c.n / 20 : 1;
    size_t last = window < 3 ? 3 - (c.n < 12) : window;
    double end = fl_smallest(c.v + c.n - last, last);
    double low = 0;
    size_t low_at = 0;
    for (size_t i = 0; i + window <= c.n; i++) {
        double here = fl_median(c.v + i, window);
        if (i == 0 || here < low) {
            low = here;
            low_at = i;
        }
    }
    double start = fl_median(c.v, window);
    double rise = end - low;
    bool far = rise > 0.5 * low && rise > 0.05 * (start - low) &&
               (c.n < 20 || rise > 6 * fl_jitter(c.v, c.n));
    if (low < 0 || !far) {
        return;
    }
    double step = 6 * fl_jitter(c.v, low_at + window);
    double bound = low + (step > 0.5 * low ? step : 0.5 * low);
    size_t from = c.n - 1;
    while (from > low_at && c.v[from - 1] > (bound < end ? bound : low + 0.5 * rise)) {
        from--;
    }
    struct fl_detection *d = fl_detecting_add(w, s, c.row[from], m, "divergence");
    fl_detecting_blame(d, "loss_divergence", weight, "the %s grew from %.4g to %.4g after step %ld",
                       strcmp(name, "loss") == 0 ? "loss" : "error rate", low, end,
                       c.row[from]->step);
}

/* An evaluation that was good and ends at nothing. */
static void accuracy_lost(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "accuracy");
    fl_column_of(s, m, &c);
    double best = 0;
    for (size_t i = 0; i < c.n; i++) {
        best = c.v[i] > best ? c.v[i] : best;
    }
    if (c.n < 4 || best < 0.05) {
        return;
    }
    size_t from = c.n;
    while (from > 0 && c.v[from - 1] < 0.02 * best) {
        from--;
    }
    if (c.n - from >= 2 && from > 0) {
        struct fl_detection *d = fl_detecting_add(w, s, c.row[from], m, "divergence");
        fl_detecting_blame(d, "loss_divergence", 0.35,
                           "the accuracy fell from %.3g to %.3g at step %ld", best, c.v[c.n - 1],
                           c.row[from]->step);
    }
}

void fl_detect_plateau(struct fl_detecting *w, const struct fl_series *s, long from_step)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "loss");
    fl_column_of(s, m, &c);
    size_t from = 0;
    while (from < c.n && c.row[from]->step < from_step) {
        from++;
    }
    if (c.n - from >= 3 && fl_spread(c.v + from, c.n - from) < 0.05) {
        struct fl_detection *d = fl_detecting_add(w, s, c.row[from], m, "plateau");
        fl_detecting_blame(d, NULL, 0, "the loss stays near %.4g from step %ld on",
                           fl_median(c.v + from, c.n - from), c.row[from]->step);
        if (d) {
            d->severity = FL_SEVERITY_MEDIUM;
        }
    }
}

void fl_detect_loss(struct fl_detecting *w, const struct fl_series *s)
{
    divergence(w, s, "loss", 0.5);
    divergence(w, s, "error_rate", 0.45);
    accuracy_lost(w, s);
}
