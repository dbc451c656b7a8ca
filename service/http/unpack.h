/* SPDX-License-Identifier: Apache-2.0 */
/* Content-Encoding undone: gzip (of several members, too), deflate (zlib or bare), zstd, snappy (a
 * block, or framed), and two of them one on the other. Limit: the cap of `out`; unpacking stops
 * there. */
#pragma once
#include "service/base/buf.h"

/* `encodings` is the header's value ("": none). *body_r is what was packed: in out, or, when
 * nothing was packed, packed itself. FL_LIMIT: more than out->cap bytes; FL_SYNTAX: broken;
 * FL_USAGE: an encoding that is not known, or more than two. */
enum fl_status fl_unpack(struct fl_str packed, struct fl_str encodings, struct fl_buf *out,
                         struct fl_str *body_r, struct fl_err *err) FL_MUST_USE;
