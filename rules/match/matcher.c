/* SPDX-License-Identifier: Apache-2.0 */
/* Why this shape: a log line meets hundreds of rules and matches none or one. Measured on 20 to
 * 2,000 rules, literals first and PCRE2 on the few proposals is flat in the number of rules, while
 * any engine that runs the patterns themselves is not. Vectorscan's regex engine is not used: its
 * 5.4.9 release loses matches (upstream issues 317, 382); its literal API was never seen to.
 *
 * Most patterns are never tried on most logs, and compiling and translating (JIT) them all costs
 * more than reading a small log. So a pattern is compiled when it is first tried, and translated
 * when it is tried often. The code lives in the thread's fl_match_work: no lock, nothing published
 * between threads, and the matcher stays constant; a pattern that two threads try is compiled
 * twice. The interpreter counts more steps than translated code does and also limits depth: where
 * it gives up, translated code is asked, so that the answer is the same on the first try and on the
 * thousandth. */
#include "rules/match/matcher.h"

#include "rules/match/blur.h"
#include "rules/match/memo.h"
#include "rules/match/needles.h"
#include "rules/match/scanner.h"
#include "rules/match/shape.h"

#include <stdio.h>
#include <stdlib.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    CALM_BYTES = 4096,
    CALM_STEPS = 10000,
    LEAST_STEPS = 500,
    JIT_STACK = 256 * 1024,
    OFTEN = 16, /* tries of a trusted pattern before translating it pays */
};

struct pattern {
    struct fl_str text;
    unsigned flags; /* enum fl_pattern_flags */
};

struct fl_matcher {
    struct pattern *patterns;
    uint32_t patterns_n;
    uint32_t patterns_size;
    struct fl_needles needles;
    struct fl_grams *grams; /* until ready */
    const char *cache;      /* until ready */
    const char *cache_name;
    hs_database_t *scanner; /* NULL: every pattern is proposed for every line */
    bool scans;
};

/* A pattern as one thread runs it. */
struct program {
    pcre2_code *code;
    uint32_t tries;  /* by the interpreter */
    bool translated; /* or cannot be */
    bool native;     /* there is translated code */
    bool broken;     /* does not compile */
    bool blind;      /* cannot tell one digit from another */
    bool blurred;    /* the next one was asked for */
    pcre2_code *blur; /* asks less, see blur.h; NULL: there is none */
};

struct fl_match_work {
    struct program *programs;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    hs_scratch_t *scratch;
    struct fl_candidate *found;
    size_t found_n;
    size_t found_size;
    uint32_t *seen; /* per pattern: the last line it was proposed for, counted from `stamp` */
    uint32_t stamp;
    uint32_t patterns_n;
    bool failed;
    struct fl_memo *memo; /* NULL: not yet, or no memory */
    bool recalls;         /* the batch in hand, else it was scanned as a whole: */
    size_t used;          /* of found */
    const struct fl_str *batch;
    /* the scan in hand */
    const struct fl_matcher *matcher;
    const char *base;
    const struct fl_str *lines;
    size_t lines_n;
    size_t line;
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
    hs_free_database(matcher->scanner);
    free(matcher->patterns);
    fl_needles_fini(&matcher->needles);
    free(matcher->grams);
    free(matcher);
}

static enum fl_status compile(struct fl_str text, unsigned flags, pcre2_code **out, size_t *at_r,
                              struct fl_err *err)
{
    uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C |
                       (flags & FL_PATTERN_LINES ? PCRE2_MULTILINE : 0);
    int number = 0;
    PCRE2_SIZE at = 0;
    size_t size = 0;
    *at_r = 0;
    if (text.n > FL_PATTERN_BYTES) {
        return fl_fail(err, FL_LIMIT, "pattern longer than %d bytes", FL_PATTERN_BYTES);
    }
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)(text.p ? text.p : ""), text.n, options, &number, &at, NULL);
    if (!code) {
        char why[160] = "";
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
        *at_r = at;
        return fl_fail(err, FL_SYNTAX, "%s", why);
    }
    pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size);
    if (size > FL_PATTERN_CODE) {
        pcre2_code_free(code);
        return fl_fail(err, FL_LIMIT, "pattern compiles to %zu bytes, more than %d: use smaller "
                       "repeat counts", size, FL_PATTERN_CODE);
    }
    *out = code;
    return FL_OK;
}

