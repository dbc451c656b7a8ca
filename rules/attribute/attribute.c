/* SPDX-License-Identifier: Apache-2.0 */
/* One began it, the rest followed. Findings are grouped by cause; each group is weighed by its
 * rules' confidence, less when the job went on afterwards (an episode) or had already finished
 * (teardown); a group that another present cause explains steps back. Among what remains, the
 * surest wins, and among the nearly equal the earliest.
 *
 * The figures below are judgement, checked on labelled logs (`faultline eval`), not fitted to
 * single ones. */
#include "rules/attribute/attribute.h"

#include "rules/attribute/reasons.h"

#include "rules/signals/detect.h"
#include "rules/attribute/where.h"

#include <stdio.h>

enum { GROUPS_MAX = 64 };

static const double left_when_healed = 0.28;
static const double left_after_success = 0.25;
static const double left_of_the_end = 0.6; /* training is over; what comes after it failed */
static const double left_of_hardware = 0.5; /* a broken GPU is broken for the next job, too */
static const double sure = 0.9;
static const double lost_when_explained = 0.45;
static const double least_to_explain = 0.45;
static const double least_to_blame = 0.29;
static const double nearly_equal = 0.08;
static const double bonus_confirmed = 0.04;
static const double left_of_detection = 0.5; /* the job said that it ended well */

struct group {
    const struct fl_cause *cause;
    const struct fl_finding *finding[FL_EVIDENCE_MAX];
    double weight[FL_EVIDENCE_MAX];
    size_t n;
    double best;      /* weight before others are looked at */
    double score;     /* after */
    bool root;        /* some finding has the root role */
    bool healed;
    bool confirmed;
    long count;
    const struct group *explained_by;
    const struct fl_sighting *earliest;
    struct fl_finding signal; /* when a metric says it, not a line */
    struct fl_finding effect;
    const char *const *steps; /* what the signal advises, or NULL */
    size_t steps_n;
};

struct work {
    struct fl_diagnosis *d;
    struct fl_arena *arena; /* of new texts */
    const struct fl_ruleset *set;
    struct fl_stream *streams;
    uint32_t streams_n;
    struct group groups[GROUPS_MAX];
    size_t groups_n;
};

const char *fl_outcome_name(enum fl_outcome outcome)
{
    static const char *const names[] = {"failed", "healthy", "unknown"};
    return names[outcome];
}

const char *fl_method_name(enum fl_method method)
{
    static const char *const names[] = {"rule", "signal", "incident", "model"};
    return names[method];
}

/* An exception of the program's own that is the last thing said. Other errors behind a success are of
 * processes that were torn down. */
static bool ends_stream(const struct fl_stream *stream, const struct fl_rule *rule,
                        const struct fl_sighting *s)
{
    enum { REST = 25 /* lines that an exception may be followed by */ };
    bool own = rule->role == FL_ROLE_ROOT && rule->cause &&
               strcmp(rule->cause->category, "infrastructure") != 0;
    long lines = stream->kept + stream->dropped; /* so far, where it still grows */
    return own && lines - (long)s->order <= REST && fl_tells_exception(s->text);
}

/* The sighting that counts, and its weight. */
static const struct fl_sighting *weigh(const struct work *w, const struct fl_finding *f,
                                       double *weight_r, bool *healed_r)
{
    const struct fl_rule *rule = &w->set->rules[f->rule];
    const struct fl_stream *stream = &w->streams[f->first.place.stream];
    const struct fl_run *run = &stream->runs[f->run];
    const struct fl_sighting *s = &f->first;
    if (run->steps - s->steps >= FL_EPISODE_STEPS || (run->success && !s->after_success)) {
        s = &f->last;
    }
    *weight_r = rule->confidence;
    *healed_r = true;
    bool broken = rule->severity == FL_SEVERITY_CRITICAL && rule->confidence >= sure;
    if (s->after_success) {
        *weight_r *= ends_stream(stream, rule, s) ? left_of_the_end
                     : broken                     ? left_of_hardware : left_after_success;
    } else if (run->success || run->steps - s->steps >= FL_EPISODE_STEPS) {
        *weight_r *= left_when_healed;
    } else {
        *healed_r = false;
    }
    return s;
}

