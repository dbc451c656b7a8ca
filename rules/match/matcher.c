/* SPDX-License-Identifier: Apache-2.0 */
/* Why this shape: a log line meets hundreds of rules and matches none or one. Measured on 20 to
 * 2,000 rules, literals first and PCRE2 on the few proposals is flat in the number of rules, while
 * any engine that runs the patterns themselves is not. Vectorscan's regex engine is not used: its
 * 5.4.9 release loses matches (upstream issues 317, 382); its literal API was never seen to. */
#include "rules/match/matcher.h"

#include "rules/match/memo.h"
#include "rules/match/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Trusted patterns stay as they are from release to release; the others come and go, and have a small
 * sieve of their own, so that a change among them costs no more than that. Of each kind there is a sieve
 * that is kept, and one of the patterns that came since. */
enum { TRUSTED, OTHERS, KINDS, SIEVES = 2 * KINDS };

enum { MANY = 1000 /* lines of a log that shapes are remembered for from the start */ };

struct fl_matcher {
    struct fl_pattern *patterns;
    uint32_t patterns_n;
    uint32_t patterns_size;
    struct fl_sieve sieves[SIEVES];
    struct fl_grams *grams; /* until ready */
    const char *cache;      /* until ready */
    const char *cache_name;
};

struct fl_match_work {
    const struct fl_matcher *matcher;
    struct fl_programs *programs;
    struct fl_sweep *one; /* a line by itself */
    /* a batch of lines */
    struct fl_sweep *many;
    const struct fl_str *lines;
    size_t batches;
    struct fl_memo *memo;    /* NULL: not yet, or no memory */
    bool recalls;            /* else all lines were swept: */
    const uint32_t *unknown; /* the lines that were */
    size_t unknown_n;
    size_t used; /* of those */
    bool settled;
};

enum fl_status fl_matcher_new(struct fl_matcher **out, struct fl_err *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for the matcher");
}

void fl_matcher_free(struct fl_matcher *matcher)
{
    if (!matcher) {
        return;
    }
    for (size_t i = 0; i < SIEVES; i++) {
        fl_sieve_fini(&matcher->sieves[i]);
    }
    free(matcher->patterns);
    free(matcher->grams);
    free(matcher);
}

enum fl_status fl_matcher_add(struct fl_matcher *matcher, struct fl_str pattern, unsigned flags,
                              uint32_t *number_r, size_t *at_r, struct fl_err *err)
{
    struct fl_pattern one = {pattern, flags};
    enum fl_status status =
        flags & (FL_PATTERN_TRUSTED | FL_PATTERN_CHECKED) ? FL_OK : fl_pattern_check(&one, at_r, err);
    if (status != FL_OK) {
        return status;
    }
    if (matcher->patterns_n == matcher->patterns_size) {
        uint32_t size = matcher->patterns_size ? matcher->patterns_size * 2 : 64;
        struct fl_pattern *more = realloc(matcher->patterns, size * sizeof *more);
        if (!more) {
            return fl_fail(err, FL_NOMEM, "no memory for a pattern");
        }
        matcher->patterns = more;
        matcher->patterns_size = size;
    }
    matcher->patterns[matcher->patterns_n] = one;
    *number_r = matcher->patterns_n++;
    return FL_OK;
}

void fl_matcher_cache(struct fl_matcher *matcher, const char *folder, const char *name)
{
    matcher->cache = folder;
    matcher->cache_name = name;
}

void fl_matcher_show(struct fl_matcher *matcher, struct fl_str text)
{
    if (!matcher->grams) {
        matcher->grams = calloc(1, sizeof *matcher->grams);
    }
    if (matcher->grams) { /* without memory for it the choice is only less good */
        fl_grams_add(matcher->grams, text);
    }
}

enum fl_status fl_matcher_ready(struct fl_matcher *matcher, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (size_t k = 0; status == FL_OK && k < KINDS; k++) {
        struct fl_sieve_made_of kept = {matcher->patterns, 0, matcher->patterns_n, k == TRUSTED,
                                        matcher->grams};
        char name[40];
        snprintf(name, sizeof name, "%.30s%s", matcher->cache_name ? matcher->cache_name : "",
                 k == TRUSTED ? "" : "-own");
        status = fl_sieve_open(&kept, matcher->cache, name, &matcher->sieves[k], err);
        struct fl_sieve_made_of late = kept;
        late.from = kept.to;
        late.to = matcher->patterns_n;
        if (status == FL_OK) {
            status = fl_sieve_open(&late, NULL, "", &matcher->sieves[KINDS + k], err);
        }
    }
    free(matcher->grams);
    matcher->grams = NULL;
    return status;
}

bool fl_matcher_lacks_literal(const struct fl_matcher *matcher, uint32_t pattern)
{
    struct fl_literals set;
    fl_literals_of(matcher->patterns[pattern].text, NULL, &set);
    return set.n == 0;
}

enum fl_status fl_match_work_new(const struct fl_matcher *matcher, struct fl_match_work **out,
                                 struct fl_err *err)
{
    const struct fl_matcher *m = matcher;
    struct fl_match_work *w = calloc(1, sizeof *w);
    *out = w;
    if (!w) {
        return fl_fail(err, FL_NOMEM, "no memory for matching");
    }
    w->matcher = m;
    enum fl_status status = fl_programs_new(m->patterns, m->patterns_n, &w->programs, err);
    if (status == FL_OK) {
        status = fl_sweep_new(m->sieves, SIEVES, m->patterns_n, &w->one, err);
    }
    if (status == FL_OK) {
        status = fl_sweep_new(m->sieves, SIEVES, m->patterns_n, &w->many, err);
    }
    if (status != FL_OK) {
        fl_match_work_free(w);
        *out = NULL;
    }
    return status;
}

