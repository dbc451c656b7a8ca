/* SPDX-License-Identifier: Apache-2.0 */
/* Any cutting of the bytes gives the same verdict, byte for byte, and so does a watched job, in which
 * every line is asked about anew (service/habits.h): each golden case, one long made
 * stream, and a few labelled logs (where FL_CORPUS names a folder of them) are read whole and in
 * random cuttings. FL_SEED=N repeats a run. */
#include "tests/unit/test.h"

#include "service/base/clock.h"
#include "service/base/fsio.h"
#include "service/paths.h"
#include "service/report_json.h"

enum { FILES_MAX = 64, CUTTINGS_GOLDEN = 400, CUTTINGS_CORPUS = 12, CORPUS_CASES = 20, CORPUS_STEP = 7,
       CORPUS_BYTES = 64 * 1024 };

static struct fl_rulebook book;
static uint64_t dice;

static size_t below(size_t n)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return n ? (size_t)(dice % n) : 0;
}

struct logs {
    struct fl_arena arena;
    const char *path[FILES_MAX];
    struct fl_str bytes[FILES_MAX];
    size_t n;
    size_t size;
};

/* Everything that may depend on the bytes: the verdict document, then all findings, runs and the
 * condensed view. */
static void write_place(struct fl_buf *out, const struct fl_sighting *s)
{
    fl_buf_addf(out, "%u:%ld:%llu rank %ld/%ld gpu %ld order %llu steps %ld step %ld %d %lld ",
                s->place.stream, s->place.line, (unsigned long long)s->place.offset, s->place.rank,
                s->place.local_rank, s->place.gpu, (unsigned long long)s->order, s->steps, s->step,
                s->after_success, s->place.has_time ? (long long)s->place.time_ms : -1);
    fl_buf_add_safe(out, s->place.node);
    fl_buf_add_text(out, " | ");
    fl_buf_add_safe(out, s->text);
    fl_buf_add_text(out, "\n");
}

static void write_all(const struct fl_result *r, struct fl_buf *out)
{
    size_t n = 0;
    const struct fl_finding *findings = fl_diagnosis_findings(fl_job_diagnosis(r->job), &n);
    fl_report_json(r, true, out);
    for (size_t i = 0; i < n; i++) {
        fl_buf_addf(out, "%s run %u x %ld: ", r->book->set->rules[findings[i].rule].id,
                    findings[i].run, findings[i].count);
        fl_buf_add_safe(out, findings[i].summary);
        fl_buf_add_text(out, "\n");
        write_place(out, &findings[i].first);
        write_place(out, &findings[i].last);
    }
    uint32_t streams_n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &streams_n);
    for (uint32_t i = 0; i < streams_n; i++) {
        for (uint32_t k = 0; k < streams[i].runs_n; k++) {
            const struct fl_run *run = &streams[i].runs[k];
            fl_buf_addf(out, "%s run %u: %ld steps %ld..%ld saved %ld ok %d at %llu\n",
                        streams[i].name, k, run->steps, run->first_step, run->last_step,
                        run->checkpoint, run->success, (unsigned long long)run->success_order);
        }
    }
    const struct fl_series_set *series = fl_diagnosis_series(fl_job_diagnosis(r->job));
    for (size_t i = 0; i < series->n; i++) {
        const struct fl_series *one = series->list[i];
        fl_buf_addf(out, "series %u:%u rank %ld: %zu rows, %ld seen, last %ld ", one->stream,
                    one->run, one->rank, one->n, one->seen, one->last.step);
        fl_buf_add_safe(out, (struct fl_str){one->last.text, one->last.text_n});
    }
    const struct fl_view_line *lines = fl_view_lines(fl_job_view(r->job), &n);
    for (size_t i = 0; i < n; i++) {
        fl_buf_addf(out, "%u:%ld:%llu ", lines[i].stream, lines[i].line,
                    (unsigned long long)lines[i].offset);
        fl_buf_add_safe(out, lines[i].text);
        fl_buf_add_text(out, "\n");
    }
}

enum { KINDS = 5, WATCHED };

static void look_on(void *ctx, const struct fl_notice *notice)
{
    ++*(long *)ctx;
    (void)notice;
}

/* Sizes of the pieces of one cutting are of a kind: single bytes, a few, hundreds, thousands. */
static size_t piece(unsigned kind, size_t left)
{
    static const size_t most[] = {1, 7, 100, 3000, 70000};
    size_t n = kind == 0 || kind == WATCHED ? left : below(most[kind - 1]) + 1;
    return n < left ? n : left;
}

