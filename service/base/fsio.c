/* SPDX-License-Identifier: Apache-2.0 */
/* Replacing follows what durable databases do: no step may be skipped (fsync of the file before
 * the rename, of the folder after it), and a failed fsync is never retried, because the kernel
 * may have dropped the pages. */
#include "service/base/fsio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_CAP = 4096, WALK_DEPTH = 16 };

/* Reads to the end and closes. */
static enum fl_status read_all(int fd, const char *path, struct fl_buf *out, struct fl_err *err)
{
    char chunk[64 * 1024];
    enum fl_status status = FL_OK;
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = fl_fail_errno(err, "%s: cannot read", path);
        } else if (got > 0 && fl_buf_add(out, chunk, (size_t)got) != FL_OK) {
            status = fl_fail(err, out->failed, "%s: larger than %zu bytes", path, out->cap);
        }
        if (got <= 0 || status != FL_OK) {
            break;
        }
    }
    close(fd);
    return status;
}

enum fl_status fl_fsio_read(const char *path, struct fl_buf *out, struct fl_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? fl_fail_errno(err, "%s: cannot open", path) : read_all(fd, path, out, err);
}

/* given: also behind a link, and root's. */
static enum fl_status read_guarded(const char *path, bool given, struct fl_buf *out,
                                   struct fl_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (given ? 0 : O_NOFOLLOW));
    if (fd < 0) {
        return fl_fail_errno(err, "%s: cannot open", path);
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        (st.st_uid != geteuid() && !(given && st.st_uid == 0)) ||
        (st.st_mode & (S_IWGRP | S_IWOTH))) {
        close(fd);
        return fl_fail(err, FL_DENIED, "%s: not a file that only this user%s can write", path,
                       given ? " or root" : "");
    }
    return read_all(fd, path, out, err);
}

enum fl_status fl_fsio_read_own(const char *path, struct fl_buf *out, struct fl_err *err)
{
    return read_guarded(path, false, out, err);
}

enum fl_status fl_fsio_read_given(const char *path, struct fl_buf *out, struct fl_err *err)
{
    return read_guarded(path, true, out, err);
}

enum fl_status fl_fsio_write_all(int fd, const char *name, struct fl_str bytes, struct fl_err *err)
{
    while (bytes.n) {
        ssize_t put = write(fd, bytes.p, bytes.n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return fl_fail_errno(err, "%s: cannot write", name);
        }
        bytes = fl_str_skip(bytes, (size_t)put);
    }
    return FL_OK;
}

static enum fl_status sync_parent(const char *path, struct fl_err *err)
{
    char folder[PATH_CAP];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash) {
        slash[slash == folder] = '\0';
    } else {
        snprintf(folder, sizeof folder, ".");
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        fl_fail_errno(err, "%s: cannot make the change durable", folder);
        if (fd >= 0) {
            close(fd);
        }
        return FL_IO;
    }
    close(fd);
    return FL_OK;
}

static enum fl_status write_temp(const char *temp, int fd, struct fl_str bytes, struct fl_err *err)
{
    enum fl_status status = fl_fsio_write_all(fd, temp, bytes, err);
    if (status == FL_OK && fsync(fd) != 0) {
        status = fl_fail_errno(err, "%s: cannot make the file durable", temp);
    }
    if (close(fd) != 0 && status == FL_OK) {
        status = fl_fail_errno(err, "%s: cannot close", temp);
    }
    return status;
}

enum fl_status fl_fsio_replace(const char *path, struct fl_str bytes, bool keep_previous,
                               struct fl_err *err)
{
    char temp[PATH_CAP];
    char previous[PATH_CAP];
    if (snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= (int)sizeof temp) {
        return fl_fail(err, FL_LIMIT, "%s: path too long", path);
    }
    snprintf(previous, sizeof previous, "%.*s.prev", (int)strlen(path), path);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        return fl_fail_errno(err, "%s: cannot create a temporary file beside it", path);
    }
    enum fl_status status = write_temp(temp, fd, bytes, err);
    if (status == FL_OK && keep_previous && fl_fsio_exists(path)) {
        unlink(previous);
        if (link(path, previous) != 0) {
            status = fl_fail_errno(err, "%s: cannot keep the previous version", previous);
        }
    }
    if (status == FL_OK && rename(temp, path) != 0) {
        status = fl_fail_errno(err, "%s: cannot replace", path);
    }
    if (status != FL_OK) {
        unlink(temp);
        return status;
    }
    return sync_parent(path, err);
}

enum fl_status fl_fsio_mkdirs(const char *path, struct fl_err *err)
{
    char part[PATH_CAP];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
        return fl_fail(err, FL_LIMIT, "%s: path too long", path);
    }
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0') {
            continue;
        }
        char was = *p;
        *p = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST) {
            return fl_fail_errno(err, "%s: cannot create the folder", part);
        }
        *p = was;
        if (was == '\0') {
            break;
        }
    }
    if (!fl_fsio_is_dir(path)) {
        return fl_fail(err, FL_CONFLICT, "%s: is not a folder", path);
    }
    return FL_OK;
}

bool fl_fsio_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool fl_fsio_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static enum fl_status walk(const char *path, int depth, fl_fsio_visit visit, void *ctx,
                           struct fl_err *err)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, visible, alphasort);
    if (n < 0) {
        return fl_fail_errno(err, "%s: cannot list the folder", path);
    }
    enum fl_status status = FL_OK;
    for (int i = 0; i < n; i++) {
        char child[PATH_CAP];
        struct stat st;
        int len = snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        if (status != FL_OK || len >= (int)sizeof child || lstat(child, &st) != 0) {
            continue;
        }
        bool is_link = S_ISLNK(st.st_mode);
        if (is_link && stat(child, &st) != 0) {
            continue;
        }
        if (S_ISREG(st.st_mode)) {
            status = visit(ctx, child, err);
        } else if (S_ISDIR(st.st_mode) && !is_link && depth < WALK_DEPTH) {
            status = walk(child, depth + 1, visit, ctx, err);
        }
    }
    free(entries);
    return status;
}

enum fl_status fl_fsio_walk(const char *path, fl_fsio_visit visit, void *ctx, struct fl_err *err)
{
    return walk(path, 0, visit, ctx, err);
}
