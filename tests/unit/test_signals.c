/* SPDX-License-Identifier: Apache-2.0 */
/* What a line of progress says, what of it is kept, and what is seen in it: each detector with a
 * series that has its fault and with healthy ones that look like it. */
#include "tests/unit/test.h"

#include "rules/signals/detect.h"
#include "service/base/fsio.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

static struct fl_metrics *metrics;

/* ---- values of a line ---- */

struct said {
    const char *line;
    const char *metric;
    double value;
};

static int number_of(const char *metric)
{
    int m = fl_metrics_find(metrics, fl_str_of(metric));
    CHECK(m >= 0);
    return m;
}

static void check_said(const struct said *one)
{
    struct fl_values v = {.present = 0};
    int m = number_of(one->metric);
    fl_metrics_read(metrics, fl_str_of(one->line), &v);
    bool same = fl_values_has(&v, m) &&
                (isfinite(one->value) ? fabs(v.value[m] - one->value) <= 1e-9 * fabs(one->value)
                                      : isnan(v.value[m]) == isnan(one->value) &&
                                            (isnan(one->value) || v.value[m] == one->value));
    CHECK(same);
    if (!same) {
        fprintf(stderr, "  %s: %s, wanted %g, got %g\n", one->line, one->metric, one->value,
                fl_values_has(&v, m) ? v.value[m] : -1e99);
    }
}

/* Holds that the line says nothing of the metric; NULL: of any metric. */
static void check_silent(const char *line, const char *metric)
{
    struct fl_values v = {.present = 0};
    fl_metrics_read(metrics, fl_str_of(line), &v);
    bool silent = metric ? !fl_values_has(&v, number_of(metric)) : v.present == 0;
    CHECK(silent);
    if (!silent) {
        fprintf(stderr, "  %s: says %s\n", line, metric ? metric : "something");
    }
}

#define MEGATRON                                                                                   \
    " iteration      412/   90000 | consumed samples:       105472 | elapsed time per iteration "  \
    "(ms): 1874.3 | throughput per GPU (TFLOP/s/GPU): 187.2 | learning rate: 1.500000E-04 | "      \
    "global batch size:   256 | lm loss: 4.912345E+00 | loss scale: 65536.0 | grad norm: 1.220 | " \
    "number of skipped iterations:   3 | number of nan iterations:   0 |"
#define DEEPSPEED                                                                                  \
    "[2031-04-02 10:00:12,104] [INFO] [logging.py:96:log_dist] [Rank 0] step=120, skipped=3, "     \
    "lr=[9.5e-05, 4e-05], mom=[(0.9, 0.95), (0.9, 0.95)]"
#define TITAN                                                                                      \
    "[titan] 2031-04-02 10:10:01,104 - root - INFO - step: 140  loss:  6.9912  grad_norm:  "       \
    "0.7112  memory: 61.21GiB(77.10%)  tps: 6,112  tflops: 210.31  mfu: 21.26%"
#define MLLOG(key, value)                                                                          \
    ":::MLLOG {\"namespace\": \"\", \"time_ms\": 1932000000123, \"event_type\": "                  \
    "\"POINT_IN_TIME\", \"key\": \"" key "\", \"value\": " value                                   \
    ", \"metadata\": {\"file\": \"run.py\", \"lineno\": 71, \"epoch_num\": 3.5, "                  \
    "\"samples_count\": 4096}}"

