/* SPDX-License-Identifier: Apache-2.0 */
/* For detectors only: the list that they add to. Each family is a file detect_FAMILY.c. A detector
 * looks at one series and adds at most one detection a metric; it adds none when it is not sure. */
#pragma once
#include "rules/signals/column.h"
#include "rules/signals/detect.h"

struct fl_detecting {
    const struct fl_series_set *set;
    const struct fl_declared *declared; /* or NULL */
    struct fl_detection *out; /* FL_DETECTIONS_MAX */
    size_t n;
};

/* The number of a metric, -1 when no table has it. */
int fl_detecting_metric(const struct fl_detecting *w, const char *name);

/* A detection of high severity from this row to the last line with the metric, or NULL when the list
 * is full. It blames nobody yet. */
struct fl_detection *fl_detecting_add(struct fl_detecting *w, const struct fl_series *s,
                                      const struct fl_row *row, int m, const char *kind);

/* What it shows in one sentence, and the cause that follows from it (NULL: none). d may be NULL. */
void fl_detecting_blame(struct fl_detection *d, const char *cause, double weight, const char *fmt,
                        ...) __attribute__((format(printf, 4, 5)));
/* What to do, in order; the texts must last. d may be NULL. */
void fl_detecting_advise(struct fl_detection *d, const char *const *steps, size_t n);

void fl_detect_numbers(struct fl_detecting *w, const struct fl_series *s);
void fl_detect_loss(struct fl_detecting *w, const struct fl_series *s);
void fl_detect_gradients(struct fl_detecting *w, const struct fl_series *s);
void fl_detect_memory(struct fl_detecting *w, const struct fl_series *s);
void fl_detect_features(struct fl_detecting *w, const struct fl_series *s);
void fl_detect_declared(struct fl_detecting *w, const struct fl_series *s);
/* Of the whole set at once: ranks are compared. */
void fl_detect_speed(struct fl_detecting *w);
void fl_detect_replicas(struct fl_detecting *w);
void fl_detect_workers(struct fl_detecting *w);

/* Is that, though called an accuracy, a rate of errors? Such a one begins above all others, and above
 * 1, where most of the others are not. */
bool fl_detecting_is_error_rate(const struct fl_column *accuracy);

/* Adds a plateau if the loss stands still from this step on: the end of what another detector found. */
void fl_detect_plateau(struct fl_detecting *w, const struct fl_series *s, long from_step);
