/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "rules/attribute/calibration.h"

#include <math.h>
#include <unistd.h>

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static struct fl_calibration fitted(struct fl_judged *trials, size_t n)
{
    struct fl_calibration c;
    fl_calibration_fit(trials, n, -1, &c);
    return c;
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

TEST(without_cases_scores_stay)
{
    struct fl_calibration c = fitted(NULL, 0);
    for (unsigned basis = 0; basis < FL_BASES_N; basis++) {
        for (double score = 0.01; score < 0.99; score += 0.07) {
            CHECK(near(fl_curve_at(&c.curve[basis], score), score));
        }
    }
    CHECK(fl_curve_at(&c.curve[0], 0) > 0 && fl_curve_at(&c.curve[0], 1) < 1);
}

TEST(curves_rise_and_are_bounded)
{
    static struct fl_judged trials[3000];
    uint32_t seed = 7;
    for (int round = 0; round < 60; round++) {
        size_t n = next(&seed) % (round < 30 ? 40 : 3000);
        for (size_t i = 0; i < n; i++) {
            double score = (next(&seed) % (round % 2 ? 8 : 1000)) / 1000.0 * (round % 2 ? 125 : 1);
            trials[i] = (struct fl_judged){next(&seed) % FL_BASES_N, score, next(&seed) % 5 != 0,
                                          next(&seed) % 50, next(&seed) % 20, 0};
        }
        struct fl_calibration c = fitted(trials, n);
        for (unsigned basis = 0; basis < FL_BASES_N; basis++) {
            const struct fl_curve *curve = &c.curve[basis];
            double last = 0;
            CHECK(curve->n <= FL_CURVE_POINTS && (curve->n > 0) == (curve->cases > 0));
            for (double score = 0; score <= 1; score += 0.001) {
                double chance = fl_curve_at(curve, score);
                CHECK(chance >= FL_CHANCE_LEAST && chance <= FL_CHANCE_MOST && chance >= last - 1e-12);
                last = chance;
            }
        }
    }
}

/* 200 proven verdicts said at 0.5 and 200 at 0.9; of the former half are right, of the latter all. */
TEST(counts_what_is_right)
{
    struct fl_judged trials[400];
    for (uint32_t i = 0; i < 400; i++) {
        bool high = i >= 200;
        trials[i] = (struct fl_judged){FL_BASIS_RULE, high ? 0.9 : 0.5, high || i % 2, i, 1, 0};
    }
    struct fl_calibration c = fitted(trials, 400);
    const struct fl_curve *curve = &c.curve[FL_BASIS_RULE];
    CHECK_EQ_INT(curve->n, 2);
    CHECK_EQ_INT(curve->cases, 400);
    CHECK(fabs(fl_curve_at(curve, 0.5) - 0.5) < 0.02);
    CHECK(fl_curve_at(curve, 0.9) > 0.98);
    CHECK(fabs(fl_curve_at(curve, 0.7) - 0.75) < 0.02);
    CHECK(near(fl_curve_at(&c.curve[FL_BASIS_SIGNAL], 0.7), 0.7));
}

TEST(pools_what_falls)
{
    struct fl_judged trials[200];
    for (uint32_t i = 0; i < 200; i++) {
        bool high = i >= 100;
        trials[i] = (struct fl_judged){FL_BASIS_RULE, high ? 0.9 : 0.5, !high, i, 1, 0};
    }
    struct fl_calibration c = fitted(trials, 200);
    CHECK_EQ_INT(c.curve[FL_BASIS_RULE].n, 1);
    CHECK(fabs(fl_curve_at(&c.curve[FL_BASIS_RULE], 0.9) - 0.5) < 0.02);
}

TEST(few_cases_move_little)
{
    struct fl_judged wrong = {FL_BASIS_NOTHING, 0.2, false, 1, 0, 0};
    struct fl_judged right = {FL_BASIS_SUCCESS, 0.95, true, 1, 0, 0};
    struct fl_calibration c = fitted(&wrong, 1);
    double chance = fl_curve_at(&c.curve[FL_BASIS_NOTHING], 0.2);
    CHECK(chance > 0.1 && chance < 0.2);
    c = fitted(&right, 1);
    chance = fl_curve_at(&c.curve[FL_BASIS_SUCCESS], 0.95);
    CHECK(chance > 0.95 && chance < 0.98);
}

/* The same hundred right verdicts: of one rule in many repositories, of a rule for each, of one
 * rule in a single repository. */
TEST(unproven_rules_count_less)
{
    struct fl_judged trials[100];
    double chance[3];
    for (int kind = 0; kind < 3; kind++) {
        for (uint32_t i = 0; i < 100; i++) {
            trials[i] = (struct fl_judged){FL_BASIS_RULE, 0.8, true, kind == 2 ? 5 : i,
                                          kind == 1 ? i + 1 : 1, 0};
        }
        struct fl_calibration c = fitted(trials, 100);
        chance[kind] = fl_curve_at(&c.curve[FL_BASIS_RULE], 0.8);
    }
    CHECK(chance[0] > 0.98);
    CHECK(chance[1] > 0.85 && chance[1] < chance[0] - 0.03);
    CHECK(near(chance[1], chance[2]));
}

TEST(a_fold_is_left_out)
{
    struct fl_judged trials[100];
    struct fl_calibration c;
    for (uint32_t i = 0; i < 100; i++) {
        trials[i] = (struct fl_judged){FL_BASIS_RULE, 0.8, i % FL_CALIBRATION_FOLDS == 3, i, 1, 0};
    }
    fl_calibration_fit(trials, 100, 3, &c);
    CHECK_EQ_INT(c.curve[FL_BASIS_RULE].cases, 90);
    CHECK(fl_curve_at(&c.curve[FL_BASIS_RULE], 0.8) < 0.05);
    fl_calibration_fit(trials, 100, -1, &c);
    CHECK_EQ_INT(c.curve[FL_BASIS_RULE].cases, 100);
}

TEST(repositories_are_told_apart)
{
    uint32_t want = fl_repository_hash(FL_LIT("some-lab/big.model"));
    CHECK(fl_repository_hash(FL_LIT("https://github.com/some-lab/big.model/issues/12")) == want);
    CHECK(fl_repository_hash(FL_LIT("https://github.com/Some-Lab/big.model : out/a.log")) == want);
    CHECK(fl_repository_hash(FL_LIT("Some-Lab/Big.Model:logs/a.log@0123abcd + x/y:z")) == want);
    CHECK(fl_repository_hash(FL_LIT("some-lab/big.models")) != want);
    CHECK(fl_repository_hash(FL_LIT("https://github.com/")) != want);
    CHECK(fl_repository_hash(FL_LIT("a log, given by a friend (1)")) !=
          fl_repository_hash(FL_LIT("a log, given by a friend (2)")));
    CHECK(fl_repository_hash(FL_LIT("owner/")) != fl_repository_hash(FL_LIT("owner")));
    CHECK(fl_repository_hash((struct fl_str){NULL, 0}) == fl_text_hash(FL_LIT("")));
}

/* The causes keep their order and their chances sum to 1 at most. */
TEST(hypotheses_stay_in_order)
{
    struct fl_calibration c = {.curve = {{.n = 0}}};
    c.curve[FL_BASIS_RULE] = (struct fl_curve){.point = {{0.4, 0.3}, {0.9, 0.9}}, .n = 2};
    for (double first = 0.3; first <= 0.97; first += 0.06) {
        struct fl_verdict v = {.outcome = FL_OUTCOME_FAILED, .basis = FL_BASIS_RULE,
                               .score = first, .hypotheses_n = 4};
        v.hypotheses[0].score = first;
        v.hypotheses[1].score = 0.9; /* later than the first, so behind it */
        v.hypotheses[2].score = 0.5;
        v.hypotheses[3].score = 0.01;
        fl_calibrate(&c, &v);
        double sum = v.hypotheses[0].confidence;
        CHECK(near(v.confidence, v.hypotheses[0].confidence));
        CHECK(near(v.score, first));
        for (size_t i = 1; i < 4; i++) {
            sum += v.hypotheses[i].confidence;
            CHECK(v.hypotheses[i].confidence > 0);
            CHECK(v.hypotheses[i].confidence <= v.hypotheses[i - 1].confidence);
        }
        CHECK(sum <= 1 + 1e-9);
    }
}

static enum fl_status load(const char *text, struct fl_calibration *c, struct fl_err *err)
{
    char path[] = "/tmp/fl-calibration-XXXXXX";
    int fd = mkstemp(path);
    size_t n = strlen(text);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n) {
        abort();
    }
    close(fd);
    *err = (struct fl_err){.status = FL_OK};
    enum fl_status status = fl_calibration_load(path, c, err);
    unlink(path);
    return status;
}

