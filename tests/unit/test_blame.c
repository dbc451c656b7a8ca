/* SPDX-License-Identifier: Apache-2.0 */
/* Where a pattern stops to match, on a table; and that any bytes are taken for a pattern. */
#include "tests/unit/test.h"

#include "rules/match/blame.h"

static const char *reach_of(const char *pattern, const char *text)
{
    static char told[512];
    struct fl_reach r;
    struct fl_err err = {0};
    if (fl_pattern_reach(fl_str_of(pattern), 0, fl_str_of(text), &r, &err) != FL_OK) {
        return "failed";
    }
    snprintf(told, sizeof told, "%.*s<%.*s>%.*s", (int)r.at, pattern, (int)r.piece, pattern + r.at,
             (int)(r.end - r.start), text + r.start);
    return told;
}

TEST(table)
{
    static const struct {
        const char *pattern, *text, *told; /* REACHED<PIECE>MATCHED */
    } cases[] = {
        {"pressure lost", "pressure held", "pressure <l>pressure "},
        {"pressure lost", "pressure lost", "pressure lost<>pressure lost"},
        {"bay (?<bay>\\d+) lost", "the bay 7 held", "bay (?<bay>\\d+) <l>bay 7 "},
        {"bay \\d{2,3} lost", "bay 7 lost", "bay <\\d{2,3}>bay "},
        {"bay [^]x[:digit:]]+ lost", "bay 7 lost", "bay <[^]x[:digit:]]+>bay "},
        {"^exit", "it will exit", "^<e>"},
        {"(?i)FATAL: out", "fatal: in", "(?i)FATAL: <o>fatal: "},
        {"zebra|widget held|wid", "widget lost", "zebra|widget <h>widget "},
        {"(?i)zebra|WIDGET held", "widget lost", "(?i)zebra|WIDGET <h>widget "},
        {"error: (?:code (?:a1|b22|c)|none)", "error: code b24", "error: (?:code (?:a1|b2<2>error: code b2"},
        {"error: (?:code a)+ x", "error: none", "error: <(?:code a)+>error: "},
        {"a\\Q(b\\E c", "a(b d", "a\\Q(b\\E <c>a(b "},
        {"a\\)\\x41{2}b", "a)AAc", "a\\)\\x41{2}<b>a)AA"},
        {"(?<!un)known (\\w+) \\1!", "known it so", "(?<!un)known (\\w+) <\\1>known it "},
        {"done$", "done!", "done<$>done"},
        {"x*y", "zzz", "x*<y>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_EQ_STR(reach_of(cases[i].pattern, cases[i].text), cases[i].told);
    }
}

TEST(any_bytes)
{
    static const char alphabet[] = "ab()[]|\\?*+{}1,:<>=!QEx^$-.PiR#";
    char pattern[40];
    unsigned long long state = 88172645463325252ULL;
    for (int round = 0; round < 4000; round++) {
        struct fl_reach r;
        struct fl_err err = {0};
        size_t n = 0;
        for (; n < sizeof pattern; n++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            pattern[n] = alphabet[state % (sizeof alphabet - 1)];
            if (state >> 58 == 0) {
                break;
            }
        }
        CHECK(fl_pattern_reach((struct fl_str){pattern, n}, 0, FL_LIT("ab(1 x"), &r, &err) == FL_OK);
        CHECK(r.at + r.piece <= n && r.start <= r.end && r.end <= 6);
    }
}

int main(void)
{
    RUN(table);
    RUN(any_bytes);
    return test_result();
}
