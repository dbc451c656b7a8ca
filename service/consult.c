/* SPDX-License-Identifier: Apache-2.0 */
#include "service/consult.h"

#include "rules/learn/derive.h"
#include "service/base/clock.h"
#include "service/base/hash.h"
#include "service/base/log.h"
#include "service/life.h"
#include "service/llm/ask_choose.h"
#include "service/llm/redact.h"
#include "service/mine.h"
#include "service/paths.h"

#include <stdlib.h>

enum { QUERY_BYTES = 8 * 1024, QUERY_LINES = 16, RULE_LINES = 3 };

bool fl_consult_wanted(const struct fl_config *config)
{
    const char *url = config->value[FL_SET_BASE_URL];
    return !config->offline && url && *url;
}

static bool is_finding(const struct fl_verdict *v, const struct fl_view_line *line)
{
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        for (size_t k = 0; k < v->hypotheses[i].evidence_n; k++) {
            const struct fl_place *at = &v->hypotheses[i].evidence[k].place;
            if (at->stream == line->stream && at->offset == line->offset) {
                return true;
            }
        }
    }
    return false;
}

/* The view as the model is shown it. */
static struct fl_ask_line *ask_lines(struct fl_result *r, size_t *n_r)
{
    uint32_t streams_n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &streams_n);
    const struct fl_view_line *view = fl_view_lines(fl_job_view(r->job), n_r);
    struct fl_ask_line *lines = fl_arena_alloc(&r->arena, (*n_r + 1) * sizeof *lines);
    struct fl_form form;
    for (size_t i = 0; lines && i < *n_r; i++) {
        const struct fl_view_line *last = i && view[i - 1].stream == view[i].stream ? &view[i - 1]
                                                                                    : NULL;
        fl_form_of(&fl_mine_prefixes, view[i].text, &form);
        lines[i] = (struct fl_ask_line){.kind = fl_hash((struct fl_str){form.text, form.n}, 0),
                                        .file = fl_str_of(streams[view[i].stream].name),
                                        .line = view[i].line,
                                        .rank = view[i].rank,
                                        .text = view[i].text,
                                        .gap_before = view[i].line > (last ? last->line : 0) + 1,
                                        .trouble = view[i].trouble,
                                        .finding = is_finding(&r->verdict, &view[i])};
    }
    return lines;
}

static int by_index(const void *a, const void *b)
{
    const size_t *x = a;
    const size_t *y = b;
    return (*x > *y) - (*x < *y);
}

struct fl_str fl_consult_query(struct fl_result *r)
{
    size_t best[QUERY_LINES];
    struct fl_buf text;
    struct fl_ask ask = {.lines_n = 0};
    ask.lines = ask_lines(r, &ask.lines_n);
    struct fl_str *clean = fl_arena_alloc(&r->arena, (ask.lines_n + 1) * sizeof *clean);
    if (!ask.lines || !clean) {
        return (struct fl_str){"", 0};
    }
    for (size_t i = 0; i < ask.lines_n; i++) {
        clean[i] = ask.lines[i].text;
    }
    size_t n = fl_ask_best(&ask, clean, QUERY_LINES, best);
    qsort(best, n, sizeof *best, by_index);
    fl_buf_init(&text, QUERY_BYTES);
    for (size_t i = 0; i < n; i++) {
        fl_buf_add_str(&text, clean[best[i]]);
        fl_buf_add_text(&text, "\n");
    }
    struct fl_str query = fl_arena_str(&r->arena, fl_buf_str(&text));
    fl_buf_free(&text);
    return query;
}

static struct fl_ask_incident *ask_similar(struct fl_result *r)
{
    struct fl_ask_incident *list =
        fl_arena_alloc(&r->arena, (r->similar.n + 1) * sizeof *list);
    for (size_t i = 0; list && i < r->similar.n; i++) {
        const struct fl_incident *in = &r->similar.list[i].incident;
        list[i] = (struct fl_ask_incident){in->id, in->cause, in->summary, in->resolution,
                                           r->similar.list[i].similarity};
    }
    return list;
}

static void add_facts(const struct fl_result *r, struct fl_buf *out)
{
    uint32_t n = 0;
    const struct fl_verdict *v = &r->verdict;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &n);
    long lines = 0;
    for (uint32_t i = 0; i < n; i++) {
        lines += streams[i].lines;
    }
    fl_buf_addf(out, "- %ld lines in %u file%s", lines, n, n == 1 ? "" : "s");
    if (v->last_step >= 0) {
        fl_buf_addf(out, ", last step %ld", v->last_step);
    }
    if (v->checkpoint >= 0) {
        fl_buf_addf(out, ", last checkpoint at step %ld", v->checkpoint);
    }
    fl_buf_add_text(out, "\n");
}

