/* SPDX-License-Identifier: Apache-2.0 */
/* One notice: what is told, and how each kind of receiver wants it told. Texts of logs in it are redacted. */
#pragma once
#include "service/base/json.h"
#include "service/jobs/jobs.h"
#include "service/notices/receivers.h"

enum fl_notice_event {
    FL_NOTICE_FAILED,
    FL_NOTICE_SEEN,     /* in more jobs since it was told */
    FL_NOTICE_RESOLVED, /* no job of it fails any more */
    FL_NOTICE_TEST,
};

struct fl_notice {
    enum fl_notice_event event;
    struct fl_str job; /* the first one */
    struct fl_str cause; /* "": so also the next ones, when there is none */
    struct fl_str category;
    struct fl_str severity;
    struct fl_str summary;
    struct fl_str action;
    struct fl_str evidence; /* "rank3.log:17: the line" */
    struct fl_str incident;
    struct fl_str trace; /* traceparent */
    struct fl_str link;
    long jobs;
    int64_t since_ms;
    int64_t until_ms;        /* an alert ends by itself then */
    const fl_json *document; /* faultline.verdict/1, not redacted; NULL: gone */
};

const char *fl_notice_event_name(enum fl_notice_event event);

/* What of a failed job outlives its document (NULL allowed): a JSON object of the texts above, redacted; and
 * their reading: they end in the root, which the caller frees. */
void fl_notice_facts(const struct fl_jobs_row *job, const fl_json *document, struct fl_buf *out);
enum fl_status fl_notice_read(struct fl_str facts, fl_json **root_r, struct fl_notice *out,
                              struct fl_err *err) FL_MUST_USE;

/* The body for a receiver of this kind, JSON. Failures collect in out->failed. */
void fl_notice_write(enum fl_receiver_kind kind, const struct fl_notice *notice, struct fl_buf *out);

/* One element of the list that Alertmanager takes. */
void fl_notice_alert(const struct fl_notice *notice, struct fl_jw *w);
void fl_notice_document(const struct fl_notice *notice, struct fl_buf *out);
void fl_notice_slack(const struct fl_notice *notice, struct fl_buf *out);
