/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of active rules go into one of two matchers: `lines` for single lines, `events` for
 * joined multi-line events. Only `any` patterns are proposed by the literal scan; `all` and `none`
 * of a line rule are tried when an `any` has matched. For stream and job rules, whose `all` and
 * `none` may stand on other lines, these are proposed too. */
#include "rules/base/ruleset.h"

#include "rules/base/rulefile.h"
#include "rules/base/samples.h"
#include "rules/base/table.h"
#include "service/base/fsio.h"
#include "service/base/hash.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

/* Words that failures use. A line with one of them is kept for the condensed view even when no
 * rule knows it. */
static const char attention_words[] =
    "(?i)error|exception|fatal|traceback|abort|killed|fail|timed out|timeout|time-out|denied|"
    "panic|\\boom\\b|out of memory|segfault|segmentation|unable to|cannot|refused|no such|not found|"
    "invalid|corrupt|lost|unreachable|core dumped|assert|\\bnan\\b|nvrm|unexpected|mismatch|"
    "exit code|cancelled";

enum fl_status fl_ruleset_new(const struct fl_taxonomy *taxonomy, struct fl_ruleset **out,
                              struct fl_err *err)
{
    struct fl_ruleset *set = calloc(1, sizeof *set);
    *out = set;
    if (!set) {
        return fl_fail(err, FL_NOMEM, "no memory for the rules");
    }
    fl_arena_init(&set->arena, 64 << 20);
    set->taxonomy = taxonomy;
    enum fl_status status = fl_matcher_new(&set->lines, err);
    if (status == FL_OK) {
        status = fl_matcher_new(&set->events, err);
    }
    if (status != FL_OK) {
        fl_ruleset_free(set);
        *out = NULL;
    }
    return status;
}

void fl_ruleset_free(struct fl_ruleset *set)
{
    if (!set) {
        return;
    }
    fl_metrics_free(set->metrics);
    fl_declared_free(set->declared);
    fl_matcher_free(set->lines);
    fl_matcher_free(set->events);
    free(set->line_owner);
    free(set->event_owner);
    free(set->rules);
    free(set->by_id);
    free(set->tables);
    fl_arena_free(&set->arena);
    free(set);
}

/* The place of the rule with that id, or the free one where it belongs; there is one. */
static uint32_t *place_of(const struct fl_ruleset *set, struct fl_str id)
{
    size_t mask = 2 * (size_t)set->rules_size - 1;
    size_t at = fl_hash(id, 0) & mask;
    while (set->by_id[at] && !fl_str_eq(fl_str_of(set->rules[set->by_id[at] - 1].id), id)) {
        at = (at + 1) & mask;
    }
    return &set->by_id[at];
}

const struct fl_rule *fl_ruleset_find(const struct fl_ruleset *set, struct fl_str id)
{
    uint32_t place = set->rules_n ? *place_of(set, id) : 0;
    return place ? &set->rules[place - 1] : NULL;
}

/* Room for one more rule. */
static bool make_room(struct fl_ruleset *set)
{
    if (set->rules_n < set->rules_size) {
        return true;
    }
    uint32_t size = set->rules_size ? set->rules_size * 2 : 1024;
    struct fl_rule *rules = realloc(set->rules, size * sizeof *rules);
    uint32_t *by_id = calloc(2 * (size_t)size, sizeof *by_id);
    set->rules = rules ? rules : set->rules;
    if (!rules || !by_id) {
        free(by_id);
        return false;
    }
    free(set->by_id);
    set->by_id = by_id;
    set->rules_size = size;
    for (uint32_t i = 0; i < set->rules_n; i++) {
        *place_of(set, fl_str_of(rules[i].id)) = i + 1;
    }
    return true;
}

void fl_rule_complain(const struct fl_rule *rule, const char *what, const struct fl_str *pattern,
                      size_t at, fl_ruleset_complain complain, void *ctx)
{
    struct fl_buf text;
    fl_buf_init(&text, 16 * 1024);
    fl_buf_addf(&text, "%s: rule %s: %s (rule left out)", rule->file, rule->id ? rule->id : "?",
                what);
    if (pattern) {
        fl_buf_addf(&text, "\n  %.*s\n  %*s^", (int)pattern->n, pattern->p, (int)at, "");
    }
    if (complain) {
        complain(ctx, fl_buf_text(&text));
    }
    fl_buf_free(&text);
}

