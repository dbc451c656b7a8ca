/* SPDX-License-Identifier: Apache-2.0 */
/* Elasticsearch's bulk body: an action, then (but for `delete`) its document. */
#include "service/http/push_tell.h"

enum action { ACTION_WRITE, ACTION_UPDATE, ACTION_DELETE, ACTION_UNKNOWN };

/* {"index": {"_index": "logs"}}: one member, whose key is the action. */
static enum action take_action(struct fl_jp *jp)
{
    enum action action = ACTION_UNKNOWN;
    struct fl_jp_text key;
    (void)fl_jp_enter(jp, FL_JP_OBJECT);
    if (fl_jp_key(jp, &key)) {
        action = fl_jp_is(key, FL_LIT("index")) || fl_jp_is(key, FL_LIT("create")) ? ACTION_WRITE
                 : fl_jp_is(key, FL_LIT("update"))                                 ? ACTION_UPDATE
                 : fl_jp_is(key, FL_LIT("delete"))                                 ? ACTION_DELETE
                                                                                   : ACTION_UNKNOWN;
        (void)fl_jp_skip(jp);
    }
    if (action == ACTION_UNKNOWN || fl_jp_key(jp, &key)) {
        fl_jp_fault(jp, "one of index, create, update and delete is expected");
    }
    return action;
}

enum fl_status fl_push_bulk(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct fl_jp jp;
    fl_jp_init(&jp, body);
    while (fl_jp_more(&jp)) {
        enum action action = take_action(&jp);
        if (action == ACTION_WRITE && fl_jp_kind(&jp) == FL_JP_OBJECT) {
            fl_push_record(push, &jp);
            continue;
        }
        if (action != ACTION_DELETE) {
            (void)fl_jp_skip(&jp);
        }
        fl_push_textless(push, 0);
    }
    return fl_push_end_json(push, &jp, err);
}
