/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/arena.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 32 * 1024, ALIGN = 16 };

struct fl_arena_block {
    struct fl_arena_block *next;
    size_t used;
    size_t size;
    char pad[8];
    char bytes[];
};

void fl_arena_init(struct fl_arena *arena, size_t cap)
{
    *arena = (struct fl_arena){.cap = cap};
}

void fl_arena_free(struct fl_arena *arena)
{
    if (!arena) {
        return;
    }
    while (arena->blocks) {
        struct fl_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}

void *fl_arena_alloc(struct fl_arena *arena, size_t n)
{
    if (n > arena->cap) {
        return NULL;
    }
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct fl_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < n) {
        size_t size = n > BLOCK_BYTES ? n : BLOCK_BYTES;
        if (arena->used + n > arena->cap) {
            return NULL;
        }
        block = calloc(1, sizeof *block + size);
        if (!block) {
            return NULL;
        }
        block->size = size;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *p = block->bytes + block->used;
    block->used += n;
    arena->used += n;
    return p;
}

struct fl_str fl_arena_str(struct fl_arena *arena, struct fl_str s)
{
    char *p = fl_arena_alloc(arena, s.n + 1);
    if (!p) {
        return (struct fl_str){NULL, 0};
    }
    if (s.n) {
        memcpy(p, s.p, s.n);
    }
    return (struct fl_str){p, s.n};
}

const char *fl_arena_text(struct fl_arena *arena, struct fl_str s)
{
    return fl_arena_str(arena, s).p;
}
