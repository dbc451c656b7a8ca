/* SPDX-License-Identifier: Apache-2.0 */
#include "service/drift.h"

#include "service/base/json.h"
#include "service/base/markup.h"

#include <stdio.h>

enum { SHOWN = 20, NAMED = 12, CELLS = 9, CELL = 40, NAME_WIDTH = 28 };

static const char *const heads[CELLS] = {"drift", "severity", "PSI",        "JS",    "KS",
                                         "p",     "missing",  "not finite", "median"};

static void add_kinds(unsigned found, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (int k = 0; k < FL_DRIFT_KINDS_N; k++) {
        if (found >> k & 1 && n < size) {
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? "," : "",
                                  fl_drift_kind_name((enum fl_drift_kind)k));
        }
    }
}

static void cells_of(const struct fl_drift_column *c, char out[CELLS][CELL])
{
    const struct fl_drift *d = &c->d;
    add_kinds(d->found, out[0], CELL);
    snprintf(out[1], CELL, "%s", d->found ? fl_severity_name(d->severity) : "");
    snprintf(out[2], CELL, "%.3f", d->psi);
    snprintf(out[3], CELL, "%.3f", d->js);
    snprintf(out[4], CELL, "%.3f", d->ks);
    snprintf(out[5], CELL, d->p < 1e-9 ? "<1e-9" : "%.2g", d->p);
    snprintf(out[6], CELL, "%.1f>%.1f %%", 100 * d->missing[0], 100 * d->missing[1]);
    snprintf(out[7], CELL, "%.1f>%.1f %%", 100 * d->not_finite[0], 100 * d->not_finite[1]);
    snprintf(out[8], CELL, c->categorical ? "categories" : "%.4g>%.4g", d->median[0], d->median[1]);
}

static void add_rerun(const struct fl_drift_rerun *one, struct fl_buf *out)
{
    fl_buf_addf(out, "rerun_differs, low severity: ");
    fl_buf_add_safe(out, fl_str_of(one->name));
    fl_buf_addf(out, " parts at step %ld, %.6g and then %.6g", one->r.from.step, one->r.from.v,
                one->r.now);
    if (one->r.from.rank >= 0) {
        fl_buf_addf(out, " on rank %ld", one->r.from.rank);
    }
    fl_buf_addf(out, " (by %.2g %%; at most by %.2g %%, at step %ld; %zu steps compared)",
                100 * one->r.first, 100 * one->r.most, one->r.most_step, one->r.common);
}

static void add_head(const struct fl_drift_report *r, struct fl_buf *out)
{
    fl_buf_addf(out, "%zu of %zu column%s drifted", r->found_n, r->n, r->n == 1 ? "" : "s");
    if (r->found_n) {
        fl_buf_addf(out, ", %s severity", fl_severity_name((enum fl_severity)fl_drift_worst(r)));
    }
    if (r->passed) {
        fl_buf_addf(out, "; %zu more are steps, times, ids or free text", r->passed);
    }
    fl_buf_add_text(out, r->full ? "; some columns had no room" : "");
}

static void add_list(const char *head, const char *const *names, size_t n, struct fl_buf *out)
{
    fl_buf_add_text(out, n ? head : "");
    for (size_t i = 0; i < n && i < NAMED; i++) {
        fl_buf_add_text(out, i ? ", " : "");
        fl_buf_add_safe(out, fl_str_of(names[i]));
    }
    if (n > NAMED) {
        fl_buf_addf(out, " and %zu more", n - NAMED);
    }
}

/* The lines below the table. */
static size_t notes_of(const struct fl_drift_report *r, size_t left_out,
                       struct fl_buf out[FL_RERUNS_MAX + 3])
{
    size_t n = 0;
    for (; n < r->reruns_n; n++) {
        add_rerun(&r->rerun[n], &out[n]);
    }
    if (r->gone_n) {
        add_list("only in the reference: ", r->gone, r->gone_n, &out[n++]);
    }
    if (r->added_n) {
        add_list("not in the reference: ", r->added, r->added_n, &out[n++]);
    }
    if (left_out) {
        fl_buf_addf(&out[n++], "%zu more columns did not drift (--all shows them)", left_out);
    }
    return n;
}

/* ---- for readers ---- */

