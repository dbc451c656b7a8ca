/* SPDX-License-Identifier: Apache-2.0 */
/* A pipe: bytes of surviving lines come out as they went in. Without --only, lines that a diagnosis
 * rule knows and the last lines of each stream survive whatever the filters say; so of every batch
 * the last PROTECTED lines are held until more follow. */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/config.h"
#include "service/ingest/prefix.h"
#include "service/ingest/relay.h"
#include "service/paths.h"
#include "service/rulebook.h"
#include "rules/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROTECTED = 20, OUT_BYTES = 256 * 1024, PIPE_BYTES = 64 * 1024 /* what a pipe gives at most */ };

/* What one thread judges with: for each line of its batch the rule that drops it, or KEEP. */
struct judge {
    const struct fl_ruleset *set;
    struct fl_match_work *work;
    bool protects;
    uint32_t *rule;
    size_t size;
};

#define KEEP UINT32_MAX

struct line {
    struct fl_str bytes;
    bool ended; /* by a newline */
    uint32_t rule;
};

struct filter {
    const struct fl_ruleset *set;
    bool protects;
    bool explains;
    struct fl_buf out;
    long *drops; /* per rule */
    long lines;
    long dropped;
    struct line held[PROTECTED]; /* oldest first; bytes are copies */
    size_t held_n;
};

static enum fl_status flush(struct filter *f, struct fl_err *err)
{
    enum fl_status status =
        fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&f->out), err);
    fl_buf_clear(&f->out);
    return status;
}

static enum fl_status emit(struct filter *f, struct fl_str bytes, struct fl_err *err)
{
    if (f->out.n + bytes.n > OUT_BYTES) {
        enum fl_status status = flush(f, err);
        if (status != FL_OK) {
            return status;
        }
    }
    if (fl_buf_add_str(&f->out, bytes) != FL_OK) {
        return fl_fail(err, f->out.failed, "no memory for output");
    }
    return FL_OK;
}

/* Does a line that the pattern matches stay? Benign and routine roles do not protect. */
static bool guards(const struct judge *j, uint32_t pattern)
{
    struct fl_pattern_owner owner = j->set->line_owner[pattern];
    const struct fl_rule *rule = owner.rule == UINT32_MAX ? NULL : &j->set->rules[owner.rule];
    return j->protects && rule && !rule->is_filter && !rule->broken && owner.kind == 0 &&
           (rule->role <= FL_ROLE_CONFIRMATION || rule->role == FL_ROLE_SUCCESS);
}

static void mute_others(struct judge *j)
{
    for (uint32_t i = 0; i < j->set->line_patterns_n; i++) {
        if (!guards(j, i) && !j->set->line_owner[i].drops && i != j->set->attention) {
            fl_match_work_mute(j->work, i);
        }
    }
}

/* Does a diagnosis rule know the line? All are asked, also when the answer is plain: what was not
 * asked of one line must be asked of all lines like it. */
static bool is_known(struct judge *j, struct fl_str raw, const struct fl_candidate *c, size_t n)
{
    struct fl_prefix prefix;
    struct fl_str message = {NULL, 0};
    bool known = false;
    for (size_t i = 0; i < n; i++) {
        if (!guards(j, c[i].pattern)) {
            continue;
        }
        if (!message.p) {
            message = fl_str_skip(raw, fl_prefix_peel(raw, &prefix));
        }
        known |= fl_matcher_try(j->work, c[i].pattern, message, NULL) != FL_MATCH_NO;
    }
    return known;
}

/* A part of a line that was cut cannot be told: it is kept. */
static enum fl_status judge(void *worker, const struct fl_batch *batch, struct fl_err *err)
{
    struct judge *j = worker;
    if (batch->n > j->size) {
        uint32_t *more = realloc(j->rule, batch->n * sizeof *more);
        if (!more) {
            return fl_fail(err, FL_NOMEM, "no memory for matching");
        }
        j->rule = more;
        j->size = batch->n;
    }
    enum fl_status status = fl_matcher_batch(j->work, batch->texts, batch->n);
    for (size_t i = 0; status == FL_OK && i < batch->n; i++) {
        struct fl_str raw = batch->texts[i];
        const struct fl_candidate *c = NULL;
        size_t n = 0;
        j->rule[i] = KEEP;
        status = fl_matcher_line(j->work, i, &c, &n);
        if (status != FL_OK || n == 0 || batch->at[i].flags & (FL_LINE_CUT | FL_LINE_REST) ||
            (j->protects && is_known(j, raw, c, n)) ||
            !fl_filter_drops(j->set, j->work, raw, c, n, &j->rule[i])) {
            j->rule[i] = KEEP;
        }
    }
    return status == FL_OK ? FL_OK : fl_fail(err, status, "no memory for matching");
}

