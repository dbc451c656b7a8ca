/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/log.h"
#include "service/config.h"

#include <stdio.h>
#include <string.h>

#ifndef FL_VERSION
#define FL_VERSION "unknown"
#endif

int fl_cmd_config(int argc, char **argv)
{
    const struct fl_cli cli = {"config", "Shows each setting, its value and where it came from.\n"
                               "Flags win over the environment, the environment over the file.",
                               NULL, NULL, 0};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (fl_config_load(&config, &err) != FL_OK) {
        fl_config_free(&config);
        return fl_cmd_fail(&err);
    }
    printf("%-18s %-22s %-20s %s\n", "setting", "environment", "from", "value");
    for (int i = 0; i < FL_SETTINGS_N; i++) {
        const char *value = config.value[i];
        bool secret = i == FL_SET_API_KEY || i == FL_SET_HEADERS;
        const char *shown = !value ? "(not set)" : secret ? "(set, hidden)" : value;
        printf("%-18s %-22s %-20s %s\n", fl_config_name((enum fl_setting)i),
               fl_config_env((enum fl_setting)i), config.from[i] ? config.from[i] : "-", shown);
    }
    printf("configuration file: %s\n", config.file ? config.file : "none");
    fl_config_free(&config);
    return FL_EXIT_OK;
}

int fl_cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("faultline %s\n", FL_VERSION);
    return FL_EXIT_OK;
}
