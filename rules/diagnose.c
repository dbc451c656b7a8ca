/* SPDX-License-Identifier: Apache-2.0 */
/* Only lines that the literal scan proposes come here, so this may take its time: it tries the
 * proposed patterns, asks who printed the line, and files the finding. Equal findings (rule, run,
 * printer) are one with a count; the first tells where it began, the last whether it was the end. */
#include "rules/diagnose.h"

#include "rules/base/summary.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_CAP = 64 << 20, MANY = 64 /* sightings of one finding */ };

/* A rule this much less sure than another on the same line says nothing more (the exception's class
 * beside its message). */
static const double much_vaguer = 0.15;

/* The rules that say yes to this line, each once. */
struct hits {
    uint32_t rule[64];
    struct fl_captures captures[64];
    size_t n;
    bool benign;
    bool noted; /* something was noted that outlasts the line */
    struct fl_habit habit;
};

struct fl_diagnosis {
    struct hits hits; /* of the line in hand */
    struct fl_values values; /* likewise: only those present are set */
    const struct fl_ruleset *set;
    struct fl_match_work *lines;
    struct fl_match_work *events;
    struct fl_arena arena;
    struct fl_series_set series;
    struct fl_roll roll;
    struct fl_finding *findings;
    size_t findings_n;
    struct fl_streams streams;
    /* Which patterns of rules of stream or job scope were seen, by number: in the job, in this stream. */
    uint8_t *seen;
    uint32_t *seen_stream;
    long errors;
    const struct fl_watch *watch;
};

enum fl_status fl_diagnosis_new(const struct fl_ruleset *set, struct fl_diagnosis **out,
                                struct fl_err *err)
{
    struct fl_diagnosis *d = calloc(1, sizeof *d);
    *out = d;
    if (!d) {
        return fl_fail(err, FL_NOMEM, "no memory for the diagnosis");
    }
    d->set = set;
    fl_arena_init(&d->arena, ARENA_CAP);
    d->roll.arena = &d->arena;
    d->streams.arena = &d->arena;
    fl_series_init(&d->series, set->metrics, &d->arena);
    d->findings = calloc(FL_FINDINGS_MAX, sizeof *d->findings);
    d->seen = calloc(set->line_patterns_n + 1U, 1);
    d->seen_stream = calloc(set->line_patterns_n + 1U, sizeof *d->seen_stream);
    enum fl_status status = fl_match_work_new(set->lines, &d->lines, err);
    if (status == FL_OK) {
        status = fl_match_work_new(set->events, &d->events, err);
    }
    if (status == FL_OK && (!d->findings || !d->seen || !d->seen_stream)) {
        status = fl_fail(err, FL_NOMEM, "no memory for the diagnosis");
    }
    if (status != FL_OK) {
        fl_diagnosis_free(d);
        *out = NULL;
    }
    return status;
}

void fl_diagnosis_free(struct fl_diagnosis *d)
{
    if (!d) {
        return;
    }
    fl_match_work_free(d->lines);
    fl_match_work_free(d->events);
    fl_series_fini(&d->series);
    fl_arena_free(&d->arena);
    free(d->findings);
    fl_streams_fini(&d->streams);
    free(d->seen);
    free(d->seen_stream);
    free(d);
}

void fl_diagnosis_watch(struct fl_diagnosis *d, const struct fl_watch *watch)
{
    d->watch = watch;
}

/* subject: what the pattern was held against, of which text is the line to show. */
static void tell(const struct fl_diagnosis *d, uint32_t rule, const struct fl_captures *c,
                 const struct fl_place *place, struct fl_str subject, struct fl_str text,
                 bool counts)
{
    const char *from = subject.p + c->start;
    size_t left = from >= text.p && from <= text.p + text.n
                      ? (size_t)(text.p + text.n - from) : 0;
    if (d->watch) {
        struct fl_notice notice = {
            &d->set->rules[rule], *place, text,
            {from, c->end - c->start < left ? c->end - c->start : left}, c, counts};
        d->watch->notice(d->watch->ctx, &notice);
    }
}

enum fl_status fl_diagnosis_stream(struct fl_diagnosis *d, const char *name, const char *path,
                                   uint32_t *stream_r, struct fl_err *err)
{
    return fl_streams_add(&d->streams, name, path, stream_r, err);
}

struct fl_stream *fl_diagnosis_streams(struct fl_diagnosis *d, uint32_t *n_r)
{
    *n_r = d->streams.n;
    return d->streams.list;
}

