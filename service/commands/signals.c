/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/drift.h"
#include "service/pipeline.h"

#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { OUT_CAP = 128 << 20, WIDTH = 64, WIDTH_MIN = 8, WIDTH_MAX = 1024 };

struct options {
    struct fl_signals_options report;
    int format;
    const char *metrics;
    const char *state;
    const char *against;
    int fail_on;
};

/* The C library is not asked, since the program stays in its plain locale. */
static bool locale_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            const char *dot = strchr(value, '.');
            return dot && (strncasecmp(dot, ".utf-8", 6) == 0 || strncasecmp(dot, ".utf8", 5) == 0);
        }
    }
    return false;
}

/* Ends out. */
static enum fl_status print(enum fl_status status, struct fl_buf *out, struct fl_err *err)
{
    if (status == FL_OK) {
        status = fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(out), err);
    }
    fl_buf_free(out);
    return status;
}

static int code_of(int worst, const struct options *o)
{
    return o->fail_on >= 0 && worst >= o->fail_on ? FL_EXIT_REACHED : FL_EXIT_OK;
}

static enum fl_status show(struct fl_job *job, const struct options *o, int *code,
                           struct fl_err *err)
{
    struct fl_signals signals;
    struct fl_buf out;
    fl_buf_init(&out, OUT_CAP);
    enum fl_status status = fl_signals_of(job, o->metrics, &signals, err);
    if (status == FL_OK) {
        if (signals.charts_n == 0 && o->report.format == FL_SIGNALS_JSON) {
            fl_log(FL_LOG_WARN, "no metric was found (--format text says how to declare one)");
        }
        status = fl_signals_report(&signals, &o->report, &out, err);
    }
    *code = code_of(fl_signals_worst(&signals), o);
    fl_signals_free(&signals);
    return print(status, &out, err);
}

/* Held against a reference. */
static enum fl_status compare(const struct fl_rulebook *book, const struct fl_request *request,
                              const struct options *o, int *code, struct fl_err *err)
{
    struct fl_features was = {.n = 0};
    struct fl_features is = {.n = 0};
    struct fl_drift_report *report = calloc(1, sizeof *report);
    struct fl_buf out;
    fl_buf_init(&out, OUT_CAP);
    enum fl_status status = report ? FL_OK : fl_fail(err, FL_NOMEM, "no memory");
    if (status == FL_OK) {
        status = fl_features_read(book, request->config, &o->against, 1, &was, err);
    }
    if (status == FL_OK) {
        status = fl_features_read(book, request->config, request->paths, request->paths_n, &is, err);
    }
    if (status == FL_OK) {
        status = fl_drift_compare(&was, &is, book->set->metrics, report, err);
    }
    if (status == FL_OK) {
        status = fl_drift_show(report, &o->report, &out, err);
        *code = code_of(fl_drift_worst(report), o);
    }
    status = print(status, &out, err);
    fl_features_free(&was);
    fl_features_free(&is);
    free(report);
    return status;
}

/* Rules and detectors of the state folder count, too; nothing of the job is kept there. */
static int run(const struct fl_config *config, const struct options *o, int argc, char **argv)
{
    struct fl_err err = {0};
    struct fl_rulebook book = {.set = NULL};
    struct fl_job *job = NULL;
    struct fl_verdict verdict = {.outcome = FL_OUTCOME_UNKNOWN};
    const struct fl_request request = {.paths = (const char *const *)(argv + 1),
                                       .paths_n = (size_t)argc - 1, .config = config};
    int code = FL_EXIT_OK;
    enum fl_status status = fl_rulebook_open(config->value[FL_SET_STATE], &book, &err);
    if (status == FL_OK && o->against) {
        status = compare(&book, &request, o, &code, &err);
    } else if (status == FL_OK) {
        status = fl_pipeline_judge(&book, &request, &job, &verdict, &err);
        if (status == FL_OK) {
            status = show(job, o, &code, &err);
        }
    }
    fl_job_free(job);
    fl_rulebook_close(&book);
    return status == FL_OK ? code : fl_cmd_fail(&err);
}

int fl_cmd_signals(int argc, char **argv)
{
    struct options o = {.report = {.width = WIDTH}, .fail_on = -1};
    const struct fl_opt options[] = {
        {"format", 'f', FL_OPT_CHOICE, "text|json|markdown|html", "how to print them", &o.format},
        {"metric", 'm', FL_OPT_TEXT, "NAME[,NAME...]", "these only", &o.metrics},
        {"against", 0, FL_OPT_TEXT, "REFERENCE",
         "which columns of tables or metrics of logs drifted from those of this file", &o.against},
        {"all", 'a', FL_OPT_FLAG, NULL, "every rank of a metric, or column, however many there are",
         &o.report.all},
        {"width", 'w', FL_OPT_INT, "N", "columns of a sparkline (default 64)", &o.report.width},
        {"ascii", 0, FL_OPT_FLAG, NULL, "sparklines of plain characters", &o.report.ascii},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder (your names of metrics and detectors)",
         &o.state},
        {"fail-on", 0, FL_OPT_CHOICE, "low|medium|high|critical",
         "exit 1 when something of this severity or worse was found", &o.fail_on},
    };
    const struct fl_cli cli = {
        "signals [OPTION ...] PATH...",
        "Shows the metrics of a job (loss, grad_norm, throughput, memory ...) over its steps, and what\n"
        "is wrong with their course. The PATHs (logs, folders, tables of metrics, or - for standard\n"
        "input) are the streams of one job. Nothing is sent or kept.",
        "In sparklines x stands for values that are not finite. Ranks that print the same share one.\n"
        "`signals --format html PATH... >page.html` makes one page with plots.\n"
        "`signals --against TRAINING.csv SERVING.csv` tells drift and skew; against the log of an earlier run\n"
        "also from which step on a rerun with the same seed differs.\n\n"
        "Exit status: 0 shown, 1 something reached --fail-on, 2 usage, 3 no log could be read.",
        options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (argc < 2) {
        fl_log(FL_LOG_ERROR, "give the logs of one job: faultline signals PATH...");
        return FL_EXIT_USAGE;
    }
    if (o.report.width < WIDTH_MIN || o.report.width > WIDTH_MAX) {
        fl_log(FL_LOG_ERROR, "--width takes %d to %d", WIDTH_MIN, WIDTH_MAX);
        return FL_EXIT_USAGE;
    }
    if (o.against && o.metrics) {
        fl_log(FL_LOG_ERROR, "--against looks at all columns: leave --metric out");
        return FL_EXIT_USAGE;
    }
    if (fl_config_load(&config, &err) != FL_OK) {
        fl_config_free(&config);
        return fl_cmd_fail(&err);
    }
    o.report.format = (enum fl_signals_format)o.format;
    o.report.colour = fl_cmd_colour();
    o.report.ascii = o.report.ascii || !locale_is_utf8();
    fl_config_flag(&config, FL_SET_STATE, o.state);
    code = run(&config, &o, argc, argv);
    fl_config_free(&config);
    return code;
}
