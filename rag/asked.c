/* SPDX-License-Identifier: Apache-2.0 */
#include "rag/asked.h"

#include "rag/store.h"
#include "service/base/clock.h"

static struct fl_str today(char now[static 21])
{
    fl_clock_format(fl_clock_wall_s(), now);
    return (struct fl_str){now, 10};
}

/* In a transaction of its own. */
static enum fl_status write(struct fl_incidents *store, sqlite3_stmt *statement,
                            enum fl_status status, struct fl_err *err)
{
    bool row = false;
    if (status == FL_OK) {
        status = fl_db_begin(&store->db, err);
    }
    if (status == FL_OK) {
        status = fl_store_end(store, fl_db_step(&store->db, statement, &row, err), err);
    }
    sqlite3_finalize(statement);
    return status;
}

enum fl_status fl_asked_endpoint(struct fl_incidents *store, struct fl_str name,
                                 struct fl_arena *arena, struct fl_endpoint *out,
                                 struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *out = (struct fl_endpoint){.caps = {"", 0}, .fault = {"", 0}};
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT caps, faults, closed_until, fault FROM endpoints WHERE name = ?1",
        &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, name);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    if (status == FL_OK && row) {
        out->caps = fl_arena_str(arena, fl_db_text(statement, 0));
        out->faults = (long)sqlite3_column_int64(statement, 1);
        out->closed_until = sqlite3_column_int64(statement, 2);
        out->fault = fl_arena_str(arena, fl_db_text(statement, 3));
        status = out->caps.p && out->fault.p ? FL_OK : fl_fail(err, FL_NOMEM, "no memory");
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_asked_endpoint_keep(struct fl_incidents *store, struct fl_str name,
                                      const struct fl_endpoint *e, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "INSERT OR REPLACE INTO endpoints(name, caps, fault, faults, closed_until)"
        " VALUES(?1, ?2, ?3, ?4, ?5)", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, name);
        fl_db_bind(statement, 2, e->caps);
        fl_db_bind(statement, 3, e->fault);
        sqlite3_bind_int64(statement, 4, e->faults);
        sqlite3_bind_int64(statement, 5, e->closed_until);
    }
    status = write(store, statement, status, err);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_asked_answer(struct fl_incidents *store, struct fl_str key,
                               struct fl_arena *arena, struct fl_str *text_r, struct fl_str *model_r,
                               struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT text, model FROM answers WHERE key = ?1", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, key);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    if (status == FL_OK && row) {
        *text_r = fl_arena_str(arena, fl_db_text(statement, 0));
        *model_r = fl_arena_str(arena, fl_db_text(statement, 1));
        status = text_r->p && model_r->p ? FL_OK : fl_fail(err, FL_NOMEM, "no memory");
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status == FL_OK && !row ? FL_NOTFOUND : status;
}

static enum fl_status put_answer(struct fl_incidents *store, const struct fl_str *texts,
                                 struct fl_err *err)
{
    enum fl_status status = fl_db_run(
        &store->db, "INSERT OR REPLACE INTO answers(key, time, model, text) VALUES(?1, ?2, ?3, ?4)",
        texts, 4, err);
    sqlite3_stmt *statement = NULL;
    bool row = false;
    if (status == FL_OK) {
        status = fl_db_prepare(&store->db, "DELETE FROM answers WHERE rowid <= (SELECT max(rowid)"
                                  " FROM answers) - ?1", &statement, err);
    }
    if (status == FL_OK) {
        sqlite3_bind_int64(statement, 1, FL_ASKED_ANSWERS);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    sqlite3_finalize(statement);
    return status;
}

enum fl_status fl_asked_answer_keep(struct fl_incidents *store, struct fl_str key,
                                    struct fl_str text, struct fl_str model, struct fl_err *err)
{
    char now[21];
    fl_clock_format(fl_clock_wall_s(), now);
    const struct fl_str texts[] = {key, fl_str_of(now), model, text};
    if (text.n > FL_ASKED_TEXT) {
        return fl_fail(err, FL_LIMIT, "an answer of %zu bytes is not kept", text.n);
    }
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status == FL_OK) {
        status = fl_store_end(store, put_answer(store, texts, err), err);
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_asked_spend(struct fl_incidents *store, const struct fl_spending *s,
                              struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    char now[21];
    struct fl_str day = today(now);
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "INSERT INTO spending(day, model, calls, asked, answered, seconds)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT(day, model) DO UPDATE SET calls = calls + ?3,"
        " asked = asked + ?4, answered = answered + ?5, seconds = seconds + ?6", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, s->day.n ? s->day : day);
        fl_db_bind(statement, 2, s->model);
        sqlite3_bind_int64(statement, 3, s->calls);
        sqlite3_bind_int64(statement, 4, s->asked);
        sqlite3_bind_int64(statement, 5, s->answered);
        sqlite3_bind_double(statement, 6, s->seconds);
    }
    status = write(store, statement, status, err);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

static struct fl_spending spending_of(sqlite3_stmt *statement)
{
    return (struct fl_spending){fl_db_text(statement, 0),
                                fl_db_text(statement, 1),
                                (long)sqlite3_column_int64(statement, 2),
                                (long)sqlite3_column_int64(statement, 3),
                                (long)sqlite3_column_int64(statement, 4),
                                sqlite3_column_double(statement, 5)};
}

static enum fl_status keep_sum(void *ctx, const struct fl_spending *spending, struct fl_err *err)
{
    struct fl_spending *sum = ctx;
    (void)err;
    *sum = *spending;
    sum->day = sum->model = (struct fl_str){"", 0};
    return FL_OK;
}

static enum fl_status visit_all(struct fl_incidents *store, sqlite3_stmt *statement,
                                fl_asked_visit visit, void *ctx, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    while (fl_db_next(&store->db, statement, &status, err)) {
        const struct fl_spending one = spending_of(statement);
        status = visit(ctx, &one, err);
    }
    return status;
}

enum fl_status fl_asked_today(struct fl_incidents *store, struct fl_spending *out,
                              struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    char now[21];
    *out = (struct fl_spending){.calls = 0};
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT '', '', total(calls), total(asked), total(answered), total(seconds)"
        " FROM spending WHERE day = ?1", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, today(now));
        status = visit_all(store, statement, keep_sum, out, err);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_asked_days(struct fl_incidents *store, size_t limit, fl_asked_visit visit,
                             void *ctx, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT day, model, calls, asked, answered, seconds FROM spending"
        " ORDER BY day DESC, model LIMIT ?1", &statement, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(statement, 1, limit ? (int64_t)limit : -1);
        status = visit_all(store, statement, visit, ctx, err);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}
