/* SPDX-License-Identifier: Apache-2.0 */
/* The one thing that must hold: a text that a pattern matches holds one of its literals. Tried on a
 * table, on made patterns, and (in test_matcher) on what the scanner proposes. */
#include "tests/unit/dice.h"
#include "tests/unit/test.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "rules/match/literals.h"
#include "service/base/buf.h"

/* "a|b" for the set {a, b}; caseless ones as i:a. */
static const char *set_of(const char *pattern)
{
    static char text[2048];
    struct fl_literals set;
    size_t n = 0;
    text[0] = '\0';
    fl_literals_of(fl_str_of(pattern), NULL, &set);
    for (size_t i = 0; i < set.n && n < sizeof text; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%.*s", i ? "|" : "",
                              set.item[i].caseless ? "i:" : "", set.item[i].n, set.item[i].bytes);
    }
    return text;
}

TEST(table)
{
    static const struct {
        const char *pattern, *set;
    } cases[] = {
        {"CUDA out of memory", "CUDA out of memory"},
        {"^Killed$", "Killed"},
        {"foobar\\d+baz", "foobar"},
        {"x\\.so: cannot", "x.so: cannot"},
        {"(?:alpha|beta)", "alpha|beta"},
        {"(?:alpha|b)", ""},
        {"(?:alpha|beta)?", ""},
        {"(?:alpha)*", ""},
        {"(?:alpha)+", "alpha"},
        {"(?:alpha){0,3}", ""},
        {"(?:alpha){2}", "alpha"},
        {"(?<name>gamma)", "gamma"},
        {"(?!gamma)..", ""},
        {"(?=gamma)..", ""},
        {"(?<!gamma)..", ""},
        {"(?i)Gamma", "i:Gamma"},
        {"(?i:Gamma)", "i:Gamma"},
        {"(?:(?i)Gam)delta", "delta"},
        {"abcd?", "abc"},
        {"abcd*ef", "abc"},
        {"abcd+ef", "abcd"},
        {"a{3}bcd", "bcd"},
        {"abc{0}", ""},
        {"abc{2}{3}", "abc"},
        {"(?:abcd){2}{0}", ""},
        {"abcd{2,3,4}efg", "abcd{0,0,0}efg"},
        {"(?:abc{1d|efgh){0}", ""},
        {"abc{,2}", ""}, /* text or quantifier: releases of PCRE2 differ */
        {"ab", ""},
        {"", ""},
        {"[abc]def", "def"},
        {"[]abc]def", "def"},
        {"[^]x]def", "def"},
        {"[[:alpha:]]def", "def"},
        {"\\[rank\\d", "[rank"},
        {"one.two2", "two0"}, /* digits are all one */
        {"12:34 four5678", "00:00 four0000"},
        {"Xid \\d+: 79,", "Xid "},
        {"s3://", "s0://"},
        {"507054", "000000"},
        {"(?i)Fp16", "i:Fp00"},
        {"(?:e42|long)", "e00|long"},
        {"(?:e42|long) tail", " tail"},
        {"(?:12ab|34cd)", "00ab|00cd"},
        {"a\\.1b", "a.0b"},
        {"9+123", "000"},
        {"first|second", "first|second"},
        {"first|", ""},
        {"\\Qabc\\E", ""},
        {"\\x41bcd", ""},
        {"(?x)a b c d", ""},
        {"(*UTF)abcd", ""},
        {"(abcd)\\1", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int before = test_failures;
        CHECK_EQ_STR(set_of(cases[i].pattern), cases[i].set);
        if (test_failures != before) {
            fprintf(stderr, "  pattern %s\n", cases[i].pattern);
        }
    }
}

TEST(survives_broken_patterns)
{
    static const char *const broken[] = {"(", "(?", "(?<", "(?<n", "[", "[^", "[]", "[[:", "\\",
                                         "a{", "a{2", "abcd{2", "(?'", "(?P", "(?P<x", "(?i", "a|",
                                         "))", "(*", "(?<=", "((((((((((((((((abcd", "a{,", "[a\\"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        size_t n = strlen(broken[i]);
        char *copy = malloc(n); /* exactly as long, so that ASan sees a step too far */
        if (!copy) {
            abort();
        }
        memcpy(copy, broken[i], n);
        struct fl_literals set;
        fl_literals_of((struct fl_str){copy, n}, NULL, &set);
        CHECK(set.n <= FL_LITERALS_MAX);
        free(copy);
    }
}

TEST(prefers_what_is_rare)
{
    static struct fl_grams grams;
    struct fl_literals set;
    for (int i = 0; i < 1000; i++) {
        fl_grams_add(&grams, FL_LIT("iteration 40 elapsed time per step"));
    }
    fl_literals_of(FL_LIT("iteration \\d+ zebra"), &grams, &set);
    CHECK_EQ_INT((long long)set.n, 1);
    CHECK(set.n && memmem(set.item[0].bytes, set.item[0].n, "zebra", 5));
}

/* ---- made patterns against PCRE2 ---- */

static void make(struct fl_buf *out, int depth)
{
    static const char *const quantifiers[] = {"?", "*", "+", "{2}", "{0,2}", "{1,2}", "+?", "*+",
                                              "{0}", "{,2}", "{2,}", "{2}{0,1}", "+{2}", "{ 1}",
                                              "{1", "{1,2,1}"};
    static const char *const odd[] = {".",      "\\d", "[ab]",  "[^a]", "\\w", "^",       "$",
                                      "\\.",    "\\b", "(?i)",  "\\[",  "{",   "(?=a)",   "(?!b)",
                                      "(?<=a)", "}",   "[a\\]]", "]",   "\\t", "(?-i)",   "\\("};
    unsigned parts = below(5) + 1;
    for (unsigned i = 0; i < parts; i++) {
        unsigned kind = below(10);
        if (kind < 5) {
            for (unsigned k = below(5) + 1; k > 0; k--) {
                fl_buf_addf(out, "%c", "abAB12"[below(6)]);
            }
        } else if (kind < 7) {
            fl_buf_add_text(out, odd[below(sizeof odd / sizeof *odd)]);
        } else if (depth < 3) {
            static const char *const heads[] = {"(", "(?:", "(?<x>", "(?i:", "(?>", "(?s)(", "(?m:"};
            fl_buf_add_text(out, depth ? heads[below(2)] : heads[below(7)]);
            make(out, depth + 1);
            for (unsigned k = below(3); k > 0; k--) {
                fl_buf_add_text(out, "|");
                make(out, depth + 1);
            }
            fl_buf_add_text(out, ")");
        }
        if (below(4) == 0) {
            fl_buf_add_text(out, quantifiers[below(sizeof quantifiers / sizeof *quantifiers)]);
        }
    }
}

/* As literals are looked for: a digit is '0'. */
static char plain(char c)
{
    return fl_is_digit(c) ? '0' : c;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : plain(c);
}

static bool holds(struct fl_str text, const struct fl_literal *lit)
{
    for (size_t i = 0; i + lit->n <= text.n; i++) {
        size_t k = 0;
        while (k < lit->n && (lit->caseless ? lower(text.p[i + k]) == lower(lit->bytes[k])
                                            : plain(text.p[i + k]) == lit->bytes[k])) {
            k++;
        }
        if (k == lit->n) {
            return true;
        }
    }
    return false;
}

/* True when a match was seen. */
static bool try_subjects(pcre2_code *code, pcre2_match_data *data, struct fl_str pattern,
                         const struct fl_literals *set)
{
    bool matched = false;
    for (int i = 0; i < 40; i++) {
        char text[24];
        size_t n = below(sizeof text);
        for (size_t k = 0; k < n; k++) {
            text[k] = "aabbABAB.[{12"[below(13)];
        }
        struct fl_str subject = {text, n};
        if (pcre2_match(code, (PCRE2_SPTR)text, n, 0, 0, data, NULL) < 0) {
            continue;
        }
        matched = true;
        bool found = false;
        for (size_t k = 0; k < set->n && !found; k++) {
            found = holds(subject, &set->item[k]);
        }
        CHECK(found);
        if (!found) {
            fprintf(stderr, "  pattern %.*s, text %.*s, set %s\n", (int)pattern.n, pattern.p, (int)n,
                    text, set_of(pattern.p));
            return matched;
        }
    }
    return matched;
}

TEST(every_match_holds_a_literal)
{
    pcre2_match_data *data = pcre2_match_data_create(32, NULL);
    struct fl_buf pattern;
    long with_set = 0;
    long matched = 0;
    int before = test_failures;
    fl_buf_init(&pattern, 1 << 16);
    for (int i = 0; i < 40000 && test_failures == before; i++) {
        struct fl_literals set;
        int number = 0;
        PCRE2_SIZE at = 0;
        fl_buf_clear(&pattern);
        make(&pattern, 0);
        fl_buf_add(&pattern, "", 0);
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)fl_buf_text(&pattern), pattern.n, 0, &number,
                                         &at, NULL);
        fl_literals_of(fl_buf_str(&pattern), NULL, &set);
        if (code && set.n) {
            bool matches = try_subjects(code, data, fl_buf_str(&pattern), &set);
            with_set++;
            matched += matches;
        }
        pcre2_code_free(code);
    }
    CHECK(with_set > 2000 && matched > 500);
    fprintf(stderr, "       %ld patterns with literals, %ld of them matched something\n", with_set,
            matched);
    fl_buf_free(&pattern);
    pcre2_match_data_free(data);
}

int main(void)
{
    dice = 20310402;
    RUN(table);
    RUN(prefers_what_is_rare);
    RUN(every_match_holds_a_literal);
    RUN(survives_broken_patterns);
    return test_result();
}
