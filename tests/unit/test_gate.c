/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile proposals: whatever the gate lets pass hides no line of evidence (P1), and no pattern,
 * however it runs away, holds a matching thread for long (X1). */
#include "tests/unit/test.h"

#include "rules/filter.h"
#include "rules/learn/gate.h"
#include "rules/learn/plain.h"
#include "service/base/fsio.h"
#include "service/ingest/lines.h"
#include "service/life.h"
#include "service/paths.h"

#include <time.h>

enum { PROPOSALS = 1000, RUNAWAYS = 200, LONG_LINE = 1 << 20 };

static struct fl_rulebook book;
static struct fl_guard evidence; /* everything that must stay visible */
static struct fl_guard seeds;    /* the part of it that every installation has */
static uint64_t seed = 20261121;

static unsigned roll(unsigned n)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(seed >> 33) % n;
}

TEST(plain_patterns_are_summed_up)
{
    static const struct {
        const char *pattern;
        long literals;
        bool head, tail;
    } cases[] = {
        {"^heartbeat \\d+ ok$", 11, false, false},
        {"heartbeat \\d+ ok$", 11, true, false},
        {"^.*heartbeat ok$", 11, true, false},
        {"^heartbeat .*$", 9, false, true},
        {"^heartbeat \\S+$", 9, false, false},
        {"^(?:heartbeat|hb) \\d$", 2, false, false},
        {"^(?:heartbeat)? \\d$", 0, false, false},
        {"^heart(?:.{0,9})beat$", 9, false, false},
        {"^.{0,60}heartbeat$", 9, true, false},
        {"^(?:\\w+ )*heartbeat$", 9, true, false},
        {"^--------------------$", 2, false, false},
        {"^            x$", 1, false, false},
        {"^[Hh][Ee]art$", 5, false, false},
        {"^heartbeat$|x", 1, true, true},
        {"^heartbeat|", 0, true, true},
        {"(?i)^heartbeat\\.\\x41$", 11, false, false},
        {"^(?!.*(?:(?i)error|fail))heartbeat \\d+$", 9, false, false},
        {"(?!x)^heartbeat (?!.*y).*", 9, false, true},
        {"^[^,]{0,10},[^ ]+$", 1, false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_plain plain = {0};
        struct fl_err err = {0};
        CHECK_EQ_INT(fl_plain_read(fl_str_of(cases[i].pattern), &plain, &err), FL_OK);
        if (plain.literals != cases[i].literals || plain.open_head != cases[i].head ||
            plain.open_tail != cases[i].tail) {
            fprintf(stderr, "  %s: %ld %d %d %s\n", cases[i].pattern, plain.literals,
                    plain.open_head, plain.open_tail, err.msg);
        }
        CHECK_EQ_INT(plain.literals, cases[i].literals);
        CHECK_EQ_INT(plain.open_head, cases[i].head);
        CHECK_EQ_INT(plain.open_tail, cases[i].tail);
    }
    static const char *const refused[] = {
        "(?s)heartbeat", "(?=heartbeat)", "heart(?<!beat)", "(?!\\Qx)heart", "(heart)\\1", "\\Qheartbeat\\E", "(?1)",
        "(*LIMIT_MATCH=9)heart", "\\Kheart", "(?x)heart", "[[:alpha:]]heart", "heart(", "heart)",
        "[heart", "*heart", "\\p{L}heart", "(?(1)a|b)", "(?#note)heart", "\\Gheart",
        "((((((((((((((heart))))))))))))))", "heart\\"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct fl_plain plain;
        struct fl_err err = {0};
        CHECK_EQ_INT(fl_plain_read(fl_str_of(refused[i]), &plain, &err), FL_DENIED);
        CHECK(err.msg[0] != '\0');
    }
}

static struct fl_proposal filter(struct fl_str pattern, struct fl_str sample)
{
    return (struct fl_proposal){.is_filter = true, .pattern = pattern, .sample = sample,
                                .kind = "learned", .guard = &evidence};
}

TEST(lines_of_its_job_are_looked_at)
{
    struct fl_err err = {0};
    struct fl_proposal p = filter(FL_LIT("^\\[rank\\d+\\]: torch\\.\\S+: CUDA \\w+ of \\w+\\..*"),
                                  FL_LIT("[rank1]: torch.quiet: CUDA graphs of today."));
    p.guard = NULL;
    p.lines = FL_LIT("[rank1]: torch.quiet: CUDA graphs of today.\nall is well");
    CHECK(fl_gate(book.set, &p, &err) == FL_DENIED); /* by the samples of rules */
    p = filter(FL_LIT("^\\w+ bay reports \\w+ \\w+ here: .*"), FL_LIT("the bay reports all well here: ok"));
    p.guard = NULL;
    err = (struct fl_err){0};
    CHECK_EQ_INT(fl_gate(book.set, &p, &err), FL_OK);
    p.lines = FL_LIT("the bay reports no luck here: torch.OutOfMemoryError: CUDA out of memory. "
                     "Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB");
    err = (struct fl_err){0};
    CHECK_EQ_INT(fl_gate(book.set, &p, &err), FL_DENIED);
    CHECK_HAS(err.msg, "its own job");
}

TEST(claims_of_other_causes_are_refused)
{
    const struct fl_cause *config = fl_taxonomy_find(&book.taxonomy, FL_LIT("config_error"));
    const struct fl_cause *oom = fl_taxonomy_find(&book.taxonomy, FL_LIT("gpu_oom"));
    struct fl_proposal p = {.pattern = FL_LIT("CUDA out of memory\\. Tried"), .kind = "learned",
                            .sample = FL_LIT("CUDA out of memory. Tried to allocate 2.00 GiB"),
                            .cause = config, .summary = FL_LIT("no")};
    struct fl_err err = {0};
    CHECK_EQ_INT(fl_gate(book.set, &p, &err), FL_DENIED);
    CHECK_HAS(err.msg, "claim");
    struct fl_guard guard;
    fl_guard_init(&guard);
    CHECK_EQ_INT(fl_guard_add(&guard, FL_LIT("the widget press jammed"), FL_LIT("gpu_oom"),
                              FL_LIT("incident inc-9"), NULL), FL_OK);
    p = (struct fl_proposal){.pattern = FL_LIT("widget press jammed"), .kind = "learned",
                             .sample = FL_LIT("E the widget press jammed"), .cause = config,
                             .summary = FL_LIT("no"), .guard = &guard};
    err = (struct fl_err){0};
    CHECK_EQ_INT(fl_gate(book.set, &p, &err), FL_DENIED);
    CHECK_HAS(err.msg, "inc-9");
    p.cause = oom;
    err = (struct fl_err){0};
    CHECK_EQ_INT(fl_gate(book.set, &p, &err), FL_OK);
    fl_guard_free(&guard);
}

static int64_t processor_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* ---- P1 ---- */

static void escape(struct fl_buf *out, struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (strchr("\\^$.|?*+()[]{}", s.p[i])) {
            fl_buf_add_text(out, "\\");
        }
        fl_buf_add(out, s.p + i, 1);
    }
}

