/* SPDX-License-Identifier: Apache-2.0 */
/* A complaint is matched by the names it mentions, for param, code and message are used at will. */
#include "service/llm/client_caps.h"

#include "service/base/json.h"
#include "service/llm/client_error.h"

static const char *const json_names[] = {
    [FL_CLIENT_JSON_SCHEMA] = "schema",
    [FL_CLIENT_JSON_OBJECT] = "object",
    [FL_CLIENT_JSON_NONE] = "none",
};
static const char *const tokens_names[] = {
    [FL_CLIENT_TOKENS_OLD] = "max_tokens",
    [FL_CLIENT_TOKENS_NEW] = "max_completion_tokens",
    [FL_CLIENT_TOKENS_NONE] = "none",
};
enum { JSON_N = sizeof json_names / sizeof *json_names };
enum { TOKENS_N = sizeof tokens_names / sizeof *tokens_names };

void fl_client_caps_guess(struct fl_client_caps *caps, bool new_names)
{
    if (!caps->guessed) {
        caps->guessed = true;
        caps->tokens = new_names ? FL_CLIENT_TOKENS_NEW : FL_CLIENT_TOKENS_OLD;
    }
}

/* The other name first, then none at all. */
static void change_tokens(struct fl_client_caps *caps)
{
    if (caps->tokens_changed) {
        caps->tokens = FL_CLIENT_TOKENS_NONE;
        return;
    }
    caps->tokens =
        caps->tokens == FL_CLIENT_TOKENS_OLD ? FL_CLIENT_TOKENS_NEW : FL_CLIENT_TOKENS_OLD;
    caps->tokens_changed = true;
}

bool fl_client_caps_change(struct fl_client_caps *caps, struct fl_str complaint, bool has_schema,
                           bool may_guess)
{
    static const char *const tokens[] = {"max_tokens", "max_completion_tokens", NULL};
    static const char *const temperature[] = {"temperature", NULL};
    static const char *const stream[] = {"stream", NULL};
    static const char *const model[] = {"model", NULL};
    static const char *const system[] = {
        "system role",          "role 'system'",         "role \"system\"",
        "role: system",         "system message",        "system prompt",
        "roles must alternate", "developer instruction", NULL};
    static const char *const format[] = {"response_format", "json_schema", "json_object",
                                         "json mode",       "structured",  "guided",
                                         "grammar",         NULL};
    long ignored = 0;
    if (fl_client_too_long(complaint, &ignored)) {
        return false;
    }
    if (caps->tokens != FL_CLIENT_TOKENS_NONE && fl_client_mentions(complaint, tokens)) {
        change_tokens(caps);
        return true;
    }
    if (!caps->no_temperature && fl_client_mentions(complaint, temperature)) {
        return caps->no_temperature = true;
    }
    if (!caps->no_system && fl_client_mentions(complaint, system)) {
        return caps->no_system = true;
    }
    if (!caps->stream && fl_client_mentions(complaint, stream)) {
        return caps->stream = true;
    }
    bool may_blame = may_guess && !fl_client_mentions(complaint, model);
    if (has_schema && caps->json != FL_CLIENT_JSON_NONE &&
        (may_blame || fl_client_mentions(complaint, format))) {
        caps->json =
            caps->json == FL_CLIENT_JSON_SCHEMA ? FL_CLIENT_JSON_OBJECT : FL_CLIENT_JSON_NONE;
        return true;
    }
    return false;
}

void fl_client_caps_write(const struct fl_client_caps *caps, struct fl_buf *out)
{
    struct fl_jw w;
    fl_jw_init(&w, out, false);
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "json", json_names[caps->json]);
    fl_jw_key_text(&w, "tokens", tokens_names[caps->tokens]);
    fl_jw_key(&w, "tokens_changed");
    fl_jw_bool(&w, caps->tokens_changed);
    fl_jw_key(&w, "temperature");
    fl_jw_bool(&w, !caps->no_temperature);
    fl_jw_key(&w, "system");
    fl_jw_bool(&w, !caps->no_system);
    fl_jw_key(&w, "stream");
    fl_jw_bool(&w, caps->stream);
    fl_jw_end(&w, '}');
}

/* Which of the names it is; n when it is none. */
static size_t place_of(struct fl_str name, const char *const *names, size_t n)
{
    size_t i = 0;
    while (i < n && !fl_str_eq(name, fl_str_of(names[i]))) {
        i++;
    }
    return i;
}

void fl_client_caps_read(struct fl_str json, struct fl_client_caps *caps)
{
    fl_json *root = NULL;
    struct fl_err ignored = {.status = FL_OK};
    *caps = (struct fl_client_caps){.guessed = false};
    if (fl_json_parse(json, "capabilities", &root, &ignored) != FL_OK) {
        return;
    }
    size_t format = place_of(fl_json_get_str(root, "json"), json_names, JSON_N);
    size_t tokens = place_of(fl_json_get_str(root, "tokens"), tokens_names, TOKENS_N);
    if (format < JSON_N && tokens < TOKENS_N) {
        *caps = (struct fl_client_caps){
            .guessed = true,
            .json = (enum fl_client_json)format,
            .tokens = (enum fl_client_tokens)tokens,
            .tokens_changed = fl_json_bool(fl_json_get(root, "tokens_changed"), false),
            .no_temperature = !fl_json_bool(fl_json_get(root, "temperature"), true),
            .no_system = !fl_json_bool(fl_json_get(root, "system"), true),
            .stream = fl_json_bool(fl_json_get(root, "stream"), false),
        };
    }
    fl_json_free(root);
}
