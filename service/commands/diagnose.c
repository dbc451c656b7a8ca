/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/clock.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/live_report.h"
#include "service/report.h"
#include "service/routine.h"

#include <unistd.h>

enum { SECOND_US = 1000000 };

struct options {
    int format;
    bool follow;
    bool offline;
    bool no_learned;
    bool explain;
    bool learn;
    bool forget;
    const char *state;
    const char *base_url;
    const char *model;
    const char *deadline;
    const char *votes;
    const char *without_rules;
    int fail_on;
};

static int print_result(const struct fl_result *r, const struct options *o)
{
    struct fl_err err = {0};
    struct fl_buf text;
    struct fl_report_options style = {.format = (enum fl_format)o->format,
                                      .colour = fl_cmd_colour(),
                                      .explain = o->explain};
    fl_buf_init(&text, 16 << 20);
    enum fl_status status = fl_report(r, &style, &text, &err);
    if (status == FL_OK) {
        status = fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&text), &err);
    }
    fl_buf_free(&text);
    if (status != FL_OK) {
        return fl_cmd_fail(&err);
    }
    bool reached = o->fail_on >= 0 && r->verdict.outcome == FL_OUTCOME_FAILED &&
                   (int)r->verdict.severity >= o->fail_on;
    return reached ? FL_EXIT_REACHED : FL_EXIT_OK;
}

/* The lines that the verdict rests on must stay whatever is learned. */
static void add_evidence(const struct fl_verdict *v, struct fl_buf *out)
{
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        const struct fl_hypothesis *h = &v->hypotheses[i];
        for (size_t k = 0; k < h->evidence_n; k++) {
            fl_buf_add_str(out, h->evidence[k].text);
            fl_buf_add_text(out, "\n");
        }
    }
}

/* After the verdict, which stands whatever comes of it. Reads the logs again. */
static void learn(const struct fl_result *r, const struct fl_request *request)
{
    struct fl_err err = {0};
    struct fl_routine_result result;
    struct fl_buf text;
    struct fl_buf evidence;
    fl_buf_init(&text, 64 << 10);
    fl_buf_init(&evidence, 1 << 20);
    add_evidence(&r->verdict, &evidence);
    struct fl_routine_request what = {.set = r->book->set,
                                      .config = request->config,
                                      .job = request->paths[0],
                                      .healthy = r->verdict.outcome == FL_OUTCOME_HEALTHY,
                                      .protects = fl_buf_str(&evidence)};
    enum fl_status status = request->config->value[FL_SET_STATE] && !evidence.failed
                                ? fl_routine_learn(&what, request->paths, request->paths_n,
                                                   &result, &err)
                                : fl_fail(&err, FL_USAGE, "there is no state folder");
    if (status == FL_OK) {
        fl_routine_report(&result, &text);
        status = fl_fsio_write_all(STDERR_FILENO, "standard error", fl_buf_str(&text), &err);
    }
    if (status != FL_OK) {
        fl_log(FL_LOG_WARN, "nothing learned: %s", err.msg);
    }
    fl_buf_free(&evidence);
    fl_buf_free(&text);
}

/* ---- while the job runs ---- */

struct watching {
    const struct fl_result *result;
    struct fl_live *live;
    int64_t due_us;
    bool json;
};

/* To standard error, since standard output is the verdict's. */
static void tell(void *ctx, bool withdrawn, const struct fl_live_matter *matter)
{
    struct watching *w = ctx;
    struct fl_err err = {0};
    struct fl_buf line;
    fl_buf_init(&line, 16 << 10);
    fl_live_report(matter, withdrawn, fl_clock_wall_s(), w->json, &line);
    if (fl_fsio_write_all(STDERR_FILENO, "standard error", fl_buf_str(&line), &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "%s", err.msg);
    }
    fl_buf_free(&line);
}

/* Looks at the job once a second, and for a twentieth of the time at most. */
static void look(void *ctx, bool rested)
{
    struct watching *w = ctx;
    int64_t now = fl_clock_mono_us();
    if (rested) {
        fl_live_caught_up(w->live);
    }
    if (now < w->due_us) {
        return;
    }
    fl_live_check(w->live, w->result->job, &w->result->book->calibration, now);
    int64_t end = fl_clock_mono_us();
    int64_t pause = 19 * (end - now);
    w->due_us = end + (pause > SECOND_US ? pause : SECOND_US);
}

/* ---- the command ---- */

