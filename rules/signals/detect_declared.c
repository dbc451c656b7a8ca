/* SPDX-License-Identifier: Apache-2.0 */
/* The window ends at each value in turn. Of a long series only every k-th value is there (series.h);
 * windows and durations shrink with it, so that they cover the same steps. A bound that is left again
 * is told and blames nobody; one that holds to the end blames the declared cause. */
#include "rules/signals/detecting.h"

#include <math.h>
#include <stdlib.h>

enum { POINTS_MAX = FL_SERIES_ROWS + 1 };

/* Of fewer values before it there is no usual one. */
static const size_t least_before = 5;

/* One metric of one series, values that are not finite too. */
struct track {
    double v[POINTS_MAX];
    const struct fl_row *row[POINTS_MAX];
    size_t n;
    double sorted[POINTS_MAX]; /* the finite ones before the window */
    size_t sorted_n;
    double first; /* mean of the first window */
};

static void track_of(const struct fl_series *s, int m, struct track *t)
{
    t->n = t->sorted_n = 0;
    t->first = NAN;
    for (size_t i = 0; i <= s->n; i++) {
        const struct fl_row *row = i < s->n ? &s->rows[i] : &s->last;
        bool again = i == s->n && s->n && s->rows[s->n - 1].order == row->order;
        if (!again && fl_values_has(&row->values, m)) {
            t->v[t->n] = row->values.value[m];
            t->row[t->n++] = row;
        }
    }
}

/* How many of the track stand for so many values. */
static size_t share_of(long values, const struct track *t, long count)
{
    double n = ceil((double)values * (double)t->n / (double)count);
    return n < 1 ? 1 : (size_t)n;
}

static void pass(struct track *t, double value)
{
    size_t at = t->sorted_n;
    if (!isfinite(value)) {
        return;
    }
    while (at > 0 && t->sorted[at - 1] > value) {
        t->sorted[at] = t->sorted[at - 1];
        at--;
    }
    t->sorted[at] = value;
    t->sorted_n++;
}

static double middle(const struct track *t)
{
    size_t n = t->sorted_n;
    if (n < least_before) {
        return NAN;
    }
    return n % 2 ? t->sorted[n / 2] : t->sorted[n / 2 - 1] / 2 + t->sorted[n / 2] / 2;
}

struct window {
    double n;
    double mean;
    double least;
    double most;
    double spread; /* standard deviation */
    double slope;
    double not_finite;
};

static struct window window_of(const struct track *t, size_t from, size_t to)
{
    struct window w = {.least = INFINITY, .most = -INFINITY};
    double steps = 0;
    for (size_t i = from; i < to; i++) {
        if (isfinite(t->v[i])) {
            w.n++;
            w.mean += (t->v[i] - w.mean) / w.n;
            steps += ((double)t->row[i]->step - steps) / w.n;
            w.least = t->v[i] < w.least ? t->v[i] : w.least;
            w.most = t->v[i] > w.most ? t->v[i] : w.most;
        }
    }
    w.not_finite = (double)(to - from) - w.n;
    double across = 0;
    double along = 0;
    for (size_t i = from; i < to; i++) {
        if (isfinite(t->v[i])) {
            double step = (double)t->row[i]->step - steps;
            w.spread += (t->v[i] - w.mean) * (t->v[i] - w.mean);
            across += step * (t->v[i] - w.mean);
            along += step * step;
        }
    }
    w.spread = w.n > 1 ? sqrt(w.spread / w.n) : (double)NAN;
    w.slope = along > 0 ? across / along : (double)NAN;
    return w;
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : (double)NAN;
}

/* NAN: it cannot be told. */
static double statistic_of(enum fl_statistic statistic, const struct window *w,
                           const struct track *t)
{
    if (statistic == FL_STATISTIC_COUNT_NOT_FINITE) {
        return w->not_finite;
    }
    if (w->n < 1) {
        return NAN;
    }
    switch (statistic) {
    case FL_STATISTIC_MEAN:
        return w->mean;
    case FL_STATISTIC_MIN:
        return w->least;
    case FL_STATISTIC_MAX:
        return w->most;
    case FL_STATISTIC_STD:
        return w->spread;
    case FL_STATISTIC_SLOPE:
        return w->slope;
    case FL_STATISTIC_RATIO_TO_FIRST:
        return ratio(w->mean, t->first);
    case FL_STATISTIC_RATIO_TO_MEDIAN:
        return ratio(w->mean, middle(t));
    case FL_STATISTIC_COUNT_NOT_FINITE:
    case FL_STATISTICS_N:
        break;
    }
    return NAN;
}

/* Points in a row that hold. */
struct hold {
    size_t from;
    size_t n;
    double value; /* at its first point */
};

/* The first one that is long enough; of several the last, if it holds to the end. */
static struct hold find_hold(const struct fl_declared_one *one, struct track *t, long count)
{
    size_t size = share_of(one->window, t, count);
    size_t duration = share_of(one->duration, t, count);
    struct hold found = {.n = 0};
    struct hold now = {.n = 0};
    for (size_t end = size; end <= t->n; end++) {
        struct window w = window_of(t, end - size, end);
        t->first = end == size ? w.mean : t->first;
        double value = statistic_of(one->statistic, &w, t);
        bool holds = one->below ? value < one->value : value > one->value;
        if (holds && now.n == 0) {
            now = (struct hold){.from = end - 1, .value = value};
        }
        now.n = holds ? now.n + 1 : 0;
        bool counts = now.n >= duration && (found.n == 0 || found.from == now.from || end == t->n);
        found = counts ? now : found;
        pass(t, t->v[end - size]);
    }
    return found;
}

/* Each {value} and {step} filled in. */
static void say(struct fl_detection *d, const struct fl_declared_one *one, double value, long step)
{
    struct fl_buf text;
    fl_buf_init(&text, 4096);
    for (struct fl_str rest = fl_str_of(one->text); rest.n;) {
        if (fl_str_take(&rest, FL_LIT("{value}"))) {
            char number[FL_NUMBER_BRIEF];
            fl_buf_add_text(&text, fl_number_brief(value, number));
        } else if (fl_str_take(&rest, FL_LIT("{step}"))) {
            fl_buf_addf(&text, "%ld", step);
        } else {
            fl_buf_add(&text, rest.p, 1);
            rest = fl_str_skip(rest, 1);
        }
    }
    fl_detecting_blame(d, d->cause, d->weight, "%s", fl_buf_text(&text));
    fl_buf_free(&text);
}

static void look(struct fl_detecting *w, const struct fl_series *s,
                 const struct fl_declared_one *one, struct track *t)
{
    track_of(s, one->metric, t);
    struct hold hold = t->n ? find_hold(one, t, s->count[one->metric]) : (struct hold){.n = 0};
    struct fl_detection *d =
        hold.n ? fl_detecting_add(w, s, t->row[hold.from], one->metric, one->kind) : NULL;
    if (!d) {
        return;
    }
    size_t last = hold.from + hold.n - 1;
    d->detector = one->id;
    d->severity = one->severity;
    if (last + 1 == t->n) {
        d->cause = one->cause;
        d->weight = one->confidence;
    } else {
        d->to_step = t->row[last]->step;
    }
    say(d, one, hold.value, d->from_step);
}

void fl_detect_declared(struct fl_detecting *w, const struct fl_series *s)
{
    struct track *t = w->declared && w->declared->n ? malloc(sizeof *t) : NULL;
    for (size_t i = 0; t && i < w->declared->n; i++) {
        look(w, s, &w->declared->list[i], t);
    }
    free(t);
}
