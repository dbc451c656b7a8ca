/* SPDX-License-Identifier: Apache-2.0 */
/* A digit becomes \d, a class that holds some digits becomes that class or \d. What forbids
 * (negative look-around) is left out, and what never gives back (atomic groups, possessive
 * quantifiers) is made to give back: with either, asking less inside would ask more in all. */
#include "rules/match/blur.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct reader {
    const char *p;
    const char *end;
    struct fl_buf *out;
    bool lost; /* met something it does not know */
};

static void put(struct reader *r, const char *from, const char *to)
{
    fl_buf_add(r->out, from, (size_t)(to - from));
}

static bool is_known_escape(char c)
{
    return !fl_is_alpha(c) || (c && strchr("dDwWsSbBAzZhHvVRtnrfae", c));
}

/* From '[' on; the end is behind the closing bracket. */
static const char *class_end(struct reader *r)
{
    const char *p = r->p + 1;
    p += p < r->end && *p == '^';
    for (bool first = true; p < r->end && (first || *p != ']'); first = false) {
        if (*p == '[' && p + 1 < r->end && (p[1] == ':' || p[1] == '.' || p[1] == '=')) {
            char close[2] = {p[1], ']'};
            const char *q = memmem(p + 2, (size_t)(r->end - p - 2), close, 2);
            if (p[1] != ':' || !q) {
                r->lost = true;
                return r->end;
            }
            p = q + 2;
        } else if (*p == '\\') {
            char c = p + 1 < r->end ? p[1] : '\0';
            r->lost |= c == '\0' || fl_is_digit(c) || !is_known_escape(c);
            p += p + 1 < r->end ? 2 : 1;
        } else {
            p++;
        }
    }
    r->lost |= p >= r->end;
    return p < r->end ? p + 1 : r->end;
}

/* How many of the ten digits a class holds; PCRE2 itself says so. */
static int digits_of(struct fl_str class)
{
    int error = 0;
    int n = 0;
    PCRE2_SIZE at = 0;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)class.p, class.n, PCRE2_NEVER_UTF, &error, &at, NULL);
    pcre2_match_data *data = code ? pcre2_match_data_create(1, NULL) : NULL;
    for (char digit = '0'; data && digit <= '9'; digit++) {
        n += pcre2_match(code, (PCRE2_SPTR)&digit, 1, 0, 0, data, NULL) >= 0;
    }
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    return data ? n : -1;
}

/* All digits are let in; by one way only, or matching would try each digit twice. */
static void take_class(struct reader *r)
{
    const char *end = class_end(r);
    int digits = r->lost ? -1 : digits_of((struct fl_str){r->p, (size_t)(end - r->p)});
    bool negated = r->p + 1 < end && r->p[1] == '^';
    const char *inside = r->p + 1 + negated;
    r->lost |= digits < 0 || *inside == ']';
    if (digits == 0 || digits == 10) {
        put(r, r->p, end);
    } else if (negated) {
        fl_buf_add_text(r->out, "(?:[^0-9");
        put(r, inside, end);
        fl_buf_add_text(r->out, "|\\d)");
    } else {
        fl_buf_add_text(r->out, "[0-9");
        put(r, inside, end);
    }
    r->p = end;
}

/* From '(' on: the end of the group, behind its ')'. */
static const char *group_end(struct reader *r)
{
    struct reader inner = *r;
    long depth = 0;
    while (inner.p < inner.end && !inner.lost) {
        char c = *inner.p;
        if (c == '\\') {
            inner.p += inner.p + 1 < inner.end ? 2 : 1;
            continue;
        }
        if (c == '[') {
            inner.p = class_end(&inner);
            continue;
        }
        depth += (c == '(') - (c == ')');
        inner.p++;
        if (depth == 0) {
            return inner.p;
        }
    }
    r->lost = true;
    return r->end;
}

/* A quantifier as it stands, but for the possessive mark. */
static void take_quantifier(struct reader *r)
{
    const char *p = r->p;
    if (p >= r->end || !strchr("?*+{", *p)) {
        return;
    }
    if (*p == '{') {
        const char *q = p + 1;
        while (q < r->end && (fl_is_digit(*q) || *q == ',')) {
            q++;
        }
        if (q == p + 1 || q >= r->end || *q != '}' || !fl_is_digit(p[1])) {
            return; /* a plain brace */
        }
        p = q;
    }
    p++;
    put(r, r->p, p);
    if (p < r->end && *p == '?') {
        put(r, p, p + 1);
    }
    r->p = p + (p < r->end && (*p == '?' || *p == '+'));
}

static void take_group(struct reader *r)
{
    const char *p = r->p + 1;
    char c = p < r->end ? *p : '\0';
    char d = p + 1 < r->end ? p[1] : '\0';
    char e = p + 2 < r->end ? p[2] : '\0';
    if (c == '*') {
        r->lost = true;
    } else if (c != '?') {
        put(r, r->p, p);
        r->p = p;
    } else if (d == '!' || (d == '<' && e == '!')) {
        const char *end = group_end(r);
        fl_buf_add_text(r->out, "(?:)");
        r->p = end;
        size_t n = r->out->n;
        take_quantifier(r); /* that of nothing is left out, too */
        r->out->n = n;
    } else if (d == ':' || d == '=' || d == '|' || (d == '<' && e == '=')) {
        const char *head = p + (d == '<' ? 3 : 2);
        put(r, r->p, head);
        r->p = head;
    } else if (d == '>') {
        fl_buf_add_text(r->out, "(?:");
        r->p = p + 2;
    } else if (d == '<' || d == '\'' || (d == 'P' && e == '<')) { /* its name says nothing here */
        const char *from = p + (d == 'P' ? 3 : 2);
        const char *close =
            from < r->end ? memchr(from, d == '\'' ? '\'' : '>', (size_t)(r->end - from)) : NULL;
        r->lost |= !close;
        fl_buf_add_text(r->out, "(?:");
        r->p = close ? close + 1 : r->end;
    } else {
        const char *q = p + 1;
        while (q < r->end && *q && strchr("ims-", *q)) {
            q++;
        }
        r->lost |= q >= r->end || (*q != ':' && *q != ')');
        q += q < r->end;
        put(r, r->p, q);
        r->p = q;
    }
}

bool fl_pattern_blur(struct fl_str pattern, struct fl_buf *out)
{
    struct reader r = {.p = pattern.p, .end = pattern.p + pattern.n, .out = out};
    while (r.p < r.end && !r.lost) {
        char c = *r.p;
        if (c == '(') {
            take_group(&r);
        } else if (c == '[') {
            take_class(&r);
        } else if (c == '\\') {
            char escaped = r.p + 1 < r.end ? r.p[1] : '\0';
            r.lost |= escaped == '\0' || fl_is_digit(escaped) || !is_known_escape(escaped);
            put(&r, r.p, r.p + (r.lost ? 1 : 2));
            r.p += r.lost ? 1 : 2;
        } else if (fl_is_digit(c)) {
            fl_buf_add_text(out, "\\d");
            r.p++;
        } else {
            put(&r, r.p, r.p + 1);
            r.p++;
        }
        take_quantifier(&r);
    }
    return !r.lost && out->failed == FL_OK;
}