static enum fl_status own(struct fl_ruleset *set, bool event, uint32_t number,
                          struct fl_pattern_owner owner)
{
    struct fl_pattern_owner **table = event ? &set->event_owner : &set->line_owner;
    uint32_t *n = event ? &set->event_patterns_n : &set->line_patterns_n;
    if ((number & 255) == 0) {
        struct fl_pattern_owner *more = realloc(*table, (number + 256U) * sizeof *more);
        if (!more) {
            return FL_NOMEM;
        }
        *table = more;
    }
    (*table)[number] = owner;
    *n = number + 1;
    return FL_OK;
}

static enum fl_status compile_set(struct fl_ruleset *set, const struct fl_rule *rule,
                                  struct fl_pattern_set *patterns, struct fl_pattern_owner owner,
                                  size_t *bad_r, size_t *at_r, struct fl_err *err)
{
    bool event = rule->scope == FL_SCOPE_EVENT;
    bool spread = rule->scope == FL_SCOPE_STREAM || rule->scope == FL_SCOPE_JOB;
    bool applies = rule->state == FL_STATE_ACTIVE ||
                   (rule->state == FL_STATE_SHADOW && rule->scope == FL_SCOPE_LINE);
    bool drops = rule->is_filter && rule->state == FL_STATE_ACTIVE && !fl_rule_is_learned(rule);
    unsigned flags = (event ? FL_PATTERN_LINES : 0U) | (rule->trusted ? FL_PATTERN_TRUSTED : 0U) |
                     (drops ? FL_PATTERN_ENOUGH : 0U) |
                     (fl_rule_is_learned(rule) ? FL_PATTERN_LEARNED : 0U);
    if (!applies || (owner.kind != 0 && !spread)) {
        flags |= FL_PATTERN_SILENT;
    }
    patterns->number = fl_arena_alloc(&set->arena, (patterns->n + 1) * sizeof *patterns->number);
    for (size_t i = 0; i < patterns->n; i++) {
        struct fl_pattern one = {patterns->text[i], flags};
        struct fl_checked *checked = rule->trusted ? NULL : set->checked;
        bool known = checked && fl_checked_has(checked, &one);
        *bad_r = i;
        enum fl_status status = !patterns->number ? FL_NOMEM :
            fl_matcher_add(event ? set->events : set->lines, one.text,
                           flags | (known ? FL_PATTERN_CHECKED : 0U), &patterns->number[i], at_r, err);
        if (status == FL_OK && checked) {
            fl_checked_put(checked, &one);
        }
        if (status == FL_OK) {
            status = own(set, event, patterns->number[i], owner);
        }
        if (status != FL_OK) {
            return status;
        }
    }
    return FL_OK;
}

static const struct fl_table *table_named(const struct fl_ruleset *set, struct fl_str name)
{
    for (size_t i = 0; i < set->tables_n; i++) {
        if (fl_str_eq(fl_str_of(set->tables[i].name), name)) {
            return &set->tables[i];
        }
    }
    return NULL;
}

static enum fl_status append(struct fl_ruleset *set, const struct fl_rule *rule)
{
    if (!make_room(set)) {
        return FL_NOMEM;
    }
    *place_of(set, fl_str_of(rule->id)) = set->rules_n + 1;
    set->rules[set->rules_n++] = *rule;
    return FL_OK;
}

