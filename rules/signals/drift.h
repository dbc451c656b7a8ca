/* SPDX-License-Identifier: Apache-2.0 */
/* Does a column of numbers look like it did in a reference (feature values in training and in
 * serving, a metric in two runs)? It drifted when an effect is large and chance does not explain
 * it: PSI beyond 0.1 (moderate) or 0.25 (large) over what samples of that size show by themselves,
 * with a p-value that stands though many columns are looked at. Stateless. */
#pragma once
#include "rules/base/taxonomy.h"

#include <stdbool.h>
#include <stddef.h>

enum { FL_DRIFT_BINS = 10, FL_DRIFT_LEAST = 20 /* values a side, for any judgement of them */ };

enum fl_drift_kind {
    FL_DRIFT_SHIFT,      /* of the distribution */
    FL_DRIFT_COLLAPSE,   /* the reference varied, now all is one value */
    FL_DRIFT_MISSING,    /* more rows without a value */
    FL_DRIFT_NOT_FINITE, /* more values that are no number */
    FL_DRIFT_KINDS_N
};

struct fl_drift_side {
    const double *v; /* finite, in ascending order */
    size_t n;
    long rows; /* with a value or without; of them: */
    long missing;
    long not_finite;
};

struct fl_drift {
    double psi;
    double js; /* Jensen-Shannon divergence in nats: KL to what both have in common, at most ln 2 */
    double ks; /* Kolmogorov and Smirnov's statistic; of categories the total variation */
    double p;  /* that it, or of categories chi-square, is as large by chance */
    double median[2];  /* of the reference, now; 0 of categories and of no values */
    double missing[2]; /* shares of the rows */
    double not_finite[2];
    unsigned found;            /* a bit a kind */
    enum fl_severity severity; /* of the worst that was found */
};

/* course: the values follow a run's steps. They are not independent of each other, so the middle
 * must have moved by a tenth, too, and no more than medium severity follows. columns: how many are
 * looked at. */
void fl_drift_of(const struct fl_drift_side *reference, const struct fl_drift_side *now,
                 bool course, size_t columns, struct fl_drift *out);

/* The same for categories: how often each of n (at least one) came on either side. v and n of the
 * sides are not looked at. */
void fl_drift_of_counts(const long *reference, const long *now, size_t n,
                        const struct fl_drift_side sides[2], size_t columns, struct fl_drift *out);

const char *fl_drift_kind_name(enum fl_drift_kind kind);

/* A value of a printer (rank, -1: not said) at a step. */
struct fl_at_step {
    long rank;
    long step;
    double v;
};

struct fl_rerun {
    size_t common;          /* steps that both have */
    struct fl_at_step from; /* the first that differs, in the reference; its value now: */
    double now;
    double first; /* relative differences: there, */
    double most;  /* and the largest, at: */
    long most_step;
};

/* Are these two runs of one job with the same seed and order of data, and do they part? They are
 * when they lie far closer to each other, at first, than one step to the next. Lists are in the
 * order of fl_at_step_order; a step that a list has twice is passed over. */
bool fl_rerun_differs(const struct fl_at_step *reference, size_t reference_n,
                      const struct fl_at_step *now, size_t now_n, struct fl_rerun *out);
int fl_at_step_order(const void *a, const void *b);
