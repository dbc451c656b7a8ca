/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *fl_status_text(enum fl_status status)
{
    static const char *const texts[] = {
#define X(name, text) [FL_##name] = text,
        FL_STATUS_MAP(X)
#undef X
    };
    return (size_t)status < sizeof texts / sizeof *texts ? texts[status] : "unknown status";
}

static void set(struct fl_err *err, enum fl_status status, const char *fmt, va_list ap)
{
    err->status = status;
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
}

enum fl_status fl_fail(struct fl_err *err, enum fl_status status, const char *fmt, ...)
{
    if (err && err->status == FL_OK) {
        va_list ap;
        va_start(ap, fmt);
        set(err, status, fmt, ap);
        va_end(ap);
    }
    return status;
}

static enum fl_status from_errno(int number)
{
    switch (number) {
    case ENOMEM:
        return FL_NOMEM;
    case ENOSPC:
    case EDQUOT:
        return FL_FULL;
    case ENOENT:
    case ENOTDIR:
        return FL_NOTFOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return FL_DENIED;
    default:
        return FL_IO;
    }
}

enum fl_status fl_fail_errno(struct fl_err *err, const char *fmt, ...)
{
    int number = errno;
    enum fl_status status = from_errno(number);
    if (err && err->status == FL_OK) {
        va_list ap;
        va_start(ap, fmt);
        set(err, status, fmt, ap);
        va_end(ap);
        size_t used = strlen(err->msg);
        snprintf(err->msg + used, sizeof err->msg - used, ": %s", strerror(number));
    }
    return status;
}
