/* SPDX-License-Identifier: Apache-2.0 */
/* OpenTelemetry's logs as JSON (ids are hex, 64-bit numbers strings or numbers, unknown members
 * ignored):
 *   {"resourceLogs": [{"resource": {"attributes": [KV]}, "scopeLogs": [{
 *    "logRecords": [{"timeUnixNano": "N", "observedTimeUnixNano": "N", "body": VALUE,
 *    "attributes": [KV]}]}]}]}
 *   KV {"key": "K", "value": VALUE}; VALUE {"stringValue" | "boolValue" | "intValue" |
 * "doubleValue" | "bytesValue" | "arrayValue": {"values": [VALUE]} | "kvlistValue": {"values":
 * [KV]}} */
#include "service/http/push_otlp.h"

typedef void (*say)(struct fl_push *push, struct fl_str key, struct fl_str value);

static void add_value(struct fl_jp *jp, struct fl_buf *out, int depth);

/* A string's raw bytes are JSON already. */
static void add_raw(struct fl_jp_text text, bool inside, struct fl_buf *out)
{
    if (inside) {
        fl_buf_add_text(out, "\"");
        fl_buf_add_str(out, text.raw);
        fl_buf_add_text(out, "\"");
    } else {
        (void)fl_jp_unescape(text, out);
    }
}

static void add_pair(struct fl_jp *jp, struct fl_buf *out, int depth)
{
    struct fl_jp_text name = {{"", 0}, false};
    size_t from = out->n;
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
        if (fl_jp_is(key, FL_LIT("key"))) {
            (void)fl_jp_string(jp, &name);
            add_raw(name, true, out);
            fl_buf_add_text(out, ":");
        } else if (fl_jp_is(key, FL_LIT("value")) && out->n > from) {
            add_value(jp, out, depth);
        } else {
            (void)fl_jp_skip(jp);
        }
    }
}

/* {"values": [...]} */
static void add_values(struct fl_jp *jp, struct fl_buf *out, bool pairs, int depth)
{
    fl_buf_add_text(out, pairs ? "{" : "[");
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
        if (!fl_jp_is(key, FL_LIT("values"))) {
            (void)fl_jp_skip(jp);
            continue;
        }
        (void)fl_jp_enter(jp, FL_JP_ARRAY);
        for (bool first = true; fl_jp_item(jp); first = false) {
            fl_buf_add_text(out, first ? "" : ",");
            if (pairs) {
                add_pair(jp, out, depth);
            } else {
                add_value(jp, out, depth);
            }
        }
    }
    fl_buf_add_text(out, pairs ? "}" : "]");
}

/* A value as text; those inside others as JSON. Recursion ends at FL_OTLP_DEPTH. */
static void add_value(struct fl_jp *jp, struct fl_buf *out, int depth)
{
    struct fl_jp_text text;
    if (depth == FL_OTLP_DEPTH) {
        fl_jp_fault(jp, "values nested too deep");
        return;
    }
    size_t from = out->n;
    if (fl_jp_kind(jp) == FL_JP_WORD) {
        (void)fl_jp_skip(jp); /* null */
    } else {
        (void)fl_jp_enter(jp, FL_JP_OBJECT);
        for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
            bool is_int = fl_jp_is(key, FL_LIT("intValue"));
            bool pairs = fl_jp_is(key, FL_LIT("kvlistValue"));
            if (pairs || fl_jp_is(key, FL_LIT("arrayValue"))) {
                add_values(jp, out, pairs, depth + 1);
            } else if (fl_jp_kind(jp) == FL_JP_STRING) {
                (void)(fl_jp_string(jp, &text) && (add_raw(text, depth > 0 && !is_int, out), true));
            } else {
                fl_buf_add_str(out, fl_jp_skip(jp));
            }
        }
    }
    if (depth > 0 && out->n == from) {
        fl_buf_add_text(out, "null");
    }
}

static void take_attributes(struct fl_push *push, struct fl_jp *jp, struct fl_buf *value, say tell)
{
    (void)fl_jp_enter(jp, FL_JP_ARRAY);
    while (fl_jp_item(jp)) {
        struct fl_jp_text name = {{"", 0}, false};
        fl_buf_clear(value);
        (void)fl_jp_enter(jp, FL_JP_OBJECT);
        for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
            if (fl_jp_is(key, FL_LIT("key"))) {
                (void)fl_jp_string(jp, &name);
            } else if (fl_jp_is(key, FL_LIT("value"))) {
                add_value(jp, value, 0);
            } else {
                (void)fl_jp_skip(jp);
            }
        }
        tell(push, name.raw, fl_buf_str(value));
    }
}

