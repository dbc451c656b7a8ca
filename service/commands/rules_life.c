/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/rules_life.h"

#include "service/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHOWN_USES = 5 };

static const struct {
    const char *name;
    enum fl_life_verb verb;
} verbs[] = {{"approve", FL_LIFE_APPROVE},
             {"reject", FL_LIFE_REJECT},
             {"retire", FL_LIFE_RETIRE},
             {"revoke", FL_LIFE_REVOKE}};

bool fl_rules_life_has(struct fl_str verb)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (fl_str_eq(verb, fl_str_of(verbs[i].name))) {
            return true;
        }
    }
    return false;
}

static const char *actor(char out[80])
{
    const char *user = getenv("USER");
    if (user && *user) {
        snprintf(out, 80, "user %.64s", user);
    } else {
        snprintf(out, 80, "user %u", (unsigned)geteuid());
    }
    return out;
}

enum fl_status fl_rules_life_change(const struct fl_rules_life *life, struct fl_str verb,
                                    const char *id, struct fl_err *err)
{
    char who[80];
    const char *now = NULL;
    enum fl_life_verb step = FL_LIFE_APPROVE;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        step = fl_str_eq(verb, fl_str_of(verbs[i].name)) ? verbs[i].verb : step;
    }
    if (life->active && step != FL_LIFE_APPROVE) {
        return fl_fail(err, FL_USAGE, "--active goes with approve");
    }
    step = life->active ? FL_LIFE_ACTIVATE : step;
    enum fl_status status =
        fl_life_change(life->config, life->set, id, step, actor(who), life->reason, &now, err);
    if (status == FL_OK) {
        printf("%s: %s\n", id, now);
    }
    return status;
}

/* The log, where there is one; none is an empty one. */
static enum fl_status open_log(const struct fl_rules_life *life, struct fl_incidents **store_r,
                               struct fl_err *err)
{
    struct fl_err fault = {0};
    const char *state = life->config->value[FL_SET_STATE];
    *store_r = NULL;
    enum fl_status status =
        state ? fl_incidents_open(state, NULL, true, store_r, &fault) : FL_NOTFOUND;
    return status == FL_OK || status == FL_NOTFOUND ? FL_OK
                                                    : fl_fail(err, status, "%s", fault.msg);
}

static enum fl_status record_of(struct fl_incidents *store, const struct fl_rule *rule,
                                struct fl_rule_record *record, struct fl_err *err)
{
    *record = (struct fl_rule_record){0};
    return store ? fl_rulelog_record(store, fl_str_of(rule->id), FL_LIT(""), FL_LIT(""), record,
                                     err)
                 : FL_OK;
}

static void write_record(struct fl_jw *w, const struct fl_rule_record *r, bool proved)
{
    fl_jw_key_int(w, "jobs", r->all_jobs);
    fl_jw_key_int(w, "lines", r->all_lines);
    fl_jw_key_int(w, "jobs_in_state", r->jobs);
    fl_jw_key_int(w, "names_in_state", r->names);
    fl_jw_key_int(w, "lines_in_state", r->lines);
    fl_jw_key_int(w, "telling_lines", r->telling);
    fl_jw_key_str(w, "last_seen", fl_str_of(r->last_seen));
    fl_jw_key(w, "proved");
    fl_jw_bool(w, proved);
}

static void add_safe(struct fl_buf *out, struct fl_str s)
{
    s.n = s.n > 300 ? 300 : s.n;
    fl_buf_add_safe(out, s);
}

static void pending_text(const struct fl_rule *rule, const struct fl_rule_record *r, bool proved,
                         struct fl_buf *out)
{
    fl_buf_addf(out, "%-44s %-9s %s\n", rule->id, fl_state_name(rule->state),
                rule->is_filter ? "filter" : rule->cause ? rule->cause->slug : "");
    fl_buf_add_text(out, "    pattern  ");
    add_safe(out, rule->any.n ? rule->any.text[0] : FL_LIT(""));
    fl_buf_add_text(out, "\n    sample   ");
    add_safe(out, rule->match.n ? rule->match.item[0] : FL_LIT(""));
    fl_buf_add_text(out, "\n");
    if (rule->state == FL_STATE_SHADOW) {
        fl_buf_addf(out, "    seen     %ld lines in %ld jobs of %ld names, %ld telling%s\n", r->lines,
                    r->jobs, r->names, r->telling,
                    r->telling ? ": not to be trusted" : proved ? ": proved" : "");
    }
}

