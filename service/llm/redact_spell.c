/* SPDX-License-Identifier: Apache-2.0 */
/* How a character may be spelled in a log: by a URL, by JSON in JSON, by HTML, by a terminal. */
#include "service/llm/redact_match.h"

static bool hex_value(struct fl_str s, size_t n, unsigned *value_r)
{
    *value_r = 0;
    for (size_t i = 0; i < n; i++) {
        if (i >= s.n || !is_hex(s.p[i])) {
            return false;
        }
        unsigned c = (unsigned char)s.p[i];
        *value_r = *value_r * 16 + (c <= '9' ? c - '0' : (c | 0x20U) - 'a' + 10);
    }
    return true;
}

static size_t as_char(unsigned value, size_t n, struct fl_str s, char *c_r)
{
    if (value > '~') {
        *c_r = *s.p;
        return 1;
    }
    *c_r = value < ' ' ? '\n' : (char)value;
    return n;
}

/* %3D, and %253D where a URL stands in another one. */
static size_t percent(struct fl_str s, char *c_r)
{
    size_t n = 1;
    unsigned value = 0;
    while (fl_str_starts(fl_str_skip(s, n), FL_LIT("25"))) {
        n += 2;
    }
    if (hex_value(fl_str_skip(s, n), 2, &value)) {
        return as_char(value, n + 2, s, c_r);
    }
    *c_r = '%';
    return n;
}

/* \u003d, \x3d, \n, \" and \/; each level of quoting doubles the backslashes. */
static size_t backslash(struct fl_str s, char *c_r)
{
    size_t n = 0;
    unsigned value = 0;
    while (n < s.n && n < 8 && s.p[n] == '\\') {
        n++;
    }
    char c = n < s.n ? s.p[n] : '\0';
    struct fl_str tail = fl_str_skip(s, n + (n < s.n));
    if (c == 'u' && hex_value(tail, 4, &value)) {
        return as_char(value, n + 5, s, c_r);
    }
    if (c == 'x' && hex_value(tail, 2, &value)) {
        return as_char(value, n + 3, s, c_r);
    }
    if (c == 'n' || c == 'r' || c == 't') {
        *c_r = '\n';
        return n + 1;
    }
    if (is_quote(c) || c == '/') {
        *c_r = c;
        return n + 1;
    }
    *c_r = '\\';
    return 1;
}

static size_t entity(struct fl_str s, char *c_r)
{
    static const struct {
        const char *text;
        char c;
    } entities[] = {{"&quot;", '"'}, {"&#34;", '"'}, {"&apos;", '\''}, {"&#39;", '\''},
                    {"&#x27;", '\''}, {"&amp;", '&'}, {"&#61;", '='}, {"&#x3D;", '='}};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        if (starts_fold(s, entities[i].text)) {
            *c_r = entities[i].c;
            return strlen(entities[i].text);
        }
    }
    *c_r = '&';
    return 1;
}

size_t fl_redact_spelled(struct fl_str s, char *c_r)
{
    return *s.p == '%'    ? percent(s, c_r)
           : *s.p == '\\' ? backslash(s, c_r)
                          : entity(s, c_r);
}

/* ---- terminals ---- */

/* Parameters and the final letter of a sequence (ECMA-48), 0 when it is none. */
static size_t csi(struct fl_str s)
{
    size_t n = 1;
    if (s.n == 0 || *s.p != '[') {
        return 0;
    }
    while (n < s.n && n < 64 && s.p[n] >= ' ' && s.p[n] <= '?') {
        n++;
    }
    return n < s.n && s.p[n] >= '@' && s.p[n] <= '~' ? n + 1 : 0;
}

static size_t osc(struct fl_str s)
{
    size_t n = 1;
    if (s.n == 0 || *s.p != ']') {
        return 0;
    }
    while (n < s.n && s.p[n] != '\a' && s.p[n] != '\x1b') {
        n++;
    }
    if (n == s.n) {
        return 0;
    }
    return fl_str_starts(fl_str_skip(s, n), FL_LIT("\x1b\\")) ? n + 2 : n + 1;
}

size_t fl_redact_colour(struct fl_str s)
{
    static const char *const written[] = {"\\u001b", "\\x1b", "\\033", "\\e", "^["};
    if (*s.p == '\x1b') {
        struct fl_str tail = fl_str_skip(s, 1);
        size_t n = csi(tail);
        return 1 + (n ? n : osc(tail));
    }
    for (size_t i = 0; (*s.p == '\\' || *s.p == '^') && i < sizeof written / sizeof *written; i++) {
        size_t head = strlen(written[i]);
        if (starts_fold(s, written[i])) {
            size_t n = csi(fl_str_skip(s, head));
            return n && fl_is_alpha(s.p[head + n - 1]) ? head + n : 0;
        }
    }
    return 0;
}
