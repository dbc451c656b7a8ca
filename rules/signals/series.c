/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/signals/series.h"

#include <math.h>
#include <stdlib.h>

void fl_series_init(struct fl_series_set *set, const struct fl_metrics *metrics,
                    struct fl_arena *arena)
{
    *set = (struct fl_series_set){.metrics = metrics,
                                  .step = fl_metrics_find(metrics, FL_LIT("step")),
                                  .epoch = fl_metrics_find(metrics, FL_LIT("epoch")),
                                  .arena = arena};
}

/* A text of a row, by blocks that the compiler copies through a register: it makes a slow string
 * instruction of one memcpy of up to FL_ROW_TEXT bytes. */
static void keep_text(struct fl_row *row, struct fl_str text)
{
    enum { BLOCK = 16 };
    size_t n = text.n < FL_ROW_TEXT ? text.n : FL_ROW_TEXT;
    row->text_n = n;
    if (n < BLOCK) {
        for (size_t i = 0; i < n; i++) {
            row->text[i] = text.p[i];
        }
        return;
    }
    for (size_t i = 0; i + BLOCK < n; i += BLOCK) {
        memcpy(row->text + i, text.p + i, BLOCK);
    }
    memcpy(row->text + n - BLOCK, text.p + n - BLOCK, BLOCK);
}

/* By hash, next place when taken; half of the places stay free. */
static struct fl_series *series_of(struct fl_series_set *set, uint32_t run,
                                   const struct fl_place *place)
{
    uint32_t key = (run * 31 + place->stream) * 31 + (uint32_t)place->rank;
    uint8_t *taken = &set->place[(key * UINT32_C(2654435761) >> 16) % FL_SERIES_PLACES];
    while (*taken) {
        struct fl_series *s = set->list[*taken - 1];
        if (s->stream == place->stream && s->run == run && s->rank == place->rank) {
            return s;
        }
        taken = taken + 1 < set->place + FL_SERIES_PLACES ? taken + 1 : set->place;
    }
    struct fl_series *s =
        set->n < FL_SERIES_MAX ? fl_arena_alloc(set->arena, sizeof *s) : NULL;
    if (s) {
        *s = (struct fl_series){.stream = place->stream, .run = run, .rank = place->rank,
                                .stride = 1, .said = -1};
        set->list[set->n++] = s;
        *taken = (uint8_t)set->n;
    }
    return s;
}

static bool same(double a, double b)
{
    return isfinite(a) ? a == b : !isfinite(b);
}

static void widen(struct fl_range *range, double value, long before, long step)
{
    bool first = before == range->not_finite;
    if (!isfinite(value)) {
        range->not_finite++;
        return;
    }
    if (first || value < range->least) {
        range->least = value;
        range->least_step = step;
    }
    if (first || value > range->most) {
        range->most = value;
        range->most_step = step;
    }
}

static void follow(struct fl_series_set *set, struct fl_series *s, int metric)
{
    struct fl_tail *tail = &s->tail[metric];
    struct fl_range *range = &s->range[metric];
    double value = s->last.values.value[metric];
    bool usual = value >= range->least && value <= range->most && value != 0; /* and finite */
    if (!usual) {
        widen(range, value, s->count[metric], s->last.step);
    }
    if (s->count[metric]++ > 0 && (usual ? tail->value == value : same(tail->value, value))) {
        tail->count++;
        return;
    }
    tail->value = value;
    tail->digits = s->last.values.digits[metric];
    tail->count = 1;
    tail->from_step = s->last.step;
    if (!usual && (!isfinite(value) || value == 0)) {
        tail->first = tail->first ? tail->first : fl_arena_alloc(set->arena, sizeof *tail->first);
        if (tail->first) {
            *tail->first = s->last;
        }
    }
}

/* Lines of different kinds alternate (loss, throughput, evaluation), so each is counted by itself. */
static size_t kind_of(struct fl_series *s, uint32_t present)
{
    size_t i = 0;
    while (i + 1 < FL_SERIES_KINDS && s->kinds[i].count && s->kinds[i].present != present) {
        i++;
    }
    s->kinds[i].present = present;
    return i;
}

