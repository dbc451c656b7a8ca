/* SPDX-License-Identifier: Apache-2.0 */
/* One POST to a receiver. No redirect is followed, no proxy and no .netrc of the environment is used, the
 * address that is really connected to is judged (address.h), and of the reply little is read. */
#pragma once
#include "service/base/str.h"
#include "service/notices/receivers.h"

#include <stdatomic.h>
#include <stdint.h>

enum fl_post_end {
    FL_POST_TAKEN,   /* 2xx */
    FL_POST_AGAIN,   /* may go better later: 408, 429, 5xx, no connection, too slow */
    FL_POST_NEVER,   /* will not: other answers, a forbidden address */
    FL_POST_STOPPED, /* by `stop` */
};

struct fl_post {
    const struct fl_receiver *to;
    struct fl_str body;   /* JSON */
    const char *key;      /* Idempotency-Key */
    const char *trace;    /* traceparent, or "" */
    const atomic_bool *stop; /* NULL: none */
    enum fl_post_end end;
    double wait_s;  /* the receiver wants to be left alone so long; 0: it does not say */
    char why[256]; /* when not taken, without the URL */
};

void fl_post(struct fl_post *post);
