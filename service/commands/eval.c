/* SPDX-License-Identifier: Apache-2.0 */
/* Scores the diagnosis on folders of labelled logs: every folder below them with a label.json
 * (source, cause, also_accept, evidence, faulty, recoverable) is one case, its other files are the
 * streams. */
#include "service/commands/calibrate.h"
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/json.h"
#include "service/base/log.h"
#include "service/pipeline.h"

#include <stdio.h>
#include <stdlib.h>

enum figure {
    TOP1,
    TOP3,
    NOTICED,
    HEALTHY,
    EVIDENCE_FIRST,
    EVIDENCE_IN_3,
    RANK,
    NODE,
    RECOVERABLE,
    FIGURES_N
};

static const char *const figure_names[FIGURES_N] = {
    "cause right",    "cause in first 3", "failure noticed", "healthy called healthy",
    "evidence first", "evidence in 3",    "faulty rank",     "faulty node",
    "recoverable"};

/* A third of the repositories, whichever their hash says, stands for logs that were not looked at:
 * their cases can be scored apart. */
enum part { PART_ALL, PART_HELD_OUT, PART_WORKED_ON };
enum { HELD_OUT_ONE_IN = 3, TRIALS_MAX = 1 << 16 };

struct score {
    long right[FIGURES_N];
    long of[FIGURES_N];
    long unreadable;
    struct fl_reliability reliability;
    struct fl_judged *trials;
    size_t trials_n;
    size_t trials_size;
    bool verbose;
    bool calibrate;
    int part;
    struct fl_rulebook book; /* the shipped rules: what this site learned must not colour it */
};

static void count(struct score *s, enum figure figure, bool right)
{
    s->of[figure]++;
    s->right[figure] += right;
}

static bool accepts(const fl_json *label, const char *slug)
{
    struct fl_str got = fl_str_of(slug);
    if (fl_str_eq(fl_json_get_str(label, "cause"), got)) {
        return true;
    }
    const fl_json *e = fl_json_first(fl_json_get(label, "also_accept"));
    for (; e; e = fl_json_next(e)) {
        if (fl_str_eq(fl_json_str(e), got)) {
            return true;
        }
    }
    return false;
}

static bool proves(const fl_json *label, const struct fl_evidence *evidence)
{
    const fl_json *e = fl_json_first(fl_json_get(label, "evidence"));
    struct fl_str shown = fl_str_trim(evidence->text);
    for (; e; e = fl_json_next(e)) {
        struct fl_str want = fl_str_trim(fl_json_get_str(e, "text"));
        if (want.n && (fl_str_find(shown, want) || (shown.n >= 20 && fl_str_find(want, shown)))) {
            return true;
        }
    }
    return false;
}

/* "node-1.site" and "node-1" are one. */
static bool same_host(struct fl_str a, struct fl_str b)
{
    const char *dot_a = memchr(a.p ? a.p : "", '.', a.n);
    const char *dot_b = memchr(b.p ? b.p : "", '.', b.n);
    a.n = dot_a ? (size_t)(dot_a - a.p) : a.n;
    b.n = dot_b ? (size_t)(dot_b - b.p) : b.n;
    return fl_str_eq(a, b);
}

static void score_places(struct score *s, const fl_json *label, const struct fl_verdict *v)
{
    const fl_json *faulty = fl_json_get(label, "faulty");
    double rank = fl_json_get_num(faulty, "rank", -1);
    double local = fl_json_get_num(faulty, "local_rank", -1);
    struct fl_str node = fl_json_get_str(faulty, "node");
    if (rank >= 0) {
        count(s, RANK, v->faulty.rank == (long)rank);
    } else if (local >= 0) {
        count(s, RANK, v->faulty.local_rank == (long)local);
    }
    if (node.n) {
        count(s, NODE, same_host(node, v->faulty.node));
    }
}

