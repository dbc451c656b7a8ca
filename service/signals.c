/* SPDX-License-Identifier: Apache-2.0 */
#include "service/signals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_CAP = 256 << 20 };

/* Linear plots of values that differ by more than this show only the largest. */
static const double far_apart = 1000;

static const struct fl_stream *stream_of(const struct fl_signals *signals, uint32_t stream)
{
    uint32_t n = 0;
    return &fl_diagnosis_streams(signals->diagnosis, &n)[stream];
}

enum { POINTS_MAX = FL_SERIES_ROWS + 3 };

/* Puts it before the first point of a later step, unless it is there. Where steps go back, a run began
 * anew in a file, that may be another time of the same step. */
static size_t insert(struct fl_point out[POINTS_MAX], size_t n, struct fl_point point)
{
    size_t at = 0;
    while (at < n && out[at].step < point.step) {
        at++;
    }
    if (at < n && out[at].step == point.step) {
        return n;
    }
    memmove(out + at + 1, out + at, (n - at) * sizeof *out);
    out[at] = point;
    return n + 1;
}

/* The last value of a metric, and its extremes, are known also where their lines are no longer in the
 * sample. */
static size_t points_of(const struct fl_series *s, int m, struct fl_point out[POINTS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (fl_values_has(&s->rows[i].values, m)) {
            out[n++] = (struct fl_point){s->rows[i].step, s->rows[i].values.value[m]};
        }
    }
    if (n == 0 || out[n - 1].step != s->last_step[m]) {
        out[n++] = (struct fl_point){s->last_step[m], s->tail[m].value};
    }
    const struct fl_range *range = &s->range[m];
    if (n < (size_t)s->count[m] && s->count[m] > range->not_finite) {
        n = insert(out, n, (struct fl_point){range->least_step, range->least});
        n = insert(out, n, (struct fl_point){range->most_step, range->most});
    }
    return n;
}

static bool is_same(const struct fl_point *a, const struct fl_point *b)
{
    bool finite = isfinite(a->value) && isfinite(b->value);
    return a->step == b->step &&
           (finite ? a->value == b->value : !isfinite(a->value) && !isfinite(b->value));
}

/* A chart of the metric, from `first` on, whose points are these. */
static struct fl_chart *chart_like(struct fl_signals *out, size_t first, const struct fl_series *s,
                                   long count, const struct fl_point *points, size_t n)
{
    for (size_t i = first; i < out->charts_n; i++) {
        struct fl_chart *c = &out->charts[i];
        size_t k = 0;
        while (c->n == n && c->count == count && c->printers[0]->run == s->run && k < n &&
               is_same(&c->points[k], &points[k])) {
            k++;
        }
        if (k == n) {
            return c;
        }
    }
    return NULL;
}

/* One chart more, or one printer more of a chart. */
static bool add_chart(struct fl_signals *out, size_t first, const struct fl_series_set *set,
                      const struct fl_series *s, int m)
{
    struct fl_point points[POINTS_MAX];
    size_t n = points_of(s, m, points);
    struct fl_chart *like = chart_like(out, first, s, s->count[m], points, n);
    if (like) {
        const struct fl_series **list = fl_arena_alloc(&out->arena, (like->printers_n + 1) *
                                                                        sizeof(struct fl_series *));
        if (!list) {
            return false;
        }
        memcpy(list, like->printers, like->printers_n * sizeof *list);
        list[like->printers_n++] = s;
        like->printers = list;
        return true;
    }
    struct fl_point *kept = fl_arena_alloc(&out->arena, n * sizeof *kept);
    const struct fl_series **printer = fl_arena_alloc(&out->arena, sizeof(struct fl_series *));
    if (!kept || !printer) {
        return false;
    }
    memcpy(kept, points, n * sizeof *kept);
    *printer = s;
    const struct fl_range *range = &s->range[m];
    out->charts[out->charts_n++] =
        (struct fl_chart){.metric = fl_metrics_name(set->metrics, m), .printers = printer,
                          .printers_n = 1, .points = kept, .n = n, .count = s->count[m],
                          .range = *range,
                          .log_scale = range->least > 0 && range->most > far_apart * range->least};
    return true;
}

