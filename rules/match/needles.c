/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/match/needles.h"

#include <stdlib.h>

struct fl_want {
    struct fl_literal literal;
    uint32_t pattern;
};

static int compare_literals(const struct fl_literal *x, const struct fl_literal *y)
{
    int by_case = (int)x->caseless - (int)y->caseless;
    int by_bytes = by_case ? by_case : memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);
    return by_bytes ? by_bytes : (int)x->n - (int)y->n;
}

static int compare_wants(const void *a, const void *b)
{
    const struct fl_want *x = a;
    const struct fl_want *y = b;
    int by_literal = compare_literals(&x->literal, &y->literal);
    return by_literal ? by_literal : (x->pattern > y->pattern) - (x->pattern < y->pattern);
}

static bool want_all(struct fl_needles *needles, const struct fl_literals *set, uint32_t pattern)
{
    if (needles->wants_size - needles->wants_n < set->n) {
        size_t size = (needles->wants_size + FL_LITERALS_MAX) * 2;
        struct fl_want *more = realloc(needles->wants, size * sizeof *more);
        if (!more) {
            return false;
        }
        needles->wants = more;
        needles->wants_size = size;
    }
    for (size_t i = 0; i < set->n; i++) {
        needles->wants[needles->wants_n++] = (struct fl_want){set->item[i], pattern};
    }
    return true;
}

static bool add_always(struct fl_needles *needles, uint32_t pattern)
{
    uint32_t *more = realloc(needles->always, (needles->always_n + 1U) * sizeof *more);
    if (!more) {
        return false;
    }
    needles->always = more;
    more[needles->always_n++] = pattern;
    return true;
}

enum fl_status fl_needles_add(struct fl_needles *needles, const struct fl_literals *set,
                              uint32_t pattern)
{
    bool ok = set->n ? want_all(needles, set, pattern) : add_always(needles, pattern);
    return ok ? FL_OK : FL_NOMEM;
}

enum fl_status fl_needles_sort(struct fl_needles *needles)
{
    size_t n = needles->wants_n;
    needles->list = calloc(n + 1, sizeof *needles->list);
    needles->first = calloc(n + 1, sizeof *needles->first);
    needles->users = calloc(n + 1, sizeof *needles->users);
    if (!needles->list || !needles->first || !needles->users) {
        return FL_NOMEM;
    }
    if (n) {
        qsort(needles->wants, n, sizeof *needles->wants, compare_wants);
    }
    for (size_t i = 0; i < n; i++) {
        const struct fl_want *want = &needles->wants[i];
        if (i == 0 || compare_literals(&want[-1].literal, &want->literal) != 0) {
            needles->first[needles->n] = (uint32_t)i;
            needles->list[needles->n++] = want->literal;
        }
        needles->users[i] = want->pattern;
    }
    needles->first[needles->n] = (uint32_t)n;
    free(needles->wants);
    needles->wants = NULL;
    needles->wants_n = needles->wants_size = 0;
    return FL_OK;
}

void fl_needles_fini(struct fl_needles *needles)
{
    free(needles->list);
    free(needles->first);
    free(needles->users);
    free(needles->always);
    free(needles->wants);
}
