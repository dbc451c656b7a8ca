/* SPDX-License-Identifier: Apache-2.0 */
/* Each job is read twice by the real pipeline, with a rule base that lacks the rules under test and
 * with the same base and them; the second time a watch collects what they say yes to. As they are
 * the last ones of that base, a line that a filter among them drops is dropped by no other. */
#include "service/commands/rules_test.h"

#include "rules/base/samples.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/commands/commands.h"
#include "service/commands/rules_test_report.h"
#include "service/pipeline.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { JOBS_MAX = 4096, DROPS_MAX = 1 << 20, ARENA_CAP = 256 << 20 };

/* What one rule said of one stream. */
struct tally {
    uint32_t rule;
    uint32_t stream;
    struct fl_trial_lines matched;
    struct fl_trial_lines dangers;
};

struct drop {
    uint32_t stream;
    uint64_t offset;
    uint32_t rule;
};

struct trial {
    const struct fl_rules_test *test;
    struct fl_trial_report *report;
    struct fl_rulebook before;
    struct fl_rulebook after;
    const char *folders[JOBS_MAX];
    size_t folders_n;
    const char *root; /* the PATH in hand */
    /* the job in hand */
    struct fl_job *job;
    struct tally *tallies;
    size_t tallies_n;
    size_t tallies_size;
    struct drop *drops;
    size_t drops_n;
    size_t drops_size;
    struct fl_notice known; /* the last line that a diagnosis rule knew */
    bool failed;            /* no memory */
};

/* ---- samples ---- */

static enum fl_status check_sample(struct trial *t, const struct fl_rule *rule, bool want, size_t i,
                                   struct fl_match_work *lines, struct fl_match_work *events,
                                   struct fl_err *err)
{
    struct fl_trial_report *r = t->report;
    struct fl_str text = want ? rule->match.item[i] : rule->nomatch.item[i];
    enum fl_match got = fl_rule_judges(t->test->set, rule, lines, events, text);
    r->samples++;
    if (got == (want ? FL_MATCH_YES : FL_MATCH_NO)) {
        return FL_OK;
    }
    struct fl_trial_fault *f = fl_arena_alloc(&r->arena, sizeof *f);
    if (!f) {
        return fl_fail(err, FL_NOMEM, "no memory for the report");
    }
    *f = (struct fl_trial_fault){.rule = rule, .want = want, .number = i, .got = got};
    *r->faults_end = f;
    r->faults_end = &f->next;
    r->faults_n++;
    return fl_rule_blame(t->test->set, rule, text, got, &f->blame, err);
}

static enum fl_status check_samples(struct trial *t, struct fl_err *err)
{
    struct fl_match_work *lines = NULL;
    struct fl_match_work *events = NULL;
    enum fl_status status = fl_match_work_new(t->test->set->lines, &lines, err);
    if (status == FL_OK) {
        status = fl_match_work_new(t->test->set->events, &events, err);
    }
    for (uint32_t i = 0; i < t->test->n; i++) {
        const struct fl_rule *rule = &t->test->rules[i];
        for (size_t k = 0; status == FL_OK && rule->compiled && k < rule->match.n; k++) {
            status = check_sample(t, rule, true, k, lines, events, err);
        }
        for (size_t k = 0; status == FL_OK && rule->compiled && k < rule->nomatch.n; k++) {
            status = check_sample(t, rule, false, k, lines, events, err);
        }
    }
    fl_match_work_free(lines);
    fl_match_work_free(events);
    return status;
}

/* ---- what the rules say of a job's lines ---- */

static void *grown(struct trial *t, void *list, size_t n, size_t *size, size_t one)
{
    if (n < *size) {
        return list;
    }
    size_t more = *size ? *size * 2 : 64;
    void *p = realloc(list, more * one);
    t->failed |= !p;
    *size = p ? more : *size;
    return p ? p : list;
}

static struct tally *tally_of(struct trial *t, uint32_t rule, uint32_t stream)
{
    for (size_t i = t->tallies_n; i > 0 && t->tallies[i - 1].stream == stream; i--) {
        if (t->tallies[i - 1].rule == rule) {
            return &t->tallies[i - 1];
        }
    }
    t->tallies = grown(t, t->tallies, t->tallies_n, &t->tallies_size, sizeof *t->tallies);
    if (t->failed) {
        return NULL;
    }
    t->tallies[t->tallies_n] = (struct tally){.rule = rule, .stream = stream};
    return &t->tallies[t->tallies_n++];
}