static struct group *group_of(struct work *w, const struct fl_cause *cause)
{
    for (size_t i = 0; i < w->groups_n; i++) {
        if (w->groups[i].cause == cause) {
            return &w->groups[i];
        }
    }
    if (w->groups_n == GROUPS_MAX) {
        return NULL;
    }
    struct group *g = &w->groups[w->groups_n++];
    *g = (struct group){.cause = cause, .healed = true};
    return g;
}

/* Keeps the weightiest findings, earlier ones first among equals. */
static void keep_finding(struct group *g, const struct fl_finding *f, double weight)
{
    for (size_t i = 0; i < g->n; i++) { /* of several rules on one line the surest is shown */
        const struct fl_place *p = &g->finding[i]->first.place;
        if (p->stream != f->first.place.stream || p->line != f->first.place.line ||
            p->offset != f->first.place.offset) {
            continue;
        }
        if (weight <= g->weight[i]) {
            return;
        }
        g->n--;
        memmove(&g->finding[i], &g->finding[i + 1], (g->n - i) * sizeof *g->finding);
        memmove(&g->weight[i], &g->weight[i + 1], (g->n - i) * sizeof *g->weight);
        break;
    }
    size_t at = g->n;
    while (at > 0 && (weight > g->weight[at - 1] + 1e-9 ||
                      (weight > g->weight[at - 1] - 1e-9 &&
                       fl_sighting_before(&f->first, &g->finding[at - 1]->first)))) {
        at--;
    }
    if (at == FL_EVIDENCE_MAX) {
        return;
    }
    size_t last = g->n < FL_EVIDENCE_MAX ? g->n : FL_EVIDENCE_MAX - 1;
    for (size_t i = last; i > at; i--) {
        g->finding[i] = g->finding[i - 1];
        g->weight[i] = g->weight[i - 1];
    }
    g->finding[at] = f;
    g->weight[at] = weight;
    g->n = last + 1;
}

static void add_finding(struct work *w, const struct fl_finding *f)
{
    const struct fl_rule *rule = &w->set->rules[f->rule];
    struct group *g = rule->cause ? group_of(w, rule->cause) : NULL;
    if (!g) {
        return;
    }
    g->count += f->count;
    if (rule->role == FL_ROLE_CONFIRMATION) {
        g->confirmed = true;
        return;
    }
    double weight = 0;
    bool healed = false;
    const struct fl_sighting *s = weigh(w, f, &weight, &healed);
    keep_finding(g, f, weight);
    g->healed = g->healed && healed;
    g->root |= rule->role == FL_ROLE_ROOT;
    g->best = weight > g->best ? weight : g->best;
    if (!healed && (!g->earliest || fl_sighting_before(s, g->earliest))) {
        g->earliest = s;
    }
}

static void gather(struct work *w)
{
    size_t n = 0;
    const struct fl_finding *findings = fl_diagnosis_findings(w->d, &n);
    for (size_t i = 0; i < n; i++) {
        const struct fl_stream *s = &w->streams[findings[i].first.place.stream];
        if (findings[i].run == fl_stream_last_run(s) && fl_diagnosis_holds(w->d, &findings[i])) {
            add_finding(w, &findings[i]);
        }
    }
    size_t kept = 0; /* a confirmation alone decides nothing */
    for (size_t i = 0; i < w->groups_n; i++) {
        struct group *g = &w->groups[i];
        g->best += g->n && g->confirmed && !g->healed ? bonus_confirmed : 0;
        g->best = g->best > 0.99 ? 0.99 : g->best;
        g->score = g->best;
        if (g->n) {
            w->groups[kept++] = *g;
        }
    }
    w->groups_n = kept;
}

static struct fl_sighting sighting_of(struct work *w, const struct fl_row *row)
{
    struct fl_str text = {row->text, row->text_n};
    return (struct fl_sighting){.place = row->place,
                                .text = fl_arena_str(w->arena, text),
                                .order = row->order, .step = row->step};
}