static void explain(const struct filter *f, const struct line *line)
{
    const struct fl_rule *rule = &f->set->rules[line->rule];
    size_t n = line->bytes.n > 200 ? 200 : line->bytes.n;
    fl_log(FL_LOG_INFO, "dropped by %s: %.*s", rule->id, (int)n, line->bytes.p);
}

static enum fl_status pass(struct filter *f, const struct line *line, struct fl_err *err)
{
    if (line->rule == KEEP) {
        enum fl_status status = emit(f, line->bytes, err);
        return status == FL_OK && line->ended ? emit(f, FL_LIT("\n"), err) : status;
    }
    f->drops[line->rule]++;
    f->dropped++;
    if (f->explains) {
        explain(f, line);
    }
    return FL_OK;
}

static enum fl_status hold(struct filter *f, const struct line *line, struct fl_err *err)
{
    char *copy = malloc(line->bytes.n + 1);
    if (!copy) {
        return fl_fail(err, FL_NOMEM, "no memory for the last lines");
    }
    if (line->bytes.n) {
        memcpy(copy, line->bytes.p, line->bytes.n);
    }
    f->held[f->held_n] = *line;
    f->held[f->held_n++].bytes.p = copy;
    return FL_OK;
}

/* Passes the n oldest held lines; at the end of a stream they are kept whatever the rules said. */
static enum fl_status let_go(struct filter *f, size_t n, bool keep, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (size_t i = 0; i < n; i++) {
        f->held[i].rule = keep ? KEEP : f->held[i].rule;
        if (status == FL_OK) {
            status = pass(f, &f->held[i], err);
        }
        free((char *)(uintptr_t)f->held[i].bytes.p);
    }
    memmove(f->held, f->held + n, (f->held_n - n) * sizeof *f->held);
    f->held_n -= n;
    return status;
}

static enum fl_status settle(void *ctx, void *worker, const struct fl_batch *batch,
                             struct fl_err *err)
{
    struct filter *f = ctx;
    const struct judge *j = worker;
    size_t tail = f->protects ? PROTECTED : 0;
    size_t room = batch->n < tail ? tail - batch->n : 0;
    enum fl_status status = f->held_n > room ? let_go(f, f->held_n - room, false, err) : FL_OK;
    for (size_t i = 0; status == FL_OK && i < batch->n; i++) {
        unsigned flags = batch->at[i].flags;
        struct line line = {batch->texts[i], !(flags & (FL_LINE_CUT | FL_LINE_OPEN)), j->rule[i]};
        f->lines += !(flags & FL_LINE_REST);
        status = i + tail < batch->n ? pass(f, &line, err) : hold(f, &line, err);
    }
    bool rests = batch->block.n <= PIPE_BYTES;
    return status == FL_OK && rests ? flush(f, err) : status;
}

static enum fl_status pump(struct filter *f, void **judges, size_t n, const char *path,
                           struct fl_err *err)
{
    struct fl_source *src = NULL;
    struct fl_err fault = {0};
    enum fl_status read = FL_OK;
    enum fl_status status = fl_source_open(path, 0, &src, err);
    if (status == FL_OK) {
        struct fl_relay relay = {.source = src, .workers = judges, .workers_n = n, .ctx = f,
                                 .judge = judge, .settle = settle};
        status = fl_relay_run(&relay, &read, &fault, err);
    }
    enum fl_status last = let_go(f, f->held_n, true, err);
    status = status == FL_OK ? last : status;
    if (status == FL_OK && read != FL_OK) {
        status = fl_fail(err, read, "%s", fault.msg);
    }
    fl_source_close(src);
    return status;
}

static void report(const struct filter *f)
{
    fl_log(FL_LOG_INFO, "%ld lines, %ld kept, %ld dropped", f->lines, f->lines - f->dropped,
           f->dropped);
    for (uint32_t i = 0; f->explains && i < f->set->rules_n; i++) {
        if (f->drops[i]) {
            fl_log(FL_LOG_INFO, "%8ld by %s", f->drops[i], f->set->rules[i].id);
        }
    }
}

