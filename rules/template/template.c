/* SPDX-License-Identifier: Apache-2.0 */
/* A table of shapes (hash of the line with its digits masked, to the form it has) stands before the
 * table of forms. The rank of a line is found without reading its prefix: lines of one shape have
 * it at one place. First and last lines are copied once a batch, not once a line. */
#include "rules/template/template.h"

#include "rules/template/template_table.h"
#include "service/base/hash.h"

#include <stdlib.h>

enum { SETS = FL_TEMPLATE_SHAPES / FL_TEMPLATE_WAYS };

enum fl_status fl_templates_new(const struct fl_template_ask *ask, struct fl_templates **out,
                                struct fl_err *err)
{
    struct fl_templates *t = calloc(1, sizeof *t);
    *out = t;
    if (!t) {
        return fl_fail(err, FL_NOMEM, "no memory for templates");
    }
    t->ask = *ask;
    enum fl_status status = fl_shapes_new(&t->hasher, err);
    t->shapes = calloc(FL_TEMPLATE_SHAPES, sizeof *t->shapes);
    t->oldest = calloc(SETS, sizeof *t->oldest);
    t->slots = calloc(2 * FL_TEMPLATES, sizeof *t->slots);
    t->forms = calloc(FL_TEMPLATES, sizeof *t->forms);
    if (status == FL_OK && (!t->shapes || !t->oldest || !t->slots || !t->forms)) {
        status = fl_fail(err, FL_NOMEM, "no memory for templates");
    }
    if (status != FL_OK) {
        fl_templates_free(t);
        *out = NULL;
    }
    return status;
}

void fl_templates_free(struct fl_templates *t)
{
    if (!t) {
        return;
    }
    for (uint32_t i = 0; i < t->n; i++) {
        fl_template_free_form(&t->forms[i]);
    }
    for (unsigned i = 0; i < t->heads_n; i++) {
        free(t->heads[i]);
    }
    fl_shapes_free(t->hasher);
    free(t->shapes);
    free(t->oldest);
    free(t->slots);
    free(t->forms);
    free(t->touched);
    fl_joined_free(&t->joined);
    free(t->templates);
    free(t);
}

/* ---- first and last lines ---- */

static bool keep_line(struct fl_templates *t, const struct fl_template_lines *lines, size_t i,
                      uint64_t order, struct fl_template_line *out, size_t *size)
{
    struct fl_str text = lines->texts[i];
    size_t n = text.n < FL_TEMPLATE_SAMPLE ? text.n : FL_TEMPLATE_SAMPLE;
    char *copy = (char *)(uintptr_t)out->text.p;
    if (n > *size || !copy) {
        copy = realloc(copy, n + 1);
        if (!copy) {
            return false;
        }
        t->bytes += n - *size;
        *size = n;
    }
    if (n) {
        memcpy(copy, text.p, n);
    }
    *out = (struct fl_template_line){.stream = t->stream, .order = order,
                                     .text = {copy, n}, .cut = n < text.n};
    lines->place(lines->batch, i, &out->number, &out->offset);
    return true;
}

/* The last lines of all forms that the batch had so far. */
static bool keep_last(struct fl_templates *t, const struct fl_template_lines *lines,
                      uint64_t order)
{
    bool kept = true;
    for (size_t i = 0; i < t->touched_n; i++) {
        struct fl_counted *f = &t->forms[t->touched[i]];
        kept &= keep_line(t, lines, f->last_i, order + f->last_i, &f->last, &f->last_size);
    }
    t->touched_n = 0;
    t->batch++;
    return kept;
}

/* ---- lines ---- */

static uint32_t head_of(struct fl_templates *t, const struct fl_form *form)
{
    for (unsigned i = 0; i < t->heads_n; i++) {
        if (t->head_n[i] == form->head_n && memcmp(t->heads[i], form->head, form->head_n) == 0) {
            return i;
        }
    }
    char *copy = t->heads_n < FL_TEMPLATE_HEADS ? malloc(form->head_n) : NULL;
    if (!copy) {
        return FL_NO_FORM;
    }
    memcpy(copy, form->head, form->head_n);
    t->heads[t->heads_n] = copy;
    t->head_n[t->heads_n] = form->head_n;
    return t->heads_n++;
}