enum fl_status fl_rules_life_pending(const struct fl_rules_life *life, struct fl_buf *out,
                                     struct fl_err *err)
{
    struct fl_incidents *store = NULL;
    struct fl_life_terms terms;
    struct fl_jw w;
    fl_jw_init(&w, out, true);
    enum fl_status status = fl_life_terms_read(life->config, &terms, err);
    if (status == FL_OK) {
        status = open_log(life, &store, err);
    }
    if (life->json) {
        fl_jw_begin(&w, '[');
    }
    for (uint32_t i = 0; status == FL_OK && i < life->set->read_n; i++) {
        const struct fl_rule *rule = &life->set->rules[i];
        struct fl_rule_record record;
        if (!fl_rule_is_learned(rule) ||
            (rule->state != FL_STATE_PROPOSED && rule->state != FL_STATE_SHADOW)) {
            continue;
        }
        status = record_of(store, rule, &record, err);
        bool proved = rule->state == FL_STATE_SHADOW && fl_life_is_proved(&terms, &record);
        if (!life->json) {
            pending_text(rule, &record, proved, out);
            continue;
        }
        fl_jw_begin(&w, '{');
        fl_jw_key(&w, "rule");
        fl_rule_write(&w, rule);
        write_record(&w, &record, proved);
        fl_jw_end(&w, '}');
    }
    if (life->json) {
        fl_jw_end(&w, ']');
        fl_buf_add_text(out, "\n");
    }
    fl_incidents_close(store);
    return status;
}

static enum fl_status use_text(void *ctx, const struct fl_rule_use *use, struct fl_err *err)
{
    struct fl_buf *out = ctx;
    (void)err;
    fl_buf_addf(out, "  %.*s  %-8.*s %ld of %ld lines of ", (int)use->seen.n, use->seen.p,
                (int)use->state.n, use->state.p, use->lines, use->total);
    add_safe(out, use->name);
    fl_buf_add_text(out, "\n      ");
    add_safe(out, use->sample);
    fl_buf_add_text(out, "\n");
    return FL_OK;
}

static enum fl_status use_json(void *ctx, const struct fl_rule_use *use, struct fl_err *err)
{
    struct fl_jw *w = ctx;
    (void)err;
    fl_jw_begin(w, '{');
    fl_jw_key_str(w, "seen", use->seen);
    fl_jw_key_str(w, "job", use->job);
    fl_jw_key_str(w, "name", use->name);
    fl_jw_key_str(w, "state", use->state);
    fl_jw_key_int(w, "lines", use->lines);
    fl_jw_key_int(w, "telling", use->telling);
    fl_jw_key_int(w, "total", use->total);
    fl_jw_key_str(w, "sample", use->sample);
    fl_jw_end(w, '}');
    return FL_OK;
}

static enum fl_status change_text(void *ctx, const struct fl_rule_change *c, struct fl_err *err)
{
    struct fl_buf *out = ctx;
    (void)err;
    fl_buf_addf(out, "  %.*s  ", (int)c->time.n, c->time.p);
    add_safe(out, c->rule);
    fl_buf_addf(out, "  %.*s%s%.*s by ", (int)c->was.n, c->was.p, c->was.n ? " -> " : "",
                (int)c->now.n, c->now.p);
    add_safe(out, c->actor);
    fl_buf_add_text(out, c->reason.n ? ": " : "");
    add_safe(out, c->reason);
    fl_buf_add_text(out, "\n");
    return FL_OK;
}

static enum fl_status change_json(void *ctx, const struct fl_rule_change *c, struct fl_err *err)
{
    struct fl_jw *w = ctx;
    (void)err;
    fl_jw_begin(w, '{');
    fl_jw_key_str(w, "time", c->time);
    fl_jw_key_str(w, "rule", c->rule);
    fl_jw_key_str(w, "actor", c->actor);
    fl_jw_key_str(w, "was", c->was);
    fl_jw_key_str(w, "now", c->now);
    fl_jw_key_str(w, "reason", c->reason);
    fl_jw_end(w, '}');
    return FL_OK;
}

static enum fl_status show_text(struct fl_incidents *store, const struct fl_rule *rule,
                                const struct fl_rule_record *r, struct fl_buf *out,
                                struct fl_err *err)
{
    struct fl_str id = fl_str_of(rule->id);
    fl_buf_addf(out, "\n%s %ld lines of %ld jobs%s%s\n",
                rule->is_filter ? "dropped, or in shadow would have:" : "claimed in shadow:",
                r->all_lines, r->all_jobs, *r->last_seen ? ", last " : "", r->last_seen);
    enum fl_status status =
        store ? fl_rulelog_uses(store, id, SHOWN_USES, use_text, out, err) : FL_OK;
    fl_buf_add_text(out, "\nhistory:\n");
    return status == FL_OK && store ? fl_rulelog_history(store, id, change_text, out, err) : status;
}

