/* SPDX-License-Identifier: Apache-2.0 */
/* One page that needs nothing but itself: plots are inline SVG, the read-out under the pointer is CSS.
 * Of a metric all printers are drawn into one plot, so that the odd one shows. Text of logs is
 * escaped, and the page's own policy forbids scripts and loading of anything. */
#include "service/signals_report.h"

#include "service/base/markup.h"

#include <math.h>
#include <stdlib.h>

/* The plot within its drawing, in its units. */
enum { WIDTH = 720, LEFT = 62, RIGHT = 706, TOP = 22, BOTTOM = 216, HEIGHT = 240 };
enum { COLOURS = 8, READOUTS = 160, ROWS = 12, TICKS_MAX = 16, LABEL_CAP = 4096,
       DENSE = 300 };

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f24;--dim:#5d6672;--line:#dfe3e8;"
    "--c0:#0a66c2;--c1:#d97706;--c2:#0f8a5f;--c3:#b0469b;--c4:#2aa1c9;--c5:#c2410c;--c6:#7c6a1c;"
    "--c7:#5b5bd6;--cx:#9aa3ad;--critical:#b00020;--high:#d1242f;--medium:#b26a00;--low:#4c6f94}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#0f1216;--card:#181c22;--ink:#e6e9ed;--dim:#98a2ae;"
    "--line:#2b323b;--c0:#5aa7f7;--c1:#f0a53a;--c2:#3ecf95;--c3:#e07fce;--c4:#66cdee;--c5:#ff8659;"
    "--c6:#d3bf5a;--c7:#9d9dff;--cx:#626c78;--critical:#ff5c6c;--high:#ff6b6b;--medium:#f0a53a;"
    "--low:#86aed6}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.45 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}\n"
    "main{max-width:1440px;margin:0 auto;padding:24px 20px 48px}h1{font-size:22px;margin:0 0 2px}"
    "h2{font-size:16px;margin:0;font-weight:650}p{margin:0}.sub{color:var(--dim);margin-bottom:18px}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;"
    "min-width:0}.cards{display:grid;gap:16px;margin-top:16px;"
    "grid-template-columns:repeat(auto-fit,minmax(min(100%,560px),1fr))}\n"
    "ul{list-style:none;margin:0;padding:0}li+li{border-top:1px solid var(--line);margin-top:10px;"
    "padding-top:10px}.what{font-weight:600}.at{color:var(--dim);font-size:13px}\n"
    "code{display:block;margin-top:4px;font:12.5px/1.4 ui-monospace,\"DejaVu Sans Mono\",monospace;"
    "overflow-wrap:anywhere}code b{font-weight:400;color:var(--dim)}a{color:inherit}\n"
    ".tag{display:inline-block;min-width:72px;text-align:center;font-size:12px;font-weight:600;"
    "border-radius:99px;padding:1px 9px;margin-right:8px;color:var(--card);background:var(--low)}"
    ".tag.medium{background:var(--medium)}.tag.high{background:var(--high)}"
    ".tag.critical{background:var(--critical)}\n"
    "svg{display:block;width:100%;height:auto;margin-top:4px;overflow:visible}"
    "svg text{font-size:11.5px;fill:var(--dim);font-variant-numeric:tabular-nums}"
    ".grid{stroke:var(--line);stroke-width:1}.y{text-anchor:end}.x{text-anchor:middle}\n"
    ".p{fill:none;stroke:var(--cx);stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}.p.t{stroke-width:1.1}"
    ".gap{fill:var(--high);opacity:.75}.d rect{fill:var(--low);opacity:.13}.d path{stroke:var(--low);"
    "stroke-width:2.5}svg .d text{fill:var(--low);font-weight:650}\n"
    ".d.medium rect{fill:var(--medium)}.d.medium path{stroke:var(--medium)}"
    "svg .d.medium text{fill:var(--medium)}.d.high rect{fill:var(--high)}.d.high path{stroke:var(--high)}"
    "svg .d.high text{fill:var(--high)}.d.critical rect{fill:var(--critical)}"
    ".d.critical path{stroke:var(--critical)}svg .d.critical text{fill:var(--critical)}\n"
    ".h rect{fill:transparent}.h :not(rect){visibility:hidden;pointer-events:none}"
    ".h:hover :not(rect){visibility:visible}.h line{stroke:var(--dim);stroke-dasharray:2 3}"
    ".h circle{fill:var(--ink)}svg .h text{text-anchor:end;fill:var(--ink);font-weight:600}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px;margin-top:8px;"
    "font-variant-numeric:tabular-nums}th{color:var(--dim);font-weight:500}"
    "td,th{text-align:right;padding:2px 0 2px 14px;white-space:nowrap}"
    "td:first-child,th:first-child{text-align:left;padding-left:0;white-space:normal}\n"
    "i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:8px;"
    "vertical-align:middle;background:var(--cx)}details{margin-top:6px}summary{color:var(--dim);"
    "cursor:pointer;font-size:13px}";

