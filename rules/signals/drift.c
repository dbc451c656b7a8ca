/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/signals/drift.h"

#include "rules/signals/column.h"

#include <math.h>

enum { BEGIN = 20 /* steps by which reruns are recognised */, BEGIN_LEAST = 5 };

static const double moderate = 0.1, large = 0.25; /* of PSI: the usual bounds */
static const double chance = 0.001;               /* of one false alarm in all columns */

const char *fl_drift_kind_name(enum fl_drift_kind kind)
{
    static const char *const names[] = {"shift", "collapse", "missing", "not_finite"};
    return names[kind];
}

static void find(struct fl_drift *d, enum fl_drift_kind kind, enum fl_severity severity)
{
    d->severity = !d->found || severity > d->severity ? severity : d->severity;
    d->found |= 1U << kind;
}

/* ---- shares of rows ---- */

static void share_grew(struct fl_drift *d, enum fl_drift_kind kind, const double share[2],
                       const struct fl_drift_side sides[2], double least)
{
    double n = (double)sides[0].rows;
    double m = (double)sides[1].rows;
    double both = (share[0] * n + share[1] * m) / (n + m);
    double grew = share[1] - share[0];
    double error = sqrt(both * (1 - both) * (1 / n + 1 / m));
    if (n >= FL_DRIFT_LEAST && m >= FL_DRIFT_LEAST && grew >= least && grew > 4 * error) {
        find(d, kind, grew >= 0.25 ? FL_SEVERITY_HIGH : FL_SEVERITY_MEDIUM);
    }
}

static void look_at_rows(struct fl_drift *d, const struct fl_drift_side sides[2])
{
    for (int i = 0; i < 2; i++) {
        double rows = (double)(sides[i].rows ? sides[i].rows : 1);
        d->missing[i] = (double)sides[i].missing / rows;
        d->not_finite[i] = (double)sides[i].not_finite / rows;
    }
    share_grew(d, FL_DRIFT_MISSING, d->missing, sides, 0.05);
    share_grew(d, FL_DRIFT_NOT_FINITE, d->not_finite, sides, 0.01);
}

/* ---- distributions ---- */

/* An empty bin counts as half a value, else one would make PSI infinite. */
static void compare_bins(const long *a, const long *b, size_t n, struct fl_drift *d)
{
    double a_n = 0.5 * (double)n;
    double b_n = 0.5 * (double)n;
    for (size_t i = 0; i < n; i++) {
        a_n += (double)a[i];
        b_n += (double)b[i];
    }
    for (size_t i = 0; i < n; i++) {
        double p = ((double)a[i] + 0.5) / a_n;
        double q = ((double)b[i] + 0.5) / b_n;
        double middle = (p + q) / 2;
        d->psi += (q - p) * log(q / p);
        d->js += (p * log(p / middle) + q * log(q / middle)) / 2;
    }
}

/* PSI of two samples of one distribution is about this much by itself. */
static double psi_of_chance(size_t bins, double a_n, double b_n)
{
    return (double)(bins - 1) * (1 / a_n + 1 / b_n);
}

static void judge_shift(struct fl_drift *d, double psi, size_t columns, bool course)
{
    if (psi >= moderate && d->p * (double)columns < chance) {
        find(d, FL_DRIFT_SHIFT, psi >= large && !course ? FL_SEVERITY_HIGH : FL_SEVERITY_MEDIUM);
    }
}

static double quantile(const struct fl_drift_side *s, double share)
{
    return s->v[(size_t)(share * (double)(s->n - 1) + 0.5)];
}

