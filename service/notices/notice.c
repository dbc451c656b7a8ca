/* SPDX-License-Identifier: Apache-2.0 */
#include "service/notices/notice.h"

#include "service/llm/redact.h"

#include <stdio.h>

enum { TEXT_MOST = 2000 /* bytes of a line or a summary that are told */ };

const char *fl_notice_event_name(enum fl_notice_event event)
{
    static const char *const names[] = {"failed", "seen", "resolved", "test"};
    return names[event];
}

/* At most TEXT_MOST bytes, without half a character at the end. */
static struct fl_str cut(struct fl_str s)
{
    size_t n = s.n < TEXT_MOST ? s.n : TEXT_MOST;
    while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return (struct fl_str){s.p, n};
}

static void key_redacted(struct fl_jw *w, const char *key, struct fl_str text)
{
    struct fl_buf out;
    fl_buf_init(&out, 16 * TEXT_MOST);
    /* Whole, and cut then: half a secret is not known as one. */
    if (fl_redact_text(fl_str_head(text, 4 * TEXT_MOST), &out, NULL) == FL_OK) {
        fl_jw_key_str(w, key, cut(fl_buf_str(&out)));
    }
    fl_buf_free(&out);
}

static void add_evidence(struct fl_jw *w, const fl_json *e)
{
    struct fl_buf text;
    struct fl_str file = fl_str_head(fl_json_get_str(e, "file"), 500);
    struct fl_str line = fl_str_head(fl_str_trim(fl_json_get_str(e, "text")), 3 * TEXT_MOST);
    fl_buf_init(&text, 4 * TEXT_MOST);
    fl_buf_addf(&text, "%.*s:%.0f: %.*s", (int)file.n, file.p, fl_json_get_num(e, "line", 0), (int)line.n,
                line.p);
    key_redacted(w, "evidence", fl_buf_str(&text));
    fl_buf_free(&text);
}

/* W3C Trace Context: no other form is passed on. */
static bool is_trace(struct fl_str s)
{
    bool any[2] = {false, false}; /* all zeros are no id */
    for (size_t i = 0; i < s.n && i < 55; i++) {
        bool dash = i == 2 || i == 35 || i == 52;
        bool hex = fl_is_digit(s.p[i]) || (s.p[i] >= 'a' && s.p[i] <= 'f');
        if (dash ? s.p[i] != '-' : !hex) {
            return false;
        }
        any[0] |= i > 2 && i < 35 && s.p[i] != '0';
        any[1] |= i > 35 && i < 52 && s.p[i] != '0';
    }
    return s.n == 55 && any[0] && any[1] && !fl_str_starts(s, FL_LIT("ff"));
}

static void key_trace(struct fl_jw *w, struct fl_str facts)
{
    fl_json *root = NULL;
    if (fl_json_parse(facts, "facts", &root, NULL) == FL_OK) {
        struct fl_str trace = fl_json_get_str(root, "traceparent");
        fl_jw_key_str(w, "trace", is_trace(trace) ? trace : FL_LIT(""));
    }
    fl_json_free(root);
}

void fl_notice_facts(const struct fl_jobs_row *job, const fl_json *d, struct fl_buf *out)
{
    const struct fl_revision *v = &job->last;
    const fl_json *evidence = fl_json_first(fl_json_get(d, "evidence"));
    struct fl_jw w;
    fl_jw_init(&w, out, false);
    fl_jw_begin(&w, '{');
    fl_jw_key_str(&w, "job", job->name);
    fl_jw_key_str(&w, "cause", v->cause);
    fl_jw_key_str(&w, "severity", v->severity);
    fl_jw_key_str(&w, "action", v->action);
    fl_jw_key_str(&w, "incident", v->incident);
    fl_jw_key_str(&w, "category", d ? fl_json_get_str(d, "category") : FL_LIT(""));
    key_redacted(&w, "summary", v->summary);
    if (evidence) {
        add_evidence(&w, evidence);
    }
    key_trace(&w, job->facts);
    fl_jw_end(&w, '}');
}

enum fl_status fl_notice_read(struct fl_str facts, fl_json **root_r, struct fl_notice *out, struct fl_err *err)
{
    static const char *const keys[] = {"job",    "cause",    "category", "severity", "summary",
                                       "action", "evidence", "incident", "trace"};
    struct fl_str *const texts[] = {&out->job,    &out->cause,    &out->category, &out->severity, &out->summary,
                                    &out->action, &out->evidence, &out->incident, &out->trace};
    enum fl_status status = fl_json_parse(facts, "a notice", root_r, err);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct fl_str text = fl_json_get_str(*root_r, keys[i]);
        *texts[i] = text.p ? text : FL_LIT("");
    }
    return status;
}

void fl_notice_write(enum fl_receiver_kind kind, const struct fl_notice *notice, struct fl_buf *out)
{
    struct fl_jw w;
    switch (kind) {
    case FL_RECEIVER_ALERTMANAGER:
        fl_jw_init(&w, out, false);
        fl_jw_begin(&w, '[');
        fl_notice_alert(notice, &w);
        fl_jw_end(&w, ']');
        break;
    case FL_RECEIVER_WEBHOOK:
        fl_notice_document(notice, out);
        break;
    case FL_RECEIVER_SLACK:
        fl_notice_slack(notice, out);
        break;
    case FL_RECEIVER_KINDS:
        break;
    }
}
