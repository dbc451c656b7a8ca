/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/serve.h"

#include "service/base/clock.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/http/serving.h"
#include "service/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STOP_WAIT_MS = 20000, TOKEN_CAP = 512 };

/* ---- who may ---- */

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The password of "Basic base64(user:password)", decoded into out. */
static struct fl_str basic_password(const char *text, char out[static TOKEN_CAP])
{
    size_t n = 0;
    unsigned bits = 0;
    int have = 0;
    for (; base64_digit(*text) >= 0 && n + 1 < TOKEN_CAP; text++) {
        bits = bits << 6 | (unsigned)base64_digit(*text);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (char)(bits >> have & 0xff);
        }
    }
    const char *colon = memchr(out, ':', n);
    return colon ? (struct fl_str){colon + 1, n - (size_t)(colon + 1 - out)} : (struct fl_str){out, 0};
}

static struct fl_str token_of(const struct fl_http_request *r, char room[static TOKEN_CAP])
{
    const char *header = fl_http_header(r, MHD_HTTP_HEADER_AUTHORIZATION);
    if (header && strncasecmp(header, "Bearer ", 7) == 0) {
        return fl_str_trim(fl_str_of(header + 7));
    }
    if (header && strncasecmp(header, "Basic ", 6) == 0) {
        return basic_password(header + 6, room);
    }
    return (struct fl_str){"", 0};
}

/* Without tokens whoever reaches this machine's own address is trusted. A page in a browser here reaches it,
 * too: it gives itself away by its Origin, or by a Host that is a name of its own (DNS rebinding). */
