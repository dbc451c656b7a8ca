/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of the service only: what is open, and the handlers that the table of routes names. */
#pragma once
#include "rag/incidents.h"
#include "service/http/hub.h"
#include "service/http/counters.h"
#include "service/http/reply.h"
#include "service/http/serve.h"
#include "service/http/token.h"
#include "service/http/syslog.h"
#include "service/jobs/fetch.h"
#include "service/jobs/triage.h"
#include "service/notices/notices.h"

#include <pthread.h>

struct fl_serve {
    struct fl_serve_options o;
    const char *state;
    int lock_fd; /* of the state folder */
    struct fl_jobs *write_jobs; /* the writer's */
    struct fl_writer *writer;
    struct fl_jobs *read_jobs; /* for answers ... */
    pthread_mutex_t reading;   /* ... one at a time */
    struct fl_books *books;
    struct fl_incidents *incidents;
    struct fl_triage *triage;
    struct fl_notices *notices;
    struct fl_fetch *fetch;
    struct fl_syslog *syslog;
    struct fl_hub *hub;
    struct fl_counters *counters;
    struct fl_http_server *server;
    pthread_mutex_t tokens_mutex;
    struct fl_tokens tokens;
    atomic_bool ready;
    atomic_bool reads_signals;
    atomic_long requests; /* in hand */
    atomic_long warned;   /* the second of the last warning */
    bool is_local;        /* others cannot reach it */
};

/* A request with a path that a route has: its handler fills in the answer or calls fl_http_later. */
typedef void (*fl_route_run)(struct fl_serve *serve, struct fl_http_request *request);

struct fl_route {
    const char *method; /* GET also answers HEAD */
    const char *path;   /* {} stands for one segment */
    unsigned scope;     /* 0: anybody */
    fl_route_run run;
};

extern const struct fl_route fl_routes[];
extern const size_t fl_routes_n;

/* The route of a request, with its segments filled in; NULL: none. *others_r: the path has other
 * methods. */
const struct fl_route *fl_route_find(struct fl_http_request *request, bool *others_r);

/* A JSON object as the body; NULL, and answered, when it is none. "" is {}. */
fl_json *fl_serve_body(struct fl_http_request *request);

/* The request's traceparent as facts of a job; "" when it has none. */
struct fl_str fl_serve_trace(const struct fl_http_request *request, char room[static 96]);

/* Runs a write and waits; answers when it fails. */
bool fl_serve_write(struct fl_serve *serve, struct fl_http_request *request, struct fl_write *write);

void fl_take_ingest(struct fl_serve *serve, struct fl_http_request *request);
void fl_take_loki(struct fl_serve *serve, struct fl_http_request *request);
void fl_take_otlp(struct fl_serve *serve, struct fl_http_request *request);
void fl_take_bulk(struct fl_serve *serve, struct fl_http_request *request);
void fl_take_journal(struct fl_serve *serve, struct fl_http_request *request);
void fl_take_slurm(struct fl_serve *serve, struct fl_http_request *request);
void fl_take_alerts(struct fl_serve *serve, struct fl_http_request *request);

void fl_api_probe(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_health(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_ready(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_version(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_metrics(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_events(struct fl_serve *serve, struct fl_http_request *request);

void fl_api_jobs(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_job(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_job_end(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_job_forget(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_job_log(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_signals(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_openapi(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_job_verdict(struct fl_serve *serve, struct fl_http_request *request);

void fl_api_incidents(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_incident(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_similar(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_feedback(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_flag(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_merge(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_split(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_review(struct fl_serve *serve, struct fl_http_request *request);

void fl_api_rules(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_rule(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_rule_change(struct fl_serve *serve, struct fl_http_request *request);
void fl_api_stats(struct fl_serve *serve, struct fl_http_request *request);
