/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that run before our eyes, by a clock of our own: what is told of them, when, and how often. */
#include "tests/unit/test.h"

#include "service/base/fsio.h"
#include "service/live_report.h"
#include "service/pace.h"
#include "service/rulebook.h"

#include <ftw.h>
#include <stdarg.h>
#include <sys/stat.h>

enum { STREAMS = 4 };

static const int64_t second = 1000000;
static struct fl_rulebook book;

struct scene {
    struct fl_job *job;
    struct fl_feed *feed[STREAMS];
    struct fl_live *live;
    long now_s;
    int told;
    int withdrawn;
    struct fl_live_matter last;
};

static void tell(void *ctx, bool withdrawn, const struct fl_live_matter *matter)
{
    struct scene *s = ctx;
    s->told += !withdrawn;
    s->withdrawn += withdrawn;
    s->last = *matter;
}

static void begin(struct scene *s, bool caught_up)
{
    static const char *const names[STREAMS] = {"a.log", "b.log", "c.log", "d.log"};
    struct fl_err err = {0};
    struct fl_live_teller teller = {tell, s};
    *s = (struct scene){.now_s = 1000, .last.signal.kind = ""};
    CHECK_EQ_INT(fl_job_new(book.set, &s->job, &err), FL_OK);
    CHECK_EQ_INT(fl_live_new(&teller, &s->live, &err), FL_OK);
    for (size_t i = 0; i < STREAMS; i++) {
        CHECK_EQ_INT(fl_feed_open(s->job, names[i], names[i], &s->feed[i], &err), FL_OK);
    }
    if (caught_up) {
        fl_live_caught_up(s->live);
    }
}

static void end(struct scene *s)
{
    for (size_t i = 0; i < STREAMS; i++) {
        CHECK_EQ_INT(fl_feed_close(s->feed[i], NULL, NULL), FL_OK);
    }
    fl_live_free(s->live);
    fl_job_free(s->job);
}

__attribute__((format(printf, 3, 4))) static void print(struct scene *s, size_t stream,
                                                        const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line - 1, fmt, args);
    va_end(args);
    line[n++] = '\n';
    struct fl_lines *lines = fl_feed_lines(s->feed[stream]);
    CHECK_EQ_INT(fl_lines_push(lines, (struct fl_str){line, (size_t)n}, NULL), FL_OK);
    CHECK_EQ_INT(fl_lines_flush(lines, NULL), FL_OK);
}

/* A check each second. */
static void pass(struct scene *s, long seconds)
{
    for (long i = 0; i < seconds; i++) {
        fl_live_check(s->live, s->job, &book.calibration, ++s->now_s * second);
    }
}

static void steps(struct scene *s, long from, long n, long seconds_each)
{
    for (long i = from; i < from + n; i++) {
        print(s, 0, "step %ld loss %.3f", i, 2 + 300 / (100 + (double)i));
        pass(s, seconds_each);
    }
}

static void out_of_memory(struct scene *s)
{
    print(s, 0, "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 5.11 GiB. GPU 3 has a "
                "total capacity of 79.15 GiB of which 1.07 GiB is free.");
}

/* ---- pace ---- */

static int64_t patience_s(const struct fl_pace *pace)
{
    int64_t us = fl_pace_patience(pace);
    return us == INT64_MAX ? -1 : us / second;
}

TEST(pace)
{
    struct fl_pace pace = {0};
    long now = 100;
    fl_pace_note(&pace, 50, now * second);
    for (long i = 1; i <= 8; i++) {
        CHECK_EQ_INT(patience_s(&pace), -1); /* too little is known */
        fl_pace_note(&pace, 50 + i * 3, ++now * second);
        fl_pace_note(&pace, 50 + i * 3, now * second + 1); /* nothing new */
    }
    CHECK_EQ_INT(fl_pace_median(&pace), second);
    CHECK_EQ_INT(patience_s(&pace), 60);
    for (long i = 1; i <= FL_PACE_GAPS; i++) {
        fl_pace_note(&pace, 100 + i, (now += 20) * second);
    }
    CHECK_EQ_INT(patience_s(&pace), 200); /* ten medians: the quick ones are forgotten */
    fl_pace_note(&pace, 200, (now += 900) * second);
    for (long i = 1; i <= 2 * FL_PACE_GAPS; i++) {
        fl_pace_note(&pace, 200 + i, (now += 20) * second);
    }
    CHECK_EQ_INT(patience_s(&pace), 1800); /* twice what it once got over */
}

