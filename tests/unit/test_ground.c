/* SPDX-License-Identifier: Apache-2.0 */
/* What a model cites is believed only when it stands there: 2 000 honest answers and 2 000 that were
 * made false, over lines of four logs as they are sent. Whether a false one has become true by
 * chance is settled by a second, slower reading of the same rule. */
#include "tests/unit/test.h"

#include "service/base/buf.h"
#include "service/base/json.h"
#include "service/llm/ask.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ANSWERS = 2000, LINES = 16, QUOTE = 4096, LEAST = 8 };

static const char *const texts[][LINES] = {
    {"[rank3]: step 1200 | loss 2.3114 | lr 3.0e-04 | grad_norm 0.88 | tokens/s 41220",
     "WARNING  dataloader worker 5 took 31.2 s for shard-00412.tar (slow disk?)",
     "Traceback (most recent call last):",
     "  File \"/srv/exp/train.py\", line 188, in training_step",
     "    loss.backward()",
     "  File \"/opt/venv/lib/python3.11/site-packages/torch/_tensor.py\", line 522, in backward",
     "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.91 GiB. GPU 2 has a total",
     "[rank3]:[W ProcessGroupNCCL.cpp:1167] Warning: process group has NOT been destroyed",
     "E1121 10:14:04.113 torch/distributed/elastic/multiprocessing/api.py:826] failed (exitcode: 1)",
     "Killed"},
    {"INFO    saving checkpoint to  /mnt/ckpt/step_000400   (41.2 GB)",
     "OSError: [Errno 28] No space left on device: '/mnt/ckpt/step_000400/rank_07.pt'",
     "INFO    saving checkpoint to  /mnt/ckpt/step_000800   (41.2 GB)",
     "OSError: [Errno 28] No space left on device: '/mnt/ckpt/step_000800/rank_03.pt'",
     "\tat\tshard\twriter\tthread 7:\twrite() returned -1",
     "retrying in 10 s (attempt 1 of 3) with token hf_CANARYabcdefghijklmnopqrst",
     "retrying in 20 s (attempt 2 of 3) with token hf_CANARYabcdefghijklmnopqrst",
     "retrying in 40 s (attempt 3 of 3) with token hf_CANARYabcdefghijklmnopqrst",
     "écriture impossible : le disque est plein — arrêt de la tâche",
     "slurmstepd: error: *** STEP 99213.0 ON node-17 CANCELLED AT 2026-11-21T10:15:02 ***"},
    {"NVRM: Xid (PCI:0000:4b:00): 79, pid=4121, name=python, GPU has fallen off the bus.",
     "node-03:4121:4377 [2] NCCL WARN Cuda failure 'unspecified launch failure'",
     "node-04:3977:4102 [5] NCCL INFO [Service thread] Connection closed by localRank 2",
     "[rank13]:[E ProcessGroupNCCL.cpp:563] [Rank 13] Watchdog caught collective operation timeout",
     "[rank14]:[E ProcessGroupNCCL.cpp:563] [Rank 14] Watchdog caught collective operation timeout",
     "[rank15]:[E ProcessGroupNCCL.cpp:563] [Rank 15] Watchdog caught collective operation timeout",
     "RuntimeError: CUDA error: unspecified launch failure",
     "CUDA kernel errors might be asynchronously reported at some other API call",
     "terminate called after throwing an instance of 'c10::DistBackendError'",
     "  what():  NCCL error: remote process exited or there was a network error"},
    {"{\"event\": \"eval\", \"step\": 90, \"loss\": NaN, \"note\": \"first \\\"bad\\\" batch\"}",
     "AssertionError: loss is nan at step 91 (batch sha 5f0c2e, lr 3e-4)",
     "\x1b[31mERROR\x1b[0m   grad scaler fell to 0.0 after 12 skipped steps",
     "wandb: Run summary:  loss nan,  step 91,  lr 0.0003,  epoch 0.41",
     "L4 [rank 0] is not a label but what this job prints in front of its lines",
     "srun: error: node-09: task 11: Exited with exit code 1",
     "srun: error: node-09: task 12: Exited with exit code 1",
     "srun: Terminating StepId=99213.0"},
};
static const char *const causes[] = {"disk_full", "host_oom"};
static const char *const actions[] = {"none", "escalate"};
static const struct fl_ask_incident similar[] = {
    {{"i1", 2}, {"disk_full", 9}, {"The quota of the scratch volume ran out while shard 9 was written", 65},
     {"Moved old checkpoints to the archive and raised the quota", 57}, 0.8},
    {{"i2", 2}, {"host_oom", 8}, {"A prefetch queue grew until the kernel killed the loader", 56},
     {"Set prefetch_factor to 2", 24}, 0.5}};

