/* SPDX-License-Identifier: Apache-2.0 */
/* Why this shape: a log line meets hundreds of rules and matches none or one. Measured on 20 to
 * 2,000 rules, literals first and PCRE2 on the few proposals is flat in the number of rules, while
 * any engine that runs the patterns themselves is not. Vectorscan's regex engine is not used: its
 * 5.4.9 release loses matches (upstream issues 317, 382); its literal API was never seen to. */
#include "rules/matcher.h"

#include "rules/literals.h"

#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { CALM_BYTES = 4096, CALM_STEPS = 10000, LEAST_STEPS = 500, JIT_STACK = 256 * 1024 };

struct pattern {
    pcre2_code *code;
    struct fl_str text;
    struct fl_literals literals;
    bool silent;
};

/* A literal and the patterns that wait for it: users[first .. first + n). */
struct needle {
    struct fl_literal text;
    uint32_t first;
    uint32_t n;
};

struct fl_matcher {
    struct pattern *patterns;
    uint32_t patterns_n;
    uint32_t patterns_size;
    struct needle *needles;
    uint32_t needles_n;
    uint32_t *users;
    uint32_t *always; /* patterns without a literal */
    uint32_t always_n;
    struct fl_grams *grams; /* until ready */
    hs_database_t *scanner; /* NULL: every pattern is proposed for every line */
    bool scans;
};

struct fl_match_work {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    hs_scratch_t *scratch;
    struct fl_candidate *found;
    size_t found_n;
    size_t found_size;
    uint32_t *seen; /* per pattern: the last line (+1) it was proposed for */
    uint32_t patterns_n;
    bool failed;
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
    for (uint32_t i = 0; i < matcher->patterns_n; i++) {
        pcre2_code_free(matcher->patterns[i].code);
    }
    hs_free_database(matcher->scanner);
    free(matcher->patterns);
    free(matcher->needles);
    free(matcher->users);
    free(matcher->always);
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
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter serves */
    *out = code;
    return FL_OK;
}

