/* SPDX-License-Identifier: Apache-2.0 */
/* What both encodings of OpenTelemetry's logs have in common. */
#pragma once
#include "service/http/push_tell.h"

enum { FL_OTLP_DEPTH = 32 }; /* of values in values */

/* Texts of the value that is being read. */
struct fl_otlp {
    struct fl_buf body;
    struct fl_buf value; /* of an attribute */
};

/* A record without a body may still bring a traceback. */
static inline void fl_otlp_line(struct fl_push *push, int64_t time_ns, const struct fl_buf *body)
{
    if (body->n) {
        fl_push_line(push, time_ns, fl_buf_str(body));
    } else {
        fl_push_textless(push, time_ns);
    }
}