/* How each byte of a line is written in a pattern. */
enum dress { DRESS_PLAIN, DRESS_DIGITS, DRESS_WORDS, DRESS_CASES, DRESS_CLASSES, DRESS_N };

static void dress(struct fl_buf *out, struct fl_str s, enum dress how)
{
    for (size_t i = 0; i < s.n;) {
        size_t n = 1;
        while (how == DRESS_WORDS && i + n < s.n && fl_is_alpha(s.p[i]) && fl_is_alpha(s.p[i + n])) {
            n++;
        }
        while (how == DRESS_DIGITS && i + n < s.n && fl_is_digit(s.p[i]) && fl_is_digit(s.p[i + n])) {
            n++;
        }
        char c = s.p[i];
        if (how == DRESS_DIGITS && fl_is_digit(c)) {
            fl_buf_add_text(out, "\\d+");
        } else if (how == DRESS_WORDS && n > 3 && roll(3) == 0) {
            fl_buf_add_text(out, "\\w+");
        } else if (how == DRESS_CASES && fl_is_alpha(c)) {
            fl_buf_addf(out, "[%c%c]", c, c ^ 32);
        } else if (how == DRESS_CLASSES && fl_is_alpha(c) && roll(4) == 0) {
            fl_buf_addf(out, "%s", c >= 'a' ? "[a-z]" : "[A-Z]");
        } else {
            escape(out, (struct fl_str){s.p + i, n});
        }
        i += n;
    }
}