/* How many values are at most x. */
static size_t up_to(const struct fl_drift_side *s, double x)
{
    size_t low = 0;
    for (size_t high = s->n; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (s->v[middle] <= x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Bins between the tenths of the reference; tenths that are one value make one bin. */
static size_t bins_of(const struct fl_drift_side sides[2], long counts[2][FL_DRIFT_BINS])
{
    size_t bins = 0;
    size_t below[2] = {0, 0};
    double edge = 0;
    for (int k = 1; k <= FL_DRIFT_BINS; k++) {
        double next = k < FL_DRIFT_BINS ? quantile(&sides[0], (double)k / FL_DRIFT_BINS) : HUGE_VAL;
        if (k > 1 && next == edge) {
            continue;
        }
        edge = next;
        for (int i = 0; i < 2; i++) {
            size_t n = up_to(&sides[i], edge);
            counts[i][bins] = (long)(n - below[i]);
            below[i] = n;
        }
        bins++;
    }
    return bins;
}

static double largest_gap(const struct fl_drift_side sides[2])
{
    double gap = 0;
    size_t i = 0;
    size_t k = 0;
    while (i < sides[0].n && k < sides[1].n) {
        double x = sides[0].v[i] < sides[1].v[k] ? sides[0].v[i] : sides[1].v[k];
        while (i < sides[0].n && sides[0].v[i] == x) {
            i++;
        }
        while (k < sides[1].n && sides[1].v[k] == x) {
            k++;
        }
        double here = fabs((double)i / (double)sides[0].n - (double)k / (double)sides[1].n);
        gap = here > gap ? here : gap;
    }
    return gap;
}

/* The asymptotic distribution, with Stephens' correction for small samples. */
static double ks_chance(double gap, double a_n, double b_n)
{
    double root = sqrt(a_n * b_n / (a_n + b_n));
    double x = (root + 0.12 + 0.11 / root) * gap;
    double sum = 0;
    for (int k = 1; k <= 100 && x > 0.2; k++) {
        sum += (k % 2 ? 2 : -2) * exp(-2.0 * k * k * x * x);
    }
    return x > 0.2 ? fmin(fmax(sum, 0), 1) : 1;
}

/* How often the most frequent value comes. */
static double commonest(const struct fl_drift_side *s)
{
    size_t most = 0;
    for (size_t i = 0; i < s->n;) {
        size_t next = up_to(s, s->v[i]);
        most = next - i > most ? next - i : most;
        i = next;
    }
    return (double)most / (double)s->n;
}

/* Now it moves by less than a thousandth of what it did, and not because it always was the same
 * nearly always. */
static bool collapsed(const struct fl_drift_side *was, const struct fl_drift_side *is)
{
    double varied = quantile(was, 0.95) - quantile(was, 0.05);
    return was->v[was->n - 1] > was->v[0] && is->v[is->n - 1] - is->v[0] <= 1e-3 * varied &&
           pow(commonest(was), (double)is->n) < 1e-3;
}

void fl_drift_of(const struct fl_drift_side *reference, const struct fl_drift_side *now,
                 bool course, size_t columns, struct fl_drift *out)
{
    const struct fl_drift_side sides[2] = {*reference, *now};
    long counts[2][FL_DRIFT_BINS];
    *out = (struct fl_drift){.p = 1};
    look_at_rows(out, sides);
    for (int i = 0; i < 2; i++) {
        out->median[i] = sides[i].n ? quantile(&sides[i], 0.5) : 0;
    }
    if (reference->n < FL_DRIFT_LEAST || now->n < FL_DRIFT_LEAST) {
        return;
    }
    double a_n = (double)reference->n;
    double b_n = (double)now->n;
    size_t bins = bins_of(sides, counts);
    compare_bins(counts[0], counts[1], bins, out);
    out->ks = largest_gap(sides);
    out->p = ks_chance(out->ks, a_n, b_n);
    bool moved = fabs(out->median[1] - out->median[0]) > 0.1 * fabs(out->median[0]);
    if (collapsed(reference, now)) {
        find(out, FL_DRIFT_COLLAPSE, course ? FL_SEVERITY_MEDIUM : FL_SEVERITY_HIGH);
    } else if (!course || moved) {
        judge_shift(out, out->psi - psi_of_chance(bins, a_n, b_n), columns, course);
    }
}

/* Wilson and Hilferty: the cube root of chi-square is nearly normal. */
static double chi_square_chance(double x, double freedom)
{
    double part = 2 / (9 * freedom);
    return freedom > 0 ? erfc((cbrt(x / freedom) - 1 + part) / sqrt(2 * part)) / 2 : 1;
}

void fl_drift_of_counts(const long *reference, const long *now, size_t n,
                        const struct fl_drift_side sides[2], size_t columns, struct fl_drift *out)
{
    double a_n = 0;
    double b_n = 0;
    double chi = 0;
    double apart = 0;
    double freedom = -1;
    *out = (struct fl_drift){.p = 1};
    look_at_rows(out, sides);
    for (size_t i = 0; i < n; i++) {
        a_n += (double)reference[i];
        b_n += (double)now[i];
        freedom += reference[i] + now[i] > 0;
    }
    if (a_n < FL_DRIFT_LEAST || b_n < FL_DRIFT_LEAST) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double a = (double)reference[i];
        double b = (double)now[i];
        double away = sqrt(b_n / a_n) * a - sqrt(a_n / b_n) * b;
        chi += a + b > 0 ? away * away / (a + b) : 0;
        apart += fabs(a / a_n - b / b_n) / 2;
    }
    compare_bins(reference, now, n, out);
    out->ks = apart;
    out->p = chi_square_chance(chi, freedom);
    judge_shift(out, out->psi - psi_of_chance((size_t)freedom + 1, a_n, b_n), columns, false);
}

/* ---- two runs of one job ---- */

int fl_at_step_order(const void *a, const void *b)
{
    const struct fl_at_step *x = a;
    const struct fl_at_step *y = b;
    return x->rank != y->rank ? (x->rank > y->rank) - (x->rank < y->rank)
                              : (x->step > y->step) - (x->step < y->step);
}

static bool once(const struct fl_at_step *list, size_t n, size_t i)
{
    return (i == 0 || fl_at_step_order(&list[i - 1], &list[i]) != 0) &&
           (i + 1 == n || fl_at_step_order(&list[i + 1], &list[i]) != 0);
}

bool fl_rerun_differs(const struct fl_at_step *reference, size_t reference_n,
                      const struct fl_at_step *now, size_t now_n, struct fl_rerun *out)
{
    double apart[BEGIN];
    double begin[BEGIN];
    size_t k = 0;
    bool parted = false;
    *out = (struct fl_rerun){.common = 0};
    for (size_t i = 0; i < reference_n; i++) {
        const struct fl_at_step *a = &reference[i];
        while (k < now_n && fl_at_step_order(&now[k], a) < 0) {
            k++;
        }
        if (k == now_n || fl_at_step_order(&now[k], a) != 0 || !once(reference, reference_n, i) ||
            !once(now, now_n, k)) {
            continue;
        }
        double away = fabs(now[k].v - a->v);
        double size = fmax(fabs(now[k].v), fabs(a->v));
        if (out->common < BEGIN) {
            apart[out->common] = away;
            begin[out->common] = a->v;
        }
        out->common++;
        if (away <= 1e-9 * size) {
            continue;
        }
        if (!parted || a->step < out->from.step) {
            out->from = *a;
            out->now = now[k].v;
            out->first = away / size;
            parted = true;
        }
        if (away / size > out->most) {
            out->most = away / size;
            out->most_step = a->step;
        }
    }
    size_t n = out->common < BEGIN ? out->common : BEGIN;
    return parted && n >= BEGIN_LEAST && fl_median(apart, n) < 0.1 * fl_jitter(begin, n);
}
