/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/match/memo.h"

#include "rules/match/shape.h"

#include <stdlib.h>

enum {
    AHEAD = 16, /* lines whose shapes are looked up together */
    NOTES = 32, /* candidates of a line whose answers are noted */
    FRESH = 512 /* places for the unknown shapes of a batch */
};

struct note {
    uint32_t pattern;
    bool enough;
    enum {
        ANSWER_OPEN,   /* another line may be told otherwise */
        ANSWER_NO,     /* to all lines of the shape */
        ANSWER_LIKELY, /* yes, but another line may be told otherwise */
        ANSWER_YES,
    } answer;
};

struct fl_memo {
    struct fl_shapes *shapes;
    /* the batch in hand, by line: */
    uint64_t *hash;
    const struct fl_shape **found; /* NULL, or what may have become another's since */
    uint32_t *unknown;
    size_t size;
    uint64_t fresh[FRESH];
    /* the line of a new shape in hand; its notes are ordered by pattern */
    bool notes;
    uint64_t shape;
    struct note note[NOTES];
    size_t note_n;
    struct fl_candidate recalled[FL_SHAPE_PATTERNS];
};

enum fl_status fl_memo_new(struct fl_memo **out, struct fl_err *err)
{
    struct fl_memo *memo = calloc(1, sizeof *memo);
    *out = memo;
    if (!memo) {
        return fl_fail(err, FL_NOMEM, "no memory for what lines were told");
    }
    enum fl_status status = fl_shapes_new(&memo->shapes, err);
    if (status != FL_OK) {
        fl_memo_free(memo);
        *out = NULL;
    }
    return status;
}

void fl_memo_free(struct fl_memo *memo)
{
    if (memo) {
        fl_shapes_free(memo->shapes);
        free(memo->hash);
        free(memo->found);
        free(memo->unknown);
        free(memo);
    }
}

static bool put(struct fl_shape *shape, const struct note *note)
{
    if (shape->n == FL_SHAPE_PATTERNS) {
        return false;
    }
    shape->pattern[shape->n++] =
        note->pattern | (note->answer == ANSWER_YES ? FL_SHAPE_SURE : 0);
    return true;
}

/* Of the patterns of which one yes is enough: the surest. */
static const struct note *best_of(const struct fl_memo *memo)
{
    const struct note *best = NULL;
    for (size_t i = 0; i < memo->note_n; i++) {
        const struct note *note = &memo->note[i];
        if (note->enough && note->answer >= ANSWER_LIKELY &&
            (!best || note->answer > best->answer)) {
            best = note;
        }
    }
    return best;
}

/* What is left for lines of the shape in hand: patterns that tell digits apart, were not tried, or
 * said yes. Of those of which one is enough, one that is sure stands for all; one that is likely
 * goes first, and stands for all as long as it says yes. */
static void learn(struct fl_memo *memo)
{
    if (!memo->notes) {
        return;
    }
    memo->notes = false;
    struct fl_shape shape = {.hash = memo->shape};
    const struct note *best = best_of(memo);
    bool fits = !best || put(&shape, best);
    for (size_t i = 0; fits && i < memo->note_n; i++) {
        const struct note *note = &memo->note[i];
        if (note != best && note->answer != ANSWER_NO && !(best && note->enough)) {
            fits = put(&shape, note);
        }
    }
    if (fits) {
        shape.n |= best && best->answer == ANSWER_LIKELY ? FL_SHAPE_GUESS : 0;
        fl_shapes_put(memo->shapes, &shape);
    }
}

static bool make_room(struct fl_memo *memo, size_t n)
{
    if (n <= memo->size) {
        return true;
    }
    uint64_t *hash = realloc(memo->hash, n * sizeof *hash);
    memo->hash = hash ? hash : memo->hash;
    const struct fl_shape **found = realloc(memo->found, n * sizeof *found);
    memo->found = found ? found : memo->found;
    uint32_t *unknown = realloc(memo->unknown, n * sizeof *unknown);
    memo->unknown = unknown ? unknown : memo->unknown;
    memo->size = hash && found && unknown ? n : 0;
    return memo->size == n;
}