static const char *findings_in_words(struct fl_result *r)
{
    const struct fl_verdict *v = &r->verdict;
    struct fl_buf text;
    fl_buf_init(&text, 4096);
    add_facts(r, &text);
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        fl_buf_addf(&text, "- %s (%.2f)%s\n", v->hypotheses[i].cause->slug,
                    v->hypotheses[i].confidence,
                    v->hypotheses[i].healed ? ", but the job went on afterwards" : "");
    }
    for (size_t i = 0; i < v->symptoms_n; i++) {
        fl_buf_addf(&text, "- symptom: %s, %ld lines\n", v->symptoms[i].cause,
                    v->symptoms[i].count);
    }
    for (size_t i = 0; i < v->signals_n; i++) {
        const struct fl_signal *s = &v->signals[i];
        fl_buf_addf(&text, "- %s: %s, steps %ld to %ld\n", s->metric, s->kind, s->from_step,
                    s->to_step);
    }
    const char *kept = text.failed ? NULL : fl_arena_text(&r->arena, fl_buf_str(&text));
    fl_buf_free(&text);
    return kept;
}

/* The answer, checked by fl_ask, becomes the verdict; its citations are lines of the log. */
static bool take_answer(struct fl_result *r, const struct fl_ask_answer *a)
{
    size_t n = 0;
    struct fl_verdict *v = &r->verdict;
    const struct fl_view_line *view = fl_view_lines(fl_job_view(r->job), &n);
    const struct fl_cause *cause = fl_taxonomy_find(&r->book.taxonomy, a->cause);
    struct fl_hypothesis h = {.cause = cause, .score = a->confidence,
                              .confidence = a->confidence, .summary = a->summary};
    const char **steps = fl_arena_alloc(&r->arena, (a->recovery_n + 1) * sizeof *steps);
    if (!cause || a->evidence_n == 0 || !steps) {
        r->model_note = "the model could not tell";
        return false;
    }
    for (size_t i = 0; i < a->evidence_n && h.evidence_n < FL_EVIDENCE_MAX; i++) {
        const struct fl_view_line *line = &view[a->evidence[i].line_index];
        h.evidence[h.evidence_n++] = (struct fl_evidence){
            {.stream = line->stream, .line = line->line, .offset = line->offset,
             .rank = line->rank, .local_rank = -1, .gpu = -1}, line->text, NULL};
    }
    for (size_t i = 0; i < a->recovery_n; i++) {
        steps[i] = a->recovery[i].p;
    }
    v->outcome = FL_OUTCOME_FAILED;
    v->cause = cause;
    for (size_t i = v->hypotheses_n < FL_HYPOTHESES_MAX ? v->hypotheses_n : FL_HYPOTHESES_MAX - 1;
         i > 0; i--) {
        v->hypotheses[i] = v->hypotheses[i - 1];
    }
    v->hypotheses[0] = h;
    v->hypotheses_n += v->hypotheses_n < FL_HYPOTHESES_MAX;
    v->method = FL_METHOD_MODEL;
    v->score = a->confidence;
    v->confidence = a->confidence;
    v->summary = a->summary;
    v->severity = cause->severity;
    v->recoverable = a->recoverable;
    v->action = fl_action_known(a->action);
    v->action = v->action ? v->action : cause->action;
    v->recovery = a->recovery_n ? steps : cause->recovery;
    v->recovery_n = a->recovery_n ? a->recovery_n : cause->recovery_n;
    v->faulty.rank = h.evidence[0].place.rank;
    return true;
}

static struct fl_str redacted(struct fl_result *r, struct fl_str text)
{
    struct fl_redact *redact = malloc(sizeof *redact);
    struct fl_buf out;
    struct fl_str kept = {"", 0};
    fl_buf_init(&out, 2 * text.n + 64);
    if (redact) {
        fl_redact_init(redact);
        if (fl_redact_add(redact, text, &out) == FL_OK) {
            kept = fl_arena_str(&r->arena, fl_buf_str(&out));
        }
    }
    free(redact);
    fl_buf_free(&out);
    return kept;
}

static struct fl_str job_name(struct fl_result *r)
{
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &n);
    return fl_str_of(n ? streams[0].name : "");
}

static struct fl_str store_incident(struct fl_result *r, const struct fl_ask_answer *a)
{
    struct fl_err err = {0};
    struct fl_str id = {"", 0};
    struct fl_buf text;
    fl_buf_init(&text, FL_INCIDENT_PART);
    for (size_t i = 0; i < r->verdict.hypotheses[0].evidence_n; i++) {
        fl_buf_add_str(&text, r->verdict.hypotheses[0].evidence[i].text);
        fl_buf_add_text(&text, "\n");
    }
    struct fl_incident in = {.cause = a->cause,
                             .title = a->summary,
                             .summary = a->summary,
                             .text = redacted(r, fl_buf_str(&text)),
                             .action = fl_str_of(r->verdict.action),
                             .outcome = FL_LIT("unconfirmed"),
                             .origin = FL_LIT("learned"),
                             .job = job_name(r)};
    in.title.n = in.title.n > 120 ? 120 : in.title.n;
    if (!r->store || fl_incidents_add(r->store, &in, &r->arena, &id, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "incident not stored: %s", err.msg);
    }
    fl_buf_free(&text);
    return id;
}