TEST(dialects)
{
    static const struct said all[] = {
        {MEGATRON, "step", 412},
        {MEGATRON, "step_time", 1874.3},
        {MEGATRON, "throughput", 187.2},
        {MEGATRON, "learning_rate", 1.5e-4},
        {MEGATRON, "loss", 4.912345},
        {MEGATRON, "loss_scale", 65536},
        {MEGATRON, "grad_norm", 1.22},
        {DEEPSPEED, "step", 120},
        {DEEPSPEED, "learning_rate", 9.5e-5},
        {"steps: 40 loss: 5.1210 iter time (s): 0.912 samples/sec: 70.175", "loss", 5.121},
        {"steps: 40 loss: 5.1210 iter time (s): 0.912 samples/sec: 70.175", "step_time", 0.912},
        {"steps: 40 loss: 5.1210 iter time (s): 0.912 samples/sec: 70.175", "throughput", 70.175},
        {"{'loss': 2.1034, 'grad_norm': 1.51, 'learning_rate': 4.9e-05, 'epoch': 0.12}", "loss",
         2.1034},
        {"{'loss': 2.1034, 'grad_norm': 1.51, 'learning_rate': 4.9e-05, 'epoch': 0.12}",
         "learning_rate", 4.9e-5},
        {"{'loss': 2.1034, 'grad_norm': 1.51, 'learning_rate': 4.9e-05, 'epoch': 0.12}", "epoch",
         0.12},
        {"{'loss': '2.1034', 'grad_norm': '1.51', 'epoch': '0.12'}", "grad_norm", 1.51},
        {"{'eval_loss': 1.98, 'eval_accuracy': 0.61, 'eval_runtime': 9.1}", "eval_loss", 1.98},
        {"{'eval_loss': 1.98, 'eval_accuracy': 0.61, 'eval_runtime': 9.1}", "accuracy", 0.61},
        {"{\"step\": 100, \"train_loss\": 2.5, \"lr\": 3e-4, \"tokens_per_second\": 12345.6}",
         "loss", 2.5},
        {"{\"step\":100,\"train_loss\":2.5,\"lr\":3e-4,\"tokens_per_second\":12345.6}",
         "throughput", 12345.6},
        {"{\"step\":100,\"train_loss\":2.5,\"lr\":3e-4,\"tokens_per_second\":12345.6}", "step",
         100},
        {"iter 130: loss 3.9121, time 312.55ms, mfu 31.02%", "step", 130},
        {"iter 130: loss 3.9121, time 312.55ms, mfu 31.02%", "loss", 3.9121},
        {"iter 130: loss 3.9121, time 312.55ms, mfu 31.02%", "step_time", 312.55},
        {"step 250: train loss 2.9120, val loss 3.0231", "loss", 2.912},
        {"step 250: train loss 2.9120, val loss 3.0231", "eval_loss", 3.0231},
        {TITAN, "step", 140},
        {TITAN, "loss", 6.9912},
        {TITAN, "memory", 61.21},
        {TITAN, "throughput", 6112},
        {"step: 7  loss: 3.1  tps: 1,206,112", "throughput", 1206112},
        {MLLOG("eval_accuracy", "0.7342"), "accuracy", 0.7342},
        {MLLOG("eval_accuracy", "0.7342"), "epoch", 3.5},
        {MLLOG("eval_accuracy", "0.7342"), "step", 4096},
        {MLLOG("train_loss", "1.25"), "loss", 1.25},
        {MLLOG("tracked_stats", "{\"throughput\": 31.5, \"reduced_train_loss\": 1.29}"),
         "throughput", 31.5},
        {MLLOG("tracked_stats", "{\"throughput\": 31.5, \"reduced_train_loss\": 1.29}"), "loss",
         1.29},
        {"12|340|Loss: 0.8123: 12%|#2        | 340/2800 [04:11<30:12]", "loss", 0.8123},
        {"Train: 3 [ 100/1251 (  8%)]  Loss: 6.94 (6.95)  Time: 0.43s, 592.21/s  LR: 1.0e-04",
         "loss", 6.94},
        {"Train: 3 [ 100/1251 (  8%)]  Loss: 6.94 (6.95)  Time: 0.43s, 592.21/s  LR: 1.0e-04",
         "step_time", 0.43},
        {"Train: 3 [ 100/1251 (  8%)]  Loss: 6.94 (6.95)  Time: 0.43s, 592.21/s  LR: 1.0e-04",
         "learning_rate", 1e-4},
        {"Epoch: [4]  [ 310/1251]  eta: 0:03:12  lr: 0.0004  loss: 2.91 (3.10)  max mem: 18221",
         "epoch", 4},
        {"Epoch: [4]  [ 310/1251]  eta: 0:03:12  lr: 0.0004  loss: 2.91 (3.10)  max mem: 18221",
         "memory", 18221},
        {"Epoch 3:  10%|#         | 10/100 [00:12<01:22, 1.2it/s, v_num=0, train_loss=2.310]",
         "epoch", 3},
        {"Epoch 3:  10%|#         | 10/100 [00:12<01:22, 1.2it/s, v_num=0, train_loss=2.310]",
         "loss", 2.31},
        {"200/200 - 12s - loss: 0.51 - accuracy: 0.9123 - val_loss: 0.44", "accuracy", 0.9123},
        {"200/200 - 12s - loss: 0.51 - accuracy: 0.9123 - val_loss: 0.44", "eval_loss", 0.44},
        {"step  100/18865 | loss 3.512 (-0.52z)| norm 0.6112 (+0.10z)| lr 6.00e-04", "grad_norm",
         0.6112},
        {"[ep3 it  40/ 900] L: 0.512  Acc: 61.2", "loss", 0.512},
        {"GLOBAL STEP: 12 Grad-Norm=0.5", "grad_norm", 0.5},
        {"{'loss': 0.01, 'reward': 0.75, 'reward_std': 0.1}", "reward", 0.75},
        {"loss scale: 3.0, grad norm: 2.0, loss: 1.0", "loss_scale", 3},
        {"loss scale: 3.0, grad norm: 2.0, loss: 1.0", "loss", 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        check_said(&all[i]);
    }
}

TEST(forms_of_numbers)
{
    static const struct said all[] = {
        {"loss: nan", "loss", NAN},
        {"loss: NaN, lr: 0.1", "loss", NAN},
        {"loss=-nan lr=0.1", "loss", NAN},
        {"loss=nan,lr=0.1", "learning_rate", 0.1},
        {"{'loss': 'nan', 'grad_norm': 'inf'}", "grad_norm", INFINITY},
        {"grad norm: inf |", "grad_norm", INFINITY},
        {"loss -inf", "loss", -INFINITY},
        {"{\"loss\": Infinity}", "loss", INFINITY},
        {"{\"loss\": -Infinity}", "loss", -INFINITY},
        {"{\"loss\": NaN}", "loss", NAN},
        {"lm loss: 5.46E+00", "loss", 5.46},
        {"lr 4e-2", "learning_rate", 0.04},
        {"lr=.5", "learning_rate", 0.5},
        {"loss: -0.25", "loss", -0.25},
        {"loss: +0.25", "loss", 0.25},
        {"loss: 3.", "loss", 3},
        {"loss: 2.5, grad_norm: 1", "loss", 2.5},
        {"step 1,024 loss 2", "step", 1024},
        {"tps: 6,97", "throughput", 6},
        {"dt 1.5s", "step_time", 1.5},
        {"step_time=812ms", "step_time", 812},
        {"mem 61.2GB", "memory", 61.2},
        {"loss 3.25|lr 0.1", "loss", 3.25},
        {"train loss 1.0 (average loss 2.0)", "loss", 1}, /* the first one stays */
        {"LOSS: 2.5", "loss", 2.5},
        {"Learning-Rate: 0.5", "learning_rate", 0.5},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        check_said(&all[i]);
    }
}

TEST(what_is_no_value)
{
    static const struct {
        const char *line, *metric;
    } none[] = {
        {"time: 12:03:44", "step_time"},
        {"eta: 1:02:03  time: 0:12", "step_time"},
        {"time: 2031-04-02 10:00:00", "step_time"},
        {"time: 2031/04/02 10:00:00", "step_time"},
        {"step 10.0.0.7 joined", "step"},
        {"gloss: 3.5", NULL},
        {"closs=3.5", NULL},
        {"flr: 3", NULL},
        {"layernorm: 1.0", NULL},
        {"metadata: 7", NULL},
        {"upscale 2", NULL},
        {"footstep 12", NULL},
        {"my_loss: 0.5", NULL},
        {"aux/loss: 0.5", NULL},
        {"model.loss: 0.5", NULL},
        {"XL 3", NULL},
        {"l: 3", NULL},
        {"loss: nano", NULL},
        {"loss: nan_count", NULL},
        {"loss: information", NULL},
        {"loss: none", NULL},
        {"loss function 3", NULL},
        {"loss_fn: 3", NULL},
        {"loss-3.5", NULL},
        {"loss", NULL},
        {"loss: ", NULL},
        {"3.5", NULL},
        {": 3.5", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        check_silent(none[i].line, none[i].metric);
    }
}

TEST(digits_and_rounding)
{
    static const struct {
        const char *line;
        int digits;
        bool rounds;
    } all[] = {
        {"lr: 0.0000", 0, true},    {"lr: 0.0", 0, false},     {"lr: 0", 0, false},
        {"lr: 0.0e+00", 0, false},  {"lr: 0.000000", 0, false}, {"lr: 0.0012", 2, false},
        {"lr: 1.25e-05", 3, false}, {"lr: 12.50", 4, false},
    };
    int m = number_of("learning_rate");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct fl_values v = {.present = 0};
        fl_metrics_read(metrics, fl_str_of(all[i].line), &v);
        CHECK(fl_values_has(&v, m));
        CHECK_EQ_INT(v.digits[m], all[i].digits);
        CHECK_EQ_INT(v.rounds[m], all[i].rounds);
    }
}

/* Captures go before what the text says. */
TEST(captured_values)
{
    struct fl_values v = {.present = 0};
    int loss = number_of("loss");
    fl_values_put(&v, loss, FL_LIT("1,234.5"));
    fl_values_put(&v, -1, FL_LIT("3"));
    fl_values_put(&v, number_of("grad_norm"), FL_LIT("much"));
    fl_values_put(&v, number_of("memory"),
                  FL_LIT("123456789012345678901234567890123456789012345678901234567890"));
    CHECK_EQ_INT(v.present, 1 << loss);
    CHECK(v.value[loss] == 1234.5);
    fl_metrics_read(metrics, FL_LIT("loss: 7"), &v);
    CHECK(v.value[loss] == 1234.5);
    CHECK_EQ_INT(fl_metrics_find(NULL, FL_LIT("loss")), -1);
    CHECK_EQ_INT(fl_metrics_find(metrics, FL_LIT("lossy")), -1);
}

static enum fl_status extend(struct fl_metrics **m, struct fl_str json, struct fl_err *err)
{
    fl_json *root = NULL;
    enum fl_status status = fl_json_parse(json, "metrics.json", &root, err);
    if (status == FL_OK) {
        status = fl_metrics_extend(m, root, "metrics.json", err);
    }
    fl_json_free(root);
    return status;
}

static enum fl_status load(const char *json, struct fl_err *err)
{
    struct fl_metrics *m = NULL;
    enum fl_status status = extend(&m, fl_str_of(json), err);
    fl_metrics_free(m);
    return status;
}

TEST(a_file_of_the_operator_adds_names)
{
    struct fl_metrics *m = NULL;
    struct fl_err err = {0};
    struct fl_values v = {.present = 0};
    CHECK_EQ_INT(extend(&m, FL_LIT("{\"metrics\": [{\"name\": \"loss\", \"names\": [\"loss\"]}]}"),
                        &err), FL_OK);
    CHECK_EQ_INT(extend(&m, FL_LIT("{\"metrics\": [{\"name\": \"loss\", \"names\": [\"malus\"]}, "
                                   "{\"name\": \"frames\", \"names\": [\"fps\"]}]}"), &err), FL_OK);
    fl_metrics_read(m, FL_LIT("step 7 malus=2.5 fps: 30"), &v);
    CHECK(v.value[fl_metrics_find(m, FL_LIT("loss"))] == 2.5);
    CHECK(v.value[fl_metrics_find(m, FL_LIT("frames"))] == 30);
    fl_metrics_free(m);
}

TEST(tables_that_are_refused)
{
    struct fl_err err = {0};
    CHECK_EQ_INT(load("{\"format\": \"faultline.metrics/1\", \"metrics\": [{\"name\": \"loss\", "
                      "\"names\": [\"loss\"]}]}", &err), FL_OK);
    static const char *const bad[] = {
        "{\"format\": \"faultline.metrics/1\", \"metrics\": [{\"names\": [\"loss\"]}]}",
        "{\"format\": \"faultline.metrics/1\", \"metrics\": [{\"name\": \"loss\", \"names\": "
        "[\"\"]}]}",
        "{\"format\": \"faultline.metrics/1\", \"metrics\": [{\"name\": \"loss\", \"names\": "
        "[\"one name that is far too long to be printed before a number\"]}]}",
        "{\"format\": \"faultline.metrics/1\", \"metrics\": [{\"name\": \"loss\", \"names\": [3]}]}",
        "{\"format\": \"faultline.metrics/1\", \"metrics\": [{", "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (struct fl_err){0};
        CHECK(load(bad[i], &err) != FL_OK);
        CHECK(err.msg[0] != '\0');
    }
}

/* ---- the sample ---- */

struct job {
    struct fl_arena arena;
    struct fl_series_set set;
    struct fl_place place;
    uint64_t order;
    uint32_t noise;
    struct fl_detection found[FL_DETECTIONS_MAX];
    size_t found_n;
};

static struct job *begin(void)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j) {
        abort();
    }
    fl_arena_init(&j->arena, 64 << 20);
    fl_series_init(&j->set, metrics, &j->arena);
    j->place = (struct fl_place){.rank = -1, .local_rank = -1, .gpu = -1};
    j->noise = 7;
    return j;
}

