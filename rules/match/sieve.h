/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns in, what to look for in their place out: literals of which one stands in every match, and
 * the vectorscan database that looks for all of them at once.
 *
 * Reading a literal's pattern takes some 5 us and compiling it 25, reading all back next to nothing, so a
 * sieve is kept in FOLDER/sieve-NAME-HASH.bin, one file for each name, program version, engine and kind
 * of CPU:
 *   8 bytes "FLSIEVE1", 8 bytes checksum of all that follows (fl_hash), 8 bytes length of the key,
 *   the key (what the sieve was made by and from), three numbers of 4 bytes: of literals, of patterns that
 *   wait for them, of patterns that wait for none; these lists (see needles.h), the database; all numbers
 *   in the machine's order.
 * The cache is never trusted further than this user's own hands: a file of another owner, one that
 * others may write, a damaged one and one with a key of other patterns are as good as none. A cache that
 * cannot be read or written costs time and nothing else. */
#pragma once
#include "rules/match/needles.h"
#include "rules/match/program.h"

#include <hs/hs.h>

/* What is looked for, and what finds it: NULL when there is nothing. needles.list may be NULL. */
struct fl_sieve {
    struct fl_needles needles;
    hs_database_t *scanner;
};

struct fl_sieve_made_of {
    const struct fl_pattern *patterns;
    uint32_t from; /* the numbers of the first pattern, and behind the last one */
    uint32_t to;
    bool trusted; /* of these patterns the trusted ones, or the others; none that is silent */
    const struct fl_grams *grams; /* see fl_literals_of */
};

/* A sieve that lacks none but a few of the last patterns is taken, too, when it is kept: `of->to` is then
 * where it ends, and the others are for another sieve. So one rule more costs no more than that one rule.
 * folder may be NULL: nothing is kept. Without vectorscan each pattern waits for no literal. */
enum fl_status fl_sieve_open(struct fl_sieve_made_of *of, const char *folder, const char *name,
                             struct fl_sieve *out, struct fl_err *err) FL_MUST_USE;
void fl_sieve_fini(struct fl_sieve *sieve);
