/* SPDX-License-Identifier: Apache-2.0 */
#include "service/signals_report.h"

#include "service/base/json.h"

#include <math.h>

static void key_long(struct fl_jw *w, const char *key, long value)
{
    fl_jw_key(w, key);
    if (value >= 0) {
        fl_jw_int(w, value);
    } else {
        fl_jw_null(w);
    }
}

/* JSON has no number for them. */
static void write_value(struct fl_jw *w, double value)
{
    if (isfinite(value)) {
        fl_jw_num(w, value);
    } else {
        fl_jw_text(w, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    }
}

static void key_value(struct fl_jw *w, const char *key, double value, bool known)
{
    fl_jw_key(w, key);
    if (known) {
        write_value(w, value);
    } else {
        fl_jw_null(w);
    }
}

static void write_detection(struct fl_jw *w, const struct fl_signals *signals,
                            const struct fl_detection *d)
{
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "metric", d->metric);
    fl_jw_key_text(w, "kind", d->kind);
    fl_jw_key_int(w, "from_step", d->from_step);
    fl_jw_key_int(w, "to_step", d->to_step);
    key_long(w, "rank", d->rank);
    fl_jw_key_text(w, "severity", fl_severity_name(d->severity));
    fl_jw_key(w, "confidence");
    fl_jw_num(w, d->confidence);
    fl_jw_key_text(w, "detector", d->detector);
    fl_jw_key_text(w, "cause", d->cause);
    fl_jw_key_text(w, "text", d->text);
    fl_jw_key(w, "evidence");
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "file", fl_signals_file(signals, d->row));
    fl_jw_key_int(w, "line", d->row->place.line);
    fl_jw_key_int(w, "offset", (int64_t)d->row->place.offset);
    fl_jw_key_str(w, "text", (struct fl_str){d->row->text, d->row->text_n});
    fl_jw_end(w, '}');
    fl_jw_end(w, '}');
}

static void write_detections(struct fl_jw *w, const struct fl_signals *signals,
                             const struct fl_chart *chart)
{
    fl_jw_key(w, "detections");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < signals->found_n; i++) {
        if (fl_chart_has(chart, &signals->found[i])) {
            write_detection(w, signals, &signals->found[i]);
        }
    }
    fl_jw_end(w, ']');
}

static void write_printers(struct fl_jw *w, const struct fl_signals *signals,
                           const struct fl_chart *chart)
{
    fl_jw_key(w, "printers");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < chart->printers_n; i++) {
        const struct fl_series *s = chart->printers[i];
        fl_jw_begin(w, '{');
        fl_jw_key_text(w, "file", fl_signals_file(signals, &s->last));
        fl_jw_key_int(w, "run", (int64_t)s->run + 1);
        key_long(w, "rank", s->rank);
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
}

static void write_chart(struct fl_jw *w, const struct fl_signals *signals,
                        const struct fl_chart *c)
{
    bool any = c->count > c->range.not_finite;
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "metric", c->metric);
    write_printers(w, signals, c);
    fl_jw_key_int(w, "from_step", c->points[0].step);
    fl_jw_key_int(w, "to_step", c->points[c->n - 1].step);
    fl_jw_key_int(w, "count", c->count);
    fl_jw_key_int(w, "not_finite", c->range.not_finite);
    key_value(w, "first", c->points[0].value, true);
    key_value(w, "last", c->points[c->n - 1].value, true);
    key_value(w, "min", c->range.least, any);
    key_value(w, "max", c->range.most, any);
    write_detections(w, signals, c);
    fl_jw_key(w, "points");
    bool pretty = w->pretty;
    w->pretty = false; /* a line of their own is enough */
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < c->n; i++) {
        fl_jw_begin(w, '[');
        fl_jw_int(w, c->points[i].step);
        write_value(w, c->points[i].value);
        fl_jw_end(w, ']');
    }
    fl_jw_end(w, ']');
    w->pretty = pretty;
    fl_jw_end(w, '}');
}

void fl_signals_json(const struct fl_signals *signals, struct fl_buf *out)
{
    struct fl_jw w;
    int worst = fl_signals_worst(signals);
    fl_jw_init(&w, out, true);
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "schema", "faultline.signals/1");
    fl_jw_key_text(&w, "worst", worst < 0 ? NULL : fl_severity_name((enum fl_severity)worst));
    fl_jw_key(&w, "series");
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < signals->charts_n; i++) {
        write_chart(&w, signals, &signals->charts[i]);
    }
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    fl_buf_add_text(out, "\n");
}
