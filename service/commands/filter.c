/* SPDX-License-Identifier: Apache-2.0 */
/* A pipe: bytes of surviving lines come out as they went in. Without --only, lines that a diagnosis
 * rule knows and the last lines of each stream survive whatever the filters say; so of every batch
 * the last PROTECTED lines are held until more follow. */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/config.h"
#include "service/ingest/lines.h"
#include "service/ingest/prefix.h"
#include "service/ingest/source.h"
#include "service/paths.h"
#include "service/rulebook.h"
#include "rules/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { PROTECTED = 20, OUT_BYTES = 256 * 1024 };

/* What is to happen to a line, and by which rule. */
struct fate {
    struct fl_str bytes;
    bool ended; /* by a newline */
    bool drop;
    uint32_t rule;
};

struct filter {
    const struct fl_ruleset *set;
    struct fl_match_work *work;
    bool protects;
    bool explains;
    struct fl_buf out;
    long *drops; /* per rule */
    long lines;
    long dropped;
    struct fate held[PROTECTED]; /* oldest first; bytes are copies */
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
static bool guards(const struct filter *f, uint32_t pattern)
{
    struct fl_pattern_owner owner = f->set->line_owner[pattern];
    const struct fl_rule *rule = owner.rule == UINT32_MAX ? NULL : &f->set->rules[owner.rule];
    return f->protects && rule && !rule->is_filter && !rule->broken && owner.kind == 0 &&
           (rule->role <= FL_ROLE_CONFIRMATION || rule->role == FL_ROLE_SUCCESS);
}

static void mute_others(struct filter *f)
{
    for (uint32_t i = 0; i < f->set->line_patterns_n; i++) {
        if (!guards(f, i) && !f->set->line_owner[i].drops && i != f->set->attention) {
            fl_match_work_mute(f->work, i);
        }
    }
}

/* Does a diagnosis rule know the line? All are asked, also
 * when the answer is plain: what was not asked of one line must be asked of all lines like it. */
static bool is_known(struct filter *f, struct fl_str raw, const struct fl_candidate *c, size_t n)
{
    struct fl_prefix prefix;
    struct fl_str message = {NULL, 0};
    bool known = false;
    for (size_t i = 0; i < n; i++) {
        if (!guards(f, c[i].pattern)) {
            continue;
        }
        if (!message.p) {
            message = fl_str_skip(raw, fl_prefix_peel(raw, &prefix));
        }
        known |= fl_matcher_try(f->work, c[i].pattern, message, NULL) != FL_MATCH_NO;
    }
    return known;
}

static void explain(const struct filter *f, const struct fate *fate)
{
    const struct fl_rule *rule = &f->set->rules[fate->rule];
    size_t n = fate->bytes.n > 200 ? 200 : fate->bytes.n;
    fl_log(FL_LOG_INFO, "dropped by %s: %.*s", rule->id, (int)n, fate->bytes.p);
}

static enum fl_status settle(struct filter *f, const struct fate *fate, struct fl_err *err)
{
    if (fate->drop) {
        f->drops[fate->rule]++;
        f->dropped++;
        if (f->explains) {
            explain(f, fate);
        }
        return FL_OK;
    }
    enum fl_status status = emit(f, fate->bytes, err);
    return status == FL_OK && fate->ended ? emit(f, FL_LIT("\n"), err) : status;
}

static enum fl_status hold(struct filter *f, const struct fate *fate, struct fl_err *err)
{
    char *copy = malloc(fate->bytes.n + 1);
    if (!copy) {
        return fl_fail(err, FL_NOMEM, "no memory for the last lines");
    }
    if (fate->bytes.n) {
        memcpy(copy, fate->bytes.p, fate->bytes.n);
    }
    f->held[f->held_n] = *fate;
    f->held[f->held_n++].bytes.p = copy;
    return FL_OK;
}

/* Settles the n oldest held lines; at the end of a stream they are kept whatever the rules said. */
static enum fl_status let_go(struct filter *f, size_t n, bool keep, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (size_t i = 0; i < n; i++) {
        f->held[i].drop = f->held[i].drop && !keep;
        if (status == FL_OK) {
            status = settle(f, &f->held[i], err);
        }
        free((char *)(uintptr_t)f->held[i].bytes.p);
    }
    memmove(f->held, f->held + n, (f->held_n - n) * sizeof *f->held);
    f->held_n -= n;
    return status;
}

static bool drops(struct filter *f, struct fl_str raw, const struct fl_candidate *c, size_t n,
                  uint32_t *rule_r)
{
    return !is_known(f, raw, c, n) &&
           fl_filter_drops(f->set, f->work, raw, c, n, rule_r);
}

static enum fl_status judge(struct filter *f, const struct fl_batch *batch, size_t i,
                            struct fate *fate)
{
    const struct fl_candidate *c = NULL;
    size_t n = 0;
    unsigned flags = batch->at[i].flags;
    bool whole = !(flags & (FL_LINE_CUT | FL_LINE_REST)); /* else it cannot be told: keep */
    *fate = (struct fate){.bytes = batch->texts[i],
                          .ended = !(flags & (FL_LINE_CUT | FL_LINE_OPEN))};
    enum fl_status status = fl_matcher_line(f->work, i, &c, &n);
    fate->drop = status == FL_OK && whole && drops(f, fate->bytes, c, n, &fate->rule);
    return status;
}

static enum fl_status on_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct filter *f = ctx;
    size_t tail = f->protects ? PROTECTED : 0;
    size_t room = batch->n < tail ? tail - batch->n : 0;
    enum fl_status status = f->held_n > room ? let_go(f, f->held_n - room, false, err) : FL_OK;
    enum fl_status matched = fl_matcher_batch(f->work, batch->texts, batch->n);
    for (size_t i = 0; status == FL_OK && matched == FL_OK && i < batch->n; i++) {
        struct fate fate;
        f->lines += !(batch->at[i].flags & FL_LINE_REST);
        matched = judge(f, batch, i, &fate);
        if (matched == FL_OK) {
            status = i + tail < batch->n ? settle(f, &fate, err) : hold(f, &fate, err);
        }
    }
    return status == FL_OK && matched != FL_OK
               ? fl_fail(err, FL_NOMEM, "no memory for matching")
               : status;
}

