/* SPDX-License-Identifier: Apache-2.0 */
/* Who printed a line, and when. */
#include "tests/unit/test.h"

#include "service/ingest/prefix.h"
#include "service/ingest/timestamp.h"

/* ---- prefixes ---- */

static const char *text_of(struct fl_str s)
{
    static char ring[4][256];
    static int next;
    char *out = ring[next++ % 4];
    size_t n = s.n < 255 ? s.n : 255;
    memcpy(out, s.p, n);
    out[n] = '\0';
    return out;
}

struct peel_case {
    const char *line;
    const char *rest;
    long rank, local_rank;
    const char *node, *stream;
};

static const struct peel_case peel_cases[] = {
    {"[rank3]: RuntimeError: boom", "RuntimeError: boom", 3, -1, "", ""},
    {"[rank3]:   File \"a.py\", line 7", "  File \"a.py\", line 7", 3, -1, "", ""},
    {"[rank12]:[E1003 22:26:03.1 ProcessGroupNCCL.cpp:2] x",
     "[E1003 22:26:03.1 ProcessGroupNCCL.cpp:2] x", 12, -1, "", ""},
    {"[rank0]:[engine] step 3", "[engine] step 3", 0, -1, "", ""},
    {"[rank0]:", "", 0, -1, "", ""},
    {"[default7]: iteration 5", " iteration 5", -1, 7, "", ""},
    {"[default2]:[rank18]: Traceback (most recent call last):",
     "Traceback (most recent call last):", 18, 2, "", ""},
    {"[trainer3]:hello", "hello", -1, 3, "", "trainer"},
    {"3: loss 1.5", "loss 1.5", 3, -1, "", ""},
    {"  3: loss 1.5", "loss 1.5", 3, -1, "", ""},
    {" 13:   File \"b.py\"", "  File \"b.py\"", 13, -1, "", ""},
    {"0:[rank5]: x", "x", 5, -1, "", ""},
    {" 1: [rank9]:[W1010 05:23:23.9 x.cpp:1] y", "[W1010 05:23:23.9 x.cpp:1] y", 9, -1, "", ""},
    {"1: [default3]:hello", "hello", -1, 3, "", ""},
    {"7:", "", 7, -1, "", ""},
    {"4: 12: inner", "12: inner", 4, -1, "", ""},
    {"worker-1: hello", "hello", -1, -1, "worker-1", ""},
    {"worker-1:   File \"c.py\"", "  File \"c.py\"", -1, -1, "worker-1", ""},
    {"10.0.0.4: hello", "hello", -1, -1, "10.0.0.4", ""},
    {"gpu-042.site.edu: hello", "hello", -1, -1, "gpu-042.site.edu", ""},
    {"ip-10-0-0-3: [rank1]: x", "x", 1, -1, "ip-10-0-0-3", ""},
    {"cn17: 3 errors", "3 errors", -1, -1, "cn17", ""},
    {"nid001234: x", "x", -1, -1, "nid001234", ""},
    {"[1,3]<stderr>:boom", "boom", 3, -1, "", "stderr"},
    {"[1,0]<stdout>: boom", "boom", 0, -1, "", "stdout"},
    {"[1,0]<stderr>:  File \"d.py\"", "  File \"d.py\"", 0, -1, "", "stderr"},
    {"[0]<stderr>:boom", "boom", 0, -1, "", "stderr"},
    {"Fri Sep 25 16:52:53 2020[6]<stderr>:boom", "boom", 6, -1, "", "stderr"},
    {"2026-01-02T10:11:12.500Z: [1,12]<stdout>:boom", "boom", 12, -1, "", "stdout"},
    {"[prterun-node7-991@1,4]<stdout>:boom", "boom", 4, -1, "", "stdout"},
    {"(RayTrainWorker pid=123, ip=10.0.0.3) boom", "boom", -1, -1, "10.0.0.3", "RayTrainWorker"},
    {"(WorkerDict pid=7435)   File \"e.py\"", "  File \"e.py\"", -1, -1, "", "WorkerDict"},
    {"(MapBatches(f) pid=1, ip=10.1.1.1) x", "x", -1, -1, "10.1.1.1", "MapBatches(f)"},
    {"(train, pid=123) boom", "boom", -1, -1, "", "train"},
    {"(worker1, rank=1, pid=123, ip=10.0.0.3) boom", "boom", -1, -1, "10.0.0.3", "worker1"},
    {"(raylet) boom", "boom", -1, -1, "", "raylet"},
    {"(raylet, ip=10.0.0.9) boom", "boom", -1, -1, "10.0.0.9", "raylet"},
    {"(autoscaler +1m2s) boom", "boom", -1, -1, "", "autoscaler"},
    {"(Worker_TP2 pid=12) boom", "boom", -1, 2, "", "Worker_TP2"},
    {"(EngineCore_DP0 pid=9) boom", "boom", -1, -1, "", "EngineCore_DP0"},
    {"(VllmWorker rank=3 pid=9) boom", "boom", 3, -1, "", "VllmWorker"},
    {"[pod/train-0/main] boom", "boom", -1, -1, "train-0", ""},
    {"[pod/train-0/main] [rank2]: boom", "boom", 2, -1, "train-0", ""},
    {"2026-01-02T03:04:05.123456789Z stderr F boom", "boom", -1, -1, "", "stderr"},
    {"2026-01-02T03:04:05.123456789+01:00 stdout F   x", "  x", -1, -1, "", "stdout"},
    {"i.pretrain/0 [default2]:[rank2]: boom", "boom", 2, 2, "", ""},
    {"resnet.cn-d003.nolog [stderr] boom", "boom", -1, -1, "cn-d003", "stderr"},
    {"[RANK 1] boom", "boom", 1, -1, "", ""},
    {"[Rank 0] saved", "saved", 0, -1, "", ""},
    {"[Rank 1] Watchdog caught collective operation timeout",
     "[Rank 1] Watchdog caught collective operation timeout", 1, -1, "", ""},
    {"[rank: 2] Seed set to 7", "[rank: 2] Seed set to 7", 2, -1, "", ""},
};

