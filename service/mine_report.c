/* SPDX-License-Identifier: Apache-2.0 */
#include "service/mine_report.h"

#include "service/base/fsio.h"

#include <stdlib.h>
#include <unistd.h>

enum { OUT_BYTES = 64 << 10, SHOWN_LINE = 200 };

static struct fl_str cut(struct fl_str s, size_t cap)
{
    return (struct fl_str){s.p, cap && s.n > cap ? cap : s.n};
}

void fl_mine_show(struct fl_buf *out, const struct fl_template *t, size_t cap)
{
    struct fl_buf text;
    fl_buf_init(&text, 16 * FL_FORM_BYTES);
    fl_form_show(t->form, &text);
    fl_buf_add_safe(out, cut(fl_str_trim(fl_buf_str(&text)), cap));
    fl_buf_free(&text);
}

void fl_mine_show_line(struct fl_buf *out, const char *what, const struct fl_mine *mine,
                       const struct fl_template_line *line)
{
    fl_buf_addf(out, "  %s ", what);
    fl_buf_add_safe(out, fl_str_of(fl_mine_stream_name(mine, line->stream)));
    fl_buf_addf(out, ":%ld  ", line->number);
    fl_buf_add_safe(out, cut(fl_str_trim(line->text), SHOWN_LINE));
    fl_buf_add_text(out, line->cut || line->text.n > SHOWN_LINE ? " ...\n" : "\n");
}

static void write_line(struct fl_jw *w, const char *key, const struct fl_mine *mine,
                       const struct fl_template_line *line)
{
    fl_jw_key(w, key);
    fl_jw_begin(w, '{');
    fl_jw_key(w, "file");
    fl_jw_text(w, fl_mine_stream_name(mine, line->stream));
    fl_jw_key(w, "line");
    fl_jw_int(w, line->number);
    fl_jw_key(w, "offset");
    fl_jw_int(w, (int64_t)line->offset);
    fl_jw_key(w, "text");
    fl_jw_str(w, line->text);
    fl_jw_end(w, '}');
}

void fl_mine_write(struct fl_jw *w, const struct fl_mine *mine, const struct fl_template *t)
{
    struct fl_buf text;
    fl_buf_init(&text, 16 * FL_FORM_BYTES);
    fl_form_show(t->form, &text);
    fl_buf_addf(&text, "%c%016llx", '\0', (unsigned long long)t->id);
    struct fl_str both = fl_buf_str(&text);
    fl_jw_key(w, "id");
    fl_jw_str(w, fl_str_skip(both, both.n - 16));
    fl_jw_key(w, "template");
    fl_jw_str(w, fl_str_trim((struct fl_str){both.p, both.n - 17}));
    fl_jw_key(w, "count");
    fl_jw_int(w, (int64_t)(t->count[0] + t->count[1]));
    fl_jw_key(w, "ranks");
    fl_jw_int(w, t->ranks);
    fl_jw_key(w, "rank");
    if (t->rank >= 0) {
        fl_jw_int(w, t->rank);
    } else {
        fl_jw_null(w);
    }
    write_line(w, "first", mine, &t->first);
    write_line(w, "last", mine, &t->last);
    fl_buf_free(&text);
}

struct printer {
    struct fl_mine *mine;
    struct fl_buf out;
    enum fl_status status;
    struct fl_err *err;
};

static void flush(struct printer *p)
{
    if (p->status == FL_OK) {
        p->status = p->out.failed
                        ? fl_fail(p->err, p->out.failed, "no memory for output")
                        : fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&p->out),
                                            p->err);
    }
    fl_buf_clear(&p->out);
}

static void print_text(struct printer *p, const struct fl_template *t)
{
    fl_buf_addf(&p->out, "%llu x ", (unsigned long long)(t->count[0] + t->count[1]));
    fl_mine_show(&p->out, t, 0);
    if (t->ranks > 1) {
        fl_buf_addf(&p->out, "   (%u ranks or streams)", t->ranks);
    }
    fl_buf_add_text(&p->out, "\n");
    fl_mine_show_line(&p->out, "first", p->mine, &t->first);
    if (t->last.order != t->first.order) {
        fl_mine_show_line(&p->out, "last ", p->mine, &t->last);
    }
}

static void print_head(struct printer *p, struct fl_jw *w, size_t n, bool json)
{
    struct fl_templates *t = fl_mine_templates(p->mine);
    if (!json) {
        fl_buf_addf(&p->out, "%llu lines, %zu templates", (unsigned long long)fl_templates_lines(t),
                    n);
        if (fl_templates_other(t)) {
            fl_buf_addf(&p->out, ", %llu rare lines of others that there was no room for",
                        (unsigned long long)fl_templates_other(t));
        }
        fl_buf_add_text(&p->out, "\n");
        return;
    }
    fl_jw_begin(w, '{');
    fl_jw_key(w, "schema");
    fl_jw_text(w, "faultline.templates/1");
    fl_jw_key(w, "lines");
    fl_jw_int(w, (int64_t)fl_templates_lines(t));
    fl_jw_key(w, "other");
    fl_jw_int(w, (int64_t)fl_templates_other(t));
    fl_jw_key(w, "templates");
    fl_jw_begin(w, '[');
}

enum fl_status fl_mine_print(struct fl_mine *mine, const struct fl_template *list, size_t n,
                             const struct fl_mine_report *how, struct fl_err *err)
{
    struct printer p = {.mine = mine, .err = err};
    struct fl_jw w;
    fl_buf_init(&p.out, 4 * OUT_BYTES);
    fl_jw_init(&w, &p.out, true);
    print_head(&p, &w, n, how->json);
    size_t shown = how->limit > 0 && (size_t)how->limit < n ? (size_t)how->limit : n;
    for (size_t i = 0; i < shown; i++) {
        const struct fl_template *t = &list[how->rare ? n - 1 - i : i];
        if (how->json) {
            fl_jw_begin(&w, '{');
            fl_mine_write(&w, mine, t);
            fl_jw_end(&w, '}');
        } else {
            print_text(&p, t);
        }
        if (p.out.n > OUT_BYTES) {
            flush(&p);
        }
    }
    if (how->json) {
        fl_jw_end(&w, ']');
        fl_jw_end(&w, '}');
        fl_buf_add_text(&p.out, "\n");
    }
    flush(&p);
    fl_buf_free(&p.out);
    return p.status;
}
