/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/base/samples.h"

#include "rules/base/table.h"

#include <stdio.h>

/* A rule held against a text: who is asked, and what a match stood for. */
struct trial {
    const struct fl_ruleset *set;
    const struct fl_rule *rule;
    struct fl_match_work *work;
    uint32_t meant;
};

static enum fl_match any_of(struct trial *t, const struct fl_pattern_set *patterns,
                            struct fl_str text)
{
    enum fl_match answer = FL_MATCH_NO;
    for (size_t i = 0; i < patterns->n; i++) {
        struct fl_captures c;
        enum fl_match one = fl_matcher_try(t->work, patterns->number[i], text, &c);
        if (one == FL_MATCH_YES && patterns == &t->rule->any) {
            t->meant = fl_ruleset_resolve(t->set, (uint32_t)(t->rule - t->set->rules), &c);
            one = t->meant == UINT32_MAX ? FL_MATCH_NO : one;
        }
        if (one == FL_MATCH_YES) {
            return one;
        }
        answer = one == FL_MATCH_ERROR ? one : answer;
    }
    return answer;
}

/* Some line of the text matches some pattern. */
static enum fl_match any_line_of(struct trial *t, const struct fl_pattern_set *patterns,
                                 struct fl_str text)
{
    while (text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        if (any_of(t, patterns, (struct fl_str){text.p, n}) == FL_MATCH_YES) {
            return FL_MATCH_YES;
        }
        text = fl_str_skip(text, nl ? n + 1 : n);
    }
    return FL_MATCH_NO;
}

/* The answer, and the index of the rule or variant that a yes stands for. */
static enum fl_match judge(const struct fl_ruleset *set, const struct fl_rule *rule,
                           struct fl_match_work *lines, struct fl_match_work *events,
                           struct fl_str text, uint32_t *meant_r)
{
    bool event = rule->scope == FL_SCOPE_EVENT;
    bool spread = rule->scope == FL_SCOPE_STREAM || rule->scope == FL_SCOPE_JOB;
    struct trial t = {set, rule, event ? events : lines, UINT32_MAX};
    enum fl_match (*ask)(struct trial *, const struct fl_pattern_set *, struct fl_str) =
        spread ? any_line_of : any_of;
    enum fl_match answer = ask(&t, &rule->any, text);
    *meant_r = t.meant;
    if (answer != FL_MATCH_YES) {
        return answer;
    }
    for (size_t i = 0; i < rule->all.n; i++) {
        struct fl_pattern_set one = {.number = &rule->all.number[i], .n = 1};
        answer = ask(&t, &one, text);
        if (answer != FL_MATCH_YES) {
            return answer;
        }
    }
    answer = ask(&t, &rule->none, text);
    return answer == FL_MATCH_YES ? FL_MATCH_NO : answer == FL_MATCH_NO ? FL_MATCH_YES : answer;
}

enum fl_match fl_rule_judges(const struct fl_ruleset *set, const struct fl_rule *rule,
                             struct fl_match_work *lines, struct fl_match_work *events,
                             struct fl_str text)
{
    uint32_t meant = UINT32_MAX;
    return judge(set, rule, lines, events, text, &meant);
}

static bool samples_hold(struct fl_ruleset *set, struct fl_rule *rule, struct fl_match_work *lines,
                         struct fl_match_work *events, fl_ruleset_complain complain, void *ctx)
{
    for (int want = 1; want >= 0; want--) {
        const struct fl_samples *samples = want ? &rule->match : &rule->nomatch;
        for (size_t i = 0; i < samples->n; i++) {
            enum fl_match got = fl_rule_judges(set, rule, lines, events, samples->item[i]);
            if (got != (want ? FL_MATCH_YES : FL_MATCH_NO)) {
                char what[400];
                snprintf(what, sizeof what, "sample %s[%zu] %s: %.200s",
                         want ? "match" : "nomatch", i,
                         got == FL_MATCH_ERROR ? "hits the match limit (pattern too slow)"
                         : want                ? "is not matched"
                                               : "is matched",
                         samples->item[i].p);
                fl_rule_complain(rule, what, NULL, 0, complain, ctx);
                return false;
            }
        }
    }
    return true;
}

/* Some rule that came with the table takes the row's sample for that row. */
static bool row_is_met(const struct fl_ruleset *set, const struct fl_table *table, uint32_t row,
                       struct fl_match_work *lines, struct fl_match_work *events)
{
    bool used = false;
    for (uint32_t i = 0; i < set->read_n; i++) {
        const struct fl_rule *rule = &set->rules[i];
        uint32_t meant = UINT32_MAX;
        if (rule->rows != table || rule->broken || strcmp(rule->origin, table->origin) != 0) {
            continue;
        }
        used = true;
        if (judge(set, rule, lines, events, table->rows[row].sample, &meant) == FL_MATCH_YES &&
            meant == rule->variants + row) {
            return true;
        }
    }
    return !used;
}

static void check_rows(const struct fl_ruleset *set, const struct fl_table *table,
                       struct fl_match_work *lines, struct fl_match_work *events,
                       fl_ruleset_complain complain, void *ctx, size_t *bad_r)
{
    for (uint32_t row = 0; row < table->rows_n; row++) {
        const struct fl_table_row *r = &table->rows[row];
        if (r->sample.n == 0 || row_is_met(set, table, row, lines, events)) {
            continue;
        }
        struct fl_buf text;
        fl_buf_init(&text, 16 * 1024);
        fl_buf_addf(&text, "%s: table %s: row %s: no rule with this table takes its sample for it: "
                    "%.200s", table->file, table->name, r->key, r->sample.p);
        if (complain) {
            complain(ctx, fl_buf_text(&text));
        }
        fl_buf_free(&text);
        ++*bad_r;
    }
}

enum fl_status fl_samples_check(struct fl_ruleset *set, fl_ruleset_complain complain, void *ctx,
                                size_t *bad_r, struct fl_err *err)
{
    struct fl_match_work *lines = NULL;
    struct fl_match_work *events = NULL;
    enum fl_status status = fl_match_work_new(set->lines, &lines, err);
    if (status == FL_OK) {
        status = fl_match_work_new(set->events, &events, err);
    }
    for (uint32_t i = 0; status == FL_OK && i < set->read_n; i++) {
        struct fl_rule *rule = &set->rules[i];
        if (rule->broken || rule->trusted ||
            samples_hold(set, rule, lines, events, complain, ctx)) {
            continue;
        }
        rule->broken = true;
        ++*bad_r;
    }
    for (size_t i = 0; status == FL_OK && !set->trusts_shipped && i < set->tables_n; i++) {
        check_rows(set, &set->tables[i], lines, events, complain, ctx, bad_r);
    }
    fl_match_work_free(lines);
    fl_match_work_free(events);
    return status;
}
