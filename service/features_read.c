/* SPDX-License-Identifier: Apache-2.0 */
#include "service/features.h"

#include "rules/signals/column.h"
#include "service/ingest/source.h"
#include "service/job_table.h"
#include "service/pipeline.h"

#include <math.h>
#include <stdlib.h>

struct reading {
    struct fl_features *out;
    const struct fl_metrics *metrics;
    int step; /* numbers of these metrics, -1: there are none */
    int epoch;
    bool json; /* an object a line, no head */
    char mark;
    bool headed;
    size_t columns;
    struct fl_feature *column[FL_FEATURES_MAX]; /* those of this file; NULL: there was no room */
    struct fl_str cell[FL_FEATURES_MAX];        /* of this row */
    long row;
};

static bool is_axis(const struct reading *r, const struct fl_feature *f)
{
    return f && f->metric >= 0 && (f->metric == r->step || f->metric == r->epoch);
}

static struct fl_feature *add_column(struct reading *r, struct fl_str name, size_t hint)
{
    struct fl_feature *f = fl_features_column(r->out, name, r->metrics, hint);
    r->out->course |= is_axis(r, f);
    return f;
}

static void take_head(struct reading *r, struct fl_str row)
{
    struct fl_str name;
    r->mark = row.n && memchr(row.p, '\t', row.n) ? '\t' : ',';
    while (r->columns < FL_FEATURES_MAX && fl_job_table_field(&row, r->mark, &name)) {
        r->column[r->columns] = add_column(r, name, r->columns);
        r->columns++;
    }
    r->headed = true;
}

/* ---- an object a line ---- */

static const char *end_of_string(struct fl_str s)
{
    size_t i = 1;
    while (i < s.n && s.p[i] != '"') {
        i += s.p[i] == '\\' ? 2 : 1;
    }
    return i < s.n ? s.p + i + 1 : s.p + s.n;
}

/* The value at the front of *s, up to the comma or bracket behind it. */
static struct fl_str take_value(struct fl_str *s)
{
    const char *from = s->p;
    int depth = 0;
    while (s->n) {
        char c = *s->p;
        if (depth == 0 && (c == ',' || c == '}')) {
            break;
        }
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        const char *next = c == '"' ? end_of_string(*s) : s->p + 1;
        *s = fl_str_skip(*s, (size_t)(next - s->p));
    }
    return fl_str_trim((struct fl_str){from, (size_t)(s->p - from)});
}

/* Its columns are those of the lines before, too. Lists and objects in it are passed over. JSON's
 * own reader is not asked, since loggers write NaN. */
static bool take_object(struct reading *r, struct fl_str line)
{
    struct fl_str s = fl_str_trim(line);
    size_t hint = 0;
    if (!fl_str_take_char(&s, '{')) {
        return false;
    }
    for (s = fl_str_ltrim(s); s.n && *s.p == '"'; s = fl_str_ltrim(s)) {
        const char *end = end_of_string(s);
        struct fl_str name = {s.p + 1, (size_t)(end - s.p) - 1};
        name.n -= name.n && name.p[name.n - 1] == '"';
        s = fl_str_ltrim(fl_str_skip(s, (size_t)(end - s.p)));
        if (!fl_str_take_char(&s, ':')) {
            return false;
        }
        struct fl_str value = take_value(&s);
        fl_str_take_char(&s, ',');
        bool deep = value.n && (*value.p == '{' || *value.p == '[');
        struct fl_feature *f = deep ? NULL : add_column(r, name, hint);
        size_t i = hint < r->columns && r->column[hint] == f ? hint : 0;
        while (i < r->columns && r->column[i] != f) {
            i++;
        }
        hint++;
        if (f && i < FL_FEATURES_MAX) {
            r->column[i] = f;
            r->columns += i == r->columns;
            bool quoted = value.n > 1 && *value.p == '"';
            r->cell[i] = quoted ? (struct fl_str){value.p + 1, value.n - 2} : value;
        }
    }
    return fl_str_take_char(&s, '}');
}

/* ---- rows ---- */

static enum fl_status take_cells(struct reading *r, struct fl_err *err)
{
    long step = r->row;
    enum fl_status status = FL_OK;
    for (size_t i = 0; i < r->columns; i++) {
        if (r->column[i] && r->column[i]->metric == r->step && r->step >= 0) {
            struct fl_str digits = r->cell[i];
            fl_str_take_number(&digits, &step);
        }
    }
    for (size_t i = 0; status == FL_OK && i < r->columns; i++) {
        if (r->column[i]) {
            status = fl_feature_text(r->column[i], r->row, step, r->cell[i], err);
        }
    }
    r->row++;
    return status;
}

static enum fl_status on_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct reading *r = ctx;
    enum fl_status status = FL_OK;
    for (size_t i = 0; status == FL_OK && i < batch->n; i++) {
        struct fl_str row = batch->texts[i];
        if (row.n == 0) {
            continue;
        }
        if (!r->json && !r->headed) {
            take_head(r, row);
            continue;
        }
        memset(r->cell, 0, sizeof r->cell);
        size_t n = 0;
        while (!r->json && n < r->columns && fl_job_table_field(&row, r->mark, &r->cell[n])) {
            n++;
        }
        if (!r->json || take_object(r, row)) {
            status = take_cells(r, err);
        }
    }
    return status;
}