static struct fl_str word(struct fl_str s, size_t k)
{
    for (;; k--) {
        s = fl_str_ltrim(s);
        size_t n = 0;
        while (n < s.n && !fl_is_space(s.p[n])) {
            n++;
        }
        if (k == 0 || n == s.n) {
            return (struct fl_str){s.p, n};
        }
        s = fl_str_skip(s, n);
    }
}

static const char *const general[] = {
    ".*", "(?s).", "\\S", "^", "$", "", "|", "()", "(?:)", "^.*$", "^.+", "(?i)[a-z]", "[^\\n]*", "\\w+",
    "^\\s*\\S.*$", "(?s)^.*$", "(?:a|)", "^(?:INFO|)", "[\\s\\S]", "(?!x)x|.", "^(?=.)", ".{12,}",
    "^.{12,}$", "[A-Za-z0-9 :_.-]{12,}", "^(?:\\w+\\W+){3,}", "\\b", "(?:routine text that is long)?",
    "(?:routine text that is long|)", "^routine text that is long|.", "\\Qroutine\\E|.", "(?|a|.)"};

/* A proposal of kind k; the sample is one that its author would show: harmless, if there is one. */
static void make(unsigned k, struct fl_buf *pattern, struct fl_buf *sample)
{
    struct fl_str line = evidence.item[roll((unsigned)evidence.n)].line;
    static const char harmless[] = "routine text that is long and says nothing 17";
    fl_buf_add_text(sample, harmless);
    switch (k % 14) {
    case 0: /* far too general */
        fl_buf_add_text(pattern, general[roll(sizeof general / sizeof *general)]);
        break;
    case 1: /* near copies of the line */
    case 2:
        fl_buf_add_text(pattern, roll(2) ? "^" : "");
        dress(pattern, line, (enum dress)roll(DRESS_N));
        fl_buf_add_text(pattern, roll(2) ? "$" : "");
        fl_buf_clear(sample);
        fl_buf_add_str(sample, line);
        break;
    case 3: /* one branch is harmless */
        fl_buf_add_text(pattern, "^(?:routine text that is long and says nothing \\d+|");
        dress(pattern, line, (enum dress)roll(DRESS_N));
        fl_buf_add_text(pattern, ")$");
        break;
    case 4: /* another one is optional */
        fl_buf_add_text(pattern, "^(?:");
        dress(pattern, line, DRESS_DIGITS);
        fl_buf_add_text(pattern, "|)(?:routine text that is long and says nothing \\d+|)$");
        break;
    case 5: /* the beginning of the line, and anything */
        dress(pattern, word(line, 0), DRESS_PLAIN);
        fl_buf_add_text(pattern, "\\s+\\S+.*");
        fl_buf_clear(sample);
        fl_buf_add_str(sample, word(line, 0));
        fl_buf_add_text(sample, " all is well and quiet");
        break;
    case 6: /* its end */
        fl_buf_add_text(pattern, "^.*");
        dress(pattern, line.n > 14 ? fl_str_skip(line, line.n - 14) : line, DRESS_DIGITS);
        fl_buf_add_text(pattern, "$");
        fl_buf_clear(sample);
        fl_buf_add_text(sample, "all is well ");
        fl_buf_add_str(sample, line.n > 14 ? fl_str_skip(line, line.n - 14) : line);
        break;
    case 7: /* first and last words */
        fl_buf_add_text(pattern, "^");
        dress(pattern, word(line, 0), DRESS_PLAIN);
        fl_buf_add_text(pattern, " .* ");
        dress(pattern, word(line, 99), DRESS_PLAIN);
        fl_buf_clear(sample);
        fl_buf_add_str(sample, word(line, 0));
        fl_buf_add_text(sample, " all is well ");
        fl_buf_add_str(sample, word(line, 99));
        break;
    case 8: /* behind a prefix */
        fl_buf_add_text(pattern, "^\\[rank\\d+\\]:\\s+(?:routine text that is long.*|");
        dress(pattern, line, DRESS_DIGITS);
        fl_buf_add_text(pattern, ")");
        fl_buf_clear(sample);
        fl_buf_addf(sample, "[rank0]: %s", harmless);
        break;
    case 9: /* only what is left when colours are taken out */
        fl_buf_add_text(pattern, "^(?:\\x1b\\[[0-9;]*m)*(?:routine text that is long.*|");
        dress(pattern, line, DRESS_PLAIN);
        fl_buf_add_text(pattern, ")(?:\\x1b\\[0m)?$");
        break;
    case 10: /* long enough, but it says nothing */
        fl_buf_addf(pattern, "^(?:routine text that is long)?.{0,%u}$", 40 + roll(400));
        break;
    case 11: /* letter by letter */
        fl_buf_add_text(pattern, "(?i)^(?:routine text that is long and says nothing|");
        dress(pattern, line, DRESS_CASES);
        fl_buf_add_text(pattern, ")");
        break;
    case 12: /* what is fixed are blanks and dashes */
        fl_buf_addf(pattern, "^[ =#*-]{0,%u}.*[ .]*$|^routine text", 4 + roll(40));
        break;
    case 13: /* a good one: the gate must not refuse everything */
        fl_buf_addf(pattern, "^bay %u reports: \\d+ widgets pressed in \\d+\\.\\d+ s$", roll(100000));
        fl_buf_clear(sample);
        fl_buf_addf(sample, "%.*s 12 widgets pressed in 3.5 s", (int)(strchr(pattern->p, ':') - pattern->p),
                    pattern->p + 1);
        break;
    }
}