/* {"attributes": [KV]}, said about the sender. */
static void take_resource(struct fl_push *push, struct fl_jp *jp, struct fl_buf *value)
{
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
        if (fl_jp_is(key, FL_LIT("attributes"))) {
            take_attributes(push, jp, value, fl_push_label);
        } else {
            (void)fl_jp_skip(jp);
        }
    }
}

static int64_t take_time(struct fl_jp *jp)
{
    struct fl_jp_text text = {{"", 0}, false};
    if (fl_jp_kind(jp) == FL_JP_STRING) {
        (void)fl_jp_string(jp, &text);
    } else {
        text.raw = fl_jp_skip(jp);
    }
    return fl_push_time(text.raw);
}

static void take_record(struct fl_push *push, struct fl_jp *jp, struct fl_otlp *o)
{
    int64_t time = 0;
    int64_t observed = 0;
    fl_buf_clear(&o->body);
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
        if (fl_jp_is(key, FL_LIT("timeUnixNano"))) {
            time = take_time(jp);
        } else if (fl_jp_is(key, FL_LIT("observedTimeUnixNano"))) {
            observed = take_time(jp);
        } else if (fl_jp_is(key, FL_LIT("body"))) {
            add_value(jp, &o->body, 0);
        } else if (fl_jp_is(key, FL_LIT("attributes"))) {
            take_attributes(push, jp, &o->value, fl_push_field);
        } else {
            (void)fl_jp_skip(jp);
        }
    }
    if (!jp->fault) {
        fl_otlp_line(push, time ? time : observed, &o->body);
    }
}

static void take_scopes(struct fl_push *push, struct fl_jp *jp, struct fl_otlp *o)
{
    (void)fl_jp_enter(jp, FL_JP_ARRAY);
    while (fl_jp_item(jp)) {
        (void)fl_jp_enter(jp, FL_JP_OBJECT);
        for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
            if (!fl_jp_is(key, FL_LIT("logRecords"))) {
                (void)fl_jp_skip(jp);
                continue;
            }
            (void)fl_jp_enter(jp, FL_JP_ARRAY);
            while (fl_jp_item(jp)) {
                take_record(push, jp, o);
            }
        }
    }
}

/* Records that stand before their resource are read at its end. */
static void take_resource_logs(struct fl_push *push, struct fl_jp *jp, struct fl_otlp *o)
{
    struct fl_jp later = {.at = SIZE_MAX};
    bool known = false;
    fl_push_begin(push);
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(jp, &key);) {
        if (fl_jp_is(key, FL_LIT("resource"))) {
            take_resource(push, jp, &o->value);
            known = true;
        } else if (!fl_jp_is(key, FL_LIT("scopeLogs"))) {
            (void)fl_jp_skip(jp);
        } else if (known) {
            take_scopes(push, jp, o);
        } else {
            later = *jp;
            (void)fl_jp_skip(jp);
        }
    }
    if (!jp->fault && later.at != SIZE_MAX) {
        take_scopes(push, &later, o);
        *jp = later.fault ? later : *jp;
    }
}

enum fl_status fl_push_otlp_json(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct fl_jp jp;
    struct fl_otlp o;
    fl_jp_init(&jp, body);
    fl_buf_init(&o.body, FL_PUSH_TEXT);
    fl_buf_init(&o.value, FL_PUSH_TEXT);
    (void)fl_jp_enter(&jp, FL_JP_OBJECT);
    for (struct fl_jp_text key; fl_jp_key(&jp, &key);) {
        if (!fl_jp_is(key, FL_LIT("resourceLogs"))) {
            (void)fl_jp_skip(&jp);
            continue;
        }
        (void)fl_jp_enter(&jp, FL_JP_ARRAY);
        while (fl_jp_item(&jp)) {
            take_resource_logs(push, &jp, &o);
        }
    }
    if (fl_jp_more(&jp)) {
        fl_jp_fault(&jp, "more text behind the object");
    }
    bool failed = o.body.failed || o.value.failed;
    fl_buf_free(&o.body);
    fl_buf_free(&o.value);
    return failed ? fl_fail(err, FL_NOMEM, "no memory for a pushed body")
                  : fl_push_end_json(push, &jp, err);
}
