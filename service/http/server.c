/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/server.h"

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/base/str.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

enum { THREADS = 2, ANSWER_CAP = 32 << 20, SWALLOW = 64 << 20, LARGE = 64 << 10, BACKLOG = 511, HEAD_BYTES = 32 * 1024 };

struct fl_http_server {
    struct fl_mhd mhd;
    struct MHD_Daemon *daemon;
    struct fl_http_handlers handlers;
    struct fl_guard *guard;
    int port;
    atomic_size_t held;
    atomic_bool draining;
};

/* ---- addresses ---- */

static enum fl_status resolve(const char *listen, struct addrinfo **out, struct fl_err *err)
{
    char host[256];
    const char *colon = strrchr(listen, ':');
    char *end = NULL;
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    size_t n = colon ? (size_t)(colon - listen) : sizeof host;
    if (!colon || n >= sizeof host || strtoul(colon + 1, &end, 10) > 65535 || *end || !fl_is_digit(colon[1])) {
        return fl_fail(err, FL_USAGE, "--listen %s: give ADDRESS:PORT, such as 127.0.0.1:8080", listen);
    }
    memcpy(host, listen, n);
    host[n] = '\0';
    char *name = host;
    if (n > 1 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        name = host + 1;
    }
    int code = getaddrinfo(*name ? name : NULL, colon + 1, &hints, out);
    return code == 0 && *out ? FL_OK
                             : fl_fail(err, FL_USAGE, "--listen %s: %s", listen, gai_strerror(code));
}

enum fl_status fl_http_is_local(const char *listen, bool *local_r, struct fl_err *err)
{
    struct addrinfo *list = NULL;
    enum fl_status status = resolve(listen, &list, err);
    *local_r = status == FL_OK;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a->ai_addr;
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)a->ai_addr;
        *local_r = *local_r && (a->ai_family == AF_INET ? ntohl(v4->sin_addr.s_addr) >> 24 == 127
                                                        : IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr));
    }
    if (list) {
        freeaddrinfo(list);
    }
    return status;
}

int fl_http_port_of(int fd)
{
    struct sockaddr_in6 a; /* the port stands where that of IPv4 does */
    socklen_t n = sizeof a;
    return getsockname(fd, (struct sockaddr *)(void *)&a, &n) == 0 ? ntohs(a.sin6_port) : 0;
}

/* All addresses at once: [::] takes IPv4, too. */
enum fl_status fl_http_listen(const char *listen_on, int *fd_r, struct fl_err *err)
{
    struct addrinfo *list = NULL;
    enum fl_status status = resolve(listen_on, &list, err);
    *fd_r = -1;
    if (status != FL_OK || !list) {
        return status;
    }
    const struct addrinfo *best = list;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        best = a->ai_family == AF_INET6 && *listen_on == ':' ? a : best;
    }
    int on = 1;
    int off = 0;
    int fd = socket(best->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (best->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off)) ||
        bind(fd, best->ai_addr, best->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        status = fl_fail_errno(err, "--listen %s", listen_on);
        if (fd >= 0) {
            close(fd);
        }
    } else {
        *fd_r = fd;
    }
    freeaddrinfo(list);
    return status;
}

/* ---- a request ---- */

