/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of the service on disk: offsets, receipts, streams without an end, logs in pieces, what is trimmed, revisions;
 * and their writer: one that fails takes nothing of the others with it, and too much is refused. */
#include "tests/unit/test.h"

#include "service/base/buf.h"
#include "service/base/fsio.h"
#include "service/jobs/jobs.h"
#include "service/jobs/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static char state[128];
static struct fl_jobs *jobs;
static struct fl_err err;

static enum fl_status remove_one(void *ctx, const char *path, struct fl_err *e)
{
    (void)ctx;
    (void)e;
    unlink(path);
    return FL_OK;
}

static void open_fresh(void)
{
    if (fl_fsio_is_dir(state)) {
        CHECK_EQ_INT(fl_fsio_walk(state, remove_one, NULL, &err), FL_OK);
    }
    CHECK_EQ_INT(fl_jobs_open(state, false, &jobs, &err), FL_OK);
}

static void close_all(void)
{
    fl_jobs_close(jobs);
    jobs = NULL;
}

static struct fl_jobs_part part(const char *stream, const char *text, int64_t offset)
{
    struct fl_str s = fl_str_of(text);
    return (struct fl_jobs_part){.job = FL_LIT("j"), .stream = fl_str_of(stream), .node = FL_LIT(""),
                                 .rank = -1, .text = s, .lines = 1, .offset = offset};
}

static enum fl_status add_parts(struct fl_jobs_part *parts, size_t n, const char *receipt)
{
    struct fl_db *db = fl_jobs_db(jobs);
    enum fl_status status = fl_db_begin(db, &err);
    if (status == FL_OK) {
        status = fl_jobs_add(jobs, parts, n, fl_str_of(receipt), &err);
        status = fl_db_end(db, status, &err);
    }
    return status;
}

static enum fl_status add(const char *stream, const char *text, int64_t offset, const char *receipt)
{
    struct fl_jobs_part p = part(stream, text, offset);
    return add_parts(&p, 1, receipt);
}

static enum fl_status note(const char *job, const char *facts, bool ended)
{
    struct fl_db *db = fl_jobs_db(jobs);
    enum fl_status status = fl_db_begin(db, &err);
    if (status == FL_OK) {
        status = fl_jobs_note(jobs, fl_str_of(job), fl_str_of(facts), ended, &err);
        status = fl_db_end(db, status, &err);
    }
    return status;
}

static struct fl_jobs_row row_of(struct fl_arena *arena)
{
    struct fl_jobs_row row = {.row = 0};
    fl_arena_init(arena, 1 << 20);
    CHECK_EQ_INT(fl_jobs_get(jobs, FL_LIT("j"), arena, &row, &err), FL_OK);
    return row;
}

static int64_t row_number(void)
{
    struct fl_arena arena;
    int64_t n = row_of(&arena).row;
    fl_arena_free(&arena);
    return n;
}

static enum fl_status take(void *ctx, struct fl_str bytes, struct fl_err *e)
{
    (void)e;
    return fl_buf_add_str(ctx, bytes);
}

struct finding {
    const char *name;
    struct fl_jobs_stream found;
    long n;
};

static enum fl_status find(void *ctx, const struct fl_jobs_stream *stream, struct fl_err *e)
{
    struct finding *f = ctx;
    (void)e;
    f->n++;
    if (fl_str_eq(stream->name, fl_str_of(f->name))) {
        f->found = *stream;
    }
    return FL_OK;
}

static struct finding stream_of(const char *name)
{
    struct finding f = {.name = name};
    struct fl_arena arena;
    fl_arena_init(&arena, 8 << 20);
    CHECK_EQ_INT(fl_jobs_streams(jobs, row_number(), &arena, find, &f, &err), FL_OK);
    f.found.name = f.found.node = FL_LIT("");
    fl_arena_free(&arena);
    return f;
}

static const char *text_of(const char *stream, int64_t from, int64_t to)
{
    static struct fl_buf out;
    fl_buf_free(&out);
    fl_buf_init(&out, 8 << 20);
    CHECK_EQ_INT(fl_jobs_text(jobs, stream_of(stream).found.row, from, to, take, &out, &err), FL_OK);
    return fl_buf_text(&out);
}

