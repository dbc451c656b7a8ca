/* SPDX-License-Identifier: Apache-2.0 */
#include "service/life.h"

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/llm/redact.h"

#include <stdio.h>
#include <stdlib.h>

static const double alarm_share = 0.40;
static const double alarm_growth = 1.5;
static const double doubling_share = 0.10;

enum { ALARM_LINES = 100, ALARM_JOBS = 3 };

enum fl_status fl_life_terms_read(const struct fl_config *config, struct fl_life_terms *out,
                                  struct fl_err *err)
{
    struct fl_str text = fl_str_of(config->value[FL_SET_AUTO_ACTIVATE]);
    *out = (struct fl_life_terms){.jobs = 3, .names = 2, .lines = 100};
    out->off = fl_str_eq(text, FL_LIT("off"));
    if (text.n == 0 || out->off) {
        return FL_OK;
    }
    out->automatic = true;
    if (fl_str_eq(text, FL_LIT("on"))) {
        return FL_OK;
    }
    long *const numbers[] = {&out->jobs, &out->names, &out->lines};
    bool good = true;
    for (size_t i = 0; good && i < 3; i++) {
        good = fl_str_take_number(&text, numbers[i]) && *numbers[i] > 0 &&
               (i == 2 ? text.n == 0 : text.n && *text.p == ',');
        text = text.n ? fl_str_skip(text, 1) : text;
    }
    return good ? FL_OK : fl_fail(err, FL_USAGE, "%s must be off, on, or JOBS,NAMES,LINES such as "
                                  "3,2,100", fl_config_name(FL_SET_AUTO_ACTIVATE));
}

bool fl_life_is_proved(const struct fl_life_terms *terms, const struct fl_rule_record *r)
{
    return r->jobs >= terms->jobs && r->names >= terms->names && r->lines >= terms->lines &&
           r->telling == 0;
}

static enum fl_status open_log(const struct fl_config *config, struct fl_incidents **store_r,
                               struct fl_err *err)
{
    const char *state = config->value[FL_SET_STATE];
    return state ? fl_incidents_open(state, NULL, false, store_r, err)
                 : fl_fail(err, FL_USAGE, "no state folder: give --state DIR");
}

/* A text that is to be kept: without its secrets, if it has any. A pattern that needs one of them does
 * not match its own sample then, and is refused. */
static enum fl_status hide_secrets(struct fl_str *text, struct fl_buf *kept, struct fl_err *err)
{
    uint64_t secrets = 0;
    fl_buf_init(kept, 2 * text->n + 64);
    enum fl_status status = fl_redact_text(*text, kept, &secrets);
    if (status == FL_OK && secrets) {
        *text = fl_buf_str(kept);
    }
    return status == FL_OK ? FL_OK : fl_fail(err, status, "no memory to hide secrets");
}

enum fl_status fl_life_propose(const struct fl_config *config, const struct fl_ruleset *set,
                               const struct fl_proposal *proposal, char id[64],
                               struct fl_err *err)
{
    struct fl_guard guard;
    struct fl_incidents *store = NULL;
    struct fl_proposal p = *proposal;
    struct fl_buf sample = {0};
    struct fl_buf job = {0};
    fl_guard_init(&guard);
    enum fl_status status = open_log(config, &store, err);
    if (status == FL_OK) {
        status = hide_secrets(&p.sample, &sample, err);
    }
    if (status == FL_OK) {
        status = hide_secrets(&p.job, &job, err);
    }
    if (status == FL_OK && !p.guard) {
        status = fl_life_guard(config, &guard, err);
        p.guard = &guard;
    }
    if (status == FL_OK) {
        status = fl_learn_propose(set, config->value[FL_SET_STATE], &p, id, err);
    }
    if (status == FL_OK) {
        const struct fl_rule_change change = {
            .actor = p.model.n ? p.model : fl_str_of(p.kind), .rule = fl_str_of(id),
            .now = FL_LIT("proposed"), .reason = p.incident.n ? p.incident : p.job};
        struct fl_err fault = {0};
        if (fl_rulelog_change(store, &change, false, NULL, NULL, &fault) != FL_OK) {
            fl_log(FL_LOG_WARN, "rule %s proposed, but not journalled: %s", id, fault.msg);
        }
    }
    fl_incidents_close(store);
    fl_guard_free(&guard);
    fl_buf_free(&sample);
    fl_buf_free(&job);
    return status;
}

