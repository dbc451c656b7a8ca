/* SPDX-License-Identifier: Apache-2.0 */
/* The named captures of a match. */
#pragma once
#include "service/base/str.h"

enum { FL_CAPTURES_MAX = 24 };

/* One named capture of a match; text is a slice of the subject. */
struct fl_capture {
    const char *name;
    struct fl_str text;
};

struct fl_captures {
    struct fl_capture item[FL_CAPTURES_MAX];
    size_t n;
    size_t start; /* where the whole match begins in the subject */
    size_t end;
};

/* What was captured under the name; NULL when nothing was, or no bytes. */
const struct fl_str *fl_captured(const struct fl_captures *captures, const char *name);

/* The whole number captured under the name, -1 when there is none ("61,200" is 61). */
long fl_captured_number(const struct fl_captures *captures, const char *name);
