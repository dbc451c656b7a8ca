/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/token.h"

#include "service/base/clock.h"
#include "service/base/fsio.h"
#include "service/base/json.h"
#include "service/http/digest.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

enum { RANDOM = 24, FILE_CAP = 1 << 20 };

static const struct {
    const char *name;
    unsigned scope;
} scopes[] = {{"ingest", FL_SCOPE_INGEST}, {"read", FL_SCOPE_READ}, {"admin", FL_SCOPE_ADMIN}};

unsigned fl_scopes_of(struct fl_str text)
{
    unsigned all = 0;
    while (text.n) {
        const char *comma = memchr(text.p, ',', text.n);
        struct fl_str one = {text.p, comma ? (size_t)(comma - text.p) : text.n};
        unsigned found = 0;
        for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
            found |= fl_str_eq(fl_str_trim(one), fl_str_of(scopes[i].name)) ? scopes[i].scope : 0;
        }
        if (!found) {
            return 0;
        }
        all |= found;
        text = fl_str_skip(text, one.n + (comma != NULL));
    }
    return all;
}

const char *fl_scopes_name(unsigned value, char out[static 24])
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
        if (value & scopes[i].scope) {
            n += (size_t)snprintf(out + n, 24 - n, "%s%s", n ? "," : "", scopes[i].name);
        }
    }
    return out;
}

static void path_of(const char *state_dir, char out[static 4096])
{
    snprintf(out, 4096, "%s/tokens.json", state_dir);
}

static enum fl_status read_one(const fl_json *e, const char *path, struct fl_tokens *out,
                               struct fl_err *err)
{
    struct fl_str name = fl_json_get_str(e, "name");
    struct fl_str hash = fl_json_get_str(e, "sha256");
    struct fl_token *t = &out->list[out->n];
    t->scopes = fl_scopes_of(fl_json_get_str(e, "scopes"));
    if (!name.n || hash.n != FL_DIGEST_HEX || !t->scopes || out->n == FL_TOKENS_MAX) {
        return fl_fail(err, FL_SYNTAX, "%s: token %zu needs \"name\", \"scopes\" (of ingest, read,"
                                       " admin) and \"sha256\" (64 hexadecimal digits)", path, out->n + 1);
    }
    t->name = fl_arena_text(&out->arena, name);
    t->hash = fl_arena_text(&out->arena, hash);
    t->created = fl_arena_text(&out->arena, fl_json_get_str(e, "created"));
    out->n++;
    return t->name && t->hash && t->created ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for tokens");
}

enum fl_status fl_tokens_load(const char *state_dir, struct fl_tokens *out, struct fl_err *err)
{
    char path[4096];
    struct fl_buf text;
    fl_json *root = NULL;
    path_of(state_dir, path);
    *out = (struct fl_tokens){.n = 0};
    fl_arena_init(&out->arena, FILE_CAP);
    if (!fl_fsio_exists(path)) {
        return FL_OK;
    }
    fl_buf_init(&text, FILE_CAP);
    enum fl_status status = fl_fsio_read_own(path, &text, err);
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), path, &root, err);
    }
    const fl_json *list = fl_json_get(root, "tokens");
    if (status == FL_OK && !fl_json_is_array(list)) { /* no tokens may mean: open to all of this machine */
        status = fl_fail(err, FL_SYNTAX, "%s: has no list \"tokens\"", path);
    }
    out->list = fl_arena_alloc(&out->arena, (fl_json_count(list) + 1) * sizeof *out->list);
    if (status == FL_OK && !out->list) {
        status = fl_fail(err, FL_NOMEM, "no memory for tokens");
    }
    for (const fl_json *e = fl_json_first(list); status == FL_OK && e; e = fl_json_next(e)) {
        status = read_one(e, path, out, err);
    }
    fl_json_free(root);
    fl_buf_free(&text);
    return status;
}

void fl_tokens_free(struct fl_tokens *tokens)
{
    fl_arena_free(&tokens->arena);
}

