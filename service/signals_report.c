/* SPDX-License-Identifier: Apache-2.0 */
/* A column of a sparkline stands for several points: it shows their mean, but the highest and the
 * lowest of all points stay to be seen, since one of them is what a reader looks for. */
#include "service/signals_report.h"

#include "service/base/markup.h"

#include <math.h>
#include <stdio.h>

enum { LEVELS = 8, SHOWN = 8, SHOWN_BYTES = 160 };

static const char *const blocks[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
static const char *const plain[LEVELS] = {"_", ".", ",", "-", "=", "+", "*", "#"};

struct sheet {
    const struct fl_signals *signals;
    const struct fl_signals_options *o;
    struct fl_buf *out;
    const char *bold;
    const char *red;
    const char *dim;
    const char *off;
};

struct fold {
    size_t columns;
    size_t n;
};

static struct fold fold_of(const struct sheet *s, const struct fl_chart *c)
{
    size_t width = (size_t)s->o->width;
    return (struct fold){c->n < width ? c->n : width, c->n};
}

static size_t first_of(struct fold f, size_t column)
{
    return column * f.n / f.columns;
}

static size_t column_of(struct fold f, size_t point)
{
    size_t column = 0;
    while (column + 1 < f.columns && first_of(f, column + 1) <= point) {
        column++;
    }
    return column;
}

struct cell {
    bool gap; /* a value that is not finite is there */
    bool any;
    double value;
};

static struct cell cell_of(const struct fl_chart *c, struct fold f, size_t column)
{
    struct cell cell = {.any = false};
    double sum = 0;
    size_t n = 0;
    bool low = false;
    bool high = false;
    for (size_t i = first_of(f, column); i < first_of(f, column + 1); i++) {
        double v = c->points[i].value;
        if (!isfinite(v)) {
            cell.gap = true;
            continue;
        }
        low |= v == c->range.least;
        high |= v == c->range.most;
        sum += v;
        n++;
    }
    cell.any = n > 0;
    cell.value = high ? c->range.most : low ? c->range.least : n ? sum / (double)n : 0;
    return cell;
}

static void add_sparkline(const struct sheet *s, const struct fl_chart *c)
{
    struct fold f = fold_of(s, c);
    const char *const *ramp = s->o->ascii ? plain : blocks;
    for (size_t i = 0; i < f.columns; i++) {
        struct cell cell = cell_of(c, f, i);
        if (cell.gap || !cell.any) {
            fl_buf_addf(s->out, "%s%s%s", s->red, s->o->ascii ? "x" : "×", s->off);
            continue;
        }
        double share = fl_chart_height(c->log_scale, c->range.least, c->range.most, cell.value);
        fl_buf_add_text(s->out, ramp[(int)(share * (LEVELS - 1) + 0.5)]);
    }
    fl_buf_add_text(s->out, "\n");
}

/* The points of the chart from its first step to its last. */
static void span_of(const struct fl_chart *c, const struct fl_detection *d, size_t *from_r,
                    size_t *to_r)
{
    size_t from = 0;
    while (from + 1 < c->n && c->points[from].step < d->from_step) {
        from++;
    }
    size_t to = c->n - 1;
    while (to > from && c->points[to].step > d->to_step) {
        to--;
    }
    *from_r = from;
    *to_r = to;
}

static void add_mark(const struct sheet *s, const struct fl_chart *c, const struct fl_detection *d)
{
    struct fold f = fold_of(s, c);
    size_t from = 0;
    size_t to = 0;
    span_of(c, d, &from, &to);
    from = column_of(f, from);
    to = column_of(f, to);
    fl_buf_addf(s->out, "  %*s%s", (int)from, "", s->red);
    for (size_t i = from; i <= to; i++) {
        fl_buf_add_text(s->out, "^");
    }
    fl_buf_addf(s->out, "%s %s\n", s->off, d->kind);
}

static void add_numbers(const struct sheet *s, const struct fl_chart *c)
{
    struct fl_buf *out = s->out;
    fl_buf_addf(out, "steps %ld to %ld, %ld value%s", c->points[0].step, c->points[c->n - 1].step,
                c->count, c->count == 1 ? "" : "s");
    if (c->range.not_finite) {
        fl_buf_addf(out, " (%ld not finite)", c->range.not_finite);
    }
    fl_buf_add_text(out, ": first ");
    fl_signals_number(out, c->points[0].value);
    fl_buf_add_text(out, ", last ");
    fl_signals_number(out, c->points[c->n - 1].value);
    if (c->count > c->range.not_finite) {
        fl_buf_add_text(out, ", min ");
        fl_signals_number(out, c->range.least);
        fl_buf_add_text(out, ", max ");
        fl_signals_number(out, c->range.most);
    }
    fl_buf_add_text(out, c->log_scale ? ", drawn by its logarithm\n" : "\n");
}

static void add_steps(struct fl_buf *out, const struct fl_detection *d)
{
    fl_buf_addf(out, d->to_step > d->from_step ? "steps %ld to %ld" : "step %ld", d->from_step,
                d->to_step);
    if (d->rank >= 0) {
        fl_buf_addf(out, ", rank %ld", d->rank);
    }
}

static void add_detection(const struct sheet *s, const struct fl_detection *d)
{
    struct fl_buf *out = s->out;
    struct fl_str text = fl_str_trim((struct fl_str){d->row->text, d->row->text_n});
    fl_buf_addf(out, "  %s%s%s  ", s->bold, d->kind, s->off);
    add_steps(out, d);
    fl_buf_addf(out, ", %s severity, %.0f %% sure: ", fl_severity_name(d->severity),
                d->confidence * 100);
    fl_buf_add_safe(out, fl_str_of(d->text));
    if (d->detector) {
        fl_buf_add_text(out, " (detector ");
        fl_buf_add_safe(out, fl_str_of(d->detector));
        fl_buf_add_text(out, ")");
    }
    fl_buf_add_text(out, "\n");
    fl_buf_add_text(out, "    > ");
    fl_buf_add_safe(out, fl_str_of(fl_signals_file(s->signals, d->row)));
    fl_buf_addf(out, ":%ld  ", d->row->place.line);
    fl_buf_add_safe(out, fl_str_head(text, SHOWN_BYTES));
    fl_buf_add_text(out, text.n > SHOWN_BYTES ? " ...\n" : "\n");
}

static void add_chart(const struct sheet *s, const struct fl_chart *c)
{
    struct fl_buf label;
    fl_buf_init(&label, 4096);
    fl_signals_label(s->signals, c, &label);
    fl_buf_add_text(s->out, s->bold);
    fl_buf_add_safe(s->out, fl_str_of(c->metric));
    fl_buf_addf(s->out, "%s%s%s\n  ", s->off, label.n ? "  " : "", fl_buf_text(&label));
    fl_buf_free(&label);
    add_sparkline(s, c);
    for (size_t i = 0; i < s->signals->found_n; i++) {
        if (fl_chart_has(c, &s->signals->found[i])) {
            add_mark(s, c, &s->signals->found[i]);
        }
    }
    fl_buf_addf(s->out, "  %s", s->dim);
    add_numbers(s, c);
    fl_buf_add_text(s->out, s->off);
    for (size_t i = 0; i < s->signals->found_n; i++) {
        if (fl_chart_has(c, &s->signals->found[i])) {
            add_detection(s, &s->signals->found[i]);
        }
    }
    fl_buf_add_text(s->out, "\n");
}

static void add_chart_markdown(const struct sheet *s, const struct fl_chart *c)
{
    struct fl_buf label;
    fl_buf_init(&label, 4096);
    fl_signals_label(s->signals, c, &label);
    fl_buf_add_text(s->out, "### ");
    fl_markup_markdown(s->out, fl_str_of(c->metric));
    fl_buf_add_text(s->out, label.n ? ", " : "");
    fl_markup_markdown(s->out, fl_buf_str(&label));
    fl_buf_free(&label);
    fl_buf_add_text(s->out, "\n\n```text\n  ");
    add_sparkline(s, c);
    for (size_t i = 0; i < s->signals->found_n; i++) {
        if (fl_chart_has(c, &s->signals->found[i])) {
            add_mark(s, c, &s->signals->found[i]);
        }
    }
    fl_buf_add_text(s->out, "```\n\n- ");
    add_numbers(s, c);
    for (size_t i = 0; i < s->signals->found_n; i++) {
        const struct fl_detection *d = &s->signals->found[i];
        if (!fl_chart_has(c, d)) {
            continue;
        }
        fl_buf_addf(s->out, "- **%s** ", d->kind);
        add_steps(s->out, d);
        fl_buf_addf(s->out, ", %s severity, %.0f %% sure: ", fl_severity_name(d->severity),
                    d->confidence * 100);
        fl_markup_markdown(s->out, fl_str_of(d->text));
        fl_buf_add_text(s->out, "\n  - ");
        fl_markup_markdown(s->out, fl_str_of(fl_signals_file(s->signals, d->row)));
        fl_buf_addf(s->out, ":%ld ", d->row->place.line);
        fl_markup_markdown(s->out, (struct fl_str){d->row->text, d->row->text_n});
        fl_buf_add_text(s->out, "\n");
    }
    fl_buf_add_text(s->out, "\n");
}

static bool has_any(const struct fl_signals *signals, const struct fl_chart *c)
{
    bool any = false;
    for (size_t i = 0; i < signals->found_n; i++) {
        any |= fl_chart_has(c, &signals->found[i]);
    }
    return any;
}

/* Those with a detection come first, and always. */
static void add_metric(const struct sheet *s, size_t first, size_t end)
{
    void (*add)(const struct sheet *, const struct fl_chart *) =
        s->o->format == FL_SIGNALS_MARKDOWN ? add_chart_markdown : add_chart;
    size_t shown = 0;
    size_t left_out = 0;
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = first; i < end; i++) {
            const struct fl_chart *c = &s->signals->charts[i];
            if (has_any(s->signals, c) != (turn == 0)) {
                continue;
            }
            bool show = turn == 0 || s->o->all || shown < SHOWN;
            if (show) {
                add(s, c);
            }
            shown += show;
            left_out += !show;
        }
    }
    if (left_out) {
        fl_buf_addf(s->out, "... and %zu more of it, nothing found in them (--all shows them)\n\n",
                    left_out);
    }
}