const char *fl_http_header(const struct fl_http_request *r, const char *name)
{
    return r->server->mhd.lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *fl_http_arg(const struct fl_http_request *r, const char *name)
{
    return r->server->mhd.lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

void fl_http_set(struct fl_http_request *r, const char *name, const char *value)
{
    if (r->headers_n < FL_HTTP_HEADERS) {
        r->header[r->headers_n].name = name;
        snprintf(r->header[r->headers_n].value, sizeof r->header->value, "%s", value);
        r->headers_n++;
    }
}

bool fl_http_hold(struct fl_http_request *r, size_t bytes)
{
    size_t before = atomic_fetch_add(&r->server->held, bytes);
    if (before + bytes > FL_HTTP_BODIES && before > 0) {
        atomic_fetch_sub(&r->server->held, bytes);
        return false;
    }
    r->held += bytes;
    return true;
}

void fl_http_later(struct fl_http_request *r)
{
    r->later = true;
    fl_guard_now(r->server->guard, r->guarded, FL_GUARD_WORK, 0);
    r->server->mhd.suspend_connection(r->connection);
}

void fl_http_wake(struct fl_http_request *r)
{
    r->server->mhd.resume_connection(r->connection);
}

static void refuse(struct fl_http_request *r, unsigned status, const char *why)
{
    r->status = status;
    r->type = "text/plain; charset=utf-8";
    fl_buf_clear(&r->answer);
    fl_buf_add_text(&r->answer, why);
    fl_buf_add_text(&r->answer, "\n");
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE) {
        fl_http_set(r, "Retry-After", "1");
    }
}

struct lengths {
    int content_length;
    int transfer_encoding;
    int host;
    bool bad;
};

/* libmicrohttpd 0.9.75 adds a folded line to the name before it: "Content-Length5". */
static bool is_folded(const char *name, const char *known)
{
    size_t n = strlen(known);
    return strncasecmp(name, known, n) == 0 && name[n];
}

static enum MHD_Result count_header(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct lengths *l = ctx;
    (void)kind;
    l->content_length += strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
    l->transfer_encoding += strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
    l->host += strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
    for (const char *c = name; *c; c++) { /* a token of RFC 9110, 5.6.2 */
        l->bad |= *c <= ' ' || *c >= 127 || strchr("\"(),/:;<=>?@[\\]{}", *c);
    }
    for (const char *c = value; c && *c; c++) {
        l->bad |= (*c > 0 && *c < ' ' && *c != '\t') || *c == 127;
    }
    l->bad |= *name == '\0' || is_folded(name, MHD_HTTP_HEADER_CONTENT_LENGTH) ||
              is_folded(name, MHD_HTTP_HEADER_TRANSFER_ENCODING);
    l->bad |= strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0 && value &&
              strcasecmp(value, "chunked") != 0;
    return MHD_YES;
}

static void check_head(struct fl_http_request *r, const char *version)
{
    struct lengths l = {0};
    r->server->mhd.get_connection_values(r->connection, MHD_HEADER_KIND, count_header, &l);
    if (l.bad || l.content_length > 1 || l.transfer_encoding > 1 || l.host > 1 ||
        (l.content_length && l.transfer_encoding) ||
        (l.host == 0 && strcasecmp(version, "HTTP/1.1") == 0)) {
        refuse(r, MHD_HTTP_BAD_REQUEST, "malformed request: one Host, one length, and names without blanks");
        fl_http_set(r, "Connection", "close");
    }
}

static void copy_id(const char *from, char *to, size_t n)
{
    size_t used = 0;
    for (; from && *from && used + 1 < n; from++) {
        if (fl_is_alpha(*from) || fl_is_digit(*from) || *from == '-' || *from == '_' || *from == '.') {
            to[used++] = *from;
        }
    }
    to[used] = '\0';
}

/* 00-<32 hex>-<16 hex>-<2 hex>, and not all zero (W3C Trace Context). */
static bool is_trace(const char *t)
{
    static const char zeros[] = "00000000000000000000000000000000";
    if (!t || strlen(t) != 55 || strncmp(t, "00-", 3) != 0 || t[35] != '-' || t[52] != '-') {
        return false;
    }
    for (size_t i = 0; i < 55; i++) {
        if (t[i] != '-' && !fl_is_digit(t[i]) && (t[i] < 'a' || t[i] > 'f')) {
            return false;
        }
    }
    return memcmp(t + 3, zeros, 32) != 0 && memcmp(t + 36, zeros, 16) != 0;
}

static void set_ids(struct fl_http_request *r)
{
    const char *trace = fl_http_header(r, "traceparent");
    if (is_trace(trace)) {
        snprintf(r->trace, sizeof r->trace, "%s", trace);
    }
    copy_id(fl_http_header(r, "X-Request-Id"), r->id, sizeof r->id);
    if (!*r->id) {
        uint64_t random = 0;
        if (getrandom(&random, sizeof random, 0) != sizeof random) {
            random = (uint64_t)fl_clock_mono_us();
        }
        snprintf(r->id, sizeof r->id, "%016llx", (unsigned long long)random);
    }
}

static struct fl_guarded *guarded_of(struct fl_http_server *s, struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        s->mhd.get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* Announced bytes of the body; -1: not told. */
static long long announced(const struct fl_http_request *r)
{
    const char *length = fl_http_header(r, MHD_HTTP_HEADER_CONTENT_LENGTH);
    return length ? strtoll(length, NULL, 10) : -1;
}

static void begin(struct fl_http_request *r, const char *version)
{
    struct fl_http_server *s = r->server;
    long long length = announced(r);
    set_ids(r);
    check_head(r, version);
    if (r->status == 0) {
        s->handlers.head(s->handlers.ctx, r);
    }
    if (r->status == 0 && length > FL_HTTP_BODY) {
        char why[128];
        snprintf(why, sizeof why, "a body may have %d bytes; send it in parts, or packed", FL_HTTP_BODY);
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, why);
    }
    if (r->status == 0 && length > 0 && !fl_http_hold(r, (size_t)length)) {
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy; try again in a second");
    }
    if (r->status == 0 && length > 0) {
        (void)fl_buf_room(&r->body, (size_t)length); /* grown by doubling, it would take twice that */
    }
    r->refused = r->status != 0;
    fl_guard_now(s->guard, r->guarded, FL_GUARD_BODY, 0);
}

/* false: no end of it is to be seen. What is refused is read, up to SWALLOW: a client that is still sending when
 * the connection closes never sees the answer. */
static bool take_body(struct fl_http_request *r, const char *data, size_t n)
{
    fl_guard_got(r->server->guard, r->guarded, n);
    r->came += n;
    if (r->refused) {
        return r->came <= SWALLOW;
    }
    if (r->body.n + n > FL_HTTP_BODY) {
        refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large; send it in parts, or packed");
    } else if (r->body.n + n > r->held && !fl_http_hold(r, n + 64 * 1024)) {
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy; try again in a second");
    } else if (fl_buf_add(&r->body, data, n) != FL_OK) {
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory; try again in a second");
    }
    r->refused = r->status != 0;
    if (r->refused) {
        fl_buf_free(&r->body);
        fl_buf_init(&r->body, FL_HTTP_BODY);
    }
    return true;
}

static ssize_t read_stream(void *ctx, uint64_t at, char *p, size_t n)
{
    struct fl_http_request *r = ctx;
    (void)at;
    ssize_t got = r->stream(r, p, n);
    if (got == 0) {
        r->server->mhd.suspend_connection(r->connection); /* a wake before this is not lost */
    }
    return got >= 0 ? got : MHD_CONTENT_READER_END_OF_STREAM;
}

static enum MHD_Result answer(struct fl_http_request *r)
{
    struct fl_http_server *s = r->server;
    struct MHD_Response *response;
    if (r->answer.failed) {
        fl_buf_clear(&r->answer);
        refuse(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "the answer is too large; ask for less of it");
        r->stream = NULL;
    }
    if (!r->stream && r->answer.n > LARGE && *r->method == 'G' && !fl_http_hold(r, r->answer.n)) {
        refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "busy; try again in a second");
        r->headers_n = 0;
        fl_http_set(r, "Retry-After", "1");
    }
    if (r->stream) {
        response = s->mhd.create_response_from_callback(MHD_SIZE_UNKNOWN, 16 * 1024, read_stream, r, NULL);
    } else { /* the request, and with it the answer, outlives the response */
        response =
            s->mhd.create_response_from_buffer(r->answer.n, r->answer.p, MHD_RESPMEM_PERSISTENT);
    }
    if (!response) {
        return MHD_NO;
    }
    if (r->type) {
        s->mhd.add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, r->type);
    }
    s->mhd.add_response_header(response, "X-Request-Id", r->id);
    s->mhd.add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (atomic_load(&s->draining)) {
        s->mhd.add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    for (size_t i = 0; i < r->headers_n; i++) {
        s->mhd.add_response_header(response, r->header[i].name, r->header[i].value);
    }
    fl_guard_now(s->guard, r->guarded, r->stream ? FL_GUARD_STREAM : FL_GUARD_ANSWER, r->answer.n);
    enum MHD_Result queued = s->mhd.queue_response(r->connection, r->status, response);
    s->mhd.destroy_response(response);
    return queued;
}

