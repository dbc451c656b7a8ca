/* SPDX-License-Identifier: Apache-2.0 */
#include "rag/rulelog.h"

#include "rag/store.h"
#include "service/base/clock.h"

#include <stdio.h>

static struct fl_str time_or_now(struct fl_str time, char now[static 21])
{
    fl_clock_format(fl_clock_wall_s(), now);
    return time.n ? time : fl_str_of(now);
}

enum fl_status fl_rulelog_change(struct fl_incidents *store, const struct fl_rule_change *c,
                                 bool forget, fl_rulelog_apply apply, void *ctx,
                                 struct fl_err *err)
{
    char now[21];
    const struct fl_str entry[] = {time_or_now(c->time, now), c->actor, c->rule, c->was, c->now,
                                   c->reason};
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status == FL_OK) {
        status = fl_db_run(&store->db, "INSERT INTO rule_journal(time, actor, rule, was, now, reason)"
                     " VALUES(?, ?, ?, ?, ?, ?)", entry, 6, err);
        if (status == FL_OK && forget) {
            status = fl_db_run(&store->db, "DELETE FROM rule_use WHERE rule = ?", &c->rule, 1, err);
        }
        if (status == FL_OK && forget) {
            status = fl_db_run(&store->db, "DELETE FROM rule_total WHERE rule = ?", &c->rule, 1, err);
        }
        if (status == FL_OK && apply) {
            status = apply(ctx, err);
        }
        status = fl_store_end(store, status, err);
    }
    if (status == FL_OK && forget) {
        fl_db_flush(&store->db);
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_rulelog_history(struct fl_incidents *store, struct fl_str rule,
                                  fl_rulelog_visit visit, void *ctx, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT time, actor, rule, was, now, reason FROM rule_journal"
        " WHERE ?1 = '' OR rule = ?1 ORDER BY seq", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, rule);
    }
    while (fl_db_next(&store->db, statement, &status, err)) {
        const struct fl_rule_change c = {fl_db_text(statement, 0), fl_db_text(statement, 1),
                                         fl_db_text(statement, 2), fl_db_text(statement, 3),
                                         fl_db_text(statement, 4), fl_db_text(statement, 5)};
        status = visit(ctx, &c, err);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

static const char put_use[] =
    "INSERT INTO rule_use(rule, job, name, state, sample, seen, lines, telling, total, since)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
    " (SELECT coalesce(max(seq), 0) FROM rule_journal WHERE rule = ?1))";

/* The use of the same job goes out of the totals before the new one goes in. */
static enum fl_status note_use(struct fl_incidents *store, const struct fl_rule_use *use,
                               struct fl_err *err)
{
    static const char *const before[] = {
        "INSERT OR IGNORE INTO rule_total(rule, jobs, lines) VALUES(?1, 0, 0)",
        "UPDATE rule_total SET jobs = jobs - 1, lines = lines - (SELECT lines FROM rule_use"
        " WHERE rule = ?1 AND job = ?2) WHERE rule = ?1 AND EXISTS"
        " (SELECT 1 FROM rule_use WHERE rule = ?1 AND job = ?2)",
        "DELETE FROM rule_use WHERE rule = ?1 AND job = ?2"};
    static const char *const after[] = {
        "UPDATE rule_total SET jobs = jobs + 1, lines = lines + (SELECT lines FROM rule_use"
        " WHERE rule = ?1 AND job = ?2) WHERE rule = ?1"};
    char now[21];
    const struct fl_str texts[] = {use->rule, use->job,    use->name,
                                   use->state, use->sample, time_or_now(use->seen, now)};
    enum fl_status status = fl_db_run(&store->db, before[0], texts, 1, err);
    for (size_t i = 1; status == FL_OK && i < 3; i++) {
        status = fl_db_run(&store->db, before[i], texts, 2, err);
    }
    sqlite3_stmt *statement = NULL;
    bool row = false;
    if (status == FL_OK) {
        status = fl_db_prepare(&store->db, put_use, &statement, err);
    }
    if (status == FL_OK) {
        for (int i = 0; i < 6; i++) {
            fl_db_bind(statement, i + 1, texts[i]);
        }
        sqlite3_bind_int64(statement, 7, use->lines);
        sqlite3_bind_int64(statement, 8, use->telling);
        sqlite3_bind_int64(statement, 9, use->total);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    sqlite3_finalize(statement);
    return status == FL_OK ? fl_db_run(&store->db, after[0], texts, 2, err) : status;
}

static enum fl_status prune(struct fl_incidents *store, struct fl_str rule, struct fl_err *err)
{
    char sql[200];
    snprintf(sql, sizeof sql, "DELETE FROM rule_use WHERE rule = ?1 AND row NOT IN (SELECT row FROM"
             " rule_use WHERE rule = ?1 ORDER BY row DESC LIMIT %d)", FL_USES_KEPT);
    return fl_db_run(&store->db, sql, &rule, 1, err);
}

enum fl_status fl_rulelog_use(struct fl_incidents *store, const struct fl_rule_use *uses, size_t n,
                              struct fl_err *err)
{
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status == FL_OK) {
        for (size_t i = 0; status == FL_OK && i < n; i++) {
            status = note_use(store, &uses[i], err);
            if (status == FL_OK) {
                status = prune(store, uses[i].rule, err);
            }
        }
        status = fl_store_end(store, status, err);
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_rulelog_uses(struct fl_incidents *store, struct fl_str rule, size_t limit,
                               fl_rulelog_use_visit visit, void *ctx, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT rule, job, name, state, lines, telling, total, sample, seen FROM rule_use"
        " WHERE rule = ?1 ORDER BY row DESC LIMIT ?2", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, rule);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
    }
    while (fl_db_next(&store->db, statement, &status, err)) {
        const struct fl_rule_use use = {
            fl_db_text(statement, 0), fl_db_text(statement, 1), fl_db_text(statement, 2), fl_db_text(statement, 3),
            (long)sqlite3_column_int64(statement, 4), (long)sqlite3_column_int64(statement, 5),
            (long)sqlite3_column_int64(statement, 6), fl_db_text(statement, 7), fl_db_text(statement, 8)};
        status = visit(ctx, &use, err);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

/* ?1 rule, ?2 the job in hand, ?3 its name. */
static const char record_sql[] =
    "WITH u AS (SELECT * FROM rule_use WHERE rule = ?1), s AS (SELECT * FROM u WHERE since ="
    " (SELECT coalesce(max(seq), 0) FROM rule_journal WHERE rule = ?1)),"
    " o AS (SELECT lines * 1.0 / max(total, 1) share, name FROM u WHERE job <> ?2),"
    " k AS (SELECT share FROM o WHERE name = ?3 OR (SELECT count(*) FROM o WHERE name = ?3) < 3)"
    "SELECT (SELECT coalesce(sum(jobs), 0) FROM rule_total WHERE rule = ?1),"
    " (SELECT coalesce(sum(lines), 0) FROM rule_total WHERE rule = ?1),"
    " (SELECT count(*) FROM s), (SELECT count(DISTINCT name) FROM s),"
    " (SELECT coalesce(sum(lines), 0) FROM s), (SELECT coalesce(sum(telling), 0) FROM s),"
    " (SELECT count(*) FROM k), (SELECT coalesce(max(share), 0) FROM k),"
    " (SELECT coalesce(max(seen), '') FROM u)";

enum fl_status fl_rulelog_record(struct fl_incidents *store, struct fl_str rule, struct fl_str job,
                                 struct fl_str name, struct fl_rule_record *record_r,
                                 struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *record_r = (struct fl_rule_record){0};
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(&store->db, record_sql, &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, rule);
        fl_db_bind(statement, 2, job);
        fl_db_bind(statement, 3, name);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    if (status == FL_OK && row) {
        long *const numbers[] = {&record_r->all_jobs, &record_r->all_lines, &record_r->jobs,
                                 &record_r->names,    &record_r->lines,     &record_r->telling,
                                 &record_r->others};
        for (int i = 0; i < 7; i++) {
            *numbers[i] = (long)sqlite3_column_int64(statement, i);
        }
        record_r->most = sqlite3_column_double(statement, 7);
        struct fl_str seen = fl_db_text(statement, 8);
        snprintf(record_r->last_seen, sizeof record_r->last_seen, "%.*s", (int)seen.n, seen.p);
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

enum fl_status fl_rulelog_idle(struct fl_incidents *store, struct fl_str rule, long *days_r,
                               struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *days_r = -1;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT coalesce(strftime('%s', max(t)), 0) FROM ("
        "SELECT max(time) t FROM verdicts WHERE rule = ?1 UNION ALL "
        "SELECT max(time) FROM rule_journal WHERE rule = ?1 UNION ALL "
        "SELECT max(seen) FROM rule_use WHERE rule = ?1)", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, rule);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    int64_t last = status == FL_OK && row ? sqlite3_column_int64(statement, 0) : 0;
    *days_r = last > 0 ? (long)((fl_clock_wall_s() - last) / 86400) : -1;
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}
