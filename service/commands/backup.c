/* SPDX-License-Identifier: Apache-2.0 */
/* faultline backup, faultline restore */
#include "service/commands/commands.h"

#include "service/backup.h"
#include "service/base/cli.h"
#include "service/base/log.h"
#include "service/config.h"

static int run(int argc, char **argv, const struct fl_cli *cli, const char **state,
               enum fl_status (*work)(const char *state, const char *folder, struct fl_err *err),
               bool back)
{
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(cli, &argc, argv, &code)) {
        return code;
    }
    enum fl_status status = fl_cmd_state(&config, *state, &err);
    const char *folder = config.value[FL_SET_STATE];
    if (status == FL_OK && argc != 2) {
        status = fl_fail(&err, FL_USAGE, "say: faultline %s FOLDER", argv[0]);
    }
    if (status == FL_OK) {
        status = work(folder, argv[1], &err);
    }
    if (status == FL_OK) {
        fl_log(FL_LOG_INFO, back ? "%s was made of %s" : "%s was copied to %s", folder, argv[1]);
    }
    fl_config_free(&config);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}

static enum fl_status restore(const char *state, const char *folder, struct fl_err *err)
{
    return fl_restore(folder, state, err);
}

int fl_cmd_backup(int argc, char **argv)
{
    const char *state = NULL;
    const struct fl_opt options[] = {{"state", 0, FL_OPT_TEXT, "DIR", "state folder", &state}};
    const struct fl_cli cli = {
        "backup [--state DIR] FOLDER",
        "Copies the state folder (incidents, jobs, rules, tokens) into a new FOLDER, checked, while the service\n"
        "runs. `faultline restore FOLDER` takes it back.",
        NULL, options, 1};
    return run(argc, argv, &cli, &state, fl_backup, false);
}

int fl_cmd_restore(int argc, char **argv)
{
    const char *state = NULL;
    const struct fl_opt options[] = {{"state", 0, FL_OPT_TEXT, "DIR", "state folder to make", &state}};
    const struct fl_cli cli = {
        "restore [--state DIR] FOLDER",
        "Makes a state folder of a backup. There must be no database in it yet; the service must not run.",
        NULL, options, 1};
    return run(argc, argv, &cli, &state, restore, true);
}
