/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/markup.h"

static void safe_of(struct fl_buf *safe, struct fl_str text)
{
    fl_buf_init(safe, 8 * FL_MARKUP_BYTES);
    fl_buf_add_safe(safe, fl_str_trim(fl_str_head(text, FL_MARKUP_BYTES)));
}

void fl_markup_markdown(struct fl_buf *out, struct fl_str text)
{
    struct fl_buf safe;
    safe_of(&safe, text);
    for (size_t i = 0; i < safe.n; i++) {
        if (strchr("\\`*_{}[]()<>#!|&", safe.p[i])) {
            fl_buf_add_text(out, "\\");
        }
        fl_buf_add(out, safe.p + i, 1);
    }
    fl_buf_free(&safe);
}

void fl_markup_html(struct fl_buf *out, struct fl_str text)
{
    static const char marks[] = "&<>\"'";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    struct fl_buf safe;
    safe_of(&safe, text);
    for (size_t i = 0; i < safe.n; i++) {
        const char *mark = strchr(marks, safe.p[i]);
        if (mark && *mark) {
            fl_buf_add_text(out, names[mark - marks]);
        } else {
            fl_buf_add(out, safe.p + i, 1);
        }
    }
    fl_buf_free(&safe);
}
