/* SPDX-License-Identifier: Apache-2.0 */
#include "service/consult.h"

#include "rules/learn/derive.h"
#include "service/asking.h"
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/life.h"
#include "service/mine.h"
#include "service/remember.h"

#define LEARN_FROM 0.5  /* confidence */
#define SHOWN_FROM 0.15 /* similarity */

/* So long a model is not asked again about other jobs of a failure that it could not tell. */
enum { DEADLINE_S = 60, RULE_LINES = 3, UNTOLD_S = 3600 };

bool fl_consult_wanted(const struct fl_config *config)
{
    const char *url = config->value[FL_SET_BASE_URL];
    return !config->offline && url && *url;
}

static struct fl_ask_incident *ask_similar(struct fl_result *r, size_t *n_r)
{
    size_t n = 0;
    struct fl_ask_incident *list =
        fl_arena_alloc(&r->arena, (r->similar.n + 1) * sizeof *list);
    while (n < r->similar.n && r->similar.list[n].similarity >= SHOWN_FROM) {
        n++;
    }
    *n_r = n;
    for (size_t i = 0; list && i < n; i++) {
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

/* The cause that a person has called wrong for this failure, or "". */
static struct fl_str denied_cause(struct fl_result *r)
{
    struct fl_incident known;
    bool denied = r->store && r->incident.n &&
                  fl_incidents_get(r->store, r->incident, &r->arena, &known, NULL) == FL_OK &&
                  fl_str_eq(known.outcome, FL_LIT("wrong"));
    return denied ? known.cause : (struct fl_str){"", 0};
}

static const char *findings_in_words(struct fl_result *r, struct fl_str denied)
{
    const struct fl_verdict *v = &r->verdict;
    struct fl_buf text;
    fl_buf_init(&text, 4096);
    add_facts(r, &text);
    if (denied.n) {
        fl_buf_addf(&text, "- a person has looked: it is not %.*s\n", (int)denied.n, denied.p);
    }
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
    struct fl_verdict *v = &r->verdict;
    const struct fl_cause *cause = fl_taxonomy_find(&r->book->taxonomy, a->cause);
    struct fl_hypothesis h = {.cause = cause, .score = a->confidence,
                              .confidence = a->confidence, .summary = a->summary};
    const char **steps = fl_arena_alloc(&r->arena, (a->recovery_n + 1) * sizeof *steps);
    if (!cause || a->evidence_n == 0 || !steps) {
        r->model_note = "the model could not tell";
        return false;
    }
    for (size_t i = 0; i < a->evidence_n && h.evidence_n < FL_EVIDENCE_MAX; i++) {
        h.evidence[h.evidence_n++] = fl_telling_evidence(r, a->evidence[i].line_index);
    }
    for (size_t i = 0; i < a->recovery_n; i++) {
        steps[i] = a->recovery[i].p;
    }
    fl_verdict_lead(v, &h);
    v->method = FL_METHOD_MODEL;
    v->recoverable = a->recoverable;
    v->action = fl_action_known(a->action);
    v->action = v->action ? v->action : cause->action;
    v->recovery = a->recovery_n ? steps : cause->recovery;
    v->recovery_n = a->recovery_n ? a->recovery_n : cause->recovery_n;
    return true;
}

/* A rule of the first cited line that can bear one; when it is there already, one more job agrees. */
static void learn(struct fl_result *r, const struct fl_config *config,
                  const struct fl_ask_answer *a)
{
    char now[21];
    char id[64];
    struct fl_err err = {0};
    struct fl_buf pattern;
    const struct fl_cause *cause = r->verdict.hypotheses[0].cause;
    struct fl_proposal p = {.cause = cause, .summary = fl_str_of(cause->title), .kind = "learned",
                            .incident = r->incident, .model = a->model, .prompt = a->prompt_id,
                            .time = now};
    enum fl_status status = FL_DENIED;
    fl_clock_format(fl_clock_wall_s(), now);
    fl_buf_init(&pattern, FL_PATTERN_BYTES);
    p.job = fl_str_of(r->identity.name);
    for (size_t i = 0; i < a->evidence_n && i < RULE_LINES && status == FL_DENIED; i++) {
        p.sample = r->telling.lines[a->evidence[i].line_index].text;
        err = (struct fl_err){0};
        fl_buf_clear(&pattern);
        status = fl_derive(&fl_mine_prefixes, p.sample, &pattern, &err);
        p.pattern = fl_buf_str(&pattern);
        if (status == FL_OK) {
            status = fl_life_propose(config, r->book->set, &p, id, &err);
        }
    }
    if (status == FL_OK) {
        fl_log(FL_LOG_INFO, "rule %s proposed (see: faultline rules show %s)", id, id);
    }
    if (status == FL_OK || status == FL_CONFLICT) {
        fl_life_agree(config, r->book->set, id, &r->identity);
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

static enum fl_status ask(const struct fl_config *config, struct fl_result *r,
                          struct fl_asking *asking, struct fl_ask_answer *answer,
                          struct fl_err *err)
{
    const struct fl_taxonomy *t = &r->book->taxonomy;
    struct fl_str denied = denied_cause(r);
    const char **causes = fl_arena_alloc(&r->arena, (t->n + 1) * sizeof *causes);
    struct fl_ask question = {.lines = r->telling.lines, .lines_n = r->telling.n,
                              .findings = findings_in_words(r, denied), .causes = causes,
                              .actions = fl_actions, .actions_n = fl_actions_n,
                              .similar_n = 0};
    question.similar = ask_similar(r, &question.similar_n);
    *answer = (struct fl_ask_answer){.confidence = 0};
    if (!causes || !question.similar) {
        return fl_fail(err, FL_NOMEM, "no memory to ask the model");
    }
    for (size_t i = 0; i < t->n; i++) { /* a log may not talk the model into "healthy" */
        if (strcmp(t->causes[i].category, "none") != 0 &&
            !fl_str_eq(fl_str_of(t->causes[i].slug), denied)) {
            causes[question.causes_n++] = t->causes[i].slug;
        }
    }
    enum fl_status status = fl_asking_allowed(asking, config, err);
    if (status == FL_OK) {
        status = fl_ask(&asking->how, &question, &r->arena, answer, err);
        fl_asking_note(asking, status, err,
                       (struct fl_spending){.model = answer->model, .calls = answer->calls,
                                            .asked = answer->prompt_tokens,
                                            .answered = answer->completion_tokens});
    }
    return status;
}

/* Asks, and makes of the answer what can be made of it. */
static void ask_and_take(const struct fl_config *config, struct fl_result *r,
                         struct fl_asking *asking)
{
    struct fl_ask_answer answer;
    struct fl_err err = {0};
    enum fl_status status = ask(config, r, asking, &answer, &err);
    r->model = answer.model;
    r->model_calls = answer.calls;
    r->asked_tokens = answer.prompt_tokens;
    r->answer_tokens = answer.completion_tokens;
    r->money = fl_asking_money(config, r->asked_tokens, r->answer_tokens);
    if (status != FL_OK) {
        r->model_note = unverified(r, &answer, err.msg);
    }
    bool taken = status == FL_OK && take_answer(r, &answer);
    if (taken || answer.calls > 0) {
        fl_remember(r); /* before the next one who waits for this answer looks */
    }
    if (taken && r->remembered && answer.confidence >= LEARN_FROM) {
        learn(r, config, &answer);
    }
}

void fl_consult(const struct fl_config *config, struct fl_result *r)
{
    struct fl_asking asking;
    fl_asking_begin(&asking, config, DEADLINE_S, r->store, r->telling.print, &r->arena);
    bool known = fl_recall_again(r); /* somebody else has asked meanwhile */
    if (!known && fl_clock_wall_s() - r->seen.untold < UNTOLD_S) {
        r->model_note = "not asked: less than an hour ago it could not tell of another such job";
    } else if (!known) {
        ask_and_take(config, r, &asking);
    }
    fl_asking_end(&asking);
    if (r->model_note) {
        fl_log(FL_LOG_WARN, "model: %s", r->model_note);
    }
}
