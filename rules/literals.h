/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes must occur in every text that a pattern matches? A literal matcher that looks for
 * them decides where the pattern need not be tried at all.
 * Sound, not complete: when in doubt the answer is "none", and the pattern is tried everywhere. */
#pragma once
#include "service/base/str.h"

enum { FL_LITERAL_MAX = 24, FL_LITERALS_MAX = 32, FL_LITERAL_MIN = 3 };

struct fl_literal {
    char bytes[FL_LITERAL_MAX];
    unsigned char n;
    bool caseless;
};

/* A set of which at least one member occurs in every match; empty when there is no such set. */
struct fl_literals {
    struct fl_literal item[FL_LITERALS_MAX];
    size_t n;
};

/* Reads a PCRE2 pattern (byte mode). Never fails. */
void fl_literals_of(struct fl_str pattern, struct fl_literals *out);