static struct fl_http_request *new_request(struct fl_http_server *s, struct MHD_Connection *c,
                                           const char *url, const char *method)
{
    struct fl_http_request *r = calloc(1, sizeof *r);
    if (r) {
        r->server = s;
        r->connection = c;
        r->guarded = guarded_of(s, c);
        r->method = method;
        r->path = fl_str_of(url);
        r->began_us = fl_clock_mono_us();
        fl_buf_init(&r->body, FL_HTTP_BODY);
        fl_buf_init(&r->answer, ANSWER_CAP);
    }
    return r;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *n,
                                  void **own)
{
    struct fl_http_server *s = ctx;
    struct fl_http_request *r = *own;
    if (!r) {
        r = *own = new_request(s, connection, url, method);
        if (!r) {
            return MHD_NO;
        }
        begin(r, version);
        long long length = announced(r);
        bool long_body = length > SWALLOW || fl_http_header(r, MHD_HTTP_HEADER_EXPECT);
        return r->refused && long_body ? answer(r) : MHD_YES;
    }
    if (*n) {
        bool goes_on = take_body(r, data, *n);
        *n = 0;
        return goes_on ? MHD_YES : MHD_NO;
    }
    if (r->status == 0 && !r->later) {
        fl_guard_now(s->guard, r->guarded, FL_GUARD_WORK, 0);
        s->handlers.run(s->handlers.ctx, r);
        if (r->later) {
            return MHD_YES;
        }
    }
    if (r->status == 0) {
        refuse(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "no answer was made");
    }
    return answer(r);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **own,
                         enum MHD_RequestTerminationCode how)
{
    struct fl_http_server *s = ctx;
    struct fl_http_request *r = *own;
    (void)connection;
    (void)how;
    if (!r) {
        return;
    }
    *own = NULL;
    if (r->over) {
        r->over(r);
    }
    s->handlers.done(s->handlers.ctx, r, (double)(fl_clock_mono_us() - r->began_us) / 1e6);
    atomic_fetch_sub(&s->held, r->held);
    fl_guard_now(s->guard, r->guarded, FL_GUARD_IDLE, 0);
    fl_buf_free(&r->body);
    fl_buf_free(&r->answer);
    free(r);
}