static bool diagnose(const struct logs *logs, unsigned kind, struct fl_buf *out)
{
    struct fl_err err = {0};
    struct fl_result r = {.book = &book};
    long notices = 0;
    const struct fl_watch watch = {look_on, &notices};
    enum fl_status status = fl_job_new(book.set, &r.job, &err);
    if (status == FL_OK && kind == WATCHED) {
        fl_job_watch(r.job, &watch);
    }
    for (size_t i = 0; status == FL_OK && i < logs->n; i++) {
        struct fl_str rest = logs->bytes[i];
        struct fl_feed *feed = NULL;
        status = fl_feed_open(r.job, logs->path[i], logs->path[i], &feed, &err);
        while (status == FL_OK && rest.n) {
            size_t n = piece(kind, rest.n);
            /* a copy of its own, so that reading past a piece is seen */
            char *copy = malloc(n);
            if (!copy) {
                abort();
            }
            memcpy(copy, rest.p, n);
            status = fl_lines_push(fl_feed_lines(feed), (struct fl_str){copy, n}, &err);
            free(copy);
            rest = fl_str_skip(rest, n);
        }
        if (status == FL_OK) {
            status = fl_feed_close(feed, NULL, &err);
        }
    }
    CHECK_EQ_STR(err.msg, "");
    if (status == FL_OK) {
        fl_diagnosis_end(fl_job_diagnosis(r.job));
        fl_attribute(fl_job_diagnosis(r.job), &r.verdict);
        write_all(&r, out);
    }
    fl_job_free(r.job);
    return status == FL_OK && out->failed == FL_OK;
}

/* Shows the first line that differs. */
static void show_difference(const char *name, unsigned kind, const char *a, const char *b)
{
    size_t i = 0;
    while (a[i] && a[i] == b[i]) {
        i++;
    }
    size_t from = i > 200 ? i - 200 : 0;
    fprintf(stderr, "%s, cut in the manner of %u, at byte %zu:\n  whole: %.500s\n  cut:   %.500s\n",
            name, kind, i, a + from, b + from);
}

static void hold(const char *name, const struct logs *logs, int cuttings)
{
    struct fl_buf whole;
    struct fl_buf cut;
    fl_buf_init(&whole, 64 << 20);
    fl_buf_init(&cut, 64 << 20);
    CHECK(logs->n > 0 && diagnose(logs, 0, &whole));
    for (int i = 0; i < cuttings; i++) {
        unsigned kind = (unsigned)i % WATCHED + 1;
        if (kind == 1 && logs->size > 256 * 1024) {
            kind = 2;
        }
        fl_buf_clear(&cut);
        bool same = diagnose(logs, kind, &cut) && fl_str_eq(fl_buf_str(&whole), fl_buf_str(&cut));
        CHECK(same);
        if (!same) {
            show_difference(name, kind, fl_buf_text(&whole), fl_buf_text(&cut));
            break;
        }
    }
    fl_buf_free(&whole);
    fl_buf_free(&cut);
}

static enum fl_status add_file(void *ctx, const char *path, struct fl_err *err)
{
    struct logs *logs = ctx;
    static const char *const others[] = {"expect.json", "label.json", ".md", "/known-gap", ".gz"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (fl_str_ends(fl_str_of(path), fl_str_of(others[i]))) {
            return FL_OK;
        }
    }
    if (logs->n == FILES_MAX) {
        return FL_OK;
    }
    struct fl_buf text;
    fl_buf_init(&text, 32 << 20);
    enum fl_status status = fl_fsio_read(path, &text, err);
    if (status == FL_OK) {
        logs->path[logs->n] = fl_arena_text(&logs->arena, fl_str_of(path));
        logs->bytes[logs->n++] = fl_arena_str(&logs->arena, fl_buf_str(&text));
        logs->size += text.n;
    }
    fl_buf_free(&text);
    return status;
}

static void hold_folder(const char *folder, size_t largest, int cuttings, int *held)
{
    struct logs *logs = calloc(1, sizeof *logs);
    struct fl_err err = {0};
    if (!logs) {
        abort();
    }
    fl_arena_init(&logs->arena, 256 << 20);
    CHECK_EQ_INT(fl_fsio_walk(folder, add_file, logs, &err), FL_OK);
    if (logs->size <= largest && logs->n) {
        hold(folder, logs, cuttings);
        ++*held;
    }
    fl_arena_free(&logs->arena);
    free(logs);
}

/* Folders that hold a file of that name. */
struct folders {
    struct fl_arena arena;
    struct fl_str marker;
    const char *list[1024];
    size_t n;
};

static enum fl_status note_folder(void *ctx, const char *path, struct fl_err *err)
{
    struct folders *f = ctx;
    struct fl_str p = fl_str_of(path);
    (void)err;
    if (f->n < sizeof f->list / sizeof *f->list && fl_str_ends(p, f->marker)) {
        f->list[f->n++] = fl_arena_text(&f->arena, (struct fl_str){p.p, p.n - f->marker.n});
    }
    return FL_OK;
}

static struct folders *folders_of(const char *root, const char *marker)
{
    struct folders *f = calloc(1, sizeof *f);
    struct fl_err err = {0};
    if (!f) {
        abort();
    }
    fl_arena_init(&f->arena, 4 << 20);
    f->marker = fl_str_of(marker);
    CHECK_EQ_INT(fl_fsio_walk(root, note_folder, f, &err), FL_OK);
    return f;
}

