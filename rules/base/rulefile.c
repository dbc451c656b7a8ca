/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/base/rulefile.h"

#include <stdio.h>

static const char *const role_names[] = {"root",     "symptom",    "confirmation", "benign",
                                         "progress", "checkpoint", "success",      "start",
                                         "roll",     "metric",     "milestone"};
static const char *const scope_names[] = {"line", "event", "stream", "job"};
static const char *const state_names[] = {"proposed", "shadow", "active", "retired"};

const char *fl_role_name(enum fl_role role)
{
    return role_names[role];
}

const char *fl_state_name(enum fl_rule_state state)
{
    return state_names[state];
}

enum fl_status fl_rulefile_open(const fl_json *root, const char *path, const char *origin,
                                const struct fl_taxonomy *taxonomy, struct fl_arena *arena,
                                struct fl_rulefile *out, struct fl_err *err)
{
    const fl_json *rules = fl_json_is_array(root) ? root : fl_json_get(root, "rules");
    struct fl_str format = fl_json_get_str(root, "format");
    *out = (struct fl_rulefile){.plain = fl_json_is_array(root),
                                .taxonomy = taxonomy,
                                .arena = arena,
                                .origin = origin,
                                .path = fl_arena_text(arena, fl_str_of(path))};
    out->filters = out->plain ? fl_json_is_string(fl_json_first(root))
                              : fl_str_eq(format, FL_LIT("faultline.filters/1"));
    if (!fl_json_is_array(rules) ||
        (!out->plain && !out->filters && !fl_str_eq(format, FL_LIT("faultline.diagnosis/1")))) {
        return fl_fail(err, FL_SYNTAX, "%s: not a rule file: expected \"format\" "
                       "faultline.diagnosis/1 or faultline.filters/1 with \"rules\", or an array "
                       "of regex strings", path);
    }
    struct fl_str stack = fl_json_get_str(root, "stack");
    out->stack = fl_arena_text(arena, stack.n ? stack : FL_LIT("any"));
    out->next = fl_json_first(rules);
    out->n = fl_json_count(rules);
    return out->path && out->stack ? FL_OK : fl_fail(err, FL_NOMEM, "%s: no memory", path);
}

static int index_of(struct fl_str word, const char *const *names, int n, int missing)
{
    if (!word.p) {
        return missing;
    }
    for (int i = 0; i < n; i++) {
        if (fl_str_eq(word, fl_str_of(names[i]))) {
            return i;
        }
    }
    return -1;
}

static enum fl_status read_strings(struct fl_rulefile *f, const fl_json *list, const char *what,
                                   size_t max, const struct fl_str **out, size_t *n_r,
                                   struct fl_err *err)
{
    size_t n = 0;
    struct fl_str *items = fl_arena_alloc(f->arena, (fl_json_count(list) + 1) * sizeof *items);
    for (const fl_json *e = items ? fl_json_first(list) : NULL; e; e = fl_json_next(e)) {
        struct fl_str text = fl_json_str(e);
        if (!fl_json_is_string(e) || text.n == 0 || n == max) {
            return fl_fail(err, FL_SYNTAX, "\"%s\" must be a list of at most %zu non-empty strings",
                           what, max);
        }
        items[n] = fl_arena_str(f->arena, text);
        if (!items[n++].p) {
            return FL_NOMEM;
        }
    }
    *out = items;
    *n_r = n;
    return items ? FL_OK : FL_NOMEM;
}

static enum fl_status read_texts(struct fl_rulefile *f, const fl_json *list, const char *what,
                                 size_t max, const char *const **out, size_t *n_r,
                                 struct fl_err *err)
{
    const struct fl_str *items = NULL;
    enum fl_status status = read_strings(f, list, what, max, &items, n_r, err);
    const char **texts =
        status == FL_OK ? fl_arena_alloc(f->arena, (*n_r + 1) * sizeof *texts) : NULL;
    for (size_t i = 0; texts && i < *n_r; i++) {
        texts[i] = items[i].p;
    }
    *out = texts;
    return status == FL_OK && !texts ? FL_NOMEM : status;
}

static enum fl_status take_pattern(struct fl_rulefile *f, struct fl_str pattern,
                                   struct fl_rule *rule)
{
    struct fl_str *text = fl_arena_alloc(f->arena, sizeof *text);
    if (text) {
        *text = fl_arena_str(f->arena, pattern);
        rule->any = (struct fl_pattern_set){.text = text, .n = 1};
    }
    return text && text->p ? FL_OK : FL_NOMEM;
}