static enum fl_status add_rule(struct fl_ruleset *set, struct fl_rule *rule,
                               fl_ruleset_complain complain, void *ctx, size_t *bad_r)
{
    struct fl_err err = {0};
    size_t bad = 0;
    size_t at = 0;
    uint32_t index = set->rules_n;
    struct fl_pattern_set *faulty = &rule->any;
    if (!make_room(set)) {
        return FL_NOMEM;
    }
    if (fl_ruleset_find(set, fl_str_of(rule->id))) {
        fl_rule_complain(rule, "another rule has this id", NULL, 0, complain, ctx);
        ++*bad_r;
        return FL_OK;
    }
    enum fl_status status = compile_set(set, rule, &rule->any, (struct fl_pattern_owner){.rule = index, .kind = 0},
                                        &bad, &at, &err);
    if (status == FL_OK) {
        faulty = &rule->all;
        status = compile_set(set, rule, &rule->all, (struct fl_pattern_owner){.rule = index, .kind = 1}, &bad, &at,
                             &err);
    }
    if (status == FL_OK) {
        faulty = &rule->none;
        status = compile_set(set, rule, &rule->none, (struct fl_pattern_owner){.rule = index, .kind = 2}, &bad,
                             &at, &err);
    }
    if (status == FL_NOMEM) {
        return status;
    }
    if (status != FL_OK) {
        fl_rule_complain(rule, err.msg, &faulty->text[bad], at, complain, ctx);
        ++*bad_r;
        rule->broken = true; /* patterns already added stay; their owner is a broken rule */
    }
    rule->compiled = status == FL_OK;
    return append(set, rule);
}

static enum fl_status load_table(struct fl_ruleset *set, const fl_json *root, const char *path,
                                 const char *origin, fl_ruleset_complain complain, void *ctx,
                                 size_t *bad_r, struct fl_err *err)
{
    struct fl_table table = {NULL};
    struct fl_str name = fl_json_get_str(root, "name");
    if (table_named(set, name)) {
        return fl_fail(err, FL_SYNTAX, "%s: there is another table %.60s (%s)", path, name.p,
                       table_named(set, name)->file);
    }
    if (set->tables_n == FL_TABLES_MAX) {
        return fl_fail(err, FL_SYNTAX, "%s: more than %d tables", path, FL_TABLES_MAX);
    }
    if (!set->tables) {
        set->tables = calloc(FL_TABLES_MAX, sizeof *set->tables);
    }
    enum fl_status status = set->tables
                                ? fl_table_read(root, path, origin, set->taxonomy, &set->arena,
                                                complain, ctx, bad_r, &table, err)
                                : fl_fail(err, FL_NOMEM, "%s: no memory", path);
    if (status == FL_OK) {
        set->tables[set->tables_n++] = table;
    }
    return status;
}

enum fl_status fl_ruleset_add(struct fl_ruleset *set, const struct fl_rule *rule,
                              struct fl_err *err)
{
    struct fl_rule copy = *rule;
    size_t bad = 0;
    copy.state = FL_STATE_ACTIVE;
    copy.broken = copy.trusted = false;
    copy.match.n = copy.nomatch.n = 0;
    copy.cause =
        rule->cause ? fl_taxonomy_find(set->taxonomy, fl_str_of(rule->cause->slug)) : NULL;
    return add_rule(set, &copy, NULL, NULL, &bad) == FL_OK
               ? FL_OK
               : fl_fail(err, FL_NOMEM, "no memory for rule %s", rule->id);
}

static bool fits(const char *globs, const char *id, const char *cause)
{
    char glob[256];
    while (*globs) {
        size_t n = strcspn(globs, ",");
        snprintf(glob, sizeof glob, "%.*s", (int)n, globs);
        if (fnmatch(glob, id, 0) == 0 || (cause && fnmatch(glob, cause, 0) == 0)) {
            return true;
        }
        globs += n + (globs[n] == ',');
    }
    return false;
}

static bool is_left_out(const struct fl_ruleset *set, const struct fl_rule *rule)
{
    if (set->without && !rule->is_filter && rule->role <= FL_ROLE_CONFIRMATION &&
        !fl_rule_is_learned(rule) &&
        fits(set->without, rule->id, rule->cause ? rule->cause->slug : NULL)) {
        return true;
    }
    for (uint32_t i = 0; i < set->left_out_n; i++) {
        if (strcmp(set->left_out[i].id, rule->id) == 0) {
            return true;
        }
    }
    return false;
}

