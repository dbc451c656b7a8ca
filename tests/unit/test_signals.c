/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors that look at one series. */
#include "tests/unit/signals_job.h"

TEST(runs_are_told_apart)
{
    struct job *j = begin();
    for (; j->run < 2; j->run++) {
        for (long i = 1; i <= 120; i++) {
            say(j, i < 60 ? "step %ld loss 2.5" : "step %ld loss nan", i);
        }
    }
    CHECK_EQ_INT(fl_detect(&j->set, NULL, j->found), 2);
    CHECK_EQ_INT(j->found[0].series->run, 0);
    CHECK_EQ_INT(j->found[1].series->run, 1);
    end(j);
}

TEST(not_finite)
{
    struct job *j = begin();
    for (long i = 1; i <= 120; i++) {
        if (i < 97) {
            say(j, "step %ld loss %.4f", i, usual(j, i));
        } else {
            say(j, "step %ld loss nan", i);
        }
    }
    check_seen(j, "loss", "nan", "numerical_instability", 97, 97);
    j = begin();
    for (long i = 1; i <= 60; i++) {
        say(j, "step %ld loss %.4f grad_norm %s", i, usual(j, i), i < 50 ? "1.2" : "inf");
    }
    check_seen(j, "grad_norm", "explosion", "numerical_instability", 50, 50);
    j = begin();
    for (long i = 1; i <= 90; i++) { /* every third step still works, as under a dynamic loss scale */
        bool bad = i >= 60 && (i % 3 || i > 84);
        say(j, "step %ld loss %.4f grad_norm %s", i, usual(j, i), bad ? "inf" : "1.2");
    }
    check_seen(j, "grad_norm", "explosion", "numerical_instability", 61, 61);
}

TEST(gradient_explodes_once)
{
    struct job *j = begin();
    for (long i = 1; i <= 60; i++) {
        say(j, "step %ld loss %.4f grad_norm %.2f", i, usual(j, i), i == 40 ? 11140.0 : 8.0 + (double)(i % 5));
    }
    CHECK(see(j, "grad_norm", "explosion") && j->found[0].to_step == 40);
    check_seen(j, "grad_norm", "explosion", NULL, 40, 40);
    j = begin();
    for (long i = 1; i <= 60; i++) { /* large, and always was */
        say(j, "step %ld loss %.4f grad_norm %.2f", i, usual(j, i), i == 40 ? 60000.0 : 900.0 + (double)i);
    }
    check_healthy(j, "a gradient sixty times the usual");
}

TEST(not_finite_for_a_while)
{
    struct job *j = begin();
    for (long i = 1; i <= 200; i++) {
        if (i < 4 || i == 80 || i == 130) {
            say(j, "step %ld loss %s grad_norm inf", i, i < 4 ? "nan" : "inf");
        } else {
            say(j, "step %ld loss %.4f grad_norm 1.%ld", i, usual(j, i), i % 7);
        }
    }
    check_healthy(j, "skipped steps");
    j = begin();
    for (long i = 1; i <= 60; i++) { /* it may come back as before */
        say(j, "step %ld loss %.4f grad_norm %s", i, usual(j, i), i < 59 ? "1.2" : "inf");
    }
    check_healthy(j, "the last two steps");
}

TEST(frozen_mean)
{
    struct job *j = begin();
    for (long i = 1; i <= 80; i++) {
        say(j, "step %ld avg_loss %.8f", i, i < 50 ? usual(j, i) : 3.14159265);
    }
    check_seen(j, "loss", "nan", "numerical_instability", 50, 50);
}

TEST(not_frozen)
{
    struct job *j = begin();
    for (long i = 1; i <= 80; i++) { /* printed with few digits */
        say(j, "step %ld loss %.2f", i, i < 50 ? usual(j, i) : 2.31);
    }
    check_healthy(j, "few digits");
    j = begin();
    for (long i = 1; i <= 80; i++) { /* learned by heart */
        say(j, "step %ld loss %.8f", i, i < 50 ? exp((double)-i / 5) : 0.0);
    }
    check_healthy(j, "zero loss");
    j = begin();
    for (long i = 1; i <= 80; i++) { /* printed ten times an update */
        say(j, "step %ld loss %.8f", i, 5 - (double)(i / 5) / 10);
    }
    check_healthy(j, "repeated lines");
}

