/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/v2/alerts. An alert is known by its labels, so they stay the same until it is over; those without
 * a value are left out, for Alertmanager refuses them. */
#include "service/base/clock.h"
#include "service/notices/notice.h"

#include <stdio.h>

static void key_known(struct fl_jw *w, const char *key, struct fl_str value)
{
    if (value.n) {
        fl_jw_key_str(w, key, value);
    }
}

static void key_time(struct fl_jw *w, const char *key, int64_t ms)
{
    char text[21];
    fl_clock_format(ms / 1000, text);
    fl_jw_key_text(w, key, text);
}

void fl_notice_alert(const struct fl_notice *n, struct fl_jw *w)
{
    char jobs[24];
    snprintf(jobs, sizeof jobs, "%ld", n->jobs);
    fl_jw_begin(w, '{');
    fl_jw_key(w, "labels");
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "alertname", n->event == FL_NOTICE_TEST ? "FaultlineTest" : "FaultlineJobFailed");
    key_known(w, "cause", n->cause);
    key_known(w, "category", n->category);
    key_known(w, "severity", n->severity);
    key_known(w, "job", n->job);
    fl_jw_end(w, '}');
    fl_jw_key(w, "annotations");
    fl_jw_begin(w, '{');
    key_known(w, "summary", n->summary);
    key_known(w, "action", n->action);
    key_known(w, "evidence", n->evidence);
    key_known(w, "incident", n->incident);
    key_known(w, "link", n->link);
    if (n->jobs > 1) {
        fl_jw_key_text(w, "jobs", jobs);
    }
    fl_jw_end(w, '}');
    key_time(w, "startsAt", n->since_ms);
    key_time(w, "endsAt", n->until_ms);
    key_known(w, "generatorURL", n->link);
    fl_jw_end(w, '}');
}