TEST(offsets)
{
    open_fresh();
    CHECK_EQ_INT(add("s", "one\n", 0, ""), FL_OK);
    CHECK_EQ_INT(add("s", "one\n", 0, ""), FL_OK);
    CHECK_EQ_INT(add("s", "e\ntwo\n", 2, ""), FL_OK);
    CHECK_EQ_INT(add("s", "x\n", 9, ""), FL_CONFLICT);
    CHECK_HAS(err.msg, "from 8 on");
    CHECK_EQ_INT(add("s", "three\n", -1, ""), FL_OK);
    CHECK_EQ_INT(add("s", "", 14, ""), FL_OK);
    CHECK_EQ_STR(text_of("s", 0, 99), "one\ntwo\nthree\n");
    CHECK_EQ_INT(add("new", "x\n", 1, ""), FL_CONFLICT);
    struct fl_arena arena;
    struct fl_jobs_row row = row_of(&arena);
    CHECK_EQ_INT(row.bytes, 14);
    CHECK_EQ_INT(row.lines, 3);
    CHECK_EQ_INT(stream_of("s").n, 1); /* what was refused left no stream */
    fl_arena_free(&arena);
    close_all();
}

TEST(receipts)
{
    open_fresh();
    CHECK_EQ_INT(add("s", "a\n", -1, "k1"), FL_OK);
    CHECK_EQ_INT(add("s", "a\n", -1, "k1"), FL_OK);
    CHECK_EQ_INT(add("s", "b\n", 99, "k2"), FL_CONFLICT); /* a push that failed has no receipt */
    CHECK_EQ_INT(add("s", "b\n", 2, "k2"), FL_OK);
    CHECK_EQ_STR(text_of("s", 0, 99), "a\nb\n");
    close_all();
    CHECK_EQ_INT(fl_jobs_open(state, false, &jobs, &err), FL_OK);
    struct fl_jobs_part p = part("s", "a\n", -1);
    CHECK_EQ_INT(add_parts(&p, 1, "k1"), FL_OK); /* known after a new start, too */
    CHECK_EQ_INT(p.row, 0);
    CHECK_EQ_STR(text_of("s", 0, 99), "a\nb\n");
    close_all();
}

TEST(all_or_nothing)
{
    open_fresh();
    struct fl_jobs_part two[] = {part("a", "x\n", 0), part("b", "y\n", 7)};
    CHECK_EQ_INT(add_parts(two, 2, "k"), FL_CONFLICT);
    struct fl_arena arena;
    struct fl_jobs_row row;
    fl_arena_init(&arena, 1 << 20);
    CHECK_EQ_INT(fl_jobs_get(jobs, FL_LIT("j"), &arena, &row, &err), FL_NOTFOUND);
    fl_arena_free(&arena);
    close_all();
}

TEST(streams_overflow)
{
    char names[FL_JOBS_STREAMS + 3][16];
    static struct fl_jobs_part parts[FL_JOBS_STREAMS + 3];
    size_t n = FL_JOBS_STREAMS + 3;
    open_fresh();
    for (size_t i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "s%05zu", i);
        parts[i] = part(names[i], "line\n", 0);
    }
    CHECK_EQ_INT(add_parts(parts, n, ""), FL_OK);
    CHECK_EQ_INT(stream_of("overflow").n, FL_JOBS_STREAMS + 1);
    CHECK_EQ_INT(stream_of("overflow").found.bytes, 15); /* offsets of other streams take nothing away */
    CHECK_EQ_INT(add("another", "more\n", 1000, ""), FL_OK);
    CHECK_EQ_STR(text_of("overflow", 0, 99), "line\nline\nline\nmore\n");
    CHECK_EQ_INT(add("s00007", "five\n", 5, ""), FL_OK); /* those that are there go on */
    CHECK_EQ_STR(text_of("s00007", 0, 99), "line\nfive\n");
    close_all();
}

/* Pieces that pack well, that do not, and small ones. */
static void fill(struct fl_buf *all, struct fl_buf *one, int i)
{
    static unsigned random = 7;
    size_t n = i % 3 == 0 ? 700000 : i % 3 == 1 ? 300001 : 13;
    fl_buf_clear(one);
    for (size_t k = 0; k < n; k++) {
        random = random * 1103515245 + 12345;
        char c = i % 3 == 1 ? (char)(1 + (random >> 16) % 255) : (char)('a' + k % 7);
        CHECK(fl_buf_add(one, &c, 1) == FL_OK);
    }
    CHECK(fl_buf_add_str(all, fl_buf_str(one)) == FL_OK);
}

