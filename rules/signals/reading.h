/* SPDX-License-Identifier: Apache-2.0 */
/* Where the numbers of a line of progress stand. Of lines that differ in their digits only they
 * stand in the same places, so a reading is found once for a shape (match/shape.h) and then only
 * followed. Stateless. */
#pragma once
#include "rules/match/captures.h"
#include "rules/signals/metrics.h"

struct fl_reading {
    struct fl_spot step;    /* n is 0 where there is none */
    struct fl_spot done;    /* a progress bar's count */
    struct fl_spot batches;
    struct fl_spot epoch;
    struct fl_spot epoch_from_1;
    struct fl_spot epoch_steps; /* how many steps an epoch has, where they begin anew in each */
    struct fl_spots values;
};

/* Captures with a metric's name come before what the text says. metrics may be NULL. Places are those
 * in text, which holds the captures. */
void fl_reading_find(const struct fl_metrics *metrics, const struct fl_captures *captures,
                     struct fl_str text, struct fl_reading *out);

/* The step among all of the run, -1 when the line tells none. */
long fl_reading_step(const struct fl_reading *reading, struct fl_str text);

/* The whole number at a spot of the text ("61,200" is 61), -1 when there is none. */
long fl_reading_number(struct fl_spot spot, struct fl_str text);
