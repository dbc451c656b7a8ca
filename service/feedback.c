/* SPDX-License-Identifier: Apache-2.0 */
#include "service/feedback.h"

#include "rag/verdicts.h"
#include "service/life.h"

#include <stdio.h>

enum { CONTRADICTED = 16 }; /* rules */

/* One word being taken in. */
struct taking {
    const struct fl_config *config;
    const struct fl_rulebook *book;
    const struct fl_feedback *word;
    struct fl_incidents *store;
    struct fl_arena arena;
    struct fl_incident incident;
    struct fl_buf *out;
    struct fl_err *err;
};

static enum fl_status check(struct taking *t)
{
    const struct fl_feedback *word = t->word;
    if (word->cause && !fl_taxonomy_find(&t->book->taxonomy, fl_str_of(word->cause))) {
        return fl_fail(t->err, FL_USAGE, "--cause %.60s is no cause (they are the \"slug\" of"
                       " data/taxonomy.json)", word->cause);
    }
    if (word->right && word->cause && t->incident.cause.n &&
        !fl_str_eq(t->incident.cause, fl_str_of(word->cause))) {
        return fl_fail(t->err, FL_USAGE, "incident %s has the cause %s; if it is %s, say: feedback"
                       " %s wrong --cause %s", word->incident, t->incident.cause.p, word->cause,
                       word->incident, word->cause);
    }
    if (word->right && !word->cause && t->incident.cause.n == 0) {
        return fl_fail(t->err, FL_USAGE, "nobody knew the cause of incident %s: give it with --cause",
                       word->incident);
    }
    return FL_OK;
}

static enum fl_status change_incident(struct taking *t)
{
    struct fl_incident *in = &t->incident;
    const struct fl_feedback *word = t->word;
    const struct fl_cause *cause =
        word->cause ? fl_taxonomy_find(&t->book->taxonomy, fl_str_of(word->cause)) : NULL;
    if (cause && !fl_str_eq(in->cause, fl_str_of(cause->slug))) {
        in->cause = fl_str_of(cause->slug);
        in->action = fl_str_of(cause->action);
        in->summary = fl_str_of(cause->title); /* what was said was said of another cause */
        in->origin = FL_LIT("operator");
    }
    if (word->fix) {
        in->resolution = fl_str_of(word->fix);
    }
    in->outcome = !word->right && !cause ? FL_LIT("wrong")
                  : in->resolution.n     ? FL_LIT("resolved")
                                         : FL_LIT("confirmed");
    return fl_incidents_put(t->store, in, t->err);
}

/* Was the rule learned from this incident? */
static bool comes_from(const struct fl_rule *rule, struct fl_str incident)
{
    fl_json *origin = NULL;
    struct fl_err ignored = {0};
    bool comes = !rule->is_filter && fl_rule_is_learned(rule) && rule->origin_json &&
                 fl_json_parse(fl_str_of(rule->origin_json), "origin", &origin, &ignored) == FL_OK &&
                 fl_str_eq(fl_json_get_str(origin, "incident"), incident);
    fl_json_free(origin);
    return comes;
}

static void decide_rule(struct taking *t, const struct fl_rule *rule)
{
    struct fl_err fault = {0};
    bool agrees = t->word->right && fl_str_eq(fl_str_of(rule->cause->slug), t->incident.cause);
    enum fl_life_verb verb = agrees ? FL_LIFE_ACTIVATE : FL_LIFE_REVOKE;
    char reason[200];
    if (agrees && rule->state == FL_STATE_ACTIVE) {
        return;
    }
    snprintf(reason, sizeof reason, "incident %.120s is %s", t->word->incident,
             t->word->right ? "correct" : "wrong");
    if (fl_life_change(t->config, t->book->set, rule->id, verb, t->word->actor, reason, NULL,
                       &fault) != FL_OK) {
        fl_buf_addf(t->out, "rule %s stays as it is: %s\n", rule->id, fault.msg);
    } else if (agrees) {
        fl_buf_addf(t->out, "rule %s, learned from it, is active now\n", rule->id);
    } else {
        fl_buf_addf(t->out, "rule %s, learned from it, is revoked\n", rule->id);
    }
}

/* A learned rule that said otherwise is contradicted. */
static void retire_those_who_said_so(struct taking *t)
{
    struct fl_str ids[CONTRADICTED];
    size_t n = 0;
    struct fl_err fault = {0};
    if (fl_verdicts_rules(t->store, fl_str_of(t->word->incident), &t->arena, ids, CONTRADICTED, &n,
                          &fault) != FL_OK) {
        fl_buf_addf(t->out, "%s\n", fault.msg);
    }
    for (size_t i = 0; i < n; i++) {
        const struct fl_rule *rule = fl_ruleset_find(t->book->set, ids[i]);
        char reason[200];
        fault = (struct fl_err){0};
        snprintf(reason, sizeof reason, "contradicted: incident %.120s is wrong", t->word->incident);
        if (rule && fl_rule_is_learned(rule) && rule->state == FL_STATE_ACTIVE &&
            !comes_from(rule, fl_str_of(t->word->incident)) &&
            fl_life_change(t->config, t->book->set, rule->id, FL_LIFE_RETIRE, t->word->actor,
                           reason, NULL, &fault) == FL_OK) {
            fl_buf_addf(t->out, "rule %s, which said so, is retired\n", rule->id);
        }
    }
}

static enum fl_status take(struct taking *t)
{
    const struct fl_feedback *word = t->word;
    struct fl_str id = fl_str_of(word->incident);
    long n = 0;
    enum fl_status status = fl_incidents_get(t->store, id, &t->arena, &t->incident, t->err);
    if (status == FL_OK) {
        status = check(t);
    }
    if (status == FL_OK) {
        status = change_incident(t);
    }
    if (status == FL_OK) {
        status = fl_verdicts_judge(t->store, id, word->right,
                                   fl_str_of(word->cause ? word->cause : ""), &n, t->err);
    }
    if (status != FL_OK) {
        return status;
    }
    fl_buf_addf(t->out, "incident %s: %s", word->incident, word->right ? "correct" : "wrong");
    if (t->incident.cause.n) {
        fl_buf_addf(t->out, ", cause %s", t->incident.cause.p);
    }
    fl_buf_addf(t->out, "; %ld verdict%s marked\n", n, n == 1 ? "" : "s");
    if (!word->right) {
        retire_those_who_said_so(t);
    }
    for (uint32_t i = 0; i < t->book->set->rules_n; i++) {
        if (comes_from(&t->book->set->rules[i], id)) {
            decide_rule(t, &t->book->set->rules[i]);
        }
    }
    return t->out->failed;
}

enum fl_status fl_feedback(const struct fl_config *config, const struct fl_rulebook *book,
                           const struct fl_feedback *feedback, struct fl_buf *out,
                           struct fl_err *err)
{
    struct taking t = {.config = config, .book = book, .word = feedback, .out = out, .err = err};
    const char *state = config->value[FL_SET_STATE];
    fl_arena_init(&t.arena, 1 << 20);
    enum fl_status status = state ? fl_incidents_open(state, NULL, false, &t.store, err)
                                  : fl_fail(err, FL_USAGE, "no state folder: give --state DIR");
    if (status == FL_OK) {
        status = take(&t);
    }
    fl_incidents_close(t.store);
    fl_arena_free(&t.arena);
    return status;
}
