/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/base/summary.h"

/* The values a summary may name: captures first, then what is known of the printer. */
static bool lookup(const struct fl_captures *c, const struct fl_place *place, struct fl_str key,
                   struct fl_buf *out)
{
    for (size_t i = 0; i < c->n; i++) {
        if (fl_str_eq(fl_str_of(c->item[i].name), key) && c->item[i].text.n) {
            struct fl_str text = fl_str_trim(c->item[i].text);
            text.n = text.n > 200 ? 200 : text.n;
            for (size_t k = 0; k < text.n; k++) {
                char ch = text.p[k];
                fl_buf_add(out, (unsigned char)ch < ' ' ? " " : &ch, 1);
            }
            return true;
        }
    }
    long number = fl_str_eq(key, FL_LIT("rank"))         ? place->rank
                  : fl_str_eq(key, FL_LIT("local_rank")) ? place->local_rank
                  : fl_str_eq(key, FL_LIT("gpu"))        ? place->gpu
                                                         : -1;
    if (number >= 0) {
        fl_buf_addf(out, "%ld", number);
        return true;
    }
    if (fl_str_eq(key, FL_LIT("node")) && place->node.n) {
        fl_buf_add_str(out, place->node);
        return true;
    }
    return false;
}

/* One stretch of the template; false when a placeholder in it has no value. */
static bool fill_part(struct fl_str part, const struct fl_captures *c, const struct fl_place *place,
                      struct fl_buf *out)
{
    bool all = true;
    while (part.n) {
        const char *close = part.p[0] == '{' ? memchr(part.p, '}', part.n) : NULL;
        if (close) {
            struct fl_str key = {part.p + 1, (size_t)(close - part.p - 1)};
            if (!lookup(c, place, key, out)) {
                fl_buf_add_text(out, "?");
                all = false;
            }
            part = fl_str_skip(part, key.n + 2);
        } else {
            fl_buf_add(out, part.p, 1);
            part = fl_str_skip(part, 1);
        }
    }
    return all;
}

struct fl_str fl_summary_fill(struct fl_arena *arena, const char *template,
                              const struct fl_captures *c, const struct fl_place *place)
{
    struct fl_buf out;
    struct fl_str rest = fl_str_of(template);
    fl_buf_init(&out, 2048);
    while (rest.n) {
        const char *open = fl_str_find(rest, FL_LIT("[["));
        size_t n = open ? (size_t)(open - rest.p) : rest.n;
        fill_part((struct fl_str){rest.p, n}, c, place, &out);
        rest = fl_str_skip(rest, n);
        if (!open) {
            break;
        }
        rest = fl_str_skip(rest, 2);
        const char *close = fl_str_find(rest, FL_LIT("]]"));
        n = close ? (size_t)(close - rest.p) : rest.n;
        size_t before = out.n;
        if (!fill_part((struct fl_str){rest.p, n}, c, place, &out)) {
            out.n = before;
        }
        rest = fl_str_skip(rest, close ? n + 2 : n);
    }
    struct fl_str text = fl_arena_str(arena, fl_buf_str(&out));
    fl_buf_free(&out);
    return text;
}