/* ---- failures and signals ---- */

TEST(failure_is_told_once_and_withdrawn)
{
    struct scene s;
    begin(&s, true);
    steps(&s, 1, 20, 1);
    CHECK_EQ_INT(s.told, 0);
    out_of_memory(&s);
    pass(&s, 1);
    CHECK_EQ_INT(s.told, 0); /* found once */
    pass(&s, 1);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_STR(s.last.signal.kind, "failure");
    CHECK_EQ_STR(s.last.cause, "gpu_oom");
    CHECK_EQ_STR(s.last.file, "a.log");
    CHECK_EQ_INT(s.last.signal.line, 21);
    CHECK_EQ_INT(s.last.signal.from_step, 20);
    CHECK(s.last.signal.confidence >= 0.9);
    CHECK_HAS(s.last.signal.text, "5.11 GiB");
    print(&s, 1, "something else");
    pass(&s, 50);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_INT(s.withdrawn, 0);
    steps(&s, 21, 3, 1); /* the job goes on */
    CHECK_EQ_INT(s.withdrawn, 0);
    pass(&s, 1);
    CHECK_EQ_INT(s.withdrawn, 1);
    CHECK_EQ_STR(s.last.cause, "gpu_oom");
    end(&s);
}

static enum fl_outcome outcome_so_far(const struct scene *s)
{
    struct fl_arena arena;
    struct fl_verdict v;
    fl_arena_init(&arena, 1 << 20);
    fl_attribute_so_far(fl_job_diagnosis(s->job), &arena, &v);
    fl_arena_free(&arena);
    return v.outcome;
}

/* Behind a success an exception counts as long as it is the last thing said, also before the end. */
TEST(exception_behind_a_success)
{
    struct scene s;
    begin(&s, true);
    steps(&s, 1, 20, 1);
    print(&s, 0, "{'train_runtime': 41.2, 'train_samples_per_second': 9.1, 'train_loss': 2.1}");
    print(&s, 0, "KeyError: 'held_out'");
    CHECK_EQ_INT(outcome_so_far(&s), FL_OUTCOME_FAILED);
    for (int i = 0; i < 30; i++) {
        print(&s, 0, "packing shard %d of the archive", i);
    }
    CHECK_EQ_INT(outcome_so_far(&s), FL_OUTCOME_HEALTHY);
    end(&s);
}

TEST(seen_once_is_not_told)
{
    struct scene s;
    begin(&s, true);
    for (long i = 0; i < 30; i++) {
        out_of_memory(&s);
        pass(&s, 1);
        steps(&s, 10 * i, 4, 0);
        pass(&s, 1);
    }
    CHECK_EQ_INT(s.told, 0);
    end(&s);
}

TEST(flapping)
{
    struct scene s;
    begin(&s, true);
    for (long i = 0; i < 360; i++) { /* an hour: fails and goes on, every ten seconds */
        out_of_memory(&s);
        pass(&s, 5);
        steps(&s, 10 * i, 4, 0);
        pass(&s, 5);
    }
    CHECK_EQ_INT(s.told, 4); /* after 0, 5, 15 and 35 minutes */
    CHECK_EQ_INT(s.withdrawn, 4);
    out_of_memory(&s);
    pass(&s, 2000);
    CHECK_EQ_INT(s.told, 5); /* it stays: told when the quiet is over */
    end(&s);
}