static void note_head(struct fl_templates *t, struct fl_counted *f, const struct fl_form *form)
{
    if (form->head_n == 0 && !form->head_lost) {
        f->bare = true;
        return;
    }
    uint32_t head = form->head_lost ? FL_NO_FORM : head_of(t, form);
    f->headless |= head == FL_NO_FORM;
    f->heads |= head == FL_NO_FORM ? 0 : UINT64_C(1) << head;
}

static long rank_of(const struct fl_templates *t, const struct fl_template_shape *shape,
                    struct fl_str line)
{
    long rank = t->rank;
    struct fl_str s = fl_str_skip(line, shape->rank_at < line.n ? shape->rank_at : line.n);
    if (shape->rank_n) {
        (void)fl_str_take_number(&s, &rank);
    }
    return rank;
}

static struct fl_template_shape *set_of(const struct fl_templates *t, uint64_t hash)
{
    return &t->shapes[hash % SETS * FL_TEMPLATE_WAYS];
}

static struct fl_template_shape *shape_slot(struct fl_templates *t, uint64_t hash)
{
    struct fl_template_shape *way = set_of(t, hash);
    for (size_t i = 0; i < FL_TEMPLATE_WAYS; i++) {
        if (way[i].hash == hash) {
            return &way[i];
        }
    }
    way += t->oldest[hash % SETS]++ % FL_TEMPLATE_WAYS;
    way->hash = 0;
    return way;
}

/* A shape not seen before, or forgotten. */
static enum fl_status learn_shape(struct fl_templates *t, const struct fl_template_lines *lines,
                                  size_t i, uint64_t order, struct fl_template_shape *shape)
{
    struct fl_form form;
    fl_form_of(&t->ask.prefixes, lines->texts[i], &form);
    struct fl_str text = {form.text, form.n};
    enum fl_line_kind kind =
        t->ask.kind ? t->ask.kind(t->ask.ctx, lines->texts[i]) : FL_LINE_PLAIN;
    shape->form = fl_template_find(t, text);
    if (shape->form == FL_NO_FORM && kind != FL_LINE_ALARMING) {
        shape->form = fl_template_find_tail(t, text);
    }
    if (shape->form == FL_NO_FORM) {
        shape->form = fl_template_add(t, text);
    }
    if (shape->form == FL_NO_FORM) {
        return FL_NOMEM;
    }
    struct fl_counted *f = &t->forms[shape->form];
    shape->rank_at = form.rank_at;
    shape->rank_n = form.rank_n;
    note_head(t, f, &form);
    f->alarming |= kind == FL_LINE_ALARMING;
    f->progress |= kind == FL_LINE_PROGRESS;
    size_t size = 0;
    if (!f->first.text.p) {
        f->rank = rank_of(t, shape, lines->texts[i]);
        return keep_line(t, lines, i, order, &f->first, &size) ? FL_OK : FL_NOMEM;
    }
    return FL_OK;
}

static void count(struct fl_templates *t, const struct fl_template_shape *shape, struct fl_str line,
                  size_t i)
{
    struct fl_counted *f = &t->forms[shape->form];
    f->count[t->group]++;
    if (f->batch != t->batch) {
        f->batch = t->batch;
        t->touched[t->touched_n++] = shape->form;
    }
    f->last_i = (uint32_t)i;
    uint32_t moment = t->moment + (uint32_t)(t->stream_lines / FL_TEMPLATE_EPOCH);
    f->moments += f->moment != moment;
    f->moment = moment;
    long rank = rank_of(t, shape, line);
    size_t bit = rank >= 0 ? (size_t)rank % FL_TEMPLATE_RANKS
                           : FL_TEMPLATE_RANKS + t->stream % FL_TEMPLATE_STREAMS;
    f->ranks[bit / 64] |= UINT64_C(1) << (bit % 64);
    t->tail[t->stream_lines % FL_TEMPLATE_TAIL] = shape->form;
    uint64_t since = t->stream_lines - t->after_from;
    if (f->progress) {
        t->after_from = t->stream_lines + 1;
    } else if (since < FL_TEMPLATE_AFTER) {
        t->after[since] = shape->form;
    }
    t->stream_lines++;
}