/* A rule of the first cited line that can bear one. */
static void learn(struct fl_result *r, const struct fl_config *config,
                  const struct fl_ask_answer *a)
{
    size_t n = 0;
    char now[21];
    char id[64];
    struct fl_err err = {0};
    struct fl_buf pattern;
    const struct fl_view_line *view = fl_view_lines(fl_job_view(r->job), &n);
    const struct fl_cause *cause = r->verdict.hypotheses[0].cause;
    struct fl_str incident = store_incident(r, a);
    enum fl_status status = FL_DENIED;
    fl_clock_format(fl_clock_wall_s(), now);
    fl_buf_init(&pattern, FL_PATTERN_BYTES);
    for (size_t i = 0; i < a->evidence_n && i < RULE_LINES && status == FL_DENIED; i++) {
        struct fl_str line = view[a->evidence[i].line_index].text;
        err = (struct fl_err){0};
        fl_buf_clear(&pattern);
        status = fl_derive(&fl_mine_prefixes, line, &pattern, &err);
        const struct fl_proposal p = {.pattern = fl_buf_str(&pattern), .sample = line,
                                      .cause = cause, .summary = fl_str_of(cause->title),
                                      .kind = "learned", .job = job_name(r),
                                      .incident = incident, .model = a->model,
                                      .prompt = a->prompt_id, .time = now};
        if (status == FL_OK) {
            status = fl_life_propose(config, r->book.set, &p, id, &err);
        }
    }
    if (status == FL_OK) {
        fl_log(FL_LOG_INFO, "rule %s proposed (see: faultline rules show %s)", id, id);
    } else {
        fl_log(FL_LOG_WARN, "%s", err.msg);
    }
    fl_buf_free(&pattern);
}

/* Nothing supports it: shown as what it is, and no more. */
static const char *unverified(struct fl_result *r, const struct fl_ask_answer *a, const char *why)
{
    struct fl_buf text;
    fl_buf_init(&text, 2048);
    fl_buf_addf(&text, "%s", why);
    if (a->cause.n) {
        fl_buf_add_text(&text, "; unverified, it says ");
        fl_buf_add_str(&text, a->cause);
        fl_buf_add_text(&text, ": ");
        fl_buf_add_str(&text, a->summary);
    }
    const char *kept = fl_arena_text(&r->arena, fl_buf_str(&text));
    fl_buf_free(&text);
    return kept ? kept : "no memory";
}

void fl_consult(const struct fl_config *config, struct fl_result *r)
{
    const struct fl_taxonomy *t = &r->book.taxonomy;
    const char **causes = fl_arena_alloc(&r->arena, (t->n + 1) * sizeof *causes);
    struct fl_ask ask = {.findings = findings_in_words(r), .causes = causes,
                         .actions = fl_actions, .actions_n = fl_actions_n,
                         .similar = ask_similar(r), .similar_n = r->similar.n};
    ask.lines = ask_lines(r, &ask.lines_n);
    if (!causes || !ask.lines || !ask.similar) {
        r->model_note = "no memory to ask the model";
        return;
    }
    for (size_t i = 0; i < t->n; i++) { /* a log may not talk the model into "healthy" */
        if (strcmp(t->causes[i].category, "none") != 0) {
            causes[ask.causes_n++] = t->causes[i].slug;
        }
    }
    char prompts[FL_PATHS_BYTES];
    struct fl_ask_config endpoint = {.base_url = config->value[FL_SET_BASE_URL],
                                     .api_key = config->value[FL_SET_API_KEY],
                                     .model = config->value[FL_SET_MODEL],
                                     .prompts_dir = fl_paths_data("prompts", prompts),
                                     .deadline_s = fl_config_int(config, FL_SET_DEADLINE, 60)};
    struct fl_ask_answer answer = {.confidence = 0};
    struct fl_err err = {0};
    enum fl_status status = fl_ask(&endpoint, &ask, &r->arena, &answer, &err);
    r->model_calls = answer.calls;
    r->model_tokens = answer.prompt_tokens + answer.completion_tokens;
    if (status != FL_OK) {
        r->model_note = unverified(r, &answer, err.msg);
    } else if (take_answer(r, &answer) && config->value[FL_SET_STATE]) {
        learn(r, config, &answer);
    }
    if (r->model_note) {
        fl_log(FL_LOG_WARN, "model: %s", r->model_note);
    }
}
