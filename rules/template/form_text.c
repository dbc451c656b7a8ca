/* SPDX-License-Identifier: Apache-2.0 */
/* Forms as they are shown, and as regular expressions. */
#include "rules/template/form.h"

enum fl_status fl_form_show(struct fl_str form, struct fl_buf *out)
{
    static const char *const names[FL_FIELDS] = {
        "",       "<num>",  "<num>", "<num>", "<nums>", "<hex>", "<path>", "<host>",
        "<time>", "<text>", "<bar>", "<*>",   "<...>",  "?",     ""};
    for (size_t i = 0; i < form.n; i++) {
        unsigned char c = (unsigned char)form.p[i];
        if (c < FL_FIELDS) {
            fl_buf_add_text(out, names[c]);
        } else {
            fl_buf_add(out, form.p + i, 1);
        }
    }
    return out->failed;
}

enum fl_status fl_form_pattern(struct fl_str form, struct fl_buf *out, size_t *literal_n)
{
    static const char *const patterns[FL_FIELDS] = {"",
                                                    "[-+]?\\d[\\d.,eE+-]*",
                                                    "\\d+",
                                                    "[-+]?\\d[\\d.,eE+-]*[A-Za-z]{0,4}",
                                                    "[-+\\d.,;:|/<>()\\[\\]eE\\s]+",
                                                    "[\\da-fA-Fx-]+",
                                                    "\\S+",
                                                    "[\\w.:-]+",
                                                    "\\d[\\d:.,/TZ_+ -]*",
                                                    "[^\"]*",
                                                    "\\|[^|]*\\|",
                                                    "\\S+",
                                                    ".*",
                                                    ".",
                                                    "(?:\\e\\[[\\d;?]*[A-Za-z])*"};
    for (size_t i = 0; i < form.n; i++) {
        unsigned char c = (unsigned char)form.p[i];
        char next = i + 1 < form.n ? form.p[i + 1] : '\0';
        if (c < FL_FIELDS) {
            bool padded = c <= FL_FIELD_TIME && c != FL_FIELD_PATH && i;
            fl_buf_add_text(out, padded && fl_form_pads(form.p[i - 1]) ? "\\s*" : "");
            bool single = c == FL_FIELD_TEXT && i && form.p[i - 1] == '\'';
            fl_buf_add_text(out, single ? "[^']*" : patterns[c]);
        } else if (c == ' ') {
            bool fills = fl_form_is_number(next) || (i && fl_form_is_number(form.p[i - 1]));
            fl_buf_add_text(out, fills ? "\\s*" : "\\s+");
        } else {
            fl_buf_add_text(out, fl_form_is_meta((char)c) ? "\\" : "");
            fl_buf_add(out, form.p + i, 1);
            ++*literal_n;
        }
    }
    return out->failed;
}
