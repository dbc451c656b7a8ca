/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of incidents.h over the database of store.c. Each public call takes the mutex, does
 * its work in one transaction, and leaves by one door. An incident and its vector are written
 * together, so the index can be rebuilt from the file at any time. */
#include "rag/incidents.h"

#include "rag/embed.h"
#include "rag/store.h"
#include "service/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "vectors are stored little-endian");

#define PART(name, most)                                                                           \
    {                                                                                              \
#name, offsetof(struct fl_incident, name), most                                            \
    }
const struct fl_store_part fl_store_parts[FL_STORE_PARTS] = {
    PART(id, FL_INCIDENT_ID),           PART(cause, FL_INCIDENT_PART),
    PART(stack, FL_INCIDENT_PART),      PART(title, FL_INCIDENT_PART),
    PART(summary, FL_INCIDENT_PART),    PART(text, FL_INCIDENT_TEXT),
    PART(resolution, FL_INCIDENT_PART), PART(action, FL_INCIDENT_PART),
    PART(outcome, FL_INCIDENT_PART),    PART(origin, FL_INCIDENT_PART),
    PART(job, FL_INCIDENT_PART),        PART(created, FL_INCIDENT_PART),
    PART(fingerprint, FL_INCIDENT_PART),
};

void fl_store_row(sqlite3_stmt *statement, struct fl_incident *incident_r)
{
    for (int i = 0; i < FL_STORE_PARTS; i++) {
        *fl_store_part_mut(incident_r, (size_t)i) = fl_db_text(statement, i);
    }
}

bool fl_store_keep(struct fl_incident *incident, struct fl_arena *arena)
{
    for (size_t i = 0; i < FL_STORE_PARTS; i++) {
        struct fl_str *part = fl_store_part_mut(incident, i);
        *part = fl_arena_str(arena, *part);
        if (!part->p) {
            return false;
        }
    }
    return true;
}

/* UTF-8 without NUL: s itself when it is that already, else a copy with U+FFFD in place of each
 * byte that is not. */
static struct fl_str repaired(struct fl_str s, struct fl_arena *arena)
{
    struct fl_str rest = s;
    uint32_t point = 0;
    size_t n = 0;
    while (rest.n && *rest.p && (n = fl_utf8_take(rest, &point)) > 0) {
        rest = fl_str_skip(rest, n);
    }
    if (rest.n == 0) {
        return s;
    }
    char *copy = fl_arena_alloc(arena, s.n * 3 + 1);
    if (!copy) {
        return (struct fl_str){NULL, 0};
    }
    size_t used = 0;
    while (s.n) {
        n = *s.p ? fl_utf8_take(s, &point) : 0;
        memcpy(copy + used, n ? s.p : "\xef\xbf\xbd", n ? n : 3);
        used += n ? n : 3;
        s = fl_str_skip(s, n ? n : 1);
    }
    return (struct fl_str){copy, used};
}

static bool is_id(struct fl_str id)
{
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] <= ' ' || id.p[i] > '~') {
            return false;
        }
    }
    return id.n > 0;
}

enum fl_status fl_store_check(struct fl_incident *incident, const char *name,
                              struct fl_arena *arena, struct fl_err *err)
{
    for (size_t i = 0; i < FL_STORE_PARTS; i++) {
        struct fl_str *part = fl_store_part_mut(incident, i);
        *part = repaired(*part, arena);
        if (!part->p && part->n) {
            return fl_fail(err, FL_NOMEM, "%s: no memory", name);
        }
        if (part->n > fl_store_parts[i].cap) {
            return fl_fail(err, FL_LIMIT,
                           "%s: \"%s\" has %zu bytes; at most %zu are kept: shorten it", name,
                           fl_store_parts[i].key, part->n, fl_store_parts[i].cap);
        }
    }
    if (!is_id(incident->id)) {
        return fl_fail(err, FL_SYNTAX,
                       "%s: \"id\" must be 1 to %d printable ASCII characters without blanks", name,
                       FL_INCIDENT_ID);
    }
    if (fl_str_trim(incident->title).n + fl_str_trim(incident->summary).n +
            fl_str_trim(incident->text).n ==
        0) {
        return fl_fail(err, FL_SYNTAX, "%s: needs a \"title\", a \"summary\" or a \"text\"", name);
    }
    return FL_OK;
}