static void end(struct job *j)
{
    fl_series_fini(&j->set);
    fl_arena_free(&j->arena);
    free(j);
}

static void say(struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct job *j, const char *fmt, ...)
{
    char line[512];
    va_list args;
    struct fl_values v = {.present = 0};
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    j->place.line++;
    fl_metrics_read(metrics, (struct fl_str){line, (size_t)n}, &v);
    fl_series_add(&j->set, 0, &j->place, j->order++, -1, &v, (struct fl_str){line, (size_t)n});
}

/* In [-1, 1]; the same in every run. */
static double noise(struct job *j)
{
    j->noise = j->noise * 1664525U + 1013904223U;
    return (double)(j->noise >> 8) / (1 << 23) - 1;
}

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

/* ---- detectors ---- */

static const struct fl_detection *see(struct job *j, const char *metric, const char *kind)
{
    j->found_n = fl_detect(&j->set, NULL, j->found);
    for (size_t i = 0; i < j->found_n; i++) {
        if (strcmp(j->found[i].metric, metric) == 0 && strcmp(j->found[i].kind, kind) == 0) {
            return &j->found[i];
        }
    }
    return NULL;
}

/* The detection is there, blames `cause` (NULL: nothing) and begins between the steps. Ends j. */
static void check_seen(struct job *j, const char *metric, const char *kind, const char *cause,
                       long from, long to)
{
    const struct fl_detection *d = see(j, metric, kind);
    CHECK(d != NULL);
    if (d) {
        CHECK(cause ? d->cause && strcmp(d->cause, cause) == 0 && d->weight > 0 && d->text[0]
                    : !d->cause);
        CHECK(d->from_step >= from && d->from_step <= to);
        CHECK(d->row && d->row->text_n && d->end && d->series);
        CHECK(d->text[0] != '\0');
        if (d->from_step < from || d->from_step > to) {
            fprintf(stderr, "  %s %s from step %ld\n", metric, kind, d->from_step);
        }
    } else {
        fprintf(stderr, "  no %s %s\n", metric, kind);
    }
    end(j);
}

