/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a model which kinds of lines of a log are routine. Several answers vote on the kinds, not on
 * words or patterns: a kind is routine when all who answered say so. What that means for a filter is
 * made and checked elsewhere (rules/learn/gate.h); the model only points.
 *
 * What is sent: prompts/routine.md with one line of each kind, redacted. Nothing of the answer but the
 * labels and the names is read.
 * Limits: FL_SORT_KINDS kinds a question; more are asked about in several. */
#pragma once
#include "service/llm/ask.h"

#include <stdint.h>

enum { FL_SORT_KINDS = 40, FL_SORT_NAME = 60, FL_SORT_VOTES = 9 };

struct fl_sort_kind {
    struct fl_str sample;
    uint64_t count;
    /* the answer */
    unsigned votes; /* that call it routine */
    char name[FL_SORT_NAME]; /* as the last of them has it, safe to print */
};

struct fl_sort_report {
    long calls, sent, received; /* tokens */
    struct fl_str model;
    struct fl_str prompt_id;
};

/* Sets votes and name of the kinds. FL_OK when each kind was asked about as often as wanted (1 to
 * FL_SORT_VOTES). On failure err says what happened, and no vote counts. */
enum fl_status fl_sort(const struct fl_ask_config *config, struct fl_sort_kind *kinds, size_t n,
                       unsigned votes, struct fl_arena *arena, struct fl_sort_report *out,
                       struct fl_err *err) FL_MUST_USE;
