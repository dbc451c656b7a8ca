/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines: one table of options per command drives parsing and --help alike. */
#pragma once
#include "service/base/buf.h"
#include "service/base/status.h"

#include <stdbool.h>
#include <stddef.h>

enum fl_opt_kind { FL_OPT_FLAG, FL_OPT_TEXT, FL_OPT_INT, FL_OPT_CHOICE, FL_OPT_LIST };

struct fl_opt {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    enum fl_opt_kind kind;
    const char *arg;  /* name of the value in --help; for FL_OPT_CHOICE "text|json|markdown" */
    const char *help;
    void *target;     /* bool *, const char **, int *, int * (index of the choice), or
                           struct fl_buf * (FL_OPT_LIST: what was given, with colons between) */
};

struct fl_cli {
    const char *usage;   /* "diagnose [OPTION ...] PATH..." */
    const char *about;   /* what it does, a few lines */
    const char *after;   /* more lines at the end, or NULL */
    const struct fl_opt *options;
    size_t options_n;
};

/* Takes options out of argv (index 0 is skipped); the rest is left in argv[1..*argc). Options may
 * stand anywhere; "--" ends them, "-" is an operand. --help prints and sets *help_r.
 * FL_USAGE with a message that names the option and the remedy. */
enum fl_status fl_cli_parse(const struct fl_cli *cli, int *argc, char **argv, bool *help_r,
                            struct fl_err *err) FL_MUST_USE;
