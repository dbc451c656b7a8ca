/* SPDX-License-Identifier: Apache-2.0 */
/* What lines say in numbers. */
#include "tests/unit/signals_job.h"

struct said {
    const char *line;
    const char *metric;
    double value;
};

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

int main(void)
{
    load_metrics();
    RUN(dialects);
    RUN(forms_of_numbers);
    RUN(what_is_no_value);
    RUN(digits_and_rounding);
    RUN(captured_values);
    RUN(a_file_of_the_operator_adds_names);
    RUN(tables_that_are_refused);
    fl_metrics_free(metrics);
    return test_result();
}