enum fl_status fl_matcher_add(struct fl_matcher *matcher, struct fl_str pattern, unsigned flags,
                              uint32_t *number_r, size_t *at_r, struct fl_err *err)
{
    if (matcher->patterns_n == matcher->patterns_size) {
        uint32_t size = matcher->patterns_size ? matcher->patterns_size * 2 : 64;
        struct pattern *more = realloc(matcher->patterns, size * sizeof *more);
        if (!more) {
            return fl_fail(err, FL_NOMEM, "no memory for a pattern");
        }
        matcher->patterns = more;
        matcher->patterns_size = size;
    }
    struct pattern *p = &matcher->patterns[matcher->patterns_n];
    enum fl_status status = compile(pattern, flags, &p->code, at_r, err);
    if (status != FL_OK) {
        return status;
    }
    p->text = pattern;
    p->silent = flags & FL_PATTERN_SILENT;
    *number_r = matcher->patterns_n++;
    return FL_OK;
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

/* One (literal, pattern) pair while the needles are being sorted together. */
struct want {
    const struct fl_literal *literal;
    uint32_t pattern;
};

static int compare_wants(const void *a, const void *b)
{
    const struct want *x = a;
    const struct want *y = b;
    int by_case = (int)x->literal->caseless - (int)y->literal->caseless;
    if (by_case) {
        return by_case;
    }
    size_t n = x->literal->n < y->literal->n ? x->literal->n : y->literal->n;
    int by_bytes = memcmp(x->literal->bytes, y->literal->bytes, n);
    if (by_bytes) {
        return by_bytes;
    }
    if (x->literal->n != y->literal->n) {
        return x->literal->n < y->literal->n ? -1 : 1;
    }
    return x->pattern < y->pattern ? -1 : x->pattern > y->pattern;
}

static void sort_needles(struct fl_matcher *m, struct want *wants, size_t n)
{
    qsort(wants, n, sizeof *wants, compare_wants);
    for (size_t i = 0; i < n; i++) {
        const struct fl_literal *text = wants[i].literal;
        struct needle *last = m->needles_n ? &m->needles[m->needles_n - 1] : NULL;
        if (!last || last->text.caseless != text->caseless || last->text.n != text->n ||
            memcmp(last->text.bytes, text->bytes, text->n) != 0) {
            last = &m->needles[m->needles_n++];
            *last = (struct needle){.text = *text, .first = (uint32_t)i};
        }
        m->users[i] = wants[i].pattern;
        last->n++;
    }
}

static enum fl_status build_needles(struct fl_matcher *m, struct fl_err *err)
{
    size_t n = 0;
    for (uint32_t i = 0; i < m->patterns_n; i++) {
        n += m->patterns[i].silent ? 0 : m->patterns[i].literals.n;
    }
    struct want *wants = calloc(n + 1, sizeof *wants);
    m->needles = calloc(n + 1, sizeof *m->needles);
    m->users = calloc(n + 1, sizeof *m->users);
    m->always = calloc(m->patterns_n + 1U, sizeof *m->always);
    if (!wants || !m->needles || !m->users || !m->always) {
        free(wants);
        return fl_fail(err, FL_NOMEM, "no memory for the literal scanner");
    }
    n = 0;
    for (uint32_t i = 0; i < m->patterns_n; i++) {
        const struct fl_literals *set = &m->patterns[i].literals;
        if (m->patterns[i].silent) {
            continue;
        }
        if (set->n == 0) {
            m->always[m->always_n++] = i;
        }
        for (size_t k = 0; k < set->n; k++) {
            wants[n++] = (struct want){&set->item[k], i};
        }
    }
    sort_needles(m, wants, n);
    free(wants);
    return FL_OK;
}

static enum fl_status build_scanner(struct fl_matcher *m, struct fl_err *err)
{
    size_t n = m->needles_n;
    const char **texts = calloc(n, sizeof *texts);
    unsigned *flags = calloc(n, sizeof *flags);
    unsigned *ids = calloc(n, sizeof *ids);
    size_t *lengths = calloc(n, sizeof *lengths);
    enum fl_status status = FL_OK;
    if (!texts || !flags || !ids || !lengths) {
        status = fl_fail(err, FL_NOMEM, "no memory for the literal scanner");
    } else {
        hs_compile_error_t *why = NULL;
        for (size_t i = 0; i < n; i++) {
            texts[i] = m->needles[i].text.bytes;
            lengths[i] = m->needles[i].text.n;
            flags[i] = m->needles[i].text.caseless ? HS_FLAG_CASELESS : 0;
            ids[i] = (unsigned)i;
        }
        if (hs_compile_lit_multi(texts, flags, ids, lengths, (unsigned)n, HS_MODE_BLOCK, NULL,
                                 &m->scanner, &why) != HS_SUCCESS) {
            status = fl_fail(err, FL_INTERNAL, "literal scanner: %s", why ? why->message : "?");
            hs_free_compile_error(why);
        }
    }
    free(texts);
    free(flags);
    free(ids);
    free(lengths);
    return status;
}

enum fl_status fl_matcher_ready(struct fl_matcher *matcher, struct fl_err *err)
{
    for (uint32_t i = 0; i < matcher->patterns_n; i++) {
        struct pattern *p = &matcher->patterns[i];
        fl_literals_of(p->text, matcher->grams, &p->literals);
    }
    free(matcher->grams);
    matcher->grams = NULL;
    enum fl_status status = build_needles(matcher, err);
    matcher->scans = hs_valid_platform() == HS_SUCCESS && !getenv("FAULTLINE_NO_VECTORSCAN");
    if (status == FL_OK && matcher->scans && matcher->needles_n) {
        status = build_scanner(matcher, err);
    }
    return status;
}

bool fl_matcher_lacks_literal(const struct fl_matcher *matcher, uint32_t pattern)
{
    return matcher->patterns[pattern].literals.n == 0;
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
    w->patterns_n = matcher->patterns_n;
    bool ok = w->match && w->context && w->seen;
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
    pcre2_match_data_free(work->match);
    pcre2_match_context_free(work->context);
    pcre2_jit_stack_free(work->stack);
    hs_free_scratch(work->scratch);
    free(work->found);
    free(work->seen);
    free(work);
}

static void propose(struct fl_match_work *w, uint32_t line, uint32_t pattern)
{
    if (w->seen[pattern] == line + 1) {
        return;
    }
    w->seen[pattern] = line + 1;
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
    w->found[w->found_n++] = (struct fl_candidate){line, pattern};
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
        const struct needle *needle = &w->matcher->needles[id];
        propose_line(w, (uint32_t)w->line, w->matcher->users + needle->first, needle->n);
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
    memset(work->seen, 0, matcher->patterns_n * sizeof *work->seen);
    if (lines_n && !scan(matcher, work, block)) {
        return FL_NOMEM;
    }
    bool scanned = matcher->scans || matcher->needles_n == 0;
    for (uint32_t i = 0; i < lines_n && (matcher->always_n || !scanned); i++) {
        for (uint32_t k = 0; !scanned && k < matcher->patterns_n; k++) {
            if (!matcher->patterns[k].silent) {
                propose(work, i, k);
            }
        }
        if (scanned) {
            propose_line(work, i, matcher->always, matcher->always_n);
        }
    }
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

enum fl_match fl_matcher_try(const struct fl_matcher *matcher, struct fl_match_work *work,
                             uint32_t pattern, struct fl_str subject, struct fl_captures *captures)
{
    const pcre2_code *code = matcher->patterns[pattern].code;
    uint32_t steps = CALM_STEPS;
    if (subject.n > CALM_BYTES) {
        steps = (uint32_t)((size_t)CALM_STEPS * CALM_BYTES / subject.n);
        steps = steps < LEAST_STEPS ? LEAST_STEPS : steps;
    }
    pcre2_set_match_limit(work->context, steps);
    int rc = pcre2_match(code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0,
                         work->match, work->context);
    if (rc == PCRE2_ERROR_NOMATCH) {
        return FL_MATCH_NO;
    }
    if (rc < 0) {
        return FL_MATCH_ERROR;
    }
    if (captures) {
        read_captures(code, work->match, subject, captures);
    }
    return FL_MATCH_YES;
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
