/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes must occur in every text that a pattern matches? A literal matcher that looks for
 * them decides where the pattern need not be tried at all.
 * Digits are all one here, '0': the matcher looks into text whose digits were made '0', so that what
 * it finds in a line it would find in all lines that differ in their digits only (shape.h).
 * Sound, not complete: when in doubt the answer is "none", and the pattern is tried everywhere. */
#pragma once
#include "service/base/str.h"

#include <stdint.h>

enum { FL_LITERAL_MAX = 24, FL_LITERALS_MAX = 48, FL_LITERAL_MIN = 3 };

struct fl_literal {
    char bytes[FL_LITERAL_MAX];
    unsigned char n;
    bool caseless;
};

/* A set of which at least one member occurs in every match; empty when there is no such set. */
struct fl_literals {
    size_t n;
    int worth; /* of the least telling member; 0 when empty */
    struct fl_literal item[FL_LITERALS_MAX];
};

/* How often each run of four bytes (letter case ignored) occurs in routine text: what is common
 * there makes a poor literal. Counts are by hash, so they may be too high, never too low. */
enum { FL_GRAM_SLOTS = 1 << 15 };

struct fl_grams {
    uint16_t count[FL_GRAM_SLOTS];
};

void fl_grams_add(struct fl_grams *grams, struct fl_str text);

/* Reads a PCRE2 pattern (byte mode) and gives its rarest set. grams may be NULL. Never fails. */
void fl_literals_of(struct fl_str pattern, const struct fl_grams *grams, struct fl_literals *out);
