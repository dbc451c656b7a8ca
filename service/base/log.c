/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/log.h"

#include "service/base/buf.h"

#include <stdio.h>

void fl_log(enum fl_log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error: ", "warning: ", ""};
    struct fl_buf raw;
    struct fl_buf safe;
    fl_buf_init(&raw, 8192);
    fl_buf_init(&safe, 16384);
    va_list ap;
    va_start(ap, fmt);
    fl_buf_vaddf(&raw, fmt, ap);
    va_end(ap);
    struct fl_str rest = fl_buf_str(&raw);
    while (rest.n) { /* our own line breaks stay: behind them two blanks, and a caret under a pattern */
        const char *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl ? (size_t)(nl - rest.p) : rest.n;
        fl_buf_add_safe(&safe, (struct fl_str){rest.p, n});
        rest = fl_str_skip(rest, n + (nl != NULL));
        if (nl) {
            fl_buf_add_text(&safe, fl_str_starts(rest, FL_LIT("  ")) ? "\n" : "\\x0a");
        }
    }
    fprintf(stderr, "faultline: %s%s\n", names[level], fl_buf_text(&safe));
    fl_buf_free(&raw);
    fl_buf_free(&safe);
}