#define HEAD "{\"format\": \"faultline.calibration/1\", \"kinds\": {\"unknown\": {\"points\": "

TEST(files_are_read_and_refused)
{
    static const char *const bad[] = {
        "{", "[]", "{\"format\": \"faultline.calibration/2\"}", HEAD "[[0.5, 1]]}}}",
        HEAD "[[0.5, 0]]}}}", HEAD "[[0.5]]}}}", HEAD "[0.5]}}}", HEAD "[[1.5, 0.5]]}}}",
        HEAD "[[0.5, 0.5], [0.6, 0.4]]}}}", HEAD "[[0.5, 0.5], [0.4, 0.6]]}}}",
        HEAD "[[0.5, \"x\"]]}}}",
        HEAD "[[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],"
             "[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],[0.1,0.1],"
             "[0.1,0.1]]}}}",
    };
    struct fl_calibration c;
    struct fl_err err;
    CHECK_EQ_INT(load(HEAD "[[0.2, 0.1], [0.2, 0.2], [0.8, 0.5]]}}}", &c, &err), FL_OK);
    CHECK_EQ_INT(c.curve[FL_BASIS_NOTHING].n, 3);
    CHECK(near(fl_curve_at(&c.curve[FL_BASIS_NOTHING], 0.5), 0.35));
    CHECK(near(fl_curve_at(&c.curve[FL_BASIS_NOTHING], 0.1), 0.1));
    CHECK(near(fl_curve_at(&c.curve[FL_BASIS_NOTHING], 0.9), 0.5));
    CHECK(near(fl_curve_at(&c.curve[FL_BASIS_RULE], 0.9), 0.9));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(load(bad[i], &c, &err) != FL_OK);
        CHECK_HAS(err.msg, "fl-calibration-");
        CHECK(near(fl_curve_at(&c.curve[FL_BASIS_NOTHING], 0.7), 0.7));
    }
    CHECK_EQ_INT(load("", &c, &err), FL_OK);
    CHECK_EQ_INT(c.curve[FL_BASIS_NOTHING].n, 0);
    CHECK_EQ_INT(fl_calibration_load("/nowhere/calibration.json", &c, &err), FL_OK);
    CHECK(near(fl_curve_at(&c.curve[FL_BASIS_RULE], 0.7), 0.7));
}

TEST(reliability_is_the_mean_distance)
{
    struct fl_reliability r = {.n = 0};
    CHECK(near(fl_reliability_error(&r), 0));
    fl_reliability_add(&r, 0.9, true);
    fl_reliability_add(&r, 1, false);
    fl_reliability_add(&r, 0.25, false);
    fl_reliability_add(&r, 0.15, true);
    CHECK(near(fl_reliability_error(&r), (0.9 + 0.25 + 0.85) / 4));
}

int main(void)
{
    RUN(without_cases_scores_stay);
    RUN(curves_rise_and_are_bounded);
    RUN(counts_what_is_right);
    RUN(pools_what_falls);
    RUN(few_cases_move_little);
    RUN(unproven_rules_count_less);
    RUN(a_fold_is_left_out);
    RUN(repositories_are_told_apart);
    RUN(hypotheses_stay_in_order);
    RUN(files_are_read_and_refused);
    RUN(reliability_is_the_mean_distance);
    return test_result();
}
