/* SPDX-License-Identifier: Apache-2.0 */
/* Text of logs within a document: shown as it stands, without meaning anything to what draws it. Goes
 * through fl_buf_add_safe; blanks at both ends are left out. Failures collect in out->failed. */
#pragma once
#include "service/base/buf.h"

enum { FL_MARKUP_BYTES = 1000 }; /* what is longer is cut */

/* Markdown's own characters lose their meaning. */
void fl_markup_markdown(struct fl_buf *out, struct fl_str text);
/* For the content of an element, and for a value in double quotes. */
void fl_markup_html(struct fl_buf *out, struct fl_str text);
