/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/base/table.h"

#include <stdio.h>
#include <stdlib.h>

struct reading {
    struct fl_table *table;
    const struct fl_taxonomy *taxonomy;
    struct fl_arena *arena;
    size_t keys_max;
};

bool fl_table_is(const fl_json *root)
{
    return fl_str_eq(fl_json_get_str(root, "format"), FL_LIT("faultline.table/1"));
}

/* The form in which keys are compared. False when it is empty or too long for any key. */
static bool plain_key(struct fl_str key, char out[FL_TABLE_KEY])
{
    key = fl_str_trim(key);
    while (key.n > 1 && key.p[0] == '0' && fl_is_digit(key.p[1])) {
        key = fl_str_skip(key, 1);
    }
    if (key.n == 0 || key.n >= FL_TABLE_KEY) {
        return false;
    }
    for (size_t i = 0; i < key.n; i++) {
        bool upper = key.p[i] >= 'A' && key.p[i] <= 'Z';
        out[i] = (char)(upper ? key.p[i] - 'A' + 'a' : key.p[i]);
    }
    out[key.n] = '\0';
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct fl_table_key *)a)->text, ((const struct fl_table_key *)b)->text);
}

uint32_t fl_table_find(const struct fl_table *table, struct fl_str key)
{
    char text[FL_TABLE_KEY];
    if (!plain_key(key, text)) {
        return UINT32_MAX;
    }
    struct fl_table_key wanted = {text, 0};
    const struct fl_table_key *found =
        bsearch(&wanted, table->keys, table->keys_n, sizeof *table->keys, by_text);
    return found ? found->row : UINT32_MAX;
}

static enum fl_status add_key(struct reading *r, struct fl_str key, struct fl_err *err)
{
    struct fl_table *t = r->table;
    char text[FL_TABLE_KEY];
    if (!plain_key(key, text)) {
        return fl_fail(err, FL_SYNTAX, "a key or alias is empty or longer than %d bytes",
                       FL_TABLE_KEY - 1);
    }
    for (size_t i = 0; i < t->keys_n; i++) {
        if (strcmp(t->keys[i].text, text) == 0) {
            return fl_fail(err, FL_SYNTAX, "\"%s\" stands in another row, too", text);
        }
    }
    if (t->keys_n == r->keys_max) {
        return fl_fail(err, FL_SYNTAX, "more than %d aliases", FL_TABLE_ALIASES_MAX);
    }
    t->keys[t->keys_n] = (struct fl_table_key){fl_arena_text(r->arena, fl_str_of(text)), t->rows_n};
    return t->keys[t->keys_n++].text ? FL_OK : FL_NOMEM;
}

static enum fl_status read_keys(struct reading *r, const fl_json *node, struct fl_err *err)
{
    size_t before = r->table->keys_n;
    const fl_json *aliases = fl_json_get(node, "aliases");
    enum fl_status status = add_key(r, fl_json_get_str(node, "key"), err);
    if (aliases && !fl_json_is_array(aliases)) {
        status = fl_fail(err, FL_SYNTAX, "\"aliases\" must be a list of strings");
    }
    for (const fl_json *e = fl_json_first(aliases); e && status == FL_OK; e = fl_json_next(e)) {
        status = add_key(r, fl_json_str(e), err);
    }
    if (status != FL_OK) {
        r->table->keys_n = before;
    }
    return status;
}

static enum fl_status read_steps(struct reading *r, const fl_json *node, struct fl_table_row *row,
                                 struct fl_err *err)
{
    const fl_json *list = fl_json_get(node, "recovery");
    const char **steps = fl_arena_alloc(r->arena, (fl_json_count(list) + 1) * sizeof *steps);
    row->recovery = steps;
    for (const fl_json *e = fl_json_first(list); e; e = fl_json_next(e)) {
        if (!fl_json_is_string(e) || row->recovery_n == FL_STEPS_MAX) {
            return fl_fail(err, FL_SYNTAX, "\"recovery\" must be a list of at most %d strings",
                           FL_STEPS_MAX);
        }
        const char *step = steps ? fl_arena_text(r->arena, fl_json_str(e)) : NULL;
        if (!step) {
            return FL_NOMEM;
        }
        steps[row->recovery_n++] = step;
    }
    return FL_OK;
}

static int role_of(struct fl_str name)
{
    for (int i = FL_ROLE_ROOT; i <= FL_ROLE_START; i++) {
        if (fl_str_eq(name, fl_str_of(fl_role_name((enum fl_role)i)))) {
            return i;
        }
    }
    return -1;
}

