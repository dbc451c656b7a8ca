/* SPDX-License-Identifier: Apache-2.0 */
#include "service/live_report.h"

#include "service/base/clock.h"
#include "service/report_json.h"

static void write_json(const struct fl_live_matter *m, const char *event, const char *time,
                       struct fl_buf *out)
{
    struct fl_jw w;
    fl_jw_init(&w, out, false);
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "schema", "faultline.live/1");
    fl_jw_key_text(&w, "event", event);
    fl_jw_key_text(&w, "time", time);
    fl_jw_key(&w, "signal");
    fl_jw_begin(&w, '{');
    fl_report_json_signal(&w, &m->signal);
    fl_jw_key_text(&w, "cause", m->cause);
    fl_jw_key_text(&w, "file", m->file);
    fl_jw_key(&w, "line");
    if (m->file) {
        fl_jw_int(&w, m->signal.line);
    } else {
        fl_jw_null(&w);
    }
    fl_jw_key_text(&w, "summary", m->signal.text);
    fl_jw_end(&w, '}');
    fl_jw_end(&w, '}');
}

static void write_text(const struct fl_live_matter *m, const char *event, const char *time,
                       struct fl_buf *out)
{
    fl_buf_addf(out, "%s %s: ", time, event);
    fl_buf_add_safe(out, fl_str_of(m->signal.text));
    fl_buf_addf(out, " (%s%s%s)", m->signal.metric ? m->signal.metric : "", m->signal.metric ? " " : "",
                m->cause ? m->cause : m->signal.kind);
    if (m->file) {
        fl_buf_add_text(out, ", ");
        fl_buf_add_safe(out, fl_str_of(m->file));
        fl_buf_addf(out, ":%ld", m->signal.line);
    }
}

void fl_live_report(const struct fl_live_matter *m, bool withdrawn, int64_t wall_s, bool json,
                    struct fl_buf *out)
{
    const char *event = withdrawn ? "withdrawn" : "detected";
    char time[21];
    fl_clock_format(wall_s, time);
    if (json) {
        write_json(m, event, time, out);
    } else {
        write_text(m, event, time, out);
    }
    fl_buf_add_text(out, "\n");
}