/* One log as it is asked about. */
struct job {
    struct fl_ask_line lines[LINES];
    struct fl_ask ask;
    struct fl_ask_prompt prompt;
};

static struct fl_arena arena;
static struct job jobs[COUNT(texts)];
static uint64_t seed;

static size_t below(size_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)(seed >> 33) % n;
}

static void make_jobs(void)
{
    struct fl_err err = {0};
    const char *prompts = getenv("FL_PROMPTS");
    for (size_t k = 0; k < COUNT(texts); k++) {
        struct job *job = &jobs[k];
        size_t n = 0;
        for (; n < LINES && texts[k][n]; n++) {
            job->lines[n] = (struct fl_ask_line){{"rank.log", 8}, (long)n + 1, k == 1 ? -1 : (long)(n % 3),
                                                 fl_str_of(texts[k][n]), .kind = 100 * k + n, .trouble = true};
        }
        job->ask = (struct fl_ask){.lines = job->lines, .lines_n = n, .similar = similar, .similar_n = 2,
                                   .findings = "symptom nccl_timeout, 3 lines", .causes = causes,
                                   .causes_n = 2, .actions = actions, .actions_n = 2};
        CHECK_EQ_INT(fl_ask_render(prompts ? prompts : "prompts", &job->ask, &arena, &job->prompt, &err), FL_OK);
        CHECK_EQ_STR(err.msg, "");
        for (size_t i = 0; i < n; i++) {
            CHECK(job->prompt.shown[i].n);
        }
    }
}

/* ---- a citation, and whether it holds ---- */

struct citation {
    const struct job *job;
    size_t at;      /* the line it was made from */
    char label[64]; /* JSON; "" for none */
    char quote[QUOTE];
    size_t n;
};

static struct fl_str line_of(const struct citation *c)
{
    return c->job->prompt.shown[c->at];
}

static void set_quote(struct citation *c, struct fl_str text)
{
    c->n = text.n < QUOTE ? text.n : QUOTE;
    memcpy(c->quote, text.p, c->n);
}

static void set_label(struct citation *c, size_t index)
{
    snprintf(c->label, sizeof c->label, "\"L%zu\"", index + 1);
}

static bool is_kept(const struct citation *c)
{
    struct fl_buf text;
    struct fl_err err = {0};
    struct fl_ask_answer got;
    struct fl_jw w;
    fl_buf_init(&text, 64 * 1024);
    fl_buf_addf(&text, "{\"cause\":\"disk_full\",\"summary\":\"s\",\"confidence\":0.9,\"action\":\"none\","
                "\"recoverable\":false,\"recovery\":[],\"evidence\":[{%s%s%s\"quote\":", *c->label ? "\"line\":" : "",
                c->label, *c->label ? "," : "");
    fl_jw_init(&w, &text, false);
    fl_jw_str(&w, (struct fl_str){c->quote, c->n});
    fl_buf_add_text(&text, "}]}");
    enum fl_status status = fl_ask_parse_answer(fl_buf_str(&text), &c->job->ask, c->job->prompt.shown,
                                                &arena, &got, &err);
    CHECK_EQ_STR(status == FL_SYNTAX ? err.msg : "", "");
    CHECK(status != FL_OK || got.evidence_n == 1);
    CHECK(status == FL_OK || got.evidence_n == 0);
    fl_buf_free(&text);
    return status == FL_OK;
}

static struct fl_str squeezed(struct fl_str s, char out[static QUOTE])
{
    size_t n = 0;
    s = fl_str_trim(s);
    for (size_t i = 0; i < s.n && n < QUOTE; i++) {
        bool blank = fl_is_space(s.p[i]);
        if (!blank || out[n - 1] != ' ') {
            out[n++] = blank ? ' ' : s.p[i];
        }
    }
    return (struct fl_str){out, n};
}