/* What is looked up is log text, so the log text alone makes the vector: the words of a title or a
 * summary would only draw the two apart (and FTS5 knows them). */
enum fl_status fl_store_embed(const struct fl_incident *incident, float *vector, struct fl_err *err)
{
    bool empty = false;
    if (fl_str_trim(incident->text).n) {
        return fl_embed(incident->text, vector, &empty, err);
    }
    struct fl_buf text;
    fl_buf_init(&text, FL_EMBED_BYTES);
    fl_buf_add_str(&text, incident->title);
    fl_buf_add_text(&text, "\n");
    fl_buf_add_str(&text, incident->summary);
    enum fl_status status = text.failed == FL_OK
                                ? fl_embed(fl_buf_str(&text), vector, &empty, err)
                                : fl_fail(err, text.failed, "no memory to compare incidents");
    fl_buf_free(&text);
    return status;
}

enum fl_status fl_store_put_vector(struct fl_incidents *store, int64_t row, const float *vector,
                                   struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool more = false;
    enum fl_status status = fl_db_prepare(
        &store->db, "INSERT OR REPLACE INTO vectors(row, version, vector) VALUES(?1, ?2, ?3)",
        &statement, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(statement, 1, row);
        sqlite3_bind_int64(statement, 2, FL_EMBED_VERSION);
        sqlite3_bind_blob(statement, 3, vector, FL_EMBED_DIM * sizeof *vector, SQLITE_STATIC);
        status = fl_db_step(&store->db, statement, &more, err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* Runs a statement with one text parameter; *row_r says whether it gave a row. */
static enum fl_status run_with_id(struct fl_incidents *store, const char *sql, struct fl_str id,
                                  bool *row_r, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    *row_r = false;
    enum fl_status status = fl_db_prepare(&store->db, sql, &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, id);
        status = fl_db_step(&store->db, statement, row_r, err);
    }
    sqlite3_finalize(statement);
    return status;
}

#define INSERT_SQL                                                                                 \
    "INSERT INTO incidents(id, cause, stack, title, summary, text, resolution, action, outcome,"   \
    " origin, job, created, fingerprint)"                                                          \
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
#define UPDATE_SQL                                                                                 \
    " ON CONFLICT(id) DO UPDATE SET cause = excluded.cause, stack = excluded.stack,"               \
    " title = excluded.title, summary = excluded.summary, text = excluded.text,"                   \
    " resolution = excluded.resolution, action = excluded.action, outcome = excluded.outcome,"     \
    " origin = excluded.origin, job = excluded.job, created = excluded.created,"                   \
    " fingerprint = excluded.fingerprint"                                                          \
    " WHERE (cause, stack, title, summary, text, resolution, action, outcome, fingerprint) IS NOT" \
    " (excluded.cause, excluded.stack, excluded.title, excluded.summary, excluded.text,"           \
    " excluded.resolution, excluded.action, excluded.outcome, excluded.fingerprint)"

static const char *put_sql(enum fl_store_mode mode)
{
    switch (mode) {
    case FL_STORE_ADD:
        return INSERT_SQL " RETURNING row";
    case FL_STORE_IMPORT:
        return INSERT_SQL UPDATE_SQL " RETURNING row";
    case FL_STORE_SEED:
        return INSERT_SQL UPDATE_SQL " AND origin = 'shipped' RETURNING row";
    }
    return "";
}

/* The search table is an index over the text of incidents and must be told the old text before a
 * row changes and the new text after. Triggers would do it, but with trusted_schema=OFF SQLite
 * 3.40 lets no trigger touch FTS5. */
#define WORDS_SQL "title, summary, text, cause, stack FROM incidents WHERE id = ?1"

static enum fl_status unindex_words(struct fl_incidents *store, struct fl_str id,
                                    struct fl_err *err)
{
    bool none = false;
    return run_with_id(store,
                       "INSERT INTO incidents_fts(incidents_fts, rowid, title, summary, text,"
                       " cause, stack) SELECT 'delete', row, " WORDS_SQL,
                       id, &none, err);
}

static enum fl_status index_words(struct fl_incidents *store, struct fl_str id, struct fl_err *err)
{
    bool none = false;
    return run_with_id(store,
                       "INSERT INTO incidents_fts(rowid, title, summary, text, cause, stack)"
                       " SELECT row, " WORDS_SQL,
                       id, &none, err);
}

/* Keeps the list of shipped ids; *skip_r: a seed that the user forgot. */
static enum fl_status note_seed(struct fl_incidents *store, struct fl_str id,
                                enum fl_store_mode mode, bool *skip_r, struct fl_err *err)
{
    if (mode != FL_STORE_SEED) {
        return run_with_id(store, "UPDATE seeds SET forgotten = 0 WHERE id = ?1", id, skip_r, err);
    }
    enum fl_status status =
        run_with_id(store, "INSERT INTO seeds(id, forgotten) VALUES(?1, 0) ON CONFLICT DO NOTHING",
                    id, skip_r, err);
    return status != FL_OK ? status
                           : run_with_id(store, "SELECT 1 FROM seeds WHERE id = ?1 AND forgotten",
                                         id, skip_r, err);
}

/* A new row goes straight into the index; anything else, failure too, makes it stale. */
static void follow(struct fl_incidents *store, int64_t row, const float *vector,
                   enum fl_store_mode mode)
{
    if (mode != FL_STORE_ADD || !store->index || store->index_stale ||
        fl_index_add(store->index, 1, vector, &row, NULL) != FL_OK) {
        store->index_stale = true;
    }
}

/* *row_r is 0 when the incident stays as it is. */
static enum fl_status write_row(struct fl_incidents *store, const struct fl_incident *incident,
                                enum fl_store_mode mode, int64_t *row_r, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool changed = false;
    enum fl_status status = fl_db_prepare(&store->db, put_sql(mode), &statement, err);
    if (status == FL_OK) {
        for (int i = 0; i < FL_STORE_PARTS; i++) {
            fl_db_bind(statement, i + 1, *fl_store_part(incident, (size_t)i));
        }
        status = fl_db_step(&store->db, statement, &changed, err);
    }
    *row_r = changed ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

static enum fl_status write_vector(struct fl_incidents *store, const struct fl_incident *incident,
                                   enum fl_store_mode mode, int64_t row, struct fl_err *err)
{
    float vector[FL_EMBED_DIM];
    enum fl_status status = fl_store_embed(incident, vector, err);
    if (status == FL_OK) {
        status = fl_store_put_vector(store, row, vector, err);
    }
    if (status == FL_OK) {
        follow(store, row, vector, mode);
    }
    return status;
}

enum fl_status fl_store_put(struct fl_incidents *store, const struct fl_incident *incident,
                            enum fl_store_mode mode, struct fl_err *err)
{
    bool skip = false;
    int64_t row = 0;
    enum fl_status status = note_seed(store, incident->id, mode, &skip, err);
    if (status != FL_OK || skip) {
        return status;
    }
    status = unindex_words(store, incident->id, err);
    if (status == FL_OK) {
        status = write_row(store, incident, mode, &row, err);
    }
    if (status == FL_OK) {
        status = index_words(store, incident->id, err);
    }
    return status == FL_OK && row ? write_vector(store, incident, mode, row, err) : status;
}

static void enter(struct fl_incidents *store)
{
    pthread_mutex_lock(&store->mutex);
}

static enum fl_status leave(struct fl_incidents *store, enum fl_status status)
{
    pthread_mutex_unlock(&store->mutex);
    return status;
}

/* Recursive: a visit may call back into the store. */
static bool init_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    bool ok = pthread_mutex_init(mutex, &kind) == 0;
    pthread_mutexattr_destroy(&kind);
    return ok;
}

enum fl_status fl_incidents_open(const char *state_dir, const char *seed_path, bool readonly,
                                 struct fl_incidents **store_r, struct fl_err *err)
{
    struct fl_incidents *store = calloc(1, sizeof *store);
    *store_r = NULL;
    if (!store || !init_mutex(&store->mutex)) {
        free(store);
        return fl_fail(err, FL_NOMEM, "no memory for the incidents");
    }
    enum fl_status status = fl_store_open(store, state_dir, readonly, err);
    if (status == FL_OK && seed_path && !store->db.readonly) {
        status = fl_store_seed(store, seed_path, err);
    }
    if (status != FL_OK) {
        fl_incidents_close(store);
        return status;
    }
    *store_r = store;
    return FL_OK;
}

void fl_incidents_close(struct fl_incidents *store)
{
    if (store) {
        fl_store_close(store);
        pthread_mutex_destroy(&store->mutex);
        free(store);
    }
}

static enum fl_status make_id(char out[static 17], struct fl_err *err)
{
    unsigned char random[6];
    if (getrandom(random, sizeof random, 0) != sizeof random) {
        return fl_fail_errno(err, "no random bytes for an id");
    }
    snprintf(out, 17, "inc-%02x%02x%02x%02x%02x%02x", random[0], random[1], random[2], random[3],
             random[4], random[5]);
    return FL_OK;
}

static enum fl_status add_checked(struct fl_incidents *store, const struct fl_incident *incident,
                                  struct fl_err *err)
{
    bool taken = false;
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status != FL_OK) {
        return status;
    }
    status = run_with_id(store, "SELECT 1 FROM incidents WHERE id = ?1", incident->id, &taken, err);
    if (status == FL_OK && taken) {
        status = fl_fail(err, FL_CONFLICT,
                         "incident %.*s is there already; leave out the id, or forget it first",
                         (int)incident->id.n, incident->id.p);
    }
    if (status == FL_OK) {
        status = fl_store_put(store, incident, FL_STORE_ADD, err);
    }
    return fl_store_end(store, status, err);
}

enum fl_status fl_incidents_add(struct fl_incidents *store, const struct fl_incident *incident,
                                struct fl_arena *arena, struct fl_str *id_r, struct fl_err *err)
{
    struct fl_incident copy = *incident;
    char id[17] = "";
    char now[21];
    struct fl_arena scratch;
    enum fl_status status = copy.id.n ? FL_OK : make_id(id, err);
    if (status != FL_OK) {
        return status;
    }
    fl_clock_format(fl_clock_wall_s(), now);
    copy.id = copy.id.n ? copy.id : fl_str_of(id);
    copy.created = copy.created.n ? copy.created : fl_str_of(now);
    copy.origin = copy.origin.n ? copy.origin : FL_LIT("operator");
    fl_arena_init(&scratch, 1 << 20);
    status = fl_store_check(&copy, "incident", &scratch, err);
    if (status == FL_OK && id_r) {
        *id_r = fl_arena_str(arena, copy.id);
        status = id_r->p ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for an incident");
    }
    if (status == FL_OK) {
        enter(store);
        status = leave(store, add_checked(store, &copy, err));
    }
    fl_arena_free(&scratch);
    return status;
}

enum fl_status fl_incidents_put(struct fl_incidents *store, const struct fl_incident *incident,
                                struct fl_err *err)
{
    struct fl_incident copy = *incident;
    struct fl_arena scratch;
    fl_arena_init(&scratch, 1 << 20);
    enum fl_status status = fl_store_check(&copy, "incident", &scratch, err);
    enter(store);
    if (status == FL_OK) {
        status = fl_db_begin(&store->db, err);
        if (status == FL_OK) {
            status = fl_store_end(store, fl_store_put(store, &copy, FL_STORE_IMPORT, err), err);
        }
    }
    fl_arena_free(&scratch);
    return leave(store, status);
}

enum fl_status fl_incidents_alike(struct fl_incidents *store, struct fl_str fingerprint,
                                  struct fl_arena *arena, struct fl_incident *incident_r,
                                  struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enter(store);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT " FL_STORE_COLUMNS " FROM incidents i"
        " WHERE i.fingerprint = ?1 AND i.fingerprint <> ''"
        " ORDER BY i.outcome IN ('confirmed', 'resolved') DESC, i.row LIMIT 1", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, fingerprint);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    if (status == FL_OK && row) {
        fl_store_row(statement, incident_r);
        status = fl_store_keep(incident_r, arena) ? FL_OK
                                                  : fl_fail(err, FL_NOMEM, "no memory for an incident");
    }
    sqlite3_finalize(statement);
    return leave(store, status == FL_OK && !row ? FL_NOTFOUND : status);
}

