/* SPDX-License-Identifier: Apache-2.0 */
/* A pipe: bytes of surviving lines come out as they went in. Without --only, lines that a diagnosis
 * rule knows survive whatever the filters say, and so do the last lines of each stream that ends. */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/config.h"
#include "service/ingest/follow.h"
#include "service/ingest/relay.h"
#include "service/paths.h"
#include "service/refresh.h"
#include "service/sift.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where the rules come from. */
struct origin {
    const char *only;
    const char *state;
    bool no_learned;
};

static void complain(void *ctx, const char *message)
{
    (void)ctx;
    fl_log(FL_LOG_ERROR, "%s", message);
}

/* Exactly the rules of one file; a fault in any of them is an error here. */
static enum fl_status open_only(const char *path, const char *state, struct fl_checked *checked,
                                struct fl_rulebook *book, struct fl_err *err)
{
    char cache[FL_PATHS_BYTES];
    char shipped[FL_PATHS_BYTES];
    *book = (struct fl_rulebook){.set = NULL};
    enum fl_status status =
        fl_taxonomy_load(fl_paths_data("data/taxonomy.json", shipped), &book->taxonomy, err);
    if (status == FL_OK) {
        status = fl_ruleset_new(&book->taxonomy, &book->set, err);
    }
    if (status == FL_OK && state &&
        snprintf(cache, sizeof cache, "%s/cache/only", state) < FL_PATHS_BYTES) {
        book->set->cache = cache;
    }
    if (status == FL_OK) {
        book->set->checked = checked;
        status = fl_ruleset_load(book->set, path, "operator", complain, NULL, &book->bad, err);
    }
    if (status == FL_OK) {
        status = fl_ruleset_ready(book->set, complain, NULL, &book->bad, err);
        book->set->cache = NULL;
        book->set->checked = NULL;
    }
    if (status == FL_OK && book->bad) {
        status = fl_fail(err, FL_SYNTAX, "%s: %zu bad rule%s", path, book->bad,
                         book->bad == 1 ? "" : "s");
    }
    return status;
}

static enum fl_status open_rules(void *ctx, struct fl_checked *checked, struct fl_rulebook *book,
                                 struct fl_err *err)
{
    const struct origin *o = ctx;
    return o->only ? open_only(o->only, o->state, checked, book, err)
                   : fl_rulebook_open_part(o->state, !o->no_learned, NULL, checked, book, err);
}

/* ---- to the end ---- */

static enum fl_status pump(struct fl_sift *sift, void **judges, size_t n, const char *path,
                           struct fl_err *err)
{
    struct fl_source *src = NULL;
    struct fl_err fault = {0};
    enum fl_status read = FL_OK;
    enum fl_status status = fl_source_open(path, 0, &src, err);
    if (status == FL_OK) {
        struct fl_relay relay = {.source = src, .workers = judges, .workers_n = n, .ctx = sift,
                                 .judge = fl_judge_batch, .settle = fl_sift_batch};
        status = fl_relay_run(&relay, &read, &fault, err);
    }
    enum fl_status last = fl_sift_end_stream(sift, status == FL_OK ? err : NULL);
    status = status == FL_OK ? last : status;
    if (status == FL_OK && read != FL_OK) {
        status = fl_fail(err, read, "%s", fault.msg);
    }
    fl_source_close(src);
    return status;
}

static enum fl_status filter_files(struct fl_sift *sift, bool guards, size_t threads,
                                   char *const *paths, size_t n, struct fl_err *err)
{
    struct fl_judge judges[FL_RELAY_MAX] = {{.set = NULL}};
    void *workers[FL_RELAY_MAX];
    enum fl_status status = FL_OK;
    for (size_t i = 0; status == FL_OK && i < threads; i++) {
        workers[i] = &judges[i];
        status = fl_judge_init(&judges[i], sift->set, guards, err);
    }
    for (size_t i = 0; status == FL_OK && i < n; i++) {
        status = pump(sift, workers, threads, paths[i], err);
    }
    for (size_t i = 0; i < threads; i++) {
        fl_judge_fini(&judges[i]);
    }
    return status;
}

/* ---- as they grow ---- */

