/* SPDX-License-Identifier: Apache-2.0 */
/* Which lines of the condensed log a model is shown when not all fit. Lines of one kind (the same but
 * for what varies) are shown once and counted; of the rest the most telling ones are taken
 * until the budget is spent: what rules found, exceptions, the first trouble of each stream, what
 * only one rank says, the last lines. Deterministic: the same lines give the same choice. */
#pragma once
#include "service/llm/ask.h"

struct fl_ask_choice {
    bool shown;
    size_t likes; /* further lines that it stands for */
    size_t last;  /* index of the last of them */
    size_t ranks; /* that say it */
};

/* clean[i] is what would be sent of line i. budget: tokens, see fl_talk_tokens. */
enum fl_status fl_ask_choose(const struct fl_ask *ask, const struct fl_str *clean, size_t budget,
                             struct fl_ask_choice *out, struct fl_err *err) FL_MUST_USE;

/* The indices of the most telling lines, the best first; returns how many (none without memory). */
size_t fl_ask_best(const struct fl_ask *ask, const struct fl_str *clean, size_t most, size_t *best);
