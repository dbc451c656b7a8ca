/* SPDX-License-Identifier: Apache-2.0 */
/* Syslog, RFC 5424: <PRI>1 TIME HOST APP PROCID MSGID [ID NAME="VALUE" ...] TEXT
 * and RFC 3164:     <PRI>Oct 14 11:37:48 HOST TAG: TEXT, with RFC 3339 as TIME from newer senders.
 * A line is kept as log files have it, `HOST TAG: TEXT` behind the time: kernel messages are known
 * so. */
#include "service/http/push_tell.h"
#include "service/ingest/timestamp.h"

static struct fl_str take_word(struct fl_str *s)
{
    const char *blank = s->n ? memchr(s->p, ' ', s->n) : NULL;
    struct fl_str word = fl_str_head(*s, blank ? (size_t)(blank - s->p) : s->n);
    *s = fl_str_skip(*s, blank ? word.n + 1 : s->n);
    return fl_str_eq(word, FL_LIT("-")) ? (struct fl_str){"", 0} : word;
}

/* <0> to <191>, which is optional for us. */
static bool take_priority(struct fl_str *s)
{
    long priority;
    struct fl_str t = *s;
    bool good = fl_str_take_char(&t, '<') && fl_str_take_number(&t, &priority) && priority < 192 &&
                fl_str_take_char(&t, '>');
    *s = good ? t : *s;
    return good;
}

/* NAME="VALUE": `\"`, `\\` and `\]` are escaped. */
static bool take_param(struct fl_push *push, struct fl_str *s)
{
    const char *equals = memchr(s->p, '=', s->n);
    if (!equals) {
        return false;
    }
    struct fl_str name = fl_str_head(*s, (size_t)(equals - s->p));
    struct fl_str t = fl_str_skip(*s, name.n + 1);
    char value[512];
    size_t n = 0;
    if (!fl_str_take_char(&t, '"')) {
        return false;
    }
    while (t.n && *t.p != '"') {
        bool escaped = *t.p == '\\' && t.n > 1 && memchr("\"\\]", t.p[1], 3);
        t = fl_str_skip(t, escaped ? 1 : 0);
        if (n < sizeof value) {
            value[n++] = *t.p;
        }
        t = fl_str_skip(t, 1);
    }
    fl_push_field(push, name, (struct fl_str){value, n});
    *s = t;
    return fl_str_take_char(s, '"');
}

/* `-`, or elements [ID NAME="VALUE" ...] without blanks between. */
static bool take_data(struct fl_push *push, struct fl_str *s)
{
    if (fl_str_take_char(s, '-')) {
        return true;
    }
    if (s->n == 0 || *s->p != '[') {
        return false;
    }
    while (fl_str_take_char(s, '[')) {
        while (s->n && *s->p != ' ' && *s->p != ']') {
            *s = fl_str_skip(*s, 1);
        }
        while (fl_str_take_char(s, ' ')) {
            if (s->n == 0 || !take_param(push, s)) {
                return false;
            }
        }
        if (!fl_str_take_char(s, ']')) {
            return false;
        }
    }
    return true;
}

static enum fl_status modern(struct fl_str s, struct fl_push *push, struct fl_err *err)
{
    int64_t time = fl_push_time(take_word(&s));
    struct fl_str host = take_word(&s);
    struct fl_str app = take_word(&s);
    struct fl_str process = take_word(&s);
    struct fl_buf line;
    (void)take_word(&s); /* MSGID */
    if (!take_data(push, &s) || (s.n && !fl_str_take_char(&s, ' '))) {
        return fl_fail(err, FL_SYNTAX, "syslog: bad structured data");
    }
    (void)fl_str_take(&s, FL_LIT("\xef\xbb\xbf"));
    fl_push_field(push, FL_LIT("hostname"), host);
    fl_push_field(push, FL_LIT("appname"), app);
    fl_buf_init(&line, FL_PUSH_TEXT);
    fl_buf_add_str(&line, app);
    if (app.n && process.n) {
        fl_buf_add_text(&line, "[");
        fl_buf_add_str(&line, process);
        fl_buf_add_text(&line, "]");
    }
    fl_buf_add_text(&line, app.n ? ": " : "");
    fl_buf_add_str(&line, s);
    enum fl_status status =
        line.failed ? fl_fail(err, line.failed, "no memory for a message") : FL_OK;
    if (status == FL_OK) {
        fl_push_line(push, time, fl_buf_str(&line));
        status = fl_push_end(push, err);
    }
    fl_buf_free(&line);
    return status;
}

/* Kept as it is, its time too unless that is RFC 3339. Some senders leave the host out: `TIME TAG:
 * TEXT`. */
static enum fl_status classic(struct fl_str s, struct fl_push *push, struct fl_err *err)
{
    struct fl_timestamp stamp;
    int64_t time = 0;
    struct fl_str line = s;
    if (fl_timestamp_find(fl_str_head(s, 40), 0, &stamp) && stamp.at == 0) {
        time = stamp.has_zone ? fl_push_time(fl_str_head(s, stamp.n)) : 0;
        s = fl_str_ltrim(fl_str_skip(s, stamp.n));
        struct fl_str rest = s;
        struct fl_str host = take_word(&rest);
        bool is_tag = host.n && (host.p[host.n - 1] == ':' || host.p[host.n - 1] == ']');
        if (!is_tag) {
            fl_push_field(push, FL_LIT("hostname"), host);
            s = rest;
        }
        struct fl_str tag = take_word(&rest);
        tag = is_tag ? host : tag;
        bool named = tag.n > 1 && tag.p[tag.n - 1] == ':';
        fl_push_field(push, FL_LIT("syslog_tag"), named ? tag : (struct fl_str){"", 0});
        line = time ? s : line;
    }
    fl_push_line(push, time, line);
    return fl_push_end(push, err);
}

enum fl_status fl_push_syslog(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct fl_str s = body;
    while (s.n && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\0')) {
        s.n--;
    }
    fl_push_begin(push);
    if (take_priority(&s) && fl_str_take(&s, FL_LIT("1 "))) {
        return modern(s, push, err);
    }
    return classic(s, push, err);
}