static bool is_foreign_page(const struct fl_http_request *r)
{
    static const char *const own[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *host = fl_http_header(r, MHD_HTTP_HEADER_HOST);
    const char *origin = fl_http_header(r, MHD_HTTP_HEADER_ORIGIN);
    bool known = !host;
    for (size_t i = 0; host && i < sizeof own / sizeof *own; i++) {
        size_t n = strlen(own[i]);
        known |= strncasecmp(host, own[i], n) == 0 && (host[n] == '\0' || host[n] == ':');
    }
    const char *from = origin ? strstr(origin, "://") : NULL;
    return !known || (origin && (!from || !host || strcasecmp(from + 3, host) != 0));
}

static void check_token(struct fl_serve *s, struct fl_http_request *r, unsigned scope)
{
    char room[TOKEN_CAP];
    struct fl_guard *guard = fl_http_guard(r->server);
    struct fl_str text = token_of(r, room);
    if (r->guarded && !fl_guard_may_try(guard, r->guarded)) {
        fl_reply_problem(r, 429, "too many wrong tokens from this address");
        return;
    }
    pthread_mutex_lock(&s->tokens_mutex);
    const struct fl_token *token = text.n ? fl_tokens_find(&s->tokens, text) : NULL;
    r->scopes = token ? token->scopes : 0;
    snprintf(r->token, sizeof r->token, "%s", token ? token->name : "");
    pthread_mutex_unlock(&s->tokens_mutex);
    if (!token) {
        if (text.n && r->guarded) {
            fl_guard_wrong(guard, r->guarded);
        }
        fl_reply_problem(r, 401, "give a token: Authorization: Bearer TOKEN (made by: faultline token add)");
        fl_http_set(r, "WWW-Authenticate", "Bearer realm=\"faultline\"");
    } else if (!(r->scopes & (scope | FL_SCOPE_ADMIN))) {
        char name[24];
        char why[80];
        snprintf(why, sizeof why, "this token lacks the scope %s", fl_scopes_name(scope, name));
        fl_reply_problem(r, 403, why);
    }
}

/* Where others can reach it, the last token that goes does not open it. */
static bool wants_token(struct fl_serve *s)
{
    pthread_mutex_lock(&s->tokens_mutex);
    bool any = s->tokens.n > 0;
    pthread_mutex_unlock(&s->tokens_mutex);
    return any || (!s->is_local && !s->o.insecure);
}

static void on_head(void *ctx, struct fl_http_request *r)
{
    struct fl_serve *s = ctx;
    bool others = false;
    const struct fl_route *route = fl_route_find(r, &others);
    r->known = true;
    atomic_fetch_add(&s->requests, 1);
    if (!atomic_load(&s->ready)) {
        fl_reply_problem(r, 503, "starting or stopping; try again in a second");
    } else if (!route) {
        fl_reply_problem(r, others ? 405 : 404,
                         others ? "this address takes other methods" : "there is nothing here");
    } else if (route->scope && wants_token(s)) {
        check_token(s, r, route->scope);
    } else if (route->scope && !s->o.insecure && is_foreign_page(r)) {
        fl_reply_problem(r, 403, "pages of other sites may not ask this service");
    }
}

static void on_run(void *ctx, struct fl_http_request *r)
{
    struct fl_serve *s = ctx;
    bool others = false;
    const struct fl_route *route = fl_route_find(r, &others);
    if (route) {
        route->run(s, r);
    }
}

static void on_done(void *ctx, const struct fl_http_request *r, double seconds)
{
    struct fl_serve *s = ctx;
    char code[8];
    bool stream = r->stream != NULL;
    snprintf(code, sizeof code, "%u", r->status);
    const struct fl_counter_label labels[] = {
        {"method", strlen(r->method) < 8 ? r->method : "other"}, {"code", code}};
    fl_counters_add(s->counters, "faultline_http_requests_total", labels, 2, 1);
    if (!stream) {
        fl_counters_observe(s->counters, "faultline_http_request_duration_seconds", NULL, seconds);
    }
    long now = (long)(fl_clock_mono_ms() / 1000);
    bool bad = r->status >= 500 && atomic_exchange(&s->warned, now) != now; /* one a second: a full disk refuses thousands */
    fl_log(bad ? FL_LOG_WARN : FL_LOG_DEBUG, "request=%s trace=%s %s %s status=%u seconds=%.3f%s%.200s", r->id,
           *r->trace ? r->trace : "-", r->method, r->path.p, r->status, seconds, bad ? ": " : "",
           bad ? fl_buf_text(&r->answer) : "");
    if (r->known) {
        atomic_fetch_sub(&s->requests, 1);
    }
}

/* ---- a verdict ---- */

static void publish(struct fl_serve *s, const struct fl_told *told)
{
    const struct fl_revision *v = &told->job->last;
    struct fl_buf text;
    struct fl_jw w;
    fl_buf_init(&text, 16 << 10);
    fl_jw_init(&w, &text, false);
    fl_jw_begin(&w, '{');
    fl_jw_key_str(&w, "job", told->job->name);
    fl_jw_key_int(&w, "revision", told->job->revision);
    fl_jw_key(&w, "final");
    fl_jw_bool(&w, v->final);
    fl_jw_key_str(&w, "verdict", v->outcome);
    fl_jw_key_str(&w, "cause", v->cause);
    fl_jw_key_str(&w, "method", v->method);
    fl_jw_key_str(&w, "action", v->action);
    fl_jw_key_str(&w, "incident", v->incident);
    fl_jw_key_str(&w, "summary", v->summary);
    fl_jw_end(&w, '}');
    if (!text.failed) {
        fl_hub_publish(s->hub, "verdict", fl_buf_str(&text));
    }
    fl_buf_free(&text);
}

static void on_told(void *ctx, const struct fl_told *told)
{
    struct fl_serve *s = ctx;
    const struct fl_revision *v = &told->job->last;
    char outcome[16];
    char method[16];
    snprintf(outcome, sizeof outcome, "%.*s", (int)v->outcome.n, v->outcome.p);
    snprintf(method, sizeof method, "%.*s", (int)v->method.n, v->method.p);
    const struct fl_counter_label labels[] = {{"verdict", outcome}, {"method", *method ? method : "none"}};
    fl_counters_add(s->counters, "faultline_diagnoses_total", labels, 2, 1);
    if (told->changed) {
        publish(s, told);
    }
    fl_hub_news(s->hub, told->job->row);
    fl_notices_wake(s->notices);
}

/* ---- helpers of handlers ---- */

fl_json *fl_serve_body(struct fl_http_request *r)
{
    struct fl_err err = {0};
    fl_json *root = NULL;
    struct fl_str text = r->body.n ? fl_buf_str(&r->body) : FL_LIT("{}");
    enum fl_status status = fl_json_parse(text, "the body", &root, &err);
    if (status == FL_OK && !fl_json_is_object(root)) {
        status = fl_fail(&err, FL_SYNTAX, "the body must be a JSON object");
    }
    if (status != FL_OK) {
        fl_json_free(root);
        fl_reply_failed(r, status, &err);
        return NULL;
    }
    return root;
}

struct fl_str fl_serve_trace(const struct fl_http_request *r, char room[static 96])
{
    snprintf(room, 96, *r->trace ? "{\"traceparent\":\"%s\"}" : "", r->trace);
    return fl_str_of(room);
}

bool fl_serve_write(struct fl_serve *s, struct fl_http_request *r, struct fl_write *write)
{
    struct fl_err err = {0};
    enum fl_status status = fl_writer_do(s->writer, write, &err);
    if (status != FL_OK) {
        fl_reply_failed(r, status, &err);
    }
    return status == FL_OK;
}

/* ---- start and stop ---- */

static enum fl_status lock_state(struct fl_serve *s, struct fl_err *err)
{
    char path[FL_PATHS_BYTES];
    enum fl_status status = fl_fsio_mkdirs(s->state, err);
    if (status != FL_OK) {
        return status;
    }
    snprintf(path, sizeof path, "%s/serve.lock", s->state);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0) {
        return fl_fail_errno(err, "%s", path);
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return fl_fail(err, FL_CONFLICT, "%s: another faultline serve has this state folder; stop it, or"
                                         " give another with --state", s->state);
    }
    return FL_OK;
}