/* A bit a metric. */
static enum fl_status wanted_metrics(const struct fl_series_set *set, const char *names,
                                     uint32_t *out, struct fl_err *err)
{
    *out = UINT32_MAX;
    for (const char *p = names; p; p = *p ? p + 1 : NULL) {
        size_t n = strcspn(p, ",");
        int m = fl_metrics_find(set->metrics, fl_str_trim((struct fl_str){p, n}));
        if (m < 0) {
            struct fl_buf known;
            fl_buf_init(&known, 900);
            for (int i = 0; i < FL_METRICS_MAX && set->metrics; i++) {
                const char *name = fl_metrics_name(set->metrics, i);
                fl_buf_addf(&known, "%s%s", i && *name ? ", " : "", name);
            }
            enum fl_status status =
                fl_fail(err, FL_USAGE, "no metric is called %.*s; there are: %s",
                        (int)(n < FL_METRIC_NAME ? n : FL_METRIC_NAME), p, fl_buf_text(&known));
            fl_buf_free(&known);
            return status;
        }
        *out = (p == names ? 0 : *out) | 1U << m;
        p += n;
    }
    *out &= ~((set->step >= 0 ? 1U << set->step : 0) | (set->epoch >= 0 ? 1U << set->epoch : 0));
    return FL_OK;
}

enum fl_status fl_signals_of(struct fl_job *job, const char *names, struct fl_signals *out,
                             struct fl_err *err)
{
    struct fl_diagnosis *d = fl_job_diagnosis(job);
    const struct fl_series_set *set = fl_diagnosis_series(d);
    uint32_t wanted = 0;
    *out = (struct fl_signals){.diagnosis = d};
    fl_arena_init(&out->arena, ARENA_CAP);
    enum fl_status status = wanted_metrics(set, names, &wanted, err);
    if (status != FL_OK) {
        return status;
    }
    out->charts = calloc(set->n * FL_METRICS_MAX + 1, sizeof *out->charts);
    bool room = out->charts != NULL;
    for (int m = 0; room && m < FL_METRICS_MAX; m++) {
        size_t first = out->charts_n;
        for (size_t i = 0; room && i < set->n; i++) {
            if (set->list[i]->count[m] > 0 && wanted >> m & 1) {
                room = add_chart(out, first, set, set->list[i], m);
            }
        }
    }
    size_t n = fl_detect(set, fl_diagnosis_rules(d)->declared, out->found);
    for (size_t i = 0; i < n; i++) {
        if (wanted >> fl_metrics_find(set->metrics, fl_str_of(out->found[i].metric)) & 1) {
            out->found[out->found_n++] = out->found[i];
        }
    }
    return room ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for the series");
}

void fl_signals_free(struct fl_signals *signals)
{
    free(signals->charts);
    fl_arena_free(&signals->arena);
    signals->charts = NULL;
}

bool fl_chart_has(const struct fl_chart *chart, const struct fl_detection *found)
{
    for (size_t i = 0; i < chart->printers_n; i++) {
        if (chart->printers[i] == found->series) {
            return strcmp(chart->metric, found->metric) == 0;
        }
    }
    return false;
}

size_t fl_signals_next_metric(const struct fl_signals *signals, size_t chart)
{
    size_t next = chart + 1;
    while (next < signals->charts_n && signals->charts[next].metric == signals->charts[chart].metric) {
        next++;
    }
    return next;
}

double fl_chart_height(bool log_scale, double lo, double hi, double value)
{
    if (log_scale && lo > 0 && value > 0) {
        lo = log(lo);
        hi = log(hi);
        value = log(value);
    }
    double span = hi / 2 - lo / 2; /* halves: the whole may overflow */
    double share = span > 0 ? (value / 2 - lo / 2) / span : 0.5;
    return share < 0 ? 0 : share > 1 ? 1 : share;
}