struct judge {
    struct fl_matcher *matcher;
    struct fl_match_work *work;
};

static bool matches(struct judge *j, struct fl_str line)
{
    return fl_matcher_try(j->work, 0, line, NULL) != FL_MATCH_NO;
}

/* The line as it stands, coloured, and as a launcher prints it. */
static bool hides(struct judge *j, struct fl_str line)
{
    char text[8192];
    static const char *const forms[] = {"%.*s", "\x1b[31m%.*s\x1b[0m", "[rank7]: %.*s", "12: %.*s"};
    bool hidden = matches(j, line);
    for (size_t i = 0; !hidden && i < sizeof forms / sizeof *forms; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int n = snprintf(text, sizeof text, forms[i], (int)line.n, line.p);
#pragma GCC diagnostic pop
        hidden = n > 0 && n < (int)sizeof text && matches(j, (struct fl_str){text, (size_t)n});
    }
    return hidden;
}

/* When a rule is applied, does the line tell what it has to tell all the same? It stays for a word of
 * failure or a rule that knows it; and what a metric says is read before it is dropped. */
static bool stays(struct fl_match_work *work, struct fl_str line)
{
    const struct fl_candidate *c = NULL;
    size_t n = 0;
    bool kept = false;
    CHECK_EQ_INT(fl_matcher_propose(work, line, &c, &n), FL_OK);
    for (size_t i = 0; i < n && !kept; i++) {
        uint32_t owner = book.set->line_owner[c[i].pattern].rule;
        bool guards = owner == UINT32_MAX
                          ? c[i].pattern == book.set->attention
                          : !book.set->rules[owner].is_filter &&
                                book.set->rules[owner].role != FL_ROLE_BENIGN;
        kept = guards && fl_matcher_try(work, c[i].pattern, line, NULL) !=
                             FL_MATCH_NO;
    }
    return kept;
}

/* forced: only lines that would not stay when the rule is applied. */
static long hidden_lines(struct fl_str pattern, bool forced)
{
    struct judge j = {NULL, NULL};
    struct fl_err err = {0};
    uint32_t number = 0;
    size_t at = 0;
    long n = 0;
    struct fl_match_work *work = NULL;
    CHECK_EQ_INT(fl_match_work_new(book.set->lines, &work, &err), FL_OK);
    CHECK_EQ_INT(fl_matcher_new(&j.matcher, &err), FL_OK);
    CHECK_EQ_INT(fl_matcher_add(j.matcher, pattern, 0, &number, &at, &err), FL_OK);
    CHECK_EQ_INT(fl_matcher_ready(j.matcher, &err), FL_OK);
    CHECK_EQ_INT(fl_match_work_new(j.matcher, &j.work, &err), FL_OK);
    for (size_t i = 0; i < evidence.n; i++) {
        struct fl_str line = evidence.item[i].line;
        n += hides(&j, line) && !(forced && stays(work, line));
    }
    fl_match_work_free(work);
    fl_match_work_free(j.work);
    fl_matcher_free(j.matcher);
    return n;
}

