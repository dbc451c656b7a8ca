/* SPDX-License-Identifier: Apache-2.0 */
#include "service/refresh.h"

#include "service/base/fsio.h"
#include "service/base/hash.h"
#include "service/base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_MS = 1000, PATH_CAP = 4096 };

struct fl_refresh {
    const char *path;
    fl_refresh_build build;
    void *ctx;
    pthread_t thread;
    int stop_fd;
    int notify_fd; /* -1: none */
    struct fl_checked checked;
    uint64_t seen; /* what the files looked like when the rules in force were read */
    pthread_mutex_t lock;
    struct fl_rulebook next; /* set NULL: nothing new */
};

static enum fl_status add_file(void *ctx, const char *path, struct fl_err *err)
{
    uint64_t *sum = ctx;
    struct stat st;
    (void)err;
    if (stat(path, &st) == 0) {
        int64_t what[] = {(int64_t)st.st_ino, (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
                          (int64_t)st.st_mtim.tv_nsec};
        *sum = fl_hash(fl_str_of(path), *sum);
        *sum = fl_hash((struct fl_str){(const char *)what, sizeof what}, *sum);
    }
    return FL_OK;
}

static uint64_t look(const char *path)
{
    uint64_t sum = 1;
    if (!fl_fsio_is_dir(path)) {
        (void)!add_file(&sum, path, NULL);
    } else {
        (void)!fl_fsio_walk(path, add_file, &sum, NULL);
    }
    return sum;
}

/* The folder, and the one of each file in it. */
static enum fl_status watch_folder_of(void *ctx, const char *path, struct fl_err *err)
{
    struct fl_refresh *r = ctx;
    char folder[PATH_CAP];
    (void)err;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    (void)inotify_add_watch(r->notify_fd, folder, IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_CREATE);
    return FL_OK;
}

static void watch(struct fl_refresh *r)
{
    if (r->notify_fd < 0) {
        return;
    }
    if (fl_fsio_is_dir(r->path)) {
        (void)inotify_add_watch(r->notify_fd, r->path,
                                IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE | IN_CREATE);
        (void)!fl_fsio_walk(r->path, watch_folder_of, r, NULL);
    } else {
        (void)!watch_folder_of(r, r->path, NULL);
    }
}

static void rebuild(struct fl_refresh *r)
{
    struct fl_err err = {0};
    struct fl_rulebook book = {.set = NULL};
    if (r->build(r->ctx, &r->checked, &book, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "%s (the rules stay as they were)", err.msg);
        fl_rulebook_close(&book);
        return;
    }
    pthread_mutex_lock(&r->lock);
    struct fl_rulebook unused = r->next;
    r->next = book;
    pthread_mutex_unlock(&r->lock);
    if (unused.set) {
        fl_rulebook_close(&unused);
    }
}

static void *run(void *ctx)
{
    struct fl_refresh *r = ctx;
    struct pollfd fds[] = {{.fd = r->stop_fd, .events = POLLIN},
                           {.fd = r->notify_fd, .events = POLLIN}};
    for (;;) {
        char events[4096];
        (void)poll(fds, 2, LOOK_MS);
        if (fds[0].revents) {
            return NULL;
        }
        while (r->notify_fd >= 0 && read(r->notify_fd, events, sizeof events) > 0) {
        }
        uint64_t now = look(r->path);
        if (now != r->seen) {
            r->seen = now;
            watch(r);
            rebuild(r);
        }
    }
}

enum fl_status fl_refresh_start(const char *path, fl_refresh_build build, void *ctx,
                                struct fl_refresh **out, struct fl_err *err)
{
    struct fl_refresh *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) {
        return fl_fail(err, FL_NOMEM, "no memory for watching rules");
    }
    *r = (struct fl_refresh){.path = path, .build = build, .ctx = ctx,
                             .stop_fd = eventfd(0, EFD_CLOEXEC),
                             .notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    pthread_mutex_init(&r->lock, NULL);
    watch(r);
    r->seen = look(path);
    if (r->stop_fd < 0 || pthread_create(&r->thread, NULL, run, r) != 0) {
        enum fl_status status = fl_fail_errno(err, "cannot watch rules");
        close(r->notify_fd);
        close(r->stop_fd);
        free(r);
        return status;
    }
    *out = r;
    return FL_OK;
}

void fl_refresh_stop(struct fl_refresh *refresh)
{
    if (!refresh) {
        return;
    }
    (void)!eventfd_write(refresh->stop_fd, 1);
    pthread_join(refresh->thread, NULL);
    if (refresh->next.set) {
        fl_rulebook_close(&refresh->next);
    }
    close(refresh->stop_fd);
    close(refresh->notify_fd);
    pthread_mutex_destroy(&refresh->lock);
    free(refresh);
}

bool fl_refresh_take(struct fl_refresh *refresh, struct fl_rulebook *out)
{
    pthread_mutex_lock(&refresh->lock);
    bool fresh = refresh->next.set != NULL;
    if (fresh) {
        *out = refresh->next;
        refresh->next = (struct fl_rulebook){.set = NULL};
    }
    pthread_mutex_unlock(&refresh->lock);
    return fresh;
}
