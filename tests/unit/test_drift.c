/* SPDX-License-Identifier: Apache-2.0 */
/* Drift of a column: what is found, that chance is not, and where a rerun parts. */
#include "tests/unit/test.h"

#include "rules/signals/drift.h"

#include <math.h>
#include <stdint.h>

enum { MOST = 4096 };

static double uniform(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(*seed >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *seed)
{
    double u = uniform(seed);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * uniform(seed));
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* n values of a normal distribution, or constants when wide is 0, in order. */
static struct fl_drift_side side(double *v, size_t n, double middle, double wide, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = middle + wide * normal(seed);
    }
    qsort(v, n, sizeof *v, by_value);
    return (struct fl_drift_side){.v = v, .n = n, .rows = (long)n};
}

static struct fl_drift drift(size_t n, size_t m, double middle, double wide, bool course,
                             uint64_t seed)
{
    double a[MOST];
    double b[MOST];
    struct fl_drift d;
    struct fl_drift_side was = side(a, n, 10, 1, &seed);
    struct fl_drift_side is = side(b, m, middle, wide, &seed);
    fl_drift_of(&was, &is, course, 1, &d);
    return d;
}

TEST(the_same_distribution_is_no_drift)
{
    static const size_t sizes[][2] = {{20, 20}, {30, 4000}, {4000, 30}, {200, 200}, {4000, 4000}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int alarms = 0;
        int unlikely = 0;
        for (uint64_t seed = 1; seed <= 1000; seed++) {
            struct fl_drift d = drift(sizes[k][0], sizes[k][1], 10, 1, false, seed * 77);
            alarms += d.found != 0;
            unlikely += d.p < 0.05;
        }
        CHECK(alarms <= 5);
        CHECK(unlikely >= 15 && unlikely <= 80); /* p is what it says: about 50 */
    }
}

TEST(a_shift_and_its_size)
{
    /* of normal distributions a mean that moves by x gives PSI x * x, but for the binning */
    struct fl_drift d = drift(4000, 4000, 10.4, 1, false, 3);
    CHECK(d.found == 1U << FL_DRIFT_SHIFT && d.severity == FL_SEVERITY_MEDIUM);
    CHECK(d.psi > 0.11 && d.psi < 0.2 && d.p < 1e-9 && d.js > 0.01 && d.js < d.psi / 4);
    d = drift(4000, 4000, 10.8, 1, false, 3);
    CHECK(d.found == 1U << FL_DRIFT_SHIFT && d.severity == FL_SEVERITY_HIGH);
    CHECK(fabs(d.ks - 0.31) < 0.03); /* 2 Phi(0.4) - 1 */
    CHECK(drift(4000, 4000, 10.1, 1, false, 3).found == 0); /* sure, and small */
    CHECK(drift(25, 25, 10.4, 1, false, 9).found == 0);     /* large, and may be chance */
    CHECK(drift(4000, 4000, 10, 3, false, 3).found == 1U << FL_DRIFT_SHIFT);
    CHECK(drift(19, 4000, 20, 1, false, 3).found == 0); /* too few to say anything */
    d = drift(400, 400, 10.8, 1, true, 3); /* a metric that is 8 % higher throughout */
    CHECK(d.found == 0 && d.psi > 0.25);
    d = drift(400, 400, 12, 1, true, 3);
    CHECK(d.found == 1U << FL_DRIFT_SHIFT && d.severity == FL_SEVERITY_MEDIUM);
}

TEST(many_columns_need_more_proof)
{
    double a[60];
    double b[60];
    uint64_t seed = 12;
    struct fl_drift d;
    struct fl_drift_side was = side(a, 60, 10, 1, &seed);
    struct fl_drift_side is = side(b, 60, 11, 1, &seed);
    fl_drift_of(&was, &is, false, 1, &d);
    CHECK(d.found == 1U << FL_DRIFT_SHIFT);
    fl_drift_of(&was, &is, false, 10000000, &d);
    CHECK(d.found == 0);
}

TEST(a_column_collapses)
{
    struct fl_drift d = drift(400, 400, 10, 0, false, 5);
    CHECK(d.found == 1U << FL_DRIFT_COLLAPSE && d.severity == FL_SEVERITY_HIGH);
    CHECK(drift(400, 400, 10, 1e-5, false, 5).found == 1U << FL_DRIFT_COLLAPSE);
    double rare[400] = {0}; /* a flag that is set once in a hundred rows, and now was not */
    double none[60] = {0};
    rare[396] = rare[397] = rare[398] = rare[399] = 1;
    struct fl_drift_side was = {.v = rare, .n = 400, .rows = 400};
    struct fl_drift_side is = {.v = none, .n = 60, .rows = 60};
    fl_drift_of(&was, &is, false, 1, &d);
    CHECK_EQ_INT(d.found, 0);
    fl_drift_of(&is, &is, false, 1, &d); /* it never varied */
    CHECK_EQ_INT(d.found, 0);
    CHECK(d.psi == 0 && d.p == 1);
}

