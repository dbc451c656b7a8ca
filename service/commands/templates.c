/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/mine.h"
#include "service/mine_report.h"

#include <unistd.h>

static enum fl_status run(char **paths, int n, struct fl_mine_report *report, struct fl_err *err)
{
    struct fl_mine *mine = NULL;
    const struct fl_template *list = NULL;
    size_t list_n = 0;
    enum fl_status status = fl_mine_new(NULL, false, &mine, err);
    for (int i = 0; status == FL_OK && i < n; i++) {
        status = fl_mine_read(mine, paths[i], 0, err);
    }
    if (status == FL_OK) {
        status = fl_templates_settle(fl_mine_templates(mine), &list, &list_n, err);
    }
    if (status == FL_OK) {
        status = fl_mine_print(mine, list, list_n, report, err);
    }
    fl_mine_free(mine);
    return status;
}

int fl_cmd_templates(int argc, char **argv)
{
    struct fl_mine_report report = {0};
    int format = 0;
    const struct fl_opt options[] = {
        {"format", 'f', FL_OPT_CHOICE, "text|json", "how to print them", &format},
        {"rare", 0, FL_OPT_FLAG, NULL, "rarest first", &report.rare},
        {"limit", 'n', FL_OPT_INT, "N", "print so many at most (default: all)", &report.limit},
    };
    const struct fl_cli cli = {
        "templates [OPTION ...] [PATH...]",
        "Says what a log says again and again: each kind of line once, with how often it came and\n"
        "where first and last; what varies is shown as <num>, <hex>, <path>, <host>, <time>,\n"
        "<text>, <*>. Without PATH, or for -, reads standard input.",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    report.json = format == 1;
    static char standard_input[] = "-";
    char *only[] = {standard_input};
    enum fl_status status =
        argc > 1 ? run(argv + 1, argc - 1, &report, &err) : run(only, 1, &report, &err);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
