/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a source through several threads: batches are read one after the other, judged side
 * by side, and settled in their order, one at a time. With one worker all of it happens in the
 * calling thread; more threads start only when there is much to read. */
#pragma once
#include "service/ingest/lines.h"
#include "service/ingest/source.h"

enum { FL_RELAY_MAX = 8 };

struct fl_relay {
    struct fl_source *source;
    unsigned flags;  /* of the lines, see lines.h */
    void **workers;  /* what each thread works with; one at least, FL_RELAY_MAX at most */
    size_t workers_n;
    void *ctx;
    enum fl_status (*judge)(void *worker, const struct fl_batch *batch, struct fl_err *err);
    enum fl_status (*settle)(void *ctx, void *worker, const struct fl_batch *batch,
                             struct fl_err *err);
};

/* Until the end of the source, or the first failure of a step. *read_r, with its message in fault,
 * is a failure of the source: all that could be read was settled. */
enum fl_status fl_relay_run(const struct fl_relay *relay, enum fl_status *read_r,
                            struct fl_err *fault, struct fl_err *err) FL_MUST_USE;