TEST(rows_without_a_number)
{
    static const struct {
        long rows, missing[2], not_finite[2];
        unsigned found;
        enum fl_severity severity;
    } all[] = {
        {1000, {10, 100}, {0, 0}, 1U << FL_DRIFT_MISSING, FL_SEVERITY_MEDIUM},
        {1000, {10, 400}, {0, 0}, 1U << FL_DRIFT_MISSING, FL_SEVERITY_HIGH},
        {1000, {10, 40}, {0, 5}, 0, FL_SEVERITY_LOW},
        {1000, {400, 10}, {300, 0}, 0, FL_SEVERITY_LOW}, /* it got better */
        {1000, {0, 0}, {0, 30}, 1U << FL_DRIFT_NOT_FINITE, FL_SEVERITY_MEDIUM},
        {30, {2, 6}, {0, 0}, 0, FL_SEVERITY_LOW}, /* may be chance */
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct fl_drift d;
        struct fl_drift_side was = {.rows = all[i].rows, .missing = all[i].missing[0], .not_finite = all[i].not_finite[0]};
        struct fl_drift_side is = {.rows = all[i].rows, .missing = all[i].missing[1], .not_finite = all[i].not_finite[1]};
        fl_drift_of(&was, &is, false, 1, &d);
        CHECK_EQ_INT(d.found, all[i].found);
        CHECK(!d.found || d.severity == all[i].severity);
    }
}

TEST(categories)
{
    static const long was[] = {500, 300, 200, 0};
    static const long same[] = {52, 31, 17, 0};
    static const long other[] = {100, 300, 200, 0};
    static const long fresh[] = {450, 250, 150, 150};
    const struct fl_drift_side sides[2] = {{.rows = 1000}, {.rows = 1000}};
    struct fl_drift d;
    fl_drift_of_counts(was, same, 4, sides, 1, &d);
    CHECK(d.found == 0 && d.p > 0.05 && d.ks < 0.05);
    fl_drift_of_counts(was, other, 4, sides, 1, &d);
    CHECK(d.found == 1U << FL_DRIFT_SHIFT && d.p < 1e-9);
    fl_drift_of_counts(was, fresh, 4, sides, 1, &d);
    CHECK(d.found == 1U << FL_DRIFT_SHIFT && d.severity == FL_SEVERITY_HIGH);
}

/* A noisy loss; from step `parts` on it is off by a share that grows. */
static size_t loss(struct fl_at_step *out, size_t n, uint64_t seed, size_t parts)
{
    for (size_t i = 0; i < n; i++) {
        double v = 2 + 8 * exp(-(double)i / 60) + 0.05 * normal(&seed);
        double off = i >= parts ? 1e-6 * (double)(1 + i - parts) : 0;
        out[i] = (struct fl_at_step){-1, (long)i * 10, v * (1 + off)};
    }
    return n;
}

TEST(a_rerun_parts)
{
    struct fl_at_step a[300];
    struct fl_at_step b[300];
    struct fl_rerun r;
    size_t n = loss(a, 300, 1, 300);
    CHECK(!fl_rerun_differs(a, n, b, loss(b, 300, 1, 300), &r)); /* the same to the last bit */
    CHECK_EQ_INT(r.common, 300);
    CHECK(fl_rerun_differs(a, n, b, loss(b, 300, 1, 120), &r));
    CHECK(r.from.step == 1200 && r.from.v == a[120].v && r.now == b[120].v && r.most_step == 2990);
    CHECK(fabs(r.first - 1e-6) < 1e-9 && fabs(r.most - 1.8e-4) < 1e-6);
    CHECK(fl_rerun_differs(a, n, b, loss(b, 300, 1, 0), &r)); /* from the start, by little */
    CHECK_EQ_INT(r.from.step, 0);
    CHECK(!fl_rerun_differs(a, n, b, loss(b, 300, 2, 300), &r)); /* another seed: another run */
    loss(b, 300, 1, 120);
    CHECK(fl_rerun_differs(a + 100, n - 100, b, 300, &r)); /* one of them begins later */
    CHECK_EQ_INT(r.from.step, 1200);
    b[121].step = b[120].step; /* said twice: which of them is it? */
    CHECK(fl_rerun_differs(a, n, b, 300, &r));
    CHECK_EQ_INT(r.from.step, 1220);
    CHECK(!fl_rerun_differs(a, 4, b, 4, &r));
}

int main(void)
{
    RUN(the_same_distribution_is_no_drift);
    RUN(a_shift_and_its_size);
    RUN(many_columns_need_more_proof);
    RUN(a_column_collapses);
    RUN(rows_without_a_number);
    RUN(categories);
    RUN(a_rerun_parts);
    return test_result();
}
