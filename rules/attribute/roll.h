/* SPDX-License-Identifier: Apache-2.0 */
/* The roll of ranks: who runs on which node, and how far each has come with its collectives, from
 * lines that say so (NCCL's init, srun's exit lines, the watchdog's "last enqueued work").
 * Limits: FL_ROLL_MAX ranks; more are not kept. Node texts live in the arena that was given. */
#pragma once
#include "service/base/arena.h"

#include <stdint.h>

enum { FL_ROLL_MAX = 8192 };

struct fl_roll_entry {
    long rank;
    struct fl_str node;
    long enqueued; /* number of the last collective that it launched; -1: not said */
    long completed;
};

struct fl_roll {
    struct fl_arena *arena;
    struct fl_roll_entry *list; /* FL_ROLL_MAX, taken from the arena at the first entry */
    size_t n;
    struct fl_str node; /* the first node named at all */
    bool many_nodes;    /* another one was named, too */
};

void fl_roll_node(struct fl_roll *roll, struct fl_str node);

/* ranks: "3" or a list such as "0-3,7" (Slurm). node may be empty, the counts -1. */
void fl_roll_note(struct fl_roll *roll, struct fl_str ranks, struct fl_str node, long enqueued,
                  long completed);

/* Empty when it is not known. */
struct fl_str fl_roll_node_of(const struct fl_roll *roll, long rank);

/* The one rank that launched fewer collectives than all the others that tell; -1: there is none. */
long fl_roll_laggard(const struct fl_roll *roll);
