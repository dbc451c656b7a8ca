/* SPDX-License-Identifier: Apache-2.0 */
/* Literals in, the vectorscan database that looks for all of them at once out.
 *
 * Compiling takes some 25 us a literal, reading it back next to nothing, so the database is kept in
 * FOLDER/scanner-NAME-HASH.bin, one file for each name, program version, engine and kind of CPU:
 *   8 bytes "FLSCAN1\n", 8 bytes checksum of all that follows (fl_hash), 8 bytes length of the key,
 *   the key (what the database was compiled by and from), the database; numbers little-endian.
 * The cache is never trusted further than this user's own hands: a file of another owner, one that
 * others may write, a damaged one and one with another key are as good as none. A cache that
 * cannot be read or written costs time and nothing else. */
#pragma once
#include "rules/match/literals.h"
#include "service/base/status.h"

#include <hs/hs.h>

/* The database finds texts[i] under the id i; free it with hs_free_database. folder may be NULL. */
enum fl_status fl_scanner_open(const struct fl_literal *texts, size_t n, const char *folder,
                               const char *name, hs_database_t **out,
                               struct fl_err *err) FL_MUST_USE;
