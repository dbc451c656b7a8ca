/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of files, packed and broken ones, once or as they grow. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "service/base/clock.h"
#include "service/ingest/source.h"

/* ---- sources ---- */

static char folder[64];

static const char *path_of(const char *name)
{
    static char ring[4][128];
    static int next;
    char *out = ring[next++ % 4];
    snprintf(out, sizeof ring[0], "%s/%s", folder, name);
    return out;
}

static void put(const char *name, const void *bytes, size_t n, int flags)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static void put_text(const char *name, const char *text, int flags)
{
    put(name, text, strlen(text), flags);
}

/* Reads all, `step` bytes at a time. */
static size_t read_all(const char *path, char *out, size_t cap, size_t step, struct fl_err *err)
{
    struct fl_source *src;
    size_t n = 0;
    if (fl_source_open(path, 0, &src, err) != FL_OK) {
        return 0;
    }
    for (size_t got = 1; got && n < cap;) {
        size_t want = cap - n < step ? cap - n : step;
        if (fl_source_read(src, out + n, want, &got, err) != FL_OK) {
            break;
        }
        n += got;
    }
    CHECK(fl_source_offset(src) == n);
    fl_source_close(src);
    return n;
}

enum { SAMPLE_BYTES = 600 * 1000 };

static char sample[SAMPLE_BYTES];
static char unpacked[SAMPLE_BYTES + 1000];
static unsigned char packed[2 * SAMPLE_BYTES];

static void make_sample(void)
{
    unsigned state = 12345;
    for (size_t i = 0; i < SAMPLE_BYTES; i++) {
        state = state * 1103515245u + 12345u;
        sample[i] = i % 61 == 60 ? '\n' : (char)('a' + (state >> 16) % 17);
    }
}

static size_t gzip(const char *bytes, size_t n, unsigned char *out, size_t cap)
{
    z_stream z = {0};
    CHECK_EQ_INT(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    char *copy = malloc(n + 1);
    memcpy(copy, bytes, n);
    z.next_in = (Bytef *)copy;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)cap;
    CHECK_EQ_INT(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t made = cap - z.avail_out;
    deflateEnd(&z);
    free(copy);
    return made;
}

static void expect_sample(const char *name, size_t want)
{
    static const size_t steps[] = {1 << 20, 4096, 7};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct fl_err err = {0};
        size_t n = read_all(path_of(name), unpacked, sizeof unpacked, steps[i], &err);
        CHECK_EQ_INT(n, (long long)want);
        CHECK(memcmp(unpacked, sample, n) == 0);
        CHECK_EQ_STR(err.msg, "");
    }
}

TEST(plain_and_empty)
{
    put("plain", sample, SAMPLE_BYTES, O_TRUNC);
    expect_sample("plain", SAMPLE_BYTES);
    put("empty", "", 0, O_TRUNC);
    expect_sample("empty", 0);
    put("short", sample, 2, O_TRUNC);
    expect_sample("short", 2);
    char out[8];
    struct fl_err err = {0};
    put("almost", "\x1f\x8b", 2, O_TRUNC);
    CHECK_EQ_INT(read_all(path_of("almost"), out, sizeof out, 1, &err), 2);
    put("bracket", "(", 1, O_TRUNC);
    CHECK_EQ_INT(read_all(path_of("bracket"), out, sizeof out, 8, &err), 1);
    CHECK_EQ_INT(err.status, FL_OK);
}

TEST(refused)
{
    struct fl_source *src;
    struct fl_err err = {0};
    CHECK(fl_source_open(folder, 0, &src, &err) == FL_USAGE);
    CHECK_HAS(err.msg, "is a folder");
    CHECK(src == NULL);
    err = (struct fl_err){0};
    CHECK(fl_source_open(path_of("nothing"), 0, &src, &err) == FL_NOTFOUND);
    CHECK_HAS(err.msg, "nothing: cannot open");
    fl_source_close(NULL);
}

