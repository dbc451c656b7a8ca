/* SPDX-License-Identifier: Apache-2.0 */
/* One code space for everything that can fail, and the text that goes with it.
 * Every fallible function returns enum fl_status and takes a struct fl_err * last
 * (caller-owned, NULL allowed). The first error written wins. */
#pragma once
#include <stddef.h>

#define FL_STATUS_MAP(X)                                                                           \
    X(OK, "ok")                                                                                    \
    X(NOMEM, "out of memory")                                                                      \
    X(IO, "input/output error")                                                                    \
    X(FULL, "no space left")                                                                       \
    X(LIMIT, "limit reached")                                                                      \
    X(SYNTAX, "malformed input")                                                                   \
    X(USAGE, "usage error")                                                                        \
    X(NOTFOUND, "not found")                                                                       \
    X(DENIED, "permission denied")                                                                 \
    X(TIMEOUT, "timed out")                                                                        \
    X(UNAVAILABLE, "unavailable")                                                                  \
    X(CONFLICT, "conflict")                                                                        \
    X(CORRUPT, "corrupt data")                                                                     \
    X(INTERNAL, "internal error")

enum fl_status {
#define X(name, text) FL_##name,
    FL_STATUS_MAP(X)
#undef X
};

struct fl_err {
    enum fl_status status;
    char msg[1024];
};

#define FL_MUST_USE __attribute__((warn_unused_result))

/* The fixed text of a status. */
const char *fl_status_text(enum fl_status status);

/* Writes the status and a formatted message into err (unless it holds one already) and returns
 * the status, so that a failure is one line: return fl_fail(err, FL_IO, "%s: ...", path). */
enum fl_status fl_fail(struct fl_err *err, enum fl_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As fl_fail, the status chosen from errno (ENOSPC is FL_FULL, EACCES is FL_DENIED, ...) and its
 * text appended. */
enum fl_status fl_fail_errno(struct fl_err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
