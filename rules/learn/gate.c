/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/learn/gate.h"

#include "rules/learn/plain.h"

#include <stdlib.h>
#include <time.h>

enum { GUARD_BYTES = 256 << 20, TIMED_LINES = 2000, TRIES = 8, ORDINARY = 4096,
       LONGEST_NS = 25 * 1000 * 1000 };

const char fl_gate_routine[] =
    "2026-01-05 10:00:00 | INFO | step 1200 | loss 2.31 | lr 3.0e-04 | tokens/s 51234";

void fl_guard_init(struct fl_guard *guard)
{
    *guard = (struct fl_guard){.item = NULL};
    fl_arena_init(&guard->arena, GUARD_BYTES);
}

void fl_guard_free(struct fl_guard *guard)
{
    free(guard->item);
    fl_arena_free(&guard->arena);
    guard->item = NULL;
    guard->n = 0;
}

static struct fl_str take_line(struct fl_str *text)
{
    const char *nl = memchr(text->p, '\n', text->n);
    struct fl_str line = {text->p, nl ? (size_t)(nl - text->p) : text->n};
    *text = fl_str_skip(*text, nl ? line.n + 1 : line.n);
    return line;
}

/* Without colours and other escape sequences (ESC [ ... letter). */
static struct fl_str uncoloured(struct fl_arena *arena, struct fl_str line)
{
    struct fl_str plain = fl_arena_str(arena, line);
    char *to = (char *)(uintptr_t)plain.p;
    for (size_t i = 0; to && i < line.n; i++) {
        if (line.p[i] == '\x1b' && i + 1 < line.n && line.p[i + 1] == '[') {
            for (i += 2; i < line.n && !(line.p[i] >= '@' && line.p[i] <= '~'); i++) {
            }
            continue;
        }
        *to++ = line.p[i];
    }
    plain.n = to ? (size_t)(to - plain.p) : 0;
    return plain;
}

static bool guard_put(struct fl_guard *guard, const struct fl_guarded *one)
{
    if (guard->n == guard->size) {
        size_t size = guard->size ? 2 * guard->size : 256;
        struct fl_guarded *more = realloc(guard->item, size * sizeof *more);
        if (!more) {
            return false;
        }
        guard->item = more;
        guard->size = size;
    }
    guard->item[guard->n++] = *one;
    return one->line.p && one->cause.p && one->whence.p;
}

enum fl_status fl_guard_add(struct fl_guard *guard, struct fl_str text, struct fl_str cause,
                            struct fl_str whence, struct fl_err *err)
{
    struct fl_guarded one = {.cause = fl_arena_str(&guard->arena, cause),
                             .whence = fl_arena_str(&guard->arena, whence)};
    bool good = true;
    while (good && text.n) {
        struct fl_str line = take_line(&text);
        if (fl_str_trim(line).n < 4) {
            continue;
        }
        one.line = fl_arena_str(&guard->arena, line);
        good = guard_put(guard, &one);
        if (good && memchr(line.p, '\x1b', line.n)) {
            one.line = uncoloured(&guard->arena, line);
            good = guard_put(guard, &one);
        }
    }
    return good ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for the protected lines");
}

/* A matcher that holds the one pattern, and another with the rules in force. */
struct trial {
    struct fl_matcher *matcher;
    struct fl_match_work *work;
    const struct fl_ruleset *set;
    struct fl_match_work *lines;
    struct fl_match_work *events;
    const struct fl_proposal *p;
    struct fl_err *err;
};

static void end_trial(struct trial *t)
{
    fl_match_work_free(t->work);
    fl_match_work_free(t->lines);
    fl_match_work_free(t->events);
    fl_matcher_free(t->matcher);
}