static enum fl_status load_tokens(struct fl_serve *s, struct fl_err *err)
{
    struct fl_tokens fresh;
    enum fl_status status = fl_tokens_load(s->state, &fresh, err);
    if (status != FL_OK) {
        fl_tokens_free(&fresh);
        return status;
    }
    pthread_mutex_lock(&s->tokens_mutex);
    struct fl_tokens old = s->tokens;
    s->tokens = fresh;
    pthread_mutex_unlock(&s->tokens_mutex);
    fl_tokens_free(&old);
    return FL_OK;
}

/* Never open to others by mistake. */
static enum fl_status check_open(struct fl_serve *s, struct fl_err *err)
{
    enum fl_status status = fl_http_is_local(s->o.listen, &s->is_local, err);
    if (status == FL_OK && !s->is_local && !s->o.insecure && s->tokens.n == 0) {
        status = fl_fail(err, FL_DENIED, "--listen %s: others could reach this address, and there is no"
                                         " token. Make one (faultline token add NAME --scope ingest), or"
                                         " say --insecure", s->o.listen);
    }
    bool local = true;
    if (status == FL_OK && s->o.syslog) {
        status = fl_http_is_local(s->o.syslog, &local, err);
    }
    if (status == FL_OK && !local && !s->o.insecure) {
        status = fl_fail(err, FL_DENIED, "--syslog %s: others could reach this address, and syslog knows no"
                                         " tokens. Say --insecure if a firewall guards it", s->o.syslog);
    }
    return status;
}

static enum fl_status open_all(struct fl_serve *s, struct fl_err *err)
{
    char seeds[FL_PATHS_BYTES];
    enum fl_status status = fl_jobs_open(s->state, false, &s->write_jobs, err);
    if (status == FL_OK) {
        status = fl_writer_start(s->write_jobs, &s->writer, err);
    }
    if (status == FL_OK) {
        status = fl_jobs_open(s->state, true, &s->read_jobs, err);
    }
    if (status == FL_OK) {
        status = fl_books_open(s->state, &s->books, err);
    }
    if (status == FL_OK) {
        status = fl_incidents_open(s->state, fl_paths_data("data/incidents.jsonl", seeds), false,
                                   &s->incidents, err);
    }
    if (status == FL_OK) {
        status = fl_counters_new(&s->counters, err);
    }
    return status == FL_OK ? fl_hub_start(&s->hub, err) : status;
}

static enum fl_status start_all(struct fl_serve *s, struct fl_err *err)
{
    const struct fl_triage_options triage = {.config = s->o.config,
                                             .books = s->books,
                                             .incidents = s->incidents,
                                             .writer = s->writer,
                                             .rest_s = s->o.rest_s,
                                             .told = on_told,
                                             .ctx = s};
    const struct fl_http_handlers handlers = {on_head, on_run, on_done, s};
    const struct fl_notices_options notices = {s->o.config->value[FL_SET_NOTICES], s->state, s->writer,
                                               s->counters};
    enum fl_status status = fl_notices_start(&notices, &s->notices, err);
    if (status == FL_OK) {
        status = fl_triage_start(&triage, &s->triage, err);
    }
    const struct fl_fetch_options fetch = {.state = s->state,
                                           .log_roots = s->o.config->value[FL_SET_LOG_ROOTS],
                                           .watch = s->o.config->value[FL_SET_WATCH],
                                           .writer = s->writer,
                                           .triage = s->triage};
    if (status == FL_OK) {
        status = fl_fetch_start(&fetch, &s->fetch, err);
    }
    if (status == FL_OK && s->o.syslog) {
        status = fl_syslog_start(s->o.syslog, s->writer, s->triage, s->counters, &s->syslog, err);
    }
    return status == FL_OK ? fl_http_start(s->o.listen, &handlers, &s->server, err) : status;
}