static bool is_id(struct fl_str id)
{
    if (id.n == 0 || id.n > 100) {
        return false;
    }
    for (size_t i = 0; i < id.n; i++) {
        if (!fl_is_alpha(id.p[i]) && !fl_is_digit(id.p[i]) && !strchr("-_.", id.p[i])) {
            return false;
        }
    }
    return true;
}

static enum fl_status read_common(struct fl_rulefile *f, const fl_json *node, struct fl_rule *rule,
                                  struct fl_err *err)
{
    struct fl_str id = fl_json_get_str(node, "id");
    if (!is_id(id)) {
        return fl_fail(err, FL_SYNTAX, "number %zu has no usable \"id\" (letters, digits, - _ .)",
                       f->index);
    }
    rule->id = fl_arena_text(f->arena, id);
    int state = index_of(fl_json_get_str(node, "state"), state_names, 4, FL_STATE_ACTIVE);
    if (state < 0) {
        return fl_fail(err, FL_SYNTAX, "\"state\" must be proposed, shadow, active or retired");
    }
    rule->state = (enum fl_rule_state)state;
    const fl_json *origin = fl_json_get(node, "origin");
    struct fl_str kind = fl_json_is_object(origin) ? fl_json_get_str(origin, "kind")
                                                   : fl_json_str(origin);
    rule->origin = kind.n ? fl_arena_text(f->arena, kind) : f->origin;
    if (fl_json_is_object(origin)) {
        struct fl_buf text;
        struct fl_jw w;
        fl_buf_init(&text, 64 * 1024);
        fl_jw_init(&w, &text, false);
        fl_jw_json(&w, origin);
        rule->origin_json = fl_arena_text(f->arena, fl_buf_str(&text));
        fl_buf_free(&text);
    }
    const fl_json *samples = fl_json_get(node, "samples");
    enum fl_status status = read_strings(f, fl_json_get(samples, "match"), "samples.match",
                                         FL_SAMPLES_MAX, &rule->match.item, &rule->match.n, err);
    if (status == FL_OK) {
        status = read_strings(f, fl_json_get(samples, "nomatch"), "samples.nomatch",
                              FL_SAMPLES_MAX, &rule->nomatch.item, &rule->nomatch.n, err);
    }
    return status;
}

static enum fl_status read_patterns(struct fl_rulefile *f, const fl_json *node,
                                    struct fl_rule *rule, struct fl_err *err)
{
    static const char *const keys[] = {"any", "all", "none"};
    struct fl_pattern_set *sets[] = {&rule->any, &rule->all, &rule->none};
    for (size_t i = 0; i < 3; i++) {
        enum fl_status status = read_strings(f, fl_json_get(node, keys[i]), keys[i],
                                             FL_RULE_PATTERNS_MAX, &sets[i]->text, &sets[i]->n,
                                             err);
        if (status != FL_OK) {
            return status;
        }
    }
    if (rule->any.n == 0) {
        return fl_fail(err, FL_SYNTAX, "\"any\" must hold at least one pattern");
    }
    for (size_t i = 0; rule->table && i < rule->any.n; i++) {
        if (!fl_str_find(rule->any.text[i], FL_LIT("(?<key>"))) {
            return fl_fail(err, FL_SYNTAX, "\"table\" wants a capture (?<key>...) in every pattern "
                           "of \"any\"; it is missing in: %.200s", rule->any.text[i].p);
        }
    }
    return FL_OK;
}

/* What the rule does not say is taken from its cause. */
static enum fl_status read_remedy(struct fl_rulefile *f, const fl_json *node, struct fl_rule *rule,
                                  struct fl_err *err)
{
    const struct fl_cause *cause = rule->cause;
    struct fl_str severity = fl_json_get_str(node, "severity");
    struct fl_str action = fl_json_get_str(node, "action");
    rule->severity = cause ? cause->severity : FL_SEVERITY_LOW;
    rule->action = cause ? cause->action : "none";
    rule->recoverable = fl_json_bool(fl_json_get(node, "recoverable"), cause && cause->recoverable);
    if (severity.p && !fl_severity_parse(severity, &rule->severity)) {
        return fl_fail(err, FL_SYNTAX, "\"severity\" must be low, medium, high or critical");
    }
    if (action.p) {
        rule->action = fl_action_known(action);
        if (!rule->action) {
            return fl_fail(err, FL_SYNTAX, "\"action\" %.60s is not one of the known actions",
                           action.p);
        }
    }
    enum fl_status status = read_texts(f, fl_json_get(node, "recovery"), "recovery",
                                       FL_STEPS_MAX, &rule->recovery, &rule->recovery_n, err);
    if (status == FL_OK && rule->recovery_n == 0 && cause) {
        rule->recovery_n = cause->recovery_n;
        rule->recovery = cause->recovery;
    }
    if (status == FL_OK) {
        status = read_texts(f, fl_json_get(node, "explains"), "explains",
                            FL_EXPLAINS_MAX, &rule->explains, &rule->explains_n, err);
    }
    for (size_t i = 0; status == FL_OK && i < rule->explains_n; i++) {
        if (!fl_taxonomy_find(f->taxonomy, fl_str_of(rule->explains[i]))) {
            status = fl_fail(err, FL_SYNTAX, "\"explains\": %.60s is not a cause of the taxonomy",
                             rule->explains[i]);
        }
    }
    return status;
}

