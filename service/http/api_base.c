/* SPDX-License-Identifier: Apache-2.0 */
/* What anybody may ask: is it there, is it well, what has it counted. */
#include "service/base/fsio.h"
#include "service/http/serving.h"
#include "service/paths.h"

#include <string.h>

/* The shippers of Elasticsearch look for this before they send. */
void fl_api_probe(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_jw w;
    (void)s;
    fl_reply_json(r, MHD_HTTP_OK, &w);
    fl_http_set(r, "X-Elastic-Product", "Elasticsearch");
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "name", "faultline");
    fl_jw_key_text(&w, "cluster_name", "faultline");
    fl_jw_key(&w, "version");
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "number", "8.0.0");
    fl_jw_key_text(&w, "faultline", FL_VERSION);
    fl_jw_end(&w, '}');
    fl_jw_key_text(&w, "tagline", "You Know, for Search");
    fl_jw_end(&w, '}');
}

/* Alive; and whether what is sent can be kept. */
void fl_api_health(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_writer_state writer;
    fl_writer_look(s->writer, &writer);
    fl_reply_text(r, MHD_HTTP_OK, "ok\n");
    if (writer.fault != FL_OK) {
        fl_buf_addf(&r->answer, "degraded: nothing can be written: %s\n", writer.why.msg);
    }
}

void fl_api_ready(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_writer_state writer;
    fl_writer_look(s->writer, &writer);
    if (!atomic_load(&s->ready)) {
        fl_reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "starting or stopping");
    } else if (writer.fault != FL_OK) {
        fl_reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, writer.why.msg);
    } else {
        fl_reply_text(r, MHD_HTTP_OK, "ready\n");
    }
}

void fl_api_version(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_jw w;
    (void)s;
    fl_reply_json(r, MHD_HTTP_OK, &w);
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "name", "faultline");
    fl_jw_key_text(&w, "version", FL_VERSION);
    fl_jw_end(&w, '}');
}

void fl_api_openapi(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_jw w;
    char path[FL_PATHS_BYTES];
    (void)s;
    fl_reply_json(r, MHD_HTTP_OK, &w);
    enum fl_status status = fl_fsio_read(fl_paths_data("data/openapi.json", path), &r->answer, &err);
    if (status != FL_OK) {
        fl_reply_failed(r, status, &err);
    }
}

static void add_rules(struct fl_serve *s, struct fl_buf *out)
{
    struct fl_book *book = fl_books_take(s->books);
    long active[2] = {0, 0};
    for (uint32_t i = 0; i < book->rules.set->rules_n; i++) {
        const struct fl_rule *rule = &book->rules.set->rules[i];
        active[rule->is_filter] += rule->state == FL_STATE_ACTIVE;
    }
    fl_counters_gauge(out, "faultline_diagnosis_rules", "Failure rules in force.", (double)active[0]);
    fl_counters_gauge(out, "faultline_filter_rules", "Filter rules in force.", (double)active[1]);
    fl_books_give(s->books, book);
}

void fl_api_metrics(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_writer_state writer;
    struct fl_triage_state triage;
    struct fl_guard_state guard;
    struct fl_fetch_state fetch;
    size_t incidents = 0;
    fl_writer_look(s->writer, &writer);
    fl_triage_look(s->triage, &triage);
    fl_guard_look(fl_http_guard(r->server), &guard);
    fl_reply_text(r, MHD_HTTP_OK, "");
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    struct fl_buf *out = &r->answer;
    fl_counters_write(s->counters, out);
    fl_buf_addf(out, "# HELP faultline_build_info The version that runs.\n# TYPE faultline_build_info gauge\n"
                     "faultline_build_info{version=\"" FL_VERSION "\"} 1\n");
    fl_counters_gauge(out, "faultline_http_connections", "Open connections.", (double)guard.connections);
    fl_counters_gauge(out, "faultline_http_held_bytes", "Bytes of bodies in memory.",
                     (double)fl_http_held(r->server));
    fl_counters_gauge(out, "faultline_write_queue_bytes", "Bytes that wait to be written.",
                     (double)writer.waiting);
    fl_counters_gauge(out, "faultline_write_failed", "1 when the last write failed: nothing is acknowledged.",
                     writer.fault != FL_OK);
    fl_counters_gauge(out, "faultline_jobs_waiting", "Jobs with bytes that no verdict has seen.",
                     (double)triage.waiting);
    fl_counters_gauge(out, "faultline_triage_behind_seconds",
                     "How long ago the oldest of them should have been judged.",
                     (double)triage.behind_ms / 1000);
    fl_counters_gauge(out, "faultline_event_streams", "Open streams of events.",
                     (double)fl_hub_streams(s->hub));
    if (fl_incidents_count(s->incidents, &incidents, NULL) == FL_OK) {
        fl_counters_gauge(out, "faultline_incidents", "Incidents that are remembered.", (double)incidents);
    }
    fl_fetch_look(s->fetch, &fetch);
    fl_counters_gauge(out, "faultline_watched_files", "Logs in watched folders.", (double)fetch.watched);
    fl_counters_gauge(out, "faultline_jobs_unread", "Ended jobs whose logs are still to be read.",
                      (double)fetch.waiting);
    add_rules(s, out);
}

void fl_api_events(struct fl_serve *s, struct fl_http_request *r)
{
    fl_hub_stream(s->hub, r);
}