enum fl_status fl_serve_start(const struct fl_serve_options *o, struct fl_serve **out, struct fl_err *err)
{
    struct fl_serve *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return fl_fail(err, FL_NOMEM, "no memory for the service");
    }
    s->o = *o;
    s->state = o->config->value[FL_SET_STATE];
    s->lock_fd = -1;
    pthread_mutex_init(&s->reading, NULL);
    pthread_mutex_init(&s->tokens_mutex, NULL);
    enum fl_status status = lock_state(s, err);
    if (status == FL_OK) {
        status = load_tokens(s, err);
    }
    if (status == FL_OK) {
        status = check_open(s, err);
    }
    if (status == FL_OK) {
        status = open_all(s, err);
    }
    if (status == FL_OK) {
        status = start_all(s, err);
    }
    if (status != FL_OK) {
        fl_serve_stop(s);
        return status;
    }
    atomic_store(&s->ready, true);
    *out = s;
    return FL_OK;
}

int fl_serve_port(const struct fl_serve *s)
{
    return fl_http_port(s->server);
}

int fl_serve_syslog_port(const struct fl_serve *s)
{
    return s->syslog ? fl_syslog_port(s->syslog) : 0;
}

enum fl_status fl_serve_reload(struct fl_serve *s, struct fl_err *err)
{
    enum fl_status status = load_tokens(s, err);
    if (status == FL_OK) {
        status = fl_notices_reload(s->notices, err);
    }
    return status == FL_OK ? fl_books_reload(s->books, err) : status;
}

struct trimming {
    struct fl_write write;
    int64_t bytes;
    int64_t since_ms;
    bool trimmed;
};

static enum fl_status run_trim(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct trimming *t = FL_WRITE_OF(write, struct trimming, write);
    return fl_jobs_trim(jobs, t->bytes, t->since_ms, &t->trimmed, err);
}

void fl_serve_tick(struct fl_serve *s)
{
    struct fl_err err = {0};
    struct trimming t = {.write = {.run = run_trim}, .bytes = (int64_t)s->o.keep_gb * 1000000000,
                         .since_ms = fl_clock_wall_ms() - (int64_t)s->o.keep_days * 86400000};
    if (fl_writer_do(s->writer, &t.write, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "old logs are not forgotten: %s", err.msg);
    }
}

void fl_serve_stop(struct fl_serve *s)
{
    if (!s) {
        return;
    }
    atomic_store(&s->ready, false);
    if (s->server) {
        fl_http_drain(s->server);
    }
    if (s->hub) {
        fl_hub_close(s->hub);
    }
    /* A request that comes from now on is refused (on_head); what it may touch meanwhile is freed last. */
    int64_t until = fl_clock_mono_ms() + STOP_WAIT_MS;
    while (s->server && atomic_load(&s->requests) > 0 && fl_clock_mono_ms() < until) {
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    fl_syslog_stop(s->syslog);
    fl_fetch_stop(s->fetch);
    fl_triage_stop(s->triage);
    fl_notices_stop(s->notices);
    fl_writer_stop(s->writer); /* who waits for it is answered */
    fl_http_stop(s->server);
    fl_triage_free(s->triage);
    fl_writer_free(s->writer);
    fl_hub_free(s->hub);
    fl_counters_free(s->counters);
    fl_incidents_close(s->incidents);
    if (s->books) {
        fl_books_close(s->books);
    }
    fl_jobs_close(s->read_jobs);
    fl_jobs_close(s->write_jobs);
    fl_tokens_free(&s->tokens);
    pthread_mutex_destroy(&s->tokens_mutex);
    pthread_mutex_destroy(&s->reading);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    free(s);
}