static enum fl_status save(const char *state_dir, const struct fl_tokens *tokens, const char *but,
                           const struct fl_token *more, struct fl_err *err)
{
    char path[4096];
    char names[24];
    struct fl_buf text;
    struct fl_jw w;
    path_of(state_dir, path);
    fl_buf_init(&text, FILE_CAP);
    fl_jw_init(&w, &text, true);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "tokens");
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < tokens->n + (more != NULL); i++) {
        const struct fl_token *t = i < tokens->n ? &tokens->list[i] : more;
        if (but && strcmp(t->name, but) == 0) {
            continue;
        }
        fl_jw_begin(&w, '{');
        fl_jw_key_text(&w, "name", t->name);
        fl_jw_key_text(&w, "scopes", fl_scopes_name(t->scopes, names));
        fl_jw_key_text(&w, "created", t->created);
        fl_jw_key_text(&w, "sha256", t->hash);
        fl_jw_end(&w, '}');
    }
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    fl_buf_add_text(&text, "\n");
    enum fl_status status = text.failed ? fl_fail(err, text.failed, "%s: too many tokens", path)
                                        : fl_fsio_replace(path, fl_buf_str(&text), false, err);
    fl_buf_free(&text);
    return status;
}

/* Two commands at once take turns; -1 when there is no lock to be had. */
static int lock(const char *state_dir)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/tokens.lock", state_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        flock(fd, LOCK_EX);
    }
    return fd;
}

static void unlock(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static const struct fl_token *named(const struct fl_tokens *tokens, const char *name)
{
    for (size_t i = 0; i < tokens->n; i++) {
        if (strcmp(tokens->list[i].name, name) == 0) {
            return &tokens->list[i];
        }
    }
    return NULL;
}

static enum fl_status make(char text[static FL_TOKEN_TEXT], char hash[static FL_DIGEST_HEX + 1],
                           struct fl_err *err)
{
    unsigned char random[RANDOM];
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        return fl_fail_errno(err, "no random bytes for a token");
    }
    size_t n = (size_t)snprintf(text, FL_TOKEN_TEXT, "fl_");
    for (size_t i = 0; i < sizeof random; i++) {
        n += (size_t)snprintf(text + n, FL_TOKEN_TEXT - n, "%02x", random[i]);
    }
    return fl_digest(NULL, fl_str_of(text), hash, err);
}

enum fl_status fl_tokens_add(const char *state_dir, const char *name, unsigned scope,
                             char text[static FL_TOKEN_TEXT], struct fl_err *err)
{
    char hash[FL_DIGEST_HEX + 1];
    char now[21];
    struct fl_tokens tokens = {.n = 0};
    enum fl_status status = fl_fsio_mkdirs(state_dir, err);
    int fd = status == FL_OK ? lock(state_dir) : -1;
    fl_clock_format(fl_clock_wall_s(), now);
    if (status == FL_OK) {
        status = fl_tokens_load(state_dir, &tokens, err);
    }
    if (status == FL_OK && named(&tokens, name)) {
        status = fl_fail(err, FL_CONFLICT, "there is a token %s already: revoke it first, or give"
                                           " another name", name);
    }
    if (status == FL_OK) {
        status = make(text, hash, err);
    }
    if (status == FL_OK) {
        const struct fl_token more = {name, hash, now, scope};
        status = save(state_dir, &tokens, NULL, &more, err);
    }
    fl_tokens_free(&tokens);
    unlock(fd);
    return status;
}

enum fl_status fl_tokens_revoke(const char *state_dir, const char *name, struct fl_err *err)
{
    struct fl_tokens tokens = {.n = 0};
    int fd = lock(state_dir);
    enum fl_status status = fl_tokens_load(state_dir, &tokens, err);
    if (status == FL_OK && !named(&tokens, name)) {
        status = fl_fail(err, FL_NOTFOUND, "there is no token %s (see: faultline token list)", name);
    }
    if (status == FL_OK) {
        status = save(state_dir, &tokens, name, NULL, err);
    }
    fl_tokens_free(&tokens);
    unlock(fd);
    return status;
}

const struct fl_token *fl_tokens_find(const struct fl_tokens *tokens, struct fl_str text)
{
    char hash[FL_DIGEST_HEX + 1];
    const struct fl_token *found = NULL;
    if (fl_digest(NULL, text, hash, NULL) != FL_OK) {
        return NULL;
    }
    for (size_t i = 0; i < tokens->n; i++) {
        if (fl_digest_eq(tokens->list[i].hash, hash)) {
            found = &tokens->list[i];
        }
    }
    return found;
}
