/* SPDX-License-Identifier: Apache-2.0 */
/* A model is shown little, so each line has to earn its place. What earns it is where the line
 * stands (the first trouble, the end), what it is (an exception rather than a frame) and how rare it
 * is. The weights say no more than that order; nothing depends on their exact values. */
#include "service/llm/ask_choose.h"

#include "service/llm/talk.h"

#include <stdlib.h>

enum {
    FINDING = 1000,
    TROUBLE = 500,
    EXCEPTION = 200, /* names an exception or a signal */
    ALONE = 80,      /* one rank says it, of several */
    BEGINNING = 150, /* of the first trouble of a stream, and fading */
    ENDING = 180,    /* the last line of a stream, and fading */
    FADING = 12,
    FRAME = -260,    /* of a traceback, or its code; the deepest ones matter more */
    RULER = -600,    /* no words */
    AGAIN = 100, /* one line tells of many */
    DEEPEST = 6,
    LABEL_TOKENS = 6
};

struct line {
    uint64_t kind;
    size_t index;
    int weight;
};

static bool names_failure(struct fl_str s)
{
    static const char *const marks[] = {"Error:", "Error(", "Exception:", "FATAL", "Fatal",
                                        "Killed", "SIG",    "signal ",    "error:", "abort"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (fl_str_find(s, fl_str_of(marks[i]))) {
            return true;
        }
    }
    return fl_str_ends(s, FL_LIT("Error")) || fl_str_ends(s, FL_LIT("Exception"));
}

static bool is_frame(struct fl_str s)
{
    struct fl_str code = fl_str_trim(s);
    bool quoted = fl_str_starts(code, FL_LIT("raise ")) || fl_str_starts(code, FL_LIT("assert ")) ||
                  fl_str_starts(code, FL_LIT("return ")) || fl_str_ends(code, FL_LIT("("));
    return quoted || (fl_str_find(s, FL_LIT("File \"")) && fl_str_find(s, FL_LIT(", line ")));
}

static bool has_words(struct fl_str s)
{
    size_t letters = 0;
    for (size_t i = 0; i < s.n && letters < 4; i++) {
        letters += fl_is_alpha(s.p[i]);
    }
    return letters == 4;
}

static int by_kind(const void *a, const void *b)
{
    const struct line *x = a;
    const struct line *y = b;
    return x->kind != y->kind ? (x->kind > y->kind) - (x->kind < y->kind)
                              : (x->index > y->index) - (x->index < y->index);
}

static int by_weight(const void *a, const void *b)
{
    const struct line *x = a;
    const struct line *y = b;
    return x->weight != y->weight ? (x->weight < y->weight) - (x->weight > y->weight)
                                  : (x->index > y->index) - (x->index < y->index);
}

/* One line of each kind stands for all: the first that tells of trouble, else the last. */
static void stand_in(const struct fl_ask *ask, const struct line *same, size_t n,
                     struct fl_ask_choice *out)
{
    size_t chosen = same[n - 1].index;
    size_t ranks = 0;
    for (size_t i = n; i-- > 0;) {
        const struct fl_ask_line *line = &ask->lines[same[i].index];
        chosen = line->finding || line->trouble ? same[i].index : chosen;
        bool seen = line->rank < 0;
        for (size_t k = i + 1; k < n && !seen; k++) {
            seen = ask->lines[same[k].index].rank == line->rank;
        }
        ranks += !seen;
    }
    out[chosen].shown = true;
    out[chosen].likes = n - 1;
    out[chosen].last = same[n - 1].index;
    out[chosen].ranks = ranks;
}

static void group(const struct fl_ask *ask, struct line *lines, struct fl_ask_choice *out)
{
    for (size_t i = 0; i < ask->lines_n; i++) {
        lines[i] = (struct line){.kind = ask->lines[i].kind, .index = i};
        out[i] = (struct fl_ask_choice){.shown = false};
    }
    qsort(lines, ask->lines_n, sizeof *lines, by_kind);
    for (size_t from = 0, i = 1; i <= ask->lines_n; i++) {
        if (i == ask->lines_n || lines[i].kind != lines[from].kind) {
            stand_in(ask, lines + from, i - from, out);
            from = i;
        }
    }
}