static enum fl_status begin_trial(struct trial *t)
{
    uint32_t number = 0;
    size_t at = 0;
    enum fl_status status = fl_matcher_new(&t->matcher, t->err);
    if (status == FL_OK) {
        status = fl_matcher_add(t->matcher, t->p->pattern, FL_PATTERN_LEARNED, &number, &at, t->err);
    }
    if (status == FL_OK) {
        status = fl_matcher_ready(t->matcher, t->err);
    }
    if (status == FL_OK) {
        status = fl_match_work_new(t->matcher, &t->work, t->err);
    }
    if (status == FL_OK) {
        status = fl_match_work_new(t->set->lines, &t->lines, t->err);
    }
    return status == FL_OK ? fl_match_work_new(t->set->events, &t->events, t->err) : status;
}

static enum fl_match try_on(struct trial *t, struct fl_str text)
{
    return fl_matcher_try(t->work, 0, text, NULL);
}

static enum fl_status refuse(struct trial *t, const char *why)
{
    return fl_fail(t->err, FL_DENIED, "proposed rule refused: %s", why);
}

static bool matches_some_line(struct trial *t, struct fl_str text)
{
    while (text.n) {
        if (try_on(t, take_line(&text)) != FL_MATCH_NO) {
            return true;
        }
    }
    return false;
}

/* As launchers and loggers may have printed it. */
static bool matches_prefixed(struct trial *t, struct fl_str line)
{
    static const char *const prefixes[] = {
        "[rank3]: ", "[default3]:", "3: ", "2031-04-02 10:00:00,123 ",
        "[2031-04-02 10:00:00] ERROR ", "2031-04-02T10:00:00.123456Z ", "ERROR:root:"};
    char text[4096];
    bool matched = try_on(t, line) != FL_MATCH_NO;
    for (size_t i = 0; !matched && i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i]);
        size_t most = line.n < sizeof text - n ? line.n : sizeof text - n;
        memcpy(text, prefixes[i], n);
        memcpy(text + n, line.p, most);
        matched = try_on(t, (struct fl_str){text, n + most}) != FL_MATCH_NO;
    }
    return matched;
}

static bool hides_sample(struct trial *t, struct fl_str text)
{
    while (text.n) {
        struct fl_str line = take_line(&text);
        if (t->p->is_filter ? matches_prefixed(t, line) : try_on(t, line) != FL_MATCH_NO) {
            return true;
        }
    }
    return false;
}

static int64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Runaway patterns show themselves on long runs of the characters they repeat over; the sample
 * behind the run holds the literals without which the engine would not even begin. On lines of
 * ordinary length no match limit may be reached; beyond, where limits shrink with the length, one may
 * (the line is kept), if it is reached soon. */
static bool runs_away(struct trial *t, char *hostile, size_t size, int64_t limit_ns)
{
    struct fl_str sample = t->p->sample;
    size_t tail = sample.n < size / 4 ? sample.n : size / 4;
    static const char *const seeds[] = {"a", "1", " ", "a ", "1.", "/a", "a=1,"};
    bool away = false;
    for (size_t i = 0; !away && i <= sizeof seeds / sizeof *seeds; i++) {
        struct fl_str seed =
            i < sizeof seeds / sizeof *seeds ? fl_str_of(seeds[i]) : (struct fl_str){sample.p, tail};
        if (seed.n == 0) {
            continue;
        }
        memcpy(hostile, seed.p, seed.n);
        for (size_t k = seed.n; k < size; k *= 2) {
            memcpy(hostile + k, hostile, k < size - k ? k : size - k);
        }
        memcpy(hostile + size - tail, sample.p, tail);
        for (int spoilt = 0; !away && spoilt < 2; spoilt++) { /* as it is, and one that fails late */
            int64_t start = processor_ns();
            bool error = try_on(t, (struct fl_str){hostile, size}) == FL_MATCH_ERROR;
            away = (error && size <= ORDINARY) || processor_ns() - start > limit_ns;
            hostile[size - tail - 1] = hostile[size - 1] = '\x01';
        }
    }
    return away;
}