static enum fl_status feed_line(struct fl_templates *t, const struct fl_template_lines *lines,
                                size_t i, uint64_t hash, uint64_t order)
{
    struct fl_template_shape *shape = shape_slot(t, hash);
    enum fl_status status = FL_OK;
    if (shape->hash != hash) {
        if (t->n >= FL_TEMPLATES - 1 || t->bytes > FL_TEMPLATES_BYTES) {
            status = keep_last(t, lines, order) ? fl_template_make_room(t) : FL_NOMEM;
        }
        status = status == FL_OK ? learn_shape(t, lines, i, order + i, shape) : status;
        if (status != FL_OK) {
            return status;
        }
        shape->hash = hash;
    }
    count(t, shape, lines->texts[i], i);
    return FL_OK;
}

enum fl_status fl_templates_feed(struct fl_templates *t, const struct fl_template_lines *lines,
                                 struct fl_err *err)
{
    enum fl_status status = FL_OK;
    if (lines->n > t->touched_size) {
        uint32_t *more = realloc(t->touched, lines->n * sizeof *more);
        if (!more) {
            return fl_fail(err, FL_NOMEM, "no memory for templates");
        }
        t->touched = more;
        t->touched_size = lines->n;
    }
    t->batch++;
    for (size_t i = 0; status == FL_OK && i < lines->n; i += FL_TEMPLATE_AHEAD) {
        size_t n = lines->n - i < FL_TEMPLATE_AHEAD ? lines->n - i : FL_TEMPLATE_AHEAD;
        fl_shapes_of(t->hasher, lines->texts + i, n, t->hashes);
        for (size_t k = 0; k < n; k++) {
            __builtin_prefetch(set_of(t, t->hashes[k]));
        }
        for (size_t k = 0; status == FL_OK && k < n; k++) {
            status = feed_line(t, lines, i + k, t->hashes[k], t->lines);
        }
    }
    if (status == FL_OK && !keep_last(t, lines, t->lines)) {
        status = FL_NOMEM;
    }
    t->lines += lines->n;
    return status == FL_OK ? FL_OK : fl_fail(err, status, "no memory for templates");
}

/* What was near the end of the stream does not count as routine. */
static void guard_end(struct fl_templates *t)
{
    uint64_t tail = t->stream_lines < FL_TEMPLATE_TAIL ? t->stream_lines : FL_TEMPLATE_TAIL;
    for (size_t i = 0; i < tail; i++) {
        if (t->tail[i] != FL_NO_FORM) {
            t->forms[t->tail[i]].guarded++;
        }
    }
    for (size_t i = 0; i < FL_TEMPLATE_AFTER; i++) {
        uint64_t line = t->after_from + i;
        if (t->after_from && line + tail < t->stream_lines && t->after[i] != FL_NO_FORM) {
            t->forms[t->after[i]].guarded++;
        }
    }
}

void fl_templates_stream(struct fl_templates *t, uint32_t stream, int group, long rank)
{
    guard_end(t);
    t->moment += (uint32_t)(t->stream_lines / FL_TEMPLATE_EPOCH) + 1;
    t->stream = stream;
    t->group = group;
    t->rank = rank;
    t->stream_lines = t->after_from = 0;
    for (size_t i = 0; i < FL_TEMPLATE_AFTER; i++) {
        t->after[i] = FL_NO_FORM;
    }
}

/* ---- templates ---- */

