/* SPDX-License-Identifier: Apache-2.0 */
/* From scores to chances. The attribution's score puts causes in order; how often a verdict of such
 * a score is right is counted on labelled logs (`faultline eval --calibrate`) and kept in
 * data/calibration.json:
 *
 *   {"format": "faultline.calibration/1", "fitted": "2031-04-02", "cases": 200,
 *    "kinds": {"failed_by_rule": {"cases": 150, "points": [[0.45, 0.7], [0.93, 0.95]]}, ...}}
 *
 * One rising curve a basis of verdicts: straight between its points, level outside. A basis without
 * points, and so a missing or empty file, leaves scores as they are.
 * Limits: FL_CURVE_POINTS points; chances within FL_CHANCE_LEAST and FL_CHANCE_MOST. Nothing here
 * allocates; threads may share a calibration. */
#pragma once
#include "rules/attribute/attribute.h"

enum { FL_CURVE_POINTS = 16 };

#define FL_CHANCE_LEAST 0.01
#define FL_CHANCE_MOST 0.99

struct fl_curve {
    struct fl_curve_point {
        double score;
        double chance;
    } point[FL_CURVE_POINTS];
    size_t n;
    long cases; /* that it was fitted on */
};

struct fl_calibration {
    struct fl_curve curve[FL_BASES_N];
};

/* After a failure *out is the identity; so it is, without one, when there is no such file. */
enum fl_status fl_calibration_load(const char *path, struct fl_calibration *out, struct fl_err *err)
    FL_MUST_USE;

/* The key of a basis in the file. */
const char *fl_basis_name(enum fl_basis basis);

double fl_curve_at(const struct fl_curve *curve, double score);

/* Fills the confidences of the verdict and of its hypotheses from their scores. The cause of a
 * failed verdict is as sure as the verdict; the other hypotheses share what that leaves, in
 * proportion to their scores, and so stay in order. */
void fl_calibrate(const struct fl_calibration *calibration, struct fl_verdict *verdict);

/* ---- fitting and measuring (calibration_fit.c) ---- */

enum { FL_CALIBRATION_FOLDS = 10, FL_RELIABILITY_BINS = 10 };

/* One verdict on a labelled log. */
struct fl_judged {
    enum fl_basis basis;
    double score;
    bool right;
    uint32_t repository; /* where the log is from: fl_repository_hash */
    uint32_t decider;    /* which rule, or signal, decided: fl_text_hash; 0 for none */
    long record;         /* repositories in which the decider decided: the fit's own */
};

/* Of "owner/name" at the front of a label's source, after "https://host/" if that stands there,
 * whatever the case; of the whole source when it does not begin so. */
uint32_t fl_repository_hash(struct fl_str source);
uint32_t fl_text_hash(struct fl_str text);

/* Sorts the trials and fits. fold: leaves out the repositories of that fold (hash modulo
 * FL_CALIBRATION_FOLDS); -1 leaves out none. */
void fl_calibration_fit(struct fl_judged *trials, size_t n, int fold, struct fl_calibration *out);
bool fl_trial_is_in(const struct fl_judged *trial, int fold);

/* What was said beside what came true, by tenths of confidence. Starts as {0}. */
struct fl_reliability {
    struct {
        long n;
        double said;
        double right;
    } bin[FL_RELIABILITY_BINS];
    long n;
};

void fl_reliability_add(struct fl_reliability *r, double confidence, bool right);

/* Expected calibration error: mean distance of said from right, bins weighted by their cases. */
double fl_reliability_error(const struct fl_reliability *r);
