/* SPDX-License-Identifier: Apache-2.0 */
/* A slice of bytes: pointer and length, not owned, may hold NUL, never assumed to be UTF-8. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct fl_str {
    const char *p;
    size_t n;
};

#define FL_LIT(literal) ((struct fl_str){(literal), sizeof(literal) - 1})

static inline struct fl_str fl_str_of(const char *text)
{
    return (struct fl_str){text, text ? strlen(text) : 0};
}

static inline bool fl_str_eq(struct fl_str a, struct fl_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool fl_str_starts(struct fl_str s, struct fl_str head)
{
    return s.n >= head.n && memcmp(s.p, head.p, head.n) == 0;
}

static inline bool fl_str_ends(struct fl_str s, struct fl_str tail)
{
    return s.n >= tail.n && memcmp(s.p + s.n - tail.n, tail.p, tail.n) == 0;
}

/* Where needle begins in s, or NULL. */
static inline const char *fl_str_find(struct fl_str s, struct fl_str needle)
{
    return s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
}

/* s without its first n bytes (n at most s.n). */
static inline struct fl_str fl_str_skip(struct fl_str s, size_t n)
{
    return (struct fl_str){s.p + n, s.n - n};
}

static inline bool fl_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static inline bool fl_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool fl_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline struct fl_str fl_str_ltrim(struct fl_str s)
{
    while (s.n && fl_is_space(*s.p)) {
        s = fl_str_skip(s, 1);
    }
    return s;
}

static inline struct fl_str fl_str_trim(struct fl_str s)
{
    s = fl_str_ltrim(s);
    while (s.n && fl_is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

/* Its first n bytes, or all. */
static inline struct fl_str fl_str_head(struct fl_str s, size_t n)
{
    return (struct fl_str){s.p, n < s.n ? n : s.n};
}

/* Steps over what *s begins with; false when it begins otherwise. */
static inline bool fl_str_take(struct fl_str *s, struct fl_str literal)
{
    if (!fl_str_starts(*s, literal)) {
        return false;
    }
    *s = fl_str_skip(*s, literal.n);
    return true;
}

static inline bool fl_str_take_char(struct fl_str *s, char c)
{
    if (s->n == 0 || *s->p != c) {
        return false;
    }
    *s = fl_str_skip(*s, 1);
    return true;
}

/* Reads decimal digits at the front of *s (at most 18) and steps over them; false when none. */
static inline bool fl_str_take_number(struct fl_str *s, long *value_r)
{
    long value = 0;
    size_t i = 0;
    for (; i < s->n && i < 18 && fl_is_digit(s->p[i]); i++) {
        value = value * 10 + (s->p[i] - '0');
    }
    if (i == 0) {
        return false;
    }
    *value_r = value;
    *s = fl_str_skip(*s, i);
    return true;
}
