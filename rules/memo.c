/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/memo.h"

#include "rules/shape.h"

#include <stdlib.h>

enum {
    AHEAD = 16, /* lines whose shapes are found together */
    NOTES = 32, /* candidates of a line whose answers are noted */
};

struct note {
    uint32_t pattern;
    enum { ANSWER_OPEN, ANSWER_NO, ANSWER_YES } answer; /* open: another line may be told otherwise */
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

/* What is left for lines of the shape in hand: patterns that tell digits apart, were not tried, or
 * said yes. */
static void learn(struct fl_memo *memo)
{
    struct fl_shape shape = {.hash = memo->shape};
    bool fits = memo->notes;
    memo->notes = false;
    for (size_t i = 0; fits && i < memo->note_n; i++) {
        const struct note *note = &memo->note[i];
        if (note->answer == ANSWER_NO) {
            continue;
        }
        fits = shape.n < FL_SHAPE_PATTERNS;
        if (fits) {
            shape.pattern[shape.n++] =
                note->pattern | (note->answer == ANSWER_YES ? FL_SHAPE_SURE : 0);
        }
    }
    if (fits) {
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

bool fl_memo_recall(struct fl_memo *memo, size_t line, const struct fl_candidate **out,
                    size_t *out_n)
{
    learn(memo);
    if (line % AHEAD == 0) {
        look_ahead(memo, line);
    }
    const struct fl_shape *shape = fl_shapes_find(memo->shapes, memo->ahead[line % AHEAD]);
    if (!shape) {
        return false;
    }
    for (uint32_t i = 0; i < shape->n; i++) {
        memo->recalled[i] =
            (struct fl_candidate){(uint32_t)line, shape->pattern[i] & ~FL_SHAPE_SURE,
                                  shape->pattern[i] >= FL_SHAPE_SURE};
    }
    *out = memo->recalled;
    *out_n = shape->n;
    return true;
}

void fl_memo_watch(struct fl_memo *memo, size_t line)
{
    memo->notes = true;
    memo->shape = memo->ahead[line % AHEAD];
    memo->note_n = 0;
}

void fl_memo_note(struct fl_memo *memo, uint32_t pattern)
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
        memo->note[at] = (struct note){pattern, ANSWER_OPEN};
        memo->note_n++;
    }
}

void fl_memo_answer(struct fl_memo *memo, uint32_t pattern, enum fl_match answer, bool blind)
{
    for (size_t i = 0; memo->notes && i < memo->note_n; i++) {
        if (memo->note[i].pattern == pattern) {
            memo->note[i].answer = !blind || answer == FL_MATCH_ERROR ? ANSWER_OPEN
                                   : answer == FL_MATCH_YES           ? ANSWER_YES
                                                                      : ANSWER_NO;
        }
    }
}