bool fl_incident_is_confirmed(const struct fl_incident *incident)
{
    return incident->cause.n && (fl_str_eq(incident->outcome, FL_LIT("confirmed")) ||
                                 fl_str_eq(incident->outcome, FL_LIT("resolved")));
}

static enum fl_status get_locked(struct fl_incidents *store, struct fl_str id,
                                 struct fl_arena *arena, struct fl_incident *incident_r,
                                 struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT " FL_STORE_COLUMNS " FROM incidents i WHERE i.id = ?1", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, id);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    if (status == FL_OK && !row) {
        struct fl_buf safe;
        fl_buf_init(&safe, 4096);
        fl_buf_add_safe(&safe,
                        (struct fl_str){id.p, id.n < FL_INCIDENT_ID ? id.n : FL_INCIDENT_ID});
        status = fl_fail(err, FL_NOTFOUND, "%s: no incident %s", store->db.path, fl_buf_text(&safe));
        fl_buf_free(&safe);
    }
    if (status == FL_OK) {
        fl_store_row(statement, incident_r);
        if (!fl_store_keep(incident_r, arena)) {
            status = fl_fail(err, FL_NOMEM, "no memory for an incident");
        }
    }
    sqlite3_finalize(statement);
    return status;
}

enum fl_status fl_incidents_get(struct fl_incidents *store, struct fl_str id,
                                struct fl_arena *arena, struct fl_incident *incident_r,
                                struct fl_err *err)
{
    enter(store);
    return leave(store, get_locked(store, id, arena, incident_r, err));
}