enum fl_status fl_matcher_add(struct fl_matcher *matcher, struct fl_str pattern, unsigned flags,
                              uint32_t *number_r, size_t *at_r, struct fl_err *err)
{
    if (!(flags & FL_PATTERN_TRUSTED)) {
        pcre2_code *code = NULL;
        enum fl_status status = compile(pattern, flags, &code, at_r, err);
        if (status != FL_OK) {
            return status;
        }
        pcre2_code_free(code);
    }
    if (matcher->patterns_n == matcher->patterns_size) {
        uint32_t size = matcher->patterns_size ? matcher->patterns_size * 2 : 64;
        struct pattern *more = realloc(matcher->patterns, size * sizeof *more);
        if (!more) {
            return fl_fail(err, FL_NOMEM, "no memory for a pattern");
        }
        matcher->patterns = more;
        matcher->patterns_size = size;
    }
    matcher->patterns[matcher->patterns_n] = (struct pattern){pattern, flags};
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

static enum fl_status gather(struct fl_matcher *m)
{
    struct fl_literals set;
    enum fl_status status = FL_OK;
    for (uint32_t i = 0; status == FL_OK && i < m->patterns_n; i++) {
        if (!(m->patterns[i].flags & FL_PATTERN_SILENT)) {
            fl_literals_of(m->patterns[i].text, m->grams, &set);
            status = fl_needles_add(&m->needles, &set, i);
        }
    }
    return status == FL_OK ? fl_needles_sort(&m->needles) : status;
}

enum fl_status fl_matcher_ready(struct fl_matcher *matcher, struct fl_err *err)
{
    enum fl_status status = gather(matcher);
    free(matcher->grams);
    matcher->grams = NULL;
    if (status != FL_OK) {
        return fl_fail(err, status, "no memory for the literal scanner");
    }
    matcher->scans = hs_valid_platform() == HS_SUCCESS && !getenv("FAULTLINE_NO_VECTORSCAN");
    return matcher->scans && matcher->needles.n
               ? fl_scanner_open(matcher->needles.list, matcher->needles.n, matcher->cache,
                                 matcher->cache_name, &matcher->scanner, err)
               : FL_OK;
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
    struct fl_match_work *w = calloc(1, sizeof *w);
    *out = w;
    if (!w) {
        return fl_fail(err, FL_NOMEM, "no memory for matching");
    }
    w->match = pcre2_match_data_create(FL_CAPTURES_MAX + 8, NULL);
    w->context = pcre2_match_context_create(NULL);
    w->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK, NULL);
    w->seen = calloc(matcher->patterns_n + 1U, sizeof *w->seen);
    w->programs = calloc(matcher->patterns_n + 1U, sizeof *w->programs);
    w->patterns_n = matcher->patterns_n;
    w->stamp = 1;
    bool ok = w->match && w->context && w->seen && w->programs;
    if (ok && matcher->scanner) {
        ok = hs_alloc_scratch(matcher->scanner, &w->scratch) == HS_SUCCESS;
    }
    if (!ok) {
        fl_match_work_free(w);
        *out = NULL;
        return fl_fail(err, FL_NOMEM, "no memory for matching");
    }
    if (w->stack) {
        pcre2_jit_stack_assign(w->context, NULL, w->stack);
    }
    pcre2_set_depth_limit(w->context, 1000);
    return FL_OK;
}

void fl_match_work_free(struct fl_match_work *work)
{
    if (!work) {
        return;
    }
    for (uint32_t i = 0; work->programs && i < work->patterns_n; i++) {
        pcre2_code_free(work->programs[i].code);
        pcre2_code_free(work->programs[i].blur);
    }
    free(work->programs);
    pcre2_match_data_free(work->match);
    pcre2_match_context_free(work->context);
    pcre2_jit_stack_free(work->stack);
    hs_free_scratch(work->scratch);
    fl_memo_free(work->memo);
    free(work->found);
    free(work->seen);
    free(work);
}

