/* SPDX-License-Identifier: Apache-2.0 */
/* Robust statistics only (medians, ranges of the last part against the first): logs hold spikes,
 * warm-up and evaluation lines. Each detector takes one series and may add one detection; stragglers
 * and replicas that part are found by comparing series. A family of detectors is a file. */
#include "rules/signals/detecting.h"

#include <stdarg.h>
#include <stdio.h>

int fl_detecting_metric(const struct fl_detecting *w, const char *name)
{
    return fl_metrics_find(w->set->metrics, fl_str_of(name));
}

struct fl_detection *fl_detecting_add(struct fl_detecting *w, const struct fl_series *s,
                                      const struct fl_row *row, int m, const char *kind)
{
    if (w->n == FL_DETECTIONS_MAX) {
        return NULL;
    }
    const struct fl_row *end = &s->last;
    for (size_t i = s->n; i > 0 && !fl_values_has(&end->values, m); i--) {
        end = &s->rows[i - 1];
    }
    struct fl_detection *d = &w->out[w->n++];
    *d = (struct fl_detection){.metric = fl_metrics_name(w->set->metrics, m), .kind = kind,
                               .from_step = row->step, .to_step = s->last_step[m], .rank = s->rank,
                               .severity = FL_SEVERITY_HIGH, .confidence = 0.9, .series = s,
                               .row = row, .end = end};
    return d;
}

void fl_detecting_blame(struct fl_detection *d, const char *cause, double weight, const char *fmt,
                        ...)
{
    va_list args;
    if (!d) {
        return;
    }
    d->cause = cause;
    d->weight = weight;
    va_start(args, fmt);
    vsnprintf(d->text, sizeof d->text, fmt, args);
    va_end(args);
}

void fl_detecting_advise(struct fl_detection *d, const char *const *steps, size_t n)
{
    if (d) {
        d->steps = steps;
        d->steps_n = n;
    }
}

static bool same_matter(const struct fl_detection *a, const struct fl_detection *b)
{
    return a->metric == b->metric && a->detector == b->detector && a->series->run == b->series->run &&
           strcmp(a->kind, b->kind) == 0;
}

/* Values that all ranks share turn on all of them: of equal detections of a run the earliest stays,
 * with its rank when it is alone in that. */
static void keep_earliest(struct fl_detecting *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->n; i++) {
        struct fl_detection *d = &w->out[i];
        size_t k = 0;
        while (k < kept && !same_matter(&w->out[k], d)) {
            k++;
        }
        if (k == kept) {
            w->out[kept++] = *d;
        } else if (d->from_step < w->out[k].from_step) {
            w->out[k] = *d;
        } else if (d->from_step == w->out[k].from_step && d->rank != w->out[k].rank) {
            w->out[k].rank = -1;
        }
    }
    w->n = kept;
}

size_t fl_detect(const struct fl_series_set *set, const struct fl_declared *declared,
                 struct fl_detection out[FL_DETECTIONS_MAX])
{
    struct fl_detecting w = {.set = set, .declared = declared, .out = out};
    if (!set->metrics) {
        return 0;
    }
    fl_detect_speed(&w);
    fl_detect_replicas(&w);
    for (size_t i = 0; i < set->n; i++) {
        fl_detect_numbers(&w, set->list[i]);
        fl_detect_loss(&w, set->list[i]);
        fl_detect_gradients(&w, set->list[i]);
        fl_detect_memory(&w, set->list[i]);
        fl_detect_features(&w, set->list[i]);
        fl_detect_declared(&w, set->list[i]);
        keep_earliest(&w); /* a thousand ranks must not fill the list */
    }
    fl_detect_workers(&w);
    keep_earliest(&w);
    return w.n;
}