/* A detection stands beside the findings, as if a line had said it. */
static void add_detection(struct work *w, const struct fl_detection *d)
{
    const struct fl_run *run = &w->streams[d->series->stream].runs[d->series->run];
    struct group *g = group_of(w, fl_taxonomy_find(w->set->taxonomy, fl_str_of(d->cause)));
    double weight = run->success ? d->weight * left_of_detection : d->weight;
    if (!g || !g->cause || (g->n && g->weight[0] >= weight)) {
        return;
    }
    g->signal = (struct fl_finding){
        .rule = UINT32_MAX, .run = d->series->run, .count = 1,
        .first = sighting_of(w, d->row), .last = sighting_of(w, d->end),
        .summary = fl_arena_str(w->arena, fl_str_of(d->text))};
    g->signal.first.place.rank = d->rank;
    keep_finding(g, &g->signal, weight);
    g->steps = d->steps;
    g->steps_n = d->steps_n;
    if (d->effect) {
        g->effect = g->signal;
        g->effect.first = g->effect.last = sighting_of(w, d->effect);
        keep_finding(g, &g->effect, weight);
    }
    g->best = weight > g->best ? weight : g->best;
    g->score = g->best;
    g->root = true;
    g->healed = false;
    g->count++;
    g->earliest = g->earliest ? g->earliest : &g->signal.first;
}

static void gather_detections(struct work *w, struct fl_verdict *out)
{
    struct fl_detection found[FL_DETECTIONS_MAX];
    size_t n = fl_detect(fl_diagnosis_series(w->d), w->set->declared, found);
    for (size_t i = 0; i < n; i++) {
        const struct fl_detection *d = &found[i];
        if (d->series->run != fl_stream_last_run(&w->streams[d->series->stream])) {
            continue;
        }
        if (out->signals_n < FL_SIGNALS_MAX) {
            struct fl_signal *s = &out->signals[out->signals_n++];
            *s = (struct fl_signal){d->metric,   d->kind,       d->from_step,         d->to_step, d->rank,
                                    d->severity, d->confidence, d->row->place.stream, d->row->place.line, ""};
            memcpy(s->text, d->text, sizeof s->text);
        }
        if (d->cause) {
            add_detection(w, d);
        }
    }
}

static bool names(const char *const *list, size_t n, const struct fl_cause *cause)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], cause->slug) == 0) {
            return true;
        }
    }
    return false;
}

static bool claims(const struct work *w, const struct group *a, const struct group *b)
{
    if (names(a->cause->explains, a->cause->explains_n, b->cause)) {
        return true;
    }
    for (size_t i = 0; i < a->n; i++) {
        uint32_t rule = a->finding[i]->rule;
        if (rule != UINT32_MAX && names(w->set->rules[rule].explains,
                                        w->set->rules[rule].explains_n, b->cause)) {
            return true;
        }
    }
    return false;
}

/* A mere symptom is explained by whatever is a root; a root only by what came before it. */
static bool explains(const struct work *w, const struct group *a, const struct group *b)
{
    if (a == b || !a->root || a->healed || a->best < least_to_explain) {
        return false;
    }
    if (!b->root) {
        return true;
    }
    if (!claims(w, a, b)) {
        return false;
    }
    if (!claims(w, b, a)) {
        return true;
    }
    return a->earliest && b->earliest && fl_sighting_before(a->earliest, b->earliest);
}

static void settle(struct work *w)
{
    for (size_t i = 0; i < w->groups_n; i++) {
        for (size_t k = 0; k < w->groups_n; k++) {
            struct group *b = &w->groups[k];
            const struct group *a = &w->groups[i];
            if (explains(w, a, b) && (!b->explained_by || a->best > b->explained_by->best)) {
                b->explained_by = a;
            }
        }
    }
    for (size_t i = 0; i < w->groups_n; i++) {
        struct group *g = &w->groups[i];
        if (g->explained_by) {
            g->score -= lost_when_explained;
            g->score = g->score < 0.01 ? 0.01 : g->score;
        }
    }
}

/* Sorts by score; among the nearly equal the earlier one leads. */
static void rank_groups(struct work *w, const struct group *order[GROUPS_MAX])
{
    for (size_t i = 0; i < w->groups_n; i++) {
        const struct group *g = &w->groups[i];
        size_t at = i;
        while (at > 0 && order[at - 1]->score < g->score) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = g;
    }
    size_t first = 0;
    for (size_t i = 1; i < w->groups_n; i++) {
        const struct group *g = order[i];
        if (g->score < order[0]->score - nearly_equal || g->healed != order[first]->healed) {
            continue;
        }
        if (g->earliest && order[first]->earliest &&
            fl_sighting_before(g->earliest, order[first]->earliest)) {
            first = i;
        }
    }
    const struct group *lead = w->groups_n ? order[first] : NULL;
    for (size_t i = first; i > 0; i--) {
        order[i] = order[i - 1];
    }
    if (lead) {
        order[0] = lead;
    }
}

