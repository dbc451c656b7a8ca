/* SPDX-License-Identifier: Apache-2.0 */
#include "service/life.h"

#include "service/base/fsio.h"
#include "service/paths.h"

#include <stdio.h>

enum { TEXT_BYTES = 64 << 20, LABEL_BYTES = 4 << 20 };

static enum fl_status guard_incident(void *ctx, const struct fl_incident *in, struct fl_err *err)
{
    char whence[FL_INCIDENT_ID + 16];
    snprintf(whence, sizeof whence, "incident %.*s", (int)in->id.n, in->id.p);
    return fl_guard_add(ctx, in->text, in->cause, fl_str_of(whence), err);
}

/* The shipped incidents as they are shipped: the user's store may have forgotten one. */
static enum fl_status guard_seeds(const char *path, struct fl_guard *guard, struct fl_err *err)
{
    struct fl_buf text;
    fl_buf_init(&text, TEXT_BYTES);
    enum fl_status status = fl_fsio_read(path, &text, err);
    struct fl_str rest = fl_buf_str(&text);
    while (status == FL_OK && rest.n) {
        const char *nl = memchr(rest.p, '\n', rest.n);
        struct fl_str line = {rest.p, nl ? (size_t)(nl - rest.p) : rest.n};
        fl_json *root = NULL;
        rest = fl_str_skip(rest, nl ? line.n + 1 : line.n);
        if (fl_str_trim(line).n == 0) {
            continue;
        }
        status = fl_json_parse(line, path, &root, err);
        if (status == FL_OK) {
            const struct fl_incident in = {.id = fl_json_get_str(root, "id"),
                                           .cause = fl_json_get_str(root, "cause"),
                                           .text = fl_json_get_str(root, "text")};
            status = guard_incident(guard, &in, err);
        }
        fl_json_free(root);
    }
    fl_buf_free(&text);
    return status;
}

static enum fl_status guard_store(const char *state_dir, struct fl_guard *guard, struct fl_err *err)
{
    struct fl_incidents *store = NULL;
    struct fl_err fault = {0};
    enum fl_status status = fl_incidents_open(state_dir, NULL, true, &store, &fault);
    if (status == FL_OK) {
        status = fl_incidents_list(store, FL_LIT(""), 0, guard_incident, guard, &fault);
    }
    fl_incidents_close(store);
    return status == FL_OK || status == FL_NOTFOUND ? FL_OK
                                                    : fl_fail(err, status, "%s", fault.msg);
}

static enum fl_status guard_label(void *ctx, const char *path, struct fl_err *err)
{
    struct fl_guard *guard = ctx;
    struct fl_buf text;
    fl_json *root = NULL;
    if (!fl_str_ends(fl_str_of(path), FL_LIT("/label.json"))) {
        return FL_OK;
    }
    fl_buf_init(&text, LABEL_BYTES);
    enum fl_status status = fl_fsio_read(path, &text, err);
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), path, &root, err);
    }
    const fl_json *e = status == FL_OK ? fl_json_first(fl_json_get(root, "evidence")) : NULL;
    for (; status == FL_OK && e; e = fl_json_next(e)) {
        status = fl_guard_add(guard, fl_json_get_str(e, "text"), fl_json_get_str(root, "cause"),
                              fl_str_of(path), err);
    }
    fl_json_free(root);
    fl_buf_free(&text);
    return status;
}

static enum fl_status guard_path(const char *path, struct fl_guard *guard, struct fl_err *err)
{
    struct fl_buf text;
    if (fl_fsio_is_dir(path)) {
        return fl_fsio_walk(path, guard_label, guard, err);
    }
    fl_buf_init(&text, TEXT_BYTES);
    enum fl_status status = fl_fsio_read(path, &text, err);
    if (status == FL_OK) {
        status = fl_guard_add(guard, fl_buf_str(&text), FL_LIT(""), fl_str_of(path), err);
    }
    fl_buf_free(&text);
    return status;
}

enum fl_status fl_life_guard(const struct fl_config *config, struct fl_guard *guard,
                             struct fl_err *err)
{
    char path[FL_PATHS_BYTES];
    const char *state = config->value[FL_SET_STATE];
    const char *given = config->value[FL_SET_PROTECT];
    enum fl_status status = guard_seeds(fl_paths_data("data/incidents.jsonl", path), guard, err);
    if (status == FL_OK && state) {
        status = guard_store(state, guard, err);
    }
    return status == FL_OK && given ? guard_path(given, guard, err) : status;
}
