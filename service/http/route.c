/* SPDX-License-Identifier: Apache-2.0 */
/* Every address that the service answers, and what a token must allow for it. data/openapi.json tells the
 * same to others; a test compares them. */
#include "service/http/serving.h"

#include <string.h>

enum { ANYBODY = 0, INGEST = FL_SCOPE_INGEST, READ = FL_SCOPE_READ, ADMIN = FL_SCOPE_ADMIN };

const struct fl_route fl_routes[] = {
    {"GET", "/", ANYBODY, fl_api_probe},
    {"GET", "/healthz", ANYBODY, fl_api_health},
    {"GET", "/readyz", ANYBODY, fl_api_ready},
    {"GET", "/ready", ANYBODY, fl_api_ready},
    {"GET", "/version", ANYBODY, fl_api_version},
    {"GET", "/api/v1/openapi.json", ANYBODY, fl_api_openapi},
    {"GET", "/metrics", READ, fl_api_metrics},

    {"POST", "/api/v1/ingest", INGEST, fl_take_ingest},
    {"PUT", "/api/v1/ingest", INGEST, fl_take_ingest},
    {"POST", "/loki/api/v1/push", INGEST, fl_take_loki},
    {"POST", "/api/prom/push", INGEST, fl_take_loki},
    {"POST", "/v1/logs", INGEST, fl_take_otlp},
    {"POST", "/otlp/v1/logs", INGEST, fl_take_otlp},
    {"POST", "/_bulk", INGEST, fl_take_bulk},
    {"PUT", "/_bulk", INGEST, fl_take_bulk},
    {"POST", "/{}/_bulk", INGEST, fl_take_bulk},
    {"PUT", "/{}/_bulk", INGEST, fl_take_bulk},
    {"POST", "/upload", INGEST, fl_take_journal},
    {"POST", "/{}/_doc", INGEST, fl_take_slurm},
    {"POST", "/api/v1/alerts", INGEST, fl_take_alerts},

    {"GET", "/api/v1/jobs", READ, fl_api_jobs},
    {"GET", "/api/v1/jobs/{}", READ, fl_api_job},
    {"DELETE", "/api/v1/jobs/{}", ADMIN, fl_api_job_forget},
    {"POST", "/api/v1/jobs/{}/end", INGEST, fl_api_job_end},
    {"GET", "/api/v1/jobs/{}/log", READ, fl_api_job_log},
    {"GET", "/api/v1/jobs/{}/signals", READ, fl_api_signals},
    {"GET", "/api/v1/jobs/{}/verdicts/{}", READ, fl_api_job_verdict},
    {"GET", "/api/v1/events", READ, fl_api_events},

    {"GET", "/api/v1/incidents", READ, fl_api_incidents},
    {"GET", "/api/v1/incidents/{}", READ, fl_api_incident},
    {"POST", "/api/v1/incidents/{}/feedback", ADMIN, fl_api_feedback},
    {"POST", "/api/v1/incidents/{}/flag", ADMIN, fl_api_flag},
    {"POST", "/api/v1/incidents/{}/merge", ADMIN, fl_api_merge},
    {"POST", "/api/v1/incidents/{}/split", ADMIN, fl_api_split},
    {"GET", "/api/v1/search", READ, fl_api_similar},
    {"POST", "/api/v1/similar", READ, fl_api_similar},
    {"GET", "/api/v1/review", READ, fl_api_review},

    {"GET", "/api/v1/rules", READ, fl_api_rules},
    {"GET", "/api/v1/rules/{}", READ, fl_api_rule},
    {"POST", "/api/v1/rules/{}/{}", ADMIN, fl_api_rule_change},
    {"GET", "/api/v1/stats", READ, fl_api_stats},
};
const size_t fl_routes_n = sizeof fl_routes / sizeof *fl_routes;

static struct fl_str next_segment(struct fl_str *path, bool *more_r)
{
    const char *slash = memchr(path->p, '/', path->n);
    struct fl_str segment = {path->p, slash ? (size_t)(slash - path->p) : path->n};
    *path = fl_str_skip(*path, segment.n + (slash != NULL));
    *more_r = slash != NULL;
    return segment;
}

static bool matches(const char *pattern, struct fl_http_request *r)
{
    struct fl_str want = fl_str_of(pattern);
    struct fl_str path = r->path;
    size_t n = 0;
    bool more = true;
    while (more) {
        struct fl_str a = next_segment(&want, &more);
        bool further = false;
        struct fl_str b = next_segment(&path, &further);
        if (fl_str_eq(a, FL_LIT("{}")) && b.n && n < FL_HTTP_SEGMENTS) {
            r->segment[n++] = b;
        } else if (!fl_str_eq(a, b)) {
            return false;
        }
        if (more != further) {
            return false;
        }
    }
    return true;
}

const struct fl_route *fl_route_find(struct fl_http_request *r, bool *others_r)
{
    const char *method = strcmp(r->method, "HEAD") == 0 ? "GET" : r->method;
    *others_r = false;
    for (size_t i = 0; i < fl_routes_n; i++) {
        if (matches(fl_routes[i].path, r)) {
            if (strcmp(fl_routes[i].method, method) == 0) {
                return &fl_routes[i];
            }
            *others_r = true;
        }
    }
    return NULL;
}