TEST(no_hostile_proposal_hides_evidence)
{
    struct fl_buf pattern;
    struct fl_buf sample;
    long accepted = 0;
    long good = 0;
    long hidden = 0;
    int64_t spent[2] = {0, 0}; /* on those refused, and accepted */
    printf("  seed %llu, %zu lines of evidence, %zu of them shipped\n", (unsigned long long)seed,
           evidence.n, seeds.n);
    fl_buf_init(&pattern, 1 << 20);
    fl_buf_init(&sample, 1 << 20);
    for (unsigned k = 0; k < PROPOSALS; k++) {
        struct fl_err err = {0};
        fl_buf_clear(&pattern);
        fl_buf_clear(&sample);
        fl_buf_add_text(&pattern, "");
        make(k, &pattern, &sample);
        struct fl_proposal p = filter(fl_buf_str(&pattern), fl_buf_str(&sample));
        int64_t start = processor_us();
        bool passed = fl_gate(book.set, &p, &err) == FL_OK;
        spent[passed] += processor_us() - start;
        if (!passed) {
            CHECK(err.msg[0] != '\0');
            continue;
        }
        accepted++;
        good += k % 14 == 13;
        long n = hidden_lines(p.pattern, false);
        hidden += n;
        if (n) {
            fprintf(stderr, "  hides %ld: %.300s\n", n, fl_buf_text(&pattern));
        }
    }
    printf("  %d proposals, %ld accepted (%ld of the %d good ones), %ld lines hidden\n", PROPOSALS,
           accepted, good, PROPOSALS / 14, hidden);
    printf("  the gate needs %.1f ms to refuse, %.1f ms to accept\n",
           (double)spent[0] / 1e3 / (double)(PROPOSALS - accepted),
           (double)spent[1] / 1e3 / (double)(accepted ? accepted : 1));
    CHECK_EQ_INT(hidden, 0);
    CHECK_EQ_INT(good, PROPOSALS / 14);
    fl_buf_free(&pattern);
    fl_buf_free(&sample);
}

/* The gate of an installation knows the shipped incidents, not the labelled logs: what passes there
 * may match a line of these, but hardly ever takes from a verdict. */
TEST(unknown_evidence_is_not_hidden_either)
{
    struct fl_buf pattern;
    struct fl_buf sample;
    long accepted = 0;
    long matched = 0;
    long hidden = 0;
    fl_buf_init(&pattern, 1 << 20);
    fl_buf_init(&sample, 1 << 20);
    for (unsigned k = 0; k < PROPOSALS; k++) {
        fl_buf_clear(&pattern);
        fl_buf_clear(&sample);
        fl_buf_add_text(&pattern, "");
        make(k, &pattern, &sample);
        struct fl_proposal p = filter(fl_buf_str(&pattern), fl_buf_str(&sample));
        p.guard = &seeds;
        if (k % 14 == 13 || fl_gate(book.set, &p, NULL) != FL_OK) {
            continue;
        }
        accepted++;
        matched += hidden_lines(p.pattern, false);
        long n = hidden_lines(p.pattern, true);
        hidden += n;
        if (n) {
            fprintf(stderr, "  hides %ld: %.300s\n", n, fl_buf_text(&pattern));
        }
    }
    printf("  %ld hostile ones accepted, %ld unknown lines matched, %ld hidden\n", accepted, matched,
           hidden);
    CHECK(hidden * 200 <= PROPOSALS); /* word for word copies of routine-looking lines nobody was told of */
    CHECK(getenv("FL_CORPUS") == NULL || !*getenv("FL_CORPUS") || matched > 0); /* else it tests nothing */
    fl_buf_free(&pattern);
    fl_buf_free(&sample);
}

/* ---- X1 ---- */

/* A fixed amount of plain work over a line, to know this machine and this moment. */
static int64_t reference_us(const char *line)
{
    int64_t start = processor_us();
    volatile uint64_t sum = 0;
    for (int i = 0; i < LONG_LINE; i++) {
        sum = (sum ^ (unsigned char)line[i]) * 1099511628211U;
    }
    return processor_us() - start;
}

