/* SPDX-License-Identifier: Apache-2.0 */
/* Good runs and the bad one are mined together, as two groups, so that a kind of line is one
 * template in both. Three lists come out: what only the bad run says, rarest first, because the line
 * that tells the cause comes once and its consequences often; what it says much more often than
 * the good ones for its length; and what they all say and it does not. */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/mine_report.h"
#include "service/config.h"
#include "service/rulebook.h"

#include <stdlib.h>
#include <unistd.h>

enum { OUT_CAP = 64 << 20, SHOWN = 40, LITTLE = 5 };

/* Shares that differ by so much are told. */
static const double grown = 4;

struct differ {
    struct fl_mine *mine;
    const struct fl_template **list;
    size_t n;
    double lines[2];
    int limit;
    struct fl_buf out;
};

enum part { PART_NEW, PART_GROWN, PART_SILENT, PARTS };
static const char *const part_names[PARTS] = {"new", "grown", "silent"};

static double share(const struct differ *d, const struct fl_template *t, int group)
{
    return d->lines[group] > 0 ? (double)t->count[group] / d->lines[group] : 0;
}

static bool belongs(const struct differ *d, const struct fl_template *t, enum part part)
{
    if (t->form.n == 0) {
        return false; /* blank lines */
    }
    switch (part) {
    case PART_NEW:
        return t->count[1] && !t->count[0];
    case PART_GROWN:
        return t->count[0] && t->count[1] >= LITTLE && share(d, t, 1) > grown * share(d, t, 0);
    case PART_SILENT:
        return !t->count[1] && share(d, t, 0) * d->lines[1] >= LITTLE;
    case PARTS:
        break;
    }
    return false;
}

/* What is rare is new; of equally rare ones those that look like trouble come first. */
static int by_news(const void *x, const void *y)
{
    const struct fl_template *a = *(const struct fl_template *const *)x;
    const struct fl_template *b = *(const struct fl_template *const *)y;
    if (a->count[1] != b->count[1]) {
        return a->count[1] < b->count[1] ? -1 : 1;
    }
    if (a->alarming != b->alarming) {
        return a->alarming ? -1 : 1;
    }
    return (a->first.order > b->first.order) - (a->first.order < b->first.order);
}

static int by_loss(const void *x, const void *y)
{
    const struct fl_template *a = *(const struct fl_template *const *)x;
    const struct fl_template *b = *(const struct fl_template *const *)y;
    if (a->count[0] != b->count[0]) {
        return a->count[0] > b->count[0] ? -1 : 1;
    }
    return (a->first.order > b->first.order) - (a->first.order < b->first.order);
}

static size_t select_part(struct differ *d, const struct fl_template *all, size_t n, enum part part)
{
    d->n = 0;
    for (size_t i = 0; i < n; i++) {
        if (belongs(d, &all[i], part)) {
            d->list[d->n++] = &all[i];
        }
    }
    qsort(d->list, d->n, sizeof *d->list, part == PART_SILENT ? by_loss : by_news);
    return d->limit > 0 && (size_t)d->limit < d->n ? (size_t)d->limit : d->n;
}

static void write_text(struct differ *d, enum part part, size_t shown)
{
    static const char *const titles[PARTS] = {
        "Only in the bad run", "More often than in good runs", "Only in good runs"};
    fl_buf_addf(&d->out, "%s%s (%zu)\n", d->out.n ? "\n" : "", titles[part], d->n);
    for (size_t i = 0; i < shown; i++) {
        const struct fl_template *t = d->list[i];
        fl_buf_addf(&d->out, "%llu x ", (unsigned long long)t->count[part != PART_SILENT]);
        fl_mine_show(&d->out, t, 400);
        if (part == PART_GROWN) {
            fl_buf_addf(&d->out, "   (%llu x in good runs)", (unsigned long long)t->count[0]);
        }
        if (t->rank >= 0) {
            fl_buf_addf(&d->out, "   (rank %ld", t->rank);
            fl_buf_addf(&d->out, t->ranks > 1 ? " first, of %u)" : ")", t->ranks);
        }
        fl_buf_add_text(&d->out, "\n");
        fl_mine_show_line(&d->out, "first", d->mine, &t->first);
    }
    if (shown < d->n) {
        fl_buf_addf(&d->out, "... and %zu more (--limit 0 shows all)\n", d->n - shown);
    }
}

static void write_json(struct differ *d, struct fl_jw *w, enum part part, size_t shown)
{
    fl_jw_key(w, part_names[part]);
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < shown; i++) {
        fl_jw_begin(w, '{');
        fl_mine_write(w, d->mine, d->list[i]);
        fl_jw_key(w, "good");
        fl_jw_int(w, (int64_t)d->list[i]->count[0]);
        fl_jw_key(w, "bad");
        fl_jw_int(w, (int64_t)d->list[i]->count[1]);
        fl_jw_key(w, "alarming");
        fl_jw_bool(w, d->list[i]->alarming);
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
}

