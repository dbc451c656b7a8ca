/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of literals in, the list that a scanner looks for out: each literal once, with the patterns
 * that wait for it. Owns its lists, until fl_needles_fini; read-only once sorted. */
#pragma once
#include "rules/match/literals.h"
#include "service/base/status.h"

struct fl_needles {
    struct fl_literal *list;
    uint32_t n;
    uint32_t *first; /* users[first[i] .. first[i + 1]) are the patterns that wait for needle i */
    uint32_t *users;
    uint32_t *always; /* patterns without a literal */
    uint32_t always_n;
    struct fl_want *wants; /* until sorted */
    size_t wants_n;
    size_t wants_size;
};

/* The pattern waits for the members of the set; an empty one: for nothing. */
enum fl_status fl_needles_add(struct fl_needles *needles, const struct fl_literals *set,
                              uint32_t pattern) FL_MUST_USE;

/* Ends adding. */
enum fl_status fl_needles_sort(struct fl_needles *needles) FL_MUST_USE;

void fl_needles_fini(struct fl_needles *needles);
