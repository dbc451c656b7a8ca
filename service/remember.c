/* SPDX-License-Identifier: Apache-2.0 */
#include "service/remember.h"

#include "rag/groups.h"
#include "service/base/clock.h"
#include "service/base/hash.h"
#include "service/base/log.h"
#include "service/embedding.h"
#include "service/paths.h"

#include <stdio.h>

#define SAME 0.95 /* a fingerprint is no proof */

enum { TITLE_BYTES = 160, EVIDENCE = 3 };

static void open_store(const struct fl_config *config, struct fl_result *r)
{
    struct fl_err err = {0};
    char path[FL_PATHS_BYTES];
    const char *state = config->value[FL_SET_STATE];
    const char *seeds = fl_paths_data("data/incidents.jsonl", path);
    enum fl_status status =
        r->store ? FL_OK : fl_incidents_open(state, seeds, false, &r->store, &err);
    r->keeps = status == FL_OK && state && !config->forgets;
    if (status != FL_OK && state) {
        fl_log(FL_LOG_WARN, "%s (going on with the shipped incidents only)", err.msg);
        err = (struct fl_err){0};
        status = fl_incidents_open(NULL, seeds, false, &r->store, &err);
    }
    if (status != FL_OK) {
        fl_log(FL_LOG_WARN, "no memory of incidents: %s", err.msg);
    }
}

/* Equal fingerprints have equal ids, so that processes that meet a failure at once keep one incident. */
static struct fl_str id_of(struct fl_result *r, const char *print)
{
    char id[17];
    snprintf(id, sizeof id, "inc-%012llx",
             (unsigned long long)(fl_hash(fl_str_of(print), 1) & UINT64_C(0xffffffffffff)));
    return fl_arena_str(&r->arena, fl_str_of(id));
}

static struct fl_str summary_of(struct fl_result *r, const struct fl_incident *in,
                                const struct fl_cause *cause)
{
    struct fl_buf text;
    fl_buf_init(&text, FL_INCIDENT_PART + FL_INCIDENT_ID + 64);
    fl_buf_addf(&text, "as in incident %.*s: ", (int)in->id.n, in->id.p);
    fl_buf_add_str(&text, in->summary.n ? in->summary : fl_str_of(cause->title));
    struct fl_str kept = fl_arena_str(&r->arena, fl_buf_str(&text));
    fl_buf_free(&text);
    return kept.p ? kept : fl_str_of(cause->title);
}

/* The incident's verdict on this job; the lines that made it close are the evidence. */
static void adopt(struct fl_result *r, const struct fl_incident *in, double similarity)
{
    struct fl_verdict *v = &r->verdict;
    const struct fl_cause *cause = fl_taxonomy_find(&r->book->taxonomy, in->cause);
    if (!cause || r->telling.best_n == 0) {
        return;
    }
    struct fl_hypothesis h = {.cause = cause, .score = similarity, .confidence = similarity,
                              .summary = summary_of(r, in, cause)};
    for (size_t i = 0; i < r->telling.best_n && h.evidence_n < EVIDENCE; i++) {
        size_t line = r->telling.best[i];
        if (i == 0 || r->telling.lines[line].trouble) {
            h.evidence[h.evidence_n++] = fl_telling_evidence(r, line);
        }
    }
    const char **steps = fl_arena_alloc(&r->arena, sizeof *steps);
    bool solved = steps && in->resolution.n;
    if (solved) {
        steps[0] = in->resolution.p;
    }
    fl_verdict_lead(v, &h);
    v->method = FL_METHOD_INCIDENT;
    v->action = fl_action_known(in->action);
    v->action = v->action ? v->action : cause->action;
    v->recovery = solved ? steps : cause->recovery;
    v->recovery_n = solved ? 1 : cause->recovery_n;
}

/* What a model said of the same failure not long ago. */
static bool is_fresh(const struct fl_incident *in, const struct fl_seen *seen)
{
    return fl_str_eq(in->outcome, FL_LIT("unconfirmed")) && in->cause.n &&
           fl_clock_wall_s() - seen->modelled < FL_RECALL_FRESH_S;
}

/* The one that people say it is. */
static enum fl_status follow_merge(struct fl_result *r, struct fl_incident *alike, struct fl_err *err)
{
    struct fl_str root;
    enum fl_status status = fl_groups_root(r->store, alike->id, &r->arena, &root, err);
    return status == FL_OK && !fl_str_eq(root, alike->id)
               ? fl_incidents_get(r->store, root, &r->arena, alike, err)
               : status;
}

/* The incident that this failure is, if it was met before, and by whom. */
static enum fl_status look_up(struct fl_result *r, struct fl_incident *alike, bool *known_r,
                              struct fl_err *err)
{
    enum fl_status status =
        fl_incidents_alike(r->store, fl_str_of(r->telling.print), &r->arena, alike, err);
    *known_r = status == FL_OK;
    if (*known_r) {
        r->own_incident = alike->id;
        status = follow_merge(r, alike, err);
    }
    if (*known_r && status == FL_OK) {
        status = fl_verdicts_seen(r->store, alike->id, fl_str_of(r->identity.job), &r->seen, err);
    }
    return status == FL_NOTFOUND ? FL_OK : status;
}

static void answer_by(struct fl_result *r, const struct fl_incident *alike)
{
    if (fl_incident_is_confirmed(alike)) {
        adopt(r, alike, SAME);
    } else if (is_fresh(alike, &r->seen)) {
        adopt(r, alike, r->seen.confidence * SAME);
    }
}