enum fl_status fl_ruleset_load(struct fl_ruleset *set, const char *path, const char *origin,
                               fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                               struct fl_err *err)
{
    struct fl_buf text;
    fl_json *root = NULL;
    size_t ignored = 0;
    size_t *bad = bad_r ? bad_r : &ignored;
    fl_buf_init(&text, FL_JSON_BYTES);
    enum fl_status status = fl_fsio_read(path, &text, err);
    struct fl_rulefile file = {0};
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), path, &root, err);
    }
    if (status == FL_OK && fl_metrics_is(root)) {
        status = fl_metrics_extend(&set->metrics, root, path, err);
    } else if (status == FL_OK && fl_declared_is(root)) {
        status = fl_declared_extend(&set->declared, root, path, set->taxonomy, &set->arena, complain,
                                    ctx, bad, err);
    } else if (status == FL_OK && fl_table_is(root)) {
        status = load_table(set, root, path, origin, complain, ctx, bad, err);
    } else if (status == FL_OK) {
        status = fl_rulefile_open(root, path, origin, set->taxonomy, &set->arena, &file, err);
    }
    for (size_t i = 0; status == FL_OK && i < file.n; i++) {
        struct fl_rule rule;
        struct fl_err fault = {0};
        status = fl_rulefile_next(&file, &rule, &fault);
        if (status == FL_SYNTAX) {
            fl_rule_complain(&rule, fault.msg, NULL, 0, complain, ctx);
            ++*bad;
            status = FL_OK;
        } else if (status == FL_OK && !is_left_out(set, &rule)) {
            rule.trusted = set->trusts_shipped && strcmp(origin, "shipped") == 0;
            status = add_rule(set, &rule, complain, ctx, bad);
        }
    }
    if (status == FL_NOMEM) {
        fl_fail(err, FL_NOMEM, "%s: no memory for its rules", path);
    }
    fl_json_free(root);
    fl_buf_free(&text);
    return status;
}

struct dir_load {
    struct fl_ruleset *set;
    const char *origin;
    fl_ruleset_complain complain;
    void *ctx;
    size_t *bad_r;
};

static enum fl_status load_one(void *ctx, const char *path, struct fl_err *err)
{
    struct dir_load *d = ctx;
    if (!fl_str_ends(fl_str_of(path), FL_LIT(".json"))) {
        return FL_OK;
    }
    struct fl_err fault = {0};
    enum fl_status status =
        fl_ruleset_load(d->set, path, d->origin, d->complain, d->ctx, d->bad_r, &fault);
    if (status == FL_NOMEM) {
        return fl_fail(err, status, "%s", fault.msg);
    }
    if (status != FL_OK) { /* the other files serve */
        if (d->complain) {
            d->complain(d->ctx, fault.msg);
        }
        if (d->bad_r) {
            ++*d->bad_r;
        }
    }
    return FL_OK;
}

enum fl_status fl_ruleset_load_dir(struct fl_ruleset *set, const char *path, const char *origin,
                                   fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                                   struct fl_err *err)
{
    struct dir_load d = {set, origin, complain, ctx, bad_r};
    return fl_fsio_walk(path, load_one, &d, err);
}

uint32_t fl_ruleset_resolve(const struct fl_ruleset *set, uint32_t rule,
                            const struct fl_captures *captures)
{
    const struct fl_rule *r = &set->rules[rule];
    if (!r->rows) {
        return rule;
    }
    for (size_t i = 0; i < captures->n; i++) {
        uint32_t row = strcmp(captures->item[i].name, "key") == 0
                           ? fl_table_find(r->rows, captures->item[i].text)
                           : UINT32_MAX;
        if (row != UINT32_MAX && !set->rules[r->variants + row].broken) {
            return r->variants + row;
        }
    }
    return r->cause ? rule : UINT32_MAX;
}

static enum fl_status add_variants(struct fl_ruleset *set, uint32_t index,
                                   fl_ruleset_complain complain, void *ctx, size_t *bad_r)
{
    const struct fl_table *table = set->rules[index].rows;
    set->rules[index].variants = set->rules_n;
    for (uint32_t row = 0; row < table->rows_n; row++) {
        struct fl_rule variant;
        struct fl_err err = {0};
        enum fl_status status =
            fl_table_variant(table, row, &set->rules[index], &set->arena, &variant, &err);
        variant.broken = status != FL_OK || is_left_out(set, &variant);
        if (status == FL_SYNTAX) {
            fl_rule_complain(&variant, err.msg, NULL, 0, complain, ctx);
            ++*bad_r;
        }
        if (status == FL_NOMEM || append(set, &variant) != FL_OK) {
            return FL_NOMEM;
        }
    }
    return FL_OK;
}

