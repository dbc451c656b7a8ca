/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that differ in their digits only have one shape ("step 12 loss 3.41" and "step 98 loss 0.27";
 * lengths of runs of digits count). A pattern that cannot tell one digit from another answers the
 * same for all lines of a shape, so the answer is looked up instead of found again.
 * Two shapes with one hash would share a verdict; the hash is keyed anew in each process, so nobody
 * can make such lines on purpose, and by chance it takes 2^32 shapes.
 * Limits: FL_SHAPES entries; of a set of four, one that was not looked up for long makes room.
 * Threads: one each. */
#pragma once
#include "service/base/status.h"
#include "service/base/str.h"

#include <stdint.h>

enum { FL_SHAPES = 1 << 16, FL_SHAPE_PATTERNS = 7 };
#define FL_SHAPE_SURE UINT32_C(0x80000000)
#define FL_SHAPE_GUESS UINT32_C(0x80000000)

/* The patterns that are left for lines of a shape. A free entry has no hash. */
struct fl_shape {
    uint64_t hash;
    uint32_t n; /* FL_SHAPE_GUESS set: if the first one says yes; else nothing is known */
    uint32_t pattern[FL_SHAPE_PATTERNS]; /* FL_SHAPE_SURE set: it says yes to every such line */
};

struct fl_shapes;

enum fl_status fl_shapes_new(struct fl_shapes **out, struct fl_err *err) FL_MUST_USE;
void fl_shapes_free(struct fl_shapes *shapes);

/* The hashes of the shapes of n lines; none is 0. */
void fl_shapes_of(const struct fl_shapes *shapes, const struct fl_str *lines, size_t n,
                  uint64_t *out);
void fl_shapes_fetch(const struct fl_shapes *shapes, uint64_t hash); /* it will be looked up soon */

/* NULL: not known. Another put may give the entry to another shape. */
const struct fl_shape *fl_shapes_find(struct fl_shapes *shapes, uint64_t hash);
void fl_shapes_put(struct fl_shapes *shapes, const struct fl_shape *shape);

/* Does looking up pay for the next n lines? Where shapes hardly repeat it does not, and is tried
 * again after a while. fl_shapes_asked tells how it went. */
bool fl_shapes_pay(struct fl_shapes *shapes, size_t n);
void fl_shapes_asked(struct fl_shapes *shapes, size_t n, size_t found);

/* Writes the line with each digit made a '0'. */
void fl_shape_mask(char *out, struct fl_str line);

/* Can the pattern (PCRE2, byte mode) not tell one digit from another? No when in doubt. */
bool fl_pattern_is_blind(struct fl_str pattern);