/* The samples of all rules, over and over; the best of some rounds, since others use the machine. */
static int64_t ns_a_line(struct trial *t)
{
    int64_t best = INT64_MAX;
    for (int round = 0; round < TRIES && best > FL_GATE_LINE_NS; round++) {
        int64_t start = processor_ns();
        int64_t n = 0;
        while (n < TIMED_LINES) {
            try_on(t, t->p->sample);
            n++;
            for (uint32_t i = 0; i < t->set->rules_n && n < TIMED_LINES; i++) {
                const struct fl_samples *s = &t->set->rules[i].match;
                for (size_t k = 0; k < s->n; k++, n++) {
                    try_on(t, s->item[k]);
                }
            }
        }
        int64_t each = (processor_ns() - start) / n;
        best = each < best ? each : best;
    }
    return best;
}

static enum fl_status check_speed(struct trial *t)
{
    char *hostile = malloc(FL_GATE_LONG);
    if (!hostile) {
        return fl_fail(t->err, FL_NOMEM, "no memory to try the proposed rule");
    }
    bool away = runs_away(t, hostile, ORDINARY, LONGEST_NS / 8) ||
                runs_away(t, hostile, 64 * 1024, LONGEST_NS / 8) ||
                runs_away(t, hostile, FL_GATE_LONG, LONGEST_NS);
    free(hostile);
    if (away) {
        return refuse(t, "the pattern runs away on long lines");
    }
    return ns_a_line(t) > FL_GATE_LINE_NS ? refuse(t, "the pattern is too slow") : FL_OK;
}

static enum fl_status check_guard(struct trial *t)
{
    const struct fl_guard *guard = t->p->guard;
    for (size_t i = 0; guard && i < guard->n; i++) {
        const struct fl_guarded *one = &guard->item[i];
        bool other = one->cause.n && t->p->cause &&
                     !fl_str_eq(one->cause, fl_str_of(t->p->cause->slug));
        if ((t->p->is_filter || other) && matches_prefixed(t, one->line)) {
            return fl_fail(t->err, FL_DENIED, "proposed rule refused: it would %s a line of %.*s",
                           t->p->is_filter ? "hide" : "claim", (int)one->whence.n, one->whence.p);
        }
    }
    return FL_OK;
}

static bool protects(const struct fl_rule *rule)
{
    return !rule->is_filter && (rule->role <= FL_ROLE_CONFIRMATION || rule->role == FL_ROLE_SUCCESS);
}

static enum fl_status check_samples(struct trial *t)
{
    for (uint32_t i = 0; i < t->set->rules_n; i++) {
        const struct fl_rule *rule = &t->set->rules[i];
        bool matters = t->p->is_filter ? protects(rule)
                                       : !rule->is_filter && rule->cause != t->p->cause;
        for (size_t k = 0; matters && k < rule->match.n; k++) {
            if (hides_sample(t, rule->match.item[k])) {
                return fl_fail(t->err, FL_DENIED, "proposed rule refused: it would %s a line that "
                               "rule %s knows", t->p->is_filter ? "hide" : "claim", rule->id);
            }
        }
    }
    return FL_OK;
}

/* The pattern of a diagnosis rule on a line whose prefixes are not peeled here: also from behind
 * each of the first marks that end one. */
static bool knows(struct trial *t, uint32_t pattern, struct fl_str line)
{
    for (int i = 0; i < 6; i++) {
        if (fl_matcher_try(t->lines, pattern, line, NULL) != FL_MATCH_NO) {
            return true;
        }
        const char *mark = fl_str_find(line, FL_LIT(": "));
        const char *bracket = fl_str_find(line, FL_LIT("] "));
        mark = bracket && (!mark || bracket < mark) ? bracket : mark;
        if (!mark) {
            return false;
        }
        line = fl_str_skip(line, (size_t)(mark + 2 - line.p));
    }
    return false;
}

static enum fl_status check_line(struct trial *t, struct fl_str line)
{
    const struct fl_candidate *c = NULL;
    size_t n = 0;
    if (fl_matcher_propose(t->lines, line, &c, &n) != FL_OK) {
        return fl_fail(t->err, FL_NOMEM, "no memory to try the proposed rule");
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t owner = t->set->line_owner[c[i].pattern].rule;
        const struct fl_rule *rule = owner == UINT32_MAX ? NULL : &t->set->rules[owner];
        if (rule && protects(rule) && rule->state == FL_STATE_ACTIVE &&
            knows(t, c[i].pattern, line)) {
            return fl_fail(t->err, FL_DENIED, "proposed rule refused: it would hide a line of its "
                           "own job that rule %s knows", rule->id);
        }
    }
    return FL_OK;
}

