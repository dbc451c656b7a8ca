/* SPDX-License-Identifier: Apache-2.0 */
/* What the matcher recalls by the shapes of lines: whatever is recalled, each line gets the answers that
 * every pattern tried on every line gives. */
#include "tests/unit/dice.h"
#include "tests/unit/test.h"

#include "rules/match/matcher.h"
#include "rules/match/shape.h"
#include "service/ingest/prefix.h"
#include "service/rulebook.h"

enum { PATTERNS_MAX = 1 << 15, BATCH_MAX = 300, LINE_BYTES = 400 };

struct world {
    const struct fl_matcher *matcher;
    const struct fl_ruleset *set;  /* NULL: all patterns see whole lines */
    struct fl_match_work *recalls; /* goes through batches */
    struct fl_match_work *plain;   /* tries them all */
    uint32_t pattern[PATTERNS_MAX]; /* those that are proposed at all */
    size_t pattern_n;
    char text[BATCH_MAX * (LINE_BYTES + 1)]; /* the batch that is being made */
    struct fl_str line[BATCH_MAX];
    size_t line_n;
    size_t used;
    bool expected[PATTERNS_MAX]; /* by pattern number: it matches the line in hand */
    long lines;
    long matches;
    long sure;
};

static void begin_world(struct world *w, const struct fl_matcher *matcher,
                        const struct fl_ruleset *set)
{
    *w = (struct world){.matcher = matcher, .set = set};
    CHECK_EQ_INT(fl_match_work_new(matcher, &w->recalls, NULL), FL_OK);
    CHECK_EQ_INT(fl_match_work_new(matcher, &w->plain, NULL), FL_OK);
}

static void end_world(struct world *w)
{
    fl_match_work_free(w->recalls);
    fl_match_work_free(w->plain);
}

static struct fl_str part_for(const struct world *w, uint32_t pattern, struct fl_str line)
{
    uint32_t owner = w->set ? w->set->line_owner[pattern].rule : UINT32_MAX;
    struct fl_prefix prefix;
    bool whole = owner == UINT32_MAX || w->set->rules[owner].is_filter;
    return whole ? line : fl_str_skip(line, fl_prefix_peel(line, &prefix));
}

/* Of filter rules one that says yes is enough, so the others need not be proposed. */
static bool is_enough(const struct world *w, uint32_t pattern)
{
    uint32_t owner = w->set ? w->set->line_owner[pattern].rule : UINT32_MAX;
    return owner != UINT32_MAX && w->set->rules[owner].is_filter;
}

static void check_line(struct world *w, size_t line)
{
    struct fl_str text = w->line[line];
    const struct fl_candidate *c = NULL;
    size_t n = 0;
    int before = test_failures;
    for (size_t i = 0; i < w->pattern_n; i++) {
        uint32_t p = w->pattern[i];
        w->expected[p] = fl_matcher_try(w->plain, p, part_for(w, p, text), NULL) ==
                         FL_MATCH_YES;
        w->matches += w->expected[p];
    }
    CHECK_EQ_INT(fl_matcher_line(w->recalls, line, &c, &n), FL_OK);
    bool dropped = false;
    for (size_t i = 0; i < n; i++) {
        dropped |= is_enough(w, c[i].pattern) && w->expected[c[i].pattern];
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t p = c[i].pattern;
        CHECK(i == 0 || c[i - 1].pattern < p || is_enough(w, c[i - 1].pattern));
        CHECK(!c[i].sure || w->expected[p]);
        w->sure += c[i].sure;
        if (below(8)) { /* callers do not try them all */
            struct fl_str part = part_for(w, p, text);
            struct fl_captures got;
            struct fl_captures want;
            bool yes = fl_matcher_try(w->recalls, p, part, &got) == FL_MATCH_YES;
            CHECK(yes == w->expected[p]);
            if (yes && fl_matcher_try(w->plain, p, part, &want) == FL_MATCH_YES) {
                CHECK(got.start == want.start && got.end == want.end && got.n == want.n);
            }
        }
        w->expected[p] = false;
    }
    for (size_t i = 0; i < w->pattern_n; i++) {
        uint32_t p = w->pattern[i]; /* it matches and was not proposed */
        CHECK(!w->expected[p] || (is_enough(w, p) && dropped));
        w->expected[p] = false;
    }
    w->lines++;
    if (test_failures != before) {
        fprintf(stderr, "  line %ld: %.*s\n", w->lines, (int)text.n, text.p);
    }
}