static enum fl_status pump(struct filter *f, const char *path, struct fl_err *err)
{
    struct fl_source *src = NULL;
    struct fl_lines *lines = NULL;
    struct fl_err fault = {0};
    enum fl_status status = fl_source_open(path, 0, &src, err);
    if (status == FL_OK) {
        status = fl_lines_new(0, on_batch, f, &lines, err);
    }
    enum fl_status read = FL_OK;
    if (status == FL_OK) {
        status = fl_source_pour(src, lines, &read, &fault, err);
    }
    enum fl_status last = let_go(f, f->held_n, true, err);
    status = status == FL_OK ? last : status;
    if (status == FL_OK && read != FL_OK) {
        status = fl_fail(err, read, "%s", fault.msg);
    }
    fl_lines_free(lines);
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

static enum fl_status run(struct filter *f, int argc, char **argv, struct fl_err *err)
{
    static char standard_input[] = "-";
    char *only[] = {NULL, standard_input};
    char **paths = argc > 1 ? argv : only;
    int n = argc > 1 ? argc : 2;
    enum fl_status status = fl_match_work_new(f->set->lines, &f->work, err);
    fl_buf_init(&f->out, OUT_BYTES + FL_LINES_BLOCK);
    f->drops = calloc(f->set->rules_n + 1U, sizeof *f->drops);
    if (status == FL_OK && !f->drops) {
        status = fl_fail(err, FL_NOMEM, "no memory for counting");
    }
    if (status == FL_OK) {
        mute_others(f);
    }
    for (int i = 1; status == FL_OK && i < n; i++) {
        status = pump(f, paths[i], err);
    }
    enum fl_status flushed = flush(f, err);
    status = status == FL_OK ? flushed : status;
    if (f->drops) {
        report(f);
    }
    free(f->drops);
    fl_buf_free(&f->out);
    fl_match_work_free(f->work);
    return status;
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
    const struct fl_opt options[] = {
        {"only", 0, FL_OPT_TEXT, "FILE",
         "use exactly the rules of this file (ours, or an array of regexes)", &only},
        {"explain", 0, FL_OPT_FLAG, NULL, "say on standard error which rule dropped what",
         &explains},
        {"no-learned", 0, FL_OPT_FLAG, NULL, "go without learned rules", &no_learned},
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
    if (fl_cli_parse(&cli, &argc, argv, &help, &err) != FL_OK) {
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
        status = run(&f, argc, argv, &err);
    }
    fl_rulebook_close(&book);
    fl_config_free(&config);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
