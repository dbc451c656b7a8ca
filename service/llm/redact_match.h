/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the redactor: what its matchers see and say. A matcher looks at one place of a text and
 * may claim a stretch that begins there. */
#pragma once
#include "service/base/str.h"

#include <strings.h>

enum fl_redact_kind { FL_REDACT_SECRET, FL_REDACT_USER, FL_REDACT_IP, FL_REDACT_EMAIL };

struct fl_redact_hit {
    size_t keep; /* bytes copied as they are */
    size_t drop; /* bytes replaced by one placeholder */
    enum fl_redact_kind kind;
};

/* Where a matcher looks: the whole text, the place in it, and the byte before that place as the
 * reader of the output will see it. */
struct fl_redact_spot {
    struct fl_str all;
    size_t at;
    char prev;
};

/* Provider keys, tokens, and values whose name says that they are secret. */
bool fl_redact_match_secret(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);

/* User info in a URL, user names in home folders, addresses. */
bool fl_redact_match_userinfo(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);
bool fl_redact_match_home(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);
bool fl_redact_match_address(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);

/* Length of one of our placeholders at the front of s, or 0. */
size_t fl_redact_placeholder(struct fl_str s);

static inline bool is_word(char c)
{
    return fl_is_alpha(c) || fl_is_digit(c) || c == '_';
}

static inline bool is_hex(char c)
{
    return fl_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static inline bool is_ident(char c)
{
    return is_word(c) || c == '-' || c == '.';
}

static inline bool is_alnum(char c)
{
    return fl_is_alpha(c) || fl_is_digit(c);
}

static inline bool is_base64(char c)
{
    return is_alnum(c) || c == '+' || c == '/' || c == '=';
}

static inline size_t run(struct fl_str s, bool (*is)(char))
{
    size_t n = 0;
    while (n < s.n && is(s.p[n])) {
        n++;
    }
    return n;
}

static inline bool starts_fold(struct fl_str s, const char *head)
{
    size_t n = strlen(head);
    return s.n >= n && strncasecmp(s.p, head, n) == 0;
}

static inline bool find_fold(struct fl_str s, const char *needle)
{
    for (; s.n; s = fl_str_skip(s, 1)) {
        if (starts_fold(s, needle)) {
            return true;
        }
    }
    return false;
}

static inline bool has_digit(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (fl_is_digit(s.p[i])) {
            return true;
        }
    }
    return false;
}

/* Letters of both cases beyond a capital at the front, or digits: not a word of prose. */
static inline bool looks_random(struct fl_str s)
{
    bool lower = false;
    bool upper = false;
    for (size_t i = 0; i < s.n; i++) {
        lower |= s.p[i] >= 'a' && s.p[i] <= 'z';
        upper |= i > 0 && s.p[i] >= 'A' && s.p[i] <= 'Z';
    }
    return (lower && upper) || has_digit(s);
}

static inline struct fl_str rest_of(const struct fl_redact_spot *spot)
{
    return fl_str_skip(spot->all, spot->at);
}

static inline struct fl_str front(struct fl_str s, size_t n)
{
    return (struct fl_str){s.p, n < s.n ? n : s.n};
}
