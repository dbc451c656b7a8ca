/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "rules/match/matcher.h"

#include <time.h>

enum { LINES_MAX = 64 };

struct setup {
    struct fl_matcher *matcher;
    struct fl_match_work *work;
};

static struct setup build(const char *const *patterns, size_t n, unsigned flags)
{
    struct setup s = {NULL, NULL};
    CHECK_EQ_INT(fl_matcher_new(&s.matcher, NULL), FL_OK);
    for (size_t i = 0; i < n; i++) {
        struct fl_err err = {0};
        uint32_t number = 0;
        size_t at = 0;
        CHECK_EQ_INT(fl_matcher_add(s.matcher, fl_str_of(patterns[i]), flags, &number, &at, &err),
                     FL_OK);
        CHECK_EQ_STR(err.msg, "");
        CHECK_EQ_INT(number, (long long)i);
    }
    CHECK_EQ_INT(fl_matcher_ready(s.matcher, NULL), FL_OK);
    CHECK_EQ_INT(fl_match_work_new(s.matcher, &s.work, NULL), FL_OK);
    return s;
}

static void end(struct setup *s)
{
    fl_match_work_free(s->work);
    fl_matcher_free(s->matcher);
}

/* The proposed pairs as "line:pattern ". */
static const char *proposed(const struct setup *s, const char *text)
{
    static char out[4096];
    struct fl_str lines[LINES_MAX];
    size_t lines_n = 0;
    size_t used = 0;
    const char *p = text;
    while (lines_n < LINES_MAX) {
        size_t len = strcspn(p, "\n");
        lines[lines_n++] = (struct fl_str){p, len};
        if (!p[len]) {
            break;
        }
        p += len + 1;
    }
    CHECK_EQ_INT(fl_matcher_batch(s->work, lines, lines_n), FL_OK);
    out[0] = '\0';
    for (size_t line = 0; line < lines_n; line++) {
        const struct fl_candidate *c = NULL;
        size_t n = 0;
        CHECK_EQ_INT(fl_matcher_line(s->work, line, &c, &n), FL_OK);
        for (size_t i = 0; i < n && used < sizeof out; i++) {
            used += (size_t)snprintf(out + used, sizeof out - used, "%zu:%u ", line, c[i].pattern);
        }
    }
    return out;
}

static const char *const some[] = {"out of memory", "step \\d+", "(?i)killed", "[ab]+"};

TEST(proposes_by_literal)
{
    struct setup s = build(some, 4, 0);
    CHECK_EQ_STR(proposed(&s, "nothing\nCUDA out of memory\nstep 4\nKILLED\n"),
                 "0:3 1:0 1:3 2:1 2:3 3:2 3:3 4:3 ");
    CHECK_EQ_STR(proposed(&s, "step 1\nstep 2"), "0:1 0:3 1:1 1:3 "); /* nothing is remembered */
    CHECK_EQ_STR(proposed(&s, "step step step"), "0:1 0:3 ");
    CHECK_EQ_STR(proposed(&s, ""), "0:3 ");
    CHECK(!fl_matcher_lacks_literal(s.matcher, 0));
    CHECK(fl_matcher_lacks_literal(s.matcher, 3));
    end(&s);
}

TEST(literals_do_not_span_lines)
{
    struct setup s = build(some, 3, 0);
    CHECK_EQ_STR(proposed(&s, "out of\nmemory\nout of mem\nory"), "");
    end(&s);
}

TEST(silent_ones_are_only_tried)
{
    struct setup s = build(some, 3, FL_PATTERN_SILENT);
    CHECK_EQ_STR(proposed(&s, "out of memory step 4 killed"), "");
    CHECK_EQ_INT(fl_matcher_try(s.work, 0, FL_LIT("out of memory"), NULL), FL_MATCH_YES);
    end(&s);
}

TEST(gives_captures)
{
    static const char *const pattern[] = {"step (?<step>\\d+)(?: loss (?<loss>\\S+))?"};
    struct setup s = build(pattern, 1, 0);
    struct fl_captures c;
    struct fl_str text = FL_LIT("at step 40 loss nan");
    CHECK_EQ_INT(fl_matcher_try(s.work, 0, text, &c), FL_MATCH_YES);
    CHECK_EQ_INT((long long)c.start, 3);
    CHECK_EQ_INT((long long)c.end, (long long)text.n);
    int found = 0;
    for (size_t i = 0; i < c.n; i++) {
        found += strcmp(c.item[i].name, "step") == 0 && fl_str_eq(c.item[i].text, FL_LIT("40"));
        found += strcmp(c.item[i].name, "loss") == 0 && fl_str_eq(c.item[i].text, FL_LIT("nan"));
    }
    CHECK_EQ_INT(found, 2);
    CHECK_EQ_INT(fl_matcher_try(s.work, 0, FL_LIT("step 7"), &c), FL_MATCH_YES);
    for (size_t i = 0; i < c.n; i++) {
        CHECK(strcmp(c.item[i].name, "loss") != 0 || c.item[i].text.n == 0);
    }
    CHECK_EQ_INT(fl_matcher_try(s.work, 0, FL_LIT("none"), &c), FL_MATCH_NO);
    end(&s);
}