/* Nothing is blamed. Ends j. */
static void check_healthy(struct job *j, const char *what)
{
    j->found_n = fl_detect(&j->set, NULL, j->found);
    CHECK_EQ_INT(j->found_n, 0);
    for (size_t i = 0; i < j->found_n; i++) {
        fprintf(stderr, "  %s: %s %s: %s\n", what, j->found[i].metric, j->found[i].kind,
                j->found[i].text);
    }
    end(j);
}

/* A usual loss: quick at first, then slow, with noise. */
static double usual(struct job *j, long step)
{
    return 2.2 + 8.5 * exp((double)-step / 60) + 0.05 * noise(j);
}

TEST(runs_are_told_apart)
{
    struct job *j = begin();
    for (uint32_t run = 0; run < 2; run++) {
        for (long i = 1; i <= 120; i++) {
            char line[80];
            struct fl_values v = {.present = 0};
            int n = snprintf(line, sizeof line, i < 60 ? "step %ld loss 2.5" : "step %ld loss nan", i);
            fl_metrics_read(metrics, (struct fl_str){line, (size_t)n}, &v);
            fl_series_add(&j->set, run, &j->place, j->order++, -1, &v,
                          (struct fl_str){line, (size_t)n});
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

/* ---- declared detectors ---- */

struct told {
    char text[4096];
    size_t n;
};

static void hear(void *ctx, const char *message)
{
    struct told *told = ctx;
    snprintf(told->text, sizeof told->text, "%s", message);
    told->n++;
}

static struct fl_declared *declare(const char *json, struct fl_arena *arena, struct told *told,
                                   size_t *bad_r)
{
    fl_json *root = NULL;
    struct fl_err err = {0};
    struct fl_taxonomy taxonomy;
    struct fl_declared *d = NULL;
    char path[4096];
    snprintf(path, sizeof path, "%s/data/taxonomy.json", getenv("FL_SOURCE"));
    *told = (struct told){.n = 0};
    *bad_r = 0;
    CHECK_EQ_INT(fl_taxonomy_load(path, &taxonomy, &err), FL_OK);
    CHECK_EQ_INT(fl_json_parse(fl_str_of(json), "own.json", &root, &err), FL_OK);
    CHECK_EQ_INT(fl_declared_extend(&d, root, "own.json", &taxonomy, arena, hear, told, bad_r, &err),
                 FL_OK);
    fl_declared_settle(d, metrics, hear, told, bad_r);
    for (size_t i = 0; d && i < d->n; i++) { /* the taxonomy goes */
        d->list[i].cause =
            d->list[i].cause ? fl_arena_text(arena, fl_str_of(d->list[i].cause)) : NULL;
    }
    fl_taxonomy_free(&taxonomy);
    fl_json_free(root);
    return d;
}

#define DETECTOR(rest)                                                                             \
    "{\"format\": \"faultline.detectors/1\", \"detectors\": [{\"id\": \"own\", \"kind\": \"spike\", "    \
    "\"severity\": \"low\", \"text\": \"{value} at {step}\", " rest "}]}"

/* What the detector alone finds in the job; *out is empty when it finds nothing. */
static size_t find(struct job *j, const char *json, struct fl_detection *out)
{
    struct told told;
    size_t bad = 0;
    size_t n = 0;
    struct fl_declared *d = declare(json, &j->arena, &told, &bad);
    CHECK_EQ_INT(bad, 0);
    if (bad) {
        fprintf(stderr, "  %s\n", told.text);
    }
    *out = (struct fl_detection){.kind = ""};
    j->found_n = fl_detect(&j->set, d, j->found);
    for (size_t i = 0; i < j->found_n; i++) {
        if (j->found[i].detector) {
            *out = j->found[i];
            n++;
        }
    }
    fl_declared_free(d);
    return n;
}

TEST(declared_statistics)
{
    static const struct {
        const char *json;
        long from;
        long to;
        const char *text;
        bool lasts;
    } cases[] = {
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"min\", \"comparison\": \"below\", "
                  "\"value\": 150"), 61, 70, "100 at 61", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"mean\", \"window\": 10, "
                  "\"comparison\": \"below\", \"value\": 101"), 70, 70, "100 at 70", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"max\", \"comparison\": \"below\", "
                  "\"value\": 150, \"duration\": 11"), -1, -1, "", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"ratio_to_first\", \"window\": 5, "
                  "\"comparison\": \"below\", \"value\": 0.6"), 65, 70, "0.5 at 65", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"ratio_to_median\", "
                  "\"comparison\": \"below\", \"value\": 0.6"), 61, 70, "0.5 at 61", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"std\", \"window\": 4, "
                  "\"comparison\": \"above\", \"value\": 49"), 62, 62, "50 at 62", false},
        {DETECTOR("\"metric\": \"memory\", \"statistic\": \"slope\", \"window\": 20, "
                  "\"comparison\": \"above\", \"value\": 0.24, \"duration\": 30, "
                  "\"cause\": \"host_oom\""), 20, 100, "0.25 at 20", true},
        {DETECTOR("\"metric\": \"grad_norm\", \"statistic\": \"count_not_finite\", \"window\": 10, "
                  "\"comparison\": \"above\", \"value\": 4, \"cause\": \"numerical_instability\""),
         89, 100, "5 at 89", true},
        {DETECTOR("\"metric\": \"grad_norm\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": 0.5, \"duration\": 3"), 1, 80, "1 at 1", false}, /* then nan lies between */
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"mean\", \"comparison\": \"above\", "
                  "\"value\": 0"), -1, -1, "", false}, /* nobody prints it */
    };
    struct job *j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, i > 80 && i % 2 ? "step %ld tps: %d mem %.2f grad_norm nan"
                               : "step %ld tps: %d mem %.2f grad_norm 1.0", i,
            i > 60 && i <= 70 ? 100 : 200, 40 + (double)i / 4);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_detection d;
        CHECK_EQ_INT(find(j, cases[i].json, &d), cases[i].from >= 0);
        if (cases[i].from >= 0) {
            CHECK_EQ_INT(d.from_step, cases[i].from);
            CHECK_EQ_INT(d.to_step, cases[i].to);
            CHECK_EQ_STR(d.text, cases[i].text);
            CHECK_EQ_STR(d.kind, "spike");
            CHECK_EQ_INT(d.row ? d.row->place.line : 0, cases[i].from);
            CHECK(cases[i].lasts ? d.cause && d.weight == 0.5 : !d.cause);
        } else {
            CHECK_EQ_STR(d.kind, "");
        }
    }
    end(j);
}

