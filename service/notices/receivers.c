/* SPDX-License-Identifier: Apache-2.0 */
#include "service/notices/receivers.h"

#include "service/base/fsio.h"
#include "service/base/json.h"
#include "service/notices/address.h"

#include <math.h>
#include <stdio.h>

#define FORMAT "faultline.notices/1"

enum { FILE_CAP = 256 << 10, SECRET_CAP = 16 << 10, NAME_MOST = 48, CAUSES_MOST = 200 };

static const char *const kinds[FL_RECEIVER_KINDS] = {"alertmanager", "webhook", "slack"};

struct loading {
    struct fl_receivers *all;
    const char *path;
    char where[NAME_MOST + 64]; /* "receiver 2 (chat)" */
    struct fl_err *err;
};

const char *fl_receiver_kind_name(enum fl_receiver_kind kind)
{
    return kinds[kind];
}

static enum fl_status wrong(struct loading *l, const char *key, const char *what)
{
    return fl_fail(l->err, FL_SYNTAX, "%s: %s\"%.40s\" %s", l->path, l->where, key, what);
}

static enum fl_status no_memory(struct loading *l)
{
    return fl_fail(l->err, FL_NOMEM, "%s: no memory", l->path);
}

static enum fl_status take_text(struct loading *l, const fl_json *node, const char **out)
{
    if (!fl_json_is_string(node) || fl_json_str(node).n == 0) {
        return wrong(l, fl_json_key(node), "must be a text");
    }
    *out = fl_arena_text(&l->all->arena, fl_json_str(node));
    return *out ? FL_OK : no_memory(l);
}

static enum fl_status take_seconds(struct loading *l, const fl_json *node, double *out)
{
    *out = fl_json_num(node, -1);
    bool good = isfinite(*out) && *out > 0 && *out <= 31 * 86400;
    return good ? FL_OK : wrong(l, fl_json_key(node), "must be a number of seconds, above 0 and at most 31 days");
}

/* The first line of a file that is a secret. */
static enum fl_status take_secret(struct loading *l, const fl_json *node, struct fl_str *out)
{
    const char *path = NULL;
    struct fl_buf text;
    struct fl_err why = {0};
    enum fl_status status = take_text(l, node, &path);
    if (status != FL_OK) {
        return status;
    }
    fl_buf_init(&text, SECRET_CAP);
    status = fl_fsio_read_given(path, &text, &why);
    struct fl_str secret = fl_str_trim(fl_buf_str(&text));
    if (status != FL_OK) {
        status = fl_fail(l->err, status, "%s: %s\"%s\": %s", l->path, l->where, fl_json_key(node), why.msg);
    } else if (secret.n == 0 || memchr(secret.p, '\0', secret.n)) {
        status = wrong(l, fl_json_key(node), "names a file that is empty or no text");
    } else {
        *out = fl_arena_str(&l->all->arena, secret);
        status = out->p ? FL_OK : no_memory(l);
    }
    if (text.p) {
        explicit_bzero(text.p, text.n);
    }
    fl_buf_free(&text);
    return status;
}

static enum fl_status take_causes(struct loading *l, const fl_json *list, struct fl_receiver *r)
{
    size_t n = fl_json_count(list);
    if (!fl_json_is_array(list) || n == 0 || n > CAUSES_MOST) {
        return wrong(l, "causes", "must be a list of causes (see data/taxonomy.json)");
    }
    r->causes = fl_arena_alloc(&l->all->arena, n * sizeof *r->causes);
    for (const fl_json *e = fl_json_first(list); r->causes && e; e = fl_json_next(e)) {
        if (!fl_json_is_string(e)) {
            return wrong(l, "causes", "must be a list of causes (see data/taxonomy.json)");
        }
        r->causes[r->causes_n] = fl_arena_str(&l->all->arena, fl_json_str(e));
        if (!r->causes[r->causes_n++].p) {
            return no_memory(l);
        }
    }
    return r->causes ? FL_OK : no_memory(l);
}

static enum fl_status take_only(struct loading *l, const fl_json *only, struct fl_receiver *r)
{
    enum fl_severity severity = FL_SEVERITY_LOW;
    enum fl_status status = fl_json_is_object(only) ? FL_OK : wrong(l, "only", "must be an object");
    for (const fl_json *e = fl_json_first(only); status == FL_OK && e; e = fl_json_next(e)) {
        if (strcmp(fl_json_key(e), "causes") == 0) {
            status = take_causes(l, e, r);
        } else if (strcmp(fl_json_key(e), "severity") != 0) {
            status = wrong(l, fl_json_key(e), "is not known in \"only\" (severity, causes)");
        } else if (!fl_json_is_string(e) || !fl_severity_parse(fl_json_str(e), &severity)) {
            status = wrong(l, "severity", "must be low, medium, high or critical");
        }
    }
    r->severity = severity;
    return status;
}

