/* SPDX-License-Identifier: Apache-2.0 */
/* The folders that may be read from, whatever somebody outside says a log's path is. Each path is resolved by
 * the kernel from the folder's descriptor and cannot leave it (openat2): not by "..", not by a link, not by
 * one that changes meanwhile. Links within a folder are followed, except as the last part.
 * Limits: FL_ROOTS folders. Threads: any, after opening. */
#pragma once
#include "service/base/status.h"
#include "service/base/str.h"

#include <stddef.h>

enum { FL_ROOTS = 32, FL_ROOTS_PATH = 4096 };

struct fl_root {
    int fd;
    char *given; /* its path without / at the end ... */
    char *real;  /* ... and where that leads; a path may be told by either */
};

struct fl_roots {
    struct fl_root root[FL_ROOTS];
    size_t n;
};

/* list: folders with colons between them, each an absolute path; NULL: none. One that is not there is an
 * error. To be closed in any case. */
enum fl_status fl_roots_open(struct fl_roots *roots, const char *list, struct fl_err *err) FL_MUST_USE;
void fl_roots_close(struct fl_roots *roots);

/* Opens a regular file below one of them for reading, never waiting. FL_DENIED: the path is below none, leads
 * out, or is no regular file; FL_NOTFOUND. */
enum fl_status fl_roots_file(const struct fl_roots *roots, const char *path, int *fd_r,
                             struct fl_err *err) FL_MUST_USE;
/* The same, its path told from this root on. */
enum fl_status fl_root_file(const struct fl_root *root, const char *relative, int *fd_r,
                            struct fl_err *err) FL_MUST_USE;
