/* SPDX-License-Identifier: Apache-2.0 */
/* Syslog over TCP: messages of RFC 5424 or 3164, each with its length before it or an LF behind it (RFC 6587),
 * into jobs.db. What is read at once is written in one transaction; while that waits nothing is read, so that
 * senders wait, too. There is no acknowledgement in this protocol: what a sender's kernel has handed over when we
 * are killed is lost.
 * Limits: FL_SYSLOG_*; a longer message is cut, what has no frame ends the connection.
 * Threads: one of its own. */
#pragma once
#include "service/http/counters.h"
#include "service/jobs/triage.h"

#include <sys/types.h>

enum {
    FL_SYSLOG_CONNECTIONS = 512,
    FL_SYSLOG_MESSAGE = 64 << 10,
    FL_SYSLOG_IDLE_S = 3600,
};

struct fl_syslog;

/* All must outlive it. listen as in server.h. */
enum fl_status fl_syslog_start(const char *listen, struct fl_writer *writer, struct fl_triage *triage,
                               struct fl_counters *counters, struct fl_syslog **out,
                               struct fl_err *err) FL_MUST_USE;
void fl_syslog_stop(struct fl_syslog *syslog);
int fl_syslog_port(const struct fl_syslog *syslog);

/* The next message at the front of s: its bytes into *message_r, and how many bytes it takes with its frame. 0: it is
 * not all there; -1: this is no syslog. */
ssize_t fl_syslog_frame(struct fl_str s, struct fl_str *message_r);
