/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors of speed, and those that hold ranks against each other. */
#include "tests/unit/signals_job.h"

TEST(throughput_halves)
{
    struct job *j = begin();
    j->place.rank = 0; /* prints for all: it does not tell who is slow */
    for (long i = 1; i <= 200; i++) {
        say(j, "step %ld loss %.4f tps: %.0f", i, usual(j, i),
            (i < 120 ? 6000 : 3000) * (1 + 0.02 * noise(j)));
    }
    const struct fl_detection *d = see(j, "throughput", "straggler");
    CHECK(d && d->rank == -1);
    check_seen(j, "throughput", "straggler", "straggler", 119, 121);
    j = begin();
    for (long i = 1; i <= 200; i++) {
        say(j, "step %ld loss %.4f step_time: %.3f", i, usual(j, i),
            (i < 120 ? 1.1 : 2.4) * (1 + 0.02 * noise(j)));
    }
    check_seen(j, "step_time", "straggler", "straggler", 119, 121);
}

TEST(throughput_as_usual)
{
    struct job *j = begin();
    for (long i = 1; i <= 200; i++) {
        say(j, "step %ld loss %.4f tps: %.0f", i, usual(j, i),
            (i % 50 == 0 ? 900 : 6000) * (1 + 0.02 * noise(j)));
    }
    check_healthy(j, "slow evaluation steps");
    j = begin();
    for (long i = 1; i <= 200; i++) {
        say(j, "step %ld loss %.4f tps: %.0f", i, usual(j, i), i < 8 ? 700.0 : 6000.0 + (double)i);
    }
    check_healthy(j, "compilation at the start");
    j = begin();
    for (long i = 1; i <= 200; i++) {
        say(j, "step %ld loss %.4f tps: %.0f", i, usual(j, i), i > 195 ? 2000.0 : 6000.0);
    }
    check_healthy(j, "a checkpoint at the end");
    j = begin();
    for (long i = 1; i <= 200; i++) {
        say(j, "step %ld loss %.4f tps: %.0f", i, usual(j, i), 6000 * (1 + 0.5 * noise(j)));
    }
    check_healthy(j, "uneven batches");
    j = begin();
    for (long i = 1; i <= 200; i++) { /* slow for a while: the file system of all */
        say(j, "step %ld loss %.4f tps: %.0f", i, usual(j, i), i > 80 && i < 140 ? 2500.0 : 6000.0);
    }
    check_healthy(j, "slow for a while");
}

/* Megatron's timers: the fastest and the slowest of all ranks. */
static void say_timers(struct job *j, long step, double low, double high)
{
    char number[32];
    struct fl_values v = {.present = 0};
    int n = snprintf(number, sizeof number, "%.2f", low);
    fl_values_put(&v, number_of("rank_time_min"), (struct fl_str){number, (size_t)n});
    n = snprintf(number, sizeof number, "%.2f", high);
    fl_values_put(&v, number_of("rank_time_max"), (struct fl_str){number, (size_t)n});
    fl_series_add(&j->set, 0, &j->place, j->order++, step, &v, FL_LIT("forward-backward ...."));
}

TEST(one_rank_apart)
{
    struct job *j = begin();
    for (long i = 1; i <= 60; i++) {
        say_timers(j, i, 400 + 4 * noise(j), i < 40 ? 420 + 4 * noise(j) : 700);
    }
    check_seen(j, "rank_time_max", "straggler", "straggler", 40, 40);
    j = begin();
    for (long i = 1; i <= 60; i++) { /* all of them slower, and a pipeline that is uneven always */
        double time = i < 40 ? 400 : 800;
        say_timers(j, i, time, 1.5 * time);
    }
    check_healthy(j, "all slower");
}

TEST(one_slow_rank)
{
    struct job *j = begin();
    for (long i = 1; i <= 60; i++) {
        for (j->place.rank = 0; j->place.rank < 4; j->place.rank++) {
            double slow = j->place.rank == 2 && i > 30 ? 1.8 : 1;
            j->place.stream = (uint32_t)j->place.rank;
            say(j, "step %ld loss %.4f compute_ms %.1f", i, usual(j, i),
                400 * slow * (1 + 0.03 * noise(j)));
        }
    }
    const struct fl_detection *d = see(j, "compute_time", "straggler");
    CHECK(d && d->rank == 2 && strstr(d->text, "rank 2"));
    check_seen(j, "compute_time", "straggler", "straggler", 31, 31);
    j = begin();
    for (long i = 1; i <= 60; i++) { /* from the start */
        for (j->place.rank = 0; j->place.rank < 4; j->place.rank++) {
            double slow = j->place.rank == 1 ? 1.8 : 1;
            say(j, "step %ld loss %.4f step_time %.1f", i, usual(j, i),
                400 * slow * (1 + 0.03 * noise(j)));
        }
    }
    d = see(j, "step_time", "straggler");
    CHECK(d && d->rank == 1);
    check_seen(j, "step_time", "straggler", "straggler", 1, 1);
}

