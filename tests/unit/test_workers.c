/* SPDX-License-Identifier: Apache-2.0 */
/* A job that goes on with less than it began with. */
#include "tests/unit/signals_job.h"

enum { RANKS = 8 };

/* Ranks print a loss; those of the mask stop after step 100 of 400. */
static struct job *ranks(unsigned stop, long stride)
{
    struct job *j = begin();
    for (long i = 0; i < 400; i += stride) {
        for (j->place.rank = 0; j->place.rank < RANKS; j->place.rank++) {
            if (i <= 100 || !(stop >> j->place.rank & 1)) {
                say(j, "step %ld loss %.4f", i, usual(j, i));
            }
        }
    }
    return j;
}

TEST(a_rank_that_says_no_more)
{
    struct job *j = ranks(1U << 5, 1);
    const struct fl_detection *d = see(j, "loss", "silence");
    CHECK(d && d->rank == 5 && d->to_step == 399 && d->severity == FL_SEVERITY_HIGH);
    check_seen(j, "loss", "silence", NULL, 100, 100);
    check_seen(ranks(1U << 2 | 1U << 3, 5), "loss", "silence", NULL, 100, 100);
    check_healthy(ranks(0, 1), "all ranks to the end");
    check_healthy(ranks(0xfe, 1), "only the first rank prints after the start");
    check_healthy(ranks(1U << 4, 20), "too few lines to tell");
    j = begin();
    for (long i = 0; i < 100; i++) { /* the end of all, some steps apart */
        for (j->place.rank = 0; j->place.rank < RANKS; j->place.rank++) {
            if (i < 90 + j->place.rank) {
                say(j, "step %ld loss %.4f", i, usual(j, i));
            }
        }
    }
    check_healthy(j, "a ragged end");
}

/* 400 lines; from line 200 on `late` workers, and `after` skipped samples every other line. */
static struct job *counts(int early, int late, long before, long after, bool sum)
{
    struct job *j = begin();
    long all = 0;
    for (long i = 0; i < 400; i++) {
        long now = i % 2 ? 0 : i < 200 ? before : after;
        all += now;
        say(j, "step %ld loss %.4f world_size: %d skipped samples: %ld", i, usual(j, i),
            i < 200 ? early : late, sum ? all : now);
    }
    return j;
}

TEST(fewer_workers)
{
    check_seen(counts(8, 7, 0, 0, false), "workers", "fewer_workers", NULL, 200, 200);
    check_healthy(counts(8, 8, 0, 0, false), "as many");
    check_healthy(counts(6, 8, 0, 0, false), "more");
    struct job *j = begin();
    for (; j->run < 2; j->run++) { /* told at each start only */
        say(j, "world_size: %u", 16 - 2 * j->run);
        for (long i = 1; i < 60; i++) {
            say(j, "step %ld loss 2.%ld", i, i);
        }
    }
    const struct fl_detection *d = see(j, "workers", "fewer_workers");
    CHECK(d && d->series->run == 1 && strstr(d->text, "14 of 16"));
    end(j);
    j = begin();
    for (long i = 0; i < 60; i++) {
        say(j, "step %ld loss %.4f world_size: %d", i, usual(j, i), i < 55 ? 8 : 7);
    }
    check_healthy(j, "it ends there");
}

TEST(samples_are_skipped)
{
    check_seen(counts(8, 8, 0, 3, false), "skipped", "skipping", NULL, 200, 201);
    check_seen(counts(8, 8, 0, 3, true), "skipped", "skipping", NULL, 200, 201);
    check_healthy(counts(8, 8, 0, 0, true), "none");
    check_healthy(counts(8, 8, 3, 3, false), "from the first line on");
    struct job *j = begin();
    long all = 0;
    for (long i = 0; i < 400; i++) { /* as a loss scale finds its level */
        all += i < 12 || i % 97 == 0;
        say(j, "step %ld loss %.4f skipped=%ld", i, usual(j, i), all);
    }
    check_healthy(j, "a few overflows");
}

int main(void)
{
    load_metrics();
    RUN(a_rank_that_says_no_more);
    RUN(fewer_workers);
    RUN(samples_are_skipped);
    fl_metrics_free(metrics);
    return test_result();
}
