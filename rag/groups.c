/* SPDX-License-Identifier: Apache-2.0 */
#include "rag/groups.h"

#include "rag/store.h"
#include "service/base/clock.h"

enum { ARENA = 1 << 20 };

/* Calls row for each row of a statement with one parameter. */
static enum fl_status read_all(struct fl_incidents *store, const char *sql, struct fl_str text,
                               enum fl_status (*row)(void *ctx, sqlite3_stmt *s, struct fl_err *err),
                               void *ctx, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(&store->db, sql, &s, err);
    if (status == FL_OK && text.p) {
        fl_db_bind(s, 1, text);
    }
    while (fl_db_next(&store->db, s, &status, err)) {
        status = row(ctx, s, err);
    }
    sqlite3_finalize(s);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

struct root {
    struct fl_arena *arena;
    struct fl_str id;
};

static enum fl_status keep_root(void *ctx, sqlite3_stmt *s, struct fl_err *err)
{
    struct root *root = ctx;
    root->id = fl_arena_str(root->arena, fl_db_text(s, 0));
    return root->id.p ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for an id");
}

enum fl_status fl_groups_root(struct fl_incidents *store, struct fl_str id, struct fl_arena *arena,
                              struct fl_str *root_r, struct fl_err *err)
{
    struct root root = {arena, id};
    enum fl_status status =
        read_all(store, "SELECT into_id FROM merges WHERE id = ?1", id, keep_root, &root, err);
    *root_r = root.id;
    return status;
}

enum fl_status fl_groups_merge(struct fl_incidents *store, struct fl_str id, struct fl_str into,
                               struct fl_err *err)
{
    struct fl_arena arena;
    struct fl_incident incident;
    struct fl_str root = into;
    struct fl_str old = id;
    long n = 0;
    fl_arena_init(&arena, ARENA);
    enum fl_status status = fl_incidents_get(store, id, &arena, &incident, err);
    if (status == FL_OK) {
        status = fl_incidents_get(store, into, &arena, &incident, err);
    }
    if (status == FL_OK) {
        status = fl_groups_root(store, into, &arena, &root, err);
    }
    if (status == FL_OK) {
        status = fl_groups_root(store, id, &arena, &old, err);
    }
    if (status == FL_OK && (fl_str_eq(root, id) || fl_str_eq(root, old))) {
        status = fl_fail(err, FL_CONFLICT, "%.*s and %.*s are one already (split them with: incidents split)",
                         (int)id.n, id.p, (int)into.n, into.p);
    }
    if (status == FL_OK) {
        const struct fl_str texts[] = {id, root};
        status = fl_store_write(store, "INSERT OR REPLACE INTO merges(id, into_id) SELECT id, ?2 FROM"
                                  " (SELECT ?1 AS id UNION SELECT id FROM merges WHERE into_id = ?1)",
                           texts, 2, &n, err);
    }
    fl_arena_free(&arena);
    return status;
}

enum fl_status fl_groups_split(struct fl_incidents *store, struct fl_str id, struct fl_err *err)
{
    long n = 0;
    enum fl_status status = fl_store_write(store, "DELETE FROM merges WHERE id = ?1", &id, 1, &n, err);
    return status == FL_OK && n == 0
               ? fl_fail(err, FL_NOTFOUND, "%.*s is merged into no other incident", (int)id.n, id.p)
               : status;
}

struct visiting {
    fl_groups_visit group;
    fl_flags_visit flag;
    void *ctx;
};

static enum fl_status visit_member(void *ctx, sqlite3_stmt *s, struct fl_err *err)
{
    const struct visiting *v = ctx;
    return v->group(v->ctx, fl_db_text(s, 0), err);
}

enum fl_status fl_groups_members(struct fl_incidents *store, struct fl_str id, fl_groups_visit visit,
                                 void *ctx, struct fl_err *err)
{
    struct visiting v = {.group = visit, .ctx = ctx};
    return read_all(store, "SELECT ?1 UNION ALL SELECT id FROM merges WHERE into_id = ?1", id,
                    visit_member, &v, err);
}

enum fl_status fl_flags_set(struct fl_incidents *store, struct fl_str id, bool flagged,
                            struct fl_str note, struct fl_err *err)
{
    char now[21];
    long n = 0;
    struct fl_arena arena;
    struct fl_incident incident;
    fl_clock_format(fl_clock_wall_s(), now);
    fl_arena_init(&arena, ARENA);
    enum fl_status status = fl_incidents_get(store, id, &arena, &incident, err);
    fl_arena_free(&arena);
    const struct fl_str texts[] = {id, note, fl_str_of(now)};
    if (status == FL_OK && flagged) {
        status = fl_store_write(store, "INSERT INTO flags(id, note, time) VALUES (?1, ?2, ?3)"
                                  " ON CONFLICT(id) DO UPDATE SET note = ?2", texts, 3, &n, err);
    } else if (status == FL_OK) {
        status = fl_store_write(store, "DELETE FROM flags WHERE id = ?1", texts, 1, &n, err);
    }
    return status;
}

static enum fl_status visit_flag(void *ctx, sqlite3_stmt *s, struct fl_err *err)
{
    const struct visiting *v = ctx;
    const struct fl_flag flag = {fl_db_text(s, 0), fl_db_text(s, 1), fl_db_text(s, 2)};
    return v->flag(v->ctx, &flag, err);
}

enum fl_status fl_flags_list(struct fl_incidents *store, fl_flags_visit visit, void *ctx,
                             struct fl_err *err)
{
    struct visiting v = {.flag = visit, .ctx = ctx};
    return read_all(store, "SELECT id, note, time FROM flags ORDER BY time, id",
                    (struct fl_str){NULL, 0}, visit_flag, &v, err);
}