static enum fl_status show_json(struct fl_incidents *store, const struct fl_rule *rule,
                                const struct fl_rule_record *r, bool proved, struct fl_buf *out,
                                struct fl_err *err)
{
    struct fl_str id = fl_str_of(rule->id);
    struct fl_jw w;
    fl_jw_init(&w, out, true);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "rule");
    fl_rule_write(&w, rule);
    write_record(&w, r, proved);
    fl_jw_key(&w, "uses");
    fl_jw_begin(&w, '[');
    enum fl_status status =
        store ? fl_rulelog_uses(store, id, SHOWN_USES, use_json, &w, err) : FL_OK;
    fl_jw_end(&w, ']');
    fl_jw_key(&w, "history");
    fl_jw_begin(&w, '[');
    if (status == FL_OK && store) {
        status = fl_rulelog_history(store, id, change_json, &w, err);
    }
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    fl_buf_add_text(out, "\n");
    return status;
}

enum fl_status fl_rules_life_show(const struct fl_rules_life *life, const struct fl_rule *rule,
                                  struct fl_buf *out, struct fl_err *err)
{
    struct fl_incidents *store = NULL;
    struct fl_rule_record record;
    struct fl_life_terms terms;
    enum fl_status status = fl_life_terms_read(life->config, &terms, err);
    if (status == FL_OK) {
        status = open_log(life, &store, err);
    }
    if (status == FL_OK) {
        status = record_of(store, rule, &record, err);
    }
    if (status == FL_OK) {
        bool proved = rule->state == FL_STATE_SHADOW && fl_life_is_proved(&terms, &record);
        status = life->json ? show_json(store, rule, &record, proved, out, err)
                            : show_text(store, rule, &record, out, err);
    }
    fl_incidents_close(store);
    return status;
}

enum fl_status fl_rules_life_history(const struct fl_rules_life *life, const char *id,
                                     struct fl_buf *out, struct fl_err *err)
{
    struct fl_incidents *store = NULL;
    struct fl_str rule = fl_str_of(id ? id : "");
    struct fl_jw w;
    enum fl_status status = open_log(life, &store, err);
    fl_jw_init(&w, out, true);
    if (life->json) {
        fl_jw_begin(&w, '[');
    }
    if (status == FL_OK && store) {
        status = life->json ? fl_rulelog_history(store, rule, change_json, &w, err)
                            : fl_rulelog_history(store, rule, change_text, out, err);
    }
    if (life->json) {
        fl_jw_end(&w, ']');
        fl_buf_add_text(out, "\n");
    } else if (status == FL_OK && out->n == 0) {
        fl_buf_add_text(out, id ? "nothing was ever done with a rule of that id\n"
                                : "no rule was ever learned with this state folder\n");
    }
    fl_incidents_close(store);
    return status;
}

enum fl_status fl_rules_life_stale(const struct fl_rules_life *life, long days, struct fl_buf *out,
                                   struct fl_err *err)
{
    struct fl_incidents *store = NULL;
    char who[80];
    char reason[80];
    size_t n = 0;
    enum fl_status status = open_log(life, &store, err);
    for (uint32_t i = 0; status == FL_OK && store && i < life->set->read_n; i++) {
        const struct fl_rule *rule = &life->set->rules[i];
        long idle = -1;
        if (!fl_rule_is_learned(rule) || rule->state != FL_STATE_ACTIVE) {
            continue;
        }
        status = fl_rulelog_idle(store, fl_str_of(rule->id), &idle, err);
        if (status == FL_OK && idle >= days) {
            snprintf(reason, sizeof reason, "stale: not heard of for %ld days", idle);
            status = fl_life_change(life->config, life->set, rule->id, FL_LIFE_RETIRE, actor(who),
                                    life->reason ? life->reason : reason, NULL, err);
            fl_buf_addf(out, "%s: retired, %s\n", rule->id, reason);
            n += status == FL_OK;
        }
    }
    if (status == FL_OK && n == 0) {
        fl_buf_addf(out, "every active learned rule was heard of in the last %ld days\n", days);
    }
    fl_incidents_close(store);
    return status;
}
