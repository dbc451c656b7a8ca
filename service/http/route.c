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
    {"GET", "/api/v1/jobs/{}/verdicts/{}", READ, fl_api_job_verdict},
    {"GET", "/api/v1/events", READ, fl_api_events},
};
const size_t fl_routes_n = sizeof fl_routes / sizeof *fl_routes;

static struct fl_str next_segment(struct fl_str *path)
{
    const char *slash = memchr(path->p, '/', path->n);
    struct fl_str segment = {path->p, slash ? (size_t)(slash - path->p) : path->n};
    *path = fl_str_skip(*path, segment.n + (slash != NULL));
    return segment;
}

static bool matches(const char *pattern, struct fl_http_request *r)
{
    struct fl_str want = fl_str_of(pattern);
    struct fl_str path = r->path;
    size_t n = 0;
    while (want.n && path.n) {
        struct fl_str a = next_segment(&want);
        struct fl_str b = next_segment(&path);
        if (fl_str_eq(a, FL_LIT("{}")) && b.n && n < FL_HTTP_SEGMENTS) {
            r->segment[n++] = b;
        } else if (!fl_str_eq(a, b)) {
            return false;
        }
    }
    return want.n == 0 && path.n == 0;
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