static void propose(struct fl_match_work *w, uint32_t line, uint32_t pattern)
{
    if (w->seen[pattern] == w->stamp + line) {
        return;
    }
    w->seen[pattern] = w->stamp + line;
    if (w->found_n == w->found_size) {
        size_t size = w->found_size ? w->found_size * 2 : 1024;
        struct fl_candidate *more = realloc(w->found, size * sizeof *more);
        if (!more) {
            w->failed = true;
            return;
        }
        w->found = more;
        w->found_size = size;
    }
    w->found[w->found_n++] = (struct fl_candidate){line, pattern, false};
}

static void propose_line(struct fl_match_work *w, uint32_t line, const uint32_t *patterns,
                         uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        propose(w, line, patterns[i]);
    }
}

/* A literal ends at `to`. Matches come nearly in order of their end, so the line is found by a few
 * steps from the last one. A literal cannot hold a newline, but it may span the bytes between two
 * lines (a removed \r); the proposal then goes to the line of its last byte and PCRE2 declines. */
static int on_literal(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                      void *ctx)
{
    (void)from;
    (void)flags;
    struct fl_match_work *w = ctx;
    const char *last = w->base + to - 1;
    while (w->line > 0 && last < w->lines[w->line].p) {
        w->line--;
    }
    while (w->line + 1 < w->lines_n && last >= w->lines[w->line + 1].p) {
        w->line++;
    }
    struct fl_str line = w->lines[w->line];
    if (last >= line.p && last < line.p + line.n) {
        const struct fl_needles *needles = &w->matcher->needles;
        const uint32_t *first = &needles->first[id];
        propose_line(w, (uint32_t)w->line, needles->users + first[0], first[1] - first[0]);
    }
    return w->failed;
}

static int compare_candidates(const void *a, const void *b)
{
    const struct fl_candidate *x = a;
    const struct fl_candidate *y = b;
    if (x->line != y->line) {
        return x->line < y->line ? -1 : 1;
    }
    return x->pattern < y->pattern ? -1 : x->pattern > y->pattern;
}

/* Nearly sorted already: insertion beats qsort until a run is badly out of place. */
static void sort_candidates(struct fl_candidate *c, size_t n)
{
    size_t moves = 0;
    for (size_t i = 1; i < n; i++) {
        struct fl_candidate one = c[i];
        size_t k = i;
        while (k > 0 && compare_candidates(&c[k - 1], &one) > 0) {
            c[k] = c[k - 1];
            k--;
        }
        c[k] = one;
        moves += i - k;
        if (moves > 64 * n) {
            qsort(c, n, sizeof *c, compare_candidates);
            return;
        }
    }
}

static bool scan(const struct fl_matcher *m, struct fl_match_work *w, struct fl_str block)
{
    if (!m->scanner || block.n == 0) {
        return true;
    }
    hs_error_t error =
        hs_scan(m->scanner, block.p, (unsigned)block.n, 0, w->scratch, on_literal, w);
    return error == HS_SUCCESS;
}

enum fl_status fl_matcher_propose(const struct fl_matcher *matcher, struct fl_match_work *work,
                                  struct fl_str block, const struct fl_str *lines, size_t lines_n,
                                  const struct fl_candidate **out, size_t *out_n)
{
    work->found_n = 0;
    work->failed = false;
    work->matcher = matcher;
    work->base = block.p;
    work->lines = lines;
    work->lines_n = lines_n;
    work->line = 0;
    if (work->stamp > UINT32_MAX / 2) {
        memset(work->seen, 0, matcher->patterns_n * sizeof *work->seen);
        work->stamp = 1;
    }
    if (lines_n && !scan(matcher, work, block)) {
        return FL_NOMEM;
    }
    const struct fl_needles *needles = &matcher->needles;
    bool scanned = matcher->scans || needles->n == 0;
    for (uint32_t i = 0; i < lines_n && (needles->always_n || !scanned); i++) {
        for (uint32_t k = 0; !scanned && k < matcher->patterns_n; k++) {
            if (!(matcher->patterns[k].flags & FL_PATTERN_SILENT)) {
                propose(work, i, k);
            }
        }
        if (scanned) {
            propose_line(work, i, needles->always, needles->always_n);
        }
    }
    work->stamp += (uint32_t)lines_n;
    sort_candidates(work->found, work->found_n);
    *out = work->found;
    *out_n = work->found_n;
    return work->failed ? FL_NOMEM : FL_OK;
}