TEST(prefixes)
{
    for (size_t i = 0; i < sizeof peel_cases / sizeof *peel_cases; i++) {
        const struct peel_case *c = &peel_cases[i];
        struct fl_prefix prefix;
        int before = test_failures;
        size_t n = fl_prefix_peel(fl_str_of(c->line), &prefix);
        CHECK_EQ_STR(c->line + n, c->rest);
        CHECK_EQ_INT(prefix.rank, c->rank);
        CHECK_EQ_INT(prefix.local_rank, c->local_rank);
        CHECK_EQ_STR(text_of(prefix.node), c->node);
        CHECK_EQ_STR(text_of(prefix.stream), c->stream);
        if (test_failures != before) {
            fprintf(stderr, "  in: %s\n", c->line);
        }
    }
}

static const char *const bare_lines[] = {
    "",
    " ",
    "ValueError: x",
    "INFO: x",
    "Epoch: 3",
    "srun: error: node3: task 1: Killed",
    "slurmstepd: error: x",
    "slurmstepd-gpu17: error: x",
    "python3: can't open file 'x.py'",
    "train2.py: error: unrecognized arguments: --x",
    "torch.cuda.OutOfMemoryError: CUDA out of memory",
    "subprocess.TimeoutExpired: Command 'x' timed out",
    "urllib3.exceptions.NewConnectionError: x",
    "libcudart.so.12: cannot open shared object file",
    "model-00001-of-00002.safetensors: 100%|####|",
    "bf16: enabled for all layers",
    "top-1: 73.2 top-5: 91.0",
    "acc1: 0.75",
    "gpu0: 54 C",
    "eth0: link down",
    "nvidia-nvswitch3: SXid (PCI:0000:86:00.0): 12028",
    "x9: 1",
    "node3: 0.25",
    "123873: -5.483012",
    "70: 14.251, 14.251 avg loss, 0.001 rate, 2.5 seconds, 4480 images",
    "12:34:56 hello",
    "2026-01-02 10:11:12 hello",
    "1/100 [00:10<01:33, 3it/s]",
    "    10: LayerPipe",
    "[Errno 28] No space left on device",
    "[12/100] loss 3",
    "[1] citation",
    "[step5]: loss",
    "[INFO] x",
    "[2026-01-02 10:11:12,123] [INFO] x",
    "(min, max) range",
    "(0): Linear(in_features=3)",
    "(RayTrainWorker pid=x) y",
    "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}",
    "gpu-17:233:901 [3] NCCL WARN x",
    "/data/worker-1: No such file",
    "run/3 done",
};