/* Windows and durations are of values that were printed, not of those kept. */
TEST(declared_for_a_thinned_series)
{
    struct job *j = begin();
    for (long i = 0; i < 40000; i++) {
        say(j, "step %ld tps: %d", i, i >= 30000 && i < 34000 ? 100 : 200);
    }
    static const struct {
        const char *json;
        size_t n;
    } cases[] = {
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"mean\", \"window\": 1000, "
                  "\"comparison\": \"below\", \"value\": 101, \"duration\": 1000"), 1},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"mean\", \"window\": 1, "
                  "\"comparison\": \"below\", \"value\": 101, \"duration\": 1"), 1},
    };
    for (size_t i = 0; i < 2; i++) {
        struct fl_detection d;
        CHECK_EQ_INT(find(j, cases[i].json, &d), (long long)cases[i].n);
        CHECK(d.from_step >= 30000 && d.from_step < (i ? 30100 : 31100));
        CHECK(d.to_step > 33800 && d.to_step < 34100);
    }
    end(j);
}

TEST(declared_beside_the_others)
{
    struct job *j = begin();
    struct fl_detection d;
    for (long i = 1; i <= 120; i++) {
        say(j, i < 97 ? "step %ld loss 2.5" : "step %ld loss nan", i);
    }
    CHECK_EQ_INT(find(j, DETECTOR("\"metric\": \"loss\", \"statistic\": \"mean\", "
                                  "\"comparison\": \"above\", \"value\": 2"), &d), 1);
    CHECK_EQ_INT(j->found_n, 2);
    end(j);
}

