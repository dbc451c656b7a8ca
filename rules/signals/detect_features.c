/* SPDX-License-Identifier: Apache-2.0 */
/* What a model makes of its data: results that are too good too soon, features that collapse,
 * values that stand still. A look at the data decides, so they are told and blame nobody. */
#include "rules/signals/detecting.h"

#include <math.h>

enum { MANY = 20 };

static void tell(struct fl_detecting *w, const struct fl_series *s, const struct fl_row *row, int m,
                 const char *kind, const char *what, double value)
{
    struct fl_detection *d = fl_detecting_add(w, s, row, m, kind);
    fl_detecting_blame(d, NULL, 0, "the %s %s %.6g from step %ld on",
                       fl_metrics_name(w->set->metrics, m), what, value, row->step);
    if (d) {
        d->severity = FL_SEVERITY_MEDIUM;
        d->confidence = 0.7;
    }
}

/* Is it reached in the first twentieth of values and of steps? What is resumed begins late. */
static bool soon(const struct fl_column *c, size_t at)
{
    long steps = c->row[c->n - 1]->step - c->row[0]->step;
    return at <= c->n / 20 && c->row[0]->step <= steps / 20 &&
           c->row[at]->step - c->row[0]->step <= steps / 20;
}

/* All but right at once and ever after: the input tells the label. Shares and percentages. */
static void accuracy_too_good(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "accuracy");
    fl_column_of(s, m, &c);
    double most = 0;
    for (size_t i = 0; i < c.n; i++) {
        most = c.v[i] > most ? c.v[i] : most;
    }
    double whole = most > 1 ? 100 : 1;
    size_t from = c.n;
    while (from > 0 && c.v[from - 1] >= 0.998 * whole) {
        from--;
    }
    if (c.n >= MANY && most <= whole && from < c.n && soon(&c, from)) {
        tell(w, s, c.row[from], m, "leakage",
             "is too good too soon (does the input tell the label?): at least",
             fl_smallest(c.v + from, c.n - from));
    }
}

/* From something to a thousandth of it, and next to nothing, at once and for good. Where a reward
 * is earned the loss is near zero by nature. */
static void loss_too_good(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "loss");
    int reward = fl_detecting_metric(w, "reward");
    fl_column_of(s, m, &c);
    if (c.n < 2 * MANY || c.v[0] < 0.1 || (reward >= 0 && s->count[reward] > 0)) {
        return;
    }
    double bound = c.v[0] < 1 ? 1e-4 * c.v[0] : 1e-4;
    size_t from = c.n;
    while (from > 0 && c.v[from - 1] >= 0 && c.v[from - 1] < bound) {
        from--;
    }
    if (from > 0 && from < c.n && soon(&c, from)) {
        tell(w, s, c.row[from], m, "leakage",
             "is too good too soon (does the input tell the label, are all labels masked?): near",
             fl_median(c.v + from, c.n - from));
    }
}

/* A spread of features, a rank or a use of codes that goes to a fiftieth of what it was. */
static void collapse(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "feature_spread");
    fl_column_of(s, m, &c);
    if (c.n < MANY) {
        return;
    }
    double early = fl_median(c.v, c.n / 4);
    size_t from = c.n;
    while (from > 0 && c.v[from - 1] < 0.02 * early) {
        from--;
    }
    if (early > 0 && from > 0 && c.n - from >= c.n / 10 && c.n - from >= 5) {
        tell(w, s, c.row[from], m, "collapse", "collapsed: it is",
             fl_median(c.v + from, c.n - from));
    }
}

/* A loss that is not finite, or a mean frozen by it, explains what stands still. */
static bool broken(const struct fl_detecting *w, const struct fl_series *s)
{
    bool any = false;
    for (size_t i = 0; i < w->n; i++) {
        any |= w->out[i].series == s && strcmp(w->out[i].kind, "nan") == 0;
    }
    return any;
}

/* The same value to the last of four digits or more, for a hundred lines and a fifth of all: a mean
 * that no longer takes new values, an update lost in rounding. Round values are made so: a norm
 * that is clipped, a bound. */
static void frozen(struct fl_detecting *w, const struct fl_series *s, const char *name)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, name);
    const struct fl_tail *tail = m >= 0 ? &s->tail[m] : NULL;
    if (!tail || tail->count < 100 || tail->count < s->count[m] / 5 || tail->count == s->count[m] ||
        !isfinite(tail->value) || tail->digits < 4 ||
        fabs(tail->value * 100 - round(tail->value * 100)) < 1e-6) {
        return;
    }
    fl_column_of(s, m, &c);
    size_t from = c.n - 1;
    while (from > 0 && c.row[from - 1]->step >= tail->from_step) {
        from--;
    }
    if (c.row[c.n - 1]->step > c.row[from]->step) {
        tell(w, s, c.row[from], m, "frozen", "stands still at", tail->value);
    }
}

/* Evaluations that give one and the same value twenty times in a row, a quarter of all, no better
 * than the first ones and less than half right, and that are no better in the end. What is learned
 * may stand still, too; what never gave another value may be out of use. */
static void evaluation_stands(struct fl_detecting *w, const struct fl_series *s, const char *name)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, name);
    fl_column_of(s, m, &c);
    double sign = strcmp(name, "accuracy") == 0 && !fl_detecting_is_error_rate(&c) ? 1 : -1;
    size_t at = 0;
    size_t most = 0;
    for (size_t i = 0, n = 1; i < c.n; i += n, n = 1) {
        while (i + n < c.n && c.v[i + n] == c.v[i]) {
            n++;
        }
        at = n > most ? i : at;
        most = n > most ? n : most;
    }
    if (most < MANY || most < c.n / 4 || most == c.n) {
        return;
    }
    double value = c.v[at];
    double first = fmax(sign * c.v[0], fmax(sign * c.v[1], sign * c.v[2]));
    double half = sign * (value > 1 && sign > 0 ? 50 : 0.5);
    if (sign * value <= half && sign * value <= first && sign * c.v[c.n - 1] <= sign * value) {
        size_t n = w->n;
        tell(w, s, c.row[at], m, "plateau", "never changes, nothing is learnt:", value);
        if (w->n > n) {
            w->out[n].to_step = c.row[at + most - 1]->step;
        }
    }
}

void fl_detect_features(struct fl_detecting *w, const struct fl_series *s)
{
    accuracy_too_good(w, s);
    loss_too_good(w, s);
    collapse(w, s);
    if (!broken(w, s)) {
        frozen(w, s, "loss");
        frozen(w, s, "grad_norm");
        evaluation_stands(w, s, "accuracy");
        evaluation_stands(w, s, "error_rate");
    }
}
