/* SPDX-License-Identifier: Apache-2.0 */
/* Loki's push API: streams of labels with lines.
 *   JSON   {"streams": [{"stream": {LABELS}, "values": [["NANOSECONDS", "LINE", {METADATA}?],
 * ...]}]} and, older, {"streams": [{"labels": "{a=\"b\"}", "entries": [{"ts": RFC 3339, "line":
 * "LINE"}]}]} proto  PushRequest {1: Stream {1: labels as text, 2: Entry {1: Timestamp {1: s, 2:
 * ns}, 2: line, 3: {1: name, 2: value}}}} */
#include "service/http/push_tell.h"
#include "service/http/wire.h"

/* ---- labels as text: {a="b", c="d\"e"} ---- */

static struct fl_str label_key(struct fl_str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] != '=' && s.p[n] != ',' && s.p[n] != '}' && !fl_is_space(s.p[n])) {
        n++;
    }
    return fl_str_head(s, n);
}

/* The escapes are Go's, of which those of JSON are what occurs. */
static bool take_labels(struct fl_push *push, struct fl_str s)
{
    if (!fl_str_take_char(&s, '{')) {
        return false;
    }
    for (s = fl_str_ltrim(s); !fl_str_take_char(&s, '}'); s = fl_str_ltrim(s)) {
        struct fl_str key = label_key(s);
        struct fl_jp jp;
        struct fl_jp_text value;
        s = fl_str_ltrim(fl_str_skip(s, key.n));
        if (key.n == 0 || !fl_str_take_char(&s, '=')) {
            return false;
        }
        fl_jp_init(&jp, s);
        if (!fl_jp_string(&jp, &value)) {
            return false;
        }
        fl_push_label(push, key, fl_push_meant(push, value));
        s = fl_str_ltrim(fl_str_skip(s, jp.at));
        (void)fl_str_take_char(&s, ',');
    }
    return true;
}

/* ---- JSON ---- */

typedef void (*say)(struct fl_push *push, struct fl_str key, struct fl_str value);

/* An object of strings; values of other kinds say nothing. */
static void take_pairs(struct fl_push *push, struct fl_jp *jp, say tell)
{
    struct fl_jp_text value;
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
        if (fl_jp_kind(jp) != FL_JP_STRING) {
            (void)fl_jp_skip(jp);
        } else if (fl_jp_string(jp, &value)) {
            tell(push, key.raw, fl_push_meant(push, value));
        }
    }
}

static void take_value(struct fl_push *push, struct fl_jp *jp)
{
    struct fl_jp_text time = {{"", 0}, false};
    struct fl_jp_text line = time;
    bool whole = fl_jp_enter(jp, FL_JP_ARRAY) && fl_jp_item(jp) && fl_jp_string(jp, &time) &&
                 fl_jp_item(jp) && fl_jp_string(jp, &line);
    if (!whole) {
        fl_jp_fault(jp, "a time and a line are expected");
        return;
    }
    while (fl_jp_item(jp)) {
        if (fl_jp_kind(jp) == FL_JP_OBJECT) {
            take_pairs(push, jp, fl_push_field);
        } else {
            (void)fl_jp_skip(jp);
        }
    }
    if (!jp->fault) {
        fl_push_line(push, fl_push_time(time.raw), fl_push_meant(push, line));
    }
}

static void take_entry(struct fl_push *push, struct fl_jp *jp)
{
    struct fl_jp_text time = {{"", 0}, false};
    struct fl_jp_text line = time;
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
        if (fl_jp_is(key, FL_LIT("ts"))) {
            (void)fl_jp_string(jp, &time);
        } else if (fl_jp_is(key, FL_LIT("line"))) {
            (void)fl_jp_string(jp, &line);
        } else {
            (void)fl_jp_skip(jp);
        }
    }
    if (!jp->fault) {
        fl_push_line(push, fl_push_time(time.raw), fl_push_meant(push, line));
    }
}

static void take_lines(struct fl_push *push, struct fl_jp *jp)
{
    (void)fl_jp_enter(jp, FL_JP_ARRAY);
    while (fl_jp_item(jp)) {
        if (fl_jp_kind(jp) == FL_JP_ARRAY) {
            take_value(push, jp);
        } else {
            take_entry(push, jp);
        }
    }
}

static void take_label_text(struct fl_push *push, struct fl_jp *jp)
{
    struct fl_jp_text text;
    struct fl_buf labels;
    if (!fl_jp_string(jp, &text)) {
        return;
    }
    fl_buf_init(&labels, text.raw.n);
    if (fl_jp_unescape(text, &labels) != FL_OK || !take_labels(push, fl_buf_str(&labels))) {
        fl_jp_fault(jp, "bad labels");
    }
    fl_buf_free(&labels);
}