TEST(loss_scale_collapses)
{
    struct job *j = begin();
    double scale = 65536;
    for (long i = 1; i <= 100; i++) {
        scale = i > 60 && i % 2 == 0 && scale > 1 ? scale / 2 : scale;
        say(j, "step %ld loss %.4f loss scale: %.1f", i, usual(j, i), scale);
    }
    check_seen(j, "loss_scale", "scale_collapse", "numerical_instability", 60, 64);
}

TEST(loss_scale_as_usual)
{
    struct job *j = begin();
    double scale = 4294967296;
    for (long i = 1; i <= 100; i++) { /* overflows of the first steps */
        scale = i <= 17 ? scale / 2 : scale;
        say(j, "step %ld loss %.4f loss scale: %.1f", i, usual(j, i), scale);
    }
    check_healthy(j, "overflows at the start");
    j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, "step %ld loss %.4f loss scale: 1.0", i, usual(j, i));
    }
    check_healthy(j, "bf16");
    j = begin();
    scale = 32768;
    for (long i = 1; i <= 1000; i++) { /* halved now and then, doubled after many good steps */
        scale = i % 130 == 0 ? scale / 2 : i % 200 == 0 ? scale * 2 : scale;
        say(j, "step %ld loss %.4f loss scale: %.1f", i, usual(j, i), scale);
    }
    check_healthy(j, "ups and downs");
    j = begin();
    for (long i = 0; i < 300; i++) { /* told at overflows only, and these are over */
        if (i < 16) {
            say(j, "Gradient overflow. Skipping step, reducing to %.1f", 65536 / exp2((double)i));
        } else {
            say(j, "step %ld loss %.4f", i, usual(j, i));
        }
    }
    check_healthy(j, "overflows are over");
}

TEST(loss_diverges)
{
    struct job *j = begin();
    for (long i = 1; i <= 300; i++) {
        double up = i > 220 ? 0.08 * (double)(i - 220) : 0;
        say(j, "step %ld loss %.4f", i, usual(j, i) + up);
    }
    check_seen(j, "loss", "divergence", "loss_divergence", 221, 260);
    j = begin();
    for (long i = 1; i <= 300; i++) { /* at once, to a new level */
        say(j, "step %ld loss %.4f", i, usual(j, i) + (i > 200 ? 5 : 0));
    }
    check_seen(j, "loss", "divergence", "loss_divergence", 201, 201);
    j = begin();
    for (long i = 1; i <= 12; i++) {
        say(j, "epoch %ld wer %.3f", i, i < 9 ? 1 / (double)i : 1.0);
    }
    check_seen(j, "error_rate", "divergence", "loss_divergence", 8, 9);
}

