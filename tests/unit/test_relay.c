/* SPDX-License-Identifier: Apache-2.0 */
/* However many threads work, every line is judged once, settled in its place, and cut as one reader
 * would cut it. */
#include "tests/unit/dice.h"
#include "tests/unit/test.h"

#include "service/base/buf.h"
#include "service/ingest/relay.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 3, TEXT = 3 * 1024 * 1024 };

struct worker {
    struct fl_buf seen; /* the lines of the batch in hand, as the judge met them */
    long batches;
};

struct run {
    struct worker workers[THREADS];
    struct fl_buf out;
    atomic_int settling;
    long lines;
    long judge_fails_at; /* batch, counted from 1; 0: never */
    long settle_fails_at;
    atomic_long judged;
    long settled;
};

static struct run *the_run; /* what judges need beside their worker */

static enum fl_status judge(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct worker *w = ctx;
    long number = atomic_fetch_add(&the_run->judged, 1) + 1;
    w->batches++;
    fl_buf_clear(&w->seen);
    for (size_t i = 0; i < batch->n; i++) {
        fl_buf_addf(&w->seen, "%ld %llu %u ", batch->at[i].number,
                    (unsigned long long)batch->at[i].offset, batch->at[i].flags);
        fl_buf_add_str(&w->seen, batch->texts[i]);
        fl_buf_add_text(&w->seen, "\n");
    }
    return number == the_run->judge_fails_at ? fl_fail(err, FL_LIMIT, "judge") : FL_OK;
}

static enum fl_status settle(void *ctx, void *worker, const struct fl_batch *batch,
                             struct fl_err *err)
{
    struct run *r = ctx;
    const struct worker *w = worker;
    CHECK(atomic_fetch_add(&r->settling, 1) == 0); /* one at a time */
    r->lines += (long)batch->n;
    fl_buf_add_str(&r->out, fl_buf_str(&w->seen));
    atomic_fetch_sub(&r->settling, 1);
    return ++r->settled == r->settle_fails_at ? fl_fail(err, FL_LIMIT, "settle") : FL_OK;
}

static void begin(struct run *r)
{
    *r = (struct run){.lines = 0};
    fl_buf_init(&r->out, 64 << 20);
    for (size_t i = 0; i < THREADS; i++) {
        fl_buf_init(&r->workers[i].seen, 16 << 20);
    }
    the_run = r;
}

static void end(struct run *r)
{
    fl_buf_free(&r->out);
    for (size_t i = 0; i < THREADS; i++) {
        fl_buf_free(&r->workers[i].seen);
    }
}

static enum fl_status go(struct run *r, const char *path, size_t threads, unsigned flags,
                         struct fl_err *err)
{
    void *workers[THREADS] = {&r->workers[0], &r->workers[1], &r->workers[2]};
    struct fl_source *src = NULL;
    struct fl_err fault = {0};
    enum fl_status read = FL_OK;
    CHECK_EQ_INT(fl_source_open(path, 0, &src, err), FL_OK);
    struct fl_relay relay = {src, flags, workers, threads, r, judge, settle};
    enum fl_status status = fl_relay_run(&relay, &read, &fault, err);
    CHECK_EQ_INT(read, FL_OK);
    fl_source_close(src);
    return status;
}

/* Lines of all lengths: most short, some longer than a block. */
static const char *make_file(char path[64], size_t size)
{
    snprintf(path, 64, "/tmp/faultline-relay-XXXXXX");
    int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!f) {
        abort();
    }
    for (size_t n = 0; n < size;) {
        unsigned line = below(500) ? below(300) : below(700000);
        for (unsigned i = 0; i < line; i++) {
            putc("abcdefgh 0123"[below(13)], f);
        }
        fputs(below(40) ? "\n" : below(2) ? "\r\n" : "\r", f);
        n += line;
    }
    fputs("the end", f);
    fclose(f);
    return path;
}

TEST(any_number_of_threads_settles_the_same)
{
    char path[64];
    make_file(path, TEXT);
    for (unsigned flags = 0; flags <= FL_LINES_BARS; flags++) {
        struct run one;
        begin(&one);
        CHECK_EQ_INT(go(&one, path, 1, flags, NULL), FL_OK);
        CHECK(one.lines > 1000);
        for (size_t threads = 2; threads <= THREADS; threads++) {
            struct run many;
            begin(&many);
            CHECK_EQ_INT(go(&many, path, threads, flags, NULL), FL_OK);
            CHECK_EQ_INT(many.lines, one.lines);
            CHECK(fl_str_eq(fl_buf_str(&many.out), fl_buf_str(&one.out)));
            end(&many);
        }
        end(&one);
    }
    unlink(path);
}

TEST(a_file_of_one_batch_needs_no_threads)
{
    char path[64];
    struct run r;
    make_file(path, 2000);
    begin(&r);
    CHECK_EQ_INT(go(&r, path, THREADS, 0, NULL), FL_OK);
    CHECK(r.lines > 2 && r.workers[1].batches == 0 && r.workers[2].batches == 0);
    end(&r);
    unlink(path);
    begin(&r);
    CHECK_EQ_INT(go(&r, "/dev/null", THREADS, 0, NULL), FL_OK);
    CHECK_EQ_INT(r.lines, 0);
    end(&r);
}

TEST(the_first_failure_ends_it)
{
    char path[64];
    make_file(path, TEXT);
    for (size_t threads = 1; threads <= THREADS; threads++) {
        struct run r;
        struct fl_err err = {0};
        begin(&r);
        r.settle_fails_at = 3;
        CHECK_EQ_INT(go(&r, path, threads, 0, &err), FL_LIMIT);
        CHECK_EQ_STR(err.msg, "settle");
        CHECK_EQ_INT(r.settled, 3);
        end(&r);
        begin(&r);
        r.judge_fails_at = 4;
        CHECK_EQ_INT(go(&r, path, threads, 0, &err), FL_LIMIT);
        CHECK_EQ_STR(err.msg, "judge");
        CHECK(r.settled <= 4);
        end(&r);
    }
    unlink(path);
}

int main(void)
{
    dice = 424242;
    RUN(any_number_of_threads_settles_the_same);
    RUN(a_file_of_one_batch_needs_no_threads);
    RUN(the_first_failure_ends_it);
    return test_result();
}
