/* SPDX-License-Identifier: Apache-2.0 */
#include "service/job_table.h"

#include "service/ingest/source.h"

enum { COLUMNS = 256 };

struct table {
    struct fl_job *job;
    const char *name;
    const char *path;
    char mark; /* that parts fields */
    int metric[COLUMNS]; /* -1: none */
    size_t columns;
    bool headed;
    bool good;
    uint32_t stream;
    uint64_t order;
};

bool fl_job_table_name(const char *path)
{
    struct fl_str name = fl_str_of(path);
    return fl_str_ends(name, FL_LIT(".csv")) || fl_str_ends(name, FL_LIT(".tsv"));
}

bool fl_job_table_field(struct fl_str *row, char mark, struct fl_str *out)
{
    if (!row->p) {
        return false;
    }
    const char *quote = row->n > 1 && *row->p == '"' ? memchr(row->p + 1, '"', row->n - 1) : NULL;
    size_t from = quote ? (size_t)(quote - row->p) : 0; /* a mark inside quotes parts nothing */
    const char *end = row->n > from ? memchr(row->p + from, mark, row->n - from) : NULL;
    struct fl_str field = {row->p, end ? (size_t)(end - row->p) : row->n};
    *row = end ? fl_str_skip(*row, field.n + 1) : (struct fl_str){NULL, 0};
    field = fl_str_trim(field);
    bool quoted = field.n > 1 && field.p[0] == '"' && field.p[field.n - 1] == '"';
    *out = quoted ? (struct fl_str){field.p + 1, field.n - 2} : field;
    return true;
}

static enum fl_status take_head(struct table *t, struct fl_str row, struct fl_err *err)
{
    const struct fl_metrics *metrics = fl_diagnosis_rules(fl_job_diagnosis(t->job))->metrics;
    struct fl_str field;
    bool axis = false;
    bool values = false;
    t->mark = row.n && memchr(row.p, '\t', row.n) ? '\t' : ',';
    while (metrics && t->columns < COLUMNS && fl_job_table_field(&row, t->mark, &field)) {
        int metric = fl_metrics_meant(metrics, field);
        bool is_axis = metric >= 0 && (metric == fl_metrics_find(metrics, FL_LIT("step")) ||
                                       metric == fl_metrics_find(metrics, FL_LIT("epoch")));
        axis |= is_axis;
        values |= metric >= 0 && !is_axis;
        t->metric[t->columns++] = metric;
    }
    t->headed = true;
    t->good = axis && values;
    return t->good ? fl_diagnosis_stream(fl_job_diagnosis(t->job), t->name, t->path, &t->stream, err)
                   : FL_OK;
}

static void take_row(struct table *t, struct fl_str row, const struct fl_line_at *at)
{
    struct fl_place place = {.stream = t->stream, .line = at->number, .offset = at->offset,
                             .rank = -1, .local_rank = -1, .gpu = -1};
    struct fl_values values = {.present = 0};
    struct fl_str rest = row;
    struct fl_str field;
    for (size_t i = 0; i < t->columns && fl_job_table_field(&rest, t->mark, &field); i++) {
        if (field.n) {
            fl_values_put(&values, t->metric[i], field);
        }
    }
    fl_diagnosis_values(fl_job_diagnosis(t->job), &place, &values, row, t->order++);
}

static enum fl_status on_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct table *t = ctx;
    enum fl_status status = FL_OK;
    for (size_t i = 0; status == FL_OK && i < batch->n && (t->good || !t->headed); i++) {
        if (!t->headed) {
            status = take_head(t, batch->texts[i], err);
        } else if (batch->texts[i].n) {
            take_row(t, batch->texts[i], &batch->at[i]);
        }
    }
    return status;
}

enum fl_status fl_job_table(struct fl_job *job, const char *name, const char *path, bool *read_r,
                            struct fl_err *err)
{
    struct table t = {.job = job, .name = name, .path = path};
    struct fl_source *src = NULL;
    struct fl_lines *lines = NULL;
    struct fl_err fault = {0};
    enum fl_status read = FL_OK;
    enum fl_status status = fl_source_open(path, 0, &src, err);
    if (status == FL_OK) {
        status = fl_lines_new(FL_LINES_BARS, on_batch, &t, &lines, err);
    }
    if (status == FL_OK) {
        status = fl_source_pour(src, lines, &read, &fault, err);
    }
    if (status == FL_OK && read != FL_OK) {
        status = fl_fail(err, read, "%s", fault.msg);
    }
    if (t.good) {
        uint32_t n = 0;
        struct fl_stream *stream = &fl_diagnosis_streams(fl_job_diagnosis(job), &n)[t.stream];
        stream->lines = stream->kept = (long)t.order;
        stream->bytes = fl_lines_bytes(lines);
    }
    *read_r = t.good;
    fl_lines_free(lines);
    fl_source_close(src);
    return status;
}