/* Keeps the first few lines whole, counts the others. */
static void add_line(struct trial *t, struct fl_trial_lines *list, const struct fl_notice *n,
                     const struct fl_rule *rule, const struct fl_rule *known_by)
{
    struct fl_arena *arena = &t->report->arena;
    uint32_t streams_n = 0;
    const struct fl_stream *s = fl_diagnosis_streams(fl_job_diagnosis(t->job), &streams_n);
    struct fl_trial_line *line = &list->first[list->first_n];
    size_t at = n->part.n ? (size_t)(n->part.p - n->text.p) : 0;
    list->n++;
    if (list->first_n == FL_TRIAL_SHOWN) {
        return;
    }
    list->first_n++;
    *line = (struct fl_trial_line){
        .rule = rule->id, .known_by = known_by ? known_by->id : NULL, .number = n->place.line,
        .path = fl_arena_text(arena, fl_str_of(s[n->place.stream].path)), .counts = n->counts};
    size_t from = at + n->part.n > FL_TRIAL_TEXT ? at - (at < 40 ? at : 40) : 0;
    line->text = fl_str_skip(n->text, from);
    line->cut_front = from > 0;
    line->cut_back = line->text.n > FL_TRIAL_TEXT;
    line->text.n = line->cut_back ? FL_TRIAL_TEXT : line->text.n;
    line->text = fl_arena_str(arena, line->text);
    for (size_t i = 0; n->captures && i < n->captures->n && i < FL_TRIAL_CAPTURES; i++) {
        const struct fl_capture *c = &n->captures->item[i];
        line->capture[line->captures_n++] =
            (struct fl_capture){fl_arena_text(arena, fl_str_of(c->name)),
                                fl_arena_str(arena, c->text)};
    }
    t->failed |= !line->path || !line->text.p;
}

static bool same_line(const struct fl_place *a, const struct fl_place *b)
{
    return a->stream == b->stream && a->line == b->line && a->offset == b->offset;
}

/* A filter under test drops the line. */
static void on_drop(struct trial *t, const struct fl_notice *n, uint32_t rule)
{
    struct tally *tally = tally_of(t, rule, n->place.stream);
    if (tally) {
        add_line(t, &tally->matched, n, n->rule, NULL);
        if (t->known.rule && same_line(&t->known.place, &n->place)) {
            add_line(t, &tally->dangers, n, n->rule, t->known.rule);
        }
    }
    if (t->drops_n < DROPS_MAX) {
        t->drops = grown(t, t->drops, t->drops_n, &t->drops_size, sizeof *t->drops);
        if (t->drops_n < t->drops_size) {
            t->drops[t->drops_n++] = (struct drop){n->place.stream, n->place.offset, rule};
        }
    }
}