static int run(struct fl_config *config, const struct options *o, int argc, char **argv)
{
    struct fl_err err = {0};
    struct fl_result result;
    struct watching watching = {.result = &result, .json = o->format == FL_FORMAT_JSON};
    const struct fl_live_teller teller = {tell, &watching};
    const struct fl_follow follow = {.stop = fl_cmd_interrupted, .turn = look, .ctx = &watching};
    struct fl_request request = {.paths = (const char *const *)(argv + 1),
                                 .paths_n = (size_t)argc - 1,
                                 .config = config,
                                 .follow = o->follow ? &follow : NULL};
    if (o->follow) {
        fl_cmd_until_interrupted();
        if (fl_live_new(&teller, &watching.live, &err) != FL_OK) {
            return fl_cmd_fail(&err);
        }
    }
    enum fl_status status = fl_pipeline_run(&request, &result, &err);
    fl_live_free(watching.live);
    int code = status == FL_OK ? print_result(&result, o) : fl_cmd_fail(&err);
    if (status == FL_OK) {
        fl_pipeline_keep(&result);
    }
    if (status == FL_OK && o->learn) {
        learn(&result, &request);
    }
    fl_result_free(&result);
    return code;
}

int fl_cmd_diagnose(int argc, char **argv)
{
    struct options o = {.fail_on = -1};
    const struct fl_opt options[] = {
        {"format", 'f', FL_OPT_CHOICE, "text|json|markdown|junit|github", "how to print the verdict", &o.format},
        {"explain", 0, FL_OPT_FLAG, NULL, "say what speaks for and against each possible cause",
         &o.explain},
        {"learn", 0, FL_OPT_FLAG, NULL,
         "propose filter rules from what the job says again and again (see `learn`)", &o.learn},
        {"follow", 'F', FL_OPT_FLAG, NULL,
         "read on as the files grow; the verdict comes at Ctrl-C or SIGTERM", &o.follow},
        {"offline", 0, FL_OPT_FLAG, NULL, "send nothing anywhere", &o.offline},
        {"no-learned", 0, FL_OPT_FLAG, NULL, "go without learned rules", &o.no_learned},
        {"without-rules", 0, FL_OPT_TEXT, "GLOB[,GLOB...]",
         "go without the failure rules of these ids or causes", &o.without_rules},
        {"forget", 0, FL_OPT_FLAG, NULL, "keep no incident of this failure", &o.forget},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder (learned rules, incidents)", &o.state},
        {"fail-on", 0, FL_OPT_CHOICE, "low|medium|high|critical",
         "exit 1 when the job failed with this severity or worse", &o.fail_on},
        {"base-url", 0, FL_OPT_TEXT, "URL", "OpenAI-compatible endpoint for unknown failures",
         &o.base_url},
        {"model", 0, FL_OPT_TEXT, "NAME", "model to ask there", &o.model},
        {"deadline", 0, FL_OPT_TEXT, "SECONDS", "longest wait for the model (default 60)",
         &o.deadline},
        {"votes", 0, FL_OPT_TEXT, "N", "answers of the model that must agree, by majority (default 1)",
         &o.votes},
    };
    const struct fl_cli cli = {
        "diagnose [OPTION ...] PATH...",
        "Says why a job failed. The PATHs (files, folders, gzip, zstd, or - for standard input)\n"
        "are the streams of one job. Needs no network, no model and no configuration.",
        "With --follow, what goes wrong while the job runs is told once on standard error, and\n"
        "withdrawn when it is over: failures, metrics, steps that stop, a rank gone silent. With\n"
        "--format json these lines are JSON (faultline.live/1).\n\n"
        "Exit status: 0 a verdict was given, 1 it reached --fail-on, 2 usage,\n"
        "3 no log could be read.",
        options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    bool piped = false;
    for (int i = 1; i < argc; i++) {
        piped |= strcmp(argv[i], "-") == 0;
    }
    if (o.learn && (o.follow || piped)) {
        fl_log(FL_LOG_ERROR, "--learn reads the logs twice: give files or folders, not --follow");
        return FL_EXIT_USAGE;
    }
    if (argc < 2) {
        fl_log(FL_LOG_ERROR, "give the logs of one job: faultline diagnose PATH...");
        return FL_EXIT_USAGE;
    }
    if (o.follow && argc - 1 > FL_FOLLOWED_MAX) {
        fl_log(FL_LOG_ERROR, "--follow takes %d files at most", FL_FOLLOWED_MAX);
        return FL_EXIT_USAGE;
    }
    if (fl_config_load(&config, &err) != FL_OK) {
        fl_config_free(&config);
        return fl_cmd_fail(&err);
    }
    config.offline = o.offline;
    config.no_learned = o.no_learned;
    config.forgets = o.forget;
    config.without_rules = o.without_rules;
    fl_config_flag(&config, FL_SET_STATE, o.state);
    fl_config_flag(&config, FL_SET_BASE_URL, o.base_url);
    fl_config_flag(&config, FL_SET_MODEL, o.model);
    fl_config_flag(&config, FL_SET_DEADLINE, o.deadline);
    fl_config_flag(&config, FL_SET_VOTES, o.votes);
    code = run(&config, &o, argc, argv);
    fl_config_free(&config);
    return code;
}