/* Lines that stand before the labels are read at the stream's end. */
static void take_stream(struct fl_push *push, struct fl_jp *jp)
{
    struct fl_jp later = {.at = SIZE_MAX};
    bool labelled = false;
    fl_push_begin(push);
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
        if (fl_jp_is(key, FL_LIT("stream"))) {
            take_pairs(push, jp, fl_push_label);
            labelled = true;
        } else if (fl_jp_is(key, FL_LIT("labels"))) {
            take_label_text(push, jp);
            labelled = true;
        } else if (!fl_jp_is(key, FL_LIT("values")) && !fl_jp_is(key, FL_LIT("entries"))) {
            (void)fl_jp_skip(jp);
        } else if (labelled) {
            take_lines(push, jp);
        } else {
            later = *jp;
            (void)fl_jp_skip(jp);
        }
    }
    if (!jp->fault && later.at != SIZE_MAX) {
        take_lines(push, &later);
        *jp = later.fault ? later : *jp;
    }
}

enum fl_status fl_push_loki_json(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct fl_jp jp;
    fl_jp_init(&jp, body);
    (void)fl_jp_enter(&jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(&jp, &key);) {
        if (!fl_jp_is(key, FL_LIT("streams"))) {
            (void)fl_jp_skip(&jp);
            continue;
        }
        (void)fl_jp_enter(&jp, FL_JP_ARRAY);
        while (fl_jp_item(&jp)) {
            take_stream(push, &jp);
        }
    }
    if (fl_jp_more(&jp)) {
        fl_jp_fault(&jp, "more text behind the object");
    }
    return fl_push_end_json(push, &jp, err);
}

/* ---- protobuf ---- */

enum { NS_PER_S = 1000000000 };

static bool take_time(struct fl_str message, int64_t *ns_r)
{
    struct fl_wire w = {.rest = message};
    uint64_t s = 0;
    uint64_t ns = 0;
    for (struct fl_wire_field f; fl_wire_next(&w, &f);) {
        s = f.number == 1 && f.kind == FL_WIRE_VARINT ? f.value : s;
        ns = f.number == 2 && f.kind == FL_WIRE_VARINT ? f.value : ns;
    }
    *ns_r = s < INT64_MAX / NS_PER_S && ns < NS_PER_S ? (int64_t)(s * NS_PER_S + ns) : 0;
    return !w.failed;
}

static bool take_metadata(struct fl_push *push, struct fl_str message)
{
    struct fl_wire w = {.rest = message};
    struct fl_str name = {"", 0};
    struct fl_str value = name;
    for (struct fl_wire_field f; fl_wire_next(&w, &f);) {
        name = fl_wire_is(&f, 1) ? f.bytes : name;
        value = fl_wire_is(&f, 2) ? f.bytes : value;
    }
    fl_push_field(push, name, value);
    return !w.failed;
}

static bool take_entry_message(struct fl_push *push, struct fl_str message)
{
    struct fl_wire w = {.rest = message};
    struct fl_str line = {"", 0};
    int64_t ns = 0;
    bool good = true;
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        if (fl_wire_is(&f, 1)) {
            good = take_time(f.bytes, &ns);
        } else if (fl_wire_is(&f, 2)) {
            line = f.bytes;
        } else if (fl_wire_is(&f, 3)) {
            good = take_metadata(push, f.bytes);
        }
    }
    if (good && !w.failed) {
        fl_push_line(push, ns, line);
    }
    return good && !w.failed;
}

/* Looked at twice, first for the labels. */
static bool take_stream_message(struct fl_push *push, struct fl_str message)
{
    struct fl_wire w = {.rest = message};
    bool good = true;
    fl_push_begin(push);
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        good = !fl_wire_is(&f, 1) || f.bytes.n == 0 || take_labels(push, f.bytes);
    }
    good = good && !w.failed;
    w = (struct fl_wire){.rest = message};
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        good = !fl_wire_is(&f, 2) || take_entry_message(push, f.bytes);
    }
    return good;
}

enum fl_status fl_push_loki_proto(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct fl_wire w = {.rest = body};
    bool good = true;
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        good = !fl_wire_is(&f, 1) || take_stream_message(push, f.bytes);
    }
    if (!good || w.failed) {
        return fl_fail(err, FL_SYNTAX, "no Loki PushRequest: a fault before byte %zu",
                       body.n - w.rest.n);
    }
    return fl_push_end(push, err);
}