static enum fl_status read_meaning(struct reading *r, const fl_json *node,
                                   struct fl_table_row *row, struct fl_err *err)
{
    struct fl_str slug = fl_json_get_str(node, "cause");
    struct fl_str role = fl_json_get_str(node, "role");
    struct fl_str severity = fl_json_get_str(node, "severity");
    struct fl_str action = fl_json_get_str(node, "action");
    const fl_json *recoverable = fl_json_get(node, "recoverable");
    enum fl_severity grade = FL_SEVERITY_LOW;
    row->cause = slug.p ? fl_taxonomy_find(r->taxonomy, slug) : NULL;
    row->role = role.p ? role_of(role) : -1;
    row->action = action.p ? fl_action_known(action) : NULL;
    row->recoverable = recoverable ? fl_json_bool(recoverable, false) : -1;
    row->confidence = fl_json_get_num(node, "confidence", -1);
    if (slug.p && !row->cause) {
        return fl_fail(err, FL_SYNTAX, "\"cause\" %.60s is not a cause of the taxonomy", slug.p);
    }
    if (role.p && row->role < 0) {
        return fl_fail(err, FL_SYNTAX, "\"role\" %.60s is not a known role", role.p);
    }
    if (action.p && !row->action) {
        return fl_fail(err, FL_SYNTAX, "\"action\" %.60s is not one of the known actions",
                       action.p);
    }
    if (severity.p && !fl_severity_parse(severity, &grade)) {
        return fl_fail(err, FL_SYNTAX, "\"severity\" must be low, medium, high or critical");
    }
    row->severity = severity.p ? (int)grade : -1;
    if (fl_json_get(node, "confidence") && !(row->confidence >= 0 && row->confidence <= 1)) {
        return fl_fail(err, FL_SYNTAX, "\"confidence\" must lie between 0 and 1");
    }
    return FL_OK;
}

/* Keys become parts of rule ids. */
static bool is_key(struct fl_str key)
{
    for (size_t i = 0; i < key.n; i++) {
        if (!fl_is_alpha(key.p[i]) && !fl_is_digit(key.p[i]) && !strchr("-_.", key.p[i])) {
            return false;
        }
    }
    return key.n > 0 && key.n <= 60;
}

static enum fl_status read_row(struct reading *r, const fl_json *node, struct fl_err *err)
{
    struct fl_table_row row = {.role = -1};
    struct fl_str key = fl_json_get_str(node, "key");
    struct fl_str name = fl_json_get_str(node, "name");
    if (!is_key(key) || name.n == 0) {
        return fl_fail(err, FL_SYNTAX, "needs a \"key\" (letters, digits, - _ .) and a \"name\"");
    }
    enum fl_status status = read_meaning(r, node, &row, err);
    if (status == FL_OK) {
        status = read_steps(r, node, &row, err);
    }
    if (status == FL_OK) {
        status = read_keys(r, node, err);
    }
    if (status != FL_OK) {
        return status;
    }
    row.key = fl_arena_text(r->arena, key);
    row.name = fl_arena_text(r->arena, name);
    row.sample = fl_arena_str(r->arena, fl_json_get_str(node, "sample"));
    r->table->rows[r->table->rows_n++] = row;
    return row.key && row.name ? FL_OK : FL_NOMEM;
}

static void complain_of(const struct fl_table *t, size_t number, struct fl_str key,
                        const char *what, fl_ruleset_complain complain, void *ctx)
{
    struct fl_buf text;
    fl_buf_init(&text, 16 * 1024);
    fl_buf_addf(&text, "%s: table %s: row %zu (key \"%.*s\"): %s (row left out)", t->file, t->name,
                number, (int)(key.n > 60 ? 60 : key.n), key.p ? key.p : "", what);
    if (complain) {
        complain(ctx, fl_buf_text(&text));
    }
    fl_buf_free(&text);
}