TEST(loss_as_usual)
{
    struct job *j = begin();
    for (long i = 1; i <= 300; i++) {
        double spike = i > 200 && i < 215 ? 6 : 0;
        say(j, "step %ld loss %.4f", i, usual(j, i) + spike);
    }
    check_healthy(j, "a spike that recovers");
    j = begin();
    for (long i = 1; i <= 300; i++) {
        say(j, "step %ld loss %.4f", i, usual(j, i) + (i == 300 ? 6 : 0));
    }
    check_healthy(j, "one bad batch at the end");
    j = begin();
    for (long i = 1; i <= 100; i++) { /* up before it comes down */
        say(j, "step %ld loss %.4f", i, 6 + 4 * sin((double)i / 20) + 0.05 * noise(j));
        if (i > 80) {
            break;
        }
    }
    for (long i = 82; i <= 200; i++) {
        say(j, "step %ld loss %.4f", i, 2.5 + 0.05 * noise(j));
    }
    check_healthy(j, "warm-up");
    j = begin();
    for (long i = 1; i <= 300; i++) {
        say(j, "step %ld loss %.4f", i, 2.5 * (1 + 0.4 * noise(j)));
    }
    check_healthy(j, "noise");
    j = begin();
    for (long i = 1; i <= 300; i++) { /* a negative likelihood, a policy's loss */
        say(j, "step %ld loss %.4f", i, -8 + (double)i / 50 + 0.3 * noise(j));
    }
    check_healthy(j, "a negative loss that grows");
    j = begin();
    for (long i = 1; i <= 300; i++) {
        say(j, "step %ld reward: %.4f loss %.4f", i, (double)i / 10, 0.02 * noise(j));
    }
    check_healthy(j, "a reward that grows");
    j = begin();
    for (long i = 1; i <= 100; i++) { /* it is paid for its distance from the reference */
        say(j, "{'loss': %.5f, 'reward': %.4f, 'kl': %.5f, 'step': %ld}",
            3e-6 * (double)(i * i) + 1e-4 * noise(j), (double)i / 100, 1e-4 * (double)i, i);
    }
    check_healthy(j, "a policy's loss that grows from zero");
    j = begin();
    for (long i = 1; i <= 300; i++) {
        say(j, "step %ld loss %.4f", i, usual(j, i));
        if (i % 50 == 0) {
            say(j, "step %ld val loss %.4f", i, 4.0);
        }
    }
    check_healthy(j, "evaluation in between");
    j = begin();
    for (long i = 1; i <= 200; i++) { /* nearly all learned: noise over next to nothing */
        double spike = i % 17 == 0 ? 0.02 : 0;
        say(j, "step %ld loss %.5f", i, 0.001 + 4 * exp((double)-i / 8) + spike +
                                            0.0009 * noise(j));
    }
    check_healthy(j, "noise near zero");
}

TEST(accuracy_is_lost)
{
    struct job *j = begin();
    for (long i = 1; i <= 12; i++) {
        say(j, "epoch %ld accuracy %.4f", i, i < 9 ? 0.1 * (double)i : 0.001);
    }
    check_seen(j, "accuracy", "divergence", "loss_divergence", 8, 9);
    j = begin();
    for (long i = 1; i <= 12; i++) {
        say(j, "epoch %ld accuracy %.4f", i, i == 7 ? 0.001 : i < 3 ? 0.001 : 0.05 * (double)i);
    }
    check_healthy(j, "one bad evaluation");
}

TEST(gradients_vanish)
{
    struct job *j = begin();
    for (long i = 1; i <= 200; i++) {
        double norm = i < 100 ? 1.2 + 0.2 * noise(j) : 1.2e-7 * (1 + 0.2 * noise(j));
        say(j, "step %ld loss %.4f grad_norm %.3e", i, i < 100 ? usual(j, i) : 4.1, norm);
    }
    const struct fl_detection *d = see(j, "loss", "plateau");
    CHECK(d && !d->cause);
    check_seen(j, "grad_norm", "vanishing", "no_convergence", 98, 101);
}

TEST(gradients_as_usual)
{
    struct job *j = begin();
    for (long i = 1; i <= 200; i++) {
        say(j, "step %ld loss %.4f grad_norm %.4f", i, usual(j, i),
            20 * exp((double)-i / 25) + 0.3 + 0.1 * noise(j));
    }
    check_healthy(j, "settling gradients");
    j = begin();
    for (long i = 1; i <= 200; i++) { /* small by nature */
        say(j, "step %ld loss %.4f grad_norm %.3e", i, usual(j, i), 5e-5 * (1 + 0.3 * noise(j)));
    }
    check_healthy(j, "small gradients");
    j = begin();
    for (long i = 1; i <= 200; i++) { /* a pause: padding only, masked batches */
        say(j, "step %ld loss %.4f grad_norm %.3e", i, usual(j, i), i % 20 ? 0.8 : 0.0);
    }
    check_healthy(j, "empty batches");
}