/* Is it the first line of its shape in the batch? Perhaps, when another shape took the place. */
static bool is_fresh(struct fl_memo *memo, uint64_t hash)
{
    uint64_t *place = &memo->fresh[hash / FL_SHAPES % FRESH];
    bool fresh = *place != hash;
    *place = hash;
    return fresh;
}

bool fl_memo_begin(struct fl_memo *memo, const struct fl_str *lines, size_t n,
                   const uint32_t **unknown, size_t *unknown_n)
{
    *unknown_n = 0;
    learn(memo);
    if (!fl_shapes_pay(memo->shapes, n) || !make_room(memo, n)) {
        return false;
    }
    memset(memo->fresh, 0, sizeof memo->fresh);
    for (size_t i = 0; i < n; i += AHEAD) {
        size_t end = n - i < AHEAD ? n : i + AHEAD;
        fl_shapes_of(memo->shapes, lines + i, end - i, memo->hash + i);
        for (size_t k = i; k < end; k++) {
            fl_shapes_fetch(memo->shapes, memo->hash[k]);
        }
        for (size_t k = i; k < end; k++) {
            memo->found[k] = fl_shapes_find(memo->shapes, memo->hash[k]);
            if (!memo->found[k] && is_fresh(memo, memo->hash[k])) {
                memo->unknown[(*unknown_n)++] = (uint32_t)k;
            }
        }
    }
    fl_shapes_asked(memo->shapes, n, n - *unknown_n);
    *unknown = memo->unknown;
    return true;
}

enum fl_memory fl_memo_recall(struct fl_memo *memo, size_t line, struct fl_candidate **out,
                              size_t *out_n)
{
    learn(memo);
    const struct fl_shape *shape = memo->found[line];
    if (!shape || shape->hash != memo->hash[line]) { /* learned, or forgotten, in this batch */
        shape = fl_shapes_find(memo->shapes, memo->hash[line]);
    }
    if (!shape) {
        return FL_MEMORY_NONE;
    }
    uint32_t n = shape->n & ~FL_SHAPE_GUESS;
    for (uint32_t i = 0; i < n; i++) {
        memo->recalled[i] =
            (struct fl_candidate){shape->pattern[i] & ~FL_SHAPE_SURE,
                                  shape->pattern[i] >= FL_SHAPE_SURE};
    }
    *out = memo->recalled;
    *out_n = n;
    return shape->n & FL_SHAPE_GUESS ? FL_MEMORY_GUESS : FL_MEMORY_ALL;
}

bool fl_memo_watches(const struct fl_memo *memo)
{
    return memo->notes;
}

void fl_memo_watch(struct fl_memo *memo, size_t line)
{
    memo->notes = true;
    memo->shape = memo->hash[line];
    memo->note_n = 0;
}

void fl_memo_note(struct fl_memo *memo, uint32_t pattern, bool enough)
{
    memo->notes = memo->notes && memo->note_n < NOTES;
    if (memo->notes) {
        memo->note[memo->note_n++] = (struct note){pattern, enough, ANSWER_OPEN};
    }
}

void fl_memo_answer(struct fl_memo *memo, uint32_t pattern, enum fl_match answer, bool holds)
{
    for (size_t i = 0; memo->notes && i < memo->note_n; i++) {
        struct note *note = &memo->note[i];
        if (note->pattern != pattern) {
            continue;
        }
        if (answer == FL_MATCH_YES) {
            note->answer = holds ? ANSWER_YES : ANSWER_LIKELY;
        } else {
            note->answer = holds && answer == FL_MATCH_NO ? ANSWER_NO : ANSWER_OPEN;
        }
    }
}
