/* SPDX-License-Identifier: Apache-2.0 */
/* Records of log shippers and log libraries: one pass over the members, in any order. */
#include "service/http/push_tell.h"

/* What is read of a record on the way; a slice for each of text and time, the weightiest. */
struct record {
    struct fl_jp_text text;
    struct fl_jp_text time;
    int text_weight; /* INT32_MAX: none */
    int time_weight;
    bool level;
};

static void take_scalar(struct fl_push *push, struct fl_push_key key, bool nested,
                        enum fl_jp_kind kind, struct fl_jp_text value, struct record *r)
{
    bool string = kind == FL_JP_STRING;
    if (key.role == FL_PUSH_IS_TEXT && string && !nested && key.weight < r->text_weight) {
        r->text = value;
        r->text_weight = key.weight;
    } else if (key.role == FL_PUSH_IS_TIME && !nested && key.weight < r->time_weight) {
        r->time = value;
        r->time_weight = key.weight;
    } else if (key.role < FL_PUSH_SAID || (key.role == FL_PUSH_IS_TRACE && string)) {
        fl_push_said(push, key, fl_push_meant(push, value));
    }
    r->level |= key.role == FL_PUSH_IS_LEVEL && !nested;
}

/* Parent and key, or nothing for a bag's empty key and for what no known key is as long as. */
static struct fl_str join(struct fl_str parent, struct fl_str key, char out[FL_PUSH_KEY])
{
    size_t gap = parent.n ? 1 : 0;
    if (key.n == 0 || parent.n + gap + key.n > FL_PUSH_KEY) {
        return (struct fl_str){"", 0};
    }
    memcpy(out, parent.p, parent.n);
    memcpy(out + parent.n, "_", gap);
    memcpy(out + parent.n + gap, key.p, key.n);
    return (struct fl_str){out, parent.n + gap + key.n};
}

/* The members of an object that counts, and of those in it: `parents` are their keys, an empty one
 * for a bag. Not recursive. */
static void take_members(struct fl_push *push, struct fl_jp *jp, struct record *r)
{
    enum { NESTED = 4 };
    struct fl_str parents[NESTED] = {{"", 0}};
    char joined[NESTED][FL_PUSH_KEY];
    size_t depth = 0;
    for (struct fl_jp_text name;;) {
        if (!fl_jp_key(jp, &name)) {
            if (jp->fault || depth-- == 0) {
                return;
            }
            continue;
        }
        struct fl_push_key key = fl_push_key_of(parents[depth], name.raw);
        enum fl_jp_kind kind = fl_jp_kind(jp);
        bool parent = key.role != FL_PUSH_IS_PASSING && key.role != FL_PUSH_IS_OTHER;
        if (kind == FL_JP_OBJECT && parent && depth + 1 < NESTED) {
            bool bag = key.role == FL_PUSH_IS_BAG;
            depth++;
            parents[depth] = join(parents[depth - 1], bag ? FL_LIT("") : name.raw, joined[depth]);
            (void)fl_jp_enter(jp, kind);
            continue;
        }
        struct fl_jp_text value = {{"", 0}, false};
        if (kind == FL_JP_STRING) {
            (void)fl_jp_string(jp, &value);
        } else {
            value.raw = fl_jp_skip(jp);
        }
        if (kind == FL_JP_STRING || kind == FL_JP_NUMBER) {
            take_scalar(push, key, depth > 0, kind, value, r);
        }
    }
}

void fl_push_record(struct fl_push *push, struct fl_jp *jp)
{
    struct record r = {.text_weight = INT32_MAX, .time_weight = INT32_MAX};
    if (fl_jp_kind(jp) == FL_JP_STRING && fl_jp_string(jp, &r.text)) {
        fl_push_line(push, 0, fl_push_meant(push, r.text));
        return;
    }
    if (fl_jp_kind(jp) != FL_JP_OBJECT) {
        (void)fl_jp_skip(jp);
        fl_push_textless(push, 0);
        return;
    }
    size_t from = jp->at;
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    take_members(push, jp, &r);
    if (jp->fault) {
        return;
    }
    int64_t time = fl_push_time(fl_push_meant(push, r.time));
    if (r.text_weight != INT32_MAX) {
        fl_push_line(push, time, fl_push_meant(push, r.text));
    } else if (r.level) { /* a log library's, whose text is in its members */
        fl_push_line(push, time, (struct fl_str){jp->text.p + from, jp->at - from});
    } else {
        fl_push_textless(push, time);
    }
}

enum fl_status fl_push_records(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct fl_jp jp;
    fl_jp_init(&jp, body);
    while (fl_jp_more(&jp)) {
        if (fl_jp_kind(&jp) != FL_JP_ARRAY) {
            fl_push_record(push, &jp);
            continue;
        }
        (void)fl_jp_enter(&jp, FL_JP_ARRAY);
        while (fl_jp_item(&jp)) {
            fl_push_record(push, &jp);
        }
    }
    return fl_push_end_json(push, &jp, err);
}