static bool same_stream(const struct fl_ask *ask, size_t a, size_t b)
{
    return fl_str_eq(ask->lines[a].file, ask->lines[b].file);
}

/* How near to the end of its stream, and to the exception that a traceback ends with. */
static int standing(const struct fl_ask *ask, const struct fl_str *clean, size_t i,
                    size_t since_trouble, size_t to_end)
{
    int weight = 0;
    if (since_trouble < BEGINNING / FADING) {
        weight += BEGINNING - FADING * (int)since_trouble;
    }
    if (to_end < ENDING / FADING) {
        weight += ENDING - FADING * (int)to_end;
    }
    bool deep = false;
    for (size_t k = i + 1; k < ask->lines_n && k <= i + DEEPEST && same_stream(ask, i, k); k++) {
        deep |= names_failure(clean[k]) && !is_frame(clean[k]);
    }
    return weight + (is_frame(clean[i]) && !deep ? FRAME : 0);
}

static void weigh(const struct fl_ask *ask, const struct fl_str *clean, struct line *lines,
                  const struct fl_ask_choice *choice)
{
    long first_rank = -1;
    bool several = false;
    for (size_t i = 0; i < ask->lines_n; i++) {
        long rank = ask->lines[i].rank;
        several |= rank >= 0 && first_rank >= 0 && rank != first_rank;
        first_rank = rank >= 0 ? rank : first_rank;
    }
    size_t since = SIZE_MAX;
    size_t end = 0;
    for (size_t i = 0; i < ask->lines_n; i++) {
        const struct fl_ask_line *line = &ask->lines[i];
        bool begins = i == 0 || !same_stream(ask, i - 1, i);
        if (begins) {
            since = SIZE_MAX;
            for (end = i; end + 1 < ask->lines_n && same_stream(ask, i, end + 1); end++) {
            }
        }
        since = since != SIZE_MAX ? since + 1 : line->trouble || line->finding ? 0 : SIZE_MAX;
        int weight = line->finding ? FINDING * (int)line->finding : line->trouble ? TROUBLE : 0;
        weight += names_failure(clean[i]) && !is_frame(clean[i]) ? EXCEPTION : 0;
        weight += has_words(clean[i]) ? 0 : RULER;
        weight += line->trouble && several && choice[i].ranks == 1 ? ALONE : 0;
        weight += line->trouble && choice[i].likes ? AGAIN : 0;
        weight += standing(ask, clean, i, since, end - i);
        lines[i] = (struct line){.index = i, .weight = weight};
    }
}

/* All lines, the most telling first. */
static struct line *rank_lines(const struct fl_ask *ask, const struct fl_str *clean,
                               struct fl_ask_choice *choice)
{
    struct line *lines = calloc(ask->lines_n + 1, sizeof *lines);
    if (lines) {
        group(ask, lines, choice);
        weigh(ask, clean, lines, choice);
        qsort(lines, ask->lines_n, sizeof *lines, by_weight);
    }
    return lines;
}

enum fl_status fl_ask_choose(const struct fl_ask *ask, const struct fl_str *clean, size_t budget,
                             struct fl_ask_choice *out, struct fl_err *err)
{
    struct line *lines = rank_lines(ask, clean, out);
    if (!lines) {
        return fl_fail(err, FL_NOMEM, "no memory to choose lines for the model");
    }
    for (size_t i = 0; i < ask->lines_n; i++) {
        struct fl_ask_choice *choice = &out[lines[i].index];
        size_t cost = fl_talk_tokens(clean[lines[i].index]) + LABEL_TOKENS;
        choice->shown = choice->shown && clean[lines[i].index].n && cost <= budget;
        budget -= choice->shown ? cost : 0;
    }
    free(lines);
    return FL_OK;
}

size_t fl_ask_best(const struct fl_ask *ask, const struct fl_str *clean, size_t most, size_t *best)
{
    struct fl_ask_choice *choice = calloc(ask->lines_n + 1, sizeof *choice);
    struct line *lines = choice ? rank_lines(ask, clean, choice) : NULL;
    size_t n = 0;
    for (size_t i = 0; lines && i < ask->lines_n && n < most; i++) {
        if (choice[lines[i].index].shown && clean[lines[i].index].n) {
            best[n++] = lines[i].index;
        }
    }
    free(lines);
    free(choice);
    return n;
}
