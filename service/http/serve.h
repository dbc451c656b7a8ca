/* SPDX-License-Identifier: Apache-2.0 */
/* The service: everything that `faultline serve` holds open, started and stopped in order.
 *
 *   push ─► decode ─► writer ─► jobs.db ─► triage ─► verdict ─► hub (events, who waits), notices, metrics
 *
 * Threads: those of the server, the writer, the triage, the hub, the notices, the reading of files and syslog. */
#pragma once
#include "service/config.h"

struct fl_serve;

struct fl_serve_options {
    const struct fl_config *config; /* with a state folder */
    const char *listen;
    bool insecure; /* no tokens, though others can reach it */
    const char *syslog; /* address to take it at, or NULL */
    int rest_s;    /* a job without news for so long is judged for good */
    int keep_days; /* logs of jobs that rest are kept so long ... */
    int keep_gb;   /* ... and only so much of them (10^9 bytes, before packing) */
};

/* FL_DENIED: it would be open to others; FL_CONFLICT: another one has the state folder. */
enum fl_status fl_serve_start(const struct fl_serve_options *options, struct fl_serve **out,
                              struct fl_err *err) FL_MUST_USE;
int fl_serve_port(const struct fl_serve *serve);
int fl_serve_syslog_port(const struct fl_serve *serve); /* 0: none */
/* Tokens, receivers of notices and rules anew. What cannot be read leaves the old ones in force. */
enum fl_status fl_serve_reload(struct fl_serve *serve, struct fl_err *err) FL_MUST_USE;
/* To be called every few seconds: forgets logs that are not to be kept any longer. */
void fl_serve_tick(struct fl_serve *serve);
/* What came in is answered and written first. */
void fl_serve_stop(struct fl_serve *serve);