struct style {
    const char *head_before, *head_after;
    const char *row, *name_after, *cell, *cell_after, *row_after;
    const char *under_heads, *table_after;
    const char *note, *note_after;
    void (*add)(struct fl_buf *out, struct fl_str text);
};

static void add_plain(struct fl_buf *out, struct fl_str text)
{
    fl_buf_add_safe(out, text);
}

static void add_row(const struct style *s, const char *name, const char *const cell[CELLS],
                    bool aligned, struct fl_buf *out)
{
    size_t before = 0;
    fl_buf_add_text(out, s->row);
    before = out->n;
    s->add(out, fl_str_of(name));
    if (aligned) {
        fl_buf_addf(out, "%*s",
                    before + NAME_WIDTH > out->n ? (int)(before + NAME_WIDTH - out->n) : 0, "");
    }
    fl_buf_add_text(out, s->name_after);
    for (size_t i = 0; i < CELLS; i++) {
        static const int width[CELLS] = {10, 8, 7, 6, 6, 7, 13, 13, 0};
        fl_buf_add_text(out, s->cell);
        fl_buf_addf(out, "%-*s", aligned ? width[i] : 0, cell[i]);
        fl_buf_add_text(out, s->cell_after);
    }
    fl_buf_add_text(out, s->row_after);
}

static void add_document(const struct style *s, const struct fl_drift_report *r, bool all,
                         bool aligned, struct fl_buf *out)
{
    struct fl_buf notes[FL_RERUNS_MAX + 3];
    size_t shown = all || r->n < SHOWN ? r->n : r->found_n > SHOWN ? r->found_n : SHOWN;
    for (size_t i = 0; i < FL_RERUNS_MAX + 3; i++) {
        fl_buf_init(&notes[i], FL_FEATURES_MAX * FL_FEATURE_NAME);
    }
    fl_buf_add_text(out, s->head_before);
    add_head(r, out);
    fl_buf_add_text(out, s->head_after);
    add_row(s, "column", heads, aligned, out);
    fl_buf_add_text(out, s->under_heads);
    for (size_t i = 0; i < shown; i++) {
        char text[CELLS][CELL];
        const char *cell[CELLS];
        cells_of(&r->column[i], text);
        for (size_t k = 0; k < CELLS; k++) {
            cell[k] = text[k];
        }
        add_row(s, r->column[i].name, cell, aligned, out);
    }
    fl_buf_add_text(out, s->table_after);
    size_t n = notes_of(r, r->n - shown, notes);
    for (size_t i = 0; i < n; i++) {
        fl_buf_add_text(out, s->note);
        s->add(out, fl_buf_str(&notes[i]));
        fl_buf_add_text(out, s->note_after);
    }
    for (size_t i = 0; i < FL_RERUNS_MAX + 3; i++) {
        fl_buf_free(&notes[i]);
    }
}

static const struct style text_style = {
    .head_before = "", .head_after = "\n\n", .row = "", .name_after = "", .cell = "  ",
    .cell_after = "", .row_after = "\n", .under_heads = "", .table_after = "\n", .note = "",
    .note_after = "\n", .add = add_plain};
static const struct style markdown_style = {
    .head_before = "## ", .head_after = "\n\n", .row = "| ", .name_after = "", .cell = " | ",
    .cell_after = "", .row_after = " |\n", .under_heads = "|---|---|---|---|---|---|---|---|---|---|\n",
    .table_after = "\n", .note = "- ", .note_after = "\n", .add = fl_markup_markdown};
static const struct style html_style = {
    .head_before = "<h1>", .head_after = "</h1>\n<table>\n", .row = "<tr><td>",
    .name_after = "</td>", .cell = "<td>", .cell_after = "</td>", .row_after = "</tr>\n",
    .under_heads = "", .table_after = "</table>\n", .note = "<p>", .note_after = "</p>\n",
    .add = fl_markup_html};