TEST(declared_that_are_refused)
{
    static const struct {
        const char *json;
        const char *says;
    } cases[] = {
        {"{\"detectors\": [{\"metric\": \"loss\"}]}", "own.json: detector 1: \"id\" must be"},
        {"{\"detectors\": [3]}", "own.json: detector 1: must be an object"},
        {"{\"detectors\": [{\"id\": \"a\"}]}", "own.json: detector a: \"metric\" must be"},
        {DETECTOR("\"metrik\": \"loss\""), "there is no key \"metrik\""},
        {DETECTOR("\"metric\": \"malus\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": 1"), "own.json: detector own: no file of format faultline.metrics/1 names a metric malus"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"modus\""), "\"statistic\" must be one of mean, min"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\""), "\"comparison\" must be one of above, below"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\", \"comparison\": \"above\""), "\"value\" must be a number"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": \"7\""), "\"value\" must be a number"},
        {DETECTOR("\"metric\": \"loss\", \"window\": 0"), "\"window\" must be a whole number from 1 to 1000"},
        {DETECTOR("\"metric\": \"loss\", \"window\": 2.5"), "\"window\" must be"},
        {DETECTOR("\"metric\": \"loss\", \"duration\": 1e9"), "\"duration\" must be"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"slope\", \"comparison\": \"above\", "
                  "\"value\": 1"), "\"slope\" needs a \"window\" of 2"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": 1, \"cause\": \"bad_luck\""), "\"cause\" is none of"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": 1, \"confidence\": 7"), "\"confidence\" must be"},
        {"{\"detectors\": [{\"id\": \"a\", \"metric\": \"loss\", \"text\": \"{malus}\"}]}",
         "\"text\" knows {value} and {step}"},
        {"{\"detectors\": [{\"id\": \"a\", \"metric\": \"loss\", \"text\": \"t\", \"statistic\": "
         "\"max\", \"comparison\": \"above\", \"kind\": \"odd\", \"value\": 1}]}",
         "\"kind\" must be one of spike"},
        {"{\"detectors\": [{\"id\": \"a\", \"metric\": \"loss\", \"text\": \"t\", \"statistic\": "
         "\"max\", \"comparison\": \"above\", \"kind\": \"spike\", \"value\": 1}]}",
         "\"severity\" must be one of low"},
    };
    struct fl_arena arena;
    fl_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct told told;
        size_t bad = 0;
        struct fl_declared *d = declare(cases[i].json, &arena, &told, &bad);
        CHECK_EQ_INT(bad, 1);
        CHECK_EQ_INT(told.n, 1);
        CHECK_HAS(told.text, cases[i].says);
        CHECK_EQ_INT(d ? d->n : 1, 0);
        fl_declared_free(d);
    }
    struct told told;
    size_t bad = 0;
    char many[32 << 10] = "{\"detectors\": [";
    for (int i = 0; i < FL_DECLARED_MAX + 2; i++) { /* one too many, and one twice */
        size_t n = strlen(many);
        snprintf(many + n, sizeof many - n, "%s{\"id\": \"d%d\", \"metric\": \"loss\", \"statistic\": "
                 "\"max\", \"comparison\": \"above\", \"value\": 1, \"kind\": \"spike\", \"severity\": "
                 "\"low\", \"text\": \"t\"}", i ? ", " : "", i == 1 ? 0 : i);
    }
    snprintf(many + strlen(many), 3, "]}");
    struct fl_declared *d = declare(many, &arena, &told, &bad);
    CHECK_EQ_INT(d ? d->n : 0, FL_DECLARED_MAX);
    CHECK_EQ_INT(bad, 2);
    CHECK_HAS(told.text, "the most that can be");
    fl_declared_free(d);
    fl_arena_free(&arena);
}

