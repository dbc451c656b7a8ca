/* SPDX-License-Identifier: Apache-2.0 */
/* Values that stay not finite, and what a scaler does about them. */
#include "rules/signals/detecting.h"

#include <math.h>

/* From here on most values of the metric are not finite. */
static const struct fl_row *storm(const struct fl_series *s, int m)
{
    const struct fl_row *from = NULL;
    long odd = 0;
    for (size_t i = s->n; i > 0; i--) {
        const struct fl_row *row = &s->rows[i - 1];
        if (fl_values_has(&row->values, m)) {
            odd += isfinite(row->values.value[m]) ? -1 : 1;
            from = odd >= 0 && !isfinite(row->values.value[m]) ? row : from;
        }
    }
    return from;
}

/* Several in a row at the end: mixed precision skips a step now and then, and the first lines of a
 * run may show a gradient norm of nan by design. */
static void not_finite(struct fl_detecting *w, const struct fl_series *s)
{
    static const char *const names[] = {"loss", "grad_norm"};
    static const long enough[] = {2, 3};
    for (size_t i = 0; i < 2; i++) {
        int m = fl_detecting_metric(w, names[i]);
        const struct fl_tail *tail = m >= 0 ? &s->tail[m] : NULL;
        if (tail && tail->count >= enough[i] && !isfinite(tail->value) && tail->first) {
            bool grows = i == 1 && isinf(tail->value);
            const struct fl_row *from = grows ? storm(s, m) : NULL;
            struct fl_detection *d = fl_detecting_add(w, s, from ? from : tail->first, m,
                                                      grows ? "explosion" : "nan");
            fl_detecting_blame(d, "numerical_instability", 0.62,
                               "the %s is not finite from step %ld until the end of the log",
                               i ? "gradient norm" : "loss", tail->from_step);
        }
    }
}

/* A running mean that leaves out values that are not finite stops moving: the same long number
 * again and again. */
static void frozen(struct fl_detecting *w, const struct fl_series *s)
{
    int m = fl_detecting_metric(w, "loss");
    if (m < 0 || s->count[m] == 0) {
        return;
    }
    const struct fl_tail *tail = &s->tail[m];
    bool varied = s->count[m] >= tail->count + 5;
    if (tail->count < 10 || !varied || !isfinite(tail->value) || tail->value == 0 ||
        tail->digits < 7) {
        return;
    }
    const struct fl_row *row = &s->last;
    for (size_t i = 0; i < s->n; i++) {
        if (s->rows[i].step >= tail->from_step && fl_values_has(&s->rows[i].values, m) &&
            s->rows[i].values.value[m] == tail->value) {
            row = &s->rows[i];
            break;
        }
    }
    struct fl_detection *d = fl_detecting_add(w, s, row, m, "nan");
    if (d) {
        d->from_step = tail->from_step;
    }
    fl_detecting_blame(d, "numerical_instability", 0.6,
                       "the loss is frozen at %.10g from step %ld on: new values are not finite and "
                       "not averaged in", tail->value, tail->from_step);
}

/* Halved again and again until next to nothing is left (DeepSpeed's and Megatron's scalers stop at
 * 1); at the start of a run a scale falls a few times from 2^16 or 2^32 and stays. */
static void scale_collapse(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "loss_scale");
    fl_column_of(s, m, &c);
    if (c.n < 4) {
        return;
    }
    size_t from = c.n - 1;
    while (from > 0 && c.v[from - 1] >= c.v[from]) {
        from--;
    }
    while (from + 1 < c.n && c.v[from + 1] == c.v[from]) {
        from++;
    }
    size_t drop = c.n - 1;
    while (drop > 0 && c.v[drop - 1] == c.v[drop]) {
        drop--;
    }
    double end = c.v[c.n - 1];
    if (end > 1 && s->last.number - c.row[drop]->number > 3) {
        return; /* steps went on with what is left */
    }
    if (end <= 16 && c.v[from] >= 16 * end) {
        struct fl_detection *d = fl_detecting_add(w, s, c.row[from + 1 < c.n ? from + 1 : from], m,
                                                  "scale_collapse");
        fl_detecting_blame(d, "numerical_instability", 0.55,
                           "the loss scale fell from %g to %g: every step overflows", c.v[from],
                           end);
        if (d) {
            d->row = c.row[c.n - 1];
        }
    }
}

void fl_detect_numbers(struct fl_detecting *w, const struct fl_series *s)
{
    not_finite(w, s);
    frozen(w, s);
    scale_collapse(w, s);
}