TEST(signal_is_told_and_withdrawn)
{
    struct scene s;
    begin(&s, true);
    steps(&s, 1, 100, 1);
    for (long i = 101; i < 106; i++) { /* two in a row are one, and it takes five checks */
        print(&s, 0, "step %ld loss nan", i);
        pass(&s, 10);
    }
    CHECK_EQ_INT(s.told, 0);
    print(&s, 0, "step 106 loss nan");
    pass(&s, 1);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_STR(s.last.signal.metric, "loss");
    CHECK_EQ_STR(s.last.signal.kind, "nan");
    CHECK_EQ_INT(s.last.signal.from_step, 101);
    CHECK_EQ_INT(s.last.signal.line, 101);
    CHECK(!s.last.cause);
    steps(&s, 108, 4, 10);
    CHECK_EQ_INT(s.withdrawn, 0);
    steps(&s, 112, 1, 1);
    CHECK_EQ_INT(s.withdrawn, 1);
    end(&s);
}

/* A second cause that is as likely makes the first less sure, but not over. */
TEST(told_failure_may_be_doubted)
{
    struct scene s;
    struct fl_verdict v;
    begin(&s, true);
    steps(&s, 1, 20, 1);
    print(&s, 0, "pump stopped");
    print(&s, 0, "valve closed");
    pass(&s, 5);
    CHECK_EQ_STR(s.last.cause, "gpu_lost");
    print(&s, 0, "shelf is full");
    pass(&s, 5);
    fl_attribute(fl_job_diagnosis(s.job), &v);
    CHECK_EQ_STR(v.cause->slug, "gpu_lost");
    CHECK(v.score < FL_LIVE_SURE);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_INT(s.withdrawn, 0);
    end(&s);

    begin(&s, true); /* from the beginning it is not sure enough to be told */
    print(&s, 0, "pump stopped");
    print(&s, 0, "valve closed");
    print(&s, 0, "shelf is full");
    pass(&s, 5);
    CHECK_EQ_INT(s.told, 0);
    end(&s);
}

/* ---- silence ---- */

TEST(hang)
{
    struct scene s;
    begin(&s, true);
    steps(&s, 1, 12, 10);
    pass(&s, 91); /* 100 s and a second since the step arrived */
    print(&s, 0, "still here");
    CHECK_EQ_INT(s.told, 0);
    pass(&s, 2);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_STR(s.last.signal.kind, "hang");
    CHECK_EQ_INT(s.last.signal.from_step, 12);
    CHECK_EQ_STR(s.last.signal.text, "no step for 102 seconds; before, one line of progress in 10");
    CHECK(!s.last.file);
    pass(&s, 1000);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_INT(s.withdrawn, 0);
    steps(&s, 13, 1, 2);
    CHECK_EQ_INT(s.withdrawn, 1);
    pass(&s, 1500); /* it got over as much */
    CHECK_EQ_INT(s.told, 1);
    pass(&s, 1000);
    CHECK_EQ_INT(s.told, 2);
    end(&s);
}

TEST(no_hang)
{
    struct scene s;
    begin(&s, false); /* not caught up: when lines arrive says nothing */
    steps(&s, 1, 20, 1);
    pass(&s, 500);
    CHECK_EQ_INT(s.told, 0);
    end(&s);

    begin(&s, true); /* done */
    steps(&s, 1, 20, 1);
    print(&s, 0, "Training completed successfully");
    pass(&s, 500);
    CHECK_EQ_INT(s.told, 0);
    end(&s);

    begin(&s, true); /* failed */
    steps(&s, 1, 20, 1);
    out_of_memory(&s);
    pass(&s, 500);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_STR(s.last.signal.kind, "failure");
    end(&s);
}

/* Each rank that is not left out prints, n times; all into one file, or each into its own. */
static void ranks(struct scene *s, bool apart, unsigned without, long from, long n)
{
    for (long i = from; i < from + n; i++) {
        for (size_t k = 0; k < STREAMS; k++) {
            if (!(without >> k & 1)) {
                print(s, apart ? k : 0, "[rank%zu]: step %ld loss %.3f", k, i, 5 - (double)i / 1000);
            }
        }
        pass(s, 5);
    }
}