/* From which states, to which. */
static const struct {
    bool from[4];
    enum fl_rule_state to;
    const char *says; /* the journal's word for the new state, NULL: its name */
} steps[] = {
    [FL_LIFE_APPROVE] = {{true, false, false, true}, FL_STATE_SHADOW, NULL},
    [FL_LIFE_ACTIVATE] = {{true, true, false, true}, FL_STATE_ACTIVE, NULL},
    [FL_LIFE_REJECT] = {{true, true, false, false}, FL_STATE_RETIRED, "rejected"},
    [FL_LIFE_RETIRE] = {{false, true, true, false}, FL_STATE_RETIRED, NULL},
    [FL_LIFE_REVOKE] = {{true, true, true, true}, FL_STATE_RETIRED, "revoked"},
    [FL_LIFE_SUSPEND] = {{false, false, true, false}, FL_STATE_SHADOW, NULL},
};

/* The rule as the proposal it once was, through the gate of today. */
static enum fl_status pass_gate(const struct fl_config *config, const struct fl_ruleset *set,
                                const struct fl_rule *rule, struct fl_err *err)
{
    struct fl_guard guard;
    struct fl_buf samples;
    if (rule->any.n != 1 || rule->all.n || rule->none.n || rule->match.n == 0) {
        return fl_fail(err, FL_DENIED, "rule %s has not the form of a learned rule", rule->id);
    }
    fl_guard_init(&guard);
    fl_buf_init(&samples, 1 << 20);
    for (size_t i = 1; i < rule->match.n; i++) {
        fl_buf_add_str(&samples, rule->match.item[i]);
        fl_buf_add_text(&samples, "\n");
    }
    const struct fl_proposal p = {.is_filter = rule->is_filter, .pattern = rule->any.text[0],
                                  .sample = rule->match.item[0], .samples = fl_buf_str(&samples),
                                  .cause = rule->cause, .guard = &guard};
    enum fl_status status = fl_life_guard(config, &guard, err);
    if (status == FL_OK) {
        status = fl_gate(set, &p, err);
    }
    fl_buf_free(&samples);
    fl_guard_free(&guard);
    return status;
}

static enum fl_status commit(void *ctx, struct fl_err *err)
{
    return fl_learn_commit(ctx, err);
}

/* Has the step been checked, it is made: journal and file, or neither. Should the database fail at
 * its very last act, the file is put back. */
static enum fl_status make_step(struct fl_incidents *store, struct fl_learn_edit *edit,
                                struct fl_rule *rule, enum fl_life_verb verb,
                                struct fl_rule_change *change, struct fl_err *err)
{
    enum fl_rule_state was = rule->state;
    change->was = fl_str_of(fl_state_name(was));
    change->now = fl_str_of(steps[verb].says ? steps[verb].says : fl_state_name(steps[verb].to));
    if (verb == FL_LIFE_REVOKE) {
        fl_learn_remove(edit, rule);
    } else {
        fl_learn_set_state(edit, rule, steps[verb].to);
    }
    enum fl_status status =
        fl_rulelog_change(store, change, verb == FL_LIFE_REVOKE, commit, edit, err);
    if (status != FL_OK && !edit->touched[rule->is_filter]) {
        struct fl_err fault = {0};
        edit->gone[rule - edit->set->rules] = false;
        fl_learn_set_state(edit, rule, was);
        if (fl_learn_commit(edit, &fault) != FL_OK) {
            fl_log(FL_LOG_WARN, "rule %s changed, but not journalled: %s", rule->id, fault.msg);
        }
    }
    return status;
}

static enum fl_status find_learned(const struct fl_learn_edit *edit, const struct fl_ruleset *set,
                                   const char *id, struct fl_rule **rule_r, struct fl_err *err)
{
    *rule_r = fl_learn_find(edit, fl_str_of(id));
    if (*rule_r) {
        return FL_OK;
    }
    const struct fl_rule *other = fl_ruleset_find(set, fl_str_of(id));
    return other ? fl_fail(err, FL_NOTFOUND, "rule %s is not a learned one (it is of %s)", id,
                           other->file)
                 : fl_fail(err, FL_NOTFOUND, "no learned rule %s (see: faultline rules list)", id);
}

/* What a revoked rule said no longer counts. */
static void retract(struct fl_incidents *store, const char *id)
{
    struct fl_err err = {0};
    long n = 0;
    if (fl_verdicts_retract(store, fl_str_of(id), &n, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "verdicts of rule %s are not marked: %s", id, err.msg);
    } else if (n) {
        fl_log(FL_LOG_INFO, "%ld verdict%s that rule %s gave %s retracted", n, n == 1 ? "" : "s", id,
               n == 1 ? "is" : "are");
    }
}