TEST(ranks_as_usual)
{
    struct job *j = begin();
    for (long i = 1; i <= 60; i++) { /* stages of a pipeline */
        for (j->place.rank = 0; j->place.rank < 4; j->place.rank++) {
            say(j, "step %ld loss %.4f compute_ms %.1f", i, usual(j, i),
                j->place.rank < 2 ? 400.0 : 640.0);
        }
    }
    check_healthy(j, "stages");
    j = begin();
    for (long i = 1; i <= 60; i++) { /* the first and the last stage hold the embeddings */
        for (j->place.rank = 0; j->place.rank < 8; j->place.rank++) {
            say(j, "step %ld loss %.4f compute_ms %.1f", i, usual(j, i),
                j->place.rank % 7 == 0 ? 700.0 : 400.0);
        }
    }
    check_healthy(j, "outer stages");
    j = begin();
    for (long i = 1; i <= 60; i++) { /* the first one also logs, a little */
        for (j->place.rank = 0; j->place.rank < 4; j->place.rank++) {
            say(j, "step %ld loss %.4f compute_ms %.1f", i, usual(j, i),
                400 * (1 + 0.15 * noise(j)) + (j->place.rank == 0 ? 40 : 0));
        }
    }
    check_healthy(j, "noise");
}

/* Four ranks print a loss; of `odd` (-1: of each its own) it is off by `off` from step 60 on. */
static struct job *replicas(long odd, double off, bool shared)
{
    struct job *j = begin();
    for (long i = 0; i < 120; i++) {
        double all = usual(j, i);
        for (j->place.rank = 0; j->place.rank < 4; j->place.rank++) {
            double own = shared ? all : usual(j, i);
            bool apart = i >= 60 && (j->place.rank == odd || odd < 0);
            say(j, "step %ld loss %.6f", i, own * (apart ? 1 + off * (1.5 + noise(j)) : 1));
        }
    }
    return j;
}

TEST(ranks_that_part)
{
    static const struct {
        long odd, rank;
        double off;
        enum fl_severity severity;
    } all[] = {
        {2, 2, 0.01, FL_SEVERITY_HIGH}, {0, 0, 0.01, FL_SEVERITY_HIGH},
        {-1, -1, 0.01, FL_SEVERITY_HIGH}, {3, 3, 1e-4, FL_SEVERITY_LOW},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct job *j = replicas(all[i].odd, all[i].off, true);
        const struct fl_detection *d = see(j, "loss", "desync");
        CHECK(d && d->rank == all[i].rank && d->severity == all[i].severity);
        check_seen(j, "loss", "desync", NULL, 60, 60);
    }
    check_healthy(replicas(9, 0, true), "the same on all ranks");
    check_healthy(replicas(9, 0, false), "a loss of its own on each rank");
    check_healthy(replicas(2, 1e-6, true), "the last digit");
    struct job *j = begin();
    for (long i = 0; i < 120; i++) { /* nothing that changes before each has a loss of its own */
        for (j->place.rank = 0; j->place.rank < 4; j->place.rank++) {
            say(j, "step %ld loss %.6f", i, i < 40 ? 2.0 : 2 + 0.4 * noise(j));
        }
    }
    check_healthy(j, "nothing to learn yet");
    j = begin();
    for (long i = 0; i < 120; i++) { /* one rank is behind for a while */
        double value = usual(j, i);
        for (j->place.rank = 0; j->place.rank < 4; j->place.rank++) {
            say(j, "step %ld loss %.6f", i, value * (j->place.rank == 1 && i > 50 && i < 60 ? 1.1 : 1));
        }
    }
    check_healthy(j, "together again");
}

/* Where it begins is where it began, though a step later all ranks show it. */
TEST(the_earliest_rank)
{
    for (long lead = 0; lead < 2; lead++) {
        struct job *j = begin();
        for (long i = 1; i <= 60; i++) {
            for (j->place.rank = 0; j->place.rank < 4; j->place.rank++) {
                if (i >= 50 - (j->place.rank == 3 ? lead : 0)) {
                    say(j, "step %ld loss nan", i);
                } else {
                    say(j, "step %ld loss %.4f", i, usual(j, i));
                }
            }
        }
        const struct fl_detection *d = see(j, "loss", "nan");
        CHECK(d != NULL);
        CHECK_EQ_INT(j->found_n, 1);
        CHECK_EQ_INT(d ? d->rank : -9, lead ? 3 : -1);
        CHECK_EQ_INT(d ? d->from_step : -9, lead ? 49 : 50);
        end(j);
    }
}

int main(void)
{
    load_metrics();
    RUN(throughput_halves);
    RUN(throughput_as_usual);
    RUN(one_rank_apart);
    RUN(one_slow_rank);
    RUN(ranks_as_usual);
    RUN(ranks_that_part);
    RUN(the_earliest_rank);
    fl_metrics_free(metrics);
    return test_result();
}