void fl_match_work_free(struct fl_match_work *work)
{
    if (work) {
        fl_programs_free(work->programs);
        fl_sweep_free(work->one);
        fl_sweep_free(work->many);
        fl_memo_free(work->memo);
        free(work);
    }
}

void fl_match_work_mute(struct fl_match_work *work, uint32_t pattern)
{
    fl_sweep_mute(work->one, pattern);
    fl_sweep_mute(work->many, pattern);
}

static enum fl_status sweep_one(struct fl_match_work *w, struct fl_str line)
{
    fl_sweep_clear(w->one);
    enum fl_status status = fl_sweep_add(w->one, line);
    return status == FL_OK ? fl_sweep_run(w->one) : status;
}

enum fl_status fl_matcher_propose(struct fl_match_work *work, struct fl_str line,
                                  const struct fl_candidate **out, size_t *out_n)
{
    enum fl_status status = sweep_one(work, line);
    if (status == FL_OK) {
        struct fl_candidate *found = NULL;
        fl_sweep_candidates(work->one, 0, &found, out_n);
        *out = found;
    }
    return status;
}

enum fl_match fl_matcher_try(struct fl_match_work *work, uint32_t pattern, struct fl_str subject,
                             struct fl_captures *captures)
{
    enum fl_match answer = fl_program_try(work->programs, pattern, subject, captures);
    if (work->memo && fl_memo_watches(work->memo)) {
        fl_memo_answer(work->memo, pattern, answer,
                       fl_program_holds(work->programs, pattern, subject, answer));
    }
    return answer;
}

enum fl_status fl_matcher_batch(struct fl_match_work *work, const struct fl_str *lines, size_t n)
{
    enum fl_status status = FL_OK;
    bool pays = work->batches++ > 0 || n >= MANY;
    if (pays && !work->memo && fl_memo_new(&work->memo, NULL) != FL_OK) {
        work->memo = NULL;
    }
    work->lines = lines;
    work->used = 0;
    work->recalls =
        work->memo && fl_memo_begin(work->memo, lines, n, &work->unknown, &work->unknown_n);
    fl_sweep_clear(work->many);
    for (size_t i = 0; status == FL_OK && i < (work->recalls ? work->unknown_n : n); i++) {
        status = fl_sweep_add(work->many, lines[work->recalls ? work->unknown[i] : i]);
    }
    return status == FL_OK ? fl_sweep_run(work->many) : status;
}

/* Notes what is proposed for a line of a new shape. What was enough last time goes first. */
static void note(struct fl_match_work *w, size_t line, struct fl_candidate *c, size_t n)
{
    uint32_t favourite = 0;
    fl_memo_watch(w->memo, line);
    for (size_t i = 0; i < n; i++) {
        bool enough = w->matcher->patterns[c[i].pattern].flags & FL_PATTERN_ENOUGH;
        fl_memo_note(w->memo, c[i].pattern, enough);
    }
    size_t i = fl_memo_favourite(w->memo, &favourite) ? 1 : n;
    while (i < n && c[i].pattern != favourite) {
        i++;
    }
    if (i < n) {
        struct fl_candidate first = c[i];
        memmove(c + 1, c, i * sizeof *c);
        c[0] = first;
    }
}

/* Nothing is known of the line's shape. */
static enum fl_status look(struct fl_match_work *w, size_t line, struct fl_candidate **out,
                           size_t *out_n)
{
    struct fl_sweep *sweep = w->many;
    size_t k = 0;
    enum fl_status status = FL_OK;
    while (w->used < w->unknown_n && w->unknown[w->used] < line) {
        w->used++;
    }
    if (w->used < w->unknown_n && w->unknown[w->used] == line) {
        k = w->used;
    } else { /* it was known when the batch began, or was to be by now */
        sweep = w->one;
        status = sweep_one(w, w->lines[line]);
    }
    if (status == FL_OK) {
        fl_sweep_candidates(sweep, k, out, out_n);
        note(w, line, *out, *out_n);
    }
    return status;
}

enum fl_status fl_matcher_line(struct fl_match_work *work, size_t line,
                               const struct fl_candidate **out, size_t *out_n)
{
    struct fl_candidate *known = NULL;
    work->settled = false;
    if (!work->recalls) {
        fl_sweep_candidates(work->many, line, &known, out_n);
        *out = known;
        return FL_OK;
    }
    enum fl_memory memory = fl_memo_recall(work->memo, line, &known, out_n);
    if (memory == FL_MEMORY_GUESS) {
        known[0].sure =
            fl_matcher_try(work, known[0].pattern, work->lines[line], NULL) == FL_MATCH_YES;
        memory = known[0].sure ? FL_MEMORY_ALL : FL_MEMORY_NONE;
    }
    work->settled = memory == FL_MEMORY_ALL;
    enum fl_status status = memory == FL_MEMORY_ALL ? FL_OK : look(work, line, &known, out_n);
    *out = known;
    return status;
}

uint64_t fl_matcher_shape(const struct fl_match_work *work, size_t line)
{
    return work->recalls ? fl_memo_shape(work->memo, line) : 0;
}

bool fl_matcher_settled(const struct fl_match_work *work)
{
    return work->settled;
}

bool fl_matcher_is_blind(const struct fl_match_work *work, uint32_t pattern)
{
    return fl_program_is_blind(work->programs, pattern);
}

const char *fl_matcher_engine(char *out, size_t n)
{
    char pcre[64] = "";
    pcre2_config(PCRE2_CONFIG_VERSION, pcre);
    snprintf(out, n, "%s%.24s, PCRE2 %.24s",
             hs_valid_platform() == HS_SUCCESS ? "vectorscan literals " : "no vectorscan, library ",
             hs_version(), pcre);
    return out;
}