static void end_batch(struct world *w)
{
    CHECK_EQ_INT(fl_matcher_batch(w->recalls, w->line, w->line_n), FL_OK);
    for (size_t i = 0; i < w->line_n && test_failures < 20; i++) {
        check_line(w, i);
    }
    w->line_n = w->used = 0;
}

/* One more line; batches end at random. */
static void add_line(struct world *w, const char *text, size_t n, bool fuzz)
{
    char *to = w->text + w->used;
    n = n > LINE_BYTES ? LINE_BYTES : n;
    memcpy(to, text, n);
    to[n] = '\n';
    for (size_t i = 0; fuzz && i < n; i++) {
        to[i] = fl_is_digit(to[i]) && below(2) ? (char)('0' + below(10)) : to[i];
    }
    w->line[w->line_n++] = (struct fl_str){to, n};
    w->used += n + 1;
    if (w->line_n == BATCH_MAX || below(100) == 0) {
        end_batch(w);
    }
}

/* Pieces of patterns, and what stands in lines for them. */
static const struct piece {
    const char *pattern, *text;
} pieces[] = {
    {"Xid \\d+", "Xid 79"},       {"Xid 79", "Xid 79"},           {"7 9", "7 9"},
    {"errno 110", "errno 110"},   {"errno (?<code>\\d+)", "errno 110"},
    {"exit code: 1[0-9]\\b", "exit code: 17"},                    {"exit code: [0-4]", "exit code: 3"},
    {"507054", "507054"},         {"\\[5\\d\\d\\]", "[507]"},     {"rank[0-3]", "rank2"},
    {"rank\\d+", "rank12"},       {"signal 9", "signal 9"},       {"(?:SIG)?signal (?:9|15)", "signal 15"},
    {"step \\d+", "step 4100"},   {"loss=[\\d.]+", "loss=2.25"},  {"[^0-9 ]+ failed", "link failed"},
    {"\\w+ lost", "gpu7 lost"},   {"(?i)ecc error", "ECC error"}, {"time-?out", "timeout"},
    {"(?:12|34)ms", "12ms"},      {"^\\d", "5"},                  {"[[:digit:]]{4}", "2044"},
    {"0x[0-9a-f]+", "0x1f"},      {"code(?! 0)", "code 0"},       {"(?<!4)2 GiB", "32 GiB"},
    {"fp16|bf16", "bf16"},        {"[a-z5]+5", "abc5"},           {"(\\d)\\1", "77"},
};

enum { PIECES_N = sizeof pieces / sizeof *pieces, SET_MAX = 12 };

static struct fl_matcher *make_set(char text[SET_MAX][256], unsigned flags, size_t *n_r)
{
    struct fl_matcher *matcher = NULL;
    CHECK_EQ_INT(fl_matcher_new(&matcher, NULL), FL_OK);
    *n_r = below(SET_MAX) + 1;
    for (size_t i = 0; i < *n_r; i++) {
        uint32_t number = 0;
        size_t at = 0;
        size_t used = 0;
        for (unsigned k = below(3) ? 1 : below(3) + 1; k > 0; k--) {
            used += (size_t)snprintf(text[i] + used, 256 - used, "%s%s",
                                     used ? (below(2) ? ".*" : " ") : "",
                                     pieces[below(PIECES_N)].pattern);
        }
        if (fl_matcher_add(matcher, fl_str_of(text[i]), flags, &number, &at, NULL) != FL_OK) {
            text[i][0] = '\0'; /* two groups of one name */
            CHECK_EQ_INT(fl_matcher_add(matcher, fl_str_of("step"), flags, &number, &at, NULL),
                         FL_OK);
        }
    }
    CHECK_EQ_INT(fl_matcher_ready(matcher, NULL), FL_OK);
    return matcher;
}