static void check_silent_rank(bool apart)
{
    struct scene s;
    begin(&s, true);
    ranks(&s, apart, 0, 1, 12);
    ranks(&s, apart, 1U << 2, 13, 11);
    CHECK_EQ_INT(s.told, 0);
    ranks(&s, apart, 1U << 2, 24, 1);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_STR(s.last.signal.kind, "silence");
    CHECK_EQ_INT(s.last.signal.rank, 2);
    CHECK_EQ_INT(s.last.signal.from_step, 12);
    CHECK_EQ_STR(s.last.file, apart ? "c.log" : "a.log");
    CHECK_EQ_INT(s.last.signal.line, apart ? 12 : 47);
    CHECK_HAS(s.last.signal.text, "while 3 of 3 others go on");
    pass(&s, 300); /* now all are silent: that is a hang, and the rank is still silent */
    CHECK_EQ_INT(s.told, 2);
    CHECK_EQ_STR(s.last.signal.kind, "hang");
    CHECK_EQ_INT(s.withdrawn, 0);
    ranks(&s, apart, 0, 25, 1);
    CHECK_EQ_INT(s.told, 2);
    CHECK_EQ_INT(s.withdrawn, 2);
    end(&s);
}

TEST(silent_rank)
{
    check_silent_rank(true);
    check_silent_rank(false);
}

TEST(two_silent_ranks)
{
    struct scene s;
    begin(&s, true);
    ranks(&s, false, 0, 1, 12);
    ranks(&s, false, 1U << 2, 13, 14);
    CHECK_EQ_INT(s.last.signal.rank, 2);
    ranks(&s, false, 1U << 2 | 1U << 1, 27, 14);
    CHECK_EQ_INT(s.told, 2);
    CHECK_EQ_INT(s.last.signal.rank, 1);
    print(&s, 0, "using world size: 2, data-parallel-size: 2, tensor-model-parallel size: 1");
    ranks(&s, false, 1U << 2 | 1U << 1, 1, 100); /* a new run does without them */
    CHECK_EQ_INT(s.withdrawn, 2);
    CHECK_EQ_INT(s.told, 2);
    end(&s);
}

/* Where all stop at once nobody is singled out. */
TEST(all_silent)
{
    struct scene s;
    begin(&s, true);
    ranks(&s, true, 0, 1, 12);
    pass(&s, 1000);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_STR(s.last.signal.kind, "hang");
    end(&s);
}

/* ---- looking on leaves no trace ---- */

TEST(memory_is_bounded)
{
    struct scene s;
    begin(&s, true);
    size_t used = 0;
    const struct fl_arena *arena = fl_diagnosis_arena(fl_job_diagnosis(s.job));
    steps(&s, 1, 100, 1);
    for (long i = 0; i < 4000; i++) {
        used = i == 2000 ? arena->used : used;
        print(&s, 0, "step %ld loss nan", 101 + i);
        pass(&s, 1);
    }
    CHECK_EQ_INT(arena->used, (long long)used);
    end(&s);
}

/* The parts of a rule of job scope come one after the other, in any stream. */
TEST(rule_of_job_scope)
{
    struct scene s;
    struct fl_verdict v;
    begin(&s, true);
    steps(&s, 1, 20, 1);
    print(&s, 0, "pump stopped");
    pass(&s, 10);
    CHECK_EQ_INT(s.told, 0);
    print(&s, 1, "valve closed");
    pass(&s, 10);
    CHECK_EQ_INT(s.told, 1);
    CHECK_EQ_STR(s.last.cause, "gpu_lost");
    print(&s, 2, "only a drill");
    pass(&s, 10);
    CHECK_EQ_INT(s.withdrawn, 1);
    fl_diagnosis_end(fl_job_diagnosis(s.job));
    fl_attribute(fl_job_diagnosis(s.job), &v);
    CHECK_EQ_INT(v.outcome, FL_OUTCOME_HEALTHY);
    end(&s);
}

/* ---- as it is printed ---- */

