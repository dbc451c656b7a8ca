/* SPDX-License-Identifier: Apache-2.0 */
/* The table of forms, and what is done when it is full. */
#include "rules/template/template_table.h"

#include "service/base/hash.h"

#include <stdlib.h>

enum { SLOTS = 2 * FL_TEMPLATES, RARE = 3 };

void fl_template_free_form(struct fl_counted *f)
{
    free(f->text);
    free((char *)(uintptr_t)f->first.text.p);
    free((char *)(uintptr_t)f->last.text.p);
}

static uint32_t *slot_of(const struct fl_templates *t, struct fl_str text, uint64_t hash)
{
    for (size_t i = hash % SLOTS;; i = (i + 1) % SLOTS) {
        uint32_t form = t->slots[i];
        if (!form || (t->forms[form - 1].hash == hash &&
                      fl_str_eq((struct fl_str){t->forms[form - 1].text, t->forms[form - 1].n},
                                text))) {
            return &t->slots[i];
        }
    }
}

uint32_t fl_template_find(const struct fl_templates *t, struct fl_str text)
{
    return *slot_of(t, text, fl_hash(text, 0)) - 1; /* FL_NO_FORM when 0 */
}

uint32_t fl_template_find_tail(const struct fl_templates *t, struct fl_str text)
{
    char tail[FL_FORM_BYTES + 1];
    for (size_t words = 1; t->has_tails && words <= FL_TEMPLATE_TAIL_WORDS; words++) {
        struct fl_str head = fl_template_words(text, words);
        if (head.n == 0) {
            break;
        }
        memcpy(tail, head.p, head.n);
        tail[head.n] = FL_FIELD_REST;
        uint32_t form = fl_template_find(t, (struct fl_str){tail, head.n + 1});
        if (form != FL_NO_FORM) {
            return form;
        }
    }
    return FL_NO_FORM;
}

uint32_t fl_template_add(struct fl_templates *t, struct fl_str text)
{
    struct fl_counted *f = &t->forms[t->n];
    char *copy = t->n < FL_TEMPLATES ? malloc(text.n + 1) : NULL;
    if (!copy) {
        return FL_NO_FORM;
    }
    memcpy(copy, text.p, text.n);
    *f = (struct fl_counted){.hash = fl_hash(text, 0), .text = copy, .n = (uint32_t)text.n,
                             .rank = -1};
    *slot_of(t, text, f->hash) = t->n + 1;
    t->bytes += text.n;
    return t->n++;
}

static int by_rarity(const void *x, const void *y, void *ctx)
{
    const struct fl_counted *forms = ctx;
    const struct fl_counted *a = &forms[*(const uint32_t *)x];
    const struct fl_counted *b = &forms[*(const uint32_t *)y];
    uint64_t an = a->count[0] + a->count[1];
    uint64_t bn = b->count[0] + b->count[1];
    return an != bn ? (an < bn ? -1 : 1) : (a->hash > b->hash) - (a->hash < b->hash);
}

/* Takes out the forms that `gone` names (index to FL_NO_FORM; else stays) and closes the gaps. */
static void remove_forms(struct fl_templates *t, uint32_t *gone)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        struct fl_counted *f = &t->forms[i];
        if (gone[i] == FL_NO_FORM) {
            t->bytes -= f->n + f->first.text.n + f->last_size;
            fl_template_free_form(f);
            continue;
        }
        gone[i] = kept;
        t->forms[kept++] = *f;
    }
    for (size_t i = 0; i < FL_TEMPLATE_TAIL && i < t->stream_lines; i++) {
        t->tail[i] = t->tail[i] < t->n ? gone[t->tail[i]] : FL_NO_FORM;
    }
    for (size_t i = 0; i < FL_TEMPLATE_AFTER; i++) {
        t->after[i] = t->after[i] < t->n ? gone[t->after[i]] : FL_NO_FORM;
    }
    t->n = kept;
    memset(t->slots, 0, SLOTS * sizeof *t->slots);
    memset(t->shapes, 0, FL_TEMPLATE_SHAPES * sizeof *t->shapes);
    for (uint32_t i = 0; i < t->n; i++) {
        struct fl_counted *f = &t->forms[i];
        *slot_of(t, (struct fl_str){f->text, f->n}, f->hash) = i + 1;
    }
}

