/* SPDX-License-Identifier: Apache-2.0 */
/* What the optimizer works with: gradient norm and learning rate. */
#include "rules/signals/detecting.h"

/* Hundreds of times what it was, all at once. A few runs survive it, so it is told and blames
 * nobody. */
static void explosion(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "grad_norm");
    fl_column_of(s, m, &c);
    for (size_t i = 5; i < c.n; i++) {
        bool may_be = c.v[i] > 1000 && c.v[i] > 500 * fl_smallest(c.v, i);
        double usual = may_be ? fl_median(c.v, i) : 0;
        if (usual > 0 && c.v[i] > 500 * usual) {
            struct fl_detection *d = fl_detecting_add(w, s, c.row[i], m, "explosion");
            char text[FL_NUMBER_BRIEF];
            fl_detecting_blame(d, NULL, 0, "the gradient norm is %s at step %ld, %.0f times the usual",
                               fl_number_brief(c.v[i], text), c.row[i]->step, c.v[i] / usual);
            if (d) {
                d->severity = FL_SEVERITY_LOW;
                d->to_step = c.row[i]->step;
            }
            return;
        }
    }
}

/* A thousandth of what it was, and tiny. */
static void vanishing(struct fl_detecting *w, const struct fl_series *s)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, "grad_norm");
    fl_column_of(s, m, &c);
    if (c.n < 20) {
        return;
    }
    double early = fl_median(c.v, c.n / 4);
    double end = fl_median(c.v + c.n - c.n / 10, c.n / 10);
    if (!(end < 1e-3 * early) || end >= 1e-4) {
        return;
    }
    size_t from = c.n - 1;
    while (from > 0 && c.v[from - 1] < 0.3 * early) {
        from--;
    }
    static const char *const steps[] = {
        "Look at activations and weights of the layers: which went dead (all zero, saturated)?",
        "Check initialisation, normalisation and the activation function; warm up longer",
        "Go back to a checkpoint from before the gradients shrank",
    };
    long step = c.row[from]->step;
    struct fl_detection *d = fl_detecting_add(w, s, c.row[from], m, "vanishing");
    fl_detecting_blame(d, "no_convergence", 0.5,
                       "the gradient norm vanished, from %.3g to %.3g, from step %ld on", early,
                       end, step);
    fl_detecting_advise(d, steps, sizeof steps / sizeof *steps);
    fl_detect_plateau(w, s, step);
}

/* Zero for a good part of the run and until its end. The last step of a schedule may be zero, and
 * so may a value printed with few decimals. */
static void rate_zero(struct fl_detecting *w, const struct fl_series *s)
{
    int m = fl_detecting_metric(w, "learning_rate");
    if (m < 0 || s->count[m] == 0) {
        return;
    }
    const struct fl_tail *tail = &s->tail[m];
    bool long_enough = tail->count >= 10 ? tail->count * 10 >= s->count[m]
                                         : tail->count >= 3 && tail->count == s->count[m];
    bool warms_up = tail->from_step <= 1 && s->last_step[m] < 10; /* rates begin at 0 */
    if (!tail->first || warms_up || tail->value != 0 || !long_enough || s->last.values.rounds[m]) {
        return;
    }
    static const char *const steps[] = {
        "Check the scheduler: its total number of steps, warm-up and decay against the run's length",
        "After a resume: was the scheduler's state restored, and with the same total?",
        "Restart from the checkpoint before the rate became 0",
    };
    struct fl_detection *d = fl_detecting_add(w, s, tail->first, m, "vanishing");
    fl_detecting_blame(d, "config_error", 0.42,
                       "the learning rate is 0 from step %ld until the end of the log",
                       tail->from_step);
    fl_detecting_advise(d, steps, sizeof steps / sizeof *steps);
    fl_detect_plateau(w, s, tail->from_step);
}

void fl_detect_gradients(struct fl_detecting *w, const struct fl_series *s)
{
    vanishing(w, s);
    explosion(w, s);
    rate_zero(w, s);
}
