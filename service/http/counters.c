/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/counters.h"

#include "service/base/str.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { LABELS = 2, BOUNDS = 12 };

static const double bounds[BOUNDS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};

/* Every name that is counted, and what it means. */
static const struct {
    const char *name;
    const char *help;
} names[] = {
    {"faultline_diagnoses_total", "Verdicts given, by outcome, and by what they rest on."},
    {"faultline_diagnosis_duration_seconds", "Time from the first byte read to the verdict."},
    {"faultline_http_request_duration_seconds", "Time from the head of a request to its answer."},
    {"faultline_http_requests_total", "Requests answered, by method and status."},
    {"faultline_ingest_bytes_total", "Bytes of log text that were acknowledged, by protocol."},
    {"faultline_ingest_lines_total", "Lines that were acknowledged, by protocol."},
    {"faultline_ingest_rejected_total", "Records without a text that can be used, by protocol."},
    {"faultline_notices_total", "Notices to others, by kind of receiver, and what became of them."},
    {"faultline_feedback_total", "What people said of verdicts."},
};

struct row {
    const char *name;
    const char *key[LABELS];
    char value[LABELS][FL_COUNTERS_VALUE];
    size_t labels_n;
    bool histogram;
    double sum;
    uint64_t count[BOUNDS + 1];
};

struct fl_counters {
    pthread_mutex_t mutex;
    struct row rows[FL_COUNTERS_ROWS];
    size_t n;
};

enum fl_status fl_counters_new(struct fl_counters **out, struct fl_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out) {
        return fl_fail(err, FL_NOMEM, "no memory for the counters");
    }
    pthread_mutex_init(&(*out)->mutex, NULL);
    return FL_OK;
}

void fl_counters_free(struct fl_counters *counters)
{
    if (counters) {
        pthread_mutex_destroy(&counters->mutex);
        free(counters);
    }
}

static bool is(const struct row *row, const char *name, const struct fl_counter_label *labels, size_t n)
{
    bool same = strcmp(row->name, name) == 0 && row->labels_n == n;
    for (size_t i = 0; same && i < n; i++) {
        same = strncmp(row->value[i], labels[i].value, FL_COUNTERS_VALUE - 1) == 0;
    }
    return same;
}

/* NULL: there are too many. The mutex is held. */
static struct row *find(struct fl_counters *m, const char *name, const struct fl_counter_label *labels,
                        size_t n)
{
    for (size_t i = 0; i < m->n; i++) {
        if (is(&m->rows[i], name, labels, n)) {
            return &m->rows[i];
        }
    }
    if (m->n == FL_COUNTERS_ROWS) {
        return NULL;
    }
    struct row *row = &m->rows[m->n++];
    row->name = name;
    row->labels_n = n < LABELS ? n : LABELS;
    for (size_t i = 0; i < row->labels_n; i++) {
        row->key[i] = labels[i].key;
        snprintf(row->value[i], sizeof row->value[i], "%s", labels[i].value);
    }
    return row;
}

void fl_counters_add(struct fl_counters *m, const char *name, const struct fl_counter_label *labels,
                    size_t n, double by)
{
    pthread_mutex_lock(&m->mutex);
    struct row *row = find(m, name, labels, n);
    if (row) {
        row->sum += by;
    }
    pthread_mutex_unlock(&m->mutex);
}

void fl_counters_observe(struct fl_counters *m, const char *name, const struct fl_counter_label *label,
                        double seconds)
{
    size_t at = 0;
    while (at < BOUNDS && seconds > bounds[at]) {
        at++;
    }
    pthread_mutex_lock(&m->mutex);
    struct row *row = find(m, name, label, label != NULL);
    if (row) {
        row->histogram = true;
        row->sum += seconds;
        row->count[at]++;
    }
    pthread_mutex_unlock(&m->mutex);
}

static void add_labels(struct fl_buf *out, const struct row *row, const char *le)
{
    const char *comma = "";
    if (row->labels_n == 0 && !le) {
        return;
    }
    fl_buf_add_text(out, "{");
    for (size_t i = 0; i < row->labels_n; i++) {
        fl_buf_addf(out, "%s%s=\"", comma, row->key[i]);
        for (const char *c = row->value[i]; *c; c++) {
            fl_buf_addf(out, *c == '\n' ? "\\n" : *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        }
        fl_buf_add_text(out, "\"");
        comma = ",";
    }
    if (le) {
        fl_buf_addf(out, "%sle=\"%s\"", comma, le);
    }
    fl_buf_add_text(out, "}");
}

static void write_histogram(struct fl_buf *out, const struct row *row)
{
    uint64_t total = 0;
    for (size_t i = 0; i <= BOUNDS; i++) {
        char le[32];
        snprintf(le, sizeof le, i < BOUNDS ? "%g" : "+Inf", i < BOUNDS ? bounds[i] : 0);
        total += row->count[i];
        fl_buf_addf(out, "%s_bucket", row->name);
        add_labels(out, row, le);
        fl_buf_addf(out, " %llu\n", (unsigned long long)total);
    }
    fl_buf_addf(out, "%s_sum", row->name);
    add_labels(out, row, NULL);
    fl_buf_addf(out, " %.9g\n%s_count", row->sum, row->name);
    add_labels(out, row, NULL);
    fl_buf_addf(out, " %llu\n", (unsigned long long)total);
}

void fl_counters_write(struct fl_counters *m, struct fl_buf *out)
{
    pthread_mutex_lock(&m->mutex);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool first = true;
        for (size_t k = 0; k < m->n; k++) {
            const struct row *row = &m->rows[k];
            if (strcmp(row->name, names[i].name) != 0) {
                continue;
            }
            if (first) {
                fl_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, names[i].help, row->name,
                            row->histogram ? "histogram" : "counter");
                first = false;
            }
            if (row->histogram) {
                write_histogram(out, row);
            } else {
                fl_buf_add_text(out, row->name);
                add_labels(out, row, NULL);
                fl_buf_addf(out, " %.17g\n", row->sum);
            }
        }
    }
    pthread_mutex_unlock(&m->mutex);
}

void fl_counters_gauge(struct fl_buf *out, const char *name, const char *help, double value)
{
    fl_buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}
