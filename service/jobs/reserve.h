/* SPDX-License-Identifier: Apache-2.0 */
/* Space that is kept back on the disk of the state folder, in a file of its own: on a full disk it is given
 * up, so that verdicts of what was taken can still be written, and jobs forgotten to make room.
 * Threads: one. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { FL_RESERVE_BYTES = 16 << 20 /* or a quarter of the file system, where that is less: more than a WAL holds */ };

struct fl_reserve {
    char path[4096]; /* "": none is kept */
    int64_t bytes;
    bool is_held;
};

/* beside: a file whose folder is meant. What an earlier process held is taken over. */
void fl_reserve_init(struct fl_reserve *reserve, const char *beside);

/* True when it is held: it was, or twice as much was free. */
bool fl_reserve_hold(struct fl_reserve *reserve);
void fl_reserve_give_up(struct fl_reserve *reserve);