enum { BARE_N = sizeof bare_lines / sizeof *bare_lines };

TEST(no_prefixes)
{
    for (size_t i = 0; i < BARE_N; i++) {
        struct fl_prefix prefix;
        size_t n = fl_prefix_peel(fl_str_of(bare_lines[i]), &prefix);
        CHECK_EQ_STR(bare_lines[i] + n, bare_lines[i]);
        CHECK_EQ_INT(prefix.rank, -1);
        CHECK_EQ_INT(prefix.node.n, 0);
    }
}

/* See fl_matcher_line. */
TEST(prefixes_do_not_depend_on_values)
{
    static const char *const more[] = {
        "[default127]: x",   "[default128]: x",  "[trainer999]:x",      "[default1000]:x",
        "256.1.10.300: x",   "10.0.0.4:",        "1.22.333.4444: x",    "99.0.0: x",
        "p99: x",            "v100: x",          "gpu7: 12",            "gpu12: 0.5e1",
        "[99,999]<stderr>:", "999999: x",        "  999: x",            "1234567: x",
        "a1.b2.cc3: x",      "4: [default3]: x", "i.job/12 [role3]: x", "[rank999999999999999999999]: x",
    };
    enum { MORE_N = sizeof more / sizeof *more, CASES_N = sizeof peel_cases / sizeof *peel_cases };
    unsigned dice = 7;
    for (size_t i = 0; i < CASES_N + BARE_N + MORE_N; i++) {
        const char *line = i < CASES_N            ? peel_cases[i].line
                           : i < CASES_N + BARE_N ? bare_lines[i - CASES_N]
                                                  : more[i - CASES_N - BARE_N];
        struct fl_prefix prefix;
        size_t want = fl_prefix_peel(fl_str_of(line), &prefix);
        for (int round = 0; round < 300; round++) {
            char other[256] = "";
            memcpy(other, line, strlen(line));
            for (char *p = other; *p; p++) {
                dice = dice * 1664525U + 1013904223U;
                unsigned digit = round < 10 ? (unsigned)round : (dice >> 16) % 10;
                *p = fl_is_digit(*p) ? (char)('0' + digit) : *p;
            }
            size_t got = fl_prefix_peel(fl_str_of(other), &prefix);
            CHECK_EQ_INT((long long)got, (long long)want);
            if (got != want) {
                fprintf(stderr, "  %s\n  %s\n", line, other);
                break;
            }
        }
    }
}

TEST(times_of_collectors)
{
    struct fl_prefix prefix;
    struct fl_str line = FL_LIT("2026-01-02T03:04:05.123456789Z [rank3]: RuntimeError: boom");
    CHECK_EQ_STR(text_of(fl_str_skip(line, fl_prefix_peel(line, &prefix))), "RuntimeError: boom");
    CHECK_EQ_INT(prefix.rank, 3);
    CHECK_EQ_STR(text_of(prefix.time), "2026-01-02T03:04:05.123456789Z");
    line = FL_LIT("[pod/a-0/main] 2026-01-02T03:04:05.123456789Z   File \"a.py\"");
    CHECK_EQ_STR(text_of(fl_str_skip(line, fl_prefix_peel(line, &prefix))), "  File \"a.py\"");
    CHECK_EQ_STR(text_of(prefix.node), "a-0");
    fl_prefix_peel(FL_LIT("2026-01-02T03:04:05.123456789Z stdout F x"), &prefix);
    CHECK_EQ_STR(text_of(prefix.time), "2026-01-02T03:04:05.123456789Z");
    /* the program's own, and a syslog header */
    CHECK_EQ_INT((long long)fl_prefix_peel(FL_LIT("2026-01-02T03:04:05.123456Z  INFO x"), &prefix), 0);
    CHECK_EQ_INT((long long)fl_prefix_peel(FL_LIT("2026-01-02T03:04:05.123456+00:00 h kernel: x"), &prefix), 0);
}

