/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static enum fl_status add_root(struct fl_roots *roots, struct fl_str path, struct fl_err *err)
{
    while (path.n > 1 && path.p[path.n - 1] == '/') {
        path.n--;
    }
    if (roots->n == FL_ROOTS || path.p[0] != '/') {
        return fl_fail(err, FL_USAGE, "%.*s: give at most %d folders, each with its whole path", (int)path.n,
                       path.p, FL_ROOTS);
    }
    struct fl_root *root = &roots->root[roots->n];
    *root = (struct fl_root){.fd = -1, .given = strndup(path.p, path.n)};
    root->real = root->given ? realpath(root->given, NULL) : NULL;
    root->fd = root->real ? open(root->real, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (root->fd < 0) {
        enum fl_status status = fl_fail_errno(err, "%.*s", (int)path.n, path.p);
        free(root->given);
        free(root->real);
        return status;
    }
    roots->n++;
    return FL_OK;
}

enum fl_status fl_roots_open(struct fl_roots *roots, const char *list, struct fl_err *err)
{
    struct fl_str rest = fl_str_of(list);
    enum fl_status status = FL_OK;
    roots->n = 0;
    while (status == FL_OK && rest.n) {
        const char *colon = memchr(rest.p, ':', rest.n);
        struct fl_str path = {rest.p, colon ? (size_t)(colon - rest.p) : rest.n};
        rest = fl_str_skip(rest, path.n + (colon != NULL));
        status = path.n ? add_root(roots, path, err) : FL_OK;
    }
    return status;
}

void fl_roots_close(struct fl_roots *roots)
{
    for (size_t i = 0; i < roots->n; i++) {
        close(roots->root[i].fd);
        free(roots->root[i].given);
        free(roots->root[i].real);
    }
    roots->n = 0;
}

enum fl_status fl_root_file(const struct fl_root *root, const char *relative, int *fd_r, struct fl_err *err)
{
    struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    struct stat st;
    long fd = syscall(SYS_openat2, root->fd, relative, &how, sizeof how);
    *fd_r = -1;
    if (fd < 0 && (errno == EXDEV || errno == ELOOP)) {
        return fl_fail(err, FL_DENIED, "it leads out of %s, or is a link", root->given);
    }
    if (fd < 0) {
        return fl_fail_errno(err, "it cannot be opened");
    }
    if (fstat((int)fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close((int)fd);
        return fl_fail(err, FL_DENIED, "it is no regular file");
    }
    *fd_r = (int)fd;
    return FL_OK;
}

/* What of path is behind root; NULL: it is not below it. */
static const char *below(const char *root, const char *path)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, n) != 0 || path[n] != '/') {
        return NULL;
    }
    path += n;
    return path + strspn(path, "/");
}

enum fl_status fl_roots_file(const struct fl_roots *roots, const char *path, int *fd_r, struct fl_err *err)
{
    *fd_r = -1;
    for (size_t i = 0; i < roots->n; i++) {
        const char *relative = below(roots->root[i].given, path);
        relative = relative ? relative : below(roots->root[i].real, path);
        if (relative) {
            return fl_root_file(&roots->root[i], relative, fd_r, err);
        }
    }
    return fl_fail(err, FL_DENIED, roots->n ? "it is below no folder that may be read (--log-root)"
                                            : "no folder may be read (--log-root)");
}
