/* SPDX-License-Identifier: Apache-2.0 */
#include "service/config.h"

#include "service/base/fsio.h"
#include "service/base/json.h"
#include "service/paths.h"

#include <stdlib.h>

static const struct {
    const char *name;
    const char *env;
    const char *flag;
} settings[FL_SETTINGS_N] = {
    [FL_SET_STATE] = {"state", "FAULTLINE_STATE", "flag --state"},
    [FL_SET_BASE_URL] = {"base_url", "OPENAI_BASE_URL", "flag --base-url"},
    [FL_SET_API_KEY] = {"api_key", "OPENAI_API_KEY", "flag"},
    [FL_SET_API_KEY_FILE] = {"api_key_file", "OPENAI_API_KEY_FILE", "flag"},
    [FL_SET_HEADERS] = {"headers", "FAULTLINE_HEADERS", "flag"},
    [FL_SET_CA_FILE] = {"ca_file", "FAULTLINE_CA_FILE", "flag"},
    [FL_SET_CERT_FILE] = {"cert_file", "FAULTLINE_CERT_FILE", "flag"},
    [FL_SET_MODEL] = {"model", "FAULTLINE_MODEL", "flag --model"},
    [FL_SET_EMBED_MODEL] = {"embed_model", "FAULTLINE_EMBED_MODEL", "flag"},
    [FL_SET_DEADLINE] = {"deadline_seconds", "FAULTLINE_DEADLINE", "flag --deadline"},
    [FL_SET_AUTO_ACTIVATE] = {"auto_activate", "FAULTLINE_AUTO_ACTIVATE", "flag"},
    [FL_SET_PROTECT] = {"protect", "FAULTLINE_PROTECT", "flag --protect"},
    [FL_SET_PROMPTS] = {"prompts", "FAULTLINE_PROMPTS", "flag"},
    [FL_SET_VOTES] = {"votes", "FAULTLINE_VOTES", "flag --votes"},
    [FL_SET_DAY_CALLS] = {"calls_per_day", "FAULTLINE_CALLS_PER_DAY", "flag"},
    [FL_SET_DAY_TOKENS] = {"tokens_per_day", "FAULTLINE_TOKENS_PER_DAY", "flag"},
    [FL_SET_PRICE_IN] = {"price_in", "FAULTLINE_PRICE_IN", "flag"},
    [FL_SET_PRICE_OUT] = {"price_out", "FAULTLINE_PRICE_OUT", "flag"},
    [FL_SET_NOTICES] = {"notices", "FAULTLINE_NOTICES", "flag --notices"},
    [FL_SET_LOG_ROOTS] = {"log_roots", "FAULTLINE_LOG_ROOTS", "flag --log-root"},
    [FL_SET_WATCH] = {"watch", "FAULTLINE_WATCH", "flag --watch"},
};

const char *fl_config_name(enum fl_setting setting)
{
    return settings[setting].name;
}

const char *fl_config_env(enum fl_setting setting)
{
    return settings[setting].env;
}

static const char *file_path(struct fl_arena *arena)
{
    const char *given = getenv("FAULTLINE_CONFIG");
    const char *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    struct fl_buf path;
    if (given && *given) {
        return given;
    }
    fl_buf_init(&path, 4096);
    if (xdg && *xdg) {
        fl_buf_addf(&path, "%s/faultline/config.json", xdg);
    } else if (home && *home) {
        fl_buf_addf(&path, "%s/.config/faultline/config.json", home);
    }
    const char *kept = path.n && fl_fsio_exists(fl_buf_text(&path))
                           ? fl_arena_text(arena, fl_buf_str(&path))
                           : NULL;
    fl_buf_free(&path);
    return kept;
}

static enum fl_status take_key(struct fl_config *c, const fl_json *node, struct fl_err *err)
{
    for (int i = 0; i < FL_SETTINGS_N; i++) {
        if (strcmp(settings[i].name, fl_json_key(node)) != 0) {
            continue;
        }
        struct fl_buf number;
        fl_buf_init(&number, 64);
        struct fl_str text = fl_json_str(node);
        if (fl_json_is_number(node)) {
            fl_buf_addf(&number, "%.10g", fl_json_num(node, 0));
            text = fl_buf_str(&number);
        }
        c->value[i] = text.p ? fl_arena_text(&c->arena, text) : NULL;
        c->from[i] = "configuration file";
        fl_buf_free(&number);
        return c->value[i] ? FL_OK
                           : fl_fail(err, FL_SYNTAX, "%s: \"%s\" must be text or a number", c->file,
                                     settings[i].name);
    }
    return fl_fail(err, FL_SYNTAX, "%s: unknown key \"%.80s\" (see faultline config)", c->file,
                   fl_json_key(node));
}

