/* SPDX-License-Identifier: Apache-2.0 */
/* What launchers, log shippers and file names say about the origin of a line: rank, local rank,
 * node, stream. Parsers of slices: cursor and length, no allocation, nothing read past the end.
 * Borrows: slices in struct fl_prefix point into the line, path or message that was given.
 * Threads: no state, safe anywhere. */
#pragma once
#include "service/base/str.h"

struct fl_prefix {
    long rank;            /* -1: not said */
    long local_rank;      /* -1: not said */
    struct fl_str node;   /* host or pod; empty: not said */
    struct fl_str stream; /* "stdout", "stderr", or the role of the process; empty: not said */
    struct fl_str time;   /* RFC 3339 that the collector put before the line; empty: none */
    bool partial;         /* CRI tag P: the message goes on in the next line of this stream */
};

/* Nothing known: both ranks -1, empty slices. */
void fl_prefix_init(struct fl_prefix *prefix);

/* Takes launcher prefixes off the front of a line (without ANSI codes and line end), as many as
 * stand there one behind the other, and returns how many bytes they take (0 to line.n). The one
 * blank that belongs to a prefix goes with it; the indentation behind stays. Sets all of *out.
 * How many bytes depends on where digits stand, never on which (fl_matcher_line relies on it).
 * Time stamps of the program itself, log levels, glog and NCCL headers are part of the message and
 * stay; those of collectors go (docker logs -t, kubectl logs --timestamps, ours before pushed lines), which
 * have nine digits behind the point and are in UTC. */
size_t fl_prefix_peel(struct fl_str line, struct fl_prefix *out);

/* What the name of a log file and its folders say (rank3.log, attempt_0/2/stderr.log,
 * /var/log/pods/NS_POD_UID/..., gpu-042.log). Sets all of *out; false when they say nothing. */
bool fl_prefix_from_path(struct fl_str path, struct fl_prefix *out);

/* What the front of a message (after fl_prefix_peel) says: NCCL `host:pid:tid [dev] NCCL`, syslog
 * and kernel `Oct 14 11:37:48 host kernel: ...`, rank of torch watchdog lines. Sets all of *out,
 * and *gpu_r (NULL allowed) to the device or -1; false when it says nothing. */
bool fl_prefix_from_message(struct fl_str message, struct fl_prefix *out, long *gpu_r);

/* Fills what *into does not know from *from. */
void fl_prefix_merge(struct fl_prefix *into, const struct fl_prefix *from);