static int by_rank(const void *a, const void *b)
{
    long x = *(const long *)a;
    long y = *(const long *)b;
    return x < y ? -1 : x > y;
}

/* "rank 3", "ranks 0-3,7"; nothing where a rank is not known. */
static void add_ranks(const struct fl_chart *chart, const char *comma, struct fl_buf *out)
{
    long ranks[FL_SERIES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < chart->printers_n && n < FL_SERIES_MAX; i++) {
        ranks[n++] = chart->printers[i]->rank;
    }
    qsort(ranks, n, sizeof *ranks, by_rank);
    if (ranks[0] < 0) {
        return;
    }
    fl_buf_addf(out, "%srank%s ", comma, ranks[0] == ranks[n - 1] ? "" : "s");
    const char *between = "";
    for (size_t i = 0; i < n;) {
        size_t last = i;
        while (last + 1 < n && ranks[last + 1] <= ranks[last] + 1) {
            last++;
        }
        fl_buf_addf(out, ranks[last] > ranks[i] ? "%s%ld-%ld" : "%s%ld", between, ranks[i],
                    ranks[last]);
        between = ",";
        i = last + 1;
    }
}

void fl_signals_label(const struct fl_signals *signals, const struct fl_chart *chart,
                      struct fl_buf *out)
{
    const struct fl_series *s = chart->printers[0];
    const char *comma = "";
    uint32_t streams_n = 0;
    fl_diagnosis_streams(signals->diagnosis, &streams_n);
    size_t files = 1;
    for (size_t i = 1; i < chart->printers_n; i++) {
        files += chart->printers[i]->stream != chart->printers[i - 1]->stream;
    }
    if (files > 1) {
        fl_buf_addf(out, "%zu files", files);
        comma = ", ";
    } else if (streams_n > 1) {
        fl_buf_add_safe(out, fl_str_of(stream_of(signals, s->stream)->name));
        comma = ", ";
    }
    if (stream_of(signals, s->stream)->runs_n > 1) {
        fl_buf_addf(out, "%srun %u", comma, s->run + 1);
        comma = ", ";
    }
    add_ranks(chart, comma, out);
}

void fl_signals_number(struct fl_buf *out, double value)
{
    char text[FL_NUMBER_BRIEF];
    fl_buf_add_text(out, fl_number_brief(value, text));
}

void fl_signals_none(const struct fl_signals *signals, struct fl_buf *out)
{
    enum { NAMED = 4 };
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(signals->diagnosis, &n);
    long lines = 0;
    for (uint32_t i = 0; i < n; i++) {
        lines += streams[i].lines;
    }
    fl_buf_addf(out, "No metric was found in %u file%s, %ld lines:", n, n == 1 ? "" : "s", lines);
    for (uint32_t i = 0; i < n && i < NAMED; i++) {
        fl_buf_add_text(out, i ? ", " : " ");
        fl_buf_add_safe(out, fl_str_of(streams[i].name));
    }
    fl_buf_add_text(out, n > NAMED ? ", ...\n" : "\n");
    fl_buf_add_text(out,
        "Numbers are read from lines of progress (\"step 10 loss 2.31\") and from tables (.csv, "
        ".tsv) whose\nfirst line names a step or epoch. Lines of another form need a rule of role "
        "`progress` or `metric`,\nother names a file of format faultline.metrics/1; `faultline rules "
        "import FILE` takes both.\nThe section \"Metrics\" of rules/README.md shows them.\n");
}

int fl_signals_worst(const struct fl_signals *signals)
{
    int worst = -1;
    for (size_t i = 0; i < signals->found_n; i++) {
        int severity = (int)signals->found[i].severity;
        worst = severity > worst ? severity : worst;
    }
    return worst;
}

const char *fl_signals_file(const struct fl_signals *signals, const struct fl_row *row)
{
    return stream_of(signals, row->place.stream)->name;
}