/* Steps that begin anew with each epoch are made to go on. */
static long whole_step(struct fl_series_set *set, struct fl_series *s, size_t kind, long step,
                       const struct fl_values *values)
{
    if (!fl_values_has(values, set->epoch)) {
        return step;
    }
    double epoch = values->value[set->epoch];
    double epochs = epoch - s->kinds[kind].epoch;
    bool anew = epochs > 0 && (step < s->kinds[kind].step ||
                               (step == s->kinds[kind].step && epochs >= 1)); /* one line an epoch */
    if (s->kinds[kind].count && anew) {
        s->kinds[kind].epoch_steps += s->kinds[kind].step;
    }
    s->kinds[kind].epoch = epoch;
    s->kinds[kind].step = step;
    return s->kinds[kind].epoch_steps + step;
}

/* Of a line that tells no step. An epoch has one at least; where nothing but epochs is told, one on each
 * line of a kind, they are the steps; else lines are counted. */
static long step_without(struct fl_series_set *set, struct fl_series *s, size_t kind,
                         const struct fl_values *values)
{
    double epoch = fl_values_has(values, set->epoch) ? values->value[set->epoch] : -1;
    bool whole = epoch >= 0 && epoch < 1e9 && epoch == floor(epoch);
    if (s->said >= 0) {
        return whole && epoch > (double)s->said ? (long)epoch : s->said;
    }
    s->kinds[kind].by_line |= !whole || (s->kinds[kind].count && epoch <= s->kinds[kind].epoch);
    s->kinds[kind].epoch = epoch;
    return s->kinds[kind].by_line ? s->seen : (long)epoch;
}

static bool is_sampled(const struct fl_series *s, const struct fl_row *row)
{
    return (row->ordinal & (s->stride - 1)) == 0;
}

/* Makes room for one row; of a full table every second row of each kind goes. */
static bool make_room(struct fl_series_set *set, struct fl_series *s)
{
    if (s->n < s->size) {
        return true;
    }
    bool small = s->size < FL_SERIES_ROWS / 4 || set->bytes < FL_SERIES_BYTES;
    if (s->size < FL_SERIES_ROWS && small) {
        size_t size = s->size ? s->size * 4 : 16;
        struct fl_row *more = realloc(s->rows, size * sizeof *more);
        if (!more) {
            return false;
        }
        set->bytes += (size - s->size) * sizeof *more;
        s->rows = more;
        s->size = size;
        return true;
    }
    size_t kept = 0;
    while (kept == 0 || kept == s->n) {
        kept = 0;
        s->stride *= 2;
        for (size_t i = 0; i < s->n; i++) {
            if (is_sampled(s, &s->rows[i])) {
                s->rows[kept++] = s->rows[i];
            }
        }
    }
    s->n = kept;
    return true;
}

void fl_series_add(struct fl_series_set *set, uint32_t run, const struct fl_place *place,
                   uint64_t order, long step, const struct fl_values *values,
                   struct fl_str text)
{
    if (!set->metrics) {
        return;
    }
    uint32_t axis = fl_series_axis(set);
    struct fl_series *s = values->present & ~axis ? series_of(set, run, place) : NULL;
    if (!s) {
        return;
    }
    if (step < 0 && fl_values_has(values, set->step) && values->value[set->step] >= 0 &&
        values->value[set->step] < 1e15) {
        step = (long)values->value[set->step];
    }
    struct fl_row *row = &s->last;
    size_t kind = kind_of(s, values->present & ~axis);
    if (step >= 0) {
        s->said = row->step = whole_step(set, s, kind, step, values);
    } else {
        row->step = step_without(set, s, kind, values);
    }
    row->ordinal = s->kinds[kind].count++;
    row->number = s->seen;
    row->order = order;
    row->place = *place;
    row->place.node = (struct fl_str){NULL, 0};
    row->values.present = values->present;
    keep_text(row, text);
    for (uint32_t left = values->present; left; left &= left - 1) {
        int m = __builtin_ctz(left);
        row->values.value[m] = values->value[m];
        row->values.digits[m] = values->digits[m];
        row->values.rounds[m] = values->rounds[m];
        s->last_step[m] = row->step;
        follow(set, s, m);
    }
    s->seen++;
    if (is_sampled(s, row) && make_room(set, s) && is_sampled(s, row)) {
        s->rows[s->n++] = *row;
    }
}

void fl_series_fini(struct fl_series_set *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free(set->list[i]->rows);
    }
    set->n = 0;
}
