/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a long course of numbers. */
#include "tests/unit/signals_job.h"

static long rows_with(const struct fl_series *s, const char *metric)
{
    long n = 0;
    for (size_t i = 0; i < s->n; i++) {
        n += fl_values_has(&s->rows[i].values, number_of(metric));
    }
    return n;
}

TEST(a_million_lines_in_constant_memory)
{
    struct job *j = begin();
    for (long i = 0; i < 1000000; i++) {
        say(j, "step %ld loss %.4f", i, 9 - (double)i / 2e5);
    }
    const struct fl_series *s = j->set.list[0];
    CHECK_EQ_INT(j->set.n, 1);
    CHECK_EQ_INT(s->seen, 1000000);
    CHECK_EQ_INT(s->count[number_of("loss")], 1000000);
    CHECK_EQ_INT(s->last.step, 999999);
    CHECK(s->n >= FL_SERIES_ROWS / 2 - 64 && s->n <= FL_SERIES_ROWS);
    CHECK(j->set.bytes <= FL_SERIES_ROWS * sizeof(struct fl_row));
    CHECK_EQ_INT(s->rows[0].step, 0);
    for (size_t i = 1; i < s->n; i++) { /* evenly spread, and each row from its own line */
        CHECK_EQ_INT(s->rows[i].step - s->rows[i - 1].step, s->stride);
        CHECK_EQ_INT(s->rows[i].place.line, s->rows[i].step + 1);
    }
    char want[64];
    const struct fl_row *row = &s->rows[s->n / 2];
    snprintf(want, sizeof want, "step %ld loss", row->step);
    CHECK(row->text_n > strlen(want) && memcmp(row->text, want, strlen(want)) == 0);
    end(j);
}

/* Every second line of a thinned sample would be of one kind only. */
TEST(alternating_kinds_are_all_kept)
{
    struct job *j = begin();
    for (long i = 0; i < 20000; i++) {
        say(j, "step %ld loss %.4f", i, 3.0);
        say(j, "step %ld tps: %ld", i, 1000 + i % 7);
        if (i % 50 == 0) {
            say(j, "step %ld val loss %.4f", i, 3.1);
        }
    }
    const struct fl_series *s = j->set.list[0];
    long loss = rows_with(s, "loss");
    long speed = rows_with(s, "throughput");
    CHECK(loss > 200 && speed > 200);
    CHECK(labs(loss - speed) <= 1);
    CHECK(rows_with(s, "eval_loss") >= loss / 50);
    CHECK_EQ_INT(loss + speed + rows_with(s, "eval_loss"), (long long)s->n);
    CHECK_EQ_INT(s->count[number_of("eval_loss")], 400);
    end(j);
}

TEST(more_kinds_than_are_told_apart)
{
    static const char *const names[] = {"loss", "tps", "lr", "grad_norm", "mem", "rss",
                                        "wer", "acc", "dt", "loss_scale", "wait_ms"};
    struct job *j = begin();
    for (long i = 0; i < 110000; i++) {
        say(j, "step %ld %s %ld", i, names[i % 11], i % 5);
    }
    const struct fl_series *s = j->set.list[0];
    CHECK_EQ_INT(s->seen, 110000);
    CHECK(s->n > FL_SERIES_ROWS / 4 && s->n <= FL_SERIES_ROWS);
    CHECK(rows_with(s, "loss") > 20 && rows_with(s, "accuracy") > 0);
    end(j);
}

TEST(steps_that_begin_anew_go_on)
{
    struct job *j = begin();
    for (int epoch = 0; epoch < 5; epoch++) {
        for (long i = 1; i <= 100; i++) {
            say(j, "Epoch: %d step: %ld loss: 2.5", epoch, i);
        }
        say(j, "Epoch: %d step: 100 val loss: 2.5", epoch);
    }
    const struct fl_series *s = j->set.list[0];
    for (size_t i = 1; i < s->n; i++) {
        CHECK(s->rows[i].step >= s->rows[i - 1].step);
    }
    CHECK_EQ_INT(s->rows[s->n - 2].step, 500);
    end(j);
}

TEST(steps_of_the_whole_run_stay)
{
    struct job *j = begin();
    for (long i = 1; i <= 300; i++) {
        say(j, "Epoch: %ld step: %ld loss: 2.5", i / 100, i);
    }
    CHECK_EQ_INT(j->set.list[0]->last.step, 300);
    say(j, "Epoch: 3 step: 250 loss: 2.5"); /* from a checkpoint */
    CHECK_EQ_INT(j->set.list[0]->last.step, 250);
    end(j);
    j = begin();
    for (int i = 0; i < 30; i++) { /* no step printed: lines count */
        say(j, "{'loss': 2.5, 'epoch': %.2f}", i / 10.0);
    }
    CHECK_EQ_INT(j->set.list[0]->last.step, 29);
    end(j);
}

