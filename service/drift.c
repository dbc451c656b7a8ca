/* SPDX-License-Identifier: Apache-2.0 */
#include "service/drift.h"

#include <stdlib.h>

/* What two runs of one job with one seed print alike. */
static const char *const repeats[] = {"loss",       "eval_loss", "accuracy",
                                      "error_rate", "grad_norm", "reward"};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

struct span {
    long from;
    long to;
};

/* Of a course only steps that both runs have are compared: a longer run has other losses. */
static struct span common_span(const struct fl_feature *a, const struct fl_feature *b, bool course)
{
    const struct fl_feature *const both[2] = {a, b};
    struct span span = {INT64_MIN, INT64_MAX};
    for (int i = 0; i < 2 && course; i++) {
        struct span own = {INT64_MAX, INT64_MIN};
        for (size_t k = 0; k < both[i]->n; k++) {
            long step = both[i]->sample[k].at.step;
            own.from = step < own.from ? step : own.from;
            own.to = step > own.to ? step : own.to;
        }
        span.from = own.from > span.from ? own.from : span.from;
        span.to = own.to < span.to ? own.to : span.to;
    }
    return span;
}

static struct fl_drift_side side_of(const struct fl_feature *f, struct span span, double *v)
{
    struct fl_drift_side side = {.v = v,
                                 .rows = f->rows,
                                 .missing = f->rows - f->numbers - f->not_finite - f->texts,
                                 .not_finite = f->not_finite};
    for (size_t i = 0; i < f->n; i++) {
        if (f->sample[i].at.step >= span.from && f->sample[i].at.step <= span.to) {
            v[side.n++] = f->sample[i].at.v;
        }
    }
    qsort(v, side.n, sizeof *v, by_value);
    return side;
}

static void compare_numbers(const struct fl_feature *a, const struct fl_feature *b, bool course,
                            size_t columns, struct fl_drift *out)
{
    double v[2][FL_FEATURE_SAMPLE];
    struct span span = common_span(a, b, course);
    struct fl_drift_side was = side_of(a, span, v[0]);
    struct fl_drift_side is = side_of(b, span, v[1]);
    fl_drift_of(&was, &is, course, columns, out);
}

/* Categories that only the other side has are one more. */
static void compare_categories(const struct fl_feature *a, const struct fl_feature *b,
                               size_t columns, struct fl_drift *out)
{
    long counts[2][FL_FEATURE_CATEGORIES + 1] = {{0}};
    const struct fl_drift_side sides[2] = {
        {.rows = a->rows, .missing = a->rows - a->texts - a->numbers - a->not_finite},
        {.rows = b->rows, .missing = b->rows - b->texts - b->numbers - b->not_finite}};
    long known = 0;
    for (size_t i = 0; i < a->categories; i++) {
        counts[0][i] = a->category[i].count;
        for (size_t k = 0; k < b->categories && k < FL_FEATURE_CATEGORIES; k++) {
            counts[1][i] += b->category[k].hash == a->category[i].hash ? b->category[k].count : 0;
        }
        known += counts[1][i];
    }
    counts[1][a->categories] = b->texts - known;
    fl_drift_of_counts(counts[0], counts[1], a->categories + 1, sides, columns, out);
}

static struct fl_at_step *in_order(const struct fl_feature *f)
{
    struct fl_at_step *list = malloc((f->n + 1) * sizeof *list);
    for (size_t i = 0; list && i < f->n; i++) {
        list[i] = f->sample[i].at;
    }
    if (list) {
        qsort(list, f->n, sizeof *list, fl_at_step_order);
    }
    return list;
}

static bool is_repeated(const struct fl_metrics *metrics, const struct fl_feature *f)
{
    bool any = false;
    for (size_t i = 0; i < sizeof repeats / sizeof *repeats && f->metric >= 0; i++) {
        any |= fl_metrics_find(metrics, fl_str_of(repeats[i])) == f->metric;
    }
    return any;
}

static enum fl_status compare_reruns(const struct fl_feature *a, const struct fl_feature *b,
                                     struct fl_drift_report *out, struct fl_err *err)
{
    struct fl_rerun r;
    struct fl_at_step *was = in_order(a);
    struct fl_at_step *is = in_order(b);
    enum fl_status status = was && is ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for %s", a->name);
    if (status == FL_OK && out->reruns_n < FL_RERUNS_MAX &&
        fl_rerun_differs(was, a->n, is, b->n, &r)) {
        out->rerun[out->reruns_n++] = (struct fl_drift_rerun){a->name, r};
    }
    free(was);
    free(is);
    return status;
}

