/* SPDX-License-Identifier: Apache-2.0 */
/* One function a subcommand. argv[0] is the subcommand's name; the result is the exit status:
 * 0 done, 1 the verdict reached --fail-on (or a check failed), 2 usage, 3 input could not be
 * read. */
#pragma once
#include "service/base/status.h"

#include <stdbool.h>

enum { FL_EXIT_OK, FL_EXIT_REACHED, FL_EXIT_USAGE, FL_EXIT_INPUT };

int fl_cmd_diagnose(int argc, char **argv);
int fl_cmd_diff(int argc, char **argv);
int fl_cmd_signals(int argc, char **argv);
int fl_cmd_filter(int argc, char **argv);
int fl_cmd_learn(int argc, char **argv);
int fl_cmd_backup(int argc, char **argv);
int fl_cmd_restore(int argc, char **argv);
int fl_cmd_review(int argc, char **argv);
int fl_cmd_rules(int argc, char **argv);
int fl_cmd_incidents(int argc, char **argv);
int fl_cmd_feedback(int argc, char **argv);
int fl_cmd_stats(int argc, char **argv);
int fl_cmd_eval(int argc, char **argv);
int fl_cmd_config(int argc, char **argv);
int fl_cmd_doctor(int argc, char **argv);
int fl_cmd_templates(int argc, char **argv);
int fl_cmd_redact(int argc, char **argv);
int fl_cmd_serve(int argc, char **argv);
int fl_cmd_notices(int argc, char **argv);
int fl_cmd_token(int argc, char **argv);
int fl_cmd_version(int argc, char **argv);

/* Logs the error and returns FL_EXIT_USAGE or FL_EXIT_INPUT by its kind. */
int fl_cmd_fail(const struct fl_err *err);

/* The options of a command. True: go on; else it is over, with the exit status *code_r (help was asked
 * for, or the usage is wrong). */
struct fl_cli;
bool fl_cmd_options(const struct fl_cli *cli, int *argc, char **argv, int *code_r);

/* The settings, with the state folder that a flag names (NULL: none does). FL_USAGE: there is no state
 * folder at all. To be freed in either case. */
struct fl_config;
enum fl_status fl_cmd_state(struct fl_config *config, const char *flag, struct fl_err *err) FL_MUST_USE;

/* Is standard output a terminal, and is colour wanted there (no-color.org)? */
bool fl_cmd_colour(void);

/* From now on Ctrl-C and SIGTERM only set what the second one tells. */
void fl_cmd_until_interrupted(void);
bool fl_cmd_interrupted(void *ctx);
