/* SPDX-License-Identifier: Apache-2.0 */
/* faultline review: incidents that wait for a person, and what their jobs have in common. */
#include "service/commands/commands.h"

#include "rag/groups.h"
#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/config.h"
#include "service/jobs/coverage.h"
#include "service/review.h"

#include <unistd.h>

enum { OUT_CAP = 8 << 20, ARENA_CAP = 64 << 20 };

struct options {
    int format;
    const char *state;
};

static enum fl_status run(const char *state, const struct options *o, int n, char **ids,
                          struct fl_buf *out, struct fl_err *err)
{
    struct fl_incidents *store = NULL;
    struct fl_jobs *jobs = NULL;
    struct fl_arena arena;
    struct fl_review review;
    fl_arena_init(&arena, ARENA_CAP);
    enum fl_status status = fl_incidents_open(state, NULL, false, &store, err);
    if (status == FL_OK) {
        status = fl_jobs_open(state, true, &jobs, err);
        if (status == FL_NOTFOUND) { /* no service has run here yet */
            *err = (struct fl_err){0};
            status = FL_OK;
        }
    }
    if (status == FL_OK) {
        status = fl_review_of(store, jobs, (const char *const *)ids, (size_t)n, &arena, &review, err);
    }
    if (status == FL_OK) {
        fl_review_report(&review, o->format == 1, out);
    }
    fl_jobs_close(jobs);
    fl_incidents_close(store);
    fl_arena_free(&arena);
    return status;
}

int fl_cmd_review(int argc, char **argv)
{
    struct options o = {0};
    const struct fl_opt options[] = {
        {"format", 'f', FL_OPT_CHOICE, "text|json", "form of the answer", &o.format},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder of the service", &o.state},
    };
    const struct fl_cli cli = {
        "review [OPTION ...] [INCIDENT...]",
        "The incidents that were flagged (faultline incidents flag ID), or those given; and what the jobs\n"
        "that ended in them have in common (nodes, users, images, ranks ...), against all other jobs.",
        "Jobs are those that the service was sent. Exit status: 0 done, 2 usage, 3 no state folder.",
        options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    struct fl_buf out;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    fl_buf_init(&out, OUT_CAP);
    enum fl_status status = fl_cmd_state(&config, o.state, &err);
    if (status == FL_OK) {
        status = run(config.value[FL_SET_STATE], &o, argc - 1, argv + 1, &out, &err);
    }
    if (status == FL_OK) {
        status = fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&out), &err);
    }
    fl_buf_free(&out);
    fl_config_free(&config);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