static void made_sets(int rounds, long *matches_r, long *sure_r)
{
    static struct world w;
    *matches_r = *sure_r = 0;
    for (int round = 0; round < rounds && test_failures < 20; round++) {
        char patterns[SET_MAX][256];
        char lines[10][LINE_BYTES];
        size_t n = 0;
        int before = test_failures;
        struct fl_matcher *matcher =
            make_set(patterns, round % 2 ? FL_PATTERN_TRUSTED : 0, &n);
        begin_world(&w, matcher, NULL);
        while (w.pattern_n < n) {
            w.pattern[w.pattern_n] = (uint32_t)w.pattern_n;
            w.pattern_n++;
        }
        for (size_t i = 0; i < 10; i++) {
            size_t used = 0;
            for (unsigned k = below(8) + 1; k > 0; k--) {
                used += (size_t)snprintf(lines[i] + used, LINE_BYTES - used, "%s%s", used ? " " : "",
                                         pieces[below(PIECES_N)].text);
            }
        }
        for (int i = 0; i < 300; i++) {
            const char *line = lines[below(10)];
            add_line(&w, line, strlen(line), true);
        }
        end_batch(&w);
        for (size_t i = 0; i < n && test_failures != before; i++) {
            fprintf(stderr, "  pattern %s\n", patterns[i]);
        }
        *matches_r += w.matches;
        *sure_r += w.sure;
        end_world(&w);
        fl_matcher_free(matcher);
    }
}

TEST(made_patterns)
{
    long matches = 0;
    long sure = 0;
    made_sets(150, &matches, &sure);
    CHECK(matches > 20000 && sure > 5000);
    fprintf(stderr, "       %ld matches, %ld of them recalled\n", matches, sure);
}

TEST(made_patterns_without_vectorscan)
{
    long matches = 0;
    long sure = 0;
    setenv("FAULTLINE_NO_VECTORSCAN", "1", 1);
    setenv("FAULTLINE_NO_AVX2", "1", 1);
    made_sets(50, &matches, &sure);
    unsetenv("FAULTLINE_NO_VECTORSCAN");
    unsetenv("FAULTLINE_NO_AVX2");
    CHECK(matches > 10000 && sure > 1000);
}

/* "abcd" for a number: shapes that differ. */
static const char *letters(unsigned number, char out[8])
{
    size_t n = 0;
    do {
        out[n++] = (char)('a' + number % 26);
        number /= 26;
    } while (number);
    out[n] = '\0';
    return out;
}

static struct fl_matcher *some_patterns(struct world *w)
{
    static const char *const patterns[] = {"errno 110", "errno \\d+", "[0-4]\\d\\d ms", "\\d{3} ms",
                                           "\\bzz\\w* errno", "[a-f]+ took"};
    struct fl_matcher *matcher = NULL;
    CHECK_EQ_INT(fl_matcher_new(&matcher, NULL), FL_OK);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        size_t at = 0;
        CHECK_EQ_INT(fl_matcher_add(matcher, fl_str_of(patterns[i]), 0, &w->pattern[i], &at, NULL),
                     FL_OK);
    }
    CHECK_EQ_INT(fl_matcher_ready(matcher, NULL), FL_OK);
    return matcher;
}

static void add_numbered(struct world *w, unsigned number)
{
    char word[8];
    char text[80];
    int n = snprintf(text, sizeof text, "%s took %u ms, errno 110", letters(number, word),
                     100 + number % 900);
    add_line(w, text, (size_t)n, true);
}

/* from, to: numbers of lines; each comes `times` times. */
static void numbered_lines(struct world *w, unsigned from, unsigned to, int times)
{
    for (unsigned i = from; i < to; i++) {
        for (int k = 0; k < times; k++) {
            add_numbered(w, i);
        }
    }
    end_batch(w);
}

static void some_world(struct world *w, struct fl_matcher **matcher_r)
{
    struct world scratch;
    *matcher_r = some_patterns(&scratch);
    begin_world(w, *matcher_r, NULL);
    w->pattern_n = 6;
    memcpy(w->pattern, scratch.pattern, 6 * sizeof *scratch.pattern);
}

TEST(shapes_that_do_not_repeat)
{
    static struct world w;
    struct fl_matcher *matcher = NULL;
    some_world(&w, &matcher);
    numbered_lines(&w, 0, 9000, 1); /* to rest */
    CHECK_EQ_INT(w.sure, 0);
    numbered_lines(&w, 0, 50, 200); /* they repeat while it rests */
    CHECK_EQ_INT(w.sure, 0);
    numbered_lines(&w, 0, 50, 1500); /* and when it looks up again */
    CHECK(w.sure > 0);
    end_world(&w);
    fl_matcher_free(matcher);
}

