/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/log.h"
#include "service/base/status.h"
#include "service/base/str.h"
#include "service/config.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"diagnose", fl_cmd_diagnose, "say why a job failed, with the line that proves it"},
    {"signals", fl_cmd_signals, "show the metrics of a job: their course, and what is wrong with it"},
    {"filter", fl_cmd_filter, "print the lines of a log that are not routine"},
    {"diff", fl_cmd_diff, "say what a failed run says that good runs never said"},
    {"templates", fl_cmd_templates, "say what a log says again and again, each kind of line once"},
    {"rules", fl_cmd_rules, "list, show, test, lint, import and export rules"},
    {"learn", fl_cmd_learn, "propose filter rules from what a job says again and again"},
    {"incidents", fl_cmd_incidents, "list, search and keep past incidents"},
    {"review", fl_cmd_review, "flagged incidents, and what their jobs have in common"},
    {"feedback", fl_cmd_feedback, "say whether a verdict was right, and what helped"},
    {"stats", fl_cmd_stats, "count verdicts, how many were right, and what models cost"},
    {"eval", fl_cmd_eval, "score the diagnosis on a folder of labelled logs"},
    {"serve", fl_cmd_serve, "take logs that are pushed here, and say of each job why it failed"},
    {"notices", fl_cmd_notices, "show, retry and test what the service tells others"},
    {"token", fl_cmd_token, "make, list and revoke tokens of the service"},
    {"backup", fl_cmd_backup, "copy the state folder while others write to it"},
    {"restore", fl_cmd_restore, "make a state folder of a backup"},
    {"redact", fl_cmd_redact, "print a log as it would leave this machine"},
    {"config", fl_cmd_config, "show each setting and where it came from"},
    {"doctor", fl_cmd_doctor, "check libraries, CPU, state folder, rules, index, endpoint"},
    {"version", fl_cmd_version, "print the version"},
};

int fl_cmd_fail(const struct fl_err *err)
{
    fl_log(FL_LOG_ERROR, "%s", err->msg);
    return err->status == FL_USAGE ? FL_EXIT_USAGE : FL_EXIT_INPUT;
}

bool fl_cmd_options(const struct fl_cli *cli, int *argc, char **argv, int *code_r)
{
    struct fl_err err = {0};
    bool help = false;
    enum fl_status status = fl_cli_parse(cli, argc, argv, &help, &err);
    *code_r = status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
    return status == FL_OK && !help;
}

enum fl_status fl_cmd_state(struct fl_config *config, const char *flag, struct fl_err *err)
{
    enum fl_status status = fl_config_load(config, err);
    fl_config_flag(config, FL_SET_STATE, flag);
    return status == FL_OK && !config->value[FL_SET_STATE]
               ? fl_fail(err, FL_USAGE, "there is no state folder: give one with --state")
               : status;
}

bool fl_cmd_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
}

static void usage(FILE *out)
{
    fprintf(out, "Usage: faultline COMMAND [OPTION ...] [ARGUMENT ...]\n\n"
                 "Reads the log of a failed ML job and says why it failed, where it began and what "
                 "to do.\n\nCommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    }
    fprintf(out, "\n`faultline COMMAND --help` tells more.\n");
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C");
    signal(SIGPIPE, SIG_IGN);
    struct fl_str name = fl_str_of(argc > 1 ? argv[1] : "");
    if (fl_str_eq(name, FL_LIT("--help")) || fl_str_eq(name, FL_LIT("-h")) ||
        fl_str_eq(name, FL_LIT("help"))) {
        usage(stdout);
        return FL_EXIT_OK;
    }
    if (fl_str_eq(name, FL_LIT("--version"))) {
        return fl_cmd_version(1, argv + 1);
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (fl_str_eq(name, fl_str_of(commands[i].name))) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    if (name.n) {
        fl_log(FL_LOG_ERROR, "unknown command %s", name.p);
    }
    usage(stderr);
    return FL_EXIT_USAGE;
}