TEST(bytes_are_bytes)
{
    static const char *const pattern[] = {"caf. noir", "line\\z"};
    struct setup s = build(pattern, 2, 0);
    CHECK_EQ_INT(fl_matcher_try(s.work, 0, FL_LIT("caf\xe9 noir"), NULL), FL_MATCH_YES);
    CHECK_EQ_INT(fl_matcher_try(s.work, 0, FL_LIT("caf\0 noir"), NULL), FL_MATCH_YES);
    CHECK_EQ_INT(fl_matcher_try(s.work, 1, FL_LIT(""), NULL), FL_MATCH_NO);
    CHECK_EQ_INT(fl_matcher_try(s.work, 1, (struct fl_str){NULL, 0}, NULL), FL_MATCH_NO);
    end(&s);
}

TEST(inner_lines)
{
    static const char *const pattern[] = {"^ValueError: x$"};
    struct fl_str text = FL_LIT("Traceback\nValueError: x\nmore");
    struct setup lines = build(pattern, 1, FL_PATTERN_LINES);
    struct setup plain = build(pattern, 1, 0);
    CHECK_EQ_INT(fl_matcher_try(lines.work, 0, text, NULL), FL_MATCH_YES);
    CHECK_EQ_INT(fl_matcher_try(plain.work, 0, text, NULL), FL_MATCH_NO);
    end(&lines);
    end(&plain);
}