static void read_captures(const pcre2_code *code, pcre2_match_data *match, struct fl_str subject,
                          struct fl_captures *out)
{
    const PCRE2_SIZE *ovector = pcre2_get_ovector_pointer(match);
    uint32_t names = 0;
    uint32_t width = 0;
    PCRE2_SPTR table = NULL;
    out->n = 0;
    out->start = ovector[0];
    out->end = ovector[1];
    pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &names);
    pcre2_pattern_info(code, PCRE2_INFO_NAMEENTRYSIZE, &width);
    pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, &table);
    uint32_t groups = pcre2_get_ovector_count(match);
    for (uint32_t i = 0; i < names && out->n < FL_CAPTURES_MAX; i++, table += width) {
        uint32_t group = (uint32_t)table[0] << 8 | table[1];
        if (group < groups && ovector[2 * group] != PCRE2_UNSET &&
            ovector[2 * group + 1] >= ovector[2 * group]) {
            size_t at = ovector[2 * group];
            out->item[out->n++] =
                (struct fl_capture){(const char *)table + 2,
                                    {subject.p + at, ovector[2 * group + 1] - at}};
        }
    }
}

/* Without JIT the interpreter goes on serving. */
static void translate(struct program *program)
{
    program->native = pcre2_jit_compile(program->code, PCRE2_JIT_COMPLETE) == 0;
    program->translated = true;
}

/* The pattern as this thread runs it; NULL when it does not compile. */
static struct program *program_of(const struct fl_matcher *matcher, struct fl_match_work *work,
                                  uint32_t pattern)
{
    struct program *program = &work->programs[pattern];
    const struct pattern *p = &matcher->patterns[pattern];
    if (!program->code && !program->broken) {
        size_t at = 0;
        program->broken = compile(p->text, p->flags, &program->code, &at, NULL) != FL_OK;
        program->blind = fl_pattern_is_blind(p->text);
    }
    if (program->broken) {
        return NULL;
    }
    if (!program->translated &&
        (!(p->flags & FL_PATTERN_TRUSTED) || ++program->tries > OFTEN)) {
        translate(program);
    }
    return program;
}

static int run(const struct program *program, struct fl_match_work *work, struct fl_str subject)
{
    PCRE2_SPTR text = (PCRE2_SPTR)(subject.p ? subject.p : "");
    return program->native ? pcre2_jit_match(program->code, text, subject.n, 0, 0, work->match,
                                             work->context)
                           : pcre2_match(program->code, text, subject.n, 0, 0, work->match,
                                         work->context);
}

/* Does a pattern that said no to this line say no to all lines of its shape? */
static bool never_matches(const struct fl_matcher *matcher, struct fl_match_work *work,
                          uint32_t pattern, struct fl_str subject)
{
    struct program *program = &work->programs[pattern];
    if (!program->blurred) {
        struct fl_buf text;
        size_t at = 0;
        program->blurred = true;
        fl_buf_init(&text, FL_PATTERN_BYTES);
        if (fl_pattern_blur(matcher->patterns[pattern].text, &text) &&
            compile(fl_buf_str(&text), matcher->patterns[pattern].flags, &program->blur, &at,
                    NULL) != FL_OK) {
            program->blur = NULL;
        }
        fl_buf_free(&text);
    }
    return program->blur &&
           pcre2_match(program->blur, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0,
                       work->match, work->context) == PCRE2_ERROR_NOMATCH;
}

static enum fl_match note(const struct fl_matcher *matcher, struct fl_match_work *work,
                          uint32_t pattern, struct fl_str subject, enum fl_match answer)
{
    if (work->memo && fl_memo_watches(work->memo)) {
        bool holds = work->programs[pattern].blind ||
                     (answer == FL_MATCH_NO && never_matches(matcher, work, pattern, subject));
        fl_memo_answer(work->memo, pattern, answer, holds);
    }
    return answer;
}

