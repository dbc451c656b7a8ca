/* SPDX-License-Identifier: Apache-2.0 */
/* faultline feedback: a person's word about a verdict. */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/feedback.h"

#include <stdlib.h>
#include <unistd.h>

struct options {
    const char *cause;
    const char *fix;
    const char *state;
};

static int run(const struct fl_config *config, const struct options *o, char **operands)
{
    struct fl_err err = {0};
    struct fl_rulebook book;
    struct fl_buf text;
    const char *user = getenv("USER");
    const struct fl_feedback word = {.incident = operands[0],
                                     .right = strcmp(operands[1], "correct") == 0,
                                     .cause = o->cause,
                                     .fix = o->fix,
                                     .actor = user && *user ? user : "operator"};
    fl_buf_init(&text, 1 << 20);
    enum fl_status status = fl_rulebook_open(config->value[FL_SET_STATE], &book, &err);
    if (status == FL_OK) {
        status = fl_feedback(config, &book, &word, &text, &err);
        fl_rulebook_close(&book);
    }
    if (status == FL_OK) {
        status = fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&text), &err);
    }
    fl_buf_free(&text);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}

int fl_cmd_feedback(int argc, char **argv)
{
    struct options o = {.cause = NULL};
    const struct fl_opt options[] = {
        {"cause", 0, FL_OPT_TEXT, "CAUSE", "what it really was", &o.cause},
        {"fix", 0, FL_OPT_TEXT, "TEXT", "what helped; shown when the failure comes again", &o.fix},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder", &o.state},
    };
    const struct fl_cli cli = {
        "feedback [OPTION ...] INCIDENT correct|wrong",
        "Says whether the verdict on an incident was right. A confirmed incident answers the next\n"
        "failure like it, and the rule learned from it is applied; after `wrong` neither is.",
        "INCIDENT is the id that `diagnose` shows (see also: faultline incidents list). Exit status:\n"
        "0 done, 2 usage, 3 there is no such incident, or no state folder.",
        options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (argc != 3 || (strcmp(argv[2], "correct") != 0 && strcmp(argv[2], "wrong") != 0)) {
        fl_log(FL_LOG_ERROR, "say which and how: faultline feedback INCIDENT correct|wrong");
        return FL_EXIT_USAGE;
    }
    code = FL_EXIT_USAGE;
    if (fl_config_load(&config, &err) == FL_OK) {
        fl_config_flag(&config, FL_SET_STATE, o.state);
        code = run(&config, &o, argv + 1);
    } else {
        code = fl_cmd_fail(&err);
    }
    fl_config_free(&config);
    return code;
}