static void count_lines(struct differ *d, const struct fl_template *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        d->lines[0] += (double)all[i].count[0];
        d->lines[1] += (double)all[i].count[1];
    }
}

static enum fl_status print(struct differ *d, bool json, struct fl_err *err)
{
    const struct fl_template *all = NULL;
    size_t n = 0;
    struct fl_jw w;
    enum fl_status status = fl_templates_settle(fl_mine_templates(d->mine), &all, &n, err);
    if (status != FL_OK) {
        return status;
    }
    d->list = calloc(n + 1, sizeof *d->list);
    if (!d->list) {
        return fl_fail(err, FL_NOMEM, "no memory for templates");
    }
    fl_buf_init(&d->out, OUT_CAP);
    fl_jw_init(&w, &d->out, true);
    count_lines(d, all, n);
    if (json) {
        fl_jw_begin(&w, '{');
        fl_jw_key(&w, "schema");
        fl_jw_text(&w, "faultline.diff/1");
        fl_jw_key(&w, "good_lines");
        fl_jw_int(&w, (int64_t)d->lines[0]);
        fl_jw_key(&w, "bad_lines");
        fl_jw_int(&w, (int64_t)d->lines[1]);
    }
    for (int part = 0; part < PARTS; part++) {
        size_t shown = select_part(d, all, n, (enum part)part);
        if (json) {
            write_json(d, &w, (enum part)part, shown);
        } else if (d->n) {
            write_text(d, (enum part)part, shown);
        }
    }
    if (json) {
        fl_jw_end(&w, '}');
        fl_buf_add_text(&d->out, "\n");
    } else if (d->out.n == 0) {
        fl_buf_add_text(&d->out, "The bad run says nothing that the good ones do not say.\n");
    }
    status = d->out.failed ? fl_fail(err, d->out.failed, "no memory for output")
                           : fl_fsio_write_all(STDOUT_FILENO, "standard output",
                                               fl_buf_str(&d->out), err);
    fl_buf_free(&d->out);
    free(d->list);
    return status;
}

static enum fl_status compare(const struct fl_ruleset *set, char **good, int good_n, char **bad,
                              int bad_n, struct differ *d, bool json, struct fl_err *err)
{
    enum fl_status status = fl_mine_new(set, false, &d->mine, err);
    for (int i = 0; status == FL_OK && i < good_n; i++) {
        status = fl_mine_read(d->mine, good[i], 0, err);
    }
    for (int i = 0; status == FL_OK && i < bad_n; i++) {
        status = fl_mine_read(d->mine, bad[i], 1, err);
    }
    if (status == FL_OK) {
        status = print(d, json, err);
    }
    fl_mine_free(d->mine);
    return status;
}

int fl_cmd_diff(int argc, char **argv)
{
    struct differ d = {.limit = SHOWN};
    int format = 0;
    const struct fl_opt options[] = {
        {"format", 'f', FL_OPT_CHOICE, "text|json", "how to print it", &format},
        {"limit", 'n', FL_OPT_INT, "N", "show so many of each list at most (default 40; 0: all)",
         &d.limit},
    };
    const struct fl_cli cli = {
        "diff [OPTION ...] GOOD... -- BAD...",
        "Says what the failed run says that good runs of the job never said, rarest first; then what\n"
        "it says much more often, and what it does not say. Files and folders, as `diagnose` takes\n"
        "them: all GOOD are runs that went well, all BAD are streams of the one that did not.\n"
        "Needs no rules and no model. With two PATHs, -- may be left out.",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    bool help = false;
    int split = 0;
    for (int i = 1; i < argc && !split; i++) {
        split = strcmp(argv[i], "--") == 0 ? i : 0;
    }
    int good_n = split ? split : argc;
    int bad_n = argc - split; /* argv[split] stands for the command's name */
    if (fl_cli_parse(&cli, &good_n, argv, &help, &err) != FL_OK ||
        (split && !help && fl_cli_parse(&cli, &bad_n, argv + split, &help, &err) != FL_OK)) {
        return fl_cmd_fail(&err);
    }
    if (help) {
        return FL_EXIT_OK;
    }
    char **bad = split ? argv + split + 1 : argv + 2;
    bad_n = split ? bad_n - 1 : good_n - 2;
    good_n = split ? good_n - 1 : 1;
    if (bad_n < 1 || good_n < 1 || (!split && bad_n != 1)) {
        fl_log(FL_LOG_ERROR, "give good runs and the bad one: faultline diff GOOD... -- BAD...");
        return FL_EXIT_USAGE;
    }
    struct fl_rulebook book;
    struct fl_err fault = {0};
    bool knows = fl_rulebook_open(NULL, &book, &fault) == FL_OK;
    enum fl_status status = compare(knows ? book.set : NULL, argv + 1, good_n, bad, bad_n, &d,
                                    format == 1, &err);
    if (knows) {
        fl_rulebook_close(&book);
    }
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
