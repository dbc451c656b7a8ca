/* SPDX-License-Identifier: Apache-2.0 */
/* Looking is cheap (a thousand files take a millisecond or two), and sees what notices of the kernel miss:
 * network file systems, more folders than watches. */
#include "service/jobs/folders.h"

#include "service/base/clock.h"
#include "service/base/hash.h"
#include "service/base/log.h"
#include "service/jobs/layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUNDS = 64, /* then new files are looked for again */
    REST_MS = 1000,
    SHARE = 10, /* looking takes no more than this part (1 / n) of the time */
};

struct watched {
    struct fl_copy copy;
    const struct fl_root *root;
    char *path; /* from the root on */
    struct stat seen; /* when it was copied to its end */
    long pass;        /* of the last look that found it */
    bool changed;
    bool old;         /* not copied until it changes */
};

struct fl_folders {
    const struct fl_roots *roots;
    struct fl_copier *copier;
    struct watched **files; /* found by a hash of root and path; a power of two */
    size_t size;
    size_t n;
    long pass;
    bool full;
};

enum fl_status fl_folders_new(const struct fl_roots *roots, struct fl_copier *copier, struct fl_folders **out,
                            struct fl_err *err)
{
    struct fl_folders *w = calloc(1, sizeof *w);
    *out = w;
    if (w) {
        *w = (struct fl_folders){.roots = roots, .copier = copier, .size = 256};
        w->files = calloc(w->size, sizeof(struct watched *));
    }
    if (!w || !w->files) {
        free(w);
        *out = NULL;
        return fl_fail(err, FL_NOMEM, "no memory for watching folders");
    }
    return FL_OK;
}

static void free_watched(struct watched *f)
{
    if (f) {
        free(f->path);
        free(f);
    }
}

void fl_folders_free(struct fl_folders *w)
{
    for (size_t i = 0; w && i < w->size; i++) {
        free_watched(w->files[i]);
    }
    if (w) {
        free(w->files);
        free(w);
    }
}

size_t fl_folders_files(const struct fl_folders *w)
{
    return w->n;
}

/* ---- the table ---- */

static struct watched **slot_of(struct watched **files, size_t size, const struct fl_root *root,
                                const char *path)
{
    size_t at = fl_hash(fl_str_of(path), (uint64_t)root->fd) & (size - 1);
    while (files[at] && (files[at]->root != root || strcmp(files[at]->path, path) != 0)) {
        at = (at + 1) & (size - 1);
    }
    return &files[at];
}

/* Into a table of that size, without those that the last look did not find. */
static bool resize(struct fl_folders *w, size_t size)
{
    struct watched **files = calloc(size, sizeof(struct watched *));
    if (!files) {
        return false;
    }
    w->n = 0;
    for (size_t i = 0; i < w->size; i++) {
        struct watched *f = w->files[i];
        if (f && f->pass + 1 >= w->pass) {
            *slot_of(files, size, f->root, f->path) = f;
            w->n++;
        } else {
            free_watched(f);
        }
    }
    free(w->files);
    w->files = files;
    w->size = size;
    return true;
}

static struct watched *add(struct fl_folders *w, const struct fl_root *root, const char *path)
{
    if (2 * w->n >= w->size && !resize(w, 2 * w->size)) {
        return NULL;
    }
    if (w->n >= FL_FOLDERS_FILES) {
        if (!w->full) {
            fl_log(FL_LOG_WARN, "more than %d logs are watched: further ones are left out", FL_FOLDERS_FILES);
        }
        w->full = true;
        return NULL;
    }
    struct watched *f = calloc(1, sizeof *f);
    if (f && (f->path = strdup(path)) != NULL && fl_layout(fl_str_of(root->given), fl_str_of(path), &f->copy)) {
        f->root = root;
        *slot_of(w->files, w->size, root, path) = f;
        w->n++;
        return f;
    }
    free_watched(f);
    return NULL;
}

/* ---- looking ---- */

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum fl_status found(struct fl_folders *w, const struct fl_root *root, const char *path,
                            const struct stat *st, struct fl_err *err)
{
    struct fl_copy layout;
    struct watched *f = *slot_of(w->files, w->size, root, path);
    bool fresh = !f;
    if (fresh && !fl_layout(fl_str_of(root->given), fl_str_of(path), &layout)) {
        return FL_OK;
    }
    f = f ? f : add(w, root, path);
    if (!f) {
        return FL_OK;
    }
    enum fl_status status = FL_OK;
    if (fresh && time(NULL) - st->st_mtim.tv_sec > FL_FOLDERS_OLD_S) {
        status = fl_copy_resume(w->copier, &f->copy, err);
        f->old = status == FL_OK && f->copy.offset == 0;
        f->seen = f->old ? *st : f->seen;
    }
    f->changed = !same(&f->seen, st);
    f->pass = w->pass;
    return status;
}

struct walk {
    DIR *open[FL_FOLDERS_DEPTH];
    size_t path_n[FL_FOLDERS_DEPTH]; /* of the folder's path */
    int depth;
    char path[FL_ROOTS_PATH];
};

static void enter(struct walk *walk, int at_fd, const char *name, size_t path_n)
{
    int fd = walk->depth < FL_FOLDERS_DEPTH
                 ? openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
                 : -1;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir) {
        walk->open[walk->depth] = dir;
        walk->path_n[walk->depth++] = path_n;
    } else if (fd >= 0) {
        close(fd);
    }
}