static void make_runaway(unsigned k, struct fl_buf *out)
{
    static const char *const bodies[] = {
        "(?:%s+)+", "(?:%s*)*", "(?:%s|%s%s)+", "(?:%s+\\.)+%s+", ".*%s.*%s.*", "(%s+)*%s", "(?:%s?){40}%s{40}",
        ".*.*.*%s", "(?:%s+%s+)+", "(?:.*%s){6}"};
    static const char *const atoms[] = {"a", "\\d", "\\w", "[a-z]", "[^b]", "(?:a|aa)", "\\S", "."};
    static const char *const ends[] = {"!", " NCCL WARN", "error", "$", "\\x01", "\\bzz"};
    const char *atom = atoms[k % 8];
    for (const char *p = bodies[k / 8 % 10]; *p; p++) {
        if (p[0] == '%' && p[1] == 's') {
            fl_buf_add_text(out, atom);
            p++;
        } else {
            fl_buf_add(out, p, 1);
        }
    }
    fl_buf_add_text(out, ends[roll(6)]);
}

static struct judge open_judge(struct fl_str pattern, bool *good)
{
    struct judge j = {NULL, NULL};
    uint32_t number = 0;
    size_t at = 0;
    *good = fl_matcher_new(&j.matcher, NULL) == FL_OK &&
            fl_matcher_add(j.matcher, pattern, FL_PATTERN_LEARNED, &number, &at, NULL) == FL_OK &&
            fl_matcher_ready(j.matcher, NULL) == FL_OK &&
            fl_match_work_new(j.matcher, &j.work, NULL) == FL_OK;
    return j;
}

struct timing {
    struct judge judge;
    int64_t bar;
    int64_t worst;
    long calls;
    size_t longest;
};

/* What ingest makes of the line is what a pattern is tried on. */
static enum fl_status time_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct timing *t = ctx;
    (void)err;
    for (size_t i = 0; i < batch->n; i++) {
        int64_t least = INT64_MAX;
        for (int k = 0; k < 3 && least > t->bar; k++) {
            int64_t start = processor_us();
            matches(&t->judge, batch->texts[i]);
            int64_t us = processor_us() - start;
            least = us < least ? us : least;
        }
        t->calls++;
        t->worst = least > t->worst ? least : t->worst;
        t->longest = batch->texts[i].n > t->longest ? batch->texts[i].n : t->longest;
    }
    return FL_OK;
}

static void time_line(struct timing *t, const char *line, size_t n)
{
    struct fl_lines *lines = NULL;
    CHECK_EQ_INT(fl_lines_new(FL_LINES_BARS, time_batch, t, &lines, NULL), FL_OK);
    CHECK_EQ_INT(fl_lines_push(lines, (struct fl_str){line, n}, NULL), FL_OK);
    CHECK_EQ_INT(fl_lines_end(lines, NULL), FL_OK);
    fl_lines_free(lines);
}

TEST(no_pattern_runs_away)
{
    static const char *const fills[] = {"a", "1", "1.", "a1 ", "aaaaaaaab", "x=1,", " "};
    char *line = malloc(LONG_LINE);
    struct fl_buf pattern;
    int64_t worst = 0;
    int64_t reference = INT64_MAX;
    size_t longest = 0;
    long calls = 0;
    fl_buf_init(&pattern, 4096);
    memset(line, 'a', LONG_LINE);
    for (int i = 0; i < 5; i++) {
        int64_t us = reference_us(line);
        reference = us < reference ? us : reference;
    }
    int64_t bar = 15 * reference > 25000 ? 15 * reference : 25000;
    for (unsigned k = 0; k < RUNAWAYS; k++) {
        bool good = false;
        fl_buf_clear(&pattern);
        make_runaway(k, &pattern);
        struct judge j = open_judge(fl_buf_str(&pattern), &good);
        const char *fill = fills[roll(7)];
        for (size_t i = 0, n = strlen(fill); i < LONG_LINE; i++) {
            line[i] = fill[i % n];
        }
        if (good) {
            matches(&j, FL_LIT("warm")); /* compiles */
        }
        struct timing t = {.judge = j, .bar = bar};
        if (good) {
            time_line(&t, line, LONG_LINE);
            time_line(&t, line, FL_PATTERN_SUBJECT); /* the longest that is tried */
            calls += t.calls;
            longest = t.longest > longest ? t.longest : longest;
        }
        worst = t.worst > worst ? t.worst : worst;
        CHECK(t.worst <= bar);
        if (t.worst > bar) {
            fprintf(stderr, "  %.1f ms: %s on %s...\n", (double)t.worst / 1000,
                    fl_buf_text(&pattern), fill);
        }
        fl_match_work_free(j.work);
        fl_matcher_free(j.matcher);
    }
    CHECK(longest >= FL_LINE_BYTES);
    printf("  %ld calls, worst %.1f ms, bar %.1f ms, reference %.1f ms\n", calls,
           (double)worst / 1000, (double)bar / 1000, (double)reference / 1000);
    CHECK(calls > RUNAWAYS * 3 / 4); /* some do not compile */
    fl_buf_free(&pattern);
    free(line);
}