enum fl_status fl_store_visit(struct fl_incidents *store, sqlite3_stmt *statement,
                              fl_incidents_visit visit, void *ctx, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    while (fl_db_next(&store->db, statement, &status, err)) {
        struct fl_incident incident;
        fl_store_row(statement, &incident);
        status = visit(ctx, &incident, err);
    }
    return status;
}

enum fl_status fl_incidents_list(struct fl_incidents *store, struct fl_str cause, size_t limit,
                                 fl_incidents_visit visit, void *ctx, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enter(store);
    enum fl_status status = fl_db_prepare(
        &store->db,
        cause.n ? "SELECT " FL_STORE_COLUMNS
                  " FROM incidents i WHERE i.cause = ?2 ORDER BY i.row DESC LIMIT ?1"
                : "SELECT " FL_STORE_COLUMNS " FROM incidents i ORDER BY i.row DESC LIMIT ?1",
        &statement, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(statement, 1, limit ? (int64_t)limit : -1);
        if (cause.n) {
            fl_db_bind(statement, 2, cause);
        }
        status = fl_store_visit(store, statement, visit, ctx, err);
    }
    sqlite3_finalize(statement);
    return leave(store, status);
}

enum fl_status fl_incidents_count(struct fl_incidents *store, size_t *n_r, struct fl_err *err)
{
    int64_t n = 0;
    enter(store);
    enum fl_status status = fl_db_number(&store->db, "SELECT COUNT(*) FROM incidents", &n, err);
    *n_r = (size_t)n;
    return leave(store, status);
}

