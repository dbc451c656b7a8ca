/* SPDX-License-Identifier: Apache-2.0 */
/* Tells others of failures: one message for all jobs that fail alike within a window, kept in jobs.db until it
 * is taken (see service/jobs/outbox.h), and sent at least once. An alert is sent again while it is active.
 *
 *   verdict ─► news ─► matter (new? more of the same? over?) ─► outbox ─► receiver
 *
 * Threads: one of its own; any may call. */
#pragma once
#include "service/jobs/writer.h"

struct fl_counters;
struct fl_notices;

enum { FL_NOTICES_TRIES = 3 };

struct fl_notices_options {
    const char *path; /* of the file of receivers; NULL: nobody is told */
    const char *state_dir;
    struct fl_writer *writer;
    struct fl_counters *counters;
};

/* Options must outlive it, but for the texts. */
enum fl_status fl_notices_start(const struct fl_notices_options *options, struct fl_notices **out,
                                struct fl_err *err) FL_MUST_USE;
void fl_notices_stop(struct fl_notices *notices); /* what was not sent waits for the next start */

/* The file anew; what cannot be read leaves the old receivers. */
enum fl_status fl_notices_reload(struct fl_notices *notices, struct fl_err *err) FL_MUST_USE;

/* There is a verdict. */
void fl_notices_wake(struct fl_notices *notices);

struct fl_receiver;
/* Sends a test notice, now and once. FL_UNAVAILABLE with what the receiver said. */
enum fl_status fl_notices_test(const struct fl_receiver *receiver, struct fl_str base_url,
                               struct fl_err *err) FL_MUST_USE;