static enum fl_status drop_rarest(struct fl_templates *t)
{
    uint32_t *order = calloc(t->n + 1U, sizeof *order);
    uint32_t *gone = calloc(t->n + 1U, sizeof *gone);
    if (order && gone) {
        for (uint32_t i = 0; i < t->n; i++) {
            order[i] = i;
        }
        qsort_r(order, t->n, sizeof *order, by_rarity, t->forms);
        for (uint32_t i = 0; i < t->n / 4; i++) {
            const struct fl_counted *f = &t->forms[order[i]];
            t->other += f->count[0] + f->count[1];
            gone[order[i]] = FL_NO_FORM;
        }
        remove_forms(t, gone);
    }
    bool room = order && gone;
    free(order);
    free(gone);
    return room ? FL_OK : FL_NOMEM;
}

static enum fl_status add_tail(void *ctx, struct fl_str text)
{
    struct fl_templates *t = ctx;
    uint32_t form = fl_template_find(t, text);
    if (form == FL_NO_FORM && t->n < FL_TEMPLATES) {
        form = fl_template_add(t, text);
        if (form == FL_NO_FORM) {
            return FL_NOMEM;
        }
        t->forms[form].tail = t->has_tails = true;
    }
    return FL_OK;
}

static void add_counts(struct fl_counted *into, struct fl_counted *from)
{
    into->count[0] += from->count[0];
    into->count[1] += from->count[1];
    into->guarded += from->guarded;
    into->heads |= from->heads;
    into->bare |= from->bare;
    into->headless |= from->headless;
    into->progress |= from->progress;
    into->moments += from->moments;
    for (size_t i = 0; i < sizeof into->ranks / sizeof *into->ranks; i++) {
        into->ranks[i] |= from->ranks[i];
    }
    if (!into->first.text.p || from->first.order < into->first.order) {
        struct fl_template_line line = into->first;
        into->first = from->first;
        from->first = line;
        into->rank = from->rank;
    }
    if (!into->last.text.p || from->last.order > into->last.order) {
        struct fl_template_line line = into->last;
        size_t size = into->last_size;
        into->last = from->last;
        into->last_size = from->last_size;
        from->last = line;
        from->last_size = size;
    }
}

enum fl_status fl_template_fold(struct fl_templates *t)
{
    uint32_t had = t->n;
    uint32_t *gone = calloc(FL_TEMPLATES + 1U, sizeof *gone);
    enum fl_status status = gone ? fl_template_tails(t->forms, had, add_tail, t) : FL_NOMEM;
    for (uint32_t i = 0; status == FL_OK && t->has_tails && i < t->n; i++) {
        struct fl_counted *f = &t->forms[i];
        uint64_t count = f->count[0] + f->count[1];
        if (f->tail || f->alarming || count > RARE) {
            continue;
        }
        uint32_t tail = fl_template_find_tail(t, (struct fl_str){f->text, f->n});
        if (tail != FL_NO_FORM) {
            add_counts(&t->forms[tail], f);
            gone[i] = FL_NO_FORM;
        }
    }
    for (uint32_t i = 0; status == FL_OK && i < t->n; i++) {
        gone[i] = t->forms[i].tail && t->forms[i].count[0] + t->forms[i].count[1] == 0 ? FL_NO_FORM
                                                                                       : gone[i];
    }
    if (status == FL_OK && t->has_tails) {
        remove_forms(t, gone);
    }
    free(gone);
    return status;
}

enum fl_status fl_template_make_room(struct fl_templates *t)
{
    enum fl_status status = fl_template_fold(t);
    bool tight = t->n > FL_TEMPLATES / 4 * 3 || t->bytes > FL_TEMPLATES_BYTES / 4 * 3;
    return status == FL_OK && tight ? drop_rarest(t) : status;
}