static void sum_up(struct fl_templates *t, struct fl_str form, const uint32_t *members,
                   uint32_t members_n, struct fl_template *out)
{
    uint64_t ranks[FL_TEMPLATE_RANK_WORDS] = {0};
    *out = (struct fl_template){.form = form, .id = fl_hash(form, 0), .forms = members_n,
                                .members = members};
    for (uint32_t i = 0; i < members_n; i++) {
        const struct fl_counted *f = &t->forms[members[i]];
        out->count[0] += f->count[0];
        out->count[1] += f->count[1];
        out->guarded += f->guarded;
        out->moments += f->moments;
        out->heads |= f->heads;
        out->bare |= f->bare;
        out->headless |= f->headless;
        out->alarming |= f->alarming;
        out->progress |= f->progress;
        if (i == 0 || f->first.order < out->first.order) {
            out->first = f->first;
            out->rank = f->rank;
        }
        if (i == 0 || f->last.order > out->last.order) {
            out->last = f->last;
        }
        for (size_t k = 0; k < FL_TEMPLATE_RANK_WORDS; k++) {
            ranks[k] |= f->ranks[k];
            t->ranks[k] |= f->ranks[k];
        }
    }
    for (size_t k = 0; k < FL_TEMPLATE_RANK_WORDS; k++) {
        out->ranks += (uint32_t)__builtin_popcountll(ranks[k]);
    }
}

static int by_count(const void *x, const void *y)
{
    const struct fl_template *a = x;
    const struct fl_template *b = y;
    uint64_t an = a->count[0] + a->count[1];
    uint64_t bn = b->count[0] + b->count[1];
    if (an != bn) {
        return an > bn ? -1 : 1;
    }
    int order = memcmp(a->form.p, b->form.p, a->form.n < b->form.n ? a->form.n : b->form.n);
    return order ? order : (a->form.n > b->form.n) - (a->form.n < b->form.n);
}

enum fl_status fl_templates_settle(struct fl_templates *t, const struct fl_template **out,
                                   size_t *n_r, struct fl_err *err)
{
    guard_end(t);
    t->stream_lines = t->after_from = 0;
    enum fl_status status = fl_template_fold(t);
    if (status == FL_OK) {
        status = fl_template_join(t->forms, t->n, &t->joined);
    }
    if (status == FL_OK) {
        t->templates = calloc(t->joined.n + 1, sizeof *t->templates);
    }
    if (status != FL_OK || !t->templates) {
        return fl_fail(err, FL_NOMEM, "no memory for templates");
    }
    for (size_t i = 0; i < t->joined.n; i++) {
        const struct fl_joined *one = &t->joined.items[i];
        sum_up(t, (struct fl_str){one->text, one->n}, one->members, one->members_n,
               &t->templates[i]);
    }
    qsort(t->templates, t->joined.n, sizeof *t->templates, by_count);
    *out = t->templates;
    *n_r = t->joined.n;
    return FL_OK;
}

void fl_templates_member(struct fl_templates *t, const uint32_t *member, struct fl_template *out)
{
    sum_up(t, fl_templates_form(t, *member), member, 1, out);
}

uint64_t fl_templates_lines(const struct fl_templates *t)
{
    return t->lines;
}

uint64_t fl_templates_other(const struct fl_templates *t)
{
    return t->other;
}

uint32_t fl_templates_ranks(const struct fl_templates *t)
{
    uint32_t n = 0;
    for (size_t i = 0; i < FL_TEMPLATE_RANK_WORDS; i++) {
        n += (uint32_t)__builtin_popcountll(t->ranks[i]);
    }
    return n;
}

struct fl_str fl_templates_form(const struct fl_templates *t, uint32_t member)
{
    return (struct fl_str){t->forms[member].text, t->forms[member].n};
}

struct fl_str fl_templates_head(const struct fl_templates *t, unsigned bit)
{
    return (struct fl_str){t->heads[bit], t->head_n[bit]};
}