TEST(pieces)
{
    struct fl_buf all;
    struct fl_buf one;
    fl_buf_init(&all, 8 << 20);
    fl_buf_init(&one, 8 << 20);
    open_fresh();
    for (int i = 0; i < 6; i++) {
        fill(&all, &one, i);
        struct fl_jobs_part p = part("s", "", -1);
        p.text = fl_buf_str(&one);
        CHECK_EQ_INT(add_parts(&p, 1, ""), FL_OK);
    }
    int64_t end = (int64_t)all.n;
    const int64_t cuts[] = {0, 1, FL_JOBS_CHUNK - 1, FL_JOBS_CHUNK, FL_JOBS_CHUNK + 1, 2 * FL_JOBS_CHUNK, 699999,
                            700000, 700001, 1000000, 1000001, 1000014, 1500000, end - 1, end, end + 5};
    size_t n = sizeof cuts / sizeof *cuts;
    struct finding s = stream_of("s");
    CHECK_EQ_INT(s.found.bytes, end);
    for (size_t a = 0; a < n; a++) {
        for (size_t b = a; b < n; b++) {
            int64_t to = cuts[b] < end ? cuts[b] : end;
            int64_t want = to > cuts[a] ? to - cuts[a] : 0;
            fl_buf_clear(&one);
            CHECK_EQ_INT(fl_jobs_text(jobs, s.found.row, cuts[a], cuts[b], take, &one, &err), FL_OK);
            CHECK_EQ_INT(one.n, want);
            CHECK(want == 0 || (int64_t)one.n != want || memcmp(one.p, all.p + cuts[a], one.n) == 0);
        }
    }
    fl_buf_free(&all);
    fl_buf_free(&one);
    close_all();
}

static enum fl_status count_one(void *ctx, const struct fl_jobs_stream *stream, struct fl_err *e)
{
    (void)stream;
    (void)e;
    ++*(int *)ctx;
    return FL_OK;
}

/* A verdict looks at the streams of each node of a job: what that takes of its arena must go by how many there
 * are, not by how many there may be. */
TEST(few_streams_take_little_memory)
{
    struct fl_arena arena;
    int n = 0;
    open_fresh();
    CHECK_EQ_INT(add("a", "x\n", -1, ""), FL_OK);
    CHECK_EQ_INT(add("b", "y\n", -1, ""), FL_OK);
    int64_t row = row_number();
    fl_arena_init(&arena, 64 << 10);
    CHECK_EQ_INT(fl_jobs_streams(jobs, row, &arena, count_one, &n, &err), FL_OK);
    CHECK_EQ_INT(n, 2);
    fl_arena_free(&arena);
    close_all();
}

static enum fl_status trim(int64_t bytes, int64_t since, bool *trimmed)
{
    struct fl_db *db = fl_jobs_db(jobs);
    enum fl_status status = fl_db_begin(db, &err);
    if (status == FL_OK) {
        status = fl_jobs_trim(jobs, bytes, since, trimmed, &err);
        status = fl_db_end(db, status, &err);
    }
    return status;
}

TEST(trim)
{
    bool trimmed = true;
    open_fresh();
    CHECK_EQ_INT(add("s", "0123456789", -1, ""), FL_OK);
    CHECK_EQ_INT(trim(10, 0, &trimmed), FL_OK);
    CHECK(!trimmed);
    CHECK_EQ_INT(trim(9, 0, &trimmed), FL_OK);
    CHECK(trimmed);
    CHECK_EQ_STR(text_of("s", 0, 99), "");
    CHECK_EQ_INT(add("s", "more", 10, ""), FL_OK); /* offsets go on */
    CHECK_EQ_STR(text_of("s", 0, 99), "more");
    CHECK_EQ_STR(text_of("s", 3, 12), "mo");
    CHECK_EQ_INT(trim(4, 0, &trimmed), FL_OK); /* what was trimmed counts no more */
    CHECK(!trimmed);
    CHECK_EQ_INT(trim(1000, INT64_MAX, &trimmed), FL_OK); /* all that is old */
    CHECK(trimmed);
    CHECK_EQ_STR(text_of("s", 0, 99), "");
    close_all();
}

