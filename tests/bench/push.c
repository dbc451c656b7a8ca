/* SPDX-License-Identifier: Apache-2.0 */
/* How fast pushed bodies are read: MB a second of body, best of five, for bodies of 32 MB. */
#include <stdio.h>
#include <stdlib.h>

#include "service/base/clock.h"
#include "service/base/json_pull.h"
#include "service/http/push.h"

enum { BODY = 32 << 20, RUNS = 5 };

static const char *const lines[] = {
    "[rank3]: step 61200/100000 loss 2.3141 lr 1.2e-04 grad_norm 0.81 tokens/s 41231.7",
    "2026-11-22 01:02:03,123 INFO trainer.py:211 checkpoint saved to /ckpt/step_61000 in 12.4 s",
    "[rank3]:[W1122 01:02:03.123456 ProcessGroupNCCL.cpp:1496] Warning: watchdog got no heartbeat",
    "  File \\\"/app/train.py\\\", line 211, in forward\\n    return self.layers(x)",
};

static enum fl_status skip_all(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    struct fl_jp jp;
    (void)push;
    fl_jp_init(&jp, body);
    while (fl_jp_more(&jp)) {
        (void)fl_jp_skip(&jp);
    }
    return fl_jp_status(&jp, err);
}

static void measure(const char *name, fl_push_decode decode, const struct fl_buf *body)
{
    int64_t best = INT64_MAX;
    long n = 0;
    for (int i = 0; i < RUNS; i++) {
        struct fl_push_given given = {.rank = -1};
        struct fl_push *push = NULL;
        struct fl_err err = {0};
        int64_t from = fl_clock_mono_us();
        if (fl_push_new(&given, &push, &err) != FL_OK ||
            decode(fl_buf_str(body), push, &err) != FL_OK) {
            fprintf(stderr, "%s: %s\n", name, err.msg);
            exit(EXIT_FAILURE);
        }
        n = fl_push_lines(push);
        int64_t took = fl_clock_mono_us() - from;
        best = took < best ? took : best;
        fl_push_free(push);
    }
    printf("%-22s %6.0f MB/s, %ld lines\n", name, (double)body->n / (double)best, n);
}

int main(void)
{
    struct fl_buf body;
    fl_buf_init(&body, 2 * BODY);
    fl_buf_add_text(&body, "{\"streams\":[{\"stream\":{\"job\":\"j\",\"rank\":\"3\"},\"values\":[");
    for (long i = 0; body.n < BODY; i++) {
        fl_buf_addf(&body, "%s[\"1795309323%09ld\",\"%s\"]", i ? "," : "", i, lines[i % 4]);
    }
    fl_buf_add_text(&body, "]}]}");
    measure("JSON stepped over", skip_all, &body);
    measure("Loki JSON", fl_push_loki_json, &body);
    fl_buf_clear(&body);
    for (long i = 0; body.n < BODY; i++) {
        fl_buf_addf(
            &body,
            "{\"date\":1795309323.%06ld,\"log\":\"%s\\n\",\"stream\":\"stderr\",\"kubernetes\":{"
            "\"pod_name\":\"llama-%ld-x7k2p\",\"namespace_name\":\"ml\",\"container_name\":"
            "\"train\","
            "\"host\":\"gpu-3\",\"labels\":{\"job-name\":\"llama\"}}}\n",
            i % 1000000, lines[i % 4], i % 64);
    }
    measure("NDJSON, Kubernetes", fl_push_records, &body);
    fl_buf_clear(&body);
    for (long i = 0; body.n < BODY; i++) {
        fl_buf_addf(
            &body,
            "{\"timestamp\":\"2026-11-22T01:02:03.%06ldZ\",\"message\":\"%s\",\"job\":\"j\","
            "\"rank\":%ld}\n",
            i % 1000000, lines[i % 4], i % 512);
    }
    measure("NDJSON, short", fl_push_records, &body);
    fl_buf_clear(&body);
    for (long i = 0; body.n < BODY; i++) {
        fl_buf_addf(&body, "%s\n", lines[i % 3]);
    }
    measure("text", fl_push_text, &body);
    fl_buf_free(&body);
    return EXIT_SUCCESS;
}