static bool is_json(const char *path)
{
    struct fl_str name = fl_str_of(path);
    return fl_str_ends(name, FL_LIT(".jsonl")) || fl_str_ends(name, FL_LIT(".ndjson"));
}

static enum fl_status read_table(const char *path, const struct fl_metrics *metrics,
                                 struct fl_features *out, struct fl_err *err)
{
    struct reading *r = calloc(1, sizeof *r);
    struct fl_source *src = NULL;
    struct fl_lines *lines = NULL;
    struct fl_err fault = {0};
    enum fl_status read = FL_OK;
    if (!r) {
        return fl_fail(err, FL_NOMEM, "%s: no memory", path);
    }
    *r = (struct reading){.out = out,
                          .metrics = metrics,
                          .json = is_json(path),
                          .step = fl_metrics_find(metrics, FL_LIT("step")),
                          .epoch = fl_metrics_find(metrics, FL_LIT("epoch"))};
    enum fl_status status = fl_source_open(path, 0, &src, err);
    if (status == FL_OK) {
        status = fl_lines_new(FL_LINES_BARS, on_batch, r, &lines, err);
    }
    if (status == FL_OK) {
        status = fl_source_pour(src, lines, &read, &fault, err);
    }
    if (status == FL_OK && read != FL_OK) {
        status = fl_fail(err, read, "%s", fault.msg);
    }
    for (size_t i = 0; i < r->columns; i++) {
        if (r->column[i]) {
            r->column[i]->rows += r->row;
            r->column[i]->counts_up |= is_axis(r, r->column[i]);
            r->column[i]->last = -INFINITY; /* of another file they begin anew */
        }
    }
    fl_lines_free(lines);
    fl_source_close(src);
    free(r);
    return status;
}

/* ---- logs ---- */

static enum fl_status add_metric(const struct fl_series_set *set, const struct fl_series *s, int m,
                                 struct fl_features *out, struct fl_err *err)
{
    struct fl_feature *f =
        fl_features_column(out, fl_str_of(fl_metrics_name(set->metrics, m)), set->metrics, 0);
    enum fl_status status = FL_OK;
    struct fl_column c;
    if (!f) {
        return FL_OK;
    }
    fl_column_of(s, m, &c);
    for (size_t i = 0; status == FL_OK && i < c.n; i++) {
        status = fl_feature_number(f, c.row[i]->number,
                                   (struct fl_at_step){s->rank, c.row[i]->step, c.v[i]}, err);
    }
    f->metric = m;
    f->counts_up = false;
    f->rows += s->count[m];
    f->not_finite += s->range[m].not_finite;
    return status;
}

/* Of each stream the last run. */
static enum fl_status read_logs(const struct fl_rulebook *book, const struct fl_request *request,
                                struct fl_features *out, struct fl_err *err)
{
    struct fl_job *job = NULL;
    struct fl_verdict verdict = {.outcome = FL_OUTCOME_UNKNOWN};
    enum fl_status status = fl_pipeline_judge(book, request, &job, &verdict, err);
    if (status == FL_OK) {
        struct fl_diagnosis *d = fl_job_diagnosis(job);
        const struct fl_series_set *set = fl_diagnosis_series(d);
        uint32_t n = 0;
        const struct fl_stream *streams = fl_diagnosis_streams(d, &n);
        for (size_t i = 0; i < set->n; i++) {
            const struct fl_series *s = set->list[i];
            bool last = s->run == fl_stream_last_run(&streams[s->stream]);
            for (int m = 0; last && status == FL_OK && m < FL_METRICS_MAX; m++) {
                if (s->count[m] > 0 && m != set->step && m != set->epoch) {
                    status = add_metric(set, s, m, out, err);
                }
            }
        }
        out->course = true;
    }
    fl_job_free(job);
    return status;
}

enum fl_status fl_features_read(const struct fl_rulebook *book, const struct fl_config *config,
                                const char *const *paths, size_t n, struct fl_features *out,
                                struct fl_err *err)
{
    const char **logs = calloc(n + 1, sizeof *logs);
    struct fl_request request = {.paths = logs, .config = config};
    enum fl_status status = logs ? FL_OK : fl_fail(err, FL_NOMEM, "no memory");
    *out = (struct fl_features){.n = 0};
    for (size_t i = 0; status == FL_OK && i < n; i++) {
        if (fl_job_table_name(paths[i]) || is_json(paths[i])) {
            status = read_table(paths[i], book->set->metrics, out, err);
        } else {
            logs[request.paths_n++] = paths[i];
        }
    }
    if (status == FL_OK && request.paths_n) {
        status = read_logs(book, &request, out, err);
    }
    free(logs);
    return status;
}