static enum fl_status read_diagnosis(struct fl_rulefile *f, const fl_json *node,
                                     struct fl_rule *rule, struct fl_err *err)
{
    struct fl_str slug = fl_json_get_str(node, "cause");
    int role = index_of(fl_json_get_str(node, "role"), role_names, FL_ROLES, FL_ROLE_ROOT);
    int scope = index_of(fl_json_get_str(node, "scope"), scope_names, 4, FL_SCOPE_LINE);
    if (role < 0 || scope < 0) {
        return fl_fail(err, FL_SYNTAX, role < 0 ? "\"role\" is not a known role"
                                                : "\"scope\" must be line, event, stream or job");
    }
    rule->role = (enum fl_role)role;
    rule->scope = (enum fl_scope)scope;
    bool names_cause = role <= FL_ROLE_CONFIRMATION;
    struct fl_str table = fl_json_get_str(node, "table");
    rule->table = table.n ? fl_arena_text(f->arena, table) : NULL;
    rule->cause = slug.n && f->taxonomy ? fl_taxonomy_find(f->taxonomy, slug) : NULL;
    if (names_cause && !rule->cause && (slug.n || !rule->table)) {
        return fl_fail(err, FL_SYNTAX, "\"cause\" %.60s is not a cause of the taxonomy",
                       slug.n ? slug.p : "(missing)");
    }
    rule->confidence = fl_json_get_num(node, "confidence", names_cause ? 0.8 : 0);
    if (!(rule->confidence >= 0 && rule->confidence <= 1)) {
        return fl_fail(err, FL_SYNTAX, "\"confidence\" must lie between 0 and 1");
    }
    rule->summary = fl_arena_text(f->arena, fl_json_get_str(node, "summary"));
    enum fl_status status = read_patterns(f, node, rule, err);
    return status == FL_OK ? read_remedy(f, node, rule, err) : status;
}

static enum fl_status read_filter(struct fl_rulefile *f, const fl_json *node, struct fl_rule *rule,
                                  struct fl_err *err)
{
    struct fl_str pattern = fl_json_get_str(node, "pattern");
    if (pattern.n == 0) {
        return fl_fail(err, FL_SYNTAX, "no \"pattern\"");
    }
    return take_pattern(f, pattern, rule);
}

/* An element of an array file: a regex string, or {regex, diagnosis{...}} with free-text fields. */
static enum fl_status read_plain(struct fl_rulefile *f, const fl_json *node, struct fl_rule *rule,
                                 struct fl_err *err)
{
    char id[64];
    snprintf(id, sizeof id, "%s-%zu", f->filters ? "line" : "imported", f->index);
    rule->id = fl_arena_text(f->arena, fl_str_of(id));
    rule->state = FL_STATE_ACTIVE;
    rule->origin = f->origin;
    struct fl_str pattern = f->filters ? fl_json_str(node) : fl_json_get_str(node, "regex");
    if (!pattern.p) {
        return fl_fail(err, FL_SYNTAX, f->filters ? "not a string" : "no \"regex\"");
    }
    enum fl_status status = take_pattern(f, pattern, rule);
    if (f->filters || status != FL_OK) {
        return status;
    }
    const fl_json *diagnosis = fl_json_get(node, "diagnosis");
    static const char *const cause_keys[] = {"cause", "slug", "type", "error_type", "category"};
    for (size_t i = 0; i < 5 && !rule->cause; i++) {
        rule->cause = fl_taxonomy_find(f->taxonomy, fl_json_get_str(diagnosis, cause_keys[i]));
    }
    if (!rule->cause) {
        rule->cause = fl_taxonomy_find(f->taxonomy, FL_LIT("runtime_error"));
    }
    static const char *const text_keys[] = {"summary", "root_cause", "description", "reason"};
    for (size_t i = 0; i < 4 && (!rule->summary || !*rule->summary); i++) {
        rule->summary = fl_arena_text(f->arena, fl_json_get_str(diagnosis, text_keys[i]));
    }
    rule->confidence = 0.6;
    return read_remedy(f, node, rule, err);
}