TEST(learning_rate_is_zero)
{
    struct job *j = begin();
    for (long i = 5001; i <= 5040; i++) { /* resumed with a schedule that had ended */
        say(j, "step %ld loss %.4f lr 0.000e+00", i, 2.5 + 0.05 * noise(j));
    }
    CHECK(see(j, "loss", "plateau"));
    check_seen(j, "learning_rate", "vanishing", "config_error", 5001, 5001);
    j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, "step %ld loss %.4f lr %.3e", i, 2.5 + 0.05 * noise(j), i < 70 ? 3e-4 : 0.0);
    }
    check_seen(j, "learning_rate", "vanishing", "config_error", 70, 70);
}

TEST(learning_rate_as_usual)
{
    struct job *j = begin();
    for (long i = 0; i <= 200; i++) {
        say(j, "step %ld loss %.4f lr %.3e", i, usual(j, i),
            i == 200 ? 0.0 : 1.5e-4 * (1 + cos(acos(-1.0) * (double)i / 200)));
    }
    check_healthy(j, "a cosine that ends at 0");
    j = begin();
    for (long i = 0; i <= 200; i++) {
        say(j, "step %ld loss %.4f lr %.3e", i, usual(j, i), i < 5 ? 0.0 : 1e-4);
    }
    check_healthy(j, "a warm-up that begins at 0");
    j = begin();
    for (long i = 0; i <= 200; i++) {
        say(j, "step %ld loss %.4f lr %.4f", i, usual(j, i), 2e-5);
    }
    check_healthy(j, "printed with few decimals");
}

/* An error rate under the name of an accuracy: 1 is all wrong, and more is possible. */
TEST(an_accuracy_of_errors)
{
    struct job *j = begin();
    for (long i = 1; i <= 60; i++) {
        say(j, "epoch %ld eval_accuracy %.4f", i,
            i == 1 ? 9.1 : i < 50 ? 0.9 - 0.01 * (double)i : 1.9 + 0.1 * noise(j));
    }
    check_seen(j, "accuracy", "divergence", NULL, 50, 50);
    j = begin();
    for (long i = 1; i <= 60; i++) { /* in percent, after a bad start */
        say(j, "epoch %ld eval_accuracy %.4f", i, i == 1 ? 9.1 : i < 9 ? 0.5 : (double)i);
    }
    check_healthy(j, "percentages");
    j = begin();
    for (long i = 1; i <= 60; i++) {
        say(j, "step %ld loss %.4f", i, usual(j, i));
    }
    say(j, "epoch 80 eval_accuracy 6.66e-11");
    const struct fl_detection *d = see(j, "accuracy", "divergence");
    CHECK(d && d->severity == FL_SEVERITY_MEDIUM);
    check_seen(j, "accuracy", "divergence", NULL, 80, 80); /* an epoch has a step at least */
    j = begin();
    for (long i = 1; i <= 60; i++) {
        say(j, "step %ld loss %.4f mAP %.4f", i, usual(j, i), 0.0);
    }
    check_healthy(j, "a score of zero");
}

/* A divergence in a warm-up, whose end is far, and the loss after it. */
static struct job *diverge(double rate_end, double (*after)(long step))
{
    struct job *j = begin();
    for (long i = 1; i <= 600; i++) {
        double rate = 0.02 * (i < rate_end ? (double)i / rate_end : 1);
        double loss = i <= 300 ? 4 + 6 * exp(-(double)i / 60) : after(i);
        say(j, "step %ld loss %.4f lr %.5f", i, loss + 0.02 * noise(j), rate);
    }
    return j;
}

static double jumps(long step)
{
    return step < 320 ? 4 + 0.4 * (double)(step - 300) : 12;
}

static double climbs(long step)
{
    return 4 + 0.02 * (double)(step - 300);
}

TEST(stuck_after_a_divergence)
{
    check_seen(diverge(50, jumps), "loss", "plateau", NULL, 320, 400);
    struct job *j = diverge(50, climbs);
    CHECK(see(j, "loss", "divergence") != NULL);
    CHECK(see(j, "loss", "plateau") == NULL);
    end(j);
}