TEST(gzip_members)
{
    size_t n = gzip(sample, 250000, packed, sizeof packed);
    n += gzip(sample + 250000, SAMPLE_BYTES - 250000, packed + n, sizeof packed - n);
    put("two.gz", packed, n, O_TRUNC);
    expect_sample("two.gz", SAMPLE_BYTES);
    memset(packed + n, 0, 512);
    put("padded.gz", packed, n + 512, O_TRUNC);
    expect_sample("padded.gz", SAMPLE_BYTES);
    put("empty.gz", packed, gzip("", 0, packed, sizeof packed), O_TRUNC);
    expect_sample("empty.gz", 0);
}

static void expect_broken(const char *name, const char *message, size_t at_least)
{
    struct fl_err err = {0};
    size_t n = read_all(path_of(name), unpacked, sizeof unpacked, 4096, &err);
    CHECK_EQ_INT(err.status, FL_CORRUPT);
    CHECK_HAS(err.msg, message);
    CHECK(n >= at_least && memcmp(unpacked, sample, at_least) == 0);
}

TEST(gzip_broken)
{
    size_t n = gzip(sample, SAMPLE_BYTES, packed, sizeof packed);
    put("cut.gz", packed, n / 2, O_TRUNC);
    expect_broken("cut.gz", "cut.gz: broken gzip data after", SAMPLE_BYTES / 3);
    put("nocrc.gz", packed, n - 8, O_TRUNC);
    expect_broken("nocrc.gz", "it ends too early", SAMPLE_BYTES);
    packed[n - 6] ^= 0x55;
    put("crc.gz", packed, n, O_TRUNC);
    expect_broken("crc.gz", "its checksum differs", SAMPLE_BYTES);
    packed[n - 6] ^= 0x55;
    memcpy(packed + n, "plain text", 10);
    put("behind.gz", packed, n + 10, O_TRUNC);
    expect_broken("behind.gz", "other bytes behind the end", SAMPLE_BYTES);
    memset(packed + n / 2, 0xff, 200);
    put("hole.gz", packed, n, O_TRUNC);
    expect_broken("hole.gz", "broken gzip data", SAMPLE_BYTES / 3);
}

TEST(zstd_frames)
{
    size_t n = ZSTD_compress(packed, sizeof packed, sample, 250000, 3);
    n += ZSTD_compress(packed + n, sizeof packed - n, sample + 250000, SAMPLE_BYTES - 250000, 3);
    put("two.zst", packed, n, O_TRUNC);
    expect_sample("two.zst", SAMPLE_BYTES);
    put("cut.zst", packed, n - 100, O_TRUNC);
    expect_broken("cut.zst", "cut.zst: broken zstd data after", 250000);
    memcpy(packed + n, "plain text", 10);
    put("behind.zst", packed, n + 10, O_TRUNC);
    expect_broken("behind.zst", "broken zstd data", SAMPLE_BYTES);
}

TEST(fifo)
{
    CHECK_EQ_INT(mkfifo(path_of("pipe"), 0600), 0);
    int keep = open(path_of("pipe"), O_RDWR | O_CLOEXEC);
    CHECK(write(keep, "abc", 3) == 3);
    struct fl_source *src;
    struct fl_err err = {0};
    CHECK(fl_source_open(path_of("pipe"), 0, &src, &err) == FL_OK);
    close(keep);
    char out[8];
    size_t got;
    CHECK(fl_source_read(src, out, sizeof out, &got, &err) == FL_OK && got == 3);
    CHECK(fl_source_read(src, out, sizeof out, &got, &err) == FL_OK && got == 0);
    fl_source_close(src);
}

/* ---- following ---- */

struct follower {
    struct fl_source *src;
    atomic_bool stop;
    atomic_int restarts;
    atomic_size_t n;
    char bytes[4096];
};

static void *follower_run(void *ctx)
{
    struct follower *f = ctx;
    struct fl_err err = {0};
    for (;;) {
        size_t n = atomic_load(&f->n);
        size_t got;
        bool over = false;
        bool ending = atomic_load(&f->stop);
        if (fl_source_poll(f->src, f->bytes + n, sizeof f->bytes - n, &got, &over, &err) != FL_OK ||
            over || (!got && ending)) {
            break;
        }
        if (!got) {
            fl_sources_wait(&f->src, 1);
            continue;
        }
        atomic_fetch_add(&f->restarts, fl_source_restarted(f->src));
        atomic_store(&f->n, n + got);
    }
    CHECK_EQ_STR(err.msg, "");
    return NULL;
}