enum fl_status fl_life_change(const struct fl_config *config, const struct fl_ruleset *set,
                              const char *id, enum fl_life_verb verb, const char *actor,
                              const char *reason, const char **now_r, struct fl_err *err)
{
    struct fl_learn_edit edit;
    struct fl_incidents *store = NULL;
    struct fl_rule *rule = NULL;
    enum fl_status status = open_log(config, &store, err);
    if (status != FL_OK) {
        return status;
    }
    status = fl_learn_begin(set->taxonomy, config->value[FL_SET_STATE], &edit, err);
    if (status != FL_OK) {
        fl_incidents_close(store);
        return status;
    }
    status = find_learned(&edit, set, id, &rule, err);
    if (status == FL_OK && !steps[verb].from[rule->state]) {
        status = fl_fail(err, FL_CONFLICT, "rule %s is %s%s", id, fl_state_name(rule->state),
                         verb == FL_LIFE_APPROVE && rule->state == FL_STATE_SHADOW
                             ? " already; to apply it: faultline rules approve --active" : "");
    }
    if (status == FL_OK && (verb == FL_LIFE_APPROVE || verb == FL_LIFE_ACTIVATE)) {
        status = pass_gate(config, set, rule, err);
    }
    if (status == FL_OK) {
        struct fl_rule_change change = {.actor = fl_str_of(actor), .rule = fl_str_of(id),
                                        .reason = fl_str_of(reason ? reason : "")};
        status = make_step(store, &edit, rule, verb, &change, err);
        if (status == FL_OK && verb == FL_LIFE_REVOKE) {
            retract(store, id);
        }
        if (status == FL_OK && now_r) {
            *now_r = steps[verb].says ? steps[verb].says : fl_state_name(steps[verb].to);
        }
    }
    fl_learn_end(&edit);
    fl_incidents_close(store);
    return status;
}

/* One job's uses, and what they lead to. */
struct counting {
    const struct fl_config *config;
    struct fl_result *result;
    struct fl_incidents *store;
    struct fl_life_terms terms;
};

static struct fl_str shown(struct counting *c, const struct fl_tallied *t)
{
    struct fl_buf hidden;
    struct fl_buf safe;
    fl_buf_init(&hidden, 2 * FL_TALLY_SAMPLE + 64);
    fl_buf_init(&safe, 8 * FL_TALLY_SAMPLE + 256);
    if (fl_redact_text((struct fl_str){t->sample, t->sample_n}, &hidden, NULL) == FL_OK) {
        fl_buf_add_safe(&safe, fl_buf_str(&hidden));
    }
    struct fl_str kept = fl_arena_str(&c->result->arena, fl_buf_str(&safe));
    fl_buf_free(&hidden);
    fl_buf_free(&safe);
    return kept;
}

static void warn_reader(struct fl_result *r, const char *words)
{
    const char *kept = fl_arena_text(&r->arena, fl_str_of(words));
    fl_log(FL_LOG_WARN, "%s", words);
    if (kept && r->warnings_n < FL_WARNINGS_MAX) {
        r->warnings[r->warnings_n++] = kept;
    }
}

static bool is_alarming(const struct fl_rule_record *r, const struct fl_rule_use *use)
{
    double share = (double)use->lines / (double)(use->total ? use->total : 1);
    bool much = share > alarm_share && share > alarm_growth * r->most;
    bool doubled = share >= doubling_share && share >= 2 * r->most;
    return r->others >= ALARM_JOBS && use->lines >= ALARM_LINES && (much || doubled);
}

static void suspend(struct counting *c, const struct fl_rule *rule, const struct fl_rule_use *use,
                    const struct fl_rule_record *record)
{
    struct fl_err err = {0};
    char reason[160];
    char words[400];
    snprintf(reason, sizeof reason, "dropped %.0f %% of the lines of a job, before at most %.1f %%",
             100.0 * (double)use->lines / (double)(use->total ? use->total : 1),
             100.0 * record->most);
    if (fl_life_change(c->config, c->result->book->set, rule->id, FL_LIFE_SUSPEND, "faultline",
                       reason, NULL, &err) == FL_OK) {
        snprintf(words, sizeof words, "learned rule %s %s: suspended (look: faultline rules show %s)",
                 rule->id, reason, rule->id);
    } else {
        snprintf(words, sizeof words, "learned rule %s %s, and could not be suspended: %.100s",
                 rule->id, reason, err.msg);
    }
    warn_reader(c->result, words);
}

static void activate(struct counting *c, const struct fl_rule *rule,
                     const struct fl_rule_record *record)
{
    struct fl_err err = {0};
    char reason[160];
    snprintf(reason, sizeof reason, "proved in shadow: %ld lines in %ld jobs of %ld names, none telling",
             record->lines, record->jobs, record->names);
    if (fl_life_change(c->config, c->result->book->set, rule->id, FL_LIFE_ACTIVATE, "faultline",
                       reason, NULL, &err) == FL_OK) {
        fl_log(FL_LOG_INFO, "learned rule %s is active now (%s)", rule->id, reason);
    } else {
        fl_log(FL_LOG_WARN, "learned rule %s stays in shadow: %s", rule->id, err.msg);
    }
}

