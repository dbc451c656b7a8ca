/* SPDX-License-Identifier: Apache-2.0 */
/* systemd's journal export format: entries of fields, parted by empty lines. A field is
 * KEY=value\n, or, when its value holds a \n or other odd bytes, KEY\n, its length as 64 bits
 * little-endian, value, \n. */
#include "service/http/push_tell.h"

struct entry {
    struct fl_str text;
    struct fl_str time;
    bool source_time; /* time is the sender's own, not the journal's */
    bool has_text;
    bool any;
};

/* Only these count: others (JOB_ID, UNIT) mean something else in a journal. */
static bool tells(struct fl_str key)
{
    static const struct fl_str keys[] = {
        {"_HOSTNAME", 9},       {"SYSLOG_IDENTIFIER", 17}, {"_SYSTEMD_UNIT", 13},
        {"CONTAINER_NAME", 14}, {"SLURM_JOB_ID", 12},      {"FAULTLINE_JOB", 13},
        {"FAULTLINE_RANK", 14},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (fl_str_eq(key, keys[i])) {
            return true;
        }
    }
    return false;
}

static void note(struct fl_push *push, struct entry *e, struct fl_str key, struct fl_str value)
{
    bool source = fl_str_eq(key, FL_LIT("_SOURCE_REALTIME_TIMESTAMP"));
    e->any = true;
    if (fl_str_eq(key, FL_LIT("MESSAGE"))) {
        e->text = value;
        e->has_text = true;
    } else if (source || (!e->source_time && fl_str_eq(key, FL_LIT("__REALTIME_TIMESTAMP")))) {
        e->time = value;
        e->source_time = source;
    } else if (fl_str_eq(key, FL_LIT("_TRANSPORT")) && fl_str_eq(value, FL_LIT("kernel"))) {
        fl_push_field(push, FL_LIT("syslog_identifier"), value);
    } else if (tells(key)) {
        fl_push_field(push, key, value);
    }
}

static void end_entry(struct fl_push *push, struct entry *e)
{
    int64_t time = fl_push_time(e->time);
    if (e->has_text) {
        fl_push_line(push, time, e->text);
    } else if (e->any) {
        fl_push_textless(push, time);
    }
    *e = (struct entry){.text = {"", 0}, .time = {"", 0}};
}

static bool take_binary(struct fl_str *s, struct fl_str *value_r)
{
    uint64_t n;
    if (s->n < sizeof n) {
        return false;
    }
    memcpy(&n, s->p, sizeof n);
    *s = fl_str_skip(*s, sizeof n);
    if (n >= s->n || s->p[n] != '\n') {
        return false;
    }
    *value_r = fl_str_head(*s, n);
    *s = fl_str_skip(*s, n + 1);
    return true;
}

/* The line at the front, which must end. */
static bool take_field(struct fl_str *s, struct fl_str *key_r, struct fl_str *value_r)
{
    const char *end = memchr(s->p, '\n', s->n);
    if (!end) {
        return false;
    }
    struct fl_str line = {s->p, (size_t)(end - s->p)};
    *s = fl_str_skip(*s, line.n + 1);
    const char *equals = line.n ? memchr(line.p, '=', line.n) : NULL;
    *key_r = equals ? fl_str_head(line, (size_t)(equals - line.p)) : line;
    if (!equals) {
        return take_binary(s, value_r);
    }
    *value_r = fl_str_skip(line, key_r->n + 1);
    return true;
}

enum fl_status fl_push_journal(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct entry e = {.text = {"", 0}, .time = {"", 0}};
    fl_push_begin(push);
    for (struct fl_str s = body; s.n;) {
        size_t at = body.n - s.n;
        struct fl_str key;
        struct fl_str value;
        if (fl_str_take_char(&s, '\n')) {
            end_entry(push, &e);
        } else if (take_field(&s, &key, &value)) {
            note(push, &e, key, value);
        } else {
            return fl_fail(err, FL_SYNTAX, "journal export: byte %zu: a field that does not end",
                           at);
        }
    }
    if (e.any) {
        return fl_fail(err, FL_SYNTAX, "journal export: the last entry does not end");
    }
    return fl_push_end(push, err);
}