static enum fl_status take_kind(struct loading *l, const fl_json *node, struct fl_receiver *r)
{
    for (int i = 0; i < FL_RECEIVER_KINDS; i++) {
        if (fl_str_eq(fl_json_str(node), fl_str_of(kinds[i]))) {
            r->kind = (enum fl_receiver_kind)i;
            return FL_OK;
        }
    }
    return wrong(l, "kind", "must be alertmanager, webhook or slack");
}

static enum fl_status take_key(struct loading *l, const fl_json *e, struct fl_receiver *r)
{
    struct fl_str key = fl_str_of(fl_json_key(e));
    struct fl_str url = {NULL, 0};
    if (fl_str_eq(key, FL_LIT("name"))) {
        return take_text(l, e, &r->name);
    } else if (fl_str_eq(key, FL_LIT("kind"))) {
        return take_kind(l, e, r);
    } else if (fl_str_eq(key, FL_LIT("url"))) {
        return take_text(l, e, &r->url);
    } else if (fl_str_eq(key, FL_LIT("url_file"))) {
        enum fl_status status = take_secret(l, e, &url);
        r->url = url.p;
        return status;
    } else if (fl_str_eq(key, FL_LIT("key_file"))) {
        return take_secret(l, e, &r->key);
    } else if (fl_str_eq(key, FL_LIT("ca_file"))) {
        return take_text(l, e, &r->ca_file);
    } else if (fl_str_eq(key, FL_LIT("only"))) {
        return take_only(l, e, r);
    } else if (fl_str_eq(key, FL_LIT("resend_s"))) {
        return take_seconds(l, e, &r->resend_s);
    } else if (fl_str_eq(key, FL_LIT("retry_s"))) {
        return take_seconds(l, e, &r->retry_s);
    } else if (fl_str_eq(key, FL_LIT("timeout_s"))) {
        return take_seconds(l, e, &r->timeout_s);
    } else if (fl_str_eq(key, FL_LIT("private"))) {
        r->is_private = fl_json_bool(e, false);
        return fl_json_is_bool(e) ? FL_OK : wrong(l, "private", "must be true or false");
    }
    return wrong(l, key.p, "is not known (name, kind, url, url_file, key_file, ca_file, private, only,"
                           " resend_s, retry_s, timeout_s)");
}

static bool is_name(struct fl_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!fl_is_alpha(c) && !fl_is_digit(c) && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return name.n > 0 && name.n <= NAME_MOST;
}

/* The address that alerts are posted to. */
static enum fl_status complete(struct loading *l, struct fl_receiver *r)
{
    static const struct fl_str leaf = {"/api/v2/alerts", 14};
    struct fl_str base = fl_str_of(r->url);
    struct fl_buf url;
    if (strchr(r->url, '?')) {
        return wrong(l, "url", "has a ?, but Alertmanager has no such addresses");
    }
    while (fl_str_ends(base, FL_LIT("/"))) {
        base.n--;
    }
    fl_buf_init(&url, FL_ADDRESS_URL + leaf.n);
    fl_buf_add_str(&url, base);
    fl_buf_add_str(&url, fl_str_ends(base, leaf) ? FL_LIT("") : leaf);
    r->url = url.failed ? NULL : fl_arena_text(&l->all->arena, fl_buf_str(&url));
    fl_buf_free(&url);
    return r->url ? FL_OK : no_memory(l);
}

static enum fl_status check_receiver(struct loading *l, const fl_json *e, struct fl_receiver *r)
{
    struct fl_err why = {0};
    if (!r->name || !is_name(fl_str_of(r->name))) {
        return wrong(l, "name", "must be 1 to 48 of A-Z a-z 0-9 . _ -");
    }
    for (size_t i = 0; i < l->all->n; i++) {
        if (strcmp(l->all->list[i].name, r->name) == 0) {
            return wrong(l, "name", "is the name of another receiver, too");
        }
    }
    if (!fl_json_get(e, "kind")) {
        return wrong(l, "kind", "must be alertmanager, webhook or slack");
    }
    if (!r->url || (fl_json_get(e, "url") && fl_json_get(e, "url_file"))) {
        return wrong(l, "url", "(or \"url_file\", and not both) must say where");
    }
    if (fl_address_check(r->url, r->is_private, &why) != FL_OK) {
        return wrong(l, fl_json_get(e, "url") ? "url" : "url_file", why.msg);
    }
    return r->kind == FL_RECEIVER_ALERTMANAGER ? complete(l, r) : FL_OK;
}