static void judge(struct counting *c, const struct fl_rule *rule, const struct fl_rule_use *use)
{
    struct fl_rule_record record;
    struct fl_err err = {0};
    if (!rule->is_filter || !fl_rule_is_learned(rule)) {
        return;
    }
    if (fl_rulelog_record(c->store, use->rule, use->job, use->name, &record, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "%s", err.msg);
    } else if (rule->state == FL_STATE_ACTIVE && is_alarming(&record, use)) {
        suspend(c, rule, use, &record);
    } else if (rule->state == FL_STATE_SHADOW && c->terms.automatic &&
               fl_life_is_proved(&c->terms, &record)) {
        activate(c, rule, &record);
    }
}

/* uses[i] is of the rule at[i]. */
static size_t collect(struct counting *c, struct fl_rule_use *uses, uint32_t *at)
{
    const struct fl_tally *tally = fl_job_tally(c->result->job);
    size_t n = 0;
    for (uint32_t i = 0; i < tally->set->rules_n; i++) {
        const struct fl_tallied *t = &tally->of[i];
        const struct fl_rule *rule = &tally->set->rules[i];
        if (t->lines) {
            at[n] = i;
            uses[n++] = (struct fl_rule_use){fl_str_of(rule->id), fl_str_of(c->result->identity.job),
                                             fl_str_of(c->result->identity.name),
                                             fl_str_of(fl_state_name(rule->state)), t->lines,
                                             t->telling, c->result->identity.lines, shown(c, t), {"", 0}};
        }
    }
    return n;
}

void fl_life_count(const struct fl_config *config, struct fl_result *result)
{
    const struct fl_tally *tally = fl_job_tally(result->job);
    struct counting c = {.config = config, .result = result};
    struct fl_err err = {0};
    if (!tally || !config->value[FL_SET_STATE]) {
        return;
    }
    struct fl_rule_use *uses = calloc(tally->set->rules_n, sizeof *uses);
    uint32_t *at = calloc(tally->set->rules_n, sizeof *at);
    size_t n = 0;
    enum fl_status status = uses && at ? FL_OK : fl_fail(&err, FL_NOMEM, "no memory");
    if (status == FL_OK) {
        n = collect(&c, uses, at);
        status = n ? fl_life_terms_read(config, &c.terms, &err) : FL_OK;
    }
    if (status == FL_OK && n) {
        status = open_log(config, &c.store, &err);
    }
    if (status == FL_OK && n) {
        status = fl_rulelog_use(c.store, uses, n, &err);
    }
    for (size_t i = 0; status == FL_OK && i < n; i++) {
        judge(&c, &tally->set->rules[at[i]], &uses[i]);
    }
    if (status != FL_OK) {
        fl_log(FL_LOG_WARN, "what learned rules did was not counted: %s", err.msg);
    }
    fl_incidents_close(c.store);
    free(uses);
    free(at);
}

static enum fl_status note_refusal(void *ctx, const struct fl_rule_change *change, struct fl_err *err)
{
    bool *refused = ctx;
    (void)err;
    *refused |= fl_str_eq(change->now, FL_LIT("rejected")) ||
                fl_str_eq(change->now, FL_LIT("revoked")) ||
                fl_str_eq(change->now, FL_LIT("retired"));
    return FL_OK;
}

void fl_life_agree(const struct fl_config *config, const struct fl_ruleset *set, const char *id,
                   const struct fl_identity *job)
{
    struct fl_incidents *store = NULL;
    struct fl_rule_record record;
    struct fl_err err = {0};
    bool refused = false;
    struct fl_life_terms terms;
    const struct fl_rule_use use = {.rule = fl_str_of(id), .job = fl_str_of(job->job),
                                    .name = fl_str_of(job->name), .state = FL_LIT("proposed"),
                                    .lines = 1, .total = job->lines};
    enum fl_status status = fl_life_terms_read(config, &terms, &err);
    if (status == FL_OK) {
        status = open_log(config, &store, &err);
    }
    if (status == FL_OK) {
        status = fl_rulelog_use(store, &use, 1, &err);
    }
    if (status == FL_OK) {
        status = fl_rulelog_record(store, use.rule, use.job, use.name, &record, &err);
    }
    if (status == FL_OK) {
        status = fl_rulelog_history(store, use.rule, note_refusal, &refused, &err);
    }
    fl_incidents_close(store);
    if (status == FL_OK && record.jobs >= FL_LIFE_AGREED && !refused && !terms.off) {
        char reason[100];
        snprintf(reason, sizeof reason, "the model said so of %ld jobs", record.jobs);
        status = fl_life_change(config, set, id, FL_LIFE_ACTIVATE, "faultline", reason, NULL, &err);
        if (status == FL_OK) {
            fl_log(FL_LOG_INFO, "learned rule %s is active now (%s)", id, reason);
        }
    }
    if (status != FL_OK) {
        fl_log(FL_LOG_WARN, "rule %s: %s", id, err.msg);
    }
}
