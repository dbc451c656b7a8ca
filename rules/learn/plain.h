/* SPDX-License-Identifier: Apache-2.0 */
/* What a learned filter may be made of. A pattern that hides lines must be one whose reach can be
 * told by reading it: literals, classes, groups, alternatives, repetition, anchors, (?i), and (?!...),
 * which can only narrow it. All else (other look-around, references, verbs, inline modes, \Q, \K ...)
 * is refused, however harmless. */
#pragma once
#include "service/base/status.h"
#include "service/base/str.h"

/* So many bytes of any text count as unbounded. */
enum { FL_PLAIN_SPAN = 40 };

struct fl_plain {
    long literals;  /* bytes that each match holds at the least; blanks and long runs do not count */
    bool open_head; /* text of any kind may stand before the first literal ... */
    bool open_tail; /* ... behind the last one */
};

/* FL_DENIED with the reason when the pattern is not plain. */
enum fl_status fl_plain_read(struct fl_str pattern, struct fl_plain *out,
                             struct fl_err *err) FL_MUST_USE;