static enum fl_status judge(int64_t seen, bool final, const char *cause, const char *document, long *number)
{
    const struct fl_str none = {"", 0};
    const struct fl_revision r = {.judged = seen, .final = final, .outcome = FL_LIT("failed"), .cause = fl_str_of(cause),
                                  .severity = none, .action = none, .method = none, .node = none, .incident = none,
                                  .summary = none, .rank = -1, .document = fl_str_of(document)};
    struct fl_db *db = fl_jobs_db(jobs);
    int64_t row = row_number();
    enum fl_status status = fl_db_begin(db, &err);
    if (status == FL_OK) {
        status = fl_jobs_judge(jobs, row, &r, number, &err);
        status = fl_db_end(db, status, &err);
    }
    return status;
}

static const char *document(long revision)
{
    static char text[64];
    struct fl_arena arena;
    struct fl_str found = {"none", 4};
    int64_t row = row_number();
    fl_arena_init(&arena, 1 << 20);
    enum fl_status status = fl_jobs_document(jobs, row, revision, &arena, &found, &err);
    snprintf(text, sizeof text, "%.*s", status == FL_OK ? (int)found.n : 4, status == FL_OK ? found.p : "none");
    fl_arena_free(&arena);
    return text;
}

static bool is_final(void)
{
    struct fl_arena arena;
    bool final = row_of(&arena).last.final;
    fl_arena_free(&arena);
    return final;
}

TEST(revisions)
{
    long n = 0;
    open_fresh();
    CHECK_EQ_INT(add("s", "1234\n", -1, ""), FL_OK);
    CHECK_EQ_STR(document(0), "none");
    CHECK_EQ_INT(judge(5, false, "a", "first", &n), FL_OK);
    CHECK_EQ_INT(n, 1);
    CHECK_EQ_INT(judge(5, true, "a", "the same", &n), FL_OK);
    CHECK_EQ_INT(n, 1);
    CHECK(is_final());
    CHECK_EQ_STR(document(1), "the same");
    CHECK_EQ_INT(add("s", "6789\n", -1, ""), FL_OK);
    CHECK(!is_final());
    CHECK_EQ_INT(judge(5, true, "b", "second", &n), FL_OK);
    CHECK_EQ_INT(n, 2);
    CHECK(!is_final()); /* it has not seen all */
    CHECK_EQ_INT(judge(10, true, "b", "second, of all", &n), FL_OK);
    CHECK(is_final());
    CHECK_EQ_INT(judge(5, true, "c", "too late", &n), FL_NOTFOUND); /* of the slow model, say */
    CHECK(is_final());
    CHECK_EQ_STR(document(0), "second, of all");
    CHECK_EQ_STR(document(1), "the same");
    CHECK_EQ_STR(document(3), "none");
    CHECK_EQ_INT(note("j", "", true), FL_OK);
    CHECK(!is_final()); /* over: once more, for good */
    close_all();
}

TEST(facts)
{
    static char big[FL_JOBS_FACTS + 100];
    open_fresh();
    CHECK_EQ_INT(note("j", "{\"a\":1,\"b\":{\"c\":2}}", false), FL_OK);
    CHECK_EQ_INT(note("j", "{\"a\":2,\"b\":{\"d\":3}}", false), FL_OK);
    struct fl_arena arena;
    struct fl_jobs_row row = row_of(&arena);
    CHECK(fl_str_eq(row.facts, FL_LIT("{\"a\":2,\"b\":{\"c\":2,\"d\":3}}")));
    fl_arena_free(&arena);
    memset(big, 'x', sizeof big);
    memcpy(big, "{\"a\":\"", 6);
    memcpy(big + sizeof big - 3, "\"}", 3);
    CHECK_EQ_INT(note("j", big, false), FL_LIMIT);
    CHECK_EQ_INT(note(".no", "", false), FL_USAGE);
    CHECK_EQ_INT(note("", "", false), FL_USAGE);
    CHECK_EQ_INT(note("a/b", "", false), FL_USAGE);
    close_all();
}

/* ---- the writer ---- */

struct push {
    struct fl_write write;
    struct fl_jobs_part part;
    enum fl_status fails; /* with this */
    atomic_int told;      /* its status + 1 */
    int sleep_ms;
};

static struct push *push_of(struct fl_write *write)
{
    return (struct push *)(void *)((char *)write - offsetof(struct push, write));
}

