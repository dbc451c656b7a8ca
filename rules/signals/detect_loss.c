/* SPDX-License-Identifier: Apache-2.0 */
/* How well it learns: loss, error rate, accuracy. */
#include "rules/signals/detecting.h"

#include <math.h>

/* The loss turned while the rate was still on its way up: to twice what it began with by then, and
 * not yet at its peak. After a warm-up, or without one, a divergence says nothing of the rate. */
static void rate_too_high(struct fl_detecting *w, const struct fl_series *s, long turn)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "learning_rate");
    fl_column_of(s, m, &c);
    size_t first = 0;
    while (first < c.n && c.v[first] <= 0) {
        first++;
    }
    size_t at = first;
    while (at + 1 < c.n && c.row[at + 1]->step <= turn && c.v[at + 1] >= c.v[at]) {
        at++;
    }
    if (at + 1 >= c.n || c.row[at + 1]->step <= turn || c.v[at] < 2 * c.v[first]) {
        return;
    }
    size_t peak = at;
    while (peak + 1 < c.n && c.v[peak + 1] >= c.v[peak]) {
        peak++;
    }
    if (c.v[peak] < 1.05 * c.v[at]) {
        return;
    }
    while (peak > at && c.v[peak - 1] == c.v[peak]) {
        peak--;
    }
    struct fl_detection *d = fl_detecting_add(w, s, c.row[first], m, "explosion");
    fl_detecting_blame(d, NULL, 0,
                       "the loss turned at step %ld, when the learning rate had reached %.3g and was "
                       "still rising", turn, c.v[at]);
    if (d) {
        d->to_step = c.row[peak]->step;
        d->row = c.row[at];
        d->severity = FL_SEVERITY_MEDIUM;
        d->confidence = 0.7;
    }
}

/* The last three quarters of what comes after a divergence stand still: from one half of them to the
 * other the loss moves by less than a fiftieth of its climb. Nothing is learnt any more; a loss that
 * still climbs, or comes down again, is another matter. */
static void stuck(struct fl_detecting *w, const struct fl_series *s, const struct fl_column *c,
                  size_t from, double climb)
{
    size_t still = from + (c->n - from) / 4;
    size_t half = (c->n - still) / 2;
    if (half < 10) {
        return;
    }
    double drift = fl_median(c->v + still + half, half) - fl_median(c->v + still, half);
    if (fabs(drift) < climb / 50) {
        fl_detect_plateau(w, s, c->row[still]->step);
    }
}

/* A file that several runs were written to, where no line said so: the step is back at the first one
 * and so is the loss, within a fifth. (Steps that begin anew with an epoch leave the loss alone.) The last
 * run stays. */
static void keep_last_run(struct fl_column *c)
{
    size_t begin = 0;
    for (size_t i = 1; i < c->n; i++) {
        long step = c->row[i]->step;
        bool back = step <= c->row[0]->step && step < c->row[i - 1]->step;
        begin = back && c->v[i] >= 0.8 * c->v[0] ? i : begin;
    }
    c->n -= begin;
    memmove(c->v, c->v + begin, c->n * sizeof *c->v);
    memmove(c->row, c->row + begin, c->n * sizeof *c->row);
}

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
    bool more_is_worse = strcmp(name, "accuracy") != 0 || fl_detecting_is_error_rate(&c);
    keep_last_run(&c);
    if (c.n < 6 || !more_is_worse || (reward >= 0 && s->count[reward] > 0)) {
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
    char from_text[FL_NUMBER_BRIEF];
    char to_text[FL_NUMBER_BRIEF];
    fl_detecting_blame(d, weight > 0 ? "loss_divergence" : NULL, weight,
                       "the %s grew from %s to %s after step %ld",
                       strcmp(name, "loss") == 0 ? "loss" : "error rate",
                       fl_number_brief(low, from_text), fl_number_brief(end, to_text),
                       c.row[from]->step);
    if (strcmp(name, "loss") == 0) {
        size_t turn = from; /* the lowest point of a flat stretch may be long before it */
        while (turn > low_at && c.v[turn - 1] > low + step / 2) {
            turn--;
        }
        rate_too_high(w, s, c.row[turn]->step);
        stuck(w, s, &c, from, rise);
    }
}

/* The very last value is a million times all before: nothing can be said of what would have come, but
 * a job that ends so ended of it. */
static void leap(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "loss");
    fl_column_of(s, m, &c);
    double most = 0;
    for (size_t i = 0; i + 1 < c.n; i++) {
        most = fmax(most, fabs(c.v[i]));
    }
    if (c.n >= 5 && most > 0 && fabs(c.v[c.n - 1]) > 1e6 * most) {
        struct fl_detection *d = fl_detecting_add(w, s, c.row[c.n - 1], m, "explosion");
        char text[FL_NUMBER_BRIEF];
        fl_detecting_blame(d, "loss_divergence", 0.5, "the loss leaps to %s at step %ld, where the log ends",
                           fl_number_brief(c.v[c.n - 1], text), c.row[c.n - 1]->step);
    }
}

bool fl_detecting_is_error_rate(const struct fl_column *accuracy)
{
    const double *v = accuracy->v;
    bool highest = accuracy->n >= 6 && v[0] > 1;
    for (size_t i = 1; i < accuracy->n; i++) {
        highest &= v[i] < v[0];
    }
    return highest && fl_median(v + 1, accuracy->n - 1) <= 1;
}

/* The last evaluation gives what no count of right answers can be: next to nothing, the constant of a
 * smoothed score. It is told; the first evaluation of a young run may be so. */
static void accuracy_of_nothing(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "accuracy");
    fl_column_of(s, m, &c);
    double end = c.n ? c.v[c.n - 1] : 0;
    if (end > 0 && end < 1e-9 && s->seen >= 20) {
        struct fl_detection *d = fl_detecting_add(w, s, c.row[c.n - 1], m, "divergence");
        fl_detecting_blame(d, NULL, 0, "the accuracy is %.2g at step %ld: nothing is right", end,
                           c.row[c.n - 1]->step);
        if (d) {
            d->severity = FL_SEVERITY_MEDIUM;
        }
    }
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
        accuracy_of_nothing(w, s);
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
        char text[FL_NUMBER_BRIEF];
        fl_detecting_blame(d, NULL, 0, "the loss stays near %s from step %ld on",
                           fl_number_brief(fl_median(c.v + from, c.n - from), text),
                           c.row[from]->step);
        if (d) {
            d->severity = FL_SEVERITY_MEDIUM;
        }
    }
}

void fl_detect_loss(struct fl_detecting *w, const struct fl_series *s)
{
    divergence(w, s, "loss", 0.5);
    divergence(w, s, "error_rate", 0.45);
    divergence(w, s, "accuracy", 0); /* if it is one of errors; a guess blames nobody */
    accuracy_lost(w, s);
    leap(w, s);
}