static void score_failed(struct score *s, const fl_json *label, const struct fl_verdict *v,
                         bool right)
{
    bool in_3 = right;
    bool proof_in_3 = false;
    const struct fl_hypothesis *h = v->hypotheses_n ? &v->hypotheses[0] : NULL;
    bool failed = v->outcome == FL_OUTCOME_FAILED;
    for (size_t i = 0; v->outcome != FL_OUTCOME_HEALTHY && i < v->hypotheses_n && i < 3; i++) {
        in_3 |= accepts(label, v->hypotheses[i].cause->slug);
    }
    for (size_t i = 0; failed && i < h->evidence_n && i < 3; i++) {
        proof_in_3 |= proves(label, &h->evidence[i]);
    }
    count(s, TOP1, right);
    count(s, TOP3, in_3);
    count(s, NOTICED, failed || right);
    if (fl_json_count(fl_json_get(label, "evidence"))) {
        count(s, EVIDENCE_FIRST, failed && h->evidence_n && proves(label, &h->evidence[0]));
        count(s, EVIDENCE_IN_3, proof_in_3);
    }
    const fl_json *recoverable = fl_json_get(label, "recoverable");
    if (fl_json_is_bool(recoverable)) {
        count(s, RECOVERABLE, fl_json_bool(recoverable, false) == v->recoverable);
    }
}

static enum fl_status add_trial(struct score *s, uint32_t repository, const struct fl_verdict *v,
                                bool right, struct fl_err *err)
{
    if (s->trials_n == TRIALS_MAX) {
        return fl_fail(err, FL_LIMIT, "more than %d cases", TRIALS_MAX);
    }
    if (s->trials_n == s->trials_size) {
        size_t size = s->trials_size ? s->trials_size * 2 : 256;
        struct fl_judged *more = realloc(s->trials, size * sizeof *more);
        if (!more) {
            return fl_fail(err, FL_NOMEM, "no memory for a case");
        }
        s->trials = more;
        s->trials_size = size;
    }
    const struct fl_rule *rule = v->hypotheses_n ? v->hypotheses[0].rule : NULL;
    const char *decider = v->outcome != FL_OUTCOME_FAILED ? NULL : rule ? rule->id : v->cause->slug;
    s->trials[s->trials_n++] = (struct fl_judged){
        v->basis, v->score, right, repository, decider ? fl_text_hash(fl_str_of(decider)) : 0, 0};
    return FL_OK;
}

static enum fl_status score_case(struct score *s, const char *name, const fl_json *label,
                                 uint32_t repository, const struct fl_verdict *v,
                                 struct fl_err *err)
{
    struct fl_str want = fl_json_get_str(label, "cause");
    bool healthy = fl_str_eq(want, FL_LIT("healthy"));
    const char *got = v->outcome == FL_OUTCOME_FAILED ? v->cause->slug : fl_outcome_name(v->outcome);
    bool right = accepts(label, got);
    fl_reliability_add(&s->reliability, v->confidence, right);
    if (healthy) {
        count(s, HEALTHY, right || v->outcome == FL_OUTCOME_HEALTHY);
    } else {
        score_failed(s, label, v, right);
    }
    score_places(s, label, v);
    if (s->verbose && !right) {
        fprintf(s->calibrate ? stderr : stdout, "%-56s want %-24.*s got %s\n", name, (int)want.n, want.p, got);
    }
    return add_trial(s, repository, v, right, err);
}

struct paths {
    struct fl_arena arena;
    const char *list[FL_STREAMS_MAX];
    size_t n;
    const char *label;
};

static enum fl_status add_path(void *ctx, const char *path, struct fl_err *err)
{
    struct paths *p = ctx;
    struct fl_str name = fl_str_of(path);
    const char *kept = fl_arena_text(&p->arena, name);
    if (!kept || p->n == FL_STREAMS_MAX) {
        return fl_fail(err, FL_LIMIT, "%s: too many files", path);
    }
    if (fl_str_ends(name, FL_LIT("/label.json"))) {
        p->label = kept;
    } else if (!fl_str_ends(name, FL_LIT(".md"))) {
        p->list[p->n++] = kept;
    }
    return FL_OK;
}

static enum fl_status run_case(struct score *s, const char *folder, const fl_json *label,
                               const struct paths *p, struct fl_err *err)
{
    struct fl_str source = fl_json_get_str(label, "source");
    uint32_t repository = fl_repository_hash(source.n ? source : fl_str_of(folder));
    bool held_out = repository % HELD_OUT_ONE_IN == 0;
    if (s->part != PART_ALL && held_out != (s->part == PART_HELD_OUT)) {
        return FL_OK;
    }
    struct fl_job *job = NULL;
    struct fl_verdict verdict;
    struct fl_request request = {.paths = p->list, .paths_n = p->n};
    struct fl_err fault = {0};
    enum fl_status status = fl_pipeline_judge(&s->book, &request, &job, &verdict, &fault);
    if (status == FL_OK) {
        status = score_case(s, folder, label, repository, &verdict, err);
    } else if (status == FL_NOMEM) {
        fl_fail(err, status, "%s: %s", folder, fault.msg);
    } else {
        fl_log(FL_LOG_WARN, "%s: %s", folder, fault.msg);
        s->unreadable++;
        status = FL_OK;
    }
    fl_job_free(job);
    return status;
}