/* Tables may be read after the rules that name them, so this waits for the end. */
static enum fl_status look_up_tables(struct fl_ruleset *set, fl_ruleset_complain complain,
                                     void *ctx, size_t *bad_r, struct fl_err *err)
{
    set->read_n = set->rules_n;
    for (uint32_t i = 0; i < set->read_n; i++) {
        struct fl_rule *rule = &set->rules[i];
        if (!rule->table || rule->broken) {
            continue;
        }
        rule->rows = table_named(set, fl_str_of(rule->table));
        if (!rule->rows) {
            char what[160];
            snprintf(what, sizeof what, "there is no table %.60s", rule->table);
            fl_rule_complain(rule, what, NULL, 0, complain, ctx);
            rule->broken = true;
            ++*bad_r;
        } else if (add_variants(set, i, complain, ctx, bad_r) != FL_OK) {
            return fl_fail(err, FL_NOMEM, "no memory for the rows of table %s", rule->table);
        }
    }
    return FL_OK;
}

static enum fl_status add_builtin(struct fl_ruleset *set, const char *text, uint32_t *number_r,
                                  struct fl_err *err)
{
    size_t at = 0;
    enum fl_status status =
        fl_matcher_add(set->lines, fl_str_of(text), FL_PATTERN_TRUSTED, number_r, &at, err);
    if (status != FL_OK) {
        return status;
    }
    return own(set, false, *number_r, (struct fl_pattern_owner){.rule = UINT32_MAX, .kind = 0});
}

enum fl_status fl_ruleset_ready(struct fl_ruleset *set, fl_ruleset_complain complain, void *ctx,
                                size_t *bad_r, struct fl_err *err)
{
    size_t ignored = 0;
    size_t *bad = bad_r ? bad_r : &ignored;
    enum fl_status status = look_up_tables(set, complain, ctx, bad, err);
    bool diagnoses = false;
    fl_declared_settle(set->declared, set->metrics, complain, ctx, bad);
    for (uint32_t i = 0; i < set->read_n; i++) {
        const struct fl_rule *rule = &set->rules[i];
        bool routine = rule->is_filter || rule->role == FL_ROLE_PROGRESS;
        for (size_t k = 0; routine && k < rule->match.n; k++) {
            fl_matcher_show(set->lines, rule->match.item[k]);
        }
        diagnoses |= !rule->is_filter;
    }
    set->attention = set->traceback = UINT32_MAX;
    if (status == FL_OK && diagnoses) {
        status = add_builtin(set, attention_words, &set->attention, err);
        if (status == FL_OK) {
            status = add_builtin(set,
                                 "Traceback \\(most recent call last\\)|Exception ignored (?:in|on)[: ]|"
                                 "^\\s*File \"[^\"\\n]{1,400}\", line \\d+, in ",
                                 &set->traceback, err);
        }
    }
    fl_matcher_cache(set->lines, set->cache, "lines");
    fl_matcher_cache(set->events, set->cache, "events");
    if (status == FL_OK) {
        status = fl_matcher_ready(set->lines, err);
    }
    if (status == FL_OK) {
        status = fl_matcher_ready(set->events, err);
    }
    if (status == FL_OK) {
        status = fl_samples_check(set, complain, ctx, bad, err);
    }
    for (uint32_t i = 0; status == FL_OK && i < set->line_patterns_n; i++) {
        struct fl_pattern_owner *owner = &set->line_owner[i];
        const struct fl_rule *rule = owner->rule == UINT32_MAX ? NULL : &set->rules[owner->rule];
        owner->drops = rule && rule->is_filter && !rule->broken && rule->state == FL_STATE_ACTIVE;
        owner->learned = rule && fl_rule_is_learned(rule);
    }
    return status;
}