/* Of the lines of its job that it matches, a diagnosis rule must know none. */
static enum fl_status check_lines(struct trial *t)
{
    enum fl_status status = FL_OK;
    for (struct fl_str text = t->p->lines; status == FL_OK && text.n;) {
        struct fl_str line = take_line(&text);
        status = try_on(t, line) == FL_MATCH_NO ? FL_OK : check_line(t, line);
    }
    return status;
}

static bool is_alarming(struct trial *t, struct fl_str line)
{
    return t->set->attention != UINT32_MAX &&
           fl_matcher_try(t->lines, t->set->attention, line, NULL) != FL_MATCH_NO;
}

static enum fl_status check_own_samples(struct trial *t)
{
    struct fl_str more = t->p->samples;
    for (struct fl_str line = t->p->sample;; line = take_line(&more)) {
        if (try_on(t, line) != FL_MATCH_YES) {
            return refuse(t, "it does not match its own sample");
        }
        if (t->p->is_filter && is_alarming(t, line)) {
            return refuse(t, "its sample holds words that failures use");
        }
        if (more.n == 0) {
            return FL_OK;
        }
    }
}

static enum fl_status check_reach(struct trial *t)
{
    struct fl_plain plain;
    struct fl_err fault = {0};
    if (fl_plain_read(t->p->pattern, &plain, &fault) != FL_OK) {
        return refuse(t, fault.msg);
    }
    if (plain.literals < FL_GATE_LITERALS) {
        return fl_fail(t->err, FL_DENIED, "proposed rule refused: the pattern is too general: %ld "
                       "literal bytes, not %d", plain.literals, FL_GATE_LITERALS);
    }
    return plain.open_head && plain.open_tail
               ? refuse(t, "the pattern is open at both ends (begin it with ^ or end it with $)")
               : FL_OK;
}

static enum fl_status check_general(struct trial *t)
{
    static const char *const routine[] = {
        "", " ", fl_gate_routine, "INFO:root:ready", "Loading checkpoint shards: 100%|####| 4/4",
        "[rank0]: iteration 10/ 100 | consumed samples: 80 | elapsed time per iteration (ms): 512.0"};
    for (size_t i = 0; i < sizeof routine / sizeof *routine; i++) {
        struct fl_str line = fl_str_of(routine[i]);
        bool its_own = t->p->is_filter && i > 2; /* a filter may well be for such a line */
        if (!its_own && try_on(t, line) != FL_MATCH_NO) {
            return refuse(t, "the pattern is too general");
        }
    }
    return FL_OK;
}

enum fl_status fl_gate(const struct fl_ruleset *set, const struct fl_proposal *p,
                       struct fl_err *err)
{
    struct trial t = {.set = set, .p = p, .err = err};
    enum fl_status status = begin_trial(&t);
    if (status == FL_OK && fl_matcher_lacks_literal(t.matcher, 0)) {
        status = refuse(&t, "the pattern has no literal of three or more characters");
    }
    enum fl_status (*const checks[])(struct trial *) = {check_own_samples, check_general,
                                                        check_samples, check_guard};
    for (size_t i = 0; status == FL_OK && i < sizeof checks / sizeof *checks; i++) {
        status = checks[i](&t);
    }
    if (status == FL_OK && p->is_filter && matches_some_line(&t, p->protects)) {
        status = refuse(&t, "it would hide a line of evidence");
    }
    if (status == FL_OK && p->is_filter) {
        status = check_lines(&t);
    }
    if (status == FL_OK && p->is_filter) {
        status = check_reach(&t);
    }
    if (status == FL_OK) {
        status = check_speed(&t);
    }
    end_trial(&t);
    return status;
}