TEST(refuses_bad_patterns)
{
    struct fl_matcher *m = NULL;
    uint32_t number = 0;
    size_t at = 0;
    char *wide = malloc(FL_PATTERN_BYTES + 1);
    CHECK_EQ_INT(fl_matcher_new(&m, NULL), FL_OK);
    if (!m || !wide) {
        abort();
    }
    static const struct {
        const char *pattern;
        int status;
        const char *says;
    } bad[] = {
        {"abc(def", FL_SYNTAX, "parenthes"},
        {"a\\Cb", FL_SYNTAX, "\\C"},
        {"(*UTF)abc", FL_SYNTAX, "UTF"},
        {"(?:[a-f]x){3000}", FL_SYNTAX, "too large"},
        {"(?:(?:[a-f]x){900}){900}", FL_SYNTAX, "too large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fl_err err = {0};
        enum fl_status got =
            fl_matcher_add(m, fl_str_of(bad[i].pattern), 0, &number, &at, &err);
        CHECK((int)got == bad[i].status);
        CHECK_HAS(err.msg, bad[i].says);
    }
    memset(wide, 'a', FL_PATTERN_BYTES + 1);
    struct fl_err err = {0};
    CHECK_EQ_INT(fl_matcher_add(m, (struct fl_str){wide, FL_PATTERN_BYTES + 1}, 0, &number, &at,
                                &err),
                 FL_LIMIT);
    CHECK_EQ_INT(fl_matcher_add(m, FL_LIT("abc(def)ghi"), 0, &number, &at, NULL), FL_OK);
    CHECK_EQ_INT(number, 0);
    fl_matcher_free(m);
    fl_matcher_free(NULL);
    free(wide);
}

/* A pattern that would take for ever ends with an error, in milliseconds, and the next text is
 * matched as before. */
TEST(limits_runaways)
{
    static const char *const pattern[] = {"(?:(?:a+)+)+c!", "(?:\\w+\\s?)+:end!"};
    static char text[60 * 1024];
    struct setup s = build(pattern, 2, 0);
    struct timespec from;
    struct timespec to;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '!'; /* else PCRE2 sees at once that it is not there */
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ_INT(fl_matcher_try(s.work, i, (struct fl_str){text, sizeof text}, NULL),
                     FL_MATCH_ERROR);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    CHECK(seconds < 1.0);
    CHECK_EQ_INT(fl_matcher_try(s.work, 0, FL_LIT("aaac!"), NULL), FL_MATCH_YES);
    end(&s);
}

/* What vectorscan proposes and what its absence proposes lead to the same matches. */
TEST(same_answers_without_vectorscan)
{
    static const char text[] = "step 1\nCUDA out of memory\n\nkILLed out of memory step 77 aab\nzz";
    char with[2048] = "";
    for (int round = 0; round < 2; round++) {
        if (round == 1) {
            setenv("FAULTLINE_NO_VECTORSCAN", "1", 1);
        }
        struct setup s = build(some, 4, 0);
        struct fl_str lines[LINES_MAX];
        char got[2048] = "";
        size_t used = 0;
        size_t lines_n = 0;
        for (const char *p = text; lines_n < 5; p += lines[lines_n++].n + 1) {
            lines[lines_n] = (struct fl_str){p, strcspn(p, "\n")};
        }
        CHECK_EQ_INT(fl_matcher_batch(s.work, lines, lines_n), FL_OK);
        for (size_t line = 0; line < lines_n; line++) {
            const struct fl_candidate *c = NULL;
            size_t n = 0;
            CHECK_EQ_INT(fl_matcher_line(s.work, line, &c, &n), FL_OK);
            for (size_t i = 0; i < n; i++) {
                if (fl_matcher_try(s.work, c[i].pattern, lines[line], NULL) == FL_MATCH_YES) {
                    used += (size_t)snprintf(got + used, sizeof got - used, "%zu:%u ", line,
                                             c[i].pattern);
                }
            }
        }
        if (round == 0) {
            memcpy(with, got, sizeof with);
            CHECK_EQ_STR(with, "0:1 1:0 3:0 3:1 3:2 3:3 ");
        } else {
            CHECK_EQ_STR(got, with);
        }
        end(&s);
    }
    unsetenv("FAULTLINE_NO_VECTORSCAN");
}

/* Trusted patterns are compiled late and translated later; the answer is the same from the first
 * try to the last, at the limits too. (The interpreter gives up on the second and third text, for
 * its limits of steps and of depth, where translated code does not.) */
TEST(late_ones_answer_alike)
{
    static const char *const patterns[] = {"(?:\\w|-)+ (?<what>\\w+) end", "^(?:(?:ab)|c)+!$",
                                           "x[^y]*y[^z]*z", "(?:\\w+\\s?)+:end!"};
    static char texts[4][3000];
    snprintf(texts[0], sizeof texts[0], "some-word other end");
    for (size_t i = 1; i < 4; i++) {
        memset(texts[i], i == 1 ? 'c' : i == 2 ? 'x' : 'a', sizeof texts[i] - 1);
        texts[i][sizeof texts[i] - 2] = '!';
    }
    struct setup sure = build(patterns, 4, 0);
    struct setup late = build(patterns, 4, FL_PATTERN_TRUSTED);
    for (uint32_t p = 0; p < 4; p++) {
        for (size_t t = 0; t < 4; t++) {
            struct setup fresh = build(patterns, 4, FL_PATTERN_TRUSTED);
            struct fl_str text = fl_str_of(texts[t]);
            struct fl_captures want = {.n = 0};
            struct fl_captures first = {.n = 0};
            enum fl_match answer = fl_matcher_try(sure.work, p, text, &want);
            CHECK_EQ_INT(fl_matcher_try(fresh.work, p, text, &first), answer);
            CHECK_EQ_INT(first.n, (long long)want.n);
            CHECK(want.n == 0 || fl_str_eq(first.item[0].text, want.item[0].text));
            for (int i = 0; i < 40; i++) {
                CHECK_EQ_INT(fl_matcher_try(late.work, p, text, NULL), answer);
            }
            end(&fresh);
        }
    }
    CHECK_EQ_INT(fl_matcher_try(late.work, 1, fl_str_of(texts[1]), NULL),
                 FL_MATCH_YES);
    end(&sure);
    end(&late);
}

/* A bad pattern that nobody checked cannot tell, and harms no other. */
TEST(what_was_checked_is_known)
{
    static struct fl_checked checked;
    struct fl_pattern one = {FL_LIT("loss \\d+"), 0};
    struct fl_pattern other = {FL_LIT("loss \\d*"), 0};
    struct fl_pattern lines = {one.text, FL_PATTERN_LINES};
    struct fl_pattern silent = {one.text, FL_PATTERN_SILENT};
    CHECK(!fl_checked_has(&checked, &one));
    fl_checked_put(&checked, &one);
    CHECK(fl_checked_has(&checked, &one) && fl_checked_has(&checked, &silent));
    CHECK(!fl_checked_has(&checked, &other) && !fl_checked_has(&checked, &lines));
}

TEST(trusted_but_bad)
{
    static const char *const patterns[] = {"un(closed", "closed"};
    struct setup s = build(patterns, 2, FL_PATTERN_TRUSTED);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ_INT(fl_matcher_try(s.work, 0, FL_LIT("unclosed"), NULL),
                     FL_MATCH_ERROR);
        CHECK_EQ_INT(fl_matcher_try(s.work, 1, FL_LIT("unclosed"), NULL), FL_MATCH_YES);
    }
    end(&s);
}

int main(void)
{
    RUN(proposes_by_literal);
    RUN(literals_do_not_span_lines);
    RUN(silent_ones_are_only_tried);
    RUN(gives_captures);
    RUN(bytes_are_bytes);
    RUN(inner_lines);
    RUN(refuses_bad_patterns);
    RUN(limits_runaways);
    RUN(same_answers_without_vectorscan);
    RUN(late_ones_answer_alike);
    RUN(what_was_checked_is_known);
    RUN(trusted_but_bad);
    return test_result();
}
