/* SPDX-License-Identifier: Apache-2.0 */
/* faultline stats: what was said of how many jobs, how much of it was right, and what it cost. */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/stats.h"

#include <stdlib.h>
#include <unistd.h>

static int run(const struct fl_config *config, bool json, int days)
{
    struct fl_err err = {0};
    struct fl_buf text;
    struct fl_incidents *store = NULL;
    const char *state = config->value[FL_SET_STATE];
    fl_buf_init(&text, 4 << 20);
    enum fl_status status = state ? fl_incidents_open(state, NULL, false, &store, &err)
                                  : fl_fail(&err, FL_USAGE, "no state folder: give --state DIR");
    if (status == FL_OK) {
        status = fl_stats_report(store, config, days, json, &text, &err);
    }
    if (status == FL_OK) {
        status = fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&text), &err);
    }
    fl_incidents_close(store);
    fl_buf_free(&text);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}

int fl_cmd_stats(int argc, char **argv)
{
    const char *state = NULL;
    int format = 0;
    int days = 30;
    const struct fl_opt options[] = {
        {"format", 'f', FL_OPT_CHOICE, "text|json", "form of the answer", &format},
        {"limit", 'n', FL_OPT_INT, "N", "at most N rows of spending (0: all; 30)", &days},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder", &state},
    };
    const struct fl_cli cli = {
        "stats [OPTION ...]",
        "What was said of how many failed jobs, by cause and method; how much of it people called\n"
        "right (faultline feedback); and what asking models cost, by day.",
        "With the settings price_in and price_out (of a million tokens) costs are given in money,\n"
        "too. Exit status: 0 done, 2 usage, 3 no state folder.",
        options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (argc != 1) {
        fl_log(FL_LOG_ERROR, "stats takes no operands");
        return FL_EXIT_USAGE;
    }
    code = FL_EXIT_USAGE;
    if (fl_config_load(&config, &err) == FL_OK) {
        fl_config_flag(&config, FL_SET_STATE, state);
        code = run(&config, format == 1, days);
    } else {
        code = fl_cmd_fail(&err);
    }
    fl_config_free(&config);
    return code;
}
