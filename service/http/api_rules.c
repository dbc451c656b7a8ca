/* SPDX-License-Identifier: Apache-2.0 */
/* Rules and their life; what was said of how many jobs. */
#include "rag/verdicts.h"
#include "rules/base/rulefile.h"
#include "service/http/serving.h"
#include "service/life.h"
#include "service/stats.h"

#include <stdio.h>

enum { SPENDING_DAYS = 30 };

static void write_short(struct fl_jw *w, const struct fl_rule *rule)
{
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "id", rule->id);
    fl_jw_key_text(w, "kind", rule->is_filter ? "filter" : "diagnosis");
    fl_jw_key_text(w, "state", fl_state_name(rule->state));
    fl_jw_key_text(w, "origin", rule->origin);
    fl_jw_key_text(w, "cause", rule->cause ? rule->cause->slug : NULL);
    fl_jw_end(w, '}');
}

/* ?state= &kind=filter|diagnosis &origin= */
void fl_api_rules(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_jw w;
    const char *state = fl_http_arg(r, "state");
    const char *kind = fl_http_arg(r, "kind");
    const char *origin = fl_http_arg(r, "origin");
    struct fl_book *book = fl_books_take(s->books);
    fl_reply_json(r, MHD_HTTP_OK, &w);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "rules");
    fl_jw_begin(&w, '[');
    for (uint32_t i = 0; i < book->rules.set->rules_n; i++) {
        const struct fl_rule *rule = &book->rules.set->rules[i];
        if ((!state || strcmp(state, fl_state_name(rule->state)) == 0) &&
            (!kind || strcmp(kind, rule->is_filter ? "filter" : "diagnosis") == 0) &&
            (!origin || strcmp(origin, rule->origin) == 0)) {
            write_short(&w, rule);
        }
    }
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    fl_books_give(s->books, book);
}

static void id_of(const struct fl_http_request *r, char out[static 128])
{
    snprintf(out, 128, "%.*s", (int)(r->segment[0].n < 127 ? r->segment[0].n : 127), r->segment[0].p);
}

void fl_api_rule(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_jw w;
    struct fl_book *book = fl_books_take(s->books);
    const struct fl_rule *rule = fl_ruleset_find(book->rules.set, r->segment[0]);
    if (rule) {
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_rule_write(&w, rule);
    } else {
        fl_reply_problem(r, MHD_HTTP_NOT_FOUND, "there is no such rule (see /api/v1/rules)");
    }
    fl_books_give(s->books, book);
}

/* {"reason": ...}; learned rules only, through the gate. */
void fl_api_rule_change(struct fl_serve *s, struct fl_http_request *r)
{
    static const struct {
        const char *name;
        enum fl_life_verb verb;
    } verbs[] = {{"approve", FL_LIFE_APPROVE}, {"activate", FL_LIFE_ACTIVATE}, {"reject", FL_LIFE_REJECT},
                 {"retire", FL_LIFE_RETIRE},   {"revoke", FL_LIFE_REVOKE}};
    struct fl_err err = {0};
    char id[128];
    size_t at = 0;
    const char *now = "";
    while (at < sizeof verbs / sizeof *verbs && !fl_str_eq(r->segment[1], fl_str_of(verbs[at].name))) {
        at++;
    }
    if (at == sizeof verbs / sizeof *verbs) {
        fl_reply_problem(r, MHD_HTTP_NOT_FOUND, "a rule can be approved (approve), activated (activate),"
                                                " rejected (reject), retired (retire), revoked (revoke)");
        return;
    }
    fl_json *body = fl_serve_body(r);
    if (!body) {
        return;
    }
    id_of(r, id);
    struct fl_str reason = fl_json_get_str(body, "reason");
    struct fl_book *book = fl_books_take(s->books);
    enum fl_status status = fl_life_change(s->o.config, book->rules.set, id, verbs[at].verb, "api",
                                           reason.p ? reason.p : "", &now, &err);
    if (status == FL_OK) {
        struct fl_jw w;
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_jw_begin(&w, '{');
        fl_jw_key_text(&w, "id", id);
        fl_jw_key_text(&w, "state", now);
        fl_jw_end(&w, '}');
    } else {
        fl_reply_failed(r, status, &err);
    }
    fl_books_give(s->books, book);
    fl_json_free(body);
}

void fl_api_stats(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    fl_reply_text(r, MHD_HTTP_OK, "");
    r->type = "application/json";
    enum fl_status status =
        fl_stats_report(s->incidents, s->o.config, SPENDING_DAYS, true, &r->answer, &err);
    if (status != FL_OK) {
        fl_reply_failed(r, status, &err);
    }
}