static enum fl_status take_receiver(struct loading *l, const fl_json *e)
{
    struct fl_receiver r = {.key = {"", 0}, .resend_s = 120, .retry_s = 30, .timeout_s = 10};
    struct fl_str name = fl_json_get_str(e, "name");
    bool told = name.p && is_name(name);
    snprintf(l->where, sizeof l->where, "receiver %zu%s%.*s%s: ", l->all->n + 1, told ? " (" : "",
             told ? (int)name.n : 0, told ? name.p : "", told ? ")" : "");
    enum fl_status status = fl_json_is_object(e) ? FL_OK : wrong(l, "receivers", "must hold objects");
    for (const fl_json *k = fl_json_first(e); status == FL_OK && k; k = fl_json_next(k)) {
        status = take_key(l, k, &r);
    }
    if (status == FL_OK) {
        status = check_receiver(l, e, &r);
    }
    if (status == FL_OK) {
        l->all->list[l->all->n++] = r;
    }
    l->where[0] = '\0';
    return status;
}

static enum fl_status take_base(struct loading *l, const fl_json *node)
{
    const char *text = NULL;
    struct fl_err why = {0};
    enum fl_status status = take_text(l, node, &text);
    if (status == FL_OK && fl_address_check(text, true, &why) != FL_OK) {
        status = wrong(l, "base_url", why.msg);
    }
    l->all->base_url = fl_str_of(status == FL_OK ? text : "");
    while (fl_str_ends(l->all->base_url, FL_LIT("/"))) {
        l->all->base_url.n--;
    }
    return status;
}

static enum fl_status take_receivers(struct loading *l, const fl_json *list)
{
    if (!fl_json_is_array(list) || fl_json_count(list) > FL_RECEIVERS_MOST) {
        return wrong(l, "receivers", "must be a list of at most 32");
    }
    l->all->list = fl_arena_alloc(&l->all->arena, (fl_json_count(list) + 1) * sizeof *l->all->list);
    enum fl_status status = l->all->list ? FL_OK : no_memory(l);
    for (const fl_json *e = fl_json_first(list); status == FL_OK && e; e = fl_json_next(e)) {
        status = take_receiver(l, e);
    }
    return status;
}

static enum fl_status take_file(struct loading *l, const fl_json *root)
{
    if (!fl_str_eq(fl_json_get_str(root, "format"), FL_LIT(FORMAT))) {
        return wrong(l, "format", "must be \"" FORMAT "\"");
    }
    enum fl_status status = FL_OK;
    for (const fl_json *e = fl_json_first(root); status == FL_OK && e; e = fl_json_next(e)) {
        struct fl_str key = fl_str_of(fl_json_key(e));
        if (fl_str_eq(key, FL_LIT("base_url"))) {
            status = take_base(l, e);
        } else if (fl_str_eq(key, FL_LIT("window_s"))) {
            status = take_seconds(l, e, &l->all->window_s);
        } else if (fl_str_eq(key, FL_LIT("active_s"))) {
            status = take_seconds(l, e, &l->all->active_s);
        } else if (fl_str_eq(key, FL_LIT("receivers"))) {
            status = take_receivers(l, e);
        } else if (!fl_str_eq(key, FL_LIT("format"))) {
            status = wrong(l, key.p, "is not known (base_url, window_s, active_s, receivers)");
        }
    }
    return status;
}

enum fl_status fl_receivers_load(const char *path, struct fl_receivers *out, struct fl_err *err)
{
    struct loading l = {.all = out, .path = path, .err = err};
    struct fl_buf text;
    fl_json *root = NULL;
    *out = (struct fl_receivers){.base_url = {"", 0}, .window_s = 3600, .active_s = 4 * 3600};
    fl_arena_init(&out->arena, 4 * FILE_CAP);
    if (!path) {
        return FL_OK;
    }
    fl_buf_init(&text, FILE_CAP);
    enum fl_status status = fl_fsio_read_given(path, &text, err);
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), path, &root, err);
    }
    if (status == FL_OK) {
        status = take_file(&l, root);
    }
    fl_json_free(root);
    fl_buf_free(&text);
    out->active_s = out->active_s < out->window_s ? out->window_s : out->active_s;
    return status;
}

void fl_receivers_free(struct fl_receivers *receivers)
{
    fl_arena_free(&receivers->arena);
}

const struct fl_receiver *fl_receivers_find(const struct fl_receivers *all, struct fl_str name)
{
    for (size_t i = 0; i < all->n; i++) {
        if (fl_str_eq(fl_str_of(all->list[i].name), name)) {
            return &all->list[i];
        }
    }
    return NULL;
}

bool fl_receiver_wants(const struct fl_receiver *r, struct fl_str cause, struct fl_str severity)
{
    enum fl_severity grade = FL_SEVERITY_CRITICAL;
    bool known = fl_severity_parse(severity, &grade);
    bool wants = r->causes_n == 0 && (!known || grade >= r->severity);
    for (size_t i = 0; i < r->causes_n && !wants; i++) {
        wants = fl_str_eq(r->causes[i], cause) && (!known || grade >= r->severity);
    }
    return wants;
}