static bool is_numeric(const struct fl_feature *f)
{
    return f->numbers + f->not_finite > f->texts;
}

static bool has_categories(const struct fl_feature *f)
{
    return f->texts > 0 && f->categories <= FL_FEATURE_CATEGORIES;
}

/* Those with a finding first, the graver before; then by PSI. */
static int worst_first(const void *a, const void *b)
{
    const struct fl_drift_column *x = a;
    const struct fl_drift_column *y = b;
    int p = x->d.found ? 1 + (int)x->d.severity : 0;
    int q = y->d.found ? 1 + (int)y->d.severity : 0;
    return p != q                 ? q - p
           : x->d.psi != y->d.psi ? (x->d.psi < y->d.psi ? 1 : -1)
                                  : strcmp(x->name, y->name);
}

static void add_names(struct fl_buf *out, const struct fl_features *features)
{
    enum { NAMED = 12 };
    for (size_t i = 0; i < features->n && i < NAMED; i++) {
        fl_buf_add_text(out, i ? ", " : "");
        fl_buf_add_safe(out, fl_str_of(features->list[i]->name));
    }
    fl_buf_add_text(out, features->n == 0 ? "nothing" : features->n > NAMED ? ", ..." : "");
}

static enum fl_status nothing_shared(const struct fl_features *reference,
                                     const struct fl_features *now, struct fl_err *err)
{
    struct fl_buf was;
    struct fl_buf is;
    fl_buf_init(&was, 400);
    fl_buf_init(&is, 400);
    add_names(&was, reference);
    add_names(&is, now);
    enum fl_status status =
        fl_fail(err, FL_NOTFOUND,
                "nothing to compare: the reference has %s; the other side has %s. Give two "
                "tables with columns of the same names (.csv, .tsv with a head; .jsonl), or two "
                "logs that print the "
                "same metrics (`faultline signals FILE` shows which are read)",
                fl_buf_text(&was), fl_buf_text(&is));
    fl_buf_free(&was);
    fl_buf_free(&is);
    return status;
}

enum fl_status fl_drift_compare(const struct fl_features *reference, const struct fl_features *now,
                                const struct fl_metrics *metrics, struct fl_drift_report *out,
                                struct fl_err *err)
{
    bool course = reference->course || now->course;
    enum fl_status status = FL_OK;
    *out = (struct fl_drift_report){.full = reference->full || now->full};
    for (size_t i = 0; status == FL_OK && i < reference->n; i++) {
        const struct fl_feature *a = reference->list[i];
        const struct fl_feature *b = fl_features_find(now, a->name);
        struct fl_drift_column *c = &out->column[out->n];
        if (!b) {
            out->gone[out->gone_n++] = a->name;
            continue;
        }
        *c = (struct fl_drift_column){.name = a->name, .course = course};
        if (is_numeric(a) && !a->counts_up) {
            compare_numbers(a, b, course, reference->n, &c->d);
            out->n++;
        } else if (!is_numeric(a) && has_categories(a)) {
            c->categorical = true;
            compare_categories(a, b, reference->n, &c->d);
            out->n++;
        } else {
            out->passed++;
        }
        if (course && is_repeated(metrics, a)) {
            status = compare_reruns(a, b, out, err);
        }
    }
    for (size_t i = 0; i < now->n; i++) {
        if (!fl_features_find(reference, now->list[i]->name)) {
            out->added[out->added_n++] = now->list[i]->name;
        }
    }
    for (size_t i = 0; i < out->n; i++) {
        out->found_n += out->column[i].d.found != 0;
    }
    qsort(out->column, out->n, sizeof *out->column, worst_first);
    return status == FL_OK && out->n == 0 ? nothing_shared(reference, now, err) : status;
}

int fl_drift_worst(const struct fl_drift_report *report)
{
    int worst = report->reruns_n ? (int)FL_SEVERITY_LOW : -1;
    for (size_t i = 0; i < report->found_n; i++) {
        int severity = (int)report->column[i].d.severity;
        worst = severity > worst ? severity : worst;
    }
    return worst;
}
