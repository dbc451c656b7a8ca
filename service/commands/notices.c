/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/buf.h"
#include "service/base/cli.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/config.h"
#include "service/jobs/outbox.h"
#include "service/notices/notices.h"
#include "service/notices/receivers.h"

#include <stdio.h>
#include <stdlib.h>

static enum fl_status print_one(void *ctx, const struct fl_message *m, struct fl_err *err)
{
    struct fl_buf why;
    char made[21];
    (void)err;
    ++*(long *)ctx;
    fl_clock_format(m->made_ms / 1000, made);
    fl_buf_init(&why, 2048);
    fl_buf_add_safe(&why, m->why);
    printf("%-6lld %-7s %-16s %-9s %-24s %s  tries %d%s%s\n", (long long)m->row, m->dead ? "dead" : "waiting",
           m->receiver.p, m->event.p, m->job.p, made, m->tries, why.n ? ": " : "", fl_buf_text(&why));
    fl_buf_free(&why);
    return FL_OK;
}

static enum fl_status list(const char *state, struct fl_err *err)
{
    struct fl_jobs *jobs = NULL;
    long n = 0;
    enum fl_status status = fl_jobs_open(state, true, &jobs, err);
    if (status == FL_OK) {
        status = fl_outbox_list(jobs, print_one, &n, err);
    }
    if (status == FL_OK && n == 0) {
        fl_log(FL_LOG_INFO, "no notice waits, and none is dead");
    }
    fl_jobs_close(jobs);
    return status;
}

static enum fl_status change(const char *state, bool retry, const char *id, struct fl_err *err)
{
    struct fl_jobs *jobs = NULL;
    char *end = NULL;
    bool all = strcmp(id, "all") == 0;
    int64_t row = all ? 0 : strtoll(id, &end, 10);
    if (!all && (*end || row < 1)) {
        return fl_fail(err, FL_USAGE, "%.40s: give the number of a dead notice, or all (see: faultline notices"
                                      " list)", id);
    }
    enum fl_status status = fl_jobs_open(state, false, &jobs, err);
    if (status == FL_OK) {
        status = fl_db_begin(fl_jobs_db(jobs), err);
        if (status == FL_OK) {
            status = retry ? fl_outbox_retry(jobs, row, err) : fl_outbox_drop(jobs, row, err);
            status = fl_db_end(fl_jobs_db(jobs), status, err);
        }
    }
    fl_jobs_close(jobs);
    return status;
}

static enum fl_status test(const char *path, const char *name, struct fl_err *err)
{
    struct fl_receivers receivers;
    enum fl_status status = fl_receivers_load(path, &receivers, err);
    const struct fl_receiver *to = status == FL_OK ? fl_receivers_find(&receivers, fl_str_of(name)) : NULL;
    if (status == FL_OK && !to) {
        status = fl_fail(err, FL_NOTFOUND, "%s: there is no receiver \"%.60s\"", path ? path : "notices", name);
    }
    if (status == FL_OK) {
        status = fl_notices_test(to, receivers.base_url, err);
    }
    if (status == FL_OK) {
        fl_log(FL_LOG_INFO, "%s took it", name);
    }
    fl_receivers_free(&receivers);
    return status;
}

int fl_cmd_notices(int argc, char **argv)
{
    const char *state = NULL;
    const char *file = NULL;
    const struct fl_opt options[] = {
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder of the service", &state},
        {"notices", 0, FL_OPT_TEXT, "FILE", "file of the receivers (the setting notices)", &file},
    };
    const struct fl_cli cli = {
        "notices list | retry ID|all | drop ID|all | test NAME",
        "What the service tells others of failed jobs, and who did not take it. list shows what waits and\n"
        "what is dead (three tries, or refused); retry sends a dead one again, drop forgets it; test sends\n"
        "a test notice to the receiver NAME.",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    enum fl_status status = fl_config_load(&config, &err);
    fl_config_flag(&config, FL_SET_STATE, state);
    fl_config_flag(&config, FL_SET_NOTICES, file);
    const char *folder = status == FL_OK ? config.value[FL_SET_STATE] : NULL;
    struct fl_str verb = fl_str_of(argc > 1 ? argv[1] : "");
    bool retries = fl_str_eq(verb, FL_LIT("retry"));
    if (status != FL_OK) {
    } else if (argc == 3 && fl_str_eq(verb, FL_LIT("test"))) {
        status = test(config.value[FL_SET_NOTICES], argv[2], &err);
    } else if (!folder) {
        status = fl_fail(&err, FL_USAGE, "there is no state folder: give one with --state");
    } else if (argc == 2 && fl_str_eq(verb, FL_LIT("list"))) {
        status = list(folder, &err);
    } else if (argc == 3 && (retries || fl_str_eq(verb, FL_LIT("drop")))) {
        status = change(folder, retries, argv[2], &err);
    } else {
        status = fl_fail(&err, FL_USAGE, "say: faultline notices list, retry ID, drop ID, or test NAME");
    }
    fl_config_free(&config);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