int main(void)
{
    char path[512];
    struct fl_err err = {0};
    const char *source = getenv("FL_SOURCE");
    snprintf(path, sizeof path, "%s/rules/signals/metrics.json", source ? source : ".");
    struct fl_buf text;
    fl_buf_init(&text, FL_JSON_BYTES);
    if (fl_fsio_read(path, &text, &err) != FL_OK ||
        extend(&metrics, fl_buf_str(&text), &err) != FL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return EXIT_FAILURE;
    }
    fl_buf_free(&text);
    RUN(dialects);
    RUN(forms_of_numbers);
    RUN(what_is_no_value);
    RUN(digits_and_rounding);
    RUN(captured_values);
    RUN(a_file_of_the_operator_adds_names);
    RUN(tables_that_are_refused);
    RUN(a_million_lines_in_constant_memory);
    RUN(alternating_kinds_are_all_kept);
    RUN(more_kinds_than_are_told_apart);
    RUN(steps_that_begin_anew_go_on);
    RUN(steps_of_the_whole_run_stay);
    RUN(onset_of_nan_is_exact_after_thinning);
    RUN(the_range_is_of_all_values);
    RUN(printers_are_apart_and_bounded);
    RUN(lines_without_values_are_no_series);
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
    RUN(throughput_halves);
    RUN(throughput_as_usual);
    RUN(one_rank_apart);
    RUN(memory_grows);
    RUN(memory_falls_to_pieces);
    RUN(reserved_memory_as_usual);
    RUN(memory_as_usual);
    RUN(one_slow_rank);
    RUN(ranks_as_usual);
    RUN(too_good_too_soon);
    RUN(good_as_usual);
    RUN(features_collapse);
    RUN(values_that_stand_still);
    RUN(an_accuracy_of_errors);
    RUN(ranks_that_part);
    RUN(steps_of_lines_without_one);
    RUN(the_earliest_rank);
    RUN(stuck_after_a_divergence);
    RUN(rate_that_is_still_rising_when_the_loss_turns);
    RUN(a_loss_that_begins_anew);
    RUN(lines_without_a_step);
    RUN(declared_statistics);
    RUN(declared_for_a_thinned_series);
    RUN(declared_beside_the_others);
    RUN(declared_that_are_refused);
    fl_metrics_free(metrics);
    return test_result();
}
