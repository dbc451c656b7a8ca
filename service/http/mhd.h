/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd, loaded when the service starts: linked, it and the thirty libraries behind it would be
 * loaded by every command. Names and contracts are those of microhttpd.h. */
#pragma once
#include "service/base/status.h"

#include <microhttpd.h>

#define FL_MHD_MAP(X)                                                                              \
    X(start_daemon)                                                                                \
    X(stop_daemon)                                                                                 \
    X(get_daemon_info)                                                                             \
    X(get_version)                                                                                 \
    X(lookup_connection_value)                                                                     \
    X(get_connection_values)                                                                       \
    X(get_connection_info)                                                                         \
    X(suspend_connection)                                                                          \
    X(resume_connection)                                                                           \
    X(create_response_from_buffer)                                                                 \
    X(create_response_from_callback)                                                               \
    X(add_response_header)                                                                         \
    X(queue_response)                                                                              \
    X(destroy_response)

struct fl_mhd {
#define X(name) __typeof__(&MHD_##name) name;
    FL_MHD_MAP(X)
#undef X
};

/* It stays loaded. FL_UNAVAILABLE with the remedy. */
enum fl_status fl_mhd_load(struct fl_mhd *out, struct fl_err *err) FL_MUST_USE;