static int compare_drops(const void *a, const void *b)
{
    const struct drop *x = a;
    const struct drop *y = b;
    if (x->stream != y->stream) {
        return x->stream < y->stream ? -1 : 1;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* A diagnosis rule knows the line. Rules of scope event speak after the filters have. */
static void on_known(struct trial *t, const struct fl_notice *n)
{
    struct drop want = {n->place.stream, n->place.offset, 0};
    bool surer_known = t->known.rule && same_line(&t->known.place, &n->place) &&
                       t->known.rule->confidence >= n->rule->confidence;
    t->known = surer_known ? t->known : *n;
    const struct drop *d =
        t->drops_n ? bsearch(&want, t->drops, t->drops_n, sizeof want, compare_drops) : NULL;
    struct tally *tally = d ? tally_of(t, d->rule, d->stream) : NULL;
    if (tally) {
        add_line(t, &tally->dangers, n, &t->after.set->rules[d->rule], n->rule);
    }
}

/* One of the rules under test, which were read last, or a variant of one? */
static bool is_tested(const struct trial *t, const struct fl_rule *rule)
{
    const struct fl_ruleset *set = t->after.set;
    if (rule->variant_of) {
        rule = fl_ruleset_find(set, fl_str_of(rule->variant_of));
    }
    return rule && (size_t)(rule - set->rules) >= set->read_n - t->test->n;
}

static void on_notice(void *ctx, const struct fl_notice *n)
{
    struct trial *t = ctx;
    uint32_t rule = (uint32_t)(n->rule - t->after.set->rules);
    bool tested = is_tested(t, n->rule);
    if (!n->captures) {
        if (tested) {
            on_drop(t, n, rule);
        }
        return;
    }
    if (tested) {
        struct tally *tally = tally_of(t, rule, n->place.stream);
        if (tally) {
            add_line(t, &tally->matched, n, n->rule, NULL);
        }
    }
    if (n->counts && (n->rule->role <= FL_ROLE_CONFIRMATION || n->rule->role == FL_ROLE_SUCCESS)) {
        on_known(t, n);
    }
}

/* A rule of stream or job scope: did the rest of it hold? Then a finding is left. */
static bool holds(const struct trial *t, const struct tally *tally)
{
    const struct fl_rule *rule = &t->after.set->rules[tally->rule];
    size_t n = 0;
    const struct fl_finding *f = fl_diagnosis_findings(fl_job_diagnosis(t->job), &n);
    if (rule->scope < FL_SCOPE_STREAM || rule->role > FL_ROLE_CONFIRMATION) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (f[i].rule == tally->rule && f[i].first.place.stream == tally->stream) {
            return true;
        }
    }
    return false;
}

static void join(struct fl_trial_lines *all, const struct fl_trial_lines *some)
{
    all->n += some->n;
    for (size_t i = 0; i < some->first_n && all->first_n < FL_TRIAL_SHOWN; i++) {
        all->first[all->first_n++] = some->first[i];
    }
}

/* ---- jobs ---- */

static struct fl_trial_verdict outcome(struct trial *t, const struct fl_verdict *v)
{
    struct fl_trial_verdict o = {.outcome = v->outcome, .confidence = v->confidence,
                                 .cause = v->cause};
    if (v->outcome == FL_OUTCOME_FAILED && v->hypotheses[0].evidence_n) {
        const struct fl_evidence *e = &v->hypotheses[0].evidence[0];
        uint32_t n = 0;
        const struct fl_stream *s = fl_diagnosis_streams(fl_job_diagnosis(t->job), &n);
        o.path = fl_arena_text(&t->report->arena, fl_str_of(s[e->place.stream].path));
        o.line = e->place.line;
        t->failed |= !o.path;
    }
    if (o.cause) { /* each base has a taxonomy of its own */
        o.cause = fl_taxonomy_find(&t->after.taxonomy, fl_str_of(o.cause->slug));
    }
    return o;
}

static enum fl_status judge(struct trial *t, const char *path, bool with,
                            struct fl_trial_verdict *out, struct fl_err *err)
{
    struct fl_verdict verdict;
    const struct fl_watch watch = {on_notice, t};
    struct fl_request request = {.paths = &path, .paths_n = 1, .watch = with ? &watch : NULL};
    fl_job_free(t->job);
    t->job = NULL;
    enum fl_status status = fl_pipeline_judge(with ? &t->after : &t->before, &request, &t->job,
                                              &verdict, err);
    if (status == FL_OK) {
        *out = outcome(t, &verdict);
    }
    return status;
}

static enum fl_status run_job(struct trial *t, const char *path, struct fl_err *err)
{
    struct fl_trial_job *j = fl_arena_alloc(&t->report->arena, sizeof *j);
    struct fl_err fault = {0};
    if (!j) {
        return fl_fail(err, FL_NOMEM, "no memory for the report");
    }
    t->tallies_n = t->drops_n = 0;
    t->known.rule = NULL;
    j->path = path;
    enum fl_status status = judge(t, path, false, &j->before, &fault);
    if (status == FL_OK) {
        status = judge(t, path, true, &j->after, &fault);
    }
    if (status == FL_OK && t->failed) {
        status = fl_fail(&fault, FL_NOMEM, "no memory for the report");
    }
    if (status == FL_NOMEM) {
        return fl_fail(err, status, "%s: %s", path, fault.msg);
    }
    if (status != FL_OK) { /* the pipeline has said why */
        t->report->unreadable++;
        return FL_OK;
    }
    for (size_t i = 0; i < t->tallies_n; i++) {
        if (holds(t, &t->tallies[i])) {
            join(&j->matched, &t->tallies[i].matched);
            join(&j->dangers, &t->tallies[i].dangers);
        }
    }
    fl_trial_add_job(t->report, j);
    return FL_OK;
}

/* Length of the folder that is a job for this file: where the file lies; above torchrun's attempt_0
 * and above a folder of one rank. */
static size_t folder_length(const char *root, const char *path)
{
    size_t least = strlen(root);
    const char *attempt = strstr(path + least, "/attempt_");
    const char *end = attempt ? attempt : strrchr(path, '/');
    struct fl_str folder = {path, end && (size_t)(end - path) > least ? (size_t)(end - path) : least};
    const char *name = memrchr(folder.p, '/', folder.n);
    struct fl_str last = name ? fl_str_skip(folder, (size_t)(name + 1 - folder.p)) : folder;
    if (folder.n > least && fl_str_starts(last, FL_LIT("rank"))) {
        long rank = 0;
        last = fl_str_skip(last, 4);
        last = last.n && memchr("-_.", *last.p, 3) ? fl_str_skip(last, 1) : last;
        if (fl_str_take_number(&last, &rank) && last.n == 0) {
            folder.n = (size_t)(name - path) > least ? (size_t)(name - path) : least;
        }
    }
    return folder.n;
}

static enum fl_status add_folder(void *ctx, const char *path, struct fl_err *err)
{
    struct trial *t = ctx;
    struct fl_str folder = {path, folder_length(t->root, path)};
    if (!fl_job_takes(path)) {
        return FL_OK;
    }
    for (size_t i = 0; i < t->folders_n; i++) {
        if (fl_str_eq(fl_str_of(t->folders[i]), folder)) {
            return FL_OK;
        }
    }
    if (t->folders_n == JOBS_MAX) {
        return fl_fail(err, FL_LIMIT, "%s: more than %d jobs", t->root, JOBS_MAX);
    }
    t->folders[t->folders_n] = fl_arena_text(&t->report->arena, folder);
    return t->folders[t->folders_n++] ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for a job");
}

/* A folder that holds logs is one job with all below it. */
static bool lies_in_another(const struct trial *t, size_t at)
{
    struct fl_str path = fl_str_of(t->folders[at]);
    for (size_t i = 0; i < t->folders_n; i++) {
        struct fl_str other = fl_str_of(t->folders[i]);
        if (i != at && fl_str_starts(path, other) && path.n > other.n && path.p[other.n] == '/') {
            return true;
        }
    }
    return false;
}

static enum fl_status run_path(struct trial *t, const char *path, struct fl_err *err)
{
    struct stat st;
    bool is_pipe = strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) &&
                                              !S_ISDIR(st.st_mode));
    if (is_pipe) {
        return fl_fail(err, FL_USAGE, "%s: logs are read twice: give a file or a folder", path);
    }
    if (!fl_fsio_is_dir(path)) {
        return run_job(t, path, err);
    }
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    t->folders_n = 0;
    t->root = fl_arena_text(&t->report->arena, (struct fl_str){path, n});
    enum fl_status status = t->root ? fl_fsio_walk(t->root, add_folder, t, err)
                                    : fl_fail(err, FL_NOMEM, "no memory for a job");
    if (status == FL_OK && t->folders_n == 0) {
        fl_log(FL_LOG_WARN, "%s: no log files in this folder", path);
        t->report->unreadable++;
    }
    for (size_t i = 0; status == FL_OK && i < t->folders_n; i++) {
        status = lies_in_another(t, i) ? FL_OK : run_job(t, t->folders[i], err);
    }
    return status;
}