static struct fl_evidence show(const struct work *w, const struct fl_finding *f)
{
    const struct fl_run *run = &w->streams[f->first.place.stream].runs[f->run];
    bool again = f->count > 1 && run->steps - f->first.steps >= FL_EPISODE_STEPS;
    const struct fl_sighting *s = again ? &f->last : &f->first;
    return (struct fl_evidence){s->place, s->text,
                                f->rule == UINT32_MAX ? NULL : w->set->rules[f->rule].id};
}

static void tell_hypothesis(const struct work *w, const struct group *g, struct fl_hypothesis *h)
{
    uint32_t rule = g->finding[0]->rule;
    *h = (struct fl_hypothesis){.cause = g->cause,
                                .score = g->score,
                                .summary = g->finding[0]->summary,
                                .healed = g->healed,
                                .explained_by =
                                    g->explained_by ? g->explained_by->cause->slug : NULL,
                                .rule = rule == UINT32_MAX ? NULL : &w->set->rules[rule]};
    for (size_t i = 0; i < g->n; i++) {
        h->evidence[h->evidence_n++] = show(w, g->finding[i]);
    }
    const struct fl_finding *f = g->finding[0];
    if (h->evidence_n < FL_EVIDENCE_MAX && f->last.place.line != h->evidence[0].place.line) {
        h->evidence[h->evidence_n++] = (struct fl_evidence){
            f->last.place, f->last.text, rule == UINT32_MAX ? NULL : w->set->rules[rule].id};
    }
}

static void tell_symptoms(const struct work *w, const struct group *const *order,
                          struct fl_verdict *out)
{
    for (size_t i = 0; i < w->groups_n && out->symptoms_n < FL_SYMPTOMS_MAX; i++) {
        const struct group *g = order[i];
        bool follows = g->explained_by || g->healed || (!g->root && i > 0);
        if (follows && (i > 0 || out->outcome != FL_OUTCOME_FAILED)) {
            out->symptoms[out->symptoms_n++] = (struct fl_symptom){
                g->cause->slug, g->count, show(w, g->finding[0]).place};
        }
    }
}

static void tell_progress(const struct work *w, struct fl_verdict *out)
{
    for (uint32_t i = 0; i < w->streams_n; i++) {
        const struct fl_run *run = &w->streams[i].runs[fl_stream_last_run(&w->streams[i])];
        out->last_step = run->last_step > out->last_step ? run->last_step : out->last_step;
        out->checkpoint = run->checkpoint > out->checkpoint ? run->checkpoint : out->checkpoint;
    }
    if (out->last_step >= 0 && out->checkpoint >= 0 && out->last_step >= out->checkpoint) {
        out->lost_steps = out->last_step - out->checkpoint;
    }
}

static void tell_remedy(const struct group *g, struct fl_verdict *out)
{
    const struct fl_hypothesis *h = &out->hypotheses[0];
    const struct fl_cause *c = h->cause;
    out->cause = c;
    out->severity = h->rule ? h->rule->severity : c->severity;
    out->recoverable = h->rule ? h->rule->recoverable : c->recoverable;
    out->action = h->rule ? h->rule->action : c->action;
    out->recovery = h->rule ? h->rule->recovery : c->recovery;
    out->recovery_n = h->rule ? h->rule->recovery_n : c->recovery_n;
    out->summary = h->summary.n ? h->summary : fl_str_of(c->title);
    out->method = h->rule ? FL_METHOD_RULE : FL_METHOD_SIGNAL;
    out->basis = h->rule ? FL_BASIS_RULE : FL_BASIS_SIGNAL;
    if (!h->rule && g->steps) {
        out->recovery = g->steps;
        out->recovery_n = g->steps_n;
    }
}

/* Did the job say that it was done? Did it make steps or reach a milestone, and no unexplained trouble
 * after the steps? */
