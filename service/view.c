/* SPDX-License-Identifier: Apache-2.0 */
#include "service/view.h"

#include <stdlib.h>

struct slot {
    struct fl_view_line line;
    char text[FL_VIEW_BYTES];
};

struct ring {
    struct slot *slots;
    size_t size;
    size_t n; /* lines ever offered */
};

struct fl_view_stream {
    struct ring first; /* full means full */
    struct ring last;
    struct ring tail;
    struct slot slots[FL_VIEW_FIRST + FL_VIEW_LAST + FL_VIEW_TAIL];
};

struct fl_view {
    struct fl_arena arena;
    struct fl_view_line lines[FL_VIEW_LINES];
    size_t n;
};

enum fl_status fl_view_new(struct fl_view **out, struct fl_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out) {
        return fl_fail(err, FL_NOMEM, "no memory for the condensed view");
    }
    fl_arena_init(&(*out)->arena, 4 << 20);
    return FL_OK;
}

void fl_view_free(struct fl_view *view)
{
    if (view) {
        fl_arena_free(&view->arena);
        free(view);
    }
}

enum fl_status fl_view_begin(struct fl_view_stream **out, struct fl_err *err)
{
    struct fl_view_stream *s = calloc(1, sizeof *s);
    *out = s;
    if (!s) {
        return fl_fail(err, FL_NOMEM, "no memory for the condensed view");
    }
    s->first = (struct ring){s->slots, FL_VIEW_FIRST, 0};
    s->last = (struct ring){s->slots + FL_VIEW_FIRST, FL_VIEW_LAST, 0};
    s->tail = (struct ring){s->slots + FL_VIEW_FIRST + FL_VIEW_LAST, FL_VIEW_TAIL, 0};
    return FL_OK;
}

void fl_view_drop(struct fl_view_stream *stream)
{
    free(stream);
}

static void put(struct ring *ring, const struct fl_view_line *line)
{
    struct slot *slot = &ring->slots[ring->n++ % ring->size];
    slot->line = *line;
    slot->line.text.n = line->text.n > FL_VIEW_BYTES ? FL_VIEW_BYTES : line->text.n;
    if (slot->line.text.n) {
        memcpy(slot->text, line->text.p, slot->line.text.n);
    }
    slot->line.text.p = slot->text;
}

void fl_view_offer(struct fl_view_stream *stream, const struct fl_view_line *line)
{
    struct ring *ring = !line->trouble                         ? &stream->tail
                        : stream->first.n < stream->first.size ? &stream->first
                                                               : &stream->last;
    put(ring, line);
}

static int compare_places(const void *a, const void *b)
{
    const struct fl_view_line *x = a;
    const struct fl_view_line *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

void fl_view_end(struct fl_view *view, struct fl_view_stream *stream)
{
    struct fl_view_line all[FL_VIEW_FIRST + FL_VIEW_LAST + FL_VIEW_TAIL];
    struct ring *rings[] = {&stream->first, &stream->last, &stream->tail};
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        size_t held = rings[i]->n < rings[i]->size ? rings[i]->n : rings[i]->size;
        for (size_t k = 0; k < held; k++) {
            all[n++] = rings[i]->slots[k].line;
        }
    }
    qsort(all, n, sizeof *all, compare_places);
    for (size_t i = 0; i < n && view->n < FL_VIEW_LINES; i++) {
        bool again = i + 1 < n && all[i].offset == all[i + 1].offset;
        if (again) {
            all[i + 1].trouble |= all[i].trouble;
            all[i + 1].text = all[i].text.n > all[i + 1].text.n ? all[i].text : all[i + 1].text;
            continue;
        }
        struct fl_str text = fl_arena_str(&view->arena, all[i].text);
        if (text.p) {
            view->lines[view->n] = all[i];
            view->lines[view->n++].text = text;
        }
    }
    fl_view_drop(stream);
}

const struct fl_view_line *fl_view_lines(const struct fl_view *view, size_t *n_r)
{
    *n_r = view->n;
    return view->lines;
}
