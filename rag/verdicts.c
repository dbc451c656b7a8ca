/* SPDX-License-Identifier: Apache-2.0 */
#include "rag/verdicts.h"

#include "rag/groups.h"
#include "rag/store.h"
#include "service/base/clock.h"

#include <stdio.h>

static enum fl_status write_given(struct fl_incidents *store, const struct fl_given *g,
                                  struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    char now[21];
    fl_clock_format(fl_clock_wall_s(), now);
    const struct fl_str texts[] = {g->job,   g->name,   fl_str_of(now), g->incident,
                                   g->cause, g->method, g->rule,        g->model};
    enum fl_status status = fl_db_prepare(
        &store->db,
        "INSERT INTO verdicts(job, name, time, incident, cause, method, rule, model, confidence,"
        " calls, asked, answered, seconds) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
        " ?13) ON CONFLICT(job) DO UPDATE SET name = ?2, time = ?3, incident = ?4, cause = ?5,"
        " method = ?6, rule = ?7, model = ?8, confidence = ?9, calls = calls + ?10,"
        " asked = asked + ?11, answered = answered + ?12, seconds = ?13, retracted = 0,"
        " feedback = CASE WHEN cause = ?5 THEN feedback ELSE '' END",
        &statement, err);
    for (int i = 0; status == FL_OK && i < 8; i++) {
        fl_db_bind(statement, i + 1, texts[i]);
    }
    if (status == FL_OK) {
        sqlite3_bind_double(statement, 9, g->confidence);
        sqlite3_bind_int64(statement, 10, g->calls);
        sqlite3_bind_int64(statement, 11, g->asked);
        sqlite3_bind_int64(statement, 12, g->answered);
        sqlite3_bind_double(statement, 13, g->seconds);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    sqlite3_finalize(statement);
    return status;
}

enum fl_status fl_verdicts_keep(struct fl_incidents *store, const struct fl_given *given,
                                struct fl_err *err)
{
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status == FL_OK) {
        status = fl_store_end(store, write_given(store, given, err), err);
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_verdicts_seen(struct fl_incidents *store, struct fl_str incident,
                                struct fl_str but, struct fl_seen *out, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *out = (struct fl_seen){.jobs = 0};
    pthread_mutex_lock(&store->mutex);
    enum fl_status status =
        fl_db_prepare(&store->db, "SELECT COUNT(*), coalesce(min(time), ''), coalesce(strftime('%s', m.t), 0),"
                         " coalesce(m.c, 0), coalesce(strftime('%s', max(CASE WHEN cause = '' AND"
                         " calls > 0 THEN time END)), 0) FROM verdicts LEFT JOIN (SELECT max(time) t,"
                         " confidence c FROM verdicts WHERE incident IN " FL_GROUPS_MEMBERS
                         " AND method = 'model') m WHERE incident IN " FL_GROUPS_MEMBERS
                         " AND job <> ?2", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, incident);
        fl_db_bind(statement, 2, but);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    if (status == FL_OK && row) {
        struct fl_str first = fl_db_text(statement, 1);
        out->jobs = (long)sqlite3_column_int64(statement, 0);
        snprintf(out->first, sizeof out->first, "%.*s", (int)first.n, first.p);
        out->modelled = sqlite3_column_int64(statement, 2);
        out->confidence = sqlite3_column_double(statement, 3);
        out->untold = sqlite3_column_int64(statement, 4);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_verdicts_judge(struct fl_incidents *store, struct fl_str incident, bool right,
                                 struct fl_str truth, long *n_r, struct fl_err *err)
{
    const struct fl_str texts[] = {incident, right ? FL_LIT("correct") : FL_LIT("wrong"), truth};
    return fl_store_write(store, "UPDATE verdicts SET feedback = ?2, truth = ?3 WHERE incident IN " FL_GROUPS_MEMBERS,
                texts, 3, n_r, err);
}

enum fl_status fl_verdicts_retract(struct fl_incidents *store, struct fl_str rule, long *n_r,
                                   struct fl_err *err)
{
    return fl_store_write(store, "UPDATE verdicts SET retracted = 1 WHERE rule = ?1", &rule, 1, n_r, err);
}

enum fl_status fl_verdicts_count(struct fl_incidents *store, fl_verdicts_visit visit, void *ctx,
                                 struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db,
        "SELECT cause, method, COUNT(*), SUM(feedback = 'correct'), SUM(feedback = 'wrong'),"
        " SUM(retracted) FROM verdicts GROUP BY cause, method ORDER BY COUNT(*) DESC, cause, method",
        &statement, err);
    while (fl_db_next(&store->db, statement, &status, err)) {
        const struct fl_verdict_count count = {
            fl_db_text(statement, 0), fl_db_text(statement, 1),
            (long)sqlite3_column_int64(statement, 2), (long)sqlite3_column_int64(statement, 3),
            (long)sqlite3_column_int64(statement, 4), (long)sqlite3_column_int64(statement, 5)};
        status = visit(ctx, &count, err);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_verdicts_rules(struct fl_incidents *store, struct fl_str incident,
                                 struct fl_arena *arena, struct fl_str *rules, size_t most,
                                 size_t *n_r, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    *n_r = 0;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT DISTINCT rule FROM verdicts WHERE rule <> '' AND incident IN " FL_GROUPS_MEMBERS, &statement,
        err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, incident);
    }
    while (*n_r < most && fl_db_next(&store->db, statement, &status, err)) {
        rules[*n_r] = fl_arena_str(arena, fl_db_text(statement, 0));
        status = rules[(*n_r)++].p ? FL_OK : fl_fail(err, FL_NOMEM, "no memory");
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}