const struct fl_finding *fl_diagnosis_findings(const struct fl_diagnosis *d, size_t *n_r)
{
    *n_r = d->findings_n;
    return d->findings;
}

struct fl_match_work *fl_diagnosis_work(struct fl_diagnosis *d)
{
    return d->lines;
}

const struct fl_roll *fl_diagnosis_roll(const struct fl_diagnosis *d)
{
    return &d->roll;
}

const struct fl_series_set *fl_diagnosis_series(const struct fl_diagnosis *d)
{
    return &d->series;
}

const struct fl_ruleset *fl_diagnosis_rules(const struct fl_diagnosis *d)
{
    return d->set;
}

struct fl_arena *fl_diagnosis_arena(struct fl_diagnosis *d)
{
    return &d->arena;
}

long fl_diagnosis_errors(const struct fl_diagnosis *d)
{
    return d->errors;
}

static struct fl_run *run_of(struct fl_diagnosis *d, uint32_t stream)
{
    return fl_stream_run(&d->streams.list[stream]);
}

static long printer(const struct fl_place *p)
{
    return p->rank >= 0 ? p->rank : p->local_rank >= 0 ? 100000 + p->local_rank : -1;
}

static struct fl_finding *find(struct fl_diagnosis *d, uint32_t rule, uint32_t run,
                               const struct fl_place *place)
{
    for (size_t i = d->findings_n; i > 0; i--) {
        struct fl_finding *f = &d->findings[i - 1];
        if (f->rule == rule && f->run == run && f->first.place.stream == place->stream &&
            printer(&f->first.place) == printer(place)) {
            return f;
        }
    }
    return NULL;
}

static void file_finding(struct fl_diagnosis *d, uint32_t rule_index, const struct fl_place *place,
                         const struct fl_captures *c, struct fl_str text, uint64_t order)
{
    const struct fl_rule *rule = &d->set->rules[rule_index];
    uint32_t run = d->streams.list[place->stream].runs_n - 1;
    struct fl_run *here = run_of(d, place->stream);
    struct fl_sighting s = {.place = *place};
    long rank = fl_captured_number(c, "rank");
    s.place.rank = rank >= 0 ? rank : place->rank;
    struct fl_finding *f = find(d, rule_index, run, &s.place);
    if (f) {
        f->count++;
        /* of equal sightings close together the one to show */
        if (f->count <= 8 && fl_tells_exception(text) && !fl_tells_exception(f->first.text)) {
            f->first = fl_sighting_of(here, place, c, text, order, &d->arena, NULL);
        }
        if (f->count == MANY) { /* bounded memory under a flood */
            f->room = fl_arena_alloc(&d->arena, FL_SIGHTING_TEXT + FL_SIGHTING_NODE);
        }
        f->last = fl_sighting_of(here, place, c, text, order, &d->arena, f->room);
        return;
    }
    if (d->findings_n == FL_FINDINGS_MAX) {
        return;
    }
    s = fl_sighting_of(here, place, c, text, order, &d->arena, NULL);
    d->findings[d->findings_n++] = (struct fl_finding){
        .rule = rule_index, .run = run, .count = 1, .first = s, .last = s,
        .summary = fl_summary_fill(&d->arena, rule->summary ? rule->summary : "", c, &s.place)};
    if (rule->role == FL_ROLE_ROOT || rule->role == FL_ROLE_SYMPTOM) {
        here->failures++;
    }
}

/* A line that tells its epoch only belongs to the last step, if steps are known at all. */
static long step_of_epoch(const struct fl_diagnosis *d, const struct fl_run *run,
                          const struct fl_reading *reading, struct fl_str text)
{
    if (!reading->epoch.n || fl_values_has(&d->values, d->series.step)) {
        return -1;
    }
    return run->last_step >= 0 ? run->last_step : fl_reading_number(reading->epoch, text);
}

