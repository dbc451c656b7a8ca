/* SPDX-License-Identifier: Apache-2.0 */
/* A blurred pattern matches whatever the given one would match with other digits in the same
 * places: shown for made patterns over made texts. */
#include "tests/unit/test.h"

#include "rules/match/blur.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

static uint64_t dice = 88172645463325252ULL;

static unsigned below(unsigned n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)(dice % n);
}

static const char *blurred(const char *pattern)
{
    static char text[256];
    struct fl_buf out;
    fl_buf_init(&out, sizeof text - 1);
    bool ok = fl_pattern_blur(fl_str_of(pattern), &out);
    snprintf(text, sizeof text, "%s", ok ? fl_buf_text(&out) : "none");
    fl_buf_free(&out);
    return text;
}

TEST(table)
{
    static const struct {
        const char *pattern;
        const char *blur;
    } cases[] = {
        {"step v2", "step v\\d"},
        {"a{2,3}b", "a{2,3}b"},
        {"{2", "{\\d"},
        {"[1-9]\\d*", "[0-91-9]\\d*"},
        {"[^0]x", "(?:[^0-90]|\\d)x"},
        {"[a-z]+[^\\n]{0,9}", "[a-z]+[^\\n]{0,9}"},
        {"(?<step>\\d+)", "(?:\\d+)"},
        {"a(?!0)b", "a(?:)b"},
        {"(?<!\\(1)b", "(?:)b"},
        {"(?>a5)b++c*+", "(?:a\\d)b+c*"},
        {"(?i:ab?)|7", "(?i:ab?)|\\d"},
        {"(a)\\1", "none"},
        {"\\x37", "none"},
        {"(?R)", "none"},
        {"(?(1)a|b)", "none"},
        {"[]1]", "none"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_EQ_STR(blurred(cases[i].pattern), cases[i].blur);
    }
}

static void make(struct fl_buf *out, int depth)
{
    static const char *const atoms[] = {
        "a", "b", "1", "7", "\\d", "\\w", ".", "[1-3]", "[^2]", "[a1]", "[^a-b5-9]", "\\D", "a1",
        "[[:digit:]a]", "[\\d_]", "\\b", "^", "$"};
    static const char *const counts[] = {"", "", "", "?", "*", "+", "{2}", "{1,2}", "*+", "++",
                                         "??", "+?"};
    static const char *const heads[] = {"(", "(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?<n>"};
    for (unsigned i = 0, n = 1 + below(4); i < n; i++) {
        if (depth < 2 && below(5) == 0) {
            const char *head = heads[below(sizeof heads / sizeof *heads)];
            fl_buf_add_text(out, depth == 0 || strcmp(head, "(?<n>") != 0 ? head : "(?:");
            make(out, depth + 1);
            if (below(3) == 0) {
                fl_buf_add_text(out, "|");
                make(out, depth + 1);
            }
            fl_buf_add_text(out, ")");
        } else {
            fl_buf_add_text(out, atoms[below(sizeof atoms / sizeof *atoms)]);
        }
        fl_buf_add_text(out, counts[below(sizeof counts / sizeof *counts)]);
    }
}

static pcre2_code *compile(struct fl_str pattern)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    return pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, 0, &number, &at, NULL);
}

static bool matches(const pcre2_code *code, pcre2_match_data *data, const char *text, size_t n)
{
    return pcre2_match(code, (PCRE2_SPTR)text, n, 0, 0, data, NULL) >= 0;
}

/* How often the pattern said yes to a text while the blurred one was asked about its sibling. */
static long compare(const pcre2_code *code, const pcre2_code *blur, pcre2_match_data *data,
                    const char *pattern)
{
    long asked = 0;
    for (int i = 0; i < 60; i++) {
        char text[12];
        char sibling[12];
        size_t n = below(sizeof text);
        for (size_t k = 0; k < n; k++) {
            text[k] = "ab_0123456789 "[below(14)];
            sibling[k] = fl_is_digit(text[k]) ? (char)('0' + below(10)) : text[k];
        }
        if (matches(code, data, text, n)) {
            asked++;
            CHECK(matches(blur, data, sibling, n));
            if (test_failures) {
                fprintf(stderr, "  pattern %s, text %.*s, sibling %.*s\n", pattern, (int)n, text,
                        (int)n, sibling);
                return asked;
            }
        }
    }
    return asked;
}

TEST(asks_less)
{
    pcre2_match_data *data = pcre2_match_data_create(16, NULL);
    long asked = 0;
    long patterns = 0;
    for (int i = 0; i < 20000 && test_failures == 0; i++) {
        struct fl_buf pattern;
        struct fl_buf blur;
        fl_buf_init(&pattern, 4096);
        fl_buf_init(&blur, 8192);
        make(&pattern, 0);
        pcre2_code *code = compile(fl_buf_str(&pattern));
        if (code && fl_pattern_blur(fl_buf_str(&pattern), &blur)) {
            pcre2_code *other = compile(fl_buf_str(&blur));
            CHECK(other != NULL);
            if (!other) {
                fprintf(stderr, "  pattern %s, blurred %s\n", fl_buf_text(&pattern),
                        fl_buf_text(&blur));
            }
            if (other) {
                patterns++;
                asked += compare(code, other, data, fl_buf_text(&pattern));
            }
            pcre2_code_free(other);
        }
        pcre2_code_free(code);
        fl_buf_free(&pattern);
        fl_buf_free(&blur);
    }
    CHECK(patterns > 5000 && asked > 50000);
    pcre2_match_data_free(data);
}

int main(void)
{
    RUN(table);
    RUN(asks_less);
    return test_result();
}