TEST(rate_that_is_still_rising_when_the_loss_turns)
{
    struct job *j = diverge(500, jumps);
    const struct fl_detection *d = see(j, "learning_rate", "explosion");
    CHECK(d != NULL);
    if (d) {
        CHECK(!d->cause && d->severity == FL_SEVERITY_MEDIUM && d->to_step == 500);
        CHECK(d->row->step > 290 && d->row->step <= 303);
    }
    end(j);
    static const double ends[] = {50, 290, 1}; /* warm-up over, or none */
    for (size_t i = 0; i < 3; i++) {
        j = diverge(ends[i], jumps);
        CHECK(see(j, "loss", "divergence") != NULL);
        CHECK(see(j, "learning_rate", "explosion") == NULL);
        end(j);
    }
    j = begin(); /* flat since the warm-up, long before it diverges */
    for (long i = 1; i <= 600; i++) {
        say(j, "step %ld loss %.4f lr %.5f", i, (i < 400 ? 4 : 9) + 0.02 * noise(j),
            i < 200 ? (double)i / 1e4 : 0.02);
    }
    CHECK(see(j, "loss", "divergence") != NULL);
    CHECK(see(j, "learning_rate", "explosion") == NULL);
    end(j);
    j = begin(); /* rising, and all is well */
    for (long i = 1; i <= 600; i++) {
        say(j, "step %ld loss %.4f lr %.5f", i, usual(j, i), (double)i / 1e4);
    }
    check_healthy(j, "a long warm-up");
}

TEST(a_loss_that_begins_anew)
{
    struct job *j = begin();
    for (int run = 0; run < 2; run++) {
        for (long i = 1; i <= (run ? 60 : 400); i++) {
            say(j, "step %ld loss %.4f", i, usual(j, i));
        }
    }
    check_healthy(j, "two runs in one file");
    j = begin(); /* epochs count their steps anew, and it diverges in the last one */
    for (int epoch = 0; epoch < 4; epoch++) {
        for (long i = 1; i <= 100; i++) {
            say(j, "step %ld loss %.4f", i, epoch < 3 ? usual(j, epoch * 100 + i) : 4 + (double)i / 40);
        }
    }
    CHECK(see(j, "loss", "divergence") != NULL);
    end(j);
}

/* Evaluation lines that tell none are of the step that was reached. */
TEST(lines_without_a_step)
{
    struct job *j = begin();
    say(j, "val loss 5");
    for (long i = 100; i <= 900; i += 100) {
        say(j, "step %ld loss 2.5", i);
        say(j, "val loss 2.6");
    }
    const struct fl_series *s = j->set.list[0];
    CHECK_EQ_INT(s->rows[0].step, 0);
    CHECK_EQ_INT(s->rows[2].step, 100);
    CHECK_EQ_INT(s->last.step, 900);
    CHECK_EQ_INT(s->last_step[number_of("eval_loss")], 900);
    end(j);
}

int main(void)
{
    load_metrics();
    RUN(runs_are_told_apart);
    RUN(not_finite);
    RUN(gradient_explodes_once);
    RUN(not_finite_for_a_while);
    RUN(frozen_mean);
    RUN(not_frozen);
    RUN(loss_scale_collapses);
    RUN(loss_scale_as_usual);
    RUN(loss_diverges);
    RUN(loss_as_usual);
    RUN(accuracy_is_lost);
    RUN(gradients_vanish);
    RUN(gradients_as_usual);
    RUN(learning_rate_is_zero);
    RUN(learning_rate_as_usual);
    RUN(an_accuracy_of_errors);
    RUN(stuck_after_a_divergence);
    RUN(rate_that_is_still_rising_when_the_loss_turns);
    RUN(a_loss_that_begins_anew);
    RUN(lines_without_a_step);
    fl_metrics_free(metrics);
    return test_result();
}