struct live {
    struct fl_sift *sift;
    struct fl_judge judge;
    struct fl_rulebook *book; /* the one in force */
    struct fl_refresh *refresh;
    const char *heading; /* the file whose lines came last */
    bool many;
};

struct live_file {
    struct live *live;
    const char *path;
};

/* Between two batches. */
static enum fl_status take_new_rules(struct live *l, struct fl_err *err)
{
    struct fl_rulebook fresh;
    if (!l->refresh || !fl_refresh_take(l->refresh, &fresh)) {
        return FL_OK;
    }
    struct fl_judge judge;
    enum fl_status status = fl_judge_init(&judge, fresh.set, l->judge.guards, err);
    if (status == FL_OK) {
        status = fl_sift_change(l->sift, fresh.set, err);
    }
    if (status != FL_OK) {
        fl_judge_fini(&judge);
        fl_rulebook_close(&fresh);
        return status;
    }
    fl_judge_fini(&l->judge);
    fl_rulebook_close(l->book);
    l->judge = judge;
    *l->book = fresh;
    fl_log(FL_LOG_INFO, "the rules changed: %u are in force now", fresh.set->rules_n);
    return FL_OK;
}

static enum fl_status on_live_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct live_file *file = ctx;
    struct live *l = file->live;
    enum fl_status status = take_new_rules(l, err);
    if (status == FL_OK) {
        status = fl_judge_batch(&l->judge, batch, err);
    }
    bool any = false;
    for (size_t i = 0; status == FL_OK && i < batch->n && !any; i++) {
        any = l->judge.rule[i] == FL_KEEP;
    }
    if (any && l->many && l->heading != file->path) {
        char text[512];
        int n = snprintf(text, sizeof text, "%s==> %.400s <==\n", l->heading ? "\n" : "", file->path);
        l->heading = file->path;
        status = fl_sift_say(l->sift, (struct fl_str){text, (size_t)n}, err);
    }
    if (status == FL_OK) {
        status = fl_sift_batch(l->sift, &l->judge, batch, err);
    }
    return status == FL_OK ? fl_sift_flush(l->sift, err) : status;
}

static enum fl_status follow(struct live *live, char *const *paths, size_t n, struct fl_err *err)
{
    struct fl_followed *files = calloc(n, sizeof *files);
    struct live_file *ctx = calloc(n, sizeof *ctx);
    const struct fl_follow how = {.stop = fl_cmd_interrupted};
    enum fl_status status = files && ctx ? FL_OK : fl_fail(err, FL_NOMEM, "no memory to follow");
    for (size_t i = 0; status == FL_OK && i < n; i++) {
        ctx[i] = (struct live_file){live, paths[i]};
        status = fl_source_open(paths[i], FL_SOURCE_FOLLOW, &files[i].source, err);
        if (status == FL_OK) {
            status = fl_lines_new(0, on_live_batch, &ctx[i], &files[i].lines, err);
        }
    }
    if (status == FL_OK) {
        status = fl_follow_files(files, n, &how, err);
    }
    for (size_t i = 0; files && i < n; i++) {
        if (files[i].fault.status != FL_OK) {
            fl_log(FL_LOG_WARN, "%s", files[i].fault.msg);
        }
        fl_lines_free(files[i].lines);
        fl_source_close(files[i].source);
    }
    free(files);
    free(ctx);
    return status;
}

/* The last lines of a file that grows are never known, so none are held. */
static enum fl_status follow_files(struct fl_sift *sift, bool guards, struct fl_rulebook *book,
                                   struct fl_refresh *refresh, char *const *paths, size_t n,
                                   struct fl_err *err)
{
    struct live live = {.sift = sift, .book = book, .refresh = refresh, .many = n > 1};
    fl_cmd_until_interrupted();
    enum fl_status status = fl_judge_init(&live.judge, book->set, guards, err);
    if (status == FL_OK) {
        status = follow(&live, paths, n, err);
    }
    fl_judge_fini(&live.judge);
    return status;
}

/* ---- the command ---- */

struct options {
    struct origin origin;
    bool explains;
    bool follow;
    int threads; /* 0: as many as there are cores, up to two: then reading is half of the time */
};