enum fl_match fl_matcher_try(const struct fl_matcher *matcher, struct fl_match_work *work,
                             uint32_t pattern, struct fl_str subject, struct fl_captures *captures)
{
    struct program *program = program_of(matcher, work, pattern);
    uint32_t steps = CALM_STEPS;
    if (!program) {
        return note(matcher, work, pattern, subject, FL_MATCH_ERROR);
    }
    if (subject.n > CALM_BYTES) {
        steps = (uint32_t)((size_t)CALM_STEPS * CALM_BYTES / subject.n);
        steps = steps < LEAST_STEPS ? LEAST_STEPS : steps;
    }
    pcre2_set_match_limit(work->context, steps);
    int rc = run(program, work, subject);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH && !program->translated) {
        translate(program);
        rc = run(program, work, subject);
    }
    if (rc == PCRE2_ERROR_NOMATCH) {
        return note(matcher, work, pattern, subject, FL_MATCH_NO);
    }
    if (rc < 0) {
        return note(matcher, work, pattern, subject, FL_MATCH_ERROR);
    }
    if (captures) {
        read_captures(program->code, work->match, subject, captures);
    }
    return note(matcher, work, pattern, subject, FL_MATCH_YES);
}

enum fl_status fl_matcher_batch(const struct fl_matcher *matcher, struct fl_match_work *work,
                                struct fl_str block, const struct fl_str *lines, size_t lines_n)
{
    const struct fl_candidate *found = NULL;
    size_t n = 0;
    if (!work->memo && fl_memo_new(&work->memo, NULL) != FL_OK) {
        work->memo = NULL;
    }
    work->batch = lines;
    work->used = 0;
    work->recalls = work->memo && fl_memo_begin(work->memo, lines, lines_n);
    return work->recalls ? FL_OK
                         : fl_matcher_propose(matcher, work, block, lines, lines_n, &found, &n);
}

/* What was proposed for a line, and what may be for another one of its shape. */
static void note_proposed(const struct fl_matcher *m, struct fl_match_work *w, size_t line)
{
    fl_memo_watch(w->memo, line);
    for (size_t i = 0; i < w->found_n; i++) {
        w->found[i].line = (uint32_t)line;
        uint32_t pattern = w->found[i].pattern;
        fl_memo_note(w->memo, pattern, m->patterns[pattern].flags & FL_PATTERN_ENOUGH);
    }
    for (uint32_t i = 0; i < m->needles.digital_n; i++) {
        if (fl_digital_occurs(&m->needles.digital[i], w->batch[line])) {
            uint32_t pattern = m->needles.digital[i].pattern;
            fl_memo_note(w->memo, pattern, m->patterns[pattern].flags & FL_PATTERN_ENOUGH);
        }
    }
}

enum fl_status fl_matcher_line(const struct fl_matcher *matcher, struct fl_match_work *work,
                               size_t line, const struct fl_candidate **out, size_t *out_n)
{
    if (!work->recalls) {
        size_t first = work->used;
        while (work->used < work->found_n && work->found[work->used].line == line) {
            work->used++;
        }
        *out = work->found + first;
        *out_n = work->used - first;
        return FL_OK;
    }
    struct fl_candidate *known = NULL;
    enum fl_memory memory = fl_memo_recall(work->memo, line, &known, out_n);
    if (memory == FL_MEMORY_GUESS) {
        known[0].sure = fl_matcher_try(matcher, work, known[0].pattern, work->batch[line], NULL) ==
                        FL_MATCH_YES;
        memory = known[0].sure ? FL_MEMORY_ALL : FL_MEMORY_NONE;
    }
    *out = known;
    if (memory == FL_MEMORY_ALL) {
        return FL_OK;
    }
    enum fl_status status = fl_matcher_propose(matcher, work, work->batch[line],
                                               &work->batch[line], 1, out, out_n);
    if (status == FL_OK) {
        note_proposed(matcher, work, line);
    }
    return status;
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