enum fl_status fl_table_read(const fl_json *root, const char *path, const char *origin,
                             const struct fl_taxonomy *taxonomy, struct fl_arena *arena,
                             fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                             struct fl_table *out, struct fl_err *err)
{
    struct fl_str name = fl_json_get_str(root, "name");
    const fl_json *rows = fl_json_get(root, "rows");
    size_t n = fl_json_count(rows);
    struct reading r = {out, taxonomy, arena, 0};
    if (!is_key(name) || !fl_json_is_array(rows) || n == 0 || n > FL_TABLE_ROWS_MAX) {
        return fl_fail(err, FL_SYNTAX, "%s: a table needs a \"name\" (letters, digits, - _ .) and "
                       "\"rows\", 1 to %d of them", path, FL_TABLE_ROWS_MAX);
    }
    *out = (struct fl_table){.name = fl_arena_text(arena, name),
                             .file = fl_arena_text(arena, fl_str_of(path)),
                             .origin = origin};
    out->rows = fl_arena_alloc(arena, n * sizeof *out->rows);
    out->keys = fl_arena_alloc(arena, n * (1 + FL_TABLE_ALIASES_MAX) * sizeof *out->keys);
    if (!out->name || !out->file || !out->rows || !out->keys) {
        return fl_fail(err, FL_NOMEM, "%s: no memory for its rows", path);
    }
    size_t number = 0;
    for (const fl_json *e = fl_json_first(rows); e; e = fl_json_next(e)) {
        struct fl_err fault = {0};
        number++;
        r.keys_max = out->keys_n + 1 + FL_TABLE_ALIASES_MAX;
        enum fl_status status = read_row(&r, e, &fault);
        if (status == FL_NOMEM) {
            return fl_fail(err, FL_NOMEM, "%s: no memory for its rows", path);
        }
        if (status != FL_OK) {
            complain_of(out, number, fl_json_get_str(e, "key"), fault.msg, complain, ctx);
            ++*bad_r;
        }
    }
    qsort(out->keys, out->keys_n, sizeof *out->keys, by_text);
    return FL_OK;
}

/* The rule's summary with {key} and {name} of the row; other names wait for a match. */
static const char *summary_of(const char *summary, const struct fl_table_row *row,
                              struct fl_arena *arena)
{
    struct fl_buf out;
    struct fl_str rest = fl_str_of(summary ? summary : "");
    fl_buf_init(&out, 8192);
    while (rest.n) {
        bool key = fl_str_starts(rest, FL_LIT("{key}"));
        bool name = fl_str_starts(rest, FL_LIT("{name}"));
        if (key || name) {
            fl_buf_add_text(&out, key ? row->key : row->name);
        } else {
            fl_buf_add(&out, rest.p, 1);
        }
        rest = fl_str_skip(rest, key ? 5 : name ? 6 : 1);
    }
    const char *text = out.failed ? NULL : fl_arena_text(arena, fl_buf_str(&out));
    fl_buf_free(&out);
    return text;
}

/* Row, else rule, else cause; the rule's remedy is for the rule's cause only. */
static void take_remedy(const struct fl_table_row *row, const struct fl_rule *rule,
                        struct fl_rule *out)
{
    const struct fl_cause *cause = row->cause ? row->cause : rule->cause;
    if (cause && cause != rule->cause) {
        out->cause = cause;
        out->severity = cause->severity;
        out->recoverable = cause->recoverable;
        out->action = cause->action;
        out->recovery_n = cause->recovery_n;
        out->recovery = cause->recovery;
    }
    out->severity = row->severity >= 0 ? (enum fl_severity)row->severity : out->severity;
    out->recoverable = row->recoverable >= 0 ? row->recoverable != 0 : out->recoverable;
    out->action = row->action ? row->action : out->action;
    if (row->recovery_n) {
        out->recovery_n = row->recovery_n;
        out->recovery = row->recovery;
    }
}

enum fl_status fl_table_variant(const struct fl_table *table, uint32_t number,
                                const struct fl_rule *rule, struct fl_arena *arena,
                                struct fl_rule *out, struct fl_err *err)
{
    const struct fl_table_row *row = &table->rows[number];
    char id[256];
    *out = *rule;
    out->variant_of = rule->id;
    out->table = NULL;
    out->rows = NULL;
    out->any.n = 0;
    out->match = (struct fl_samples){&row->sample, row->sample.n > 0};
    out->nomatch = (struct fl_samples){.n = 0};
    out->role = row->role >= 0 ? (enum fl_role)row->role : rule->role;
    out->confidence = row->confidence >= 0 ? row->confidence : rule->confidence;
    take_remedy(row, rule, out);
    snprintf(id, sizeof id, "%s.%s", rule->id, row->key);
    out->id = fl_arena_text(arena, fl_str_of(id));
    out->summary = summary_of(rule->summary, row, arena);
    if (!out->id || !out->summary) {
        return fl_fail(err, FL_NOMEM, "no memory for the rows of table %s", table->name);
    }
    if (out->role <= FL_ROLE_CONFIRMATION && !out->cause) {
        return fl_fail(err, FL_SYNTAX, "row %s of table %s (%s) names no cause, nor does the rule",
                       row->key, table->name, table->file);
    }
    return FL_OK;
}