static const char page_head[] =
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n<title>Drift</title>\n<style>:root{color-scheme:light "
    "dark}body{font:15px/1.45 "
    "system-ui,sans-serif;margin:24px}h1{font-size:22px}td{padding:2px 14px 2px 0;text-align:left;"
    "font-variant-numeric:tabular-nums}tr:first-child{opacity:.7}</style>\n</head>\n<body>\n";

/* ---- for programs ---- */

static void key_num(struct fl_jw *w, const char *key, double value)
{
    fl_jw_key(w, key);
    fl_jw_num(w, value);
}

static void key_pair(struct fl_jw *w, const char *key, const double pair[2])
{
    fl_jw_key(w, key);
    fl_jw_begin(w, '[');
    fl_jw_num(w, pair[0]);
    fl_jw_num(w, pair[1]);
    fl_jw_end(w, ']');
}

static void key_names(struct fl_jw *w, const char *key, const char *const *names, size_t n)
{
    fl_jw_key(w, key);
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < n; i++) {
        fl_jw_text(w, names[i]);
    }
    fl_jw_end(w, ']');
}

static void write_column(struct fl_jw *w, const struct fl_drift_column *c)
{
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "name", c->name);
    fl_jw_key_text(w, "type", c->categorical ? "categories" : c->course ? "course" : "numbers");
    fl_jw_key(w, "kinds");
    fl_jw_begin(w, '[');
    for (int k = 0; k < FL_DRIFT_KINDS_N; k++) {
        if (c->d.found >> k & 1) {
            fl_jw_text(w, fl_drift_kind_name((enum fl_drift_kind)k));
        }
    }
    fl_jw_end(w, ']');
    fl_jw_key_text(w, "severity", c->d.found ? fl_severity_name(c->d.severity) : NULL);
    key_num(w, "psi", c->d.psi);
    key_num(w, "js", c->d.js);
    key_num(w, "ks", c->d.ks);
    key_num(w, "p", c->d.p);
    key_pair(w, "missing", c->d.missing);
    key_pair(w, "not_finite", c->d.not_finite);
    key_pair(w, "median", c->d.median);
    fl_jw_end(w, '}');
}

static void write_rerun(struct fl_jw *w, const struct fl_drift_rerun *one)
{
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "metric", one->name);
    fl_jw_key_text(w, "kind", "rerun_differs");
    fl_jw_key_text(w, "severity", fl_severity_name(FL_SEVERITY_LOW));
    fl_jw_key_int(w, "from_step", one->r.from.step);
    fl_jw_key(w, "rank");
    if (one->r.from.rank >= 0) {
        fl_jw_int(w, one->r.from.rank);
    } else {
        fl_jw_null(w);
    }
    key_pair(w, "values", (const double[2]){one->r.from.v, one->r.now});
    key_num(w, "first", one->r.first);
    key_num(w, "most", one->r.most);
    fl_jw_key_int(w, "most_step", one->r.most_step);
    fl_jw_key_int(w, "common_steps", (int64_t)one->r.common);
    fl_jw_end(w, '}');
}

static void add_json(const struct fl_drift_report *r, struct fl_buf *out)
{
    struct fl_jw w;
    int worst = fl_drift_worst(r);
    fl_jw_init(&w, out, true);
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "schema", "faultline.drift/1");
    fl_jw_key_text(&w, "worst", worst < 0 ? NULL : fl_severity_name((enum fl_severity)worst));
    fl_jw_key(&w, "columns");
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < r->n; i++) {
        write_column(&w, &r->column[i]);
    }
    fl_jw_end(&w, ']');
    fl_jw_key(&w, "reruns");
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < r->reruns_n; i++) {
        write_rerun(&w, &r->rerun[i]);
    }
    fl_jw_end(&w, ']');
    key_names(&w, "only_in_reference", r->gone, r->gone_n);
    key_names(&w, "not_in_reference", r->added, r->added_n);
    fl_jw_key_int(&w, "passed_over", (int64_t)r->passed);
    fl_jw_end(&w, '}');
    fl_buf_add_text(out, "\n");
}

enum fl_status fl_drift_show(const struct fl_drift_report *report,
                             const struct fl_signals_options *options, struct fl_buf *out,
                             struct fl_err *err)
{
    if (options->format == FL_SIGNALS_JSON) {
        add_json(report, out);
    } else if (options->format == FL_SIGNALS_MARKDOWN) {
        add_document(&markdown_style, report, options->all, false, out);
    } else if (options->format == FL_SIGNALS_HTML) {
        fl_buf_add_text(out, page_head);
        add_document(&html_style, report, true, false, out);
        fl_buf_add_text(out, "</body>\n</html>\n");
    } else {
        add_document(&text_style, report, options->all, true, out);
    }
    return out->failed ? fl_fail(err, out->failed, "the report is too large") : FL_OK;
}
