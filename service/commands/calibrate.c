/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/calibrate.h"

#include "service/base/clock.h"

#include <stdio.h>

static void print_file(const struct fl_calibration *c, size_t cases)
{
    char now[21];
    fl_clock_format(fl_clock_wall_s(), now);
    printf("{\n  \"format\": \"faultline.calibration/1\",\n  \"fitted\": \"%.10s\",\n"
           "  \"cases\": %zu,\n  \"kinds\": {", now, cases);
    for (unsigned i = 0; i < FL_BASES_N; i++) {
        const struct fl_curve *curve = &c->curve[i];
        printf("%s\n    \"%s\": {\"cases\": %ld, \"points\": [", i ? "," : "",
               fl_basis_name((enum fl_basis)i), curve->cases);
        for (size_t k = 0; k < curve->n; k++) {
            printf("%s[%.3f, %.3f]", k ? ", " : "", curve->point[k].score, curve->point[k].chance);
        }
        printf("]}");
    }
    printf("\n  }\n}\n");
}

static void print_table(const struct fl_reliability r[3])
{
    fprintf(stderr, "%-10s %20s  %20s  %20s\n%-10s", "", "before", "after", "cross-validated",
            "confidence");
    for (size_t k = 0; k < 3; k++) {
        fprintf(stderr, "%s%6s %6s %6s", k ? "  " : " ", "cases", "said", "right");
    }
    for (size_t i = 0; i < FL_RELIABILITY_BINS; i++) {
        fprintf(stderr, "\n%.1f to %.1f", (double)i / 10, (double)(i + 1) / 10);
        for (size_t k = 0; k < 3; k++) {
            double n = (double)r[k].bin[i].n;
            if (r[k].bin[i].n) {
                fprintf(stderr, "  %6ld %6.3f %6.3f", r[k].bin[i].n, r[k].bin[i].said / n,
                        r[k].bin[i].right / n);
            } else {
                fprintf(stderr, "  %6s %6s %6s", "-", "", "");
            }
        }
    }
    fprintf(stderr, "\n%-10s %20.3f  %20.3f  %20.3f\n", "error", fl_reliability_error(&r[0]),
            fl_reliability_error(&r[1]), fl_reliability_error(&r[2]));
}

void fl_calibrate_print(struct fl_judged *trials, size_t n)
{
    struct fl_reliability r[3] = {{.n = 0}, {.n = 0}, {.n = 0}};
    struct fl_calibration fit;
    for (int fold = 0; fold < FL_CALIBRATION_FOLDS; fold++) {
        fl_calibration_fit(trials, n, fold, &fit);
        for (size_t i = 0; i < n; i++) {
            const struct fl_judged *t = &trials[i];
            if (fl_trial_is_in(t, fold)) {
                fl_reliability_add(&r[2], fl_curve_at(&fit.curve[t->basis], t->score), t->right);
            }
        }
    }
    fl_calibration_fit(trials, n, -1, &fit);
    for (size_t i = 0; i < n; i++) {
        const struct fl_judged *t = &trials[i];
        fl_reliability_add(&r[0], t->score, t->right);
        fl_reliability_add(&r[1], fl_curve_at(&fit.curve[t->basis], t->score), t->right);
    }
    print_file(&fit, n);
    print_table(r);
}
