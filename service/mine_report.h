/* SPDX-License-Identifier: Apache-2.0 */
/* Templates as text or JSON on standard output. */
#pragma once
#include "service/mine.h"

struct fl_mine_report {
    bool json;
    bool rare; /* rarest first */
    int limit; /* 0: all */
};

enum fl_status fl_mine_print(struct fl_mine *mine, const struct fl_template *list, size_t n,
                             const struct fl_mine_report *how, struct fl_err *err) FL_MUST_USE;

/* One template as the members of a JSON object that is open. */
void fl_mine_write(struct fl_jw *w, const struct fl_mine *mine, const struct fl_template *t);

/* The template's text, safe to be shown, at most `cap` bytes of it (0: all). */
void fl_mine_show(struct fl_buf *out, const struct fl_template *t, size_t cap);
/* `  first rank0.log:12  text`. */
void fl_mine_show_line(struct fl_buf *out, const char *what, const struct fl_mine *mine,
                       const struct fl_template_line *line);