TEST(golden_cases)
{
    int held = 0;
    char path[FL_PATHS_BYTES];
    struct folders *f = folders_of(fl_paths_data("tests/golden", path), "/expect.json");
    CHECK(f->n >= 14);
    for (size_t i = 0; i < f->n; i++) {
        hold_folder(f->list[i], SIZE_MAX, 1 + CUTTINGS_GOLDEN / (int)f->n, &held);
    }
    fl_arena_free(&f->arena);
    free(f);
}

/* Longer than a block of the line reader, with a line longer than one, all line ends, escapes. */
TEST(long_stream)
{
    static struct logs logs;
    struct fl_buf text;
    fl_buf_init(&text, 8 << 20);
    for (int i = 0; i < 5000; i++) {
        fl_buf_addf(&text, "[rank%d]: step %d loss %d.5%s", i % 4, i, 9 - i / 1000,
                    i % 50 == 0 ? "\r\n" : i % 7 == 0 ? "\r" : "\n");
        if (i % 900 == 0) {
            fl_buf_addf(&text, "\x1b[31mERROR\x1b[0m worker %d: connection refused, retrying\n", i);
        }
        if (i % 2000 == 1999) {
            for (int k = 0; k < 300000 / 10; k++) {
                fl_buf_add_text(&text, "0123456789");
            }
            fl_buf_add_text(&text, i < 3000 ? "\n" : "CUDA out of memory\n");
        }
    }
    fl_buf_add_text(&text, "[rank2]: Traceback (most recent call last):\n"
                           "[rank2]:   File \"/proj/a.py\", line 3, in <module>\r\n"
                           "[rank2]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate "
                           "2.00 GiB. GPU 2 has a total capacity of 79.15 GiB\r");
    logs.path[0] = "long.log";
    logs.bytes[0] = fl_buf_str(&text);
    logs.n = 1;
    logs.size = text.n;
    hold("long stream", &logs, 10);
    fl_buf_free(&text);
}

/* Of each form thousands of lines that differ in digits only (#), and some digits matter (!). */
TEST(lines_of_one_shape_that_say_otherwise)
{
    static const char *const forms[] = {
        " iteration   ###/ 900 | consumed samples: ####00 | lm loss: #.###E+00 | loss scale: 1.0 | "
        "grad norm: 0.### | number of skipped iterations: ! | number of nan iterations: ! |\n",
        "[rank#]: step ### loss #.## lr 0.### exit code: ! signal !\n",
        "Epoch: [#] step ### acc@! ##.# top! ##.#\n",
        "{'loss': #.###, 'grad_norm': #.#, 'learning_rate': #e-0#, 'epoch': #.5}\n",
        "2026-01-0# 10:0#:1# NVRM: Xid (PCI:0000:1#:00): 3!, pid=###, Ch #\n",
        "[2026-01-0# 10:0#:1#] ##%|\xe2\x96\x88     | ###/900 [0#:10<00:10, #.5it/s]\n",
    };
    static struct logs logs;
    struct fl_buf text;
    fl_buf_init(&text, 8 << 20);
    for (int i = 0; i < 6000; i++) {
        char rare = (char)(below(300) ? '0' : '1' + (char)below(9));
        for (const char *p = forms[below(sizeof forms / sizeof *forms)]; *p; p++) {
            char c = *p == '#' ? (char)('1' + (char)below(9)) : *p == '!' ? rare : *p;
            fl_buf_add(&text, &c, 1);
        }
    }
    fl_buf_add_text(&text, "ValueError: that is all\n");
    logs.path[0] = "shapes.log";
    logs.bytes[0] = fl_buf_str(&text);
    logs.n = 1;
    logs.size = text.n;
    hold("shapes", &logs, 2 * WATCHED);
    fl_buf_free(&text);
}

TEST(labelled_logs)
{
    const char *corpus = getenv("FL_CORPUS");
    if (!corpus || !fl_fsio_is_dir(corpus)) {
        fprintf(stderr, "       (skipped: FL_CORPUS names no folder of labelled logs)\n");
        return;
    }
    int held = 0;
    struct folders *f = folders_of(corpus, "/label.json");
    size_t at = f->n ? below(f->n) : 0;
    for (size_t i = 0; i < f->n && held < CORPUS_CASES; i++) {
        at = (at + CORPUS_STEP) % f->n;
        hold_folder(f->list[at], CORPUS_BYTES, CUTTINGS_CORPUS, &held);
    }
    fl_arena_free(&f->arena);
    free(f);
}

int main(void)
{
    struct fl_err err = {0};
    const char *seed = getenv("FL_SEED");
    dice = seed ? strtoull(seed, NULL, 10) : (uint64_t)fl_clock_mono_us();
    fprintf(stderr, "FL_SEED=%llu\n", (unsigned long long)dice);
    dice = dice * 6364136223846793005U + 1442695040888963407U;
    dice = dice ? dice : 1;
    if (fl_rulebook_open(NULL, &book, &err) != FL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return EXIT_FAILURE;
    }
    RUN(golden_cases);
    RUN(long_stream);
    RUN(lines_of_one_shape_that_say_otherwise);
    RUN(labelled_logs);
    fl_rulebook_close(&book);
    return test_result();
}