static enum fl_status read_file(struct fl_config *c, struct fl_err *err)
{
    struct fl_buf text;
    fl_json *root = NULL;
    fl_buf_init(&text, 1 << 20);
    enum fl_status status = fl_fsio_read(c->file, &text, err);
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), c->file, &root, err);
    }
    if (status == FL_OK && !fl_json_is_object(root)) {
        status = fl_fail(err, FL_SYNTAX, "%s: expected one JSON object", c->file);
    }
    const fl_json *e = fl_json_first(root);
    for (; status == FL_OK && e; e = fl_json_next(e)) {
        status = take_key(c, e, err);
    }
    fl_json_free(root);
    fl_buf_free(&text);
    return status;
}

static bool is_from(const struct fl_config *config, enum fl_setting setting, const char *place)
{
    return config->value[setting] && strcmp(config->from[setting], place) == 0;
}

static enum fl_status read_key(struct fl_config *config, struct fl_err *err)
{
    const char *path = config->value[FL_SET_API_KEY_FILE];
    bool named_better = is_from(config, FL_SET_API_KEY_FILE, "environment") &&
                        !is_from(config, FL_SET_API_KEY, "environment");
    if (!path || (config->value[FL_SET_API_KEY] && !named_better)) {
        return FL_OK;
    }
    struct fl_buf text;
    fl_buf_init(&text, 16 * 1024);
    enum fl_status status = fl_fsio_read_given(path, &text, err);
    struct fl_str key = fl_str_trim(fl_buf_str(&text));
    if (status == FL_OK && key.n == 0) {
        status = fl_fail(err, FL_SYNTAX, "%s: the file for the API key is empty", path);
    }
    if (status == FL_OK) {
        config->value[FL_SET_API_KEY] = fl_arena_text(&config->arena, key);
        config->from[FL_SET_API_KEY] = settings[FL_SET_API_KEY_FILE].name;
        status = config->value[FL_SET_API_KEY] ? FL_OK : FL_NOMEM;
    }
    if (text.p) {
        explicit_bzero(text.p, text.n);
    }
    fl_buf_free(&text);
    return status;
}

static enum fl_status part_headers(struct fl_config *config, struct fl_err *err)
{
    enum { MAX = 64 };
    struct fl_str rest = fl_str_of(config->value[FL_SET_HEADERS]);
    const char **lines = rest.n ? fl_arena_alloc(&config->arena, (MAX + 1) * sizeof *lines) : NULL;
    for (size_t n = 0; lines && rest.n;) {
        const char *end = memchr(rest.p, '\n', rest.n);
        struct fl_str line = {rest.p, end ? (size_t)(end - rest.p) : rest.n};
        rest = fl_str_skip(rest, end ? line.n + 1 : line.n);
        line = fl_str_trim(line);
        if (line.n && n == MAX) {
            return fl_fail(err, FL_LIMIT, "headers: more than %d", MAX);
        }
        lines[n] = line.n ? fl_arena_text(&config->arena, line) : NULL;
        n += lines[n] != NULL;
    }
    config->headers = lines;
    return FL_OK;
}

enum fl_status fl_config_load(struct fl_config *config, struct fl_err *err)
{
    *config = (struct fl_config){0};
    fl_arena_init(&config->arena, 2 << 20);
    config->file = file_path(&config->arena);
    enum fl_status status = config->file ? read_file(config, err) : FL_OK;
    for (int i = 0; status == FL_OK && i < FL_SETTINGS_N; i++) {
        const char *value = getenv(settings[i].env);
        if (value && *value) {
            config->value[i] = value;
            config->from[i] = "environment";
        }
    }
    if (status == FL_OK) {
        status = read_key(config, err);
    }
    if (status == FL_OK) {
        status = part_headers(config, err);
    }
    if (status == FL_OK && !config->value[FL_SET_STATE]) {
        char path[FL_PATHS_BYTES];
        const char *state = fl_paths_state(NULL, path);
        config->value[FL_SET_STATE] =
            state ? fl_arena_text(&config->arena, fl_str_of(state)) : NULL;
        config->from[FL_SET_STATE] = "default";
    }
    return status;
}

void fl_config_free(struct fl_config *config)
{
    fl_arena_free(&config->arena);
}

void fl_config_flag(struct fl_config *config, enum fl_setting setting, const char *value)
{
    if (value) {
        config->value[setting] = value;
        config->from[setting] = settings[setting].flag;
    }
}

double fl_config_number(const struct fl_config *config, enum fl_setting setting, double missing)
{
    const char *text = config->value[setting];
    char *end = NULL;
    double number = text ? strtod(text, &end) : 0;
    return text && end != text && *end == '\0' && number >= 0 && number < 1e15 ? number : missing;
}

int fl_config_int(const struct fl_config *config, enum fl_setting setting, int missing)
{
    const char *text = config->value[setting];
    char *end = NULL;
    long number = text ? strtol(text, &end, 10) : 0;
    return text && end != text && *end == '\0' && number > 0 && number < 1 << 30 ? (int)number
                                                                                 : missing;
}