/* A step at 0 of a progress bar, or of 0 batches: nothing is done yet. */
static void note_progress(struct fl_diagnosis *d, enum fl_role role,
                          const struct fl_reading *reading, const struct fl_place *place,
                          struct fl_str text, uint64_t order)
{
    struct fl_run *run = run_of(d, place->stream);
    struct fl_values *values = &d->values;
    long done = fl_reading_number(reading->done, text);
    long step = fl_reading_step(reading, text);
    if (done == 0 || fl_reading_number(reading->batches, text) == 0) {
        return;
    }
    step = step >= 0 ? step : done;
    if (role == FL_ROLE_CHECKPOINT) {
        fl_run_saved(run, step);
        return;
    }
    values->present = 0;
    fl_spots_read(&reading->values, text, values);
    if (role != FL_ROLE_METRIC) {
        fl_run_stepped(run, step);
    } else if (step < 0) {
        step = run->last_step;
    }
    if (reading->epoch_steps.n && d->series.epoch >= 0) {
        values->present &= ~(1U << d->series.epoch); /* it is in the step */
    }
    step = step >= 0 ? step : step_of_epoch(d, run, reading, text);
    fl_series_add(&d->series, d->streams.list[place->stream].runs_n - 1, place, order, step, values,
                  text);
}

const struct fl_habit *fl_diagnosis_habit(const struct fl_diagnosis *d)
{
    return &d->hits.habit;
}

bool fl_diagnosis_repeat(struct fl_diagnosis *d, const struct fl_habit *habit,
                         const struct fl_place *place, struct fl_str message, struct fl_str raw,
                         uint64_t order)
{
    for (size_t i = 0; i < habit->noes_n; i++) {
        if (fl_matcher_try(d->lines, habit->no[i], message, NULL) != FL_MATCH_NO) {
            return false;
        }
    }
    for (size_t i = 0; i < habit->acts_n; i++) {
        note_progress(d, habit->role[i], &habit->reading[i], place, raw, order);
    }
    return true;
}

/* Also lines that are findings may say who runs where. */
static void note_roll(struct fl_diagnosis *d, const struct fl_place *place,
                      const struct fl_captures *c)
{
    const struct fl_str *node = fl_captured(c, "node");
    const struct fl_str *ranks = fl_captured(c, "ranks");
    struct fl_str where = node ? *node : place->node;
    char rank[24] = "";
    ranks = ranks ? ranks : fl_captured(c, "rank");
    if (!ranks && place->rank >= 0) {
        snprintf(rank, sizeof rank, "%ld", place->rank);
    }
    fl_roll_note(&d->roll, ranks ? *ranks : fl_str_of(rank), where, fl_captured_number(c, "enqueued"),
                 fl_captured_number(c, "completed"));
}

static void act(struct fl_diagnosis *d, uint32_t rule_index, const struct fl_captures *c,
                const struct fl_place *place, struct fl_str text, uint64_t order)
{
    const struct fl_rule *rule = &d->set->rules[rule_index];
    switch (rule->role) {
    case FL_ROLE_ROOT:
    case FL_ROLE_SYMPTOM:
    case FL_ROLE_CONFIRMATION:
        note_roll(d, place, c);
        file_finding(d, rule_index, place, c, text, order);
        break;
    case FL_ROLE_BENIGN:
        break;
    case FL_ROLE_PROGRESS:
    case FL_ROLE_CHECKPOINT:
    case FL_ROLE_METRIC: {
        struct fl_reading reading;
        fl_reading_find(d->set->metrics, c, text, &reading);
        note_progress(d, rule->role, &reading, place, text, order);
        fl_habit_act(&d->hits.habit, rule->role, &reading);
        break;
    }
    case FL_ROLE_SUCCESS:
        fl_run_succeeded(run_of(d, place->stream), order);
        break;
    case FL_ROLE_START:
        fl_stream_started(&d->streams.list[place->stream], &d->arena, order);
        break;
    case FL_ROLE_ROLL:
        note_roll(d, place, c);
        break;
    case FL_ROLE_MILESTONE:
        run_of(d, place->stream)->milestone = true;
        break;
    }
}

static bool all_answer(struct fl_diagnosis *d, struct fl_match_work *w,
                       const struct fl_pattern_set *patterns, enum fl_match answer,
                       struct fl_str text)
{
    for (size_t i = 0; i < patterns->n; i++) {
        enum fl_match one = fl_matcher_try(w, patterns->number[i], text, NULL);
        d->errors += one == FL_MATCH_ERROR;
        if (one != answer) {
            return false;
        }
    }
    return true;
}

static bool rest_holds(struct fl_diagnosis *d, struct fl_match_work *w, const struct fl_rule *rule,
                       struct fl_str text)
{
    return all_answer(d, w, &rule->all, FL_MATCH_YES, text) &&
           all_answer(d, w, &rule->none, FL_MATCH_NO, text);
}