/* A learned filter that is in force all the same keeps lines with words of failure. */
TEST(in_force_it_keeps_alarming_lines)
{
    struct fl_str pattern = FL_LIT("^bay \\d+ reports: .*");
    struct fl_rule rule = {.id = "learned-x", .is_filter = true, .origin = "learned",
                           .any = {.text = &pattern, .n = 1}};
    struct fl_trial trial = {&rule, 1, true};
    struct fl_rulebook b;
    struct fl_err err = {0};
    CHECK_EQ_INT(fl_rulebook_open_trial(NULL, &trial, &b, &err), FL_OK);
    struct fl_match_work *work = NULL;
    CHECK_EQ_INT(fl_match_work_new(b.set->lines, &work, &err), FL_OK);
    static const struct {
        const char *line;
        bool drops;
    } cases[] = {{"bay 3 reports: all well", true},
                 {"bay 3 reports: the press jammed, cannot go on", false},
                 {"bay 3 reports: Segmentation fault", false},
                 {"bay 3 reports: 12 widgets", true}};
    for (size_t i = 0; i < 4; i++) {
        const struct fl_candidate *c = NULL;
        size_t n = 0;
        uint32_t by = 0;
        struct fl_str line = fl_str_of(cases[i].line);
        CHECK_EQ_INT(fl_matcher_propose(work, line, &c, &n), FL_OK);
        CHECK_EQ_INT(fl_filter_drops(b.set, work, line, c, n, &by), cases[i].drops);
    }
    fl_match_work_free(work);
    fl_rulebook_close(&b);
}

static void gather(void)
{
    struct fl_err err = {0};
    struct fl_config config = {.file = NULL};
    const char *corpus = getenv("FL_CORPUS");
    fl_guard_init(&evidence);
    fl_guard_init(&seeds);
    CHECK_EQ_INT(fl_life_guard(&config, &seeds, &err), FL_OK);
    config.value[FL_SET_PROTECT] = corpus && *corpus ? corpus : NULL;
    CHECK_EQ_INT(fl_life_guard(&config, &evidence, &err), FL_OK);
    for (uint32_t i = 0; i < book.set->rules_n; i++) {
        const struct fl_rule *rule = &book.set->rules[i];
        bool guards = !rule->is_filter &&
                      (rule->role <= FL_ROLE_CONFIRMATION || rule->role == FL_ROLE_SUCCESS);
        for (size_t k = 0; guards && k < rule->match.n; k++) {
            CHECK_EQ_INT(fl_guard_add(&evidence, rule->match.item[k], FL_LIT(""),
                                      fl_str_of(rule->id), &err), FL_OK);
        }
    }
    CHECK_EQ_STR(err.msg, "");
}

int main(void)
{
    struct fl_err err = {0};
    if (fl_rulebook_open(NULL, &book, &err) != FL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return EXIT_FAILURE;
    }
    gather();
    RUN(plain_patterns_are_summed_up);
    RUN(lines_of_its_job_are_looked_at);
    RUN(claims_of_other_causes_are_refused);
    RUN(in_force_it_keeps_alarming_lines);
    RUN(no_hostile_proposal_hides_evidence);
    RUN(unknown_evidence_is_not_hidden_either);
    RUN(no_pattern_runs_away);
    fl_guard_free(&evidence);
    fl_guard_free(&seeds);
    fl_rulebook_close(&book);
    return test_result();
}