static const char colours[] =
    ".p.k0{stroke:var(--c0)}i.k0{background:var(--c0)}.p.k1{stroke:var(--c1)}i.k1{background:var(--c1)}"
    ".p.k2{stroke:var(--c2)}i.k2{background:var(--c2)}.p.k3{stroke:var(--c3)}i.k3{background:var(--c3)}"
    ".p.k4{stroke:var(--c4)}i.k4{background:var(--c4)}.p.k5{stroke:var(--c5)}i.k5{background:var(--c5)}"
    ".p.k6{stroke:var(--c6)}i.k6{background:var(--c6)}.p.k7{stroke:var(--c7)}i.k7{background:var(--c7)}";

/* All charts of one metric in one frame. */
struct plot {
    const struct fl_signals *signals;
    struct fl_buf *out;
    size_t number; /* of its first chart */
    const struct fl_chart *chart[FL_SERIES_MAX]; /* those with a detection first */
    size_t n;
    bool any; /* a finite value */
    bool log_scale;
    double lo;
    double hi;
    long from;
    long to;
};

static double x_of(const struct plot *p, long step)
{
    double share = p->to > p->from ? ((double)step - (double)p->from) /
                                         ((double)p->to - (double)p->from)
                                   : 0.5;
    return LEFT + share * (RIGHT - LEFT);
}

static double y_of(const struct plot *p, double value)
{
    return BOTTOM - fl_chart_height(p->log_scale, p->lo, p->hi, value) * (BOTTOM - TOP);
}

static bool has_detection(const struct fl_signals *signals, const struct fl_chart *c)
{
    bool any = false;
    for (size_t i = 0; i < signals->found_n; i++) {
        any |= fl_chart_has(c, &signals->found[i]);
    }
    return any;
}

static void frame(struct plot *p)
{
    p->from = p->chart[0]->points[0].step;
    p->to = p->from;
    for (size_t i = 0; i < p->n; i++) {
        const struct fl_chart *c = p->chart[i];
        for (size_t k = 0; k < c->n; k++) {
            p->from = c->points[k].step < p->from ? c->points[k].step : p->from;
            p->to = c->points[k].step > p->to ? c->points[k].step : p->to;
        }
        if (c->count > c->range.not_finite) {
            p->lo = !p->any || c->range.least < p->lo ? c->range.least : p->lo;
            p->hi = !p->any || c->range.most > p->hi ? c->range.most : p->hi;
            p->any = true;
        }
        p->log_scale |= c->log_scale;
    }
    p->log_scale &= p->lo > 0;
    if (!p->log_scale && p->hi > p->lo) {
        double air = 0.05 * (p->hi / 2 - p->lo / 2);
        p->lo -= p->lo >= 0 && p->lo < air ? p->lo : air; /* not below 0 for nothing */
        p->hi += air;
    }
}

static struct plot plot_of(const struct fl_signals *signals, size_t first, size_t end,
                           struct fl_buf *out)
{
    struct plot p = {.signals = signals, .out = out, .number = first};
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = first; i < end && p.n < FL_SERIES_MAX; i++) {
            if (has_detection(signals, &signals->charts[i]) == (turn == 0)) {
                p.chart[p.n++] = &signals->charts[i];
            }
        }
    }
    frame(&p);
    return p;
}