static bool has(const struct hits *hits, uint32_t rule)
{
    for (size_t i = 0; i < hits->n; i++) {
        if (hits->rule[i] == rule) {
            return true;
        }
    }
    return false;
}

static void try_candidate(struct fl_diagnosis *d, const struct fl_candidate *candidate,
                          const struct fl_place *place, struct fl_str message, struct hits *hits)
{
    uint32_t pattern = candidate->pattern;
    struct fl_pattern_owner owner = d->set->line_owner[pattern];
    if (owner.rule == UINT32_MAX || d->set->rules[owner.rule].is_filter ||
        d->set->rules[owner.rule].broken || d->set->rules[owner.rule].state == FL_STATE_SHADOW) {
        return;
    }
    const struct fl_rule *rule = &d->set->rules[owner.rule];
    if (owner.kind == 0 && ((!rule->rows && has(hits, owner.rule)) || hits->n == 64)) {
        return;
    }
    struct fl_captures *c = &hits->captures[hits->n < 64 ? hits->n : 63];
    enum fl_match answer = fl_matcher_try(d->lines, pattern, message, c);
    d->errors += answer == FL_MATCH_ERROR;
    fl_habit_answer(&hits->habit, d->set, d->lines, candidate, answer);
    if (answer != FL_MATCH_YES) {
        return;
    }
    if (owner.kind != 0) {
        d->seen[pattern] = 1;
        d->seen_stream[pattern] = place->stream + 1;
        hits->noted = true;
        return;
    }
    uint32_t meant = fl_ruleset_resolve(d->set, owner.rule, c);
    if (meant == UINT32_MAX || has(hits, meant)) {
        return;
    }
    bool spread = rule->scope == FL_SCOPE_STREAM || rule->scope == FL_SCOPE_JOB;
    if (spread || rest_holds(d, d->lines, rule, message)) {
        hits->rule[hits->n++] = meant;
        hits->benign |= d->set->rules[meant].role == FL_ROLE_BENIGN;
    }
}

/* Code that a traceback quotes holds the same words as the message it raises. */
static bool is_source(struct fl_str message)
{
    struct fl_str code = fl_str_ltrim(message);
    bool quoted = fl_str_starts(code, FL_LIT("raise ")) || fl_str_starts(code, FL_LIT("assert ")) ||
                  fl_str_starts(code, FL_LIT("except ")) || fl_str_starts(code, FL_LIT("return "));
    /* the error may be glued to the line by another rank */
    return quoted && !fl_str_find(code, FL_LIT("AssertionError"));
}

enum fl_known fl_diagnosis_line(struct fl_diagnosis *d, const struct fl_place *place, struct fl_str message,
                       struct fl_str raw, uint64_t order, const struct fl_candidate *candidates,
                       size_t candidates_n)
{
    struct hits *hits = &d->hits;
    hits->n = 0;
    hits->benign = hits->noted = false;
    hits->habit.holds = false;
    hits->habit.acts_n = hits->habit.noes_n = 0;
    if (is_source(message)) {
        return FL_KNOWN_HARMLESS;
    }
    hits->habit.holds = true;
    for (size_t i = 0; i < candidates_n; i++) {
        try_candidate(d, &candidates[i], place, message, hits);
    }
    enum fl_known known = hits->n ? FL_KNOWN_HARMLESS : FL_KNOWN_NOT;
    double best = 0;
    bool stepped = false;
    for (size_t i = 0; i < hits->n; i++) {
        const struct fl_rule *rule = &d->set->rules[hits->rule[i]];
        best = rule->role <= FL_ROLE_SYMPTOM && rule->confidence > best ? rule->confidence : best;
        fl_habit_role(&hits->habit, rule->role);
    }
    for (size_t i = 0; i < hits->n; i++) {
        const struct fl_rule *rule = &d->set->rules[hits->rule[i]];
        bool blames = rule->role <= FL_ROLE_CONFIRMATION;
        bool vague = rule->role == FL_ROLE_ROOT && rule->confidence < best - much_vaguer;
        bool again = rule->role == FL_ROLE_PROGRESS && stepped; /* a line is one step at most */
        bool counts = !(hits->benign && blames) && !vague && !again;
        stepped |= rule->role == FL_ROLE_PROGRESS;
        tell(d, hits->rule[i], &hits->captures[i], place, message, raw, counts);
        if (counts) {
            act(d, hits->rule[i], &hits->captures[i], place, raw, order);
            hits->noted |= rule->role != FL_ROLE_BENIGN;
            known = blames || rule->role == FL_ROLE_SUCCESS ? FL_KNOWN_TELLING : known;
        }
    }
    return hits->noted && known != FL_KNOWN_TELLING ? FL_KNOWN_ROUTINE : known;
}