static enum fl_status look_through(struct fl_folders *w, const struct fl_root *root, const atomic_bool *stop,
                                   struct fl_err *err)
{
    struct walk walk = {.depth = 0};
    enum fl_status status = FL_OK;
    enter(&walk, root->fd, ".", 0);
    while (walk.depth > 0) {
        DIR *dir = walk.open[walk.depth - 1];
        size_t path_n = walk.path_n[walk.depth - 1];
        const struct dirent *entry = status == FL_OK && !atomic_load(stop) ? readdir(dir) : NULL;
        struct stat st;
        if (!entry) {
            closedir(dir);
            walk.depth--;
            continue;
        }
        int n = snprintf(walk.path + path_n, sizeof walk.path - path_n, "%s", entry->d_name);
        if (entry->d_name[0] == '.' || (size_t)n + 2 > sizeof walk.path - path_n ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            walk.path[path_n + (size_t)n] = '/';
            enter(&walk, dirfd(dir), entry->d_name, path_n + (size_t)n + 1);
        } else if (S_ISREG(st.st_mode)) {
            status = found(w, root, walk.path, &st, err);
        }
    }
    return status;
}

/* ---- copying ---- */

/* The file at the path is another one. What was not read yet of the old one is in a file beside it, whose name
 * begins with the same stem; it is taken when the bytes before the offset are those that were copied. */
static enum fl_status take_rest(struct fl_folders *w, struct watched *f, enum fl_copy_step *step_r,
                                struct fl_err *err)
{
    char path[FL_ROOTS_PATH];
    const char *slash = strrchr(f->path, '/');
    size_t folder_n = slash ? (size_t)(slash - f->path) + 1 : 0;
    const char *name = f->path + folder_n;
    const char *dot = strrchr(name, '.');
    size_t stem_n = dot && dot > name ? (size_t)(dot - name) : strlen(name);
    enum fl_status status = FL_OK;
    snprintf(path, sizeof path, "%.*s.", (int)folder_n, f->path);
    int fd = openat(f->root->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    *step_r = FL_COPY_OTHER;
    for (const struct dirent *e; dir && status == FL_OK && *step_r == FL_COPY_OTHER && (e = readdir(dir)) != NULL;) {
        int file = -1;
        snprintf(path, sizeof path, "%.*s%s", (int)folder_n, f->path, e->d_name);
        if (strncmp(e->d_name, name, stem_n) != 0 || strcmp(e->d_name, name) == 0 ||
            fl_root_file(f->root, path, &file, NULL) != FL_OK) {
            continue;
        }
        status = fl_copy_turn(w->copier, &f->copy, file, step_r, err);
        *step_r = *step_r == FL_COPY_NOTHING ? FL_COPY_OTHER : *step_r;
        close(file);
    }
    if (dir) {
        closedir(dir);
    }
    return status;
}

/* One turn; *more_r: it was not the last. */
static enum fl_status take_turn(struct fl_folders *w, struct watched *f, bool *more_r, struct fl_err *err)
{
    struct stat st;
    int fd = -1;
    enum fl_copy_step step = FL_COPY_END;
    if (fl_root_file(f->root, f->path, &fd, NULL) != FL_OK || fstat(fd, &st) != 0) {
        f->changed = false; /* gone, or not ours to read; looked at again when it changes */
        if (fd >= 0) {
            close(fd);
        }
        return FL_OK;
    }
    enum fl_status status = fl_copy_turn(w->copier, &f->copy, fd, &step, err);
    close(fd);
    if (status == FL_OK && step == FL_COPY_OTHER) {
        int64_t before = f->copy.offset;
        status = before && f->copy.mark_n ? take_rest(w, f, &step, err) : FL_OK;
        if (step == FL_COPY_OTHER) {
            fl_copy_anew(&f->copy);
        }
        *more_r = true;
        return status;
    }
    if (status == FL_OK && step != FL_COPY_MORE) {
        f->changed = false;
        f->seen = st;
    } else {
        *more_r = true;
    }
    return status;
}

static enum fl_status copy_all(struct fl_folders *w, const atomic_bool *stop, bool *more_r, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    bool more = true;
    for (int round = 0; status == FL_OK && more && round < ROUNDS && !atomic_load(stop); round++) {
        more = false;
        for (size_t i = 0; status == FL_OK && i < w->size && !atomic_load(stop); i++) {
            struct watched *f = w->files[i];
            if (!f || !f->changed || f->pass != w->pass) {
                continue;
            }
            status = take_turn(w, f, &more, err);
            if (status == FL_OK && fl_copier_full(w->copier)) {
                status = fl_copier_flush(w->copier, err);
            }
        }
        enum fl_status flushed = fl_copier_flush(w->copier, err);
        status = status == FL_OK ? flushed : status;
    }
    if (status != FL_OK) { /* nothing counts as seen that may not have been written */
        for (size_t i = 0; i < w->size; i++) {
            if (w->files[i] && w->files[i]->copy.generation == 0) {
                w->files[i]->seen = (struct stat){.st_ino = 0};
            }
        }
    }
    *more_r = more;
    return status;
}

enum fl_status fl_folders_pass(struct fl_folders *w, const atomic_bool *stop, int64_t *rest_ms_r,
                               struct fl_err *err)
{
    enum fl_status status = FL_OK;
    bool more = false;
    int64_t began = fl_clock_mono_ms();
    w->pass++;
    for (size_t i = 0; status == FL_OK && i < w->roots->n; i++) {
        status = look_through(w, &w->roots->root[i], stop, err);
    }
    *rest_ms_r = REST_MS + SHARE * (fl_clock_mono_ms() - began);
    if (status == FL_OK) {
        status = copy_all(w, stop, &more, err);
        *rest_ms_r = more ? 0 : *rest_ms_r;
    }
    if (w->pass % 64 == 0 && !resize(w, w->size)) {
        return fl_fail(err, FL_NOMEM, "no memory for watching folders");
    }
    return status;
}
