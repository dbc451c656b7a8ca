/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/base/taxonomy.h"

#include "service/base/fsio.h"
#include "service/base/json.h"

const char *const fl_actions[] = {"none",
                                  "restart",
                                  "restart_exclude_node",
                                  "restart_from_earlier_checkpoint",
                                  "wait_and_retry",
                                  "fix_config",
                                  "fix_code",
                                  "fix_data",
                                  "fix_environment",
                                  "increase_limit",
                                  "drain_node",
                                  "escalate"};
const size_t fl_actions_n = sizeof fl_actions / sizeof *fl_actions;

static const char *const severities[] = {"low", "medium", "high", "critical"};

const char *fl_severity_name(enum fl_severity severity)
{
    return severities[severity];
}

bool fl_severity_parse(struct fl_str name, enum fl_severity *out)
{
    for (unsigned i = 0; i < 4; i++) {
        if (fl_str_eq(fl_str_of(severities[i]), name)) {
            *out = (enum fl_severity)i;
            return true;
        }
    }
    return false;
}

const char *fl_action_known(struct fl_str name)
{
    for (size_t i = 0; i < fl_actions_n; i++) {
        if (fl_str_eq(fl_str_of(fl_actions[i]), name)) {
            return fl_actions[i];
        }
    }
    return NULL;
}

const struct fl_cause *fl_taxonomy_find(const struct fl_taxonomy *taxonomy, struct fl_str slug)
{
    for (size_t i = 0; i < taxonomy->n; i++) {
        if (fl_str_eq(fl_str_of(taxonomy->causes[i].slug), slug)) {
            return &taxonomy->causes[i];
        }
    }
    return NULL;
}

static const char *const *read_list(struct fl_arena *arena, const fl_json *list, size_t max,
                                    size_t *n_r)
{
    size_t n = 0;
    const char **out = fl_arena_alloc(arena, (fl_json_count(list) + 1) * sizeof *out);
    for (const fl_json *e = out ? fl_json_first(list) : NULL; e && n < max; e = fl_json_next(e)) {
        if (fl_json_is_string(e)) {
            out[n++] = fl_arena_text(arena, fl_json_str(e));
        }
    }
    *n_r = n;
    return out;
}

static enum fl_status read_cause(struct fl_taxonomy *t, const fl_json *node, const char *path,
                                 struct fl_err *err)
{
    struct fl_str slug = fl_json_get_str(node, "slug");
    struct fl_cause *c = &t->causes[t->n];
    if (slug.n == 0) {
        return fl_fail(err, FL_SYNTAX, "%s: cause %zu has no \"slug\"", path, t->n + 1);
    }
    if (fl_taxonomy_find(t, slug)) {
        return fl_fail(err, FL_CONFLICT, "%s: cause %s stands twice", path, slug.p);
    }
    c->slug = fl_arena_text(&t->arena, slug);
    c->category = fl_arena_text(&t->arena, fl_json_get_str(node, "category"));
    c->title = fl_arena_text(&t->arena, fl_json_get_str(node, "title"));
    c->recoverable = fl_json_bool(fl_json_get(node, "recoverable"), false);
    c->job_wide = fl_json_bool(fl_json_get(node, "job_wide"), false);
    c->action = fl_action_known(fl_json_get_str(node, "action"));
    c->recovery =
        read_list(&t->arena, fl_json_get(node, "recovery"), FL_STEPS_MAX, &c->recovery_n);
    c->explains =
        read_list(&t->arena, fl_json_get(node, "explains"), FL_EXPLAINS_MAX, &c->explains_n);
    if (!c->action || !fl_severity_parse(fl_json_get_str(node, "severity"), &c->severity)) {
        return fl_fail(err, FL_SYNTAX, "%s: cause %s: \"action\" or \"severity\" is missing or not "
                       "one of the known words", path, c->slug);
    }
    t->n++;
    return FL_OK;
}

enum fl_status fl_taxonomy_load(const char *path, struct fl_taxonomy *out, struct fl_err *err)
{
    struct fl_buf text;
    fl_json *root = NULL;
    fl_arena_init(&out->arena, 4 << 20);
    out->n = 0;
    out->causes = fl_arena_alloc(&out->arena, FL_CAUSES_MAX * sizeof *out->causes);
    if (!out->causes) {
        return fl_fail(err, FL_NOMEM, "no memory for the taxonomy");
    }
    fl_buf_init(&text, 4 << 20);
    enum fl_status status = fl_fsio_read(path, &text, err);
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), path, &root, err);
    }
    const fl_json *e = fl_json_first(fl_json_get(root, "causes"));
    for (; status == FL_OK && e && out->n < FL_CAUSES_MAX; e = fl_json_next(e)) {
        status = read_cause(out, e, path, err);
    }
    if (status == FL_OK && out->n == 0) {
        status = fl_fail(err, FL_SYNTAX, "%s: no \"causes\" in it", path);
    }
    fl_json_free(root);
    fl_buf_free(&text);
    return status;
}

void fl_taxonomy_free(struct fl_taxonomy *taxonomy)
{
    if (taxonomy) {
        fl_arena_free(&taxonomy->arena);
        taxonomy->n = 0;
    }
}
