/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/match/memo.h"

#include "rules/match/shape.h"

#include <stdlib.h>

enum {
    AHEAD = 16, /* lines whose shapes are looked up together */
    NOTES = 32, /* candidates of a line whose answers are noted */
    FRESH = 512, /* places for the unknown shapes of a batch */
    CROWDS = 1024 /* places for sets of patterns that met */
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

/* A shape of no or one pattern; others are looked up when their line's turn comes. */
struct known {
    uint32_t n; /* as in struct fl_shape, or LATER */
    uint32_t pattern;
};

#define LATER UINT32_MAX

struct fl_memo {
    struct fl_shapes *shapes;
    /* the batch in hand */
    uint64_t *hash;      /* by line */
    struct known *known; /* by line */
    uint32_t *unknown;
    size_t size;
    uint64_t fresh[FRESH];
    /* the line of a new shape in hand; its notes are ordered by pattern */
    bool notes;
    uint64_t shape;
    struct note note[NOTES];
    size_t note_n;
    uint32_t crowd; /* hash of those of which one is enough */
    uint32_t favourite[CROWDS]; /* by crowd: the one that said yes, and one more; 0: none */
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
        free(memo->known);
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
    struct known *known = realloc(memo->known, n * sizeof *known);
    memo->known = known ? known : memo->known;
    uint32_t *unknown = realloc(memo->unknown, n * sizeof *unknown);
    memo->unknown = unknown ? unknown : memo->unknown;
    memo->size = hash && known && unknown ? n : 0;
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
            const struct fl_shape *shape = fl_shapes_find(memo->shapes, memo->hash[k]);
            bool brief = shape && (shape->n & ~FL_SHAPE_GUESS) <= 1;
            memo->known[k] = brief ? (struct known){shape->n, shape->pattern[0]}
                                   : (struct known){LATER, 0};
            if (!shape && is_fresh(memo, memo->hash[k])) {
                memo->unknown[(*unknown_n)++] = (uint32_t)k;
            }
        }
    }
    fl_shapes_asked(memo->shapes, n, n - *unknown_n);
    *unknown = memo->unknown;
    return true;
}

uint64_t fl_memo_shape(const struct fl_memo *memo, size_t line)
{
    return memo->hash[line];
}

enum fl_memory fl_memo_recall(struct fl_memo *memo, size_t line, struct fl_candidate **out,
                              size_t *out_n)
{
    learn(memo);
    uint32_t n = memo->known[line].n;
    const uint32_t *pattern = &memo->known[line].pattern;
    if (n == LATER) {
        const struct fl_shape *shape = fl_shapes_find(memo->shapes, memo->hash[line]);
        if (!shape) {
            return FL_MEMORY_NONE;
        }
        n = shape->n;
        pattern = shape->pattern;
    }
    *out = memo->recalled;
    *out_n = n & ~FL_SHAPE_GUESS;
    for (size_t i = 0; i < *out_n; i++) {
        bool always = pattern[i] >= FL_SHAPE_SURE;
        memo->recalled[i] = (struct fl_candidate){pattern[i] & ~FL_SHAPE_SURE, always, always};
    }
    return n & FL_SHAPE_GUESS ? FL_MEMORY_GUESS : FL_MEMORY_ALL;
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
    memo->crowd = 0;
}

void fl_memo_note(struct fl_memo *memo, uint32_t pattern, bool enough)
{
    memo->notes = memo->notes && memo->note_n < NOTES;
    if (memo->notes) {
        memo->note[memo->note_n++] = (struct note){pattern, enough, ANSWER_OPEN};
        memo->crowd = enough ? (memo->crowd ^ (pattern + 1)) * UINT32_C(2654435761) : memo->crowd;
    }
}

bool fl_memo_favourite(const struct fl_memo *memo, uint32_t *pattern)
{
    *pattern = memo->favourite[memo->crowd >> 22] - 1;
    return memo->notes && memo->favourite[memo->crowd >> 22];
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
            if (note->enough) {
                memo->favourite[memo->crowd >> 22] = pattern + 1;
            }
        } else {
            note->answer = holds && answer == FL_MATCH_NO ? ANSWER_NO : ANSWER_OPEN;
        }
    }
}
