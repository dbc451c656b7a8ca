/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/config.h"
#include "service/consult.h"
#include "service/llm/sort.h"
#include "service/routine.h"
#include "service/rulebook.h"

#include <unistd.h>

static enum fl_status report(const struct fl_routine_result *result, struct fl_err *err)
{
    struct fl_buf text;
    fl_buf_init(&text, 64 << 10);
    fl_routine_report(result, &text);
    fl_buf_add_text(&text, result->proposed ? "see them: faultline rules list\n" : "");
    enum fl_status status =
        fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&text), err);
    fl_buf_free(&text);
    return status;
}

static enum fl_status learn(struct fl_config *config, struct fl_routine_request *request,
                            int argc, char **argv, struct fl_err *err)
{
    struct fl_rulebook book = {.set = NULL};
    struct fl_routine_result result;
    const char *state = config->value[FL_SET_STATE];
    request->config = config;
    enum fl_status status = state
                                ? fl_rulebook_open(state, &book, err)
                                : fl_fail(err, FL_USAGE, "no state folder; name one with --state");
    if (status == FL_OK) {
        request->set = book.set;
        request->job = request->job ? request->job : argv[1];
        status = fl_routine_learn(request, (const char *const *)(argv + 1), (size_t)argc - 1,
                                  &result, err);
    }
    if (status == FL_OK) {
        status = report(&result, err);
    }
    fl_rulebook_close(&book);
    return status;
}

int fl_cmd_learn(int argc, char **argv)
{
    struct fl_routine_request request = {0};
    const char *state = NULL;
    const char *base_url = NULL;
    const char *model = NULL;
    int votes = 0;
    const struct fl_opt options[] = {
        {"healthy", 0, FL_OPT_FLAG, NULL,
         "the runs went well: all that recurs in them is routine", &request.healthy},
        {"job", 0, FL_OPT_TEXT, "NAME", "name of the job, for the record (default: the first PATH)",
         &request.job},
        {"votes", 0, FL_OPT_INT, "N",
         "ask a model N times which kinds of lines are routine (1 to 9; 3 is good)", &votes},
        {"base-url", 0, FL_OPT_TEXT, "URL", "OpenAI-compatible endpoint for --votes", &base_url},
        {"model", 0, FL_OPT_TEXT, "NAME", "model to ask there", &model},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder, where the rules go", &state},
    };
    const struct fl_cli cli = {
        "learn [OPTION ...] PATH...",
        "Proposes filter rules from what a job's logs say again and again. Best fed with runs that\n"
        "went well (--healthy); of others only what recurs over time and ranks counts, and not\n"
        "what comes near the end. Nothing is proposed that holds a word of failure or that a\n"
        "failure rule knows. Proposals are listed by `faultline rules list` and not applied.\n"
        "With --votes a model names the routine kinds; patterns and checks are the same.",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config = {.file = NULL};
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (argc < 2) {
        fl_log(FL_LOG_ERROR, "give the logs of one job: faultline learn PATH...");
        return FL_EXIT_USAGE;
    }
    if (votes < 0 || votes > FL_SORT_VOTES) {
        fl_log(FL_LOG_ERROR, "--votes must be 1 to %d", FL_SORT_VOTES);
        return FL_EXIT_USAGE;
    }
    enum fl_status status = fl_config_load(&config, &err);
    if (status == FL_OK) {
        fl_config_flag(&config, FL_SET_STATE, state);
        fl_config_flag(&config, FL_SET_BASE_URL, base_url);
        fl_config_flag(&config, FL_SET_MODEL, model);
        request.votes = (unsigned)votes;
        if (votes && !fl_consult_wanted(&config)) {
            status = fl_fail(&err, FL_USAGE, "--votes needs an endpoint: give --base-url URL (or "
                             "set OPENAI_BASE_URL)");
        }
    }
    if (status == FL_OK) {
        status = learn(&config, &request, argc, argv, &err);
    }
    fl_config_free(&config);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