static enum fl_status forget_in(struct fl_incidents *store, struct fl_str id, struct fl_err *err)
{
    bool row = false;
    bool none = false;
    enum fl_status status = unindex_words(store, id, err);
    if (status == FL_OK) {
        status =
            run_with_id(store, "DELETE FROM incidents WHERE id = ?1 RETURNING row", id, &row, err);
    }
    if (status == FL_OK && !row) {
        return fl_fail(err, FL_NOTFOUND, "%s: no incident %.*s (see: incidents list)", store->db.path,
                       (int)id.n, id.p);
    }
    if (status == FL_OK) {
        status = run_with_id(store, "UPDATE seeds SET forgotten = 1 WHERE id = ?1", id, &none, err);
    }
    if (status == FL_OK) {
        /* Merges the search segments, which is what takes deleted words out of them. */
        status = fl_db_exec(&store->db, "INSERT INTO incidents_fts(incidents_fts) VALUES('optimize')",
                               err);
    }
    store->index_stale = true;
    return status;
}

enum fl_status fl_incidents_forget(struct fl_incidents *store, struct fl_str id, struct fl_err *err)
{
    enter(store);
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status == FL_OK) {
        status = fl_store_end(store, forget_in(store, id, err), err);
    }
    if (status == FL_OK) {
        fl_db_flush(&store->db);
    }
    return leave(store, status);
}
