/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of the server, and how long each may take. libmicrohttpd's time-out is one of
 * inactivity, which a client that sends a byte now and then never meets; here each part of a request has
 * a deadline by the clock (after Apache's mod_reqtimeout): a head, a body at 1 KiB/s or more, an answer that is
 * taken. One address may hold only so many connections, and try only so many wrong tokens.
 * Threads: any; the guard has one that looks every 250 ms. */
#pragma once
#include "service/base/status.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    FL_GUARD_HEAD_MS = 10000,
    FL_GUARD_IDLE_MS = 60000, /* kept open between two requests */
    FL_GUARD_GRACE_MS = 10000,
    FL_GUARD_RATE = 1024,     /* bytes a second */
    FL_GUARD_READS = 64,      /* times that, for those who read */
    FL_GUARD_ADDRESS = 64,    /* connections of an address that is not this machine's */
    FL_GUARD_WRONG = 5,       /* wrong tokens a second of an address */
};

enum fl_guard_part {
    FL_GUARD_IDLE,   /* nothing of a request is there yet */
    FL_GUARD_HEAD,
    FL_GUARD_BODY,
    FL_GUARD_WORK,   /* ours */
    FL_GUARD_ANSWER, /* `bytes` long */
    FL_GUARD_STREAM, /* without an end */
};

struct fl_guard;
struct fl_guarded;

enum fl_status fl_guard_start(size_t most, struct fl_guard **out, struct fl_err *err) FL_MUST_USE;
void fl_guard_stop(struct fl_guard *guard); /* after the last leave */

/* May this address have one more connection? */
bool fl_guard_accepts(struct fl_guard *guard, const struct sockaddr *address);

/* A connection came; NULL: no memory. It is shut down when its time is over. */
struct fl_guarded *fl_guard_enter(struct fl_guard *guard, int fd, const struct sockaddr *address);
void fl_guard_leave(struct fl_guard *guard, struct fl_guarded *connection);

/* It does this from now on; `bytes` is how many an answer has. */
void fl_guard_now(struct fl_guard *guard, struct fl_guarded *connection, enum fl_guard_part part,
                  size_t bytes);
/* So many bytes of the body came. */
void fl_guard_got(struct fl_guard *guard, struct fl_guarded *connection, size_t bytes);

/* A wrong token; false: too many of this address, it should not even be looked at. */
bool fl_guard_wrong(struct fl_guard *guard, struct fl_guarded *connection);
bool fl_guard_may_try(struct fl_guard *guard, const struct fl_guarded *connection);

struct fl_guard_state {
    size_t connections;
    long refused;
    long cut; /* too slow */
};
void fl_guard_look(struct fl_guard *guard, struct fl_guard_state *out);
