/* SPDX-License-Identifier: Apache-2.0 */
/* The lines by which a job's failure is known again: what rules found, else what looks most like it in
 * the condensed view. They are what incidents are searched with, and what the model is shown most of. */
#pragma once
#include "rules/attribute/attribute.h"
#include "service/llm/ask.h"

struct fl_result;

enum { FL_TELLING_BEST = 16, FL_TELLING_PRINT = 24, FL_TELLING_LOOK = 3 };

struct fl_telling {
    struct fl_ask_line *lines; /* the whole view */
    size_t n;
    size_t best[FL_TELLING_BEST]; /* indices of lines, the most telling first */
    size_t best_n;
    /* The best few of them: those with words that failures use, if there are any. */
    struct fl_evidence look[FL_TELLING_LOOK];
    size_t look_n;
    /* The failure's fingerprint: the forms of its two most telling lines, so that ranks, numbers,
     * addresses and paths do not matter; "" when there is none. The first characters are the version
     * of its making. */
    char print[FL_TELLING_PRINT];
};

/* Everything lives in the result's arena; without memory there are no lines. */
void fl_telling_of(struct fl_result *result, struct fl_telling *out);

/* The best lines, the most telling first, joined by \n. */
struct fl_str fl_telling_text(const struct fl_telling *telling, struct fl_arena *arena);

/* What a report shows: the proof of a failure's cause; of an unknown one what is worth a look. */
const struct fl_evidence *fl_telling_shown(const struct fl_result *result, size_t *n_r);

/* A line of the view as evidence. */
struct fl_evidence fl_telling_evidence(const struct fl_result *result, size_t index);

/* The text without secrets; {"", 0} when there is no memory. */
struct fl_str fl_telling_redacted(struct fl_result *result, struct fl_str text);
