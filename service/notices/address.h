/* SPDX-License-Identifier: Apache-2.0 */
/* Where a notice may go. The operator names the receiver, yet a name may come to mean another machine, and
 * a slip must not make this service talk to what only it can reach. */
#pragma once
#include "service/base/status.h"

#include <stdbool.h>
#include <sys/socket.h>

enum { FL_ADDRESS_URL = 2048 };

enum fl_reach {
    FL_REACH_PUBLIC,
    FL_REACH_PRIVATE, /* this machine, or a network that is not the world's */
    FL_REACH_NEVER,   /* link-local (metadata of clouds), multicast, nobody, or no IP address */
};

/* What a resolved address is; one that carries another (mapped, NAT64, 6to4) is what it carries. */
enum fl_reach fl_address_reach(const struct sockaddr *address);

/* FL_OK: http or https, a plain host (a name, a dotted quad or [IPv6]), no user name, nothing that one reader of
 * URLs reads otherwise than the next. An address written out is judged like a resolved one. FL_USAGE: `err`
 * says what is wrong, and not what the URL is, for it may be a secret. */
enum fl_status fl_address_check(const char *url, bool may_be_private, struct fl_err *err) FL_MUST_USE;