TEST(printed)
{
    struct fl_live_matter m = {.signal = {.kind = "failure", .rank = 3, .from_step = 40, .to_step = 40,
                                          .severity = FL_SEVERITY_HIGH, .confidence = 0.9, .line = 881,
                                          .text = "out of \033memory"},
                               .cause = "gpu_oom", .file = "rank3.log"};
    struct fl_buf out;
    fl_buf_init(&out, 4096);
    fl_live_report(&m, false, 0, false, &out);
    CHECK_EQ_STR(fl_buf_text(&out), "1970-01-01T00:00:00Z detected: out of \\x1bmemory (gpu_oom), "
                                    "rank3.log:881\n");
    m.signal = (struct fl_signal){.kind = "hang", .rank = -1, .from_step = 7, .to_step = 7, .line = -1,
                                  .severity = FL_SEVERITY_HIGH, .confidence = -1, .text = "no step"};
    m.cause = m.file = NULL;
    fl_buf_clear(&out);
    fl_live_report(&m, true, 0, false, &out);
    CHECK_EQ_STR(fl_buf_text(&out), "1970-01-01T00:00:00Z withdrawn: no step (hang)\n");
    fl_buf_clear(&out);
    fl_live_report(&m, true, 0, true, &out);
    CHECK_EQ_STR(fl_buf_text(&out),
                 "{\"schema\":\"faultline.live/1\",\"event\":\"withdrawn\",\"time\":"
                 "\"1970-01-01T00:00:00Z\",\"signal\":{\"metric\":null,\"kind\":\"hang\","
                 "\"from_step\":7,\"to_step\":7,\"rank\":null,\"severity\":\"high\","
                 "\"confidence\":null,\"cause\":null,\"file\":null,\"line\":null,"
                 "\"summary\":\"no step\"}}\n");
    fl_buf_free(&out);
}

static bool write_rule(const char *state)
{
    static const char rule[] =
        "{\"format\": \"faultline.diagnosis/1\", \"rules\": [{\"id\": \"pump\", \"cause\": \"gpu_lost\", "
        "\"role\": \"root\", \"scope\": \"job\", \"any\": [\"^pump stopped\"], \"all\": [\"^valve closed\"], "
        "\"none\": [\"^only a drill\"], \"confidence\": 0.85, \"summary\": \"the pump stopped\", "
        "\"samples\": {\"match\": [\"pump stopped\\nvalve closed\"], \"nomatch\": [\"pump stopped\"]}}, "
        "{\"id\": \"shelf\", \"cause\": \"disk_full\", \"role\": \"root\", \"scope\": \"line\", "
        "\"any\": [\"^shelf is full\"], \"confidence\": 0.85, \"summary\": \"the shelf is full\", "
        "\"samples\": {\"match\": [\"shelf is full\"], \"nomatch\": [\"shelf\"]}}]}";
    char path[128];
    snprintf(path, sizeof path, "%s/rules/operator", state);
    bool made = fl_fsio_mkdirs(path, NULL) == FL_OK;
    snprintf(path, sizeof path, "%s/rules/operator/pump.json", state);
    return made && fl_fsio_replace(path, FL_LIT(rule), false, NULL) == FL_OK;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
    (void)s;
    (void)kind;
    (void)at;
    return remove(path);
}

int main(void)
{
    struct fl_err err = {0};
    char state[] = "/tmp/faultline-live-XXXXXX";
    if (!mkdtemp(state) || !write_rule(state) || fl_rulebook_open(state, &book, &err) != FL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return EXIT_FAILURE;
    }
    RUN(pace);
    RUN(failure_is_told_once_and_withdrawn);
    RUN(exception_behind_a_success);
    RUN(seen_once_is_not_told);
    RUN(flapping);
    RUN(signal_is_told_and_withdrawn);
    RUN(told_failure_may_be_doubted);
    RUN(hang);
    RUN(no_hang);
    RUN(silent_rank);
    RUN(two_silent_ranks);
    RUN(all_silent);
    RUN(memory_is_bounded);
    RUN(rule_of_job_scope);
    RUN(printed);
    fl_rulebook_close(&book);
    CHECK_EQ_INT(nftw(state, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    return test_result();
}