static enum fl_status run(struct filter *f, size_t threads, int argc, char **argv,
                          struct fl_err *err)
{
    static char standard_input[] = "-";
    char *only[] = {NULL, standard_input};
    char **paths = argc > 1 ? argv : only;
    int n = argc > 1 ? argc : 2;
    struct judge judges[FL_RELAY_MAX] = {{.set = NULL}};
    void *workers[FL_RELAY_MAX];
    enum fl_status status = FL_OK;
    fl_buf_init(&f->out, OUT_BYTES + FL_LINES_BLOCK);
    f->drops = calloc(f->set->rules_n + 1U, sizeof *f->drops);
    if (!f->drops) {
        status = fl_fail(err, FL_NOMEM, "no memory for counting");
    }
    for (size_t i = 0; status == FL_OK && i < threads; i++) {
        judges[i] = (struct judge){.set = f->set, .protects = f->protects};
        workers[i] = &judges[i];
        status = fl_match_work_new(f->set->lines, &judges[i].work, err);
        if (status == FL_OK) {
            mute_others(&judges[i]);
        }
    }
    for (int i = 1; status == FL_OK && i < n; i++) {
        status = pump(f, workers, threads, paths[i], err);
    }
    enum fl_status flushed = flush(f, err);
    status = status == FL_OK ? flushed : status;
    if (f->drops) {
        report(f);
    }
    for (size_t i = 0; i < threads; i++) {
        fl_match_work_free(judges[i].work);
        free(judges[i].rule);
    }
    free(f->drops);
    fl_buf_free(&f->out);
    return status;
}

/* As many as there are cores, up to two: reading and writing take half of the time by then. */
static enum fl_status threads_of(int asked, size_t *threads_r, struct fl_err *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (asked < 0 || asked > FL_RELAY_MAX) {
        return fl_fail(err, FL_USAGE, "--threads must be 1 to %d", FL_RELAY_MAX);
    }
    *threads_r = asked ? (size_t)asked : cores > 1 ? 2 : 1;
    return FL_OK;
}

static void complain(void *ctx, const char *message)
{
    (void)ctx;
    fl_log(FL_LOG_ERROR, "%s", message);
}

/* Exactly the rules of one file; a fault in any of them is an error here. */
static enum fl_status open_only(const char *path, struct fl_rulebook *book, struct fl_err *err)
{
    char shipped[FL_PATHS_BYTES];
    *book = (struct fl_rulebook){.set = NULL};
    enum fl_status status =
        fl_taxonomy_load(fl_paths_data("data/taxonomy.json", shipped), &book->taxonomy, err);
    if (status == FL_OK) {
        status = fl_ruleset_new(&book->taxonomy, &book->set, err);
    }
    if (status == FL_OK) {
        status = fl_ruleset_load(book->set, path, "operator", complain, NULL, &book->bad, err);
    }
    if (status == FL_OK) {
        status = fl_ruleset_ready(book->set, complain, NULL, &book->bad, err);
    }
    if (status == FL_OK && book->bad) {
        status = fl_fail(err, FL_SYNTAX, "%s: %zu bad rule%s", path, book->bad,
                         book->bad == 1 ? "" : "s");
    }
    return status;
}

int fl_cmd_filter(int argc, char **argv)
{
    const char *only = NULL;
    const char *state = NULL;
    bool explains = false;
    bool no_learned = false;
    int asked = 0;
    size_t threads = 1;
    const struct fl_opt options[] = {
        {"only", 0, FL_OPT_TEXT, "FILE",
         "use exactly the rules of this file (ours, or an array of regexes)", &only},
        {"explain", 0, FL_OPT_FLAG, NULL, "say on standard error which rule dropped what",
         &explains},
        {"no-learned", 0, FL_OPT_FLAG, NULL, "go without learned rules", &no_learned},
        {"threads", 0, FL_OPT_INT, "N", "threads (2, where there are two cores)", &asked},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder (learned rules)", &state},
    };
    const struct fl_cli cli = {
        "filter [OPTION ...] [PATH...]",
        "Prints the lines that are not routine, bytes unchanged; counts go to standard error.\n"
        "Without PATH, or for -, reads standard input. gzip and zstd are unpacked.\n"
        "Lines that a diagnosis rule knows and the last 20 lines of each stream are always\n"
        "printed, unless --only is given.",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_rulebook book = {.set = NULL};
    struct fl_config config = {.file = NULL};
    bool help = false;
    if (fl_cli_parse(&cli, &argc, argv, &help, &err) != FL_OK ||
        threads_of(asked, &threads, &err) != FL_OK) {
        return fl_cmd_fail(&err);
    }
    if (help) {
        return FL_EXIT_OK;
    }
    enum fl_status status = fl_config_load(&config, &err);
    if (status == FL_OK) {
        fl_config_flag(&config, FL_SET_STATE, state);
        const char *folder = config.value[FL_SET_STATE];
        status = only         ? open_only(only, &book, &err)
                 : no_learned ? fl_rulebook_open_unlearned(folder, &book, &err)
                              : fl_rulebook_open(folder, &book, &err);
    }
    if (status == FL_OK) {
        struct filter f = {.set = book.set, .protects = !only, .explains = explains};
        status = run(&f, threads, argc, argv, &err);
    }
    fl_rulebook_close(&book);
    fl_config_free(&config);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
