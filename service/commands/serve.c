/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/log.h"
#include "service/http/serve.h"
#include "service/notify.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { REST_S = 60, KEEP_DAYS = 30, KEEP_GB = 50, TICK_S = 5, LIST_CAP = 32 << 10 };

struct options {
    struct fl_serve_options serve;
    const char *config;
    const char *state;
    const char *notices;
    const char *base_url;
    const char *model;
    struct fl_buf log_roots;
    struct fl_buf watch;
};

/* All threads are born with them blocked; this one waits for them. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void raise_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

/* Large bodies go back to the system when they are written, not to a heap that keeps them. */
static void tune_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
#endif
}

static void reload(struct fl_serve *serve)
{
    struct fl_err err = {0};
    fl_notify("RELOADING=1");
    if (fl_serve_reload(serve, &err) == FL_OK) {
        fl_log(FL_LOG_INFO, "tokens, rules and receivers of notices were read anew");
    } else {
        fl_log(FL_LOG_ERROR, "reload: %s (what was in force stays)", err.msg);
    }
    fl_notify("READY=1");
}

static void serve_until_told(struct fl_serve *serve, const sigset_t *signals)
{
    const struct timespec tick = {.tv_sec = TICK_S};
    for (;;) {
        int got = sigtimedwait(signals, NULL, &tick);
        if (got == SIGHUP) {
            reload(serve);
        } else if (got == SIGTERM || got == SIGINT) {
            return;
        }
        fl_serve_tick(serve);
        fl_notify("WATCHDOG=1");
    }
}

static int run(struct fl_config *config, struct options *o)
{
    struct fl_err err = {0};
    struct fl_serve *serve = NULL;
    sigset_t signals;
    o->serve.config = config;
    block_signals(&signals);
    raise_limit();
    tune_memory();
    if (fl_serve_start(&o->serve, &serve, &err) != FL_OK) {
        return fl_cmd_fail(&err);
    }
    fl_log(FL_LOG_INFO, "listening on port %d (%s), state folder %s", fl_serve_port(serve),
           o->serve.listen, config->value[FL_SET_STATE]);
    if (o->serve.syslog) {
        fl_log(FL_LOG_INFO, "syslog on port %d (%s)", fl_serve_syslog_port(serve), o->serve.syslog);
    }
    fl_notify("READY=1");
    serve_until_told(serve, &signals);
    fl_log(FL_LOG_INFO, "stopping: what came in is answered and written");
    fl_notify("STOPPING=1");
    fl_serve_stop(serve);
    return FL_EXIT_OK;
}

int fl_cmd_serve(int argc, char **argv)
{
    struct options o = {.serve = {.listen = "127.0.0.1:8765", .rest_s = REST_S,
                                .keep_days = KEEP_DAYS, .keep_gb = KEEP_GB}};
    fl_buf_init(&o.log_roots, LIST_CAP);
    fl_buf_init(&o.watch, LIST_CAP);
    const struct fl_opt options[] = {
        {"listen", 'l', FL_OPT_TEXT, "ADDRESS:PORT", "where (default 127.0.0.1:8765)", &o.serve.listen},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder (jobs, incidents, rules, tokens)", &o.state},
        {"config", 0, FL_OPT_TEXT, "FILE", "configuration file ($FAULTLINE_CONFIG)", &o.config},
        {"insecure", 0, FL_OPT_FLAG, NULL, "no tokens, though others can reach the address",
         &o.serve.insecure},
        {"rest", 0, FL_OPT_INT, "SECONDS",
         "a job without a new line for so long is judged for good (default 60)", &o.serve.rest_s},
        {"keep-days", 0, FL_OPT_INT, "N", "logs of jobs that rest are kept so long (default 30)",
         &o.serve.keep_days},
        {"keep-gb", 0, FL_OPT_INT, "N", "... and only so much of them (default 50)", &o.serve.keep_gb},
        {"notices", 0, FL_OPT_TEXT, "FILE", "who is told of failures (see README)", &o.notices},
        {"watch", 0, FL_OPT_LIST, "DIR", "read the logs below it as they grow; may be repeated", &o.watch},
        {"log-root", 0, FL_OPT_LIST, "DIR",
         "where logs of jobs that Slurm reports may be read; may be repeated", &o.log_roots},
        {"syslog", 0, FL_OPT_TEXT, "ADDRESS:PORT", "take syslog over TCP there", &o.serve.syslog},
        {"base-url", 0, FL_OPT_TEXT, "URL", "OpenAI-compatible endpoint for unknown failures", &o.base_url},
        {"model", 0, FL_OPT_TEXT, "NAME", "model to ask there", &o.model},
    };
    const struct fl_cli cli = {
        "serve [OPTION ...]",
        "Takes the logs that shippers push (plain text, NDJSON, Loki, OTLP, Elasticsearch bulk, journal\n"
        "upload), keeps them in the state folder, and says of each job why it failed.",
        "    curl --data-binary @job.log 'http://127.0.0.1:8765/api/v1/ingest?job=my-job&end=1'\n"
        "    curl http://127.0.0.1:8765/api/v1/jobs/my-job\n\n"
        "SIGHUP reads tokens, rules and receivers anew, SIGTERM stops. Addresses that others can reach need a token\n"
        "(see: faultline token --help).",
        options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (argc > 1 || o.serve.rest_s < 1) {
        fl_log(FL_LOG_ERROR, argc > 1 ? "serve takes no %s" : "--rest takes a number of 1 or more%s",
               argc > 1 ? argv[1] : "");
        return FL_EXIT_USAGE;
    }
    if (o.config) {
        setenv("FAULTLINE_CONFIG", o.config, 1);
    }
    if (fl_cmd_state(&config, o.state, &err) != FL_OK) {
        fl_config_free(&config);
        return fl_cmd_fail(&err);
    }
    fl_config_flag(&config, FL_SET_NOTICES, o.notices);
    fl_config_flag(&config, FL_SET_BASE_URL, o.base_url);
    fl_config_flag(&config, FL_SET_MODEL, o.model);
    fl_config_flag(&config, FL_SET_LOG_ROOTS, o.log_roots.p);
    fl_config_flag(&config, FL_SET_WATCH, o.watch.p);
    code = run(&config, &o);
    fl_config_free(&config);
    fl_buf_free(&o.log_roots);
    fl_buf_free(&o.watch);
    return code;
}