/* ---- connections ---- */

static enum MHD_Result on_accept(void *ctx, const struct sockaddr *address, socklen_t n)
{
    struct fl_http_server *s = ctx;
    (void)n;
    return !atomic_load(&s->draining) && fl_guard_accepts(s->guard, address) ? MHD_YES : MHD_NO;
}

static void on_connection(void *ctx, struct MHD_Connection *c, void **own,
                          enum MHD_ConnectionNotificationCode what)
{
    struct fl_http_server *s = ctx;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
        fl_guard_leave(s->guard, *own);
        *own = NULL;
        return;
    }
    const union MHD_ConnectionInfo *fd = s->mhd.get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *address =
        s->mhd.get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    *own = fd && address ? fl_guard_enter(s->guard, fd->connect_fd, address->client_addr) : NULL;
}

static void *on_line(void *ctx, const char *uri, struct MHD_Connection *c)
{
    struct fl_http_server *s = ctx;
    (void)uri;
    fl_guard_now(s->guard, guarded_of(s, c), FL_GUARD_HEAD, 0);
    return NULL;
}

static void on_log(void *ctx, const char *fmt, va_list ap)
{
    (void)ctx; /* what libmicrohttpd has to say of each broken connection */
    (void)fmt;
    (void)ap;
}

#define AS_OPTION(function) ((intptr_t)(void (*)(void))(function))

enum fl_status fl_http_start(const char *listen_on, const struct fl_http_handlers *handlers,
                             struct fl_http_server **out, struct fl_err *err)
{
    int fd = -1;
    struct fl_http_server *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return fl_fail(err, FL_NOMEM, "no memory for the server");
    }
    s->handlers = *handlers;
    enum fl_status status = fl_mhd_load(&s->mhd, err);
    if (status == FL_OK) {
        status = fl_guard_start(FL_HTTP_CONNECTIONS, &s->guard, err);
    }
    if (status == FL_OK) {
        status = fl_http_listen(listen_on, &fd, err);
    }
    if (status == FL_OK) {
        struct MHD_OptionItem options[] = {
            {MHD_OPTION_EXTERNAL_LOGGER, AS_OPTION(on_log), NULL},
            {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
            {MHD_OPTION_THREAD_POOL_SIZE, THREADS, NULL},
            {MHD_OPTION_CONNECTION_LIMIT, FL_HTTP_CONNECTIONS, NULL},
            {MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_BYTES, NULL},
            {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
            {MHD_OPTION_NOTIFY_COMPLETED, AS_OPTION(on_completed), s},
            {MHD_OPTION_NOTIFY_CONNECTION, AS_OPTION(on_connection), s},
            {MHD_OPTION_URI_LOG_CALLBACK, AS_OPTION(on_line), s},
            {MHD_OPTION_END, 0, NULL},
        };
        s->port = fl_http_port_of(fd);
        s->daemon = s->mhd.start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                                            MHD_USE_ERROR_LOG,
                                        0, on_accept, s, on_request, s, MHD_OPTION_ARRAY, options,
                                        MHD_OPTION_END);
        if (!s->daemon) {
            close(fd);
            status = fl_fail(err, FL_INTERNAL, "--listen %s: libmicrohttpd does not start", listen_on);
        }
    }
    if (status != FL_OK) {
        fl_guard_stop(s->guard);
        free(s);
        return status;
    }
    *out = s;
    return FL_OK;
}

/* Not by MHD_quiesce_daemon: it and the daemon's own thread may both take the listening socket out of
 * the epoll set, and whoever comes second ends the process (libmicrohttpd 0.9.75). */
void fl_http_drain(struct fl_http_server *s)
{
    atomic_store(&s->draining, true);
}

void fl_http_stop(struct fl_http_server *s)
{
    if (s) {
        s->mhd.stop_daemon(s->daemon);
        fl_guard_stop(s->guard);
        free(s);
    }
}

int fl_http_port(const struct fl_http_server *s)
{
    return s->port;
}

struct fl_guard *fl_http_guard(struct fl_http_server *s)
{
    return s->guard;
}

size_t fl_http_held(const struct fl_http_server *s)
{
    return atomic_load(&s->held);
}