/* What rules are read from; NULL: they cannot change. */
static const char *rules_path(const struct origin *o, char out[FL_PATHS_BYTES])
{
    if (o->only || !o->state) {
        return o->only;
    }
    int n = snprintf(out, FL_PATHS_BYTES, "%s/rules", o->state);
    return n < FL_PATHS_BYTES && fl_fsio_mkdirs(out, NULL) == FL_OK ? out : NULL;
}

static enum fl_status run(struct options *o, int argc, char **argv, struct fl_err *err)
{
    static char standard_input[] = "-";
    char *input[] = {standard_input};
    char *const *paths = argc > 1 ? argv + 1 : input;
    size_t n = argc > 1 ? (size_t)argc - 1 : 1;
    size_t threads = o->threads ? (size_t)o->threads : sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
    bool guards = !o->origin.only;
    char watched[FL_PATHS_BYTES];
    const char *path = o->follow ? rules_path(&o->origin, watched) : NULL;
    struct fl_rulebook book = {.set = NULL};
    struct fl_refresh *refresh = NULL;
    struct fl_sift sift = {.set = NULL};
    enum fl_status status =
        path ? fl_refresh_start(path, open_rules, &o->origin, &refresh, err) : FL_OK;
    if (status == FL_OK) {
        status = open_rules(&o->origin, NULL, &book, err);
    }
    if (status == FL_OK) {
        status = fl_sift_init(&sift, book.set, guards && !o->follow ? FL_SIFT_TAIL : 0, o->explains,
                              err);
    }
    if (status == FL_OK) {
        status = o->follow ? follow_files(&sift, guards, &book, refresh, paths, n, err)
                           : filter_files(&sift, guards, threads, paths, n, err);
        enum fl_status flushed = fl_sift_flush(&sift, status == FL_OK ? err : NULL);
        status = status == FL_OK ? flushed : status;
        fl_sift_report(&sift);
    }
    fl_sift_fini(&sift);
    fl_refresh_stop(refresh);
    fl_rulebook_close(&book);
    return status;
}

int fl_cmd_filter(int argc, char **argv)
{
    struct options o = {.follow = false};
    const char *state = NULL;
    const struct fl_opt options[] = {
        {"only", 0, FL_OPT_TEXT, "FILE",
         "use exactly the rules of this file (ours, or an array of regexes)", &o.origin.only},
        {"follow", 'F', FL_OPT_FLAG, NULL,
         "read on as the files grow, also when rotated; rules that change apply at once",
         &o.follow},
        {"explain", 0, FL_OPT_FLAG, NULL, "say on standard error which rule dropped what",
         &o.explains},
        {"no-learned", 0, FL_OPT_FLAG, NULL, "go without learned rules", &o.origin.no_learned},
        {"threads", 0, FL_OPT_INT, "N", "threads (2, where there are two cores)", &o.threads},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder (learned rules)", &state},
    };
    const struct fl_cli cli = {
        "filter [OPTION ...] [PATH...]",
        "Prints the lines that are not routine, bytes unchanged; counts go to standard error.\n"
        "Without PATH, or for -, reads standard input. gzip and zstd are unpacked.\n"
        "Lines that a diagnosis rule knows are always printed, unless --only is given, and so are\n"
        "the last 20 lines of each stream, unless it is followed.",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config = {.file = NULL};
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (o.threads < 0 || o.threads > FL_RELAY_MAX) {
        fl_log(FL_LOG_ERROR, "--threads must be 1 to %d", FL_RELAY_MAX);
        return FL_EXIT_USAGE;
    }
    if (o.follow && argc - 1 > FL_FOLLOWED_MAX) {
        fl_log(FL_LOG_ERROR, "--follow takes %d files at most", FL_FOLLOWED_MAX);
        return FL_EXIT_USAGE;
    }
    enum fl_status status = fl_config_load(&config, &err);
    if (status == FL_OK) {
        fl_config_flag(&config, FL_SET_STATE, state);
        o.origin.state = config.value[FL_SET_STATE];
        status = run(&o, argc, argv, &err);
    }
    fl_config_free(&config);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
