/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern that asks less: it matches whatever the given one matches, and whatever that would
 * match with other digits in the same places. When it says no to one line, the given pattern says
 * no to all lines of that shape (shape.h). Stateless. */
#pragma once
#include "service/base/buf.h"

/* Writes it to *out. False: there is none (back-references, recursion, conditionals, escapes that
 * this reader does not know), *out is then of no use. */
bool fl_pattern_blur(struct fl_str pattern, struct fl_buf *out);