static enum fl_status run_paths(struct trial *t, struct fl_err *err)
{
    const struct fl_rules_test *test = t->test;
    struct fl_trial trial = {test->rules, test->n, false};
    enum fl_status status = fl_rulebook_open_trial(test->state, &trial, &t->before, err);
    trial.with = true;
    if (status == FL_OK) {
        status = fl_rulebook_open_trial(test->state, &trial, &t->after, err);
    }
    for (int i = 0; status == FL_OK && i < test->paths_n; i++) {
        status = run_path(t, test->paths[i], err);
    }
    return status;
}

enum fl_status fl_rules_test(const struct fl_rules_test *test, int *code, struct fl_err *err)
{
    struct fl_trial_report report = {.test = test};
    struct trial *t = calloc(1, sizeof *t);
    fl_arena_init(&report.arena, ARENA_CAP);
    report.faults_end = &report.faults;
    report.jobs_end = &report.jobs;
    enum fl_status status = t ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for the test");
    if (status == FL_OK) {
        t->test = test;
        t->report = &report;
        status = check_samples(t, err);
    }
    if (status == FL_OK && test->paths_n) {
        status = run_paths(t, err);
    }
    if (status == FL_OK) {
        status = fl_trial_print(&report, err);
    }
    bool bad = report.faults_n || test->bad;
    for (uint32_t i = 0; i < test->n; i++) {
        bad |= !test->rules[i].compiled;
    }
    *code = report.unreadable ? FL_EXIT_INPUT : bad ? FL_EXIT_REACHED : FL_EXIT_OK;
    if (t) {
        fl_job_free(t->job);
        free(t->tallies);
        free(t->drops);
        fl_rulebook_close(&t->before);
        fl_rulebook_close(&t->after);
    }
    free(t);
    fl_arena_free(&report.arena);
    return status;
}
