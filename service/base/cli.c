/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/cli.h"

#include "service/base/str.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static void print_help(const struct fl_cli *cli)
{
    printf("Usage: faultline %s\n\n%s\n\nOptions:\n", cli->usage, cli->about);
    for (size_t i = 0; i < cli->options_n; i++) {
        const struct fl_opt *o = &cli->options[i];
        char left[64];
        char letter[5] = "    ";
        if (o->letter) {
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        }
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
                 o->arg ? o->arg : "");
        printf("  %-34s %s\n", left, o->help);
    }
    printf("  %-34s %s\n", "-h, --help", "show this");
    if (cli->after) {
        printf("\n%s\n", cli->after);
    }
}

static const struct fl_opt *find(const struct fl_cli *cli, struct fl_str name, char letter)
{
    for (size_t i = 0; i < cli->options_n; i++) {
        const struct fl_opt *o = &cli->options[i];
        if (letter ? o->letter == letter : fl_str_eq(fl_str_of(o->name), name)) {
            return o;
        }
    }
    return NULL;
}

static int choice_index(const char *choices, struct fl_str value)
{
    struct fl_str rest = fl_str_of(choices);
    for (int i = 0; rest.n; i++) {
        const char *bar = memchr(rest.p, '|', rest.n);
        size_t n = bar ? (size_t)(bar - rest.p) : rest.n;
        if (fl_str_eq((struct fl_str){rest.p, n}, value)) {
            return i;
        }
        rest = fl_str_skip(rest, n + (bar != NULL));
    }
    return -1;
}

static enum fl_status store(const struct fl_opt *o, const char *value, struct fl_err *err)
{
    switch (o->kind) {
    case FL_OPT_FLAG:
        *(bool *)o->target = true;
        return FL_OK;
    case FL_OPT_TEXT:
        *(const char **)o->target = value;
        return FL_OK;
    case FL_OPT_LIST:
        return fl_buf_addf(o->target, "%s%s", ((struct fl_buf *)o->target)->n ? ":" : "", value);
    case FL_OPT_INT: {
        char *end = NULL;
        errno = 0;
        long number = strtol(value, &end, 10);
        if (errno || end == value || *end || number < 0 || number > INT_MAX) {
            return fl_fail(err, FL_USAGE, "--%s %s: expected a whole number from 0", o->name,
                           value);
        }
        *(int *)o->target = (int)number;
        return FL_OK;
    }
    case FL_OPT_CHOICE: {
        int index = choice_index(o->arg, fl_str_of(value));
        if (index < 0) {
            return fl_fail(err, FL_USAGE, "--%s %s: expected one of %s", o->name, value, o->arg);
        }
        *(int *)o->target = index;
        return FL_OK;
    }
    }
    return FL_INTERNAL;
}

/* One argument that begins with a dash; *i moves on when the value is the next argument. */
static enum fl_status take(const struct fl_cli *cli, int argc, char **argv, int *i, bool *help_r,
                           struct fl_err *err)
{
    const char *arg = argv[*i];
    bool is_long = arg[1] == '-';
    const char *equals = is_long ? strchr(arg, '=') : NULL;
    struct fl_str name = fl_str_of(arg + 2);
    if (equals) {
        name.n = (size_t)(equals - name.p);
    }
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        print_help(cli);
        *help_r = true;
        return FL_OK;
    }
    const struct fl_opt *o = find(cli, name, is_long ? 0 : arg[1]);
    if (!o || (!is_long && arg[2] && o->kind == FL_OPT_FLAG)) {
        return fl_fail(err, FL_USAGE, "unknown option %s (see --help)", arg);
    }
    if (o->kind == FL_OPT_FLAG) {
        return equals ? fl_fail(err, FL_USAGE, "--%s takes no value", o->name)
                      : store(o, NULL, err);
    }
    const char *value = equals ? equals + 1 : !is_long && arg[2] ? arg + 2 : NULL;
    if (!value) {
        if (*i + 1 >= argc) {
            return fl_fail(err, FL_USAGE, "--%s needs a value: %s", o->name, o->arg);
        }
        value = argv[++*i];
    }
    return store(o, value, err);
}

enum fl_status fl_cli_parse(const struct fl_cli *cli, int *argc, char **argv, bool *help_r,
                            struct fl_err *err)
{
    int kept = 1;
    bool options = true;
    *help_r = false;
    for (int i = 1; i < *argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            enum fl_status status = take(cli, *argc, argv, &i, help_r, err);
            if (status != FL_OK || *help_r) {
                return status;
            }
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return FL_OK;
}