TEST(onset_of_nan_is_exact_after_thinning)
{
    struct job *j = begin();
    for (long i = 0; i < 100000; i++) {
        if (i == 500 || i >= 87654) {
            say(j, "step %ld loss nan lr 0.1", i);
        } else {
            say(j, "step %ld loss 2.5 lr 0.1", i);
        }
    }
    const struct fl_tail *tail = &j->set.list[0]->tail[number_of("loss")];
    CHECK(isnan(tail->value));
    CHECK_EQ_INT(tail->from_step, 87654);
    CHECK_EQ_INT(tail->count, 100000 - 87654);
    CHECK(tail->first && tail->first->step == 87654 && tail->first->place.line == 87655);
    CHECK(tail->first && memcmp(tail->first->text, "step 87654 loss nan", 19) == 0);
    tail = &j->set.list[0]->tail[number_of("learning_rate")];
    CHECK_EQ_INT(tail->count, 100000);
    CHECK(!tail->first);
    end(j);
}

TEST(the_range_is_of_all_values)
{
    struct job *j = begin();
    for (long i = 0; i < 50000; i++) {
        say(j, i % 5000 == 4999 ? "step %ld loss nan" : "step %ld loss %g", i,
            i == 31 ? 99.0 : i == 40001 ? -3.0 : 2.0 + (double)(i % 3));
        say(j, "step %ld grad_norm inf", i);
    }
    const struct fl_series *s = j->set.list[0];
    const struct fl_range *loss = &s->range[number_of("loss")];
    const struct fl_range *norm = &s->range[number_of("grad_norm")];
    CHECK(loss->least == -3 && loss->most == 99);
    CHECK(loss->least_step == 40001 && loss->most_step == 31);
    CHECK_EQ_INT(loss->not_finite, 10);
    CHECK(norm->least == 0 && norm->most == 0);
    CHECK_EQ_INT(norm->not_finite, 50000);
    end(j);
}

TEST(printers_are_apart_and_bounded)
{
    struct job *j = begin();
    for (long i = 0; i < 2000; i++) {
        for (j->place.rank = 0; j->place.rank < FL_SERIES_MAX + 9; j->place.rank++) {
            say(j, "step %ld loss %ld", i, j->place.rank);
        }
    }
    CHECK_EQ_INT(j->set.n, FL_SERIES_MAX);
    CHECK(j->set.bytes < 3 * (size_t)FL_SERIES_BYTES);
    for (size_t i = 0; i < j->set.n; i++) {
        const struct fl_series *s = j->set.list[i];
        CHECK_EQ_INT(s->rank, (long long)i);
        CHECK_EQ_INT(s->seen, 2000);
        CHECK(s->n >= FL_SERIES_ROWS / 8 && s->rows[s->n - 1].step > 1900);
        CHECK(s->last.values.value[number_of("loss")] == (double)i);
    }
    end(j);
}

TEST(lines_without_values_are_no_series)
{
    struct job *j = begin();
    say(j, "step 3 of the recipe");
    say(j, "epoch 4");
    CHECK_EQ_INT(j->set.n, 0);
    j->set.metrics = NULL;
    say(j, "loss 3");
    CHECK_EQ_INT(j->set.n, 0);
    CHECK_EQ_INT(fl_detect(&j->set, NULL, j->found), 0);
    end(j);
}

TEST(steps_of_lines_without_one)
{
    struct job *j = begin();
    for (long i = 1; i <= 5; i++) { /* epochs count them */
        say(j, "epoch %ld loss %.3f", i * 10, 5.0);
    }
    CHECK_EQ_INT(j->set.list[0]->last.step, 50);
    end(j);
    j = begin();
    for (long i = 0; i < 6; i++) { /* two an epoch, and fractions: the lines count */
        say(j, i % 2 ? "epoch %ld loss 5.0" : "epoch %ld.5 loss 5.0", i / 2);
    }
    CHECK_EQ_INT(j->set.list[0]->last.step, 5);
    end(j);
}

int main(void)
{
    load_metrics();
    RUN(a_million_lines_in_constant_memory);
    RUN(alternating_kinds_are_all_kept);
    RUN(more_kinds_than_are_told_apart);
    RUN(steps_that_begin_anew_go_on);
    RUN(steps_of_the_whole_run_stay);
    RUN(onset_of_nan_is_exact_after_thinning);
    RUN(the_range_is_of_all_values);
    RUN(printers_are_apart_and_bounded);
    RUN(lines_without_values_are_no_series);
    RUN(steps_of_lines_without_one);
    fl_metrics_free(metrics);
    return test_result();
}
