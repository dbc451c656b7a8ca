/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks that print a value which all of them share (the averaged loss, the norm of all gradients)
 * agree to the last digit. Where they did, while it changed, and no longer do, their weights or
 * data went apart. Ranks that print a loss of their own never agreed. */
#include "rules/signals/detecting.h"

#include <math.h>

enum { AGREED = 10, APART = 5 };

static const double same_digits = 1e-5, by_rounding = 1e-3; /* relative */

struct parting {
    const struct fl_row *a; /* where it begins; NULL: they do not part */
    const struct fl_row *b;
    double most; /* relative difference */
};

static double away(double a, double b)
{
    double size = fmax(fabs(a), fabs(b));
    return size > 0 ? fabs(a - b) / size : 0;
}

/* Steps are looked up from the front in both. First they must agree in ten steps, with five values;
 * then differ in five, and be the same by chance in one of five at most. */
static struct parting parting_of(const struct fl_column *a, const struct fl_column *b)
{
    struct parting p = {.a = NULL};
    size_t k = 0;
    size_t agreed = 0;
    size_t changes = 0;
    size_t apart = 0;
    size_t again = 0; /* the same after they parted */
    double before = (double)NAN;
    for (size_t i = 0; i < a->n; i++) {
        while (k < b->n && b->row[k]->step < a->row[i]->step) {
            k++;
        }
        if (k == b->n || b->row[k]->step != a->row[i]->step) {
            continue;
        }
        double d = away(a->v[i], b->v[k]);
        if (d > same_digits) {
            p = apart++ ? p : (struct parting){a->row[i], b->row[k], 0};
            p.most = d > p.most ? d : p.most;
            continue;
        }
        changes += a->v[i] != before && apart == 0;
        before = a->v[i];
        agreed += apart == 0;
        again += apart > 0;
        if (again > apart) {
            apart = again = 0;
        }
    }
    bool parted = agreed >= AGREED && changes >= 5 && apart >= APART && 5 * again <= apart;
    return parted ? p : (struct parting){.a = NULL};
}

/* Each is held against the first one. Where all others leave it, and together, it left them. */
static void part(struct fl_detecting *w, const char *name)
{
    int m = fl_detecting_metric(w, name);
    const struct fl_series *first = NULL;
    const struct fl_series *odd = NULL;
    const struct fl_series *second = NULL;
    struct fl_column a;
    struct fl_column b;
    struct parting earliest = {.a = NULL};
    size_t others = 0;
    size_t parted = 0;
    bool together = true;
    for (size_t i = 0; i < w->set->n; i++) {
        const struct fl_series *s = w->set->list[i];
        fl_column_of(s, m, &b);
        if (s->rank < 0 || b.n < AGREED + APART) {
            continue;
        }
        if (!first) {
            first = s;
            a = b;
            continue;
        }
        if (s->run != first->run || s->rank == first->rank) {
            continue;
        }
        struct parting p = parting_of(&a, &b);
        others++;
        if (!p.a) {
            continue;
        }
        if (second) {
            struct fl_column c;
            fl_column_of(second, m, &c);
            together &= parting_of(&c, &b).a == NULL;
        }
        second = second ? second : s;
        parted++;
        if (!earliest.a || p.a->step < earliest.a->step) {
            earliest = p;
            odd = s;
        }
    }
    if (!parted) {
        return;
    }
    bool first_left = parted == others && parted > 1 && together;
    bool known = first_left || (parted == 1 && others > 1);
    const struct fl_row *row = first_left ? earliest.a : earliest.b;
    struct fl_detection *d = fl_detecting_add(w, first_left ? first : odd, row, m, "desync");
    fl_detecting_blame(d, NULL, 0,
                       "ranks no longer agree on the %s from step %ld on, by up to %.2g %%", name,
                       row->step, 100 * earliest.most);
    if (d) {
        d->rank = known ? d->rank : -1;
        d->severity = earliest.most > by_rounding ? FL_SEVERITY_HIGH : FL_SEVERITY_LOW;
    }
}

void fl_detect_replicas(struct fl_detecting *w)
{
    part(w, "loss");
    part(w, "grad_norm");
}