TEST(partial_cri_lines)
{
    struct fl_prefix prefix;
    fl_prefix_peel(FL_LIT("2026-01-02T03:04:05.123456789Z stdout P half a li"), &prefix);
    CHECK(prefix.partial);
    fl_prefix_peel(FL_LIT("2026-01-02T03:04:05.123456789Z stdout F"), &prefix);
    CHECK(!prefix.partial);
}

struct path_case {
    const char *path;
    long rank, local_rank;
    const char *node, *stream;
};

TEST(paths)
{
    static const struct path_case cases[] = {
        {"rank0.log", 0, -1, "", ""},
        {"logs/rank_3.txt", 3, -1, "", ""},
        {"logs/stderr-rank-12.log.gz", 12, -1, "", "stderr"},
        {"x_globalrank-9_localrank-1.txt", 9, 1, "", ""},
        {"local_rank2.log", -1, 2, "", ""},
        {"mp_rank_00_states.log", -1, -1, "", ""},
        {"node_rank_1.log", -1, -1, "", ""},
        {"run/rank.03/stdout", 3, -1, "", "stdout"},
        {"worker-2.log", -1, -1, "worker-2", ""},
        {"workerlog.5", -1, 5, "", ""},
        {"node17.log", -1, -1, "node17", ""},
        {"node_17.log", -1, -1, "node_17", ""},
        {"out/gpu-042.log", -1, -1, "gpu-042", ""},
        {"out/gpu-node-11.log", -1, -1, "gpu-node-11", ""},
        {"out/gpu-train-11.log", -1, -1, "", ""},
        {"gpu-a100-7/rank_1.log", 1, -1, "gpu-a100-7", ""},
        {"/tmp/x/none_ab/attempt_0/4/stderr.log", -1, 4, "", "stderr"},
        {"1234567_3_log.out", 3, -1, "", ""},
        {"1234567_0_5_log.err", 5, -1, "", ""},
        {"train-123456.out", -1, -1, "", ""},
        {"slurm-991.out", -1, -1, "", ""},
        {"worker-123456.out", -1, -1, "", ""},
        {"gpu-oom-test-3/job.log", -1, -1, "", ""},
        {"exp-rank43/job.log", -1, -1, "", ""},
        {"step-100.log", -1, -1, "", ""},
        {"job.log", -1, -1, "", ""},
        {"", -1, -1, "", ""},
        {"/", -1, -1, "", ""},
        {"/var/log/containers/train-0_ml_main-0123456789abcdef0123.log", -1, -1, "train-0", ""},
        {"/var/log/pods/ml_train-1_01234567-89ab-cdef-0123-456789abcdef/main/0.log", -1, -1,
         "train-1", ""},
        {"dmesg-gpu-042.log", -1, -1, "gpu-042", ""},
        {"syslog.node3", -1, -1, "node3", ""},
        {"node8.dmesg", -1, -1, "node8", ""},
        {"kern_cn12.log", -1, -1, "cn12", ""},
        {"syslog.1", -1, -1, "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct path_case *c = &cases[i];
        struct fl_prefix prefix;
        int before = test_failures;
        bool found = fl_prefix_from_path(fl_str_of(c->path), &prefix);
        CHECK_EQ_INT(prefix.rank, c->rank);
        CHECK_EQ_INT(prefix.local_rank, c->local_rank);
        CHECK_EQ_STR(text_of(prefix.node), c->node);
        CHECK_EQ_STR(text_of(prefix.stream), c->stream);
        CHECK_EQ_INT(found, c->rank >= 0 || c->local_rank >= 0 || *c->node || *c->stream);
        if (test_failures != before) {
            fprintf(stderr, "  in: %s\n", c->path);
        }
    }
}

struct message_case {
    const char *text;
    long rank, gpu;
    const char *node;
};

TEST(messages)
{
    static const struct message_case cases[] = {
        {"gpu-17:233:901 [3] NCCL WARN Timeout", -1, 3, "gpu-17"},
        {"gpu-17:233:901 [3] net_ib.cc:9 NCCL WARN x", -1, 3, "gpu-17"},
        {"[2026-01-02 10:11:12] gpu-17:233:901 [0] init.cc:1 NCCL WARN x", -1, 0, "gpu-17"},
        {"Oct 14 11:37:48 gpu-17 kernel: NVRM: Xid", -1, -1, "gpu-17"},
        {"Oct  4 11:37:48 host systemd[1]: x", -1, -1, "host"},
        {"2026-01-02T03:04:05.123456+00:00 gpu-17 kernel: x", -1, -1, "gpu-17"},
        {"Oct 14 11:37:48 705311 x: y", -1, -1, ""},
        {"[cn076:446095] PMIX ERROR: x", -1, -1, "cn076"},
        {"[1700000000.123456] [cn076:227  :0]  parser.c:1 UCX WARN", -1, -1, "cn076"},
        {"[launch.py:351:main] x", -1, -1, ""},
        {"slurmstepd-gpu17: error: x", -1, -1, "gpu17"},
        {"[E1 x.cpp:1] [Rank 3] Watchdog caught", 3, -1, ""},
        {"10:11:12 [rank4][INFO] x", 4, -1, ""},
        {"[E1003 1 p.cpp:1] [PG 0 (default_pg) Rank 1] x", 1, -1, ""},
        {"[E1003 1 p.cpp:1] [PG ID 0 PG GUID 0(default_pg) Rank 6] x", 6, -1, ""},
        {"[E1003 1 p.cpp:1] [PG ID 2 PG GUID 11(mesh_tp) Rank 1] x", -1, -1, ""},
        {"loss 3.5 [ 4/10]", -1, -1, ""},
        {"", -1, -1, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct message_case *c = &cases[i];
        struct fl_prefix prefix;
        long gpu;
        int before = test_failures;
        (void)fl_prefix_from_message(fl_str_of(c->text), &prefix, &gpu);
        CHECK_EQ_INT(prefix.rank, c->rank);
        CHECK_EQ_INT(gpu, c->gpu);
        CHECK_EQ_STR(text_of(prefix.node), c->node);
        if (test_failures != before) {
            fprintf(stderr, "  in: %s\n", c->text);
        }
    }
}

/* ---- time stamps ---- */

struct time_case {
    const char *line;
    int year, month, day, hour, minute, second, ms;
    const char *flags; /* d date, y year, z zone */
    const char *text;
};

TEST(timestamps)
{
    static const struct time_case cases[] = {
        {"2024-05-07 15:49:30 x", 2024, 5, 7, 15, 49, 30, 0, "dy", "2024-05-07 15:49:30"},
        {"2023-10-04 04:30:58.300416 x", 2023, 10, 4, 4, 30, 58, 300, "dy",
         "2023-10-04 04:30:58.300416"},
        {"[2022-01-19 13:51:30,908] [INFO] x", 2022, 1, 19, 13, 51, 30, 908, "dy",
         "2022-01-19 13:51:30,908"},
        {"[INFO|trainer.py:18] 2021-05-25 06:53:45,424 >> x", 2021, 5, 25, 6, 53, 45, 424, "dy",
         "2021-05-25 06:53:45,424"},
        {"[2021/05/03 11:57:46] root INFO: x", 2021, 5, 3, 11, 57, 46, 0, "dy",
         "2021/05/03 11:57:46"},
        {"[11/17 15:16:55] x", 2026, 11, 17, 15, 16, 55, 0, "d", "11/17 15:16:55"},
        {"(APIServer pid=3) INFO 01-20 18:50:43 x", 2026, 1, 20, 18, 50, 43, 0, "d",
         "01-20 18:50:43"},
        {"05/25/2021 06:53:45 - INFO", 2021, 5, 25, 6, 53, 45, 0, "dy", "05/25/2021 06:53:45"},
        {"[12/09/24 13:56:50] INFO", 2024, 12, 9, 13, 56, 50, 0, "dy", "12/09/24 13:56:50"},
        {"24/12/09 13:56:50 INFO x", 2024, 12, 9, 13, 56, 50, 0, "dy", "24/12/09 13:56:50"},
        {"[11/17/2022-15:16:55] [I] x", 2022, 11, 17, 15, 16, 55, 0, "dy", "11/17/2022-15:16:55"},
        {"08:11:21 x", 0, 0, 0, 8, 11, 21, 0, "", "08:11:21"},
        {"[08:11:21.5] x", 0, 0, 0, 8, 11, 21, 500, "", "08:11:21.5"},
        {"3: 08:11:21 x", 0, 0, 0, 8, 11, 21, 0, "", "08:11:21"},
        {"14:06:40-973914 INFO x", 0, 0, 0, 14, 6, 40, 973, "", "14:06:40-973914"},
        {"I0613 17:36:53.936666  1860 solver.cpp:228] x", 2026, 6, 13, 17, 36, 53, 936, "d",
         "0613 17:36:53.936666"},
        {"[rank1]:[W1010 05:23:23.926679745 x.cpp:1] y", 2026, 10, 10, 5, 23, 23, 926, "d",
         "1010 05:23:23.926679745"},
        {"[E907 22:34:22.8 x.cpp:1] y", 2026, 9, 7, 22, 34, 22, 800, "d", "907 22:34:22.8"},
        {" 0: :::MLLOG {\"namespace\": \"\", \"time_ms\": 1760025473040, \"e", 2025, 10, 9, 15, 57,
         53, 40, "dyz", "1760025473040"},
        {"[1594407135.546337] [h:1:0] UCX", 2020, 7, 10, 18, 52, 15, 546, "dyz",
         "1594407135.546337"},
        {"2025-06-19-09:09:19.687.450 x", 2025, 6, 19, 9, 9, 19, 687, "dy",
         "2025-06-19-09:09:19.687.450"},
        {"[Oct 14 11:37:48 705311][x]", 2026, 10, 14, 11, 37, 48, 0, "d", "Oct 14 11:37:48"},
        {"Oct  4 11:37:48 gpu-1 kernel: x", 2026, 10, 4, 11, 37, 48, 0, "d", "Oct  4 11:37:48"},
        {"  time      : 2023-05-03_23:31:24", 2023, 5, 3, 23, 31, 24, 0, "dy",
         "2023-05-03_23:31:24"},
        {"STARTING AT 2024-05-07 04:56:57 PM", 2024, 5, 7, 16, 56, 57, 0, "dy",
         "2024-05-07 04:56:57 PM"},
        {"x 2024-05-07 12:00:01 AM", 2024, 5, 7, 0, 0, 1, 0, "dy", "2024-05-07 12:00:01 AM"},
        {"Fri Sep 25 16:52:53 2020[0]<stderr>:x", 2020, 9, 25, 16, 52, 53, 0, "dy",
         "Sep 25 16:52:53 2020"},
        {"Fri Sep 25 16:52:53 UTC 2020", 2020, 9, 25, 16, 52, 53, 0, "dyz",
         "Sep 25 16:52:53 UTC 2020"},
        {"Fri Sep 25 16:52:53 CEST 2020", 2020, 9, 25, 16, 52, 53, 0, "dy",
         "Sep 25 16:52:53 CEST 2020"},
        {"[Feb 25 2025 13:59:45] [INFO]", 2025, 2, 25, 13, 59, 45, 0, "dy", "Feb 25 2025 13:59:45"},
        {"2026-01-02T03:04:05.123456789Z stderr F x", 2026, 1, 2, 3, 4, 5, 123, "dyz",
         "2026-01-02T03:04:05.123456789Z"},
        {"2026-01-02T03:04:05+02:00 x", 2026, 1, 2, 1, 4, 5, 0, "dyz", "2026-01-02T03:04:05+02:00"},
        {"10.0.0.1 - - [25/Sep/2020:16:52:53 -0500] \"GET", 2020, 9, 25, 21, 52, 53, 0, "dyz",
         "25/Sep/2020:16:52:53 -0500"},
        {"20260102T030405Z x", 2026, 1, 2, 3, 4, 5, 0, "dyz", "20260102T030405Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct time_case *c = &cases[i];
        struct fl_timestamp t = {0};
        int before = test_failures;
        CHECK(fl_timestamp_find(fl_str_of(c->line), 2026, &t));
        int64_t want = c->day ? fl_timestamp_ms(c->year, c->month, c->day, c->hour, c->minute,
                                                c->second, c->ms)
                              : ((c->hour * 60 + c->minute) * 60 + c->second) * 1000LL + c->ms;
        CHECK_EQ_INT(t.ms, want);
        CHECK_EQ_INT(t.has_date, strchr(c->flags, 'd') != NULL);
        CHECK_EQ_INT(t.has_year, strchr(c->flags, 'y') != NULL);
        CHECK_EQ_INT(t.has_zone, strchr(c->flags, 'z') != NULL);
        CHECK_EQ_STR(text_of((struct fl_str){c->line + t.at, t.n}), c->text);
        if (test_failures != before) {
            fprintf(stderr, "  in: %s\n", c->line);
        }
    }
    CHECK_EQ_INT(fl_timestamp_ms(1970, 1, 1, 0, 0, 0, 0), 0);
    CHECK_EQ_INT(fl_timestamp_ms(2024, 2, 29, 12, 0, 0, 1), 1709208000001LL);
    CHECK_EQ_INT(fl_timestamp_ms(2026, 3, 1, 0, 0, 0, 0), 1772323200000LL);
}

TEST(no_timestamps)
{
    static const char *const lines[] = {
        "",
        "step 100 loss 2.5",
        " 14%|#4| 377/2724 [13:55:57<86:19:20, 132.41s/it]",
        "elapsed 00:12:33 remaining 01:00:00",
        "[12345.678901] NVRM: Xid",
        "WALLTIME=01:15:00",
        "2025-01-02",
        "Find logs at: runs/run-20250821_013610-x/logs",
        "Dec 3 things",
        "E1234",
        "E9999 10:10:10",
        "2025-13-02 10:10:10",
        "2025-01-02 25:10:10",
        "fe80:12:34:56",
        "1760025473040",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct fl_timestamp t;
        if (fl_timestamp_find(fl_str_of(lines[i]), 2026, &t)) {
            CHECK_EQ_STR(text_of((struct fl_str){lines[i] + t.at, t.n}), "");
        }
    }
}

TEST(cancelled_far_behind)
{
    char line[400];
    memset(line, '#', sizeof line);
    const char *end = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2025-09-30T09:59:55 ***";
    memcpy(line + 300, end, strlen(end));
    struct fl_timestamp t;
    CHECK(fl_timestamp_find((struct fl_str){line, 300 + strlen(end)}, 0, &t));
    CHECK_EQ_INT(t.ms, fl_timestamp_ms(2025, 9, 30, 9, 59, 55, 0));
    CHECK(fl_timestamp_find(FL_LIT("I0102 03:04:05.6 1 x"), 0, &t));
    CHECK_EQ_INT(t.ms, fl_timestamp_ms(1970, 1, 2, 3, 4, 5, 600));
}

int main(void)
{
    RUN(prefixes);
    RUN(no_prefixes);
    RUN(prefixes_do_not_depend_on_values);
    RUN(times_of_collectors);
    RUN(partial_cri_lines);
    RUN(paths);
    RUN(messages);
    RUN(timestamps);
    RUN(no_timestamps);
    RUN(cancelled_far_behind);
    return test_result();
}
