/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/match/sweep.h"

#include "rules/match/shape.h"

#include <stdlib.h>

struct span {
    size_t end; /* of the line in the text; a newline follows */
    uint32_t first; /* its candidates */
    uint32_t n;
};

struct hit {
    uint32_t line;
    uint32_t pattern;
};

struct fl_sweep {
    const struct fl_sieve *sieves;
    size_t sieves_n;
    const struct fl_needles *needles; /* of the sieve in hand */
    hs_scratch_t *scratch;
    bool *muted;    /* per pattern */
    uint32_t *seen; /* per pattern: the last line it was proposed for, counted from `stamp` */
    uint32_t stamp;
    uint32_t patterns_n;
    char *text; /* the lines, one behind the other */
    size_t text_n;
    size_t text_size;
    struct span *lines;
    size_t lines_n;
    size_t lines_size;
    struct hit *hits;
    size_t hits_n;
    size_t hits_size;
    struct fl_candidate *found; /* the hits in order */
    size_t found_size;
    size_t at; /* the line in hand */
    bool failed;
};

/* Scratch for all of them. */
static bool alloc_scratch(struct fl_sweep *s)
{
    for (size_t i = 0; i < s->sieves_n; i++) {
        if (s->sieves[i].scanner &&
            hs_alloc_scratch(s->sieves[i].scanner, &s->scratch) != HS_SUCCESS) {
            return false;
        }
    }
    return true;
}

enum fl_status fl_sweep_new(const struct fl_sieve *sieves, size_t n, uint32_t patterns_n,
                            struct fl_sweep **out, struct fl_err *err)
{
    struct fl_sweep *s = calloc(1, sizeof *s);
    *out = s;
    if (s) {
        *s = (struct fl_sweep){.sieves = sieves, .sieves_n = n, .stamp = 1,
                               .patterns_n = patterns_n};
        s->muted = calloc(patterns_n + 1U, sizeof *s->muted);
        s->seen = calloc(patterns_n + 1U, sizeof *s->seen);
    }
    if (!s || !s->muted || !s->seen || !alloc_scratch(s)) {
        fl_sweep_free(s);
        *out = NULL;
        return fl_fail(err, FL_NOMEM, "no memory for matching");
    }
    return FL_OK;
}

void fl_sweep_free(struct fl_sweep *sweep)
{
    if (sweep) {
        hs_free_scratch(sweep->scratch);
        free(sweep->muted);
        free(sweep->seen);
        free(sweep->text);
        free(sweep->lines);
        free(sweep->hits);
        free(sweep->found);
        free(sweep);
    }
}

void fl_sweep_mute(struct fl_sweep *sweep, uint32_t pattern)
{
    sweep->muted[pattern] = true;
}

void fl_sweep_clear(struct fl_sweep *sweep)
{
    sweep->lines_n = sweep->text_n = sweep->hits_n = 0;
}

/* Room for n more items, or NULL. */
static void *grow(void *items, size_t used, size_t n, size_t *size, size_t item)
{
    if (*size - used >= n) {
        return items;
    }
    size_t want = (used + n) * 2;
    void *more = realloc(items, want * item);
    *size = more ? want : *size;
    return more;
}

enum fl_status fl_sweep_add(struct fl_sweep *s, struct fl_str line)
{
    char *text = grow(s->text, s->text_n, line.n + 1, &s->text_size, 1);
    s->text = text ? text : s->text;
    struct span *lines = grow(s->lines, s->lines_n, 1, &s->lines_size, sizeof *lines);
    s->lines = lines ? lines : s->lines;
    if (!text || !lines) {
        return FL_NOMEM;
    }
    fl_shape_mask(text + s->text_n, line);
    s->text_n += line.n;
    lines[s->lines_n++] = (struct span){.end = s->text_n};
    text[s->text_n++] = '\n'; /* no literal holds one, so none spans two lines */
    return FL_OK;
}

static void propose(struct fl_sweep *s, size_t line, const uint32_t *patterns, uint32_t n)
{
    uint32_t stamp = s->stamp + (uint32_t)line;
    struct hit *hits = grow(s->hits, s->hits_n, n, &s->hits_size, sizeof *hits);
    if (!hits) {
        s->failed = true;
        return;
    }
    s->hits = hits;
    for (uint32_t i = 0; i < n; i++) {
        if (s->seen[patterns[i]] != stamp && !s->muted[patterns[i]]) {
            s->seen[patterns[i]] = stamp;
            hits[s->hits_n++] = (struct hit){(uint32_t)line, patterns[i]};
            s->lines[line].n++;
        }
    }
}

/* A literal ends at `to`. Matches come nearly in order of their end, so the line is found by a few
 * steps from the last one. */
static int on_literal(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *ctx)
{
    (void)from;
    (void)flags;
    struct fl_sweep *s = ctx;
    const uint32_t *first = &s->needles->first[id];
    while (s->at > 0 && to <= s->lines[s->at - 1].end) {
        s->at--;
    }
    while (to > s->lines[s->at].end) {
        s->at++;
    }
    propose(s, s->at, s->needles->users + first[0], first[1] - first[0]);
    return s->failed;
}

/* Counted into place by line; each line has few. */
static enum fl_status order(struct fl_sweep *s)
{
    struct fl_candidate *found = grow(s->found, 0, s->hits_n, &s->found_size, sizeof *found);
    if (s->hits_n && !found) {
        return FL_NOMEM;
    }
    s->found = found;
    uint32_t place = 0;
    for (size_t i = 0; i < s->lines_n; i++) {
        s->lines[i].first = place;
        place += s->lines[i].n;
        s->lines[i].n = 0;
    }
    for (size_t i = 0; i < s->hits_n; i++) {
        struct span *line = &s->lines[s->hits[i].line];
        uint32_t pattern = s->hits[i].pattern;
        size_t k = line->first + line->n++;
        for (; k > line->first && found[k - 1].pattern > pattern; k--) {
            found[k] = found[k - 1];
        }
        found[k] = (struct fl_candidate){.pattern = pattern};
    }
    return FL_OK;
}

static bool search(struct fl_sweep *s, const struct fl_sieve *sieve)
{
    s->at = 0;
    s->needles = &sieve->needles;
    return !sieve->scanner || s->lines_n == 0 ||
           hs_scan(sieve->scanner, s->text, (unsigned)s->text_n, 0, s->scratch, on_literal, s) ==
               HS_SUCCESS;
}

enum fl_status fl_sweep_run(struct fl_sweep *s)
{
    s->failed = false;
    if (s->stamp > UINT32_MAX / 2) {
        memset(s->seen, 0, s->patterns_n * sizeof *s->seen);
        s->stamp = 1;
    }
    for (size_t k = 0; k < s->sieves_n; k++) {
        const struct fl_needles *needles = &s->sieves[k].needles;
        if (!search(s, &s->sieves[k])) {
            return FL_NOMEM;
        }
        for (size_t i = 0; i < s->lines_n && needles->always_n; i++) {
            propose(s, i, needles->always, needles->always_n);
        }
    }
    s->stamp += (uint32_t)s->lines_n;
    return s->failed ? FL_NOMEM : order(s);
}

void fl_sweep_candidates(struct fl_sweep *sweep, size_t k, struct fl_candidate **out,
                         size_t *out_n)
{
    *out = sweep->found + sweep->lines[k].first;
    *out_n = sweep->lines[k].n;
}