/* Waits until the follower has seen `text` in all, at most five seconds. */
static void expect_followed(struct follower *f, const char *text)
{
    int64_t until = fl_clock_mono_ms() + 5000;
    while (atomic_load(&f->n) < strlen(text) && fl_clock_mono_ms() < until) {
        usleep(2000);
    }
    char seen[256];
    snprintf(seen, sizeof seen, "%.*s", (int)atomic_load(&f->n), f->bytes);
    CHECK_EQ_STR(seen, text);
}

TEST(follow)
{
    static struct follower f;
    struct fl_err err = {0};
    pthread_t thread;
    put_text("live", "one\n", O_TRUNC);
    CHECK(fl_source_open(path_of("live"), FL_SOURCE_FOLLOW, &f.src, &err) == FL_OK);
    CHECK_EQ_INT(pthread_create(&thread, NULL, follower_run, &f), 0);
    expect_followed(&f, "one\n");
    put_text("live", "two\n", O_APPEND);
    expect_followed(&f, "one\ntwo\n");
    put_text("live", "3\n", O_TRUNC); /* shorter: truncated */
    expect_followed(&f, "one\ntwo\n3\n");
    CHECK_EQ_INT(atomic_load(&f.restarts), 1);
    put_text("live", "4\n", O_TRUNC); /* as long as before */
    expect_followed(&f, "one\ntwo\n3\n4\n");
    put_text("live", "fives\n", O_TRUNC); /* longer than before */
    expect_followed(&f, "one\ntwo\n3\n4\nfives\n");
    CHECK_EQ_INT(atomic_load(&f.restarts), 3);
    put_text("live", "last\n", O_APPEND);
    CHECK_EQ_INT(rename(path_of("live"), path_of("live.1")), 0);
    put_text("live.1", "late\n", O_APPEND); /* the writer has not noticed yet */
    put_text("live", "new\n", O_EXCL);
    expect_followed(&f, "one\ntwo\n3\n4\nfives\nlast\nlate\nnew\n");
    CHECK_EQ_INT(atomic_load(&f.restarts), 4);
    unlink(path_of("live"));
    put_text("live", "again\n", O_EXCL);
    expect_followed(&f, "one\ntwo\n3\n4\nfives\nlast\nlate\nnew\nagain\n");
    CHECK_EQ_INT(atomic_load(&f.restarts), 5);
    atomic_store(&f.stop, true);
    pthread_join(thread, NULL);
    fl_source_close(f.src);
}

TEST(many_rotations)
{
    static struct follower f;
    struct fl_err err = {0};
    pthread_t thread;
    char want[4096] = "";
    put_text("many", "", O_TRUNC);
    CHECK(fl_source_open(path_of("many"), FL_SOURCE_FOLLOW, &f.src, &err) == FL_OK);
    CHECK_EQ_INT(pthread_create(&thread, NULL, follower_run, &f), 0);
    for (int i = 0; i < 4; i++) {
        char line[32];
        snprintf(line, sizeof line, "line %d\n", i);
        put_text("many", line, O_APPEND);
        strncat(want, line, sizeof want - strlen(want) - 1);
        expect_followed(&f, want);
        CHECK_EQ_INT(rename(path_of("many"), path_of("many.1")), 0);
        put_text("many", "", O_EXCL);
    }
    atomic_store(&f.stop, true);
    pthread_join(thread, NULL);
    fl_source_close(f.src);
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/test_source.XXXXXX");
    if (!mkdtemp(folder)) {
        perror(folder);
        return EXIT_FAILURE;
    }
    make_sample();
    RUN(plain_and_empty);
    RUN(refused);
    RUN(gzip_members);
    RUN(gzip_broken);
    RUN(zstd_frames);
    RUN(fifo);
    RUN(follow);
    RUN(many_rotations);
    static const char *const made[] = {
        "plain",    "empty",      "short",    "almost", "bracket",   "two.gz",  "padded.gz",
        "empty.gz", "cut.gz",     "nocrc.gz", "crc.gz", "behind.gz", "hole.gz", "two.zst",
        "cut.zst",  "behind.zst", "pipe",     "live",   "live.1",    "many",    "many.1",
    };
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        unlink(path_of(made[i]));
    }
    rmdir(folder);
    return test_result();
}
