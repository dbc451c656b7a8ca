/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents as lines of JSON: the seed file, import, export. A line is checked whole before
 * anything is written, and all lines of one text are one transaction. Unknown keys are refused:
 * a misspelt "resolution" would otherwise be lost without a word. */
#include "rag/store.h"

#include "service/base/clock.h"
#include "service/base/fsio.h"
#include "service/base/log.h"

#include <stdio.h>

enum { LINE_ARENA = 1 << 20, EXPORT_CHUNK = 64 * 1024, EXPORT_CAP = 1 << 20 };

void fl_incident_write(struct fl_jw *w, const struct fl_incident *incident)
{
    fl_jw_begin(w, '{');
    for (size_t i = 0; i < FL_STORE_PARTS; i++) {
        fl_jw_key(w, fl_store_parts[i].key);
        fl_jw_str(w, *fl_store_part(incident, i));
    }
    fl_jw_end(w, '}');
}

static enum fl_status read_part(const fl_json *node, const char *name, struct fl_incident *incident,
                                struct fl_err *err)
{
    const char *key = fl_json_key(node);
    for (size_t i = 0; i < FL_STORE_PARTS; i++) {
        if (strcmp(key, fl_store_parts[i].key) != 0) {
            continue;
        }
        if (!fl_json_is_string(node) && !fl_json_is_null(node)) {
            return fl_fail(err, FL_SYNTAX, "%s: the value of \"%s\" must be a string", name, key);
        }
        *fl_store_part_mut(incident, i) = fl_json_str(node);
        return FL_OK;
    }
    return fl_fail(err, FL_SYNTAX,
                   "%s: unknown key \"%.60s\"; an incident has id, cause, stack, title, summary,"
                   " text, resolution, action, outcome, origin, job, created, fingerprint",
                   name, key);
}

enum fl_status fl_incident_read(const fl_json *object, const char *name, struct fl_arena *arena,
                                struct fl_incident *incident_r, struct fl_err *err)
{
    *incident_r = (struct fl_incident){0};
    if (!fl_json_is_object(object)) {
        return fl_fail(err, FL_SYNTAX, "%s: expected an object {\"title\": ..., ...}", name);
    }
    for (const fl_json *e = fl_json_first(object); e; e = fl_json_next(e)) {
        enum fl_status status = read_part(e, name, incident_r, err);
        if (status != FL_OK) {
            return status;
        }
    }
    bool unnamed = incident_r->id.n == 0;
    incident_r->id = unnamed ? FL_LIT("new") : incident_r->id;
    enum fl_status status = fl_store_check(incident_r, name, arena, err);
    if (unnamed) {
        incident_r->id = (struct fl_str){"", 0};
    }
    return status;
}

struct reading {
    struct fl_incidents *store;
    const char *name;
    enum fl_store_mode mode;
    char now[21];
    size_t n;
};

/* A line that carries no id of its own gets one made from its content, so that importing the same
 * file twice changes nothing. */
static void content_id(struct fl_str line, char out[static 17])
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < line.n; i++) {
        hash = (hash ^ (unsigned char)line.p[i]) * UINT64_C(1099511628211);
    }
    snprintf(out, 17, "inc-%012llx", (unsigned long long)(hash & UINT64_C(0xffffffffffff)));
}

static enum fl_status take_line(struct reading *reading, struct fl_str line, const char *place,
                                struct fl_err *err)
{
    struct fl_arena arena;
    struct fl_incident incident;
    fl_json *root = NULL;
    char id[17];
    fl_arena_init(&arena, LINE_ARENA);
    enum fl_status status = fl_json_parse(line, place, &root, err);
    if (status == FL_OK) {
        status = fl_incident_read(root, place, &arena, &incident, err);
    }
    if (status == FL_OK) {
        bool shipped = reading->mode == FL_STORE_SEED;
        bool foreign = !incident.origin.n || fl_str_eq(incident.origin, FL_LIT("shipped"));
        if (!incident.id.n) {
            content_id(line, id);
            incident.id = fl_str_of(id);
        }
        if (shipped || foreign) {
            incident.origin = shipped ? FL_LIT("shipped") : FL_LIT("imported");
        }
        if (!incident.created.n) {
            incident.created = fl_str_of(reading->now);
        }
        status = fl_store_put(reading->store, &incident, reading->mode, err);
        reading->n++;
    }
    fl_json_free(root);
    fl_arena_free(&arena);
    return status;
}

static enum fl_status take_lines(struct reading *reading, struct fl_str text, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (size_t number = 1; text.n && status == FL_OK; number++) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) : text.n;
        struct fl_str line = fl_str_trim((struct fl_str){text.p, n});
        char place[512];
        snprintf(place, sizeof place, "%.440s: line %zu", reading->name, number);
        if (line.n) {
            status = take_line(reading, line, place, err);
        }
        text = fl_str_skip(text, n + (end != NULL));
    }
    return status;
}

