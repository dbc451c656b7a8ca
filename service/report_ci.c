/* SPDX-License-Identifier: Apache-2.0 */
#include "service/report_ci.h"

#include "service/base/markup.h"

#include <stdio.h>

enum { EVIDENCE = 3 };

static const struct fl_stream *stream_of(const struct fl_result *r, uint32_t stream)
{
    uint32_t n = 0;
    return &fl_diagnosis_streams(fl_job_diagnosis(r->job), &n)[stream];
}

static struct fl_str name_of(const struct fl_result *r)
{
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &n);
    return fl_str_of(r->id ? r->id : n ? streams[0].name : "");
}

/* ---- JUnit ---- */

/* Two code points that are good UTF-8 are no characters of XML. */
static void add_xml(struct fl_buf *out, struct fl_str text)
{
    struct fl_buf plain;
    text = fl_str_head(text, FL_MARKUP_BYTES);
    fl_buf_init(&plain, FL_MARKUP_BYTES);
    fl_buf_add_str(&plain, text);
    for (char *p = plain.p; p && (p = memmem(p, plain.n - (size_t)(p - plain.p), "\xef\xbf", 2)) != NULL; p += 2) {
        p[2] = p[2] == '\xbe' || p[2] == '\xbf' ? '\xbd' : p[2]; /* a NUL ends the buffer */
    }
    fl_markup_html(out, fl_buf_str(&plain));
    fl_buf_free(&plain);
}

static void add_evidence(const struct fl_result *r, struct fl_buf *out)
{
    size_t n = 0;
    const struct fl_evidence *e = fl_telling_shown(r, &n);
    for (size_t i = 0; i < n && i < EVIDENCE; i++) {
        add_xml(out, fl_str_of(stream_of(r, e[i].place.stream)->name));
        fl_buf_addf(out, ":%ld: ", e[i].place.line);
        add_xml(out, e[i].text);
        fl_buf_add_text(out, "\n");
    }
    for (size_t i = 0; i < r->verdict.recovery_n; i++) {
        fl_buf_addf(out, "%zu. ", i + 1);
        add_xml(out, fl_str_of(r->verdict.recovery[i]));
        fl_buf_add_text(out, "\n");
    }
}

void fl_report_junit(const struct fl_result *r, struct fl_buf *out)
{
    const struct fl_verdict *v = &r->verdict;
    bool failed = v->outcome == FL_OUTCOME_FAILED;
    bool unknown = v->outcome == FL_OUTCOME_UNKNOWN;
    fl_buf_addf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                     "<testsuites><testsuite name=\"faultline\" tests=\"1\" failures=\"%d\" errors=\"0\""
                     " skipped=\"%d\" time=\"%.3f\">\n<testcase classname=\"faultline\" name=\"",
                failed, unknown, r->seconds);
    add_xml(out, name_of(r));
    fl_buf_addf(out, "\" time=\"%.3f\">\n", r->seconds);
    if (failed) {
        fl_buf_addf(out, "<failure type=\"%s\" message=\"%s: ", v->cause->slug, v->cause->slug);
        add_xml(out, v->summary);
        fl_buf_add_text(out, "\">");
        add_evidence(r, out);
        fl_buf_add_text(out, "</failure>\n");
    } else if (unknown) {
        fl_buf_add_text(out, "<skipped message=\"");
        add_xml(out, v->summary);
        fl_buf_add_text(out, "\">");
        add_evidence(r, out);
        fl_buf_add_text(out, "</skipped>\n");
    }
    fl_buf_add_text(out, "</testcase>\n</testsuite></testsuites>\n");
}

/* ---- GitHub ---- */

/* In a property, : and , are escaped, too; a line end would begin another command. */
static void add_command(struct fl_buf *out, struct fl_str text, bool property)
{
    struct fl_buf safe;
    fl_buf_init(&safe, 8 * FL_MARKUP_BYTES);
    fl_buf_add_safe(&safe, fl_str_trim(fl_str_head(text, FL_MARKUP_BYTES)));
    for (size_t i = 0; i < safe.n; i++) {
        char c = safe.p[i];
        if (c == '%' || (property && (c == ':' || c == ','))) {
            fl_buf_addf(out, "%%%02X", (unsigned)c);
        } else {
            fl_buf_add(out, safe.p + i, 1);
        }
    }
    fl_buf_free(&safe);
}

void fl_report_github(const struct fl_result *r, struct fl_buf *out)
{
    const struct fl_verdict *v = &r->verdict;
    const char *cause = v->outcome == FL_OUTCOME_FAILED ? v->cause->slug : "";
    size_t n = 0;
    const struct fl_evidence *e = fl_telling_shown(r, &n);
    static const char *const commands[] = {"error", "notice", "warning"};
    fl_buf_addf(out, "::%s ", commands[v->outcome]);
    if (n) {
        fl_buf_add_text(out, "file=");
        add_command(out, fl_str_of(stream_of(r, e[0].place.stream)->path), true);
        fl_buf_addf(out, ",line=%ld,", e[0].place.line);
    }
    fl_buf_addf(out, "title=%s%s%s::", fl_outcome_name(v->outcome), *cause ? " " : "", cause);
    add_command(out, v->summary, false);
    for (size_t i = 0; i < n && i < EVIDENCE; i++) {
        fl_buf_add_text(out, "%0A");
        add_command(out, fl_str_of(stream_of(r, e[i].place.stream)->name), false);
        fl_buf_addf(out, ":%ld: ", e[i].place.line);
        add_command(out, e[i].text, false);
    }
    for (size_t i = 0; i < v->recovery_n; i++) {
        fl_buf_addf(out, "%%0A%zu. ", i + 1);
        add_command(out, fl_str_of(v->recovery[i]), false);
    }
    fl_buf_add_text(out, "\n");
}
