/* SPDX-License-Identifier: Apache-2.0 */
/* How decoders tell a struct fl_push what they read. Failures (memory, limits) stick and come out
 * of fl_push_end. */
#pragma once
#include "service/base/json_pull.h"
#include "service/http/push.h"
#include "service/http/push_key.h"

/* What follows is of another sender: forgets all that was said. */
void fl_push_begin(struct fl_push *push);

/* Said about the sender (Loki's labels, OpenTelemetry's resource), holds until fl_push_begin. */
void fl_push_label(struct fl_push *push, struct fl_str key, struct fl_str value);

/* Said about the next line alone (keys of a record, structured metadata). */
void fl_push_field(struct fl_push *push, struct fl_str key, struct fl_str value);
void fl_push_said(struct fl_push *push, struct fl_push_key key, struct fl_str value);

/* time_ns: since 1970; 0: not known. It is put before a line that has no time of its own, as RFC
 * 3339 in UTC. A \n in the text parts lines. Bytes go through as they are, NUL too. */
void fl_push_line(struct fl_push *push, int64_t time_ns, struct fl_str text);

/* A record without a text: the traceback that was said with it is its line; else it is rejected. */
void fl_push_textless(struct fl_push *push, int64_t time_ns);

/* What a string means; valid until the next call. */
struct fl_str fl_push_meant(struct fl_push *push, struct fl_jp_text text);

/* One object (or bare string) as a line with what it says about itself. */
void fl_push_record(struct fl_push *push, struct fl_jp *jp);

/* The decoder's last words. */
enum fl_status fl_push_end(const struct fl_push *push, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_push_end_json(const struct fl_push *push, const struct fl_jp *jp,
                                struct fl_err *err) FL_MUST_USE;
