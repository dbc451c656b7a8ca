/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/log.h"

#include "service/base/buf.h"
#include "service/base/clock.h"
#include "service/base/json.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const names[] = {"error", "warning", "info", "debug"};

static bool is_wanted(enum fl_log_level level)
{
    const char *most = getenv("FAULTLINE_LOG_LEVEL");
    enum fl_log_level limit = FL_LOG_INFO;
    for (int i = 0; most && i <= FL_LOG_DEBUG; i++) {
        limit = strcmp(most, names[i]) == 0 ? (enum fl_log_level)i : limit;
    }
    return level <= limit;
}

/* time=... level=... msg="...", or the same as JSON. */
static void print_record(bool json, enum fl_log_level level, struct fl_str text)
{
    char time[21];
    struct fl_buf line;
    struct fl_jw w;
    fl_clock_format(fl_clock_wall_s(), time);
    fl_buf_init(&line, 64 << 10);
    fl_jw_init(&w, &line, false);
    if (json) {
        fl_jw_begin(&w, '{');
        fl_jw_key_text(&w, "time", time);
        fl_jw_key_text(&w, "level", names[level]);
        fl_jw_key_str(&w, "msg", text);
        fl_jw_end(&w, '}');
    } else {
        fl_buf_addf(&line, "time=%s level=%s msg=", time, names[level]);
        fl_jw_str(&w, text); /* its quotes and escapes are those of logfmt */
    }
    fprintf(stderr, "%s\n", fl_buf_text(&line));
    fl_buf_free(&line);
}

void fl_log(enum fl_log_level level, const char *fmt, ...)
{
    const char *form = getenv("FAULTLINE_LOG");
    bool json = form && strcmp(form, "json") == 0;
    if (!is_wanted(level)) {
        return;
    }
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
    if (json || (form && strcmp(form, "logfmt") == 0)) {
        print_record(json, level, fl_buf_str(&safe));
    } else {
        bool plain = level >= FL_LOG_INFO;
        fprintf(stderr, "faultline: %s%s%s\n", plain ? "" : names[level], plain ? "" : ": ",
                fl_buf_text(&safe));
    }
    fl_buf_free(&raw);
    fl_buf_free(&safe);
}
