/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/push.h"

#include <strings.h>

#include "service/base/json_pull.h"

enum type { TYPE_NONE, TYPE_JSON, TYPE_PROTO, TYPE_TEXT, TYPE_JOURNAL, TYPE_OTHER };

/* "Application/JSON; charset=utf-8" is application/json. What curl says unasked says nothing. */
static enum type type_of(struct fl_str header)
{
    static const struct {
        const char *name;
        enum type type;
    } types[] = {
        {"", TYPE_NONE},
        {"application/octet-stream", TYPE_NONE},
        {"application/x-www-form-urlencoded", TYPE_NONE},
        {"application/json", TYPE_JSON},
        {"text/json", TYPE_JSON},
        {"application/x-ndjson", TYPE_JSON},
        {"application/ndjson", TYPE_JSON},
        {"application/jsonl", TYPE_JSON},
        {"application/x-jsonlines", TYPE_JSON},
        {"application/json-lines", TYPE_JSON},
        {"application/stream+json", TYPE_JSON},
        {"application/x-protobuf", TYPE_PROTO},
        {"application/protobuf", TYPE_PROTO},
        {"application/vnd.google.protobuf", TYPE_PROTO},
        {"application/vnd.fdo.journal", TYPE_JOURNAL},
    };
    const char *end = header.n ? memchr(header.p, ';', header.n) : NULL;
    struct fl_str name =
        fl_str_trim(fl_str_head(header, end ? (size_t)(end - header.p) : header.n));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (name.n == strlen(types[i].name) && strncasecmp(name.p, types[i].name, name.n) == 0) {
            return types[i].type;
        }
    }
    return name.n > 5 && strncasecmp(name.p, "text/", 5) == 0 ? TYPE_TEXT : TYPE_OTHER;
}

static bool begins_object(struct fl_str body)
{
    body = fl_str_ltrim(body);
    return body.n && *body.p == '{';
}

/* A log may begin with a bracket, or with a line of JSON: records are what goes on as records. */
static bool looks_like_records(struct fl_str body)
{
    struct fl_jp jp;
    fl_jp_init(&jp, body);
    enum fl_jp_kind kind = fl_jp_kind(&jp);
    if (kind == FL_JP_ARRAY) {
        return fl_jp_enter(&jp, kind) && fl_jp_kind(&jp) == FL_JP_OBJECT;
    }
    (void)fl_jp_skip(&jp);
    return kind == FL_JP_OBJECT && !jp.fault &&
           (!fl_jp_more(&jp) || fl_jp_kind(&jp) == FL_JP_OBJECT);
}

static fl_push_decode of_ingest(enum type type, struct fl_str body)
{
    switch (type) {
    case TYPE_JSON:
        return fl_push_records;
    case TYPE_TEXT:
        return fl_push_text;
    case TYPE_JOURNAL:
        return fl_push_journal;
    case TYPE_NONE:
        return looks_like_records(body) ? fl_push_records : fl_push_text;
    case TYPE_PROTO:
    case TYPE_OTHER:
        break;
    }
    return NULL;
}

fl_push_decode fl_push_choose(enum fl_push_path path, struct fl_str content_type,
                              struct fl_str body)
{
    enum type type = type_of(content_type);
    bool json = type == TYPE_JSON || (type == TYPE_NONE && begins_object(body));
    switch (path) {
    case FL_PUSH_AT_LOKI:
        return json ? fl_push_loki_json : fl_push_loki_proto;
    case FL_PUSH_AT_OTLP:
        return json                                      ? fl_push_otlp_json
               : type == TYPE_PROTO || type == TYPE_NONE ? fl_push_otlp_proto
                                                         : NULL;
    case FL_PUSH_AT_BULK:
        return fl_push_bulk;
    case FL_PUSH_AT_JOURNAL:
        return fl_push_journal;
    case FL_PUSH_AT_INGEST:
        break;
    }
    return of_ingest(type, body);
}

bool fl_push_is_snappy(enum fl_push_path path, struct fl_str content_type, struct fl_str body)
{
    return path == FL_PUSH_AT_LOKI &&
           fl_push_choose(path, content_type, body) == fl_push_loki_proto;
}