void fl_diagnosis_values(struct fl_diagnosis *d, const struct fl_place *place,
                         const struct fl_values *values, struct fl_str raw, uint64_t order)
{
    fl_series_add(&d->series, d->streams.list[place->stream].runs_n - 1, place, order, -1, values,
                  raw);
}

void fl_diagnosis_trouble(struct fl_diagnosis *d, uint32_t stream)
{
    run_of(d, stream)->trouble++;
}

static bool event_matches(struct fl_diagnosis *d, uint32_t pattern, struct fl_str text,
                          struct fl_captures *c)
{
    const struct fl_rule *rule = &d->set->rules[d->set->event_owner[pattern].rule];
    enum fl_match answer = fl_matcher_try(d->events, pattern, text, c);
    d->errors += answer == FL_MATCH_ERROR;
    return answer == FL_MATCH_YES && !rule->broken &&
           rest_holds(d, d->events, rule, text);
}

/* A harmless event: what its lines were blamed for is taken back. */
static void forgive(struct fl_diagnosis *d, const struct fl_place *place, long from, long to)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->findings_n; i++) {
        const struct fl_finding *f = &d->findings[i];
        bool inside = f->first.place.stream == place->stream && f->first.place.line >= from &&
                      f->last.place.line <= to && printer(&f->first.place) == printer(place);
        if (!inside) {
            d->findings[kept++] = d->findings[i];
        }
    }
    d->findings_n = kept;
}

bool fl_diagnosis_event(struct fl_diagnosis *d, const struct fl_place *place, struct fl_str text,
                        const struct fl_event_place *lines, size_t lines_n, uint64_t order)
{
    const struct fl_candidate *candidates = NULL;
    size_t n = 0;
    if (fl_matcher_propose(d->events, text, &candidates, &n) != FL_OK) {
        d->errors++;
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t rule_index = d->set->event_owner[candidates[i].pattern].rule;
        struct fl_captures c;
        if (!event_matches(d, candidates[i].pattern, text, &c)) {
            continue;
        }
        rule_index = fl_ruleset_resolve(d->set, rule_index, &c);
        if (rule_index == UINT32_MAX) {
            continue;
        }
        size_t k = 0;
        while (k + 1 < lines_n && lines[k + 1].at <= c.start) {
            k++;
        }
        uint32_t end = k + 1 < lines_n ? lines[k + 1].at - 1 : (uint32_t)text.n;
        struct fl_place where = *place;
        where.line = lines[k].line;
        where.offset = lines[k].offset;
        struct fl_str line = {text.p + lines[k].at, end - lines[k].at};
        tell(d, rule_index, &c, &where, text, line, true);
        if (d->set->rules[rule_index].role == FL_ROLE_BENIGN) {
            forgive(d, place, lines[0].line, lines[lines_n - 1].line);
            return true;
        }
        act(d, rule_index, &c, &where, line, order);
    }
    return false;
}

bool fl_diagnosis_holds(const struct fl_diagnosis *d, const struct fl_finding *f)
{
    const struct fl_rule *rule = &d->set->rules[f->rule];
    uint32_t stream = f->first.place.stream;
    bool job = rule->scope == FL_SCOPE_JOB;
    if (!job && rule->scope != FL_SCOPE_STREAM) {
        return true;
    }
    for (size_t i = 0; i < rule->all.n; i++) {
        uint32_t p = rule->all.number[i];
        if (!d->seen[p] || (!job && d->seen_stream[p] != stream + 1)) {
            return false;
        }
    }
    for (size_t i = 0; i < rule->none.n; i++) {
        uint32_t p = rule->none.number[i];
        if (d->seen[p] && (job || d->seen_stream[p] == stream + 1)) {
            return false;
        }
    }
    return true;
}

void fl_diagnosis_end(struct fl_diagnosis *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->findings_n; i++) {
        if (fl_diagnosis_holds(d, &d->findings[i])) {
            d->findings[kept++] = d->findings[i];
        }
    }
    d->findings_n = kept;
}
