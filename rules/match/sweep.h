/* SPDX-License-Identifier: Apache-2.0 */
/* Lines in, the patterns that may match each of them out: all needles are looked for in all lines at
 * once. Digits are made '0' on the way, so what is proposed for a line is proposed for all lines of
 * its shape (shape.h).
 * Borrows the sieves. Owns copies of the lines, and the answers until the next
 * fl_sweep_clear. Memory: some twice the lines, and kept. Threads: one. */
#pragma once
#include "rules/match/matcher.h"
#include "rules/match/sieve.h"

struct fl_sweep;

/* patterns_n: numbers of patterns are below it. */
enum fl_status fl_sweep_new(const struct fl_sieve *sieves, size_t n, uint32_t patterns_n,
                            struct fl_sweep **out,
                            struct fl_err *err) FL_MUST_USE;
void fl_sweep_free(struct fl_sweep *sweep);

/* From now on the pattern is not proposed. */
void fl_sweep_mute(struct fl_sweep *sweep, uint32_t pattern);

void fl_sweep_clear(struct fl_sweep *sweep);
enum fl_status fl_sweep_add(struct fl_sweep *sweep, struct fl_str line) FL_MUST_USE;

/* Ends adding. */
enum fl_status fl_sweep_run(struct fl_sweep *sweep) FL_MUST_USE;

/* The candidates of the k-th line that was added, in the order of their patterns. */
void fl_sweep_candidates(struct fl_sweep *sweep, size_t k, struct fl_candidate **out,
                         size_t *out_n);