/* Does the quote stand in the line of that index, after all? */
static bool is_true(const struct citation *c, size_t index)
{
    char line[QUOTE];
    char quote[QUOTE];
    if (index >= c->job->ask.lines_n) {
        return false;
    }
    struct fl_str a = squeezed(c->job->prompt.shown[index], line);
    struct fl_str b = squeezed((struct fl_str){c->quote, c->n}, quote);
    return fl_str_eq(a, b) || (b.n >= LEAST && fl_str_find(a, b));
}

/* ---- honest ones ---- */

static bool is_middle(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static void cut_part(struct citation *c)
{
    struct fl_str whole = line_of(c);
    size_t most = whole.n;
    if (most < LEAST + 2) {
        return;
    }
    size_t from = below(most - LEAST);
    size_t n = LEAST + below(most - from - LEAST + 1);
    while (from && is_middle(whole.p[from])) {
        from--, n++;
    }
    while (from + n < most && is_middle(whole.p[from + n])) {
        n++;
    }
    struct fl_str part = {whole.p + from, n};
    if (fl_str_trim(part).n >= LEAST) {
        set_quote(c, part);
    }
}

/* " L12 [rank 3] " in front of the quote, as it is in the prompt; rank_off: of another rank. */
static void copy_label(struct citation *c, size_t index, long rank_off)
{
    char text[QUOTE];
    long rank = c->job->lines[index].rank;
    int n = rank < 0 && !rank_off ? snprintf(text, 64, "L%zu ", index + 1)
                                  : snprintf(text, 64, "L%zu [rank %ld] ", index + 1, rank + rank_off);
    size_t rest = c->n < QUOTE - (size_t)n ? c->n : QUOTE - (size_t)n;
    memcpy(text + n, c->quote, rest);
    set_quote(c, (struct fl_str){text, (size_t)n + rest});
}

static void be_honest(struct citation *c)
{
    static const char *const round[][2] = {{"\"L", "\""}, {"", ""}, {"\"", "\""}, {"\"[L", "]\""}, {"\" L", " \""},
                                           {"", ".0"}};
    char text[QUOTE];
    size_t way = below(COUNT(round));
    snprintf(c->label, sizeof c->label, "%s%zu%s", round[way][0], c->at + 1, round[way][1]);
    set_quote(c, line_of(c));
    if (below(3)) {
        cut_part(c);
    }
    size_t kind = below(5);
    if (kind == 0) {
        set_quote(c, squeezed((struct fl_str){c->quote, c->n}, text));
    } else if (kind == 1) {
        copy_label(c, c->at, 0);
    } else if (kind == 2) {
        memcpy(c->quote + c->n, "  \t ", 4);
        c->n += 4;
    } else if (kind == 3) {
        memmove(c->quote + 2, c->quote, c->n);
        memcpy(c->quote, " \t", 2);
        c->n += 2;
    }
}

TEST(honest_quotes_are_kept)
{
    long kept = 0;
    seed = 1;
    for (int i = 0; i < ANSWERS; i++) {
        struct citation c = {.job = &jobs[below(COUNT(jobs))]};
        c.at = below(c.job->ask.lines_n);
        be_honest(&c);
        bool keeps = is_kept(&c);
        kept += keeps;
        if (!keeps) {
            fprintf(stderr, "refused: %s \"%.*s\"\n", c.label, (int)c.n, c.quote);
        }
    }
    fprintf(stderr, "%ld of %d honest answers kept\n", kept, ANSWERS);
    CHECK(1000 * kept >= 995L * ANSWERS);
}

/* ---- false ones ---- */

static void shift_label(struct citation *c)
{
    long off = 1 + (long)below(50);
    long to = (long)c->at + (below(2) ? off : -off);
    snprintf(c->label, sizeof c->label, "\"L%ld\"", to + 1);
    c->at = to >= 0 ? (size_t)to : c->job->ask.lines_n; /* what it has to be true of */
}

static void edit(struct citation *c)
{
    static const char other[] = "aeiost0123456789/.:_-QZ";
    size_t i = below(c->n);
    char with = other[below(sizeof other - 1)];
    while (is_middle(c->quote[i]) || (c->quote[i] & 0x80)) { /* one byte of a character is no text */
        i = below(c->n);
    }
    switch (below(4)) {
    case 0:
        memmove(c->quote + i + 1, c->quote + i, c->n++ - i);
        c->quote[i] = with;
        break;
    case 1:
        memmove(c->quote + i, c->quote + i + 1, --c->n - i);
        break;
    case 2:
        c->quote[i] = with;
        break;
    default:
        while (!fl_is_alpha(c->quote[i])) {
            i = below(c->n);
        }
        c->quote[i] ^= 0x20;
    }
}

static void take_from(struct citation *c, struct fl_str text)
{
    size_t n = LEAST + below(60);
    size_t from = text.n > n ? below(text.n - n) : 0;
    set_quote(c, (struct fl_str){text.p + from, text.n > n ? n : text.n});
}

static void join(struct citation *c)
{
    static const char *const between[] = {" ", "\n", "", " ... ", "\n  "};
    char text[QUOTE];
    size_t next = c->at + 1 < c->job->ask.lines_n ? c->at + 1 : c->at - 1;
    struct fl_str a = line_of(c);
    struct fl_str b = c->job->prompt.shown[next];
    int n = snprintf(text, sizeof text, "%.*s%s%.*s", (int)a.n, a.p, between[below(COUNT(between))],
                     (int)b.n, b.p);
    set_quote(c, (struct fl_str){text, (size_t)n});
}

static void drop_label(struct citation *c)
{
    static const char *const labels[] = {"", "null", "\"\"", "\"L\"", "\"L0\"", "0", "-1", "true", "[1]",
                                         "\"L99999999999999999999\"", "1e300", "\"last\"", "{\"L\":1}",
                                         "\"rank.log\"", "\"L-1\"", "\"line 1\""};
    snprintf(c->label, sizeof c->label, "%s", labels[below(COUNT(labels))]);
    c->at = c->job->ask.lines_n;
}

static const char *const kinds[] = {"label off", "one character", "another job", "an incident",
                                    "the instructions", "two lines", "no label", "another line's label",
                                    "another rank's label", "too short", "what was left out"};

static void be_false(struct citation *c, size_t kind)
{
    const struct job *other = &jobs[(size_t)(c->job - jobs + 1 + (long)below(COUNT(jobs) - 1)) % COUNT(jobs)];
    const struct fl_ask_incident *in = &similar[below(2)];
    set_label(c, c->at);
    set_quote(c, line_of(c));
    switch (kind) {
    case 0: shift_label(c); break;
    case 1: edit(c); break;
    case 2: set_quote(c, other->prompt.shown[below(other->ask.lines_n)]); break;
    case 3: take_from(c, below(2) ? in->summary : in->resolution); break;
    case 4: take_from(c, below(2) ? c->job->prompt.system : c->job->prompt.user); break;
    case 5: join(c); break;
    case 6: drop_label(c); break;
    case 7: copy_label(c, (c->at + 1 + below(7)) % c->job->ask.lines_n, 0); break;
    case 8: copy_label(c, c->at, 1 + (long)below(7)); break;
    case 9:
        take_from(c, line_of(c));
        c->n = 1 + below(c->n < LEAST ? c->n : LEAST - 1);
        while (is_middle(c->quote[c->n])) {
            c->n--;
        }
        break;
    default: /* the secret that a placeholder stands for, bytes that were written out */
        set_quote(c, fl_str_of(texts[c->job - jobs][c->at]));
    }
}

TEST(false_quotes_are_refused)
{
    long made[COUNT(kinds)] = {0};
    long by_chance[COUNT(kinds)] = {0};
    long taken = 0;
    seed = 2;
    for (int i = 0, tries = 0; i < ANSWERS && tries < 20 * ANSWERS; tries++) {
        struct citation c = {.job = &jobs[below(COUNT(jobs))]};
        size_t kind = below(COUNT(kinds));
        c.at = below(c.job->ask.lines_n);
        be_false(&c, kind);
        if (is_true(&c, c.at)) {
            by_chance[kind]++;
            continue;
        }
        i++;
        made[kind]++;
        bool takes = is_kept(&c);
        taken += takes;
        if (takes) {
            fprintf(stderr, "taken (%s): %s \"%.*s\"\n", kinds[kind], c.label, (int)c.n, c.quote);
        }
    }
    for (size_t i = 0; i < COUNT(kinds); i++) {
        fprintf(stderr, "%-20s %4ld refused, %ld were true\n", kinds[i], made[i], by_chance[i]);
        CHECK(made[i] > 15);
    }
    CHECK_EQ_INT(taken, 0);
}

int main(void)
{
    fl_arena_init(&arena, 256 << 20);
    make_jobs();
    RUN(honest_quotes_are_kept);
    RUN(false_quotes_are_refused);
    fl_arena_free(&arena);
    return test_result();
}
