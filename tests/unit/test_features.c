/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that creeps up, results that are too good, values that stand still. */
#include "tests/unit/signals_job.h"

TEST(memory_grows)
{
    struct job *j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, "step %ld loss %.4f memory: %.2fGiB", i, usual(j, i), 20 + 0.5 * (double)i);
    }
    check_seen(j, "memory", "memory_growth", NULL, 1, 8);
    j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, "step %ld loss %.4f rss: %.2f", i, usual(j, i),
            i < 40 ? 30 : 30 + 1.5 * (double)(i - 40));
    }
    check_seen(j, "host_memory", "memory_growth", NULL, 35, 45);
}

static void hold_memory(struct job *j, long steps, double used, double held, double more)
{
    for (long i = 0; i < steps; i++) {
        say(j, "step %ld loss %.4f | allocated: %.2f | reserved: %.2f", i, usual(j, i), used,
            held + more * (double)i);
    }
}

TEST(memory_falls_to_pieces)
{
    struct job *j = begin();
    hold_memory(j, 100, 30, 32, 0.4);
    check_seen(j, "memory_reserved", "memory_growth", NULL, 20, 70);
}

TEST(reserved_memory_as_usual)
{
    struct job *j = begin();
    hold_memory(j, 100, 30, 60, 0); /* a large cache from the start on */
    check_healthy(j, "a large cache");
}

TEST(memory_as_usual)
{
    struct job *j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, "step %ld loss %.4f memory: %.2fGiB", i, usual(j, i),
            70 - 50 * exp((double)-i / 6));
    }
    check_healthy(j, "a cache that fills");
    j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, "step %ld loss %.4f memory: %.2fGiB", i, usual(j, i), 30 + (double)(i % 20));
    }
    check_healthy(j, "freed again and again");
    j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, "step %ld loss %.4f memory: %.2fGiB", i, usual(j, i), i < 50 ? 30.0 : 50.0);
    }
    check_healthy(j, "one bigger batch, then the same");
}

/* A metric over 400 steps beside a usual loss. */
static struct job *with(const char *name, double (*of)(long step, double noise))
{
    struct job *j = begin();
    for (long i = 0; i < 400; i++) {
        double loss = usual(j, i);
        say(j, "step %ld loss %.4f %s %.4f", i, loss, name, of(i, noise(j)));
    }
    return j;
}

static double right_at_once(long i, double x)
{
    return i < 4 ? 0.2 * (double)i : 0.9995 + 0.0004 * x;
}
static double percent_at_once(long i, double x)
{
    return 100 * right_at_once(i, x);
}
static double learned_well(long i, double x)
{
    return 1 - exp((double)-i / 40) - 0.0005 * (x + 1);
}
static double easy(long i, double x)
{
    return i < 3 ? 0.5 : 0.99 + 0.005 * x;
}
static double right_for_a_while(long i, double x)
{
    return i < 60 ? 1 : 0.9 + 0.05 * x;
}

TEST(too_good_too_soon)
{
    check_seen(with("acc", right_at_once), "accuracy", "leakage", NULL, 4, 4);
    check_seen(with("acc", percent_at_once), "accuracy", "leakage", NULL, 4, 4);
    struct job *j = begin();
    for (long i = 0; i < 400; i++) {
        say(j, "step %ld loss %.3e", i, i < 9 ? 2.3 : 2e-6 * (1.5 + noise(j)));
    }
    check_seen(j, "loss", "leakage", NULL, 9, 9);
}

TEST(good_as_usual)
{
    check_healthy(with("acc", learned_well), "right in the end");
    check_healthy(with("acc", easy), "an easy task");
    check_healthy(with("acc", right_for_a_while), "an evaluation of few samples");
    struct job *j = begin();
    for (long i = 0; i < 400; i++) { /* resumed, and learned before */
        say(j, "step %ld loss %.4f acc %.4f", 5000 + i, 0.01 + 0.002 * noise(j), 0.9995);
    }
    check_healthy(j, "resumed");
    j = begin();
    for (long i = 0; i < 400; i++) { /* small by its unit */
        say(j, "step %ld loss %.3e", i, i < 9 ? 0.02 : 2e-6 * (1.5 + noise(j)));
    }
    check_healthy(j, "a loss of small numbers");
    j = begin();
    for (long i = 0; i < 400; i++) { /* small in the end */
        say(j, "step %ld loss %.3e", i, 2.3 * exp((double)-i / 20) + 2e-6);
    }
    check_healthy(j, "learned by heart");
}

static double collapses(long i, double x)
{
    return i < 200 ? 0.8 + 0.1 * x : 0.004 + 0.002 * x;
}
static double settles(long i, double x)
{
    return 0.3 + 0.9 * exp((double)-i / 30) + 0.05 * x;
}
static double dips(long i, double x)
{
    return i > 150 && i < 200 ? 0.001 : 0.8 + 0.1 * x;
}

TEST(features_collapse)
{
    check_seen(with("embedding_std", collapses), "feature_spread", "collapse", NULL, 200, 200);
    check_healthy(with("embedding_std", settles), "a spread that settles");
    check_healthy(with("embedding_std", dips), "a spread that comes back");
    struct job *j = begin();
    for (long i = 0; i < 400; i++) {
        say(j, "step %ld loss %.4f codebook_usage %.1f", i, usual(j, i), i < 50 ? 0.0 : 80.5);
    }
    check_healthy(j, "codes that come into use");
}

TEST(values_that_stand_still)
{
    struct job *j = begin();
    for (long i = 0; i < 400; i++) {
        say(j, "step %ld loss %.4f", i, i < 250 ? usual(j, i) : 2.3457);
    }
    check_seen(j, "loss", "frozen", NULL, 250, 250);
    j = begin();
    for (long i = 0; i < 400; i++) { /* few digits; a norm that is clipped; few lines */
        say(j, "step %ld loss %.2f grad_norm %.4f", i, i < 250 ? usual(j, i) : 2.31,
            i < 50 ? 2 + noise(j) : 1.0);
    }
    check_healthy(j, "rounded and clipped");
    j = begin();
    for (long i = 0; i < 400; i++) {
        say(j, "step %ld loss %.4f", i, i < 350 ? usual(j, i) : 2.3457);
    }
    check_healthy(j, "fifty lines");
    j = begin();
    for (long i = 0; i < 30; i++) {
        say(j, "epoch %ld accuracy %.4f", i, i < 2 ? 0.08 : 0.1);
    }
    check_seen(j, "accuracy", "plateau", NULL, 2, 2);
    j = begin();
    for (long i = 0; i < 60; i++) { /* nothing at first, and all right at last */
        say(j, "epoch %ld accuracy %.4f", i, i < 31 ? 0.0 : 0.5 + 0.01 * (double)i);
    }
    check_healthy(j, "it learned late");
    j = begin();
    for (long i = 0; i < 60; i++) {
        say(j, "epoch %ld accuracy %.2f wer %.2f", i, fmin(0.1 + 0.02 * (double)i, 0.45),
            fmax(0.9 - 0.05 * (double)i, 0.3));
    }
    check_healthy(j, "it learned what it can");
}

int main(void)
{
    load_metrics();
    RUN(memory_grows);
    RUN(memory_falls_to_pieces);
    RUN(reserved_memory_as_usual);
    RUN(memory_as_usual);
    RUN(too_good_too_soon);
    RUN(good_as_usual);
    RUN(features_collapse);
    RUN(values_that_stand_still);
    fl_metrics_free(metrics);
    return test_result();
}
