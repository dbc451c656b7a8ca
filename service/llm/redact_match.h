/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the redactor: what its matchers see and say. A matcher looks at one place of a text and
 * may claim a stretch that begins there. */
#pragma once
#include "service/llm/redact.h"

#include <strings.h>

struct fl_redact_hit {
    size_t keep; /* bytes copied as they are */
    size_t drop; /* bytes replaced by one placeholder */
    enum fl_redact_kind kind;
};

/* Where a matcher looks: the whole text, the place in it, and what stands before that place as the
 * reader of the output will see it. */
struct fl_redact_spot {
    struct fl_str all;
    size_t at;
    char prev;           /* the character before */
    char opener;         /* the last one that is no dash */
    size_t opener_n;     /* how many bytes spell it */
    bool has_at;         /* there is a @ somewhere in the text */
    struct fl_str ident; /* the letters, digits, _ - and . from here on: FL_REDACT_IDENT at most */
};

enum { FL_REDACT_IDENT = 256 };

/* Keys and tokens that are known by their look. */
bool fl_redact_match_token(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);

/* Values whose name, header, scheme (Bearer) or command says that they are secret. */
bool fl_redact_match_value(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);
bool fl_redact_match_option(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);

/* User info in a URL, user names in home folders, addresses. */
bool fl_redact_match_userinfo(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);
bool fl_redact_match_home(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);
bool fl_redact_match_address(const struct fl_redact_spot *spot, struct fl_redact_hit *hit);

/* What a name says of its value. */
enum fl_redact_name {
    FL_REDACT_OPEN,   /* nothing */
    FL_REDACT_PLAIN,  /* secret, whatever it is */
    FL_REDACT_FILED,  /* secret, unless it is the path of a file */
    FL_REDACT_TOKEN,  /* secret, unless it is a number or a short word */
    FL_REDACT_RANDOM, /* secret if it looks like it */
    FL_REDACT_DENSE,  /* secret if it cannot be anything else */
    FL_REDACT_HEADER, /* secret to the end of the line */
    FL_REDACT_LOGIN   /* the name of a user */
};
enum fl_redact_name fl_redact_name(struct fl_str ident);

/* Private key blocks, fed line by line or whole. The first finds one that begins here, the second
 * the part of a line that belongs to one begun before: *from_r to *to_r. */
bool fl_redact_match_block(struct fl_redact *redact, const struct fl_redact_spot *spot,
                           struct fl_redact_hit *hit);
bool fl_redact_block_line(struct fl_redact *redact, struct fl_str text, size_t *from_r,
                          size_t *to_r);

/* Length of the terminal escape sequence at the front of s, also one that was written out
 * (\u001b[31m), or 0. */
size_t fl_redact_colour(struct fl_str s);

/* Length of one of our placeholders at the front of s, or 0. */
size_t fl_redact_placeholder(struct fl_str s);

static inline bool is_word(char c)
{
    return fl_is_alpha(c) || fl_is_digit(c) || c == '_';
}

static inline bool is_among(char c, const char *set)
{
    return c && strchr(set, c);
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

/* Capitals, small letters and digits, two of each: neither prose nor a path nor a checksum. */
static inline bool looks_dense(struct fl_str s)
{
    size_t lower = 0;
    size_t upper = 0;
    size_t digits = 0;
    for (size_t i = 0; i < s.n; i++) {
        lower += s.p[i] >= 'a' && s.p[i] <= 'z';
        upper += s.p[i] >= 'A' && s.p[i] <= 'Z';
        digits += fl_is_digit(s.p[i]);
    }
    return lower > 1 && upper > 1 && digits > 1;
}

static inline bool is_quote(char c)
{
    return c == '"' || c == '\'' || c == '`';
}

static inline bool is_token(char c)
{
    return is_word(c) || c == '-';
}

/* What a Bearer value may hold (RFC 6750). */
static inline bool is_bearer(char c)
{
    return is_base64(c) || c == '.' || c == '_' || c == '~' || c == '-';
}

size_t fl_redact_spelled(struct fl_str s, char *c_r);

/* One character as its reader means it, and how many bytes spell it: %3D, \u003d, &quot; and \"
 * are one. A control character is a line end, what is no ASCII stays. s is not empty. */
static inline size_t fl_redact_char(struct fl_str s, char *c_r)
{
    *c_r = *s.p;
    return *s.p == '%' || *s.p == '\\' || *s.p == '&' ? fl_redact_spelled(s, c_r) : 1;
}

/* How many bytes at the front of s spell characters of a kind; how many those are. */
static inline size_t spelled_run(struct fl_str s, bool (*is)(char), size_t *chars_r)
{
    size_t bytes = 0;
    char c = '\0';
    *chars_r = 0;
    while (bytes < s.n) {
        size_t n = fl_redact_char(fl_str_skip(s, bytes), &c);
        if (!is(c)) {
            break;
        }
        bytes += n;
        ++*chars_r;
    }
    return bytes;
}

static inline struct fl_str rest_of(const struct fl_redact_spot *spot)
{
    return fl_str_skip(spot->all, spot->at);
}

/* The n bytes before the spot, or as many as there are. */
static inline struct fl_str before(const struct fl_redact_spot *spot, size_t n)
{
    size_t back = spot->at < n ? spot->at : n;
    return (struct fl_str){spot->all.p + spot->at - back, back};
}
