/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict (faultline.verdict/1), every text of it redacted, with one key more: "notice" says what happened. */
#include "service/llm/redact.h"
#include "service/notices/notice.h"

#include <stdlib.h>

static void add_redacted(struct fl_jw *w, struct fl_redact *redact, struct fl_str text)
{
    struct fl_buf out;
    bool ok = true;
    fl_buf_init(&out, 2 * text.n + 64);
    while (ok && text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        ok = fl_redact_add(redact, fl_str_head(text, n), &out) == FL_OK &&
             (!nl || fl_buf_add_text(&out, "\n") == FL_OK);
        text = fl_str_skip(text, nl ? n + 1 : n);
    }
    fl_jw_str(w, ok ? fl_buf_str(&out) : FL_LIT("(too long)"));
    fl_buf_free(&out);
}

static void add_value(struct fl_jw *w, struct fl_redact *redact, const fl_json *node);

static void add_members(struct fl_jw *w, struct fl_redact *redact, const fl_json *node)
{
    for (const fl_json *e = fl_json_first(node); e; e = fl_json_next(e)) {
        if (fl_json_is_object(node)) {
            fl_jw_key(w, fl_json_key(e));
        }
        add_value(w, redact, e);
    }
}

static void add_value(struct fl_jw *w, struct fl_redact *redact, const fl_json *node)
{
    if (fl_json_is_string(node)) {
        add_redacted(w, redact, fl_json_str(node));
    } else if (fl_json_is_object(node) || fl_json_is_array(node)) {
        bool object = fl_json_is_object(node);
        fl_jw_begin(w, object ? '{' : '[');
        add_members(w, redact, node);
        fl_jw_end(w, object ? '}' : ']');
    } else {
        fl_jw_json(w, node);
    }
}

static void add_notice(struct fl_jw *w, const struct fl_notice *n)
{
    fl_jw_key(w, "notice");
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "event", fl_notice_event_name(n->event));
    fl_jw_key_str(w, "job", n->job);
    fl_jw_key_int(w, "jobs", n->jobs);
    fl_jw_key_str(w, "cause", n->cause);
    fl_jw_key_str(w, "incident", n->incident);
    fl_jw_key_str(w, "summary", n->summary);
    fl_jw_key_str(w, "link", n->link);
    fl_jw_end(w, '}');
}

void fl_notice_document(const struct fl_notice *n, struct fl_buf *out)
{
    struct fl_redact *redact = n->document ? malloc(sizeof *redact) : NULL;
    struct fl_jw w;
    fl_jw_init(&w, out, false);
    fl_jw_begin(&w, '{');
    add_notice(&w, n);
    if (redact) {
        fl_redact_init(redact);
        add_members(&w, redact, n->document);
    }
    fl_jw_end(&w, '}');
    free(redact);
}
