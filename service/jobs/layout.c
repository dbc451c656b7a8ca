/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/layout.h"

#include "service/http/push.h"
#include "service/http/push_key.h"

#include <stdio.h>

enum { JOB_DIGITS = 4 /* fewer are a counter of the user's */ };

static struct fl_str last_part(struct fl_str path)
{
    const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;
    return slash ? fl_str_skip(path, (size_t)(slash - path.p) + 1) : path;
}

static struct fl_str next_part(struct fl_str *path)
{
    const char *slash = path->n ? memchr(path->p, '/', path->n) : NULL;
    struct fl_str part = {path->p, slash ? (size_t)(slash - path->p) : path->n};
    *path = fl_str_skip(*path, part.n + (slash != NULL));
    return part;
}

static bool is_log(struct fl_str name)
{
    static const struct fl_str ends[] = {{".log", 4}, {".out", 4}, {".err", 4}, {".txt", 4}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (name.n > ends[i].n && fl_str_ends(name, ends[i])) {
            return true;
        }
    }
    return fl_str_eq(name, FL_LIT("error.json")) || fl_str_eq(name, FL_LIT("stdout")) ||
           fl_str_eq(name, FL_LIT("stderr")) || fl_str_starts(name, FL_LIT("workerlog."));
}

/* "48213" or "48213_4" at the end of a stem, after a joint; empty: none. */
static struct fl_str number_at_end(struct fl_str stem)
{
    size_t from = stem.n;
    while (from && (fl_is_digit(stem.p[from - 1]) || stem.p[from - 1] == '_')) {
        from--;
    }
    struct fl_str s = fl_str_skip(stem, from);
    bool joined = from > 0 && strchr("-._", stem.p[from - 1]);
    while (s.n && *s.p == '_') { /* %x_%j */
        s = fl_str_skip(s, 1);
        joined = from > 0;
    }
    struct fl_str rest = s;
    long number;
    bool good = joined && fl_str_take_number(&rest, &number) && s.n - rest.n >= JOB_DIGITS;
    if (good && fl_str_take_char(&rest, '_')) {
        good = fl_str_take_number(&rest, &number);
    }
    return good && rest.n == 0 ? s : (struct fl_str){"", 0};
}

static bool slurm(struct fl_str name, struct fl_copy *out)
{
    char job[FL_COPY_STREAM];
    struct fl_str told = fl_push_slurm_job(name);
    struct fl_str end = fl_str_skip(name, name.n - 4);
    if (told.n == 0 && (fl_str_eq(end, FL_LIT(".out")) || fl_str_eq(end, FL_LIT(".err")))) {
        struct fl_str number = number_at_end(fl_str_head(name, name.n - 4));
        (void)snprintf(job, sizeof job, "slurm-%.*s", (int)fl_str_head(number, 100).n, number.p);
        told = number.n ? fl_str_of(job) : told;
    }
    if (told.n) {
        fl_push_job_name(told, out->job);
        fl_push_name(name, FL_COPY_STREAM, out->stream);
    }
    return told.n > 0;
}

/* NS_POD_UID: none of the three has a _ in it. */
static bool pod(struct fl_str folder, struct fl_str rest, struct fl_copy *out)
{
    char stream[2 * FL_COPY_STREAM];
    const char *first = fl_str_find(folder, FL_LIT("_"));
    const char *last = folder.n ? memrchr(folder.p, '_', folder.n) : NULL;
    size_t uid_n = last ? (size_t)(folder.p + folder.n - last) - 1 : 0;
    if (!first || first == last || (uid_n != 36 && uid_n != 32) || !rest.n) {
        return false;
    }
    struct fl_str name = {first + 1, (size_t)(last - first) - 1};
    int n = snprintf(stream, sizeof stream, "%.*s/%.*s", (int)fl_str_head(name, 253).n, name.p,
                     (int)fl_str_head(rest, 120).n, rest.p);
    fl_push_job_name(fl_push_pod_job(name), out->job);
    fl_push_name((struct fl_str){stream, (size_t)n}, FL_COPY_STREAM, out->stream);
    fl_push_name(name, FL_JOBS_NAME, out->node);
    return true;
}

bool fl_layout(struct fl_str root, struct fl_str path, struct fl_copy *out)
{
    struct fl_str name = last_part(path);
    struct fl_str rest = path;
    struct fl_str before = last_part(root);
    out->node[0] = '\0';
    if (!is_log(name)) {
        return false;
    }
    if (slurm(name, out)) {
        return true;
    }
    while (rest.n) {
        struct fl_str from = rest;
        struct fl_str part = next_part(&rest);
        if (rest.n && fl_str_starts(part, FL_LIT("attempt_"))) {
            fl_push_job_name(before, out->job);
            fl_push_name(from, FL_COPY_STREAM, out->stream);
            return true;
        }
        if (pod(part, rest, out)) {
            return true;
        }
        before = part;
    }
    rest = path;
    struct fl_str first = next_part(&rest);
    const char *dot = first.n ? memrchr(first.p, '.', first.n) : NULL;
    bool alone = rest.n == 0;
    fl_push_job_name(alone && dot > first.p ? fl_str_head(first, (size_t)(dot - first.p)) : first, out->job);
    fl_push_name(alone ? first : rest, FL_COPY_STREAM, out->stream);
    return true;
}
