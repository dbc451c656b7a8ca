/* SPDX-License-Identifier: Apache-2.0 */
/* Robust statistics only (medians, ranges of the last part against the first): logs hold spikes,
 * warm-up and evaluation lines. Each detector takes one series and may add one detection; stragglers
 * are found by comparing series. */
#include "rules/signals/detect.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* One metric of one series: finite values only. */
struct column {
    double v[FL_SERIES_ROWS + 1];
    const struct fl_row *row[FL_SERIES_ROWS + 1];
    size_t n;
};

struct work {
    const struct fl_series_set *set;
    struct fl_detection *out;
    size_t n;
};

static int metric(const struct work *w, const char *name)
{
    return fl_metrics_find(w->set->metrics, fl_str_of(name));
}

static void column_of(const struct fl_series *s, int m, struct column *c)
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

static double median(const double *v, size_t n)
{
    double sorted[FL_SERIES_ROWS + 1];
    memcpy(sorted, v, n * sizeof *v);
    qsort(sorted, n, sizeof *sorted, by_value);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static double smallest(const double *v, size_t n)
{
    double least = v[0];
    for (size_t i = 1; i < n; i++) {
        least = v[i] < least ? v[i] : least;
    }
    return least;
}

/* Median distance from the median, as a share of it. */
static double spread(const double *v, size_t n)
{
    double away[FL_SERIES_ROWS + 1];
    double middle = median(v, n);
    for (size_t i = 0; i < n; i++) {
        away[i] = fabs(v[i] - middle);
    }
    return middle != 0 ? median(away, n) / fabs(middle) : 0;
}

/* Median change from one row to the next. */
static double jitter(const double *v, size_t n)
{
    double change[FL_SERIES_ROWS + 1];
    for (size_t i = 1; i < n; i++) {
        change[i - 1] = fabs(v[i] - v[i - 1]);
    }
    return n > 1 ? median(change, n - 1) : 0;
}

static struct fl_detection *add(struct work *w, const struct fl_series *s, const struct fl_row *row,
                                int m, const char *kind)
{
    if (w->n == FL_DETECTIONS_MAX) {
        return NULL;
    }
    const struct fl_row *end = &s->last;
    for (size_t i = s->n; i > 0 && !fl_values_has(&end->values, m); i--) {
        end = &s->rows[i - 1];
    }
    struct fl_detection *d = &w->out[w->n++];
    *d = (struct fl_detection){.metric = fl_metrics_name(w->set->metrics, m), .kind = kind,
                               .from_step = row->step, .to_step = s->last_step[m], .rank = s->rank,
                               .severity = FL_SEVERITY_HIGH, .confidence = 0.9, .series = s,
                               .row = row, .end = end};
    return d;
}

static void blame(struct fl_detection *d, const char *cause, double weight, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void blame(struct fl_detection *d, const char *cause, double weight, const char *fmt, ...)
{
    va_list args;
    if (!d) {
        return;
    }
    d->cause = cause;
    d->weight = weight;
    va_start(args, fmt);
    vsnprintf(d->text, sizeof d->text, fmt, args);
    va_end(args);
}

static void advise(struct fl_detection *d, const char *const *steps, size_t n)
{
    if (d) {
        d->steps = steps;
        d->steps_n = n;
    }
}

/* Three in a row at the end: mixed precision skips a step now and then, and the first lines of a
 * run may show nan by design. */
/* From here on most values of the metric are not finite. */
static const struct fl_row *storm(const struct fl_series *s, int m)
{
    const struct fl_row *from = NULL;
    long odd = 0;
    for (size_t i = s->n; i > 0; i--) {
        const struct fl_row *row = &s->rows[i - 1];
        if (fl_values_has(&row->values, m)) {
            odd += isfinite(row->values.value[m]) ? -1 : 1;
            from = odd >= 0 && !isfinite(row->values.value[m]) ? row : from;
        }
    }
    return from;
}

static void not_finite(struct work *w, const struct fl_series *s)
{
    static const char *const names[] = {"loss", "grad_norm"};
    for (size_t i = 0; i < 2; i++) {
        int m = metric(w, names[i]);
        const struct fl_tail *tail = m >= 0 ? &s->tail[m] : NULL;
        if (tail && tail->count >= 3 && !isfinite(tail->value) && tail->first) {
            bool grows = i == 1 && isinf(tail->value);
            const struct fl_row *from = grows ? storm(s, m) : NULL;
            struct fl_detection *d = add(w, s, from ? from : tail->first, m,
                                         grows ? "explosion" : "nan");
            blame(d, "numerical_instability", 0.62,
                  "the %s is not finite from step %ld until the end of the log",
                  i ? "gradient norm" : "loss", tail->from_step);
        }
    }
}

/* A running mean that leaves out values that are not finite stops moving: the same long number
 * again and again. */
static void frozen(struct work *w, const struct fl_series *s)
{
    int m = metric(w, "loss");
    if (m < 0 || s->count[m] == 0) {
        return;
    }
    const struct fl_tail *tail = &s->tail[m];
    bool varied = s->count[m] >= tail->count + 5;
    if (tail->count < 10 || !varied || !isfinite(tail->value) || tail->value == 0 ||
        tail->digits < 7) {
        return;
    }
    const struct fl_row *row = &s->last;
    for (size_t i = 0; i < s->n; i++) {
        if (s->rows[i].step >= tail->from_step && fl_values_has(&s->rows[i].values, m) &&
            s->rows[i].values.value[m] == tail->value) {
            row = &s->rows[i];
            break;
        }
    }
    struct fl_detection *d = add(w, s, row, m, "nan");
    if (d) {
        d->from_step = tail->from_step;
    }
    blame(d, "numerical_instability", 0.6,
          "the loss is frozen at %.10g from step %ld on: new values are not finite and not averaged "
          "in", tail->value, tail->from_step);
}

/* Halved again and again until next to nothing is left (DeepSpeed's and Megatron's scalers stop at
 * 1); at the start of a run a scale falls a few times from 2^16 or 2^32 and stays. */
static void scale_collapse(struct work *w, const struct fl_series *s)
{
    struct column c;
    int m = metric(w, "loss_scale");
    column_of(s, m, &c);
    if (c.n < 4) {
        return;
    }
    size_t from = c.n - 1;
    while (from > 0 && c.v[from - 1] >= c.v[from]) {
        from--;
    }
    while (from + 1 < c.n && c.v[from + 1] == c.v[from]) {
        from++;
    }
    size_t drop = c.n - 1;
    while (drop > 0 && c.v[drop - 1] == c.v[drop]) {
        drop--;
    }
    double end = c.v[c.n - 1];
    if (end > 1 && s->last.number - c.row[drop]->number > 3) {
        return; /* steps went on with what is left */
    }
    if (end <= 16 && c.v[from] >= 16 * end) {
        struct fl_detection *d = add(w, s, c.row[from + 1 < c.n ? from + 1 : from], m,
                                     "scale_collapse");
        blame(d, "numerical_instability", 0.55, "the loss scale fell from %g to %g: every step "
              "overflows", c.v[from], end);
        if (d) {
            d->row = c.row[c.n - 1];
        }
    }
}

/* From its lowest point on the loss has grown by half of that or more, far beyond its usual change,
 * and it ends there. Where a reward is earned, the loss does not say how well it goes: that of a
 * policy begins near zero and grows with its distance from the reference. */
static void divergence(struct work *w, const struct fl_series *s, const char *name, double weight)
{
    struct column c;
    int m = metric(w, name);
    int reward = metric(w, "reward");
    column_of(s, m, &c);
    if (c.n < 6 || (reward >= 0 && s->count[reward] > 0)) {
        return;
    }
    size_t window = c.n / 20 ? c.n / 20 : 1;
    size_t last = window < 3 ? 3 - (c.n < 12) : window;
    double end = smallest(c.v + c.n - last, last);
    double low = 0;
    size_t low_at = 0;
    for (size_t i = 0; i + window <= c.n; i++) {
        double here = median(c.v + i, window);
        if (i == 0 || here < low) {
            low = here;
            low_at = i;
        }
    }
    double start = median(c.v, window);
    double rise = end - low;
    bool far = rise > 0.5 * low && rise > 0.05 * (start - low) &&
               (c.n < 20 || rise > 6 * jitter(c.v, c.n));
    if (low < 0 || !far) {
        return;
    }
    double step = 6 * jitter(c.v, low_at + window);
    double bound = low + (step > 0.5 * low ? step : 0.5 * low);
    size_t from = c.n - 1;
    while (from > low_at && c.v[from - 1] > (bound < end ? bound : low + 0.5 * rise)) {
        from--;
    }
    struct fl_detection *d = add(w, s, c.row[from], m, "divergence");
    blame(d, "loss_divergence", weight, "the %s grew from %.4g to %.4g after step %ld",
          strcmp(name, "loss") == 0 ? "loss" : "error rate", low, end, c.row[from]->step);
}

/* An evaluation that was good and ends at nothing. */
static void accuracy_lost(struct work *w, const struct fl_series *s)
{
    struct column c;
    int m = metric(w, "accuracy");
    column_of(s, m, &c);
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
        blame(add(w, s, c.row[from], m, "divergence"), "loss_divergence", 0.35,
              "the accuracy fell from %.3g to %.3g at step %ld", best, c.v[c.n - 1],
              c.row[from]->step);
    }
}

static void plateau(struct work *w, const struct fl_series *s, long from_step)
{
    struct column c;
    int m = metric(w, "loss");
    column_of(s, m, &c);
    size_t from = 0;
    while (from < c.n && c.row[from]->step < from_step) {
        from++;
    }
    if (c.n - from >= 3 && spread(c.v + from, c.n - from) < 0.05) {
        struct fl_detection *d = add(w, s, c.row[from], m, "plateau");
        if (d) {
            d->severity = FL_SEVERITY_MEDIUM;
        }
    }
}

/* Hundreds of times what it was, all at once. A few runs survive it, so it is told and blames nobody. */
static void explosion(struct work *w, const struct fl_series *s)
{
    struct column c;
    int m = metric(w, "grad_norm");
    column_of(s, m, &c);
    for (size_t i = 5; i < c.n; i++) {
        bool may_be = c.v[i] > 1000 && c.v[i] > 500 * smallest(c.v, i);
        double usual = may_be ? median(c.v, i) : 0;
        if (usual > 0 && c.v[i] > 500 * usual) {
            struct fl_detection *d = add(w, s, c.row[i], m, "explosion");
            if (d) {
                d->severity = FL_SEVERITY_LOW;
                d->to_step = c.row[i]->step;
            }
            return;
        }
    }
}

/* A thousandth of what it was, and tiny. */
static void vanishing(struct work *w, const struct fl_series *s)
{
    struct column c;
    int m = metric(w, "grad_norm");
    column_of(s, m, &c);
    if (c.n < 20) {
        return;
    }
    double early = median(c.v, c.n / 4);
    double end = median(c.v + c.n - c.n / 10, c.n / 10);
    if (!(end < 1e-3 * early) || end >= 1e-4) {
        return;
    }
    size_t from = c.n - 1;
    while (from > 0 && c.v[from - 1] < 0.3 * early) {
        from--;
    }
    static const char *const steps[] = {
        "Look at activations and weights of the layers: which went dead (all zero, saturated)?",
        "Check initialisation, normalisation and the activation function; warm up longer",
        "Go back to a checkpoint from before the gradients shrank",
    };
    long step = c.row[from]->step;
    struct fl_detection *d = add(w, s, c.row[from], m, "vanishing");
    blame(d, "no_convergence", 0.5,
          "the gradient norm vanished, from %.3g to %.3g, from step %ld on", early, end, step);
    advise(d, steps, sizeof steps / sizeof *steps);
    plateau(w, s, step);
}

/* Zero for a good part of the run and until its end. The last step of a schedule may be zero, and
 * so may a value printed with few decimals. */
static void rate_zero(struct work *w, const struct fl_series *s)
{
    int m = metric(w, "learning_rate");
    if (m < 0 || s->count[m] == 0) {
        return;
    }
    const struct fl_tail *tail = &s->tail[m];
    bool long_enough = tail->count >= 10 ? tail->count * 10 >= s->count[m]
                                         : tail->count >= 3 && tail->count == s->count[m];
    bool warms_up = tail->from_step <= 1 && s->last_step[m] < 10; /* rates begin at 0 */
    if (!tail->first || warms_up || tail->value != 0 || !long_enough || s->last.values.rounds[m]) {
        return;
    }
    static const char *const steps[] = {
        "Check the scheduler: its total number of steps, warm-up and decay against the run's length",
        "After a resume: was the scheduler's state restored, and with the same total?",
        "Restart from the checkpoint before the rate became 0",
    };
    struct fl_detection *d = add(w, s, tail->first, m, "vanishing");
    blame(d, "config_error", 0.42, "the learning rate is 0 from step %ld until the end of the log",
          tail->from_step);
    advise(d, steps, sizeof steps / sizeof *steps);
    plateau(w, s, tail->from_step);
}

/* Steady, then slower for good by a third or more. One printer's steps wait for all ranks, so it is
 * not told which of them is slow. */
static void slower(struct work *w, const struct fl_series *s, const char *name, bool more_is_slower)
{
    struct column c;
    int m = metric(w, name);
    column_of(s, m, &c);
    size_t warm = c.n / 20;
    size_t last = c.n / 10;
    if (c.n < 40) {
        return;
    }
    double early = median(c.v + warm, c.n / 4);
    double end = median(c.v + c.n - last, last);
    bool steady = spread(c.v + warm, c.n / 4) < 0.1 && spread(c.v + c.n - last, last) < 0.15;
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
    struct fl_detection *d = add(w, s, c.row[from], m, "straggler");
    if (d) {
        d->rank = -1;
    }
    blame(d, "straggler", 0.42, "steps are %.1f times as slow from step %ld on", 1 / ratio,
          c.row[from]->step);
}

/* (min, max) over the ranks, as Megatron's timers print them. */
static void ranks_apart(struct work *w, const struct fl_series *s)
{
    struct column low;
    struct column high;
    int m = metric(w, "rank_time_max");
    column_of(s, metric(w, "rank_time_min"), &low);
    column_of(s, m, &high);
    if (low.n != high.n || low.n < 12) {
        return;
    }
    double ratio[FL_SERIES_ROWS + 1];
    for (size_t i = 0; i < low.n; i++) {
        ratio[i] = low.v[i] > 0 ? high.v[i] / low.v[i] : 1;
    }
    size_t last = low.n / 10 < 4 ? 4 : low.n / 10;
    double end = median(ratio + low.n - last, last);
    double early = median(ratio, low.n / 4);
    if (end < 1.3 || end < 1.2 * early) {
        return;
    }
    size_t from = low.n - 1;
    while (from > 0 && ratio[from - 1] > (early + end) / 2) {
        from--;
    }
    struct fl_detection *d = add(w, s, high.row[from], m, "straggler");
    blame(d, "straggler", 0.45,
          "one rank takes %.1f times as long as the fastest, from step %ld on", end,
          high.row[from]->step);
    struct column steps;
    column_of(s, metric(w, "step_time"), &steps);
    for (size_t i = 0; d && i < steps.n && !d->effect; i++) {
        d->effect = steps.row[i]->step >= d->from_step ? steps.row[i] : NULL;
    }
}

/* Growing still in its last third, beyond nearly all before: a leak, not a cache that fills nor one
 * that is emptied again and again. */
static void memory_growth(struct work *w, const struct fl_series *s, const char *name)
{
    struct column c;
    int m = metric(w, name);
    column_of(s, m, &c);
    if (c.n < 20) {
        return;
    }
    double low = smallest(c.v, c.n);
    double end = median(c.v + c.n - c.n / 10, c.n / 10);
    double before = median(c.v + c.n * 6 / 10, c.n / 10);
    if (!(end > 1.4 * low) || end - before < 0.15 * (end - low)) {
        return;
    }
    size_t higher = 0;
    for (size_t i = 0; i < c.n * 2 / 3; i++) {
        higher += c.v[i] >= end;
    }
    if (higher > c.n / 20) {
        return;
    }
    size_t from = c.n - 1;
    while (from > 0 && c.v[from - 1] > low + 0.03 * (end - low)) {
        from--;
    }
    struct fl_detection *d = add(w, s, c.row[from], m, "memory_growth");
    if (d) {
        d->severity = FL_SEVERITY_MEDIUM;
        d->confidence = 0.8;
    }
}

/* Ranks that print their own time: one is slower than the middle of all by a third, and the next
 * one is not. */
static void slow_rank(struct work *w, const char *name)
{
    int m = metric(w, name);
    double time[FL_SERIES_MAX];
    const struct fl_series *of[FL_SERIES_MAX];
    struct column c;
    size_t n = 0;
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *s = w->set->list[i];
        column_of(s, m, &c);
        if (s->rank >= 0 && c.n >= 10) {
            time[n] = median(c.v + c.n - c.n / 5, c.n / 5);
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
    double middle = median(time, n);
    for (size_t i = 0; i < n; i++) {
        if (i != slow && time[i] > 1.15 * middle) {
            return;
        }
    }
    if (middle <= 0 || time[slow] <= 1.33 * middle) {
        return;
    }
    column_of(of[slow], m, &c);
    size_t from = c.n - 1;
    while (from > 0 && c.v[from - 1] > (middle + time[slow]) / 2) {
        from--;
    }
    blame(add(w, of[slow], c.row[from], m, "straggler"), "straggler", 0.5,
          "rank %ld takes %.1f times as long as the others, from step %ld on", of[slow]->rank,
          time[slow] / middle, c.row[from]->step);
}

/* Values that all ranks share turn on all of them: of equal detections the earliest stays, with its
 * rank when it is alone in that. */
static void keep_earliest(struct work *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->n; i++) {
        struct fl_detection *d = &w->out[i];
        size_t k = 0;
        while (k < kept && (w->out[k].metric != d->metric || w->out[k].kind != d->kind)) {
            k++;
        }
        if (k == kept) {
            w->out[kept++] = *d;
        } else if (d->from_step < w->out[k].from_step) {
            w->out[k] = *d;
        } else if (d->from_step == w->out[k].from_step && d->rank != w->out[k].rank) {
            w->out[k].rank = -1;
        }
    }
    w->n = kept;
}

size_t fl_detect(const struct fl_series_set *set, struct fl_detection out[FL_DETECTIONS_MAX])
{
    struct work w = {.set = set, .out = out};
    if (!set->metrics) {
        return 0;
    }
    slow_rank(&w, "compute_time");
    if (w.n == 0) {
        slow_rank(&w, "step_time");
    }
    bool named = w.n > 0;
    for (size_t i = 0; i < set->n; i++) {
        const struct fl_series *s = set->list[i];
        not_finite(&w, s);
        frozen(&w, s);
        scale_collapse(&w, s);
        divergence(&w, s, "loss", 0.5);
        divergence(&w, s, "error_rate", 0.45);
        accuracy_lost(&w, s);
        vanishing(&w, s);
        explosion(&w, s);
        rate_zero(&w, s);
        ranks_apart(&w, s);
        if (!named) {
            slower(&w, s, "throughput", false);
            slower(&w, s, "step_time", true);
        }
        memory_growth(&w, s, "memory");
        memory_growth(&w, s, "host_memory");
    }
    keep_earliest(&w);
    return w.n;
}
