/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/match/memo.h"

#include "rules/match/shape.h"

#include <stdlib.h>

enum {
    AHEAD = 16, /* lines whose shapes are found together */
    NOTES = 32, /* candidates of a line whose answers are noted */
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
    /* the batch in hand */
    const struct fl_str *lines;
    size_t lines_n;
    uint64_t ahead[AHEAD];
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

bool fl_memo_begin(struct fl_memo *memo, const struct fl_str *lines, size_t n)
{
    learn(memo);
    memo->lines = lines;
    memo->lines_n = n;
    return fl_shapes_pay(memo->shapes, n);
}

static void look_ahead(struct fl_memo *memo, size_t line)
{
    size_t n = memo->lines_n - line < AHEAD ? memo->lines_n - line : AHEAD;
    for (size_t i = 0; i < n; i++) {
        memo->ahead[i] = fl_shape_of(memo->shapes, memo->lines[line + i]);
        fl_shapes_fetch(memo->shapes, memo->ahead[i]);
    }
}

enum fl_memory fl_memo_recall(struct fl_memo *memo, size_t line, struct fl_candidate **out,
                              size_t *out_n)
{
    learn(memo);
    if (line % AHEAD == 0) {
        look_ahead(memo, line);
    }
    const struct fl_shape *shape = fl_shapes_find(memo->shapes, memo->ahead[line % AHEAD]);
    if (!shape) {
        return FL_MEMORY_NONE;
    }
    uint32_t n = shape->n & ~FL_SHAPE_GUESS;
    for (uint32_t i = 0; i < n; i++) {
        memo->recalled[i] =
            (struct fl_candidate){(uint32_t)line, shape->pattern[i] & ~FL_SHAPE_SURE,
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
    memo->shape = memo->ahead[line % AHEAD];
    memo->note_n = 0;
}

void fl_memo_note(struct fl_memo *memo, uint32_t pattern, bool enough)
{
    size_t at = memo->note_n;
    while (at > 0 && memo->note[at - 1].pattern >= pattern) {
        at--;
    }
    if (!memo->notes || (at < memo->note_n && memo->note[at].pattern == pattern)) {
        return;
    }
    memo->notes = memo->note_n < NOTES;
    if (memo->notes) {
        memmove(&memo->note[at + 1], &memo->note[at], (memo->note_n - at) * sizeof *memo->note);
        memo->note[at] = (struct note){pattern, enough, ANSWER_OPEN};
        memo->note_n++;
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
