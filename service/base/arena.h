/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that lives as long as one job or one rule set and is freed at once.
 * Nothing taken from an arena is freed alone. Limit: `cap` bytes in all. */
#pragma once
#include "service/base/str.h"

struct fl_arena_block;

struct fl_arena {
    struct fl_arena_block *blocks;
    size_t used;
    size_t cap;
};

void fl_arena_init(struct fl_arena *arena, size_t cap);
void fl_arena_free(struct fl_arena *arena);

/* Zeroed bytes aligned for any type, or NULL (no memory, or over the cap). */
void *fl_arena_alloc(struct fl_arena *arena, size_t n);

/* A NUL-terminated copy; {NULL, 0} when there is no memory. */
struct fl_str fl_arena_str(struct fl_arena *arena, struct fl_str s);
const char *fl_arena_text(struct fl_arena *arena, struct fl_str s);