static void add_head(const struct sheet *s)
{
    size_t metrics = 0;
    uint32_t files = 0;
    for (size_t i = 0; i < s->signals->charts_n; i = fl_signals_next_metric(s->signals, i)) {
        metrics++;
    }
    fl_diagnosis_streams(s->signals->diagnosis, &files);
    int worst = fl_signals_worst(s->signals);
    fl_buf_addf(s->out, "%s%zu metric%s in %u file%s, ",
                s->o->format == FL_SIGNALS_MARKDOWN ? "## " : "", metrics, metrics == 1 ? "" : "s",
                files, files == 1 ? "" : "s");
    if (worst < 0) {
        fl_buf_add_text(s->out, "nothing wrong found\n\n");
    } else {
        fl_buf_addf(s->out, "%s%zu detection%s, %s%s severity%s\n\n", s->red, s->signals->found_n,
                    s->signals->found_n == 1 ? "" : "s", s->signals->found_n == 1 ? "" : "up to ",
                    fl_severity_name((enum fl_severity)worst), s->off);
    }
}

enum fl_status fl_signals_report(const struct fl_signals *signals,
                                 const struct fl_signals_options *options, struct fl_buf *out,
                                 struct fl_err *err)
{
    struct sheet s = {signals, options, out, "", "", "", ""};
    if (options->colour && options->format == FL_SIGNALS_TEXT) {
        s.bold = "\x1b[1m";
        s.red = "\x1b[1;31m";
        s.dim = "\x1b[2m";
        s.off = "\x1b[0m";
    }
    if (options->format == FL_SIGNALS_JSON) {
        fl_signals_json(signals, out);
    } else if (options->format == FL_SIGNALS_HTML) {
        fl_signals_html(signals, out);
    } else if (signals->charts_n == 0) {
        fl_signals_none(signals, out);
    } else {
        add_head(&s);
        for (size_t i = 0; i < signals->charts_n; i = fl_signals_next_metric(signals, i)) {
            add_metric(&s, i, fl_signals_next_metric(signals, i));
        }
    }
    return out->failed ? fl_fail(err, out->failed,
                                 "the report is too large: choose metrics by --metric NAME")
                       : FL_OK;
}