static enum fl_status run_push(struct fl_write *write, struct fl_jobs *on, struct fl_err *e)
{
    struct push *p = push_of(write);
    enum fl_status status = fl_jobs_add(on, &p->part, 1, FL_LIT(""), e);
    if (p->sleep_ms) {
        nanosleep(&(struct timespec){.tv_nsec = p->sleep_ms * 1000000L}, NULL);
    }
    return status == FL_OK && p->fails ? fl_fail(e, p->fails, "made to fail") : status;
}

static void done_push(struct fl_write *write, enum fl_status status, const struct fl_err *e)
{
    (void)e;
    atomic_store(&push_of(write)->told, (int)status + 1);
}

static void set_push(struct push *p, const char *text, int64_t offset, size_t bytes)
{
    *p = (struct push){.write = {.run = run_push, .done = done_push, .bytes = bytes}, .part = part("s", text, offset)};
}

TEST(one_that_fails_fails_alone)
{
    static struct push p[6];
    struct fl_writer *writer = NULL;
    struct fl_writer_state look;
    open_fresh();
    CHECK_EQ_INT(fl_writer_start(jobs, &writer, &err), FL_OK);
    for (int i = 0; i < 6; i++) { /* the first holds the writer, so that the others are one batch */
        set_push(&p[i], "x\n", i == 2 ? 77 : -1, 10);
        p[i].sleep_ms = i == 0 ? 100 : 0;
        p[i].fails = i == 4 ? FL_IO : FL_OK;
        CHECK_EQ_INT(fl_writer_submit(writer, &p[i].write, &err), FL_OK);
    }
    fl_writer_stop(writer);
    fl_writer_look(writer, &look);
    CHECK_EQ_INT(look.fault, FL_OK);
    CHECK_EQ_INT(look.waiting, 0);
    for (int i = 0; i < 6; i++) {
        CHECK_EQ_INT(p[i].told - 1, i == 2 ? FL_CONFLICT : i == 4 ? FL_IO : FL_OK);
    }
    CHECK_EQ_INT(fl_writer_submit(writer, &p[0].write, &err), FL_UNAVAILABLE);
    CHECK_EQ_INT(fl_writer_do(writer, &p[0].write, &err), FL_UNAVAILABLE);
    fl_writer_free(writer);
    CHECK_EQ_STR(text_of("s", 0, 99), "x\nx\nx\nx\n");
    close_all();
}

TEST(too_much_waits)
{
    static struct push p[4];
    struct fl_writer *writer = NULL;
    open_fresh();
    CHECK_EQ_INT(fl_writer_start(jobs, &writer, &err), FL_OK);
    set_push(&p[0], "a\n", -1, 1);
    p[0].sleep_ms = 300;
    CHECK_EQ_INT(fl_writer_submit(writer, &p[0].write, &err), FL_OK);
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000L}, NULL); /* it is being written */
    set_push(&p[1], "b\n", -1, 2 * FL_WRITER_WAITING); /* larger than all, but the only one */
    set_push(&p[2], "c\n", -1, 1);
    set_push(&p[3], "d\n", -1, 1);
    CHECK_EQ_INT(fl_writer_submit(writer, &p[1].write, &err), FL_OK);
    CHECK_EQ_INT(fl_writer_submit(writer, &p[2].write, &err), FL_UNAVAILABLE);
    CHECK_EQ_INT(fl_writer_do(writer, &p[3].write, &err), FL_OK); /* our own writes wait, however much does */
    CHECK_EQ_INT(p[1].told - 1, FL_OK);
    CHECK_EQ_INT(fl_writer_submit(writer, &p[2].write, &err), FL_OK);
    fl_writer_stop(writer);
    fl_writer_free(writer);
    CHECK_EQ_INT(p[2].told - 1, FL_OK);
    CHECK_EQ_STR(text_of("s", 0, 99), "a\nb\nd\nc\n");
    close_all();
}

int main(void)
{
    snprintf(state, sizeof state, "/tmp/fl-jobs-%d", (int)getpid());
    RUN(offsets);
    RUN(receipts);
    RUN(all_or_nothing);
    RUN(streams_overflow);
    RUN(pieces);
    RUN(few_streams_take_little_memory);
    RUN(trim);
    RUN(revisions);
    RUN(facts);
    RUN(one_that_fails_fails_alone);
    RUN(too_much_waits);
    CHECK_EQ_INT(fl_fsio_walk(state, remove_one, NULL, &err), FL_OK);
    rmdir(state);
    return test_result();
}