TEST(more_shapes_than_the_table_holds)
{
    static struct world w;
    struct fl_matcher *matcher = NULL;
    some_world(&w, &matcher);
    numbered_lines(&w, 0, FL_SHAPES + FL_SHAPES / 4, 3);
    long recalled = w.sure;
    CHECK(recalled > FL_SHAPES);
    numbered_lines(&w, 0, 5000, 3); /* forgotten, and learned again */
    CHECK(w.sure > recalled);
    end_world(&w);
    fl_matcher_free(matcher);
}

/* Samples of the shipped rules, behind prefixes of launchers, over and over with other digits. */
static void sampled_log(struct world *w, int rounds, int lines)
{
    static const char *const prefixes[] = {
        "", "", "", "[rank3]: ", "[default7]:", "  3: ", "worker-1: ", "10.0.0.4: ",
        "[1,3]<stderr>:", "(RayTrainWorker pid=123, ip=10.0.0.3) ", "[pod/train-0/main] ",
        "2026-01-02T03:04:05.123456789Z stderr F ", "0: [rank5]: ", "2026-01-02 03:04:05,678 ",
    };
    enum { MOTIFS = 40 };
    for (int round = 0; round < rounds && test_failures < 20; round++) {
        char motif[MOTIFS][LINE_BYTES];
        size_t n[MOTIFS];
        for (size_t i = 0; i < MOTIFS;) {
            const struct fl_rule *rule = &w->set->rules[below(w->set->rules_n)];
            const struct fl_samples *samples = below(4) ? &rule->match : &rule->nomatch;
            struct fl_str text = {"", 0};
            if (samples->n) {
                text = samples->item[below((unsigned)samples->n)];
            }
            const char *prefix = prefixes[below(sizeof prefixes / sizeof *prefixes)];
            if (text.n && text.n < LINE_BYTES - 60 && !memchr(text.p, '\n', text.n)) {
                n[i] = strlen(prefix) + text.n;
                memcpy(motif[i], prefix, strlen(prefix));
                memcpy(motif[i] + strlen(prefix), text.p, text.n);
                i++;
            }
        }
        for (int i = 0; i < lines; i++) {
            size_t k = below(MOTIFS);
            add_line(w, motif[k], n[k], below(4));
        }
        end_batch(w);
    }
}

TEST(shipped_rules)
{
    static struct world w;
    struct fl_rulebook book;
    struct fl_rulebook slow;
    CHECK_EQ_INT(fl_rulebook_open(NULL, &book, NULL), FL_OK);
    setenv("FAULTLINE_NO_VECTORSCAN", "1", 1);
    CHECK_EQ_INT(fl_rulebook_open(NULL, &slow, NULL), FL_OK);
    unsetenv("FAULTLINE_NO_VECTORSCAN");
    begin_world(&w, slow.set->lines, slow.set);
    const struct fl_candidate *c = NULL;
    struct fl_str line = FL_LIT("x");
    size_t n = 0; /* it proposes whatever is proposed at all */
    CHECK_EQ_INT(fl_matcher_propose(w.plain, line, &c, &n), FL_OK);
    CHECK(n > 500 && slow.set->line_patterns_n < PATTERNS_MAX);
    static uint32_t all[PATTERNS_MAX];
    for (size_t i = 0; i < n && i < PATTERNS_MAX; i++) {
        all[w.pattern_n++] = c[i].pattern;
    }
    memcpy(w.pattern, all, sizeof all);
    sampled_log(&w, 1, 100);
    CHECK(w.sure == 0 && w.matches > 100);
    end_world(&w);
    begin_world(&w, book.set->lines, book.set);
    memcpy(w.pattern, all, sizeof all);
    w.pattern_n = n;
    sampled_log(&w, 6, 300);
    CHECK(w.matches > 1500 && w.sure > 500);
    fprintf(stderr, "       %ld lines, %zu patterns, %ld matches, %ld of them recalled\n", w.lines,
            n, w.matches, w.sure);
    end_world(&w);
    fl_rulebook_close(&slow);
    fl_rulebook_close(&book);
}

int main(void)
{
    dice = 90125;
    RUN(made_patterns);
    RUN(made_patterns_without_vectorscan);
    RUN(shapes_that_do_not_repeat);
    RUN(more_shapes_than_the_table_holds);
    RUN(shipped_rules);
    return test_result();
}
