/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 over libmicrohttpd: requests with their whole body come in, answers go out; what a request means
 * is not known here. Malformed requests, and those whose length two headers tell differently, are refused
 * (RFC 9112, 6.3); slow ones are cut (guard.h); all bodies, and large answers to GET, together may take FL_HTTP_BODIES
 * bytes, over which they are refused with 503, not with a status that makes a shipper drop them.
 * Threads: handlers run in those of the server, and may answer later from any. */
#pragma once
#include "service/base/buf.h"
#include "service/http/guard.h"
#include "service/http/mhd.h"

#include <stdatomic.h>

enum {
    FL_HTTP_CONNECTIONS = 4096,
    FL_HTTP_BODY = 16 << 20,   /* of one request, as it is sent */
    FL_HTTP_BODIES = 48 << 20, /* of all at once */
    FL_HTTP_HEADERS = 8,       /* of an answer, besides those of every one */
    FL_HTTP_SEGMENTS = 4,
};

struct fl_http_server;

struct fl_http_request {
    struct fl_http_server *server;
    struct MHD_Connection *connection;
    struct fl_guarded *guarded;
    const char *method;
    struct fl_str path;
    struct fl_str segment[FL_HTTP_SEGMENTS]; /* the variable parts of the path */
    struct fl_buf body;
    size_t held; /* bytes that count to FL_HTTP_BODIES */
    char id[64]; /* of the request, for logs: its own, or one made here */
    char trace[64]; /* traceparent, or "" */
    unsigned scopes; /* what its token allows */
    char token[128]; /* its name, or "" */
    bool known; /* to the handlers: they were given its head */

    unsigned status; /* of the answer; 0: none yet */
    const char *type;
    struct fl_buf answer;
    struct {
        const char *name; /* a literal */
        char value[256];
    } header[FL_HTTP_HEADERS];
    size_t headers_n;
    /* An answer without an end: next bytes into p, at most n; 0: none yet (the request sleeps until
     * fl_http_wake); below 0: it is over. */
    ssize_t (*stream)(struct fl_http_request *request, char *p, size_t n);
    void (*over)(struct fl_http_request *request); /* it is gone, answered or not; may be NULL */
    void *own; /* the handler's */

    /* of server.c */
    size_t came; /* of the body */
    bool refused;
    bool later;
    int64_t began_us;
};

struct fl_http_handlers {
    /* The head is there. Fills in the answer (status) to refuse it before its body comes. */
    void (*head)(void *ctx, struct fl_http_request *request);
    /* The body is there, too. Fills in the answer, or calls fl_http_later. */
    void (*run)(void *ctx, struct fl_http_request *request);
    /* It was answered, or lost: for counters and the log. */
    void (*done)(void *ctx, const struct fl_http_request *request, double seconds);
    void *ctx;
};

/* listen: "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses); port 0: any free one. */
enum fl_status fl_http_start(const char *listen, const struct fl_http_handlers *handlers,
                             struct fl_http_server **out, struct fl_err *err) FL_MUST_USE;
/* Takes no new connections from now on; those that are open go on. */
void fl_http_drain(struct fl_http_server *server);
/* Handlers that answer later must have done so. */
void fl_http_stop(struct fl_http_server *server);
int fl_http_port(const struct fl_http_server *server);
/* Is it an address that only this machine reaches? FL_USAGE when it is no address. */
enum fl_status fl_http_is_local(const char *listen, bool *local_r, struct fl_err *err) FL_MUST_USE;
/* A listening socket of such an address, for other protocols; its port. */
enum fl_status fl_http_listen(const char *listen, int *fd_r, struct fl_err *err) FL_MUST_USE;
int fl_http_port_of(int fd);
struct fl_guard *fl_http_guard(struct fl_http_server *server);
size_t fl_http_held(const struct fl_http_server *server); /* bytes of bodies in memory */

/* NULL: it has none. An argument is decoded; one without a value is "". */
const char *fl_http_header(const struct fl_http_request *request, const char *name);
const char *fl_http_arg(const struct fl_http_request *request, const char *name);

/* Counts more bytes of this request to FL_HTTP_BODIES; false: there is no room. */
bool fl_http_hold(struct fl_http_request *request, size_t bytes);

void fl_http_set(struct fl_http_request *request, const char *name, const char *value);

/* The handler answers later: by filling in the answer and fl_http_wake, from any thread. Nothing of the
 * request may be touched after the wake. */
void fl_http_later(struct fl_http_request *request);
void fl_http_wake(struct fl_http_request *request);
