/* SPDX-License-Identifier: Apache-2.0 */
/* What the metrics of a job show that no line says: values that stay not finite, a loss that grows,
 * gradients that vanish, a learning rate of zero, a loss scale that collapses, one slow rank, ranks that
 * part, results too good to be true.
 * A detector looks at the whole sample once, after the last line. Its thresholds stand beside it
 * with their reason; they are wide on purpose, since a healthy job must not be blamed.
 * Stateless. */
#pragma once
#include "rules/signals/declared.h"
#include "rules/signals/series.h"

enum { FL_DETECTIONS_MAX = 64, FL_DETECTION_TEXT = 200 };

struct fl_detection {
    const char *metric; /* of the metric table */
    const char *detector; /* id of the declared one that found it, or NULL */
    const char *kind;   /* spike, divergence, nan, explosion, vanishing, plateau, scale_collapse,
                           straggler, memory_growth, leakage, collapse, frozen, desync,
                           silence, fewer_workers, skipping */
    const char *cause;  /* slug, or NULL: it decides nothing */
    double weight;      /* as a rule's confidence: how surely the cause follows */
    long from_step;
    long to_step;
    long rank; /* -1: all, or not known */
    enum fl_severity severity;
    double confidence; /* that the metric does what `kind` says */
    const struct fl_series *series;
    const struct fl_row *row;  /* where it shows first */
    const struct fl_row *end;  /* the last line with the metric */
    const struct fl_row *effect; /* what it did to the steps, or NULL */
    char text[FL_DETECTION_TEXT]; /* one sentence */
    const char *const *steps;     /* what to do, in order; NULL: as for the cause */
    size_t steps_n;
};

/* Returns how many. declared: detectors of files, which the detections borrow from; NULL: none. */
size_t fl_detect(const struct fl_series_set *set, const struct fl_declared *declared,
                 struct fl_detection out[FL_DETECTIONS_MAX]);
