/* SPDX-License-Identifier: Apache-2.0 */
/* Paths that somebody outside tells must not leave their folder, also while it changes under them. */
#include "tests/unit/test.h"

#include "service/jobs/roots.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPENS = 100000 };

static char folder[64];
static struct fl_err err;

static const char *in(const char *name)
{
    static _Thread_local char path[4][160];
    static _Thread_local int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* "job" is by turns a folder and a link to one outside, "log" within a file and a link to one outside. */
struct swap {
    atomic_bool stop;
    atomic_long swaps;
    atomic_long links; /* made anew */
};

static void *swap(void *ctx)
{
    struct swap *s = ctx;
    for (; !atomic_load(&s->stop); s->swaps++) {
        rename(in("root/job"), in("root/kept"));
        rename(in("root/way-out"), in("root/job"));
        rename(in("root/job"), in("root/way-out"));
        rename(in("root/kept"), in("root/job"));
        rename(in("root/link"), in("root/job/log"));
        s->links += symlink(in("outside/log"), in("root/link")) == 0;
        rename(in("root/file"), in("root/job/log"));
        write_file("root/file", "inside");
    }
    return NULL;
}

static void open_many(const struct fl_roots *roots, long *read_r)
{
    static const char *const ways[] = {"root/job/log", "root/./job//log", "root/job/../job/log",
                                       "root/around/job/log", "root/link", "root/way-out/log"};
    for (long i = 0; i < OPENS; i++) {
        char text[16] = "";
        int fd = -1;
        enum fl_status status =
            fl_roots_file(roots, in(ways[(size_t)i % (sizeof ways / sizeof *ways)]), &fd, &err);
        if (status == FL_OK) {
            ssize_t n = read(fd, text, sizeof text - 1);
            CHECK(n == 0 || strcmp(text, "inside") == 0); /* 0: it is being written */
            *read_r += n > 0;
            close(fd);
        } else {
            CHECK_EQ_INT(fd, -1);
        }
    }
}

TEST(a_folder_that_changes_meanwhile)
{
    struct fl_roots roots = {.n = 0};
    struct swap s = {.swaps = 0};
    pthread_t thread;
    long reads = 0;
    CHECK(mkdir(folder, 0700) == 0 && mkdir(in("root"), 0700) == 0 &&
          mkdir(in("root/job"), 0700) == 0 && mkdir(in("outside"), 0700) == 0);
    write_file("outside/log", "secret");
    write_file("root/job/log", "inside");
    write_file("root/file", "inside");
    CHECK(symlink(in("outside"), in("root/way-out")) == 0 &&
          symlink(in("outside/log"), in("root/link")) == 0 && symlink(".", in("root/around")) == 0);
    CHECK_EQ_INT(fl_roots_open(&roots, in("root"), &err), FL_OK);
    CHECK_EQ_INT(pthread_create(&thread, NULL, swap, &s), 0);
    bool raced = false;
    for (int round = 0; round < 100 && !raced; round++) { /* the other thread may get no turn for long */
        open_many(&roots, &reads);
        raced = reads > OPENS / 100 && s.swaps > 10 && s.links > 0;
    }
    atomic_store(&s.stop, true);
    pthread_join(thread, NULL);
    fl_roots_close(&roots);
    CHECK(raced);
}

static void check_refused(const struct fl_roots *roots, const char *path)
{
    int fd = -1;
    CHECK(fl_roots_file(roots, path, &fd, &err) != FL_OK && fd == -1 && err.msg[0]);
}

TEST(paths_that_lead_out)
{
    struct fl_roots roots = {.n = 0};
    char path[5100];
    CHECK_EQ_INT(fl_roots_open(&roots, in("root"), &err), FL_OK);
    check_refused(&roots, "/etc/passwd");
    check_refused(&roots, in("outside/log"));
    check_refused(&roots, in("root/../outside/log"));
    check_refused(&roots, in("root/around/../../outside/log"));
    check_refused(&roots, in("root-of-another/log"));
    check_refused(&roots, in("root/way-out/log"));
    check_refused(&roots, in("root/link"));
    check_refused(&roots, in("root/job"));
    check_refused(&roots, in("root"));
    check_refused(&roots, "relative");
    check_refused(&roots, "");
    CHECK(mkfifo(in("root/fifo"), 0600) == 0);
    check_refused(&roots, in("root/fifo")); /* and does not wait for a writer */
    snprintf(path, sizeof path, "%s/%05000d", in("root"), 7);
    check_refused(&roots, path);
    fl_roots_close(&roots);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/fl-roots-%d", (int)getpid());
    RUN(a_folder_that_changes_meanwhile);
    RUN(paths_that_lead_out);
    CHECK_EQ_INT(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    return test_result();
}
