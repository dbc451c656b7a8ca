/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/attribute/roll.h"

static bool is_this_machine(struct fl_str node)
{
    return fl_str_eq(node, FL_LIT("localhost")) || fl_str_starts(node, FL_LIT("127."));
}

void fl_roll_node(struct fl_roll *roll, struct fl_str node)
{
    if (node.n == 0 || is_this_machine(node)) {
        return;
    }
    if (!roll->node.n) {
        roll->node = fl_arena_str(roll->arena, node);
    } else if (!fl_str_eq(roll->node, node)) {
        roll->many_nodes = true;
    }
}

static struct fl_roll_entry *entry_of(struct fl_roll *roll, long rank)
{
    for (size_t i = roll->n; i > 0; i--) {
        if (roll->list[i - 1].rank == rank) {
            return &roll->list[i - 1];
        }
    }
    if (!roll->list) {
        roll->list = fl_arena_alloc(roll->arena, FL_ROLL_MAX * sizeof *roll->list);
    }
    if (!roll->list || roll->n == FL_ROLL_MAX) {
        return NULL;
    }
    struct fl_roll_entry *one = &roll->list[roll->n++];
    *one = (struct fl_roll_entry){.rank = rank, .enqueued = -1, .completed = -1};
    return one;
}

static void note_one(struct fl_roll *roll, long rank, struct fl_str node, long enqueued,
                     long completed)
{
    struct fl_roll_entry *one = entry_of(roll, rank);
    if (!one) {
        return;
    }
    if (node.n && !one->node.n) {
        one->node = fl_arena_str(roll->arena, node);
    }
    one->enqueued = enqueued >= 0 ? enqueued : one->enqueued;
    one->completed = completed >= 0 ? completed : one->completed;
}

void fl_roll_note(struct fl_roll *roll, struct fl_str ranks, struct fl_str node, long enqueued,
                  long completed)
{
    long first = 0;
    fl_roll_node(roll, node);
    node = is_this_machine(node) ? (struct fl_str){NULL, 0} : node;
    while (fl_str_take_number(&ranks, &first)) {
        long last = first;
        if (ranks.n > 1 && *ranks.p == '-') {
            ranks = fl_str_skip(ranks, 1);
            fl_str_take_number(&ranks, &last);
        }
        for (long rank = first; rank <= last && rank - first < FL_ROLL_MAX; rank++) {
            note_one(roll, rank, node, enqueued, completed);
        }
        ranks = fl_str_skip(ranks, ranks.n && *ranks.p == ',');
    }
}

struct fl_str fl_roll_node_of(const struct fl_roll *roll, long rank)
{
    for (size_t i = 0; i < roll->n; i++) {
        if (roll->list[i].rank == rank) {
            return roll->list[i].node;
        }
    }
    return (struct fl_str){NULL, 0};
}

long fl_roll_laggard(const struct fl_roll *roll)
{
    const struct fl_roll_entry *last = NULL;
    bool alone = true;
    size_t telling = 0;
    for (size_t i = 0; i < roll->n; i++) {
        const struct fl_roll_entry *one = &roll->list[i];
        if (one->enqueued < 0) {
            continue;
        }
        telling++;
        if (!last || one->enqueued < last->enqueued) {
            last = one;
            alone = true;
        } else if (one->enqueued == last->enqueued) {
            alone = false;
        }
    }
    return telling > 1 && alone ? last->rank : -1;
}