enum fl_status fl_rulefile_next(struct fl_rulefile *file, struct fl_rule *rule, struct fl_err *err)
{
    const fl_json *node = file->next;
    *rule = (struct fl_rule){.file = file->path, .stack = file->stack, .is_filter = file->filters};
    file->next = fl_json_next(node);
    file->index++;
    enum fl_status status = FL_OK;
    if (file->plain) {
        status = read_plain(file, node, rule, err);
    } else {
        status = read_common(file, node, rule, err);
        if (status == FL_OK) {
            status = file->filters ? read_filter(file, node, rule, err)
                                   : read_diagnosis(file, node, rule, err);
        }
    }
    return status;
}

static void write_strings(struct fl_jw *w, const char *key, const struct fl_str *items, size_t n)
{
    fl_jw_key(w, key);
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < n; i++) {
        fl_jw_str(w, items[i]);
    }
    fl_jw_end(w, ']');
}

static void write_diagnosis(struct fl_jw *w, const struct fl_rule *rule)
{
    if (rule->cause) {
        fl_jw_key(w, "cause");
        fl_jw_text(w, rule->cause->slug);
    }
    fl_jw_key(w, "role");
    fl_jw_text(w, role_names[rule->role]);
    fl_jw_key(w, "scope");
    fl_jw_text(w, scope_names[rule->scope]);
    if (rule->table) {
        fl_jw_key(w, "table");
        fl_jw_text(w, rule->table);
    }
    if (rule->any.n) {
        write_strings(w, "any", rule->any.text, rule->any.n);
    }
    if (rule->all.n) {
        write_strings(w, "all", rule->all.text, rule->all.n);
    }
    if (rule->none.n) {
        write_strings(w, "none", rule->none.text, rule->none.n);
    }
    fl_jw_key(w, "confidence");
    fl_jw_num(w, rule->confidence);
    fl_jw_key(w, "summary");
    fl_jw_text(w, rule->summary ? rule->summary : "");
    fl_jw_key(w, "severity");
    fl_jw_text(w, fl_severity_name(rule->severity));
    fl_jw_key(w, "recoverable");
    fl_jw_bool(w, rule->recoverable);
    fl_jw_key(w, "action");
    fl_jw_text(w, rule->action);
    fl_jw_key(w, "recovery");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < rule->recovery_n; i++) {
        fl_jw_text(w, rule->recovery[i]);
    }
    fl_jw_end(w, ']');
    if (rule->explains_n) {
        fl_jw_key(w, "explains");
        fl_jw_begin(w, '[');
        for (size_t i = 0; i < rule->explains_n; i++) {
            fl_jw_text(w, rule->explains[i]);
        }
        fl_jw_end(w, ']');
    }
}

void fl_rule_write(struct fl_jw *w, const struct fl_rule *rule)
{
    fl_jw_begin(w, '{');
    fl_jw_key(w, "id");
    fl_jw_text(w, rule->id);
    if (rule->variant_of) {
        fl_jw_key(w, "variant_of");
        fl_jw_text(w, rule->variant_of);
    }
    if (rule->is_filter) {
        fl_jw_key(w, "pattern");
        fl_jw_str(w, rule->any.text[0]);
    } else {
        write_diagnosis(w, rule);
    }
    fl_jw_key(w, "samples");
    fl_jw_begin(w, '{');
    write_strings(w, "match", rule->match.item, rule->match.n);
    write_strings(w, "nomatch", rule->nomatch.item, rule->nomatch.n);
    fl_jw_end(w, '}');
    fl_jw_key(w, "state");
    fl_jw_text(w, state_names[rule->state]);
    fl_jw_key(w, "origin");
    fl_json *origin = NULL;
    struct fl_err ignored = {0};
    if (rule->origin_json &&
        fl_json_parse(fl_str_of(rule->origin_json), "origin", &origin, &ignored) == FL_OK) {
        fl_jw_json(w, origin);
        fl_json_free(origin);
    } else {
        fl_jw_text(w, rule->origin);
    }
    fl_jw_end(w, '}');
}