static bool any_success(const struct work *w, bool *progressed_r)
{
    bool success = false;
    long trouble = 0;
    long steps = 0;
    bool milestone = false;
    for (uint32_t i = 0; i < w->streams_n; i++) {
        const struct fl_run *run = &w->streams[i].runs[fl_stream_last_run(&w->streams[i])];
        success |= run->success;
        milestone |= run->milestone;
        steps += run->steps;
        trouble += run->trouble;
    }
    *progressed_r = (steps > 0 || milestone) && trouble == 0;
    return success;
}

static bool says_nothing(const struct work *w)
{
    for (uint32_t i = 0; i < w->streams_n; i++) {
        if (w->streams[i].bytes > 0) {
            return false;
        }
    }
    return true;
}

void fl_attribute_so_far(struct fl_diagnosis *diagnosis, struct fl_arena *arena,
                         struct fl_verdict *out)
{
    struct work w = {.d = diagnosis, .arena = arena, .set = fl_diagnosis_rules(diagnosis)};
    const struct group *order[GROUPS_MAX];
    w.streams = fl_diagnosis_streams(diagnosis, &w.streams_n);
    *out = (struct fl_verdict){.outcome = FL_OUTCOME_UNKNOWN,
                               .basis = FL_BASIS_NOTHING,
                               .action = "none",
                               .faulty = {.rank = -1, .local_rank = -1, .gpu = -1},
                               .last_step = -1,
                               .checkpoint = -1,
                               .lost_steps = -1};
    gather(&w);
    gather_detections(&w, out);
    settle(&w);
    rank_groups(&w, order);
    for (size_t i = 0; i < w.groups_n && i < FL_HYPOTHESES_MAX; i++) {
        struct fl_hypothesis *h = &out->hypotheses[out->hypotheses_n++];
        tell_hypothesis(&w, order[i], h);
        fl_reasons_tell(diagnosis, order[i]->finding[0], order[i]->earliest, h);
    }
    tell_progress(&w, out);
    bool progressed = false;
    bool success = any_success(&w, &progressed);
    double best = w.groups_n ? order[0]->score : 0;
    if (best > least_to_blame) {
        double second = w.groups_n > 1 ? order[1]->score : 0;
        double lead = best - second;
        out->outcome = FL_OUTCOME_FAILED;
        out->score = lead < 0.15 ? best - (0.15 - (lead < 0 ? 0 : lead)) : best;
        out->hypotheses[0].score = out->score;
        out->hypotheses[0].why.doubt = best - out->score;
        tell_remedy(order[0], out);
        fl_where(diagnosis, order[0]->cause, order[0]->finding, order[0]->n, &out->faulty);
    } else if (success || progressed) {
        out->outcome = FL_OUTCOME_HEALTHY;
        out->basis = success ? FL_BASIS_SUCCESS : FL_BASIS_PROGRESS;
        out->score = success ? 0.95 : w.groups_n ? 0.7 : 0.8;
        out->summary = success ? FL_LIT("the job reported that it finished well")
                               : FL_LIT("the job was making progress and shows no failure");
    } else {
        out->summary = says_nothing(&w)
                           ? FL_LIT("the log is empty: the job wrote nothing; look at the "
                                    "launcher's or the scheduler's own output")
                           : FL_LIT("no known failure in the log, and no sign that all went well");
        out->score = 0.2;
    }
    tell_symptoms(&w, order, out);
}

void fl_attribute(struct fl_diagnosis *diagnosis, struct fl_verdict *out)
{
    fl_attribute_so_far(diagnosis, fl_diagnosis_arena(diagnosis), out);
}

void fl_verdict_lead(struct fl_verdict *v, const struct fl_hypothesis *h)
{
    v->hypotheses_n += v->hypotheses_n < FL_HYPOTHESES_MAX;
    for (size_t i = v->hypotheses_n - 1; i > 0; i--) {
        v->hypotheses[i] = v->hypotheses[i - 1];
    }
    v->hypotheses[0] = *h;
    v->outcome = FL_OUTCOME_FAILED;
    v->cause = h->cause;
    v->severity = h->cause->severity;
    v->recoverable = h->cause->recoverable;
    v->action = h->cause->action;
    v->score = v->confidence = h->confidence;
    v->summary = h->summary;
    v->faulty.rank = h->evidence_n ? h->evidence[0].place.rank : -1;
}