static enum fl_status one_label(void *ctx, const char *path, struct fl_err *err)
{
    struct score *s = ctx;
    struct paths *p = NULL;
    struct fl_buf text;
    fl_json *label = NULL;
    if (!fl_str_ends(fl_str_of(path), FL_LIT("/label.json"))) {
        return FL_OK;
    }
    char *folder = strndup(path, strlen(path) - strlen("/label.json"));
    p = calloc(1, sizeof *p);
    if (!folder || !p) {
        free(folder);
        free(p);
        return fl_fail(err, FL_NOMEM, "no memory for a case");
    }
    fl_arena_init(&p->arena, 16 << 20);
    fl_buf_init(&text, 1 << 20);
    enum fl_status status = fl_fsio_read(path, &text, err);
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), path, &label, err);
    }
    if (status == FL_OK) {
        status = fl_fsio_walk(folder, add_path, p, err);
    }
    if (status == FL_OK) {
        status = run_case(s, folder, label, p, err);
    }
    fl_json_free(label);
    fl_buf_free(&text);
    fl_arena_free(&p->arena);
    free(p);
    free(folder);
    return status;
}

static void print_score(const struct score *s)
{
    for (size_t i = 0; i < FIGURES_N; i++) {
        printf("%-24s %4ld / %-4ld", figure_names[i], s->right[i], s->of[i]);
        if (s->of[i]) {
            printf(" %5.1f %%", 100.0 * (double)s->right[i] / (double)s->of[i]);
        }
        printf("\n");
    }
    printf("%-24s %.3f over %ld cases\n", "calibration error",
           fl_reliability_error(&s->reliability), s->reliability.n);
}

int fl_cmd_eval(int argc, char **argv)
{
    struct score *s = calloc(1, sizeof *s);
    struct fl_err err = {0};
    bool help = false;
    if (!s) {
        return FL_EXIT_INPUT;
    }
    const struct fl_opt options[] = {
        {"verbose", 'v', FL_OPT_FLAG, NULL, "a line for each case whose cause is wrong",
         &s->verbose},
        {"part", 0, FL_OPT_CHOICE, "all|held-out|worked-on",
         "only these cases; a third of the labels' repositories is held out",
         &s->part},
        {"calibrate", 0, FL_OPT_FLAG, NULL,
         "prints a new data/calibration.json, and its reliability on standard error",
         &s->calibrate},
    };
    const struct fl_cli cli = {
        "eval [OPTION ...] DIR...",
        "Scores the deterministic diagnosis on labelled logs: each folder below DIR with a\n"
        "label.json {\"source\", \"cause\", \"also_accept\", \"evidence\": [{\"text\"}], "
        "\"faulty\",\n\"recoverable\"} is one case; the files beside it are its streams.",
        NULL, options, sizeof options / sizeof *options};
    enum fl_status status = fl_cli_parse(&cli, &argc, argv, &help, &err);
    if (status == FL_OK && !help && argc < 2) {
        status = fl_fail(&err, FL_USAGE, "give a folder: faultline eval DIR");
    }
    if (status == FL_OK && !help) {
        status = fl_rulebook_open(NULL, &s->book, &err);
        for (int i = 1; status == FL_OK && i < argc; i++) {
            status = fl_fsio_walk(argv[i], one_label, s, &err);
        }
        if (status == FL_OK && s->trials_n == 0) {
            status = fl_fail(&err, FL_NOTFOUND, "%s: no case (a folder with label.json) to score",
                             argv[1]);
        }
        if (status == FL_OK && s->calibrate) {
            fl_calibrate_print(s->trials, s->trials_n);
        } else if (status == FL_OK) {
            print_score(s);
        }
        fl_rulebook_close(&s->book);
    }
    free(s->trials);
    free(s);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