enum fl_status fl_incidents_import(struct fl_incidents *store, struct fl_str text, const char *name,
                                   size_t *n_r, struct fl_err *err)
{
    struct reading reading = {.store = store, .name = name, .mode = FL_STORE_IMPORT};
    *n_r = 0;
    if (text.n > FL_INCIDENTS_IMPORT) {
        return fl_fail(err, FL_LIMIT, "%s: over %d MiB; split it", name, FL_INCIDENTS_IMPORT >> 20);
    }
    fl_clock_format(fl_clock_wall_s(), reading.now);
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status == FL_OK) {
        status = fl_store_end(store, take_lines(&reading, text, err), err);
    }
    pthread_mutex_unlock(&store->mutex);
    *n_r = status == FL_OK ? reading.n : 0;
    return status;
}

struct writing {
    struct fl_buf buf;
    int fd;
    const char *name;
};

static enum fl_status flush_lines(struct writing *writing, struct fl_err *err)
{
    enum fl_status status =
        writing->buf.failed == FL_OK
            ? fl_fsio_write_all(writing->fd, writing->name, fl_buf_str(&writing->buf), err)
            : fl_fail(err, writing->buf.failed, "%s: no memory to write it", writing->name);
    fl_buf_clear(&writing->buf);
    return status;
}

static enum fl_status write_line(void *ctx, const struct fl_incident *incident, struct fl_err *err)
{
    struct writing *writing = ctx;
    struct fl_jw w;
    fl_jw_init(&w, &writing->buf, false);
    fl_incident_write(&w, incident);
    fl_buf_add_text(&writing->buf, "\n");
    return writing->buf.n < EXPORT_CHUNK ? FL_OK : flush_lines(writing, err);
}

enum fl_status fl_incidents_export(struct fl_incidents *store, int fd, const char *name,
                                   struct fl_err *err)
{
    struct writing writing = {.fd = fd, .name = name};
    sqlite3_stmt *statement = NULL;
    fl_buf_init(&writing.buf, EXPORT_CAP);
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT " FL_STORE_COLUMNS " FROM incidents i ORDER BY i.row", &statement, err);
    if (status == FL_OK) {
        status = fl_store_visit(store, statement, write_line, &writing, err);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    if (status == FL_OK) {
        status = flush_lines(&writing, err);
    }
    fl_buf_free(&writing.buf);
    return status;
}

/* FNV-1a over the file: tells one edition of the seeds from another, nothing more. */
static void seed_key(struct fl_str text, char out[static 64])
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < text.n; i++) {
        hash = (hash ^ (unsigned char)text.p[i]) * UINT64_C(1099511628211);
    }
    snprintf(out, 64, "seeds %016llx %zu", (unsigned long long)hash, text.n);
}

static enum fl_status seen_before(struct fl_incidents *store, const char *key, bool *seen_r,
                                  struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    *seen_r = false;
    enum fl_status status =
        fl_db_prepare(&store->db, "SELECT 1 FROM meta WHERE key = ?1", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, fl_str_of(key));
        status = fl_db_step(&store->db, statement, seen_r, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum fl_status mark_seen(struct fl_incidents *store, const char *key, const char *now,
                                struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(
        &store->db, "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, fl_str_of(key));
        fl_db_bind(statement, 2, fl_str_of(now));
        status = fl_db_step(&store->db, statement, &row, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum fl_status seed_text(struct fl_incidents *store, const char *seed_path,
                                struct fl_str text, struct fl_err *err)
{
    struct reading reading = {.store = store, .name = seed_path, .mode = FL_STORE_SEED};
    struct fl_err why = {0};
    bool seen = false;
    char key[64];
    seed_key(text, key);
    enum fl_status status = seen_before(store, key, &seen, err);
    if (status != FL_OK || seen) {
        return status;
    }
    fl_clock_format(fl_clock_wall_s(), reading.now);
    status = fl_db_begin(&store->db, err);
    if (status != FL_OK) {
        return status;
    }
    status = take_lines(&reading, text, &why);
    if (status == FL_OK) {
        status = mark_seen(store, key, reading.now, &why);
    }
    status = fl_store_end(store, status, &why);
    if (status == FL_SYNTAX || status == FL_LIMIT) {
        fl_log(FL_LOG_WARN, "the shipped incidents are not taken in: %s", why.msg);
        return FL_OK;
    }
    return status == FL_OK ? FL_OK : fl_fail(err, status, "%s", why.msg);
}

enum fl_status fl_store_seed(struct fl_incidents *store, const char *seed_path, struct fl_err *err)
{
    struct fl_buf text;
    struct fl_err why = {0};
    enum fl_status status = FL_OK;
    fl_buf_init(&text, FL_INCIDENTS_IMPORT);
    if (fl_fsio_read(seed_path, &text, &why) != FL_OK) {
        fl_log(FL_LOG_WARN, "the shipped incidents are missing: %s", why.msg);
    } else {
        status = seed_text(store, seed_path, fl_buf_str(&text), err);
    }
    fl_buf_free(&text);
    return status;
}
