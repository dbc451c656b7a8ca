/* SPDX-License-Identifier: Apache-2.0 */
/* OpenTelemetry's logs as protobuf:
 *   ExportLogsServiceRequest {1: ResourceLogs {1: Resource {1: KeyValue}, 2: ScopeLogs {2:
 * LogRecord {1: fixed64 time, 5: body, 6: KeyValue, 11: fixed64 observed time}}}} KeyValue {1: key,
 * 2: AnyValue}; AnyValue {1: string, 2: bool, 3: int, 4: double, 5: ArrayValue {1: AnyValue}, 6:
 * KeyValueList {1: KeyValue}, 7: bytes} */
#include "service/http/push_otlp.h"

#include "service/http/wire.h"

typedef void (*say)(struct fl_push *push, struct fl_str key, struct fl_str value);

/* As JSON; bytes of 0x20 and more go through as they are. */
static void add_quoted(struct fl_str s, struct fl_buf *out)
{
    fl_buf_add_text(out, "\"");
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            fl_buf_addf(out, "\\%c", c);
        } else if (c == '\n') {
            fl_buf_add_text(out, "\\n");
        } else if (c < 0x20) {
            fl_buf_addf(out, "\\u%04x", (unsigned)c);
        } else {
            fl_buf_add(out, s.p + i, 1);
        }
    }
    fl_buf_add_text(out, "\"");
}

static bool add_value(struct fl_str message, struct fl_buf *out, int depth);

static bool add_pair(struct fl_str message, struct fl_buf *out, int depth)
{
    struct fl_wire w = {.rest = message};
    struct fl_str name = {"", 0};
    struct fl_str value = name;
    for (struct fl_wire_field f; fl_wire_next(&w, &f);) {
        name = fl_wire_is(&f, 1) ? f.bytes : name;
        value = fl_wire_is(&f, 2) ? f.bytes : value;
    }
    add_quoted(name, out);
    fl_buf_add_text(out, ":");
    return !w.failed && add_value(value, out, depth);
}

static bool add_values(struct fl_str message, struct fl_buf *out, bool pairs, int depth)
{
    struct fl_wire w = {.rest = message};
    bool good = depth < FL_OTLP_DEPTH;
    bool first = true;
    fl_buf_add_text(out, pairs ? "{" : "[");
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        if (fl_wire_is(&f, 1)) {
            fl_buf_add_text(out, first ? "" : ",");
            good = pairs ? add_pair(f.bytes, out, depth) : add_value(f.bytes, out, depth);
            first = false;
        }
    }
    fl_buf_add_text(out, pairs ? "}" : "]");
    return good && !w.failed;
}

static void add_text(struct fl_str s, bool inside, struct fl_buf *out)
{
    if (inside) {
        add_quoted(s, out);
    } else {
        fl_buf_add_str(out, s);
    }
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A value as text; those inside others as JSON. Recursion ends at FL_OTLP_DEPTH. */
static bool add_value(struct fl_str message, struct fl_buf *out, int depth)
{
    struct fl_wire w = {.rest = message};
    size_t from = out->n;
    bool good = true;
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        if (fl_wire_is(&f, 1) || fl_wire_is(&f, 7)) {
            add_text(f.bytes, depth > 0, out);
        } else if (fl_wire_is(&f, 5) || fl_wire_is(&f, 6)) {
            good = add_values(f.bytes, out, f.number == 6, depth + 1);
        } else if (f.number == 2 && f.kind == FL_WIRE_VARINT) {
            fl_buf_add_text(out, f.value ? "true" : "false");
        } else if (f.number == 3 && f.kind == FL_WIRE_VARINT) {
            fl_buf_addf(out, "%lld", (long long)f.value);
        } else if (f.number == 4 && f.kind == FL_WIRE_64) {
            fl_buf_addf(out, "%.17g", double_of(f.value));
        }
    }
    if (depth > 0 && out->n == from) {
        fl_buf_add_text(out, "null");
    }
    return good && !w.failed;
}

static bool take_attribute(struct fl_push *push, struct fl_str message, struct fl_buf *value,
                           say tell)
{
    struct fl_wire w = {.rest = message};
    struct fl_str name = {"", 0};
    bool good = true;
    fl_buf_clear(value);
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        name = fl_wire_is(&f, 1) ? f.bytes : name;
        good = !fl_wire_is(&f, 2) || add_value(f.bytes, value, 0);
    }
    tell(push, name, fl_buf_str(value));
    return good && !w.failed;
}

static bool take_resource(struct fl_push *push, struct fl_str message, struct fl_otlp *o)
{
    struct fl_wire w = {.rest = message};
    bool good = true;
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        good = !fl_wire_is(&f, 1) || take_attribute(push, f.bytes, &o->value, fl_push_label);
    }
    return good && !w.failed;
}

static bool take_record(struct fl_push *push, struct fl_str message, struct fl_otlp *o)
{
    struct fl_wire w = {.rest = message};
    uint64_t time = 0;
    uint64_t observed = 0;
    bool good = true;
    fl_buf_clear(&o->body);
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        if (f.kind == FL_WIRE_64) {
            time = f.number == 1 ? f.value : time;
            observed = f.number == 11 ? f.value : observed;
        } else if (fl_wire_is(&f, 5)) {
            good = add_value(f.bytes, &o->body, 0);
        } else if (fl_wire_is(&f, 6)) {
            good = take_attribute(push, f.bytes, &o->value, fl_push_field);
        }
    }
    if (good && !w.failed) {
        time = time ? time : observed;
        fl_otlp_line(push, time <= INT64_MAX ? (int64_t)time : 0, &o->body);
    }
    return good && !w.failed;
}

static bool take_scope(struct fl_push *push, struct fl_str message, struct fl_otlp *o)
{
    struct fl_wire w = {.rest = message};
    bool good = true;
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        good = !fl_wire_is(&f, 2) || take_record(push, f.bytes, o);
    }
    return good && !w.failed;
}

/* Looked at twice, first for the resource. */
static bool take_resource_logs(struct fl_push *push, struct fl_str message, struct fl_otlp *o)
{
    struct fl_wire w = {.rest = message};
    bool good = true;
    fl_push_begin(push);
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        good = !fl_wire_is(&f, 1) || take_resource(push, f.bytes, o);
    }
    good = good && !w.failed;
    w = (struct fl_wire){.rest = message};
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        good = !fl_wire_is(&f, 2) || take_scope(push, f.bytes, o);
    }
    return good;
}

enum fl_status fl_push_otlp_proto(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct fl_wire w = {.rest = body};
    struct fl_otlp o;
    bool good = true;
    fl_buf_init(&o.body, FL_PUSH_TEXT);
    fl_buf_init(&o.value, FL_PUSH_TEXT);
    for (struct fl_wire_field f; good && fl_wire_next(&w, &f);) {
        good = !fl_wire_is(&f, 1) || take_resource_logs(push, f.bytes, &o);
    }
    bool failed = o.body.failed || o.value.failed;
    fl_buf_free(&o.body);
    fl_buf_free(&o.value);
    if (!good || w.failed) {
        return fl_fail(err, FL_SYNTAX, "no ExportLogsServiceRequest: a fault before byte %zu",
                       body.n - w.rest.n);
    }
    return failed ? fl_fail(err, FL_NOMEM, "no memory for a pushed body") : fl_push_end(push, err);
}
