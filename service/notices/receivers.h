/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of failures: the file that the setting `notices` names.
 *
 *     {"format": "faultline.notices/1", "base_url": "https://faultline.example", "window_s": 3600,
 *      "active_s": 14400, "receivers": [
 *       {"name": "alerts", "kind": "alertmanager", "url": "http://alertmanager:9093", "private": true},
 *       {"name": "chat", "kind": "slack", "url_file": "/etc/faultline/slack", "only": {"severity": "high"}},
 *       {"name": "hook", "kind": "webhook", "url": "https://hooks.example/x", "key_file": "/etc/faultline/key"}]}
 *
 * The file, and those that it names, may be written by nobody but this user or root: who writes there says
 * where texts of logs go. */
#pragma once
#include "rules/base/taxonomy.h"
#include "service/base/arena.h"
#include "service/base/status.h"

enum { FL_RECEIVERS_MOST = 32 };

enum fl_receiver_kind { FL_RECEIVER_ALERTMANAGER, FL_RECEIVER_WEBHOOK, FL_RECEIVER_SLACK, FL_RECEIVER_KINDS };

struct fl_receiver {
    const char *name;
    enum fl_receiver_kind kind;
    const char *url;   /* a secret, for some */
    struct fl_str key; /* of the signature; "": none */
    const char *ca_file;
    bool is_private;  /* may be on this machine or in a private network */
    enum fl_severity severity; /* told from this one on */
    struct fl_str *causes; /* told only of these; none: of all */
    size_t causes_n;
    double resend_s;  /* an active alert is sent again so often */
    double retry_s;   /* before the second try; four times that before the third */
    double timeout_s; /* of one try */
};

struct fl_receivers {
    struct fl_arena arena;
    struct fl_str base_url; /* of links to this service; "": no links */
    double window_s;        /* failures alike within it are one message */
    double active_s;        /* without another one for so long, a failure is over */
    struct fl_receiver *list;
    size_t n;
};

/* path NULL: nobody. FL_SYNTAX and the like name the file, the receiver and the remedy, never a URL.
 * To be freed in either case. */
enum fl_status fl_receivers_load(const char *path, struct fl_receivers *out, struct fl_err *err) FL_MUST_USE;
void fl_receivers_free(struct fl_receivers *receivers);

const struct fl_receiver *fl_receivers_find(const struct fl_receivers *receivers, struct fl_str name);
const char *fl_receiver_kind_name(enum fl_receiver_kind kind);

/* Is it to be told of such a failure? */
bool fl_receiver_wants(const struct fl_receiver *receiver, struct fl_str cause, struct fl_str severity);