/* The next of 1, 2, 5, 10, 20 ... */
static double round_step(double least)
{
    double decade = pow(10, floor(log10(least)));
    double share = least / decade;
    return decade * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

static void add_level(const struct plot *p, double value)
{
    double y = y_of(p, value);
    fl_buf_addf(p->out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"y\" x=\"%d\" y=\"%.1f\">",
                LEFT, y, RIGHT, LEFT - 7, y + 4);
    fl_signals_number(p->out, value);
    fl_buf_add_text(p->out, "</text>");
}

static void add_levels(const struct plot *p)
{
    if (p->hi <= p->lo) {
        add_level(p, p->lo);
        return;
    }
    if (p->log_scale) {
        double from = ceil(log10(p->lo) - 1e-9);
        double decades = floor(log10(p->hi) + 1e-9) - from;
        double stride = decades > 5 ? ceil(decades / 5) : 1;
        for (int i = 0; i < TICKS_MAX && from + i * stride <= log10(p->hi) + 1e-9; i++) {
            add_level(p, pow(10, from + i * stride));
        }
        return;
    }
    double step = round_step((p->hi / 2 - p->lo / 2) / 2.5);
    double first = ceil(p->lo / step);
    for (int i = 0; i < TICKS_MAX && isfinite(step) && (first + i) * step <= p->hi; i++) {
        add_level(p, (first + i) * step);
    }
}

static void add_steps(const struct plot *p)
{
    double step = round_step(((double)p->to - (double)p->from) / 6);
    step = p->to > p->from && step >= 1 ? step : 1;
    double first = ceil((double)p->from / step);
    fl_buf_addf(p->out, "<text class=\"y\" x=\"%d\" y=\"%d\">step</text>", LEFT - 7, BOTTOM + 17);
    for (int i = 0; i < TICKS_MAX && (first + i) * step <= (double)p->to; i++) {
        double at = (first + i) * step;
        fl_buf_addf(p->out, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%.0f</text>", x_of(p, (long)at),
                    BOTTOM + 17, at);
    }
}

/* A line with a break where values are not finite, and what is not finite marked on the axis. */
static void add_line(const struct plot *p, size_t at)
{
    const struct fl_chart *c = p->chart[at];
    bool pen = false;
    fl_buf_addf(p->out, at < COLOURS ? "<path class=\"p k%zu" : "<path class=\"p", at);
    fl_buf_add_text(p->out, c->n > DENSE ? " t\" d=\"" : "\" d=\"");
    for (size_t i = 0; i < c->n; i++) {
        bool finite = isfinite(c->points[i].value);
        if (finite) {
            fl_buf_addf(p->out, pen ? "L%.1f %.1f" : "M%.1f %.1fh0", x_of(p, c->points[i].step),
                        y_of(p, c->points[i].value));
        }
        pen = finite;
    }
    fl_buf_add_text(p->out, "\"/>");
    for (size_t i = 0; i < c->n; i++) {
        size_t end = i;
        while (end < c->n && !isfinite(c->points[end].value)) {
            end++;
        }
        if (end > i) {
            double from = x_of(p, c->points[i].step);
            double width = x_of(p, c->points[end - 1].step) - from;
            fl_buf_addf(p->out, "<rect class=\"gap\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" "
                        "height=\"6\"/>", from - 1, BOTTOM - 3, width > 0 ? width + 2 : 2);
            i = end - 1;
        }
    }
}

static void add_spans(const struct plot *p)
{
    int row = 0;
    for (size_t i = 0; i < p->signals->found_n; i++) {
        const struct fl_detection *d = &p->signals->found[i];
        if (strcmp(d->metric, p->chart[0]->metric) != 0) {
            continue;
        }
        double from = x_of(p, d->from_step < p->from ? p->from : d->from_step);
        double to = x_of(p, d->to_step > p->to ? p->to : d->to_step);
        to = to < from + 3 ? from + 3 : to;
        bool right = from > (LEFT + RIGHT) / 2.0;
        fl_buf_addf(p->out, "<g class=\"d %s\"><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>"
                    "<path d=\"M%.1f %dV%d\"/><text x=\"%.1f\" y=\"%d\"%s>%s</text></g>",
                    fl_severity_name(d->severity), from, TOP, to - from, BOTTOM - TOP, from, TOP, BOTTOM,
                    right ? from - 6 : from + 6, TOP + 12 + 14 * (row++ % 5),
                    right ? " text-anchor=\"end\"" : "", d->kind);
    }
}

/* What the first line reads under the pointer. */
static void add_readouts(const struct plot *p)
{
    const struct fl_chart *c = p->chart[0];
    size_t n = c->n < READOUTS ? c->n : READOUTS;
    double end = LEFT;
    for (size_t i = 0; i < n; i++) {
        const struct fl_point *at = &c->points[i * c->n / n];
        const struct fl_point *next = i + 1 < n ? &c->points[(i + 1) * c->n / n] : NULL;
        double x = x_of(p, at->step);
        double from = end;
        end = next ? (x + x_of(p, next->step)) / 2 : RIGHT;
        if (end <= from) { /* steps that went back */
            end = from;
            continue;
        }
        fl_buf_addf(p->out, "<g class=\"h\"><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>"
                    "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", from, TOP, end - from,
                    BOTTOM - TOP, x, x, TOP, BOTTOM);
        if (isfinite(at->value)) {
            fl_buf_addf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>", x, y_of(p, at->value));
        }
        fl_buf_addf(p->out, "<text x=\"%d\" y=\"%d\">step %ld: ", RIGHT, TOP - 8, at->step);
        fl_signals_number(p->out, at->value);
        fl_buf_add_text(p->out, "</text></g>");
    }
}

static void add_label(const struct plot *p, const struct fl_chart *c)
{
    struct fl_buf label;
    fl_buf_init(&label, LABEL_CAP);
    fl_signals_label(p->signals, c, &label);
    fl_markup_html(p->out, label.n ? fl_buf_str(&label) : FL_LIT("the job"));
    fl_buf_free(&label);
}

static void add_row(const struct plot *p, size_t at)
{
    const struct fl_chart *c = p->chart[at];
    double numbers[] = {c->points[0].value, c->points[c->n - 1].value, c->range.least,
                        c->range.most};
    size_t numbers_n = c->count > c->range.not_finite ? 4 : 2;
    fl_buf_addf(p->out, at < COLOURS ? "<tr><td><i class=\"k%zu\"></i>" : "<tr><td><i></i>", at);
    add_label(p, c);
    fl_buf_addf(p->out, "</td><td>%ld to %ld</td><td>%ld</td><td>%ld</td>", c->points[0].step,
                c->points[c->n - 1].step, c->count, c->range.not_finite);
    for (size_t i = 0; i < 4; i++) {
        fl_buf_add_text(p->out, "<td>");
        if (i < numbers_n) {
            fl_signals_number(p->out, numbers[i]);
        }
        fl_buf_add_text(p->out, "</td>");
    }
    fl_buf_add_text(p->out, "</tr>\n");
}

static void add_rows(const struct plot *p, size_t from, size_t to)
{
    fl_buf_add_text(p->out, "<div class=\"wide\"><table><tr><th>printed by</th><th>steps</th>"
                            "<th>values</th><th>not finite</th><th>first</th><th>last</th>"
                            "<th>min</th><th>max</th></tr>\n");
    for (size_t i = from; i < to; i++) {
        add_row(p, i);
    }
    fl_buf_add_text(p->out, "</table></div>");
}

static void add_plot(const struct plot *p)
{
    fl_buf_addf(p->out, "<section class=\"card\" id=\"metric-%zu\"><h2>", p->number);
    fl_markup_html(p->out, fl_str_of(p->chart[0]->metric));
    fl_buf_addf(p->out, "%s</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"over steps\">\n",
                p->log_scale ? " <span class=\"at\">logarithmic</span>" : "", WIDTH, HEIGHT);
    if (p->any) {
        add_levels(p);
    }
    add_steps(p);
    fl_buf_addf(p->out, "<path class=\"grid\" d=\"M%d %dH%d\"/>\n", LEFT, BOTTOM, RIGHT);
    for (size_t i = p->n; i > 0; i--) {
        add_line(p, i - 1);
        fl_buf_add_text(p->out, "\n");
    }
    add_spans(p);
    add_readouts(p);
    fl_buf_add_text(p->out, "\n</svg>\n");
    add_rows(p, 0, p->n < ROWS ? p->n : ROWS);
    if (p->n > ROWS) {
        fl_buf_addf(p->out, "<details><summary>%zu more</summary>", p->n - ROWS);
        add_rows(p, ROWS, p->n);
        fl_buf_add_text(p->out, "</details>");
    }
    fl_buf_add_text(p->out, "</section>\n");
}

static void add_detection(const struct fl_signals *signals, const struct fl_detection *d,
                          struct fl_buf *out)
{
    const char *severity = fl_severity_name(d->severity);
    size_t first = 0;
    while (first < signals->charts_n && strcmp(signals->charts[first].metric, d->metric) != 0) {
        first = fl_signals_next_metric(signals, first);
    }
    fl_buf_addf(out, "<li><span class=\"tag %s\">%s</span><span class=\"what\">%s</span> in "
                "<a href=\"#metric-%zu\">", severity, severity, d->kind, first);
    fl_markup_html(out, fl_str_of(d->metric));
    fl_buf_add_text(out, "</a>: ");
    fl_markup_html(out, fl_str_of(d->text));
    fl_buf_addf(out, d->to_step > d->from_step ? " <span class=\"at\">steps %ld to %ld"
                                               : " <span class=\"at\">step %ld",
                d->from_step, d->to_step);
    if (d->rank >= 0) {
        fl_buf_addf(out, ", rank %ld", d->rank);
    }
    fl_buf_addf(out, ", %.0f %% sure</span><code><b>", d->confidence * 100);
    fl_markup_html(out, fl_str_of(fl_signals_file(signals, d->row)));
    fl_buf_addf(out, ":%ld</b> ", d->row->place.line);
    fl_markup_html(out, (struct fl_str){d->row->text, d->row->text_n});
    fl_buf_add_text(out, "</code></li>\n");
}

static void add_detections(const struct fl_signals *signals, struct fl_buf *out)
{
    fl_buf_add_text(out, "<div class=\"card\"><ul>\n");
    for (int severity = FL_SEVERITY_CRITICAL; severity >= FL_SEVERITY_LOW; severity--) {
        for (size_t i = 0; i < signals->found_n; i++) {
            if ((int)signals->found[i].severity == severity) {
                add_detection(signals, &signals->found[i], out);
            }
        }
    }
    fl_buf_add_text(out, "</ul></div>\n");
}

static void add_files(const struct fl_signals *signals, struct fl_buf *out)
{
    enum { NAMED = 6 };
    uint32_t n = 0;
    long lines = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(signals->diagnosis, &n);
    for (uint32_t i = 0; i < n; i++) {
        lines += streams[i].lines;
        if (i < NAMED) {
            fl_buf_add_text(out, i ? ", " : "");
            fl_markup_html(out, fl_str_of(streams[i].name));
        }
    }
    if (n > NAMED) {
        fl_buf_addf(out, " and %u more", n - NAMED);
    }
    fl_buf_addf(out, ", %ld lines", lines);
}

void fl_signals_html(const struct fl_signals *signals, struct fl_buf *out)
{
    fl_buf_add_text(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
        "<title>Metrics of a job</title>\n<style>");
    fl_buf_add_text(out, style);
    fl_buf_add_text(out, colours);
    fl_buf_add_text(out, "</style>\n</head>\n<body>\n<main>\n<h1>");
    if (signals->charts_n == 0) {
        fl_buf_add_text(out, "No metrics");
    } else if (signals->found_n == 0) {
        fl_buf_add_text(out, "Nothing wrong found");
    } else {
        fl_buf_addf(out, "%zu detection%s", signals->found_n, signals->found_n == 1 ? "" : "s");
    }
    fl_buf_add_text(out, "</h1>\n<p class=\"sub\">");
    add_files(signals, out);
    fl_buf_add_text(out, "</p>\n");
    if (signals->found_n) {
        add_detections(signals, out);
    }
    if (signals->charts_n == 0) {
        struct fl_buf none;
        fl_buf_init(&none, 8192);
        fl_signals_none(signals, &none);
        fl_buf_add_text(out, "<p>");
        fl_markup_html(out, fl_buf_str(&none));
        fl_buf_add_text(out, "</p>\n");
        fl_buf_free(&none);
    }
    fl_buf_add_text(out, "<div class=\"cards\">\n");
    for (size_t i = 0; i < signals->charts_n; i = fl_signals_next_metric(signals, i)) {
        struct plot p = plot_of(signals, i, fl_signals_next_metric(signals, i), out);
        add_plot(&p);
    }
    fl_buf_add_text(out, "</div>\n</main>\n</body>\n</html>\n");
}
