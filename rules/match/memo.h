/* SPDX-License-Identifier: Apache-2.0 */
/* What the candidates of a line answered, kept for the lines of its shape (shape.h): of these only
 * patterns are left that may give another answer, or said yes.
 * For each batch fl_memo_begin, which says of which lines nothing is known yet; for each line in turn
 * fl_memo_recall, and where nothing is known fl_memo_watch, fl_memo_note for each pattern that is
 * proposed, and the answers of those that are tried.
 * Owns its table and the candidates it gives, which last until the next call. Threads: one. */
#pragma once
#include "rules/match/matcher.h"

struct fl_memo;

enum fl_status fl_memo_new(struct fl_memo **out, struct fl_err *err) FL_MUST_USE;
void fl_memo_free(struct fl_memo *memo);

/* A batch of lines. False: looking up does not pay, this batch is to go without. Else the lines of
 * unknown shapes, each shape once as far as that is cheap to tell; the list lasts until the next
 * batch. */
bool fl_memo_begin(struct fl_memo *memo, const struct fl_str *lines, size_t n,
                   const uint32_t **unknown, size_t *unknown_n);

uint64_t fl_memo_shape(const struct fl_memo *memo, size_t line);

/* What is known of the line's shape. GUESS: all that is left, if the first of them says yes. */
enum fl_memory { FL_MEMORY_NONE, FL_MEMORY_ALL, FL_MEMORY_GUESS };
enum fl_memory fl_memo_recall(struct fl_memo *memo, size_t line, struct fl_candidate **out,
                              size_t *out_n);

/* From here to the next line, notes and answers are of this line's shape. */
void fl_memo_watch(struct fl_memo *memo, size_t line);

/* Patterns in ascending order. enough: of all that are noted so, one that says yes makes the others
 * needless. Which of them that was when last the same ones were noted, fl_memo_favourite says. */
void fl_memo_note(struct fl_memo *memo, uint32_t pattern, bool enough);
bool fl_memo_favourite(const struct fl_memo *memo, uint32_t *pattern);

/* Is the line in hand one of a shape that nothing is known of? */
bool fl_memo_watches(const struct fl_memo *memo);

/* holds: the answer holds for all lines of the shape. Answers of patterns that were not noted are
 * passed over. */
void fl_memo_answer(struct fl_memo *memo, uint32_t pattern, enum fl_match answer, bool holds);
