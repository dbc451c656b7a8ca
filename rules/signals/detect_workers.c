/* SPDX-License-Identifier: Apache-2.0 */
/* A job that goes on with less than it began with: a rank that says nothing more, fewer workers,
 * samples or steps that are skipped. Its loss looks well, so nothing else shows it. */
#include "rules/signals/detecting.h"

enum { LINES = 20 /* that a rank printed, or is silent for */, GOES_ON = 10, FEW = 20 };

/* Steps between two lines of a printer. */
static double stride_of(const struct fl_series *s)
{
    long from = s->n ? s->rows[0].step : s->last.step;
    return s->seen > 1 ? (double)(s->last.step - from) / (double)(s->seen - 1) : 0;
}

static int first_metric(const struct fl_detecting *w, const struct fl_row *row)
{
    return __builtin_ctz(row->values.present & ~fl_series_axis(w->set));
}

static bool tells(const struct fl_series *s, uint32_t run)
{
    return s->run == run && s->rank >= 0 && s->seen >= LINES && stride_of(s) > 0;
}

/* Most ranks print to the same step. One that stopped long before, in the middle of regular lines,
 * is no longer there, or its log is not; where most stop but one, they were not asked to go on. */
static void silent(struct fl_detecting *w, uint32_t run)
{
    long latest = 0;
    size_t ranks = 0;
    size_t gone = 0;
    const struct fl_series *earliest = NULL;
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *s = w->set->list[i];
        latest = tells(s, run) && s->last.step > latest ? s->last.step : latest;
    }
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *s = w->set->list[i];
        if (!tells(s, run)) {
            continue;
        }
        ranks++;
        if ((double)(latest - s->last.step) >= LINES * stride_of(s)) {
            gone++;
            earliest = !earliest || s->last.step < earliest->last.step ? s : earliest;
        }
    }
    if (!earliest || ranks < 3 || 3 * gone > ranks) {
        return;
    }
    const struct fl_row *row = &earliest->last;
    struct fl_detection *d = fl_detecting_add(w, earliest, row, first_metric(w, row), "silence");
    if (d) {
        d->to_step = latest;
    }
    fl_detecting_blame(d, NULL, 0,
                       "rank %ld says nothing after step %ld, the others go on to step %ld; silent: "
                       "%zu of %zu ranks",
                       earliest->rank, row->step, latest, gone, ranks);
}

static bool goes_on(const struct fl_detecting *w, const struct fl_series *s, uint64_t order)
{
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *other = w->set->list[i];
        size_t after = 0;
        for (size_t k = other->n; k > 0 && other->rows[k - 1].order > order; k--) {
            after++;
        }
        if (other->stream == s->stream && other->run == s->run && after >= GOES_ON) {
            return true;
        }
    }
    return false;
}

/* The workers as the job counts them: in its lines of progress, or anew at each start. */
static void fewer(struct fl_detecting *w, const struct fl_series *s)
{
    int m = fl_detecting_metric(w, "workers");
    struct fl_column c;
    double most = 0;
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *before = w->set->list[i];
        if (before->stream == s->stream && before->rank == s->rank && before->run + 1 == s->run) {
            fl_column_of(before, m, &c);
            most = c.n ? c.v[c.n - 1] : most;
        }
    }
    fl_column_of(s, m, &c);
    size_t from = c.n;
    for (size_t i = 0; i < c.n; i++) {
        most = c.v[i] > most ? c.v[i] : most;
    }
    while (from > 0 && c.v[from - 1] < most) {
        from--;
    }
    if (from == c.n || !goes_on(w, s, c.row[from]->order)) {
        return;
    }
    struct fl_detection *d = fl_detecting_add(w, s, c.row[from], m, "fewer_workers");
    fl_detecting_blame(d, NULL, 0, "the job goes on with %g of %g workers from step %ld on",
                       c.v[c.n - 1], most, c.row[from]->step);
}

/* Steps that overflow are skipped. */
static bool overflows(const struct fl_detecting *w, uint32_t run)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->out[i].series->run == run && strcmp(w->out[i].kind, "scale_collapse") == 0) {
            return true;
        }
    }
    return false;
}

/* Printed for each line, or as a sum. It began when hardly any were skipped before. */
static void skips(struct fl_detecting *w, const struct fl_series *s)
{
    int m = fl_detecting_metric(w, "skipped");
    struct fl_column c;
    bool sum = true;
    fl_column_of(s, m, &c);
    for (size_t i = 1; i < c.n; i++) {
        sum &= c.v[i] >= c.v[i - 1];
    }
    for (size_t i = c.n; sum && i > 1; i--) {
        c.v[i - 1] -= c.v[i - 2];
    }
    size_t from = sum; /* what a sum begins with was skipped in another run */
    size_t after = 0;
    for (size_t i = c.n; i > sum; i--) { /* the longest end of which most lines skip */
        after += c.v[i - 1] > 0;
        if (c.v[i - 1] > 0 && 2 * after > c.n - i) {
            from = i - 1;
        }
    }
    size_t before = 0;
    after = 0;
    for (size_t i = sum; i < c.n; i++) {
        *(i < from ? &before : &after) += c.v[i] > 0;
    }
    if (after < LINES || from < LINES || FEW * before > from || overflows(w, s->run)) {
        return;
    }
    struct fl_detection *d = fl_detecting_add(w, s, c.row[from], m, "skipping");
    if (d) {
        d->severity = FL_SEVERITY_MEDIUM;
    }
    fl_detecting_blame(d, NULL, 0, "%.0f %% of the lines skip something from step %ld on, before %.0f %%",
                       100 * (double)after / (double)(c.n - from), c.row[from]->step,
                       100 * (double)before / (double)from);
}

void fl_detect_workers(struct fl_detecting *w)
{
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *s = w->set->list[i];
        bool first = true; /* of its run */
        for (size_t k = 0; k < i; k++) {
            first &= w->set->list[k]->run != s->run;
        }
        if (first) {
            silent(w, s->run);
        }
        fewer(w, s);
        skips(w, s);
    }
}
