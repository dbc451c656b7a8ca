/* SPDX-License-Identifier: Apache-2.0 */
/* The quantifiers of PCRE2 patterns: ? * + {2} {2,} {2,5}, and these with ? or + behind. Other
 * braces are plain text, but for {,5} and blanks in braces: quantifiers since PCRE2 10.43. */
#pragma once
#include "service/base/str.h"

struct fl_quantifier {
    size_t n;    /* bytes of it; 0: there is none */
    bool needed; /* what stands before it must occur */
    bool unsure; /* these braces are a quantifier for some releases only */
};

static inline struct fl_quantifier fl_quantifier_of_braces(struct fl_str s)
{
    struct fl_quantifier none = {0, true, false};
    size_t commas = 0;
    size_t digits = 0;
    bool blanks = false;
    size_t i = 1;
    for (; i < s.n && s.p[i] != '}'; i++) {
        commas += s.p[i] == ',';
        digits += fl_is_digit(s.p[i]);
        blanks |= s.p[i] == ' ' || s.p[i] == '\t';
        if (s.p[i] != ',' && !fl_is_digit(s.p[i]) && s.p[i] != ' ' && s.p[i] != '\t') {
            return none;
        }
    }
    if (i >= s.n || digits == 0 || commas > 1) {
        return none;
    }
    none.unsure = blanks || !fl_is_digit(s.p[1]);
    return none.unsure ? none : (struct fl_quantifier){i + 1, s.p[1] != '0', false};
}

/* The one at the front of s. */
static inline struct fl_quantifier fl_quantifier_at(struct fl_str s)
{
    struct fl_quantifier q = {0, true, false};
    if (s.n && *s.p == '{') {
        q = fl_quantifier_of_braces(s);
    } else if (s.n && (*s.p == '?' || *s.p == '*' || *s.p == '+')) {
        q = (struct fl_quantifier){1, *s.p == '+', false};
    }
    q.n += q.n && q.n < s.n && (s.p[q.n] == '?' || s.p[q.n] == '+');
    return q;
}