bool fl_recall_again(struct fl_result *r)
{
    struct fl_err err = {0};
    struct fl_incident alike;
    bool known = false;
    if (r->store && look_up(r, &alike, &known, &err) == FL_OK && known) {
        answer_by(r, &alike);
    }
    return r->verdict.outcome != FL_OUTCOME_UNKNOWN;
}

static enum fl_status find_similar(const struct fl_config *config, struct fl_result *r,
                                   struct fl_err *err)
{
    struct fl_near near[FL_EMBEDDING_NEAR];
    struct fl_str text = fl_telling_text(&r->telling, &r->arena);
    bool unknown = r->verdict.outcome == FL_OUTCOME_UNKNOWN;
    size_t n = text.n && unknown ? fl_embedding_near(config, r, text, near) : 0;
    return text.n ? fl_retrieve_others(r->store, text, r->incident, near, n, FL_SIMILAR_MAX,
                                       &r->arena, &r->similar, err)
                  : FL_OK;
}

static enum fl_status recall(const struct fl_config *config, struct fl_result *r,
                             struct fl_err *err)
{
    struct fl_incident alike;
    bool known = false;
    enum fl_status status = look_up(r, &alike, &known, err);
    r->incident = known              ? alike.id
                  : *r->telling.print ? id_of(r, r->telling.print)
                                      : (struct fl_str){"", 0};
    r->own_incident = known ? r->own_incident : r->incident;
    if (status == FL_OK && known && r->verdict.outcome == FL_OUTCOME_UNKNOWN) {
        answer_by(r, &alike);
    }
    if (status == FL_OK) {
        status = find_similar(config, r, err);
    }
    const struct fl_hit *hit = r->similar.n ? &r->similar.list[0] : NULL;
    if (hit && r->verdict.outcome == FL_OUTCOME_UNKNOWN && hit->similarity >= FL_RECALL_CLOSE &&
        fl_incident_is_confirmed(&hit->incident)) {
        adopt(r, &hit->incident, hit->similarity);
    }
    return status;
}

void fl_recall(const struct fl_config *config, struct fl_result *r)
{
    struct fl_err err = {0};
    open_store(config, r);
    fl_telling_of(r, &r->telling);
    if (r->store && recall(config, r, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "no similar incidents: %s", err.msg);
    }
}

/* What is kept of a failure that is met for the first time. */
static struct fl_incident describe(struct fl_result *r)
{
    const struct fl_verdict *v = &r->verdict;
    struct fl_str text = fl_telling_redacted(r, fl_telling_text(&r->telling, &r->arena));
    struct fl_str title = r->telling.best_n ? r->telling.lines[r->telling.best[0]].text
                                            : (struct fl_str){"", 0};
    title = fl_telling_redacted(r, fl_str_trim(title));
    title.n = title.n < TITLE_BYTES ? title.n : TITLE_BYTES;
    return (struct fl_incident){.id = r->incident,
                                .cause = fl_str_of(v->cause ? v->cause->slug : ""),
                                .title = title,
                                .summary = fl_telling_redacted(r, v->summary),
                                .text = text,
                                .action = fl_str_of(v->cause ? v->action : ""),
                                .outcome = FL_LIT("unconfirmed"),
                                .origin = fl_str_of(fl_method_name(v->method)),
                                .job = fl_telling_redacted(r, fl_str_of(r->identity.name)),
                                .fingerprint = fl_str_of(r->telling.print)};
}

static enum fl_status keep(struct fl_result *r, struct fl_err *err)
{
    const struct fl_verdict *v = &r->verdict;
    struct fl_incident known;
    enum fl_status status = fl_incidents_get(r->store, r->incident, &r->arena, &known, NULL);
    struct fl_incident now = describe(r);
    bool is_new = status == FL_NOTFOUND;
    bool unsolved = status == FL_OK && (known.cause.n == 0 || fl_str_eq(known.outcome, FL_LIT("wrong")));
    bool better = unsolved && v->cause && !fl_str_eq(known.cause, now.cause) && known.text.n;
    if (is_new) {
        status = fl_incidents_add(r->store, &now, &r->arena, NULL, err);
        status = status == FL_CONFLICT ? FL_OK : status; /* another process was first */
    } else if (better) {
        now.created = known.created;
        now.resolution = known.resolution;
        status = fl_incidents_put(r->store, &now, err);
    }
    const struct fl_rule *rule = v->hypotheses_n ? v->hypotheses[0].rule : NULL;
    const struct fl_given given = {.job = fl_str_of(r->identity.job),
                                   .name = fl_str_of(r->identity.name),
                                   .incident = r->own_incident,
                                   .cause = now.cause,
                                   .method = fl_str_of(fl_method_name(v->method)),
                                   .rule = fl_str_of(rule ? rule->id : ""),
                                   .model = r->model,
                                   .confidence = v->confidence,
                                   .calls = r->model_calls,
                                   .asked = r->asked_tokens,
                                   .answered = r->answer_tokens,
                                   .seconds = r->seconds};
    return status == FL_OK ? fl_verdicts_keep(r->store, &given, err) : status;
}

void fl_remember(struct fl_result *r)
{
    struct fl_err err = {0};
    if (!r->store || !r->keeps || r->incident.n == 0 || r->remembered) {
        return;
    }
    r->remembered = true;
    if (keep(r, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "this failure is not remembered: %s", err.msg);
    }
}
