/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/outbox.h"

#include "service/base/clock.h"

#include <stdarg.h>

#define MATTER "m.row, m.job, m.jobs, m.untold, m.opened, m.told, m.seen, m.key, m.facts"
#define MESSAGE "row, matter, made, due, tries, dead, receiver, event, job, trace, why"

/* Prepares, and binds numbers (i) and texts (t, a struct fl_str) in their order. */
static enum fl_status prepare(struct fl_jobs *jobs, sqlite3_stmt **out, struct fl_err *err, const char *sql,
                              const char *kinds, va_list args)
{
    enum fl_status status = fl_db_prepare(fl_jobs_db(jobs), sql, out, err);
    for (int at = 1; status == FL_OK && kinds[at - 1]; at++) {
        if (kinds[at - 1] == 'i') {
            sqlite3_bind_int64(*out, at, va_arg(args, int64_t));
        } else {
            fl_db_bind(*out, at, va_arg(args, struct fl_str));
        }
    }
    return status;
}

/* Runs a statement to its end. */
static enum fl_status change(struct fl_jobs *jobs, struct fl_err *err, const char *sql, const char *kinds, ...)
{
    va_list args;
    sqlite3_stmt *s = NULL;
    bool row = false;
    va_start(args, kinds);
    enum fl_status status = prepare(jobs, &s, err, sql, kinds, args);
    va_end(args);
    if (status == FL_OK) {
        status = fl_db_step(fl_jobs_db(jobs), s, &row, err);
    }
    sqlite3_finalize(s);
    return status;
}

/* To the first row, whose statement the caller finalizes; FL_NOTFOUND, without a message, when there is none. */
static enum fl_status seek(struct fl_jobs *jobs, sqlite3_stmt **out, struct fl_err *err, const char *sql,
                           const char *kinds, ...)
{
    va_list args;
    bool row = false;
    va_start(args, kinds);
    enum fl_status status = prepare(jobs, out, err, sql, kinds, args);
    va_end(args);
    if (status == FL_OK) {
        status = fl_db_step(fl_jobs_db(jobs), *out, &row, err);
    }
    return status == FL_OK && !row ? FL_NOTFOUND : status;
}

static enum fl_status keep_texts(sqlite3_stmt *s, int at, struct fl_arena *arena, struct fl_str **out, int n,
                                 struct fl_err *err)
{
    for (int i = 0; i < n; i++) {
        *out[i] = fl_arena_str(arena, fl_db_text(s, at + i));
        if (!out[i]->p) {
            return fl_fail(err, FL_NOMEM, "no memory for the outbox");
        }
    }
    return FL_OK;
}

/* ---- news and matters ---- */

enum fl_status fl_outbox_news(struct fl_jobs *jobs, struct fl_news *out, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    *out = (struct fl_news){.row = 0};
    enum fl_status status = seek(jobs, &s, err, "SELECT row, job FROM news ORDER BY row LIMIT 1", "");
    if (status == FL_OK) {
        *out = (struct fl_news){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
    }
    sqlite3_finalize(s);
    return status == FL_NOTFOUND ? FL_OK : status;
}

enum fl_status fl_outbox_read(struct fl_jobs *jobs, int64_t news, struct fl_err *err)
{
    return change(jobs, err, "DELETE FROM news WHERE row <= ?", "i", news);
}

static enum fl_status read_matter(sqlite3_stmt *s, enum fl_status status, struct fl_arena *arena,
                                  struct fl_matter *out, struct fl_err *err)
{
    struct fl_str *texts[] = {&out->key, &out->facts};
    if (status == FL_OK) {
        *out = (struct fl_matter){.row = sqlite3_column_int64(s, 0),
                                  .job = sqlite3_column_int64(s, 1),
                                  .jobs = (long)sqlite3_column_int64(s, 2),
                                  .untold = sqlite3_column_int(s, 3),
                                  .opened_ms = sqlite3_column_int64(s, 4),
                                  .told_ms = sqlite3_column_int64(s, 5),
                                  .seen_ms = sqlite3_column_int64(s, 6)};
        status = keep_texts(s, 7, arena, texts, 2, err);
    }
    sqlite3_finalize(s);
    return status;
}

enum fl_status fl_matter_of(struct fl_jobs *jobs, int64_t job, struct fl_arena *arena,
                            struct fl_matter *out, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = seek(jobs, &s, err, "SELECT " MATTER " FROM members JOIN matters m"
                                                " ON m.row = members.matter WHERE members.job = ?", "i", job);
    return read_matter(s, status, arena, out, err);
}

enum fl_status fl_matter_find(struct fl_jobs *jobs, struct fl_str key, struct fl_arena *arena,
                              struct fl_matter *out, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = seek(jobs, &s, err, "SELECT " MATTER " FROM matters m WHERE m.key = ?", "t", key);
    return read_matter(s, status, arena, out, err);
}

enum fl_status fl_matter_next(struct fl_jobs *jobs, int64_t after, int64_t told_ms, int64_t seen_ms,
                              struct fl_arena *arena, struct fl_matter *out, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = seek(jobs, &s, err, "SELECT " MATTER " FROM matters m WHERE m.row > ? AND"
                                                " ((m.untold AND m.told <= ?) OR m.seen <= ?)"
                                                " ORDER BY m.row LIMIT 1", "iii", after, told_ms, seen_ms);
    return read_matter(s, status, arena, out, err);
}

enum fl_status fl_matter_members(struct fl_jobs *jobs, int64_t matter, int64_t *n_r, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = seek(jobs, &s, err, "SELECT count(*) FROM members WHERE matter = ?", "i", matter);
    *n_r = status == FL_OK ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return status;
}

enum fl_status fl_matter_keep(struct fl_jobs *jobs, struct fl_matter *m, struct fl_err *err)
{
    const char *sql = m->row ? "UPDATE matters SET key = ?, facts = ?, job = ?, jobs = ?, untold = ?, opened = ?,"
                               " told = ?, seen = ? WHERE row = ?"
                             : "INSERT INTO matters(key, facts, job, jobs, untold, opened, told, seen)"
                               " VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    enum fl_status status =
        change(jobs, err, sql, m->row ? "ttiiiiiii" : "ttiiiiii", m->key, m->facts, m->job, (int64_t)m->jobs,
               (int64_t)m->untold, m->opened_ms, m->told_ms, m->seen_ms, m->row);
    if (status == FL_OK && m->row == 0) {
        m->row = sqlite3_last_insert_rowid(fl_jobs_db(jobs)->sql);
    }
    return status;
}

enum fl_status fl_matter_join(struct fl_jobs *jobs, int64_t job, int64_t matter, struct fl_err *err)
{
    const char *sql = matter ? "INSERT OR REPLACE INTO members(job, matter) VALUES (?, ?)"
                             : "DELETE FROM members WHERE job = ?";
    return change(jobs, err, sql, matter ? "ii" : "i", job, matter);
}

enum fl_status fl_matter_close(struct fl_jobs *jobs, int64_t matter, struct fl_err *err)
{
    enum fl_status status = change(jobs, err, "DELETE FROM members WHERE matter = ?", "i", matter);
    return status == FL_OK ? change(jobs, err, "DELETE FROM matters WHERE row = ?", "i", matter) : status;
}

/* ---- messages ---- */

static enum fl_status read_message(sqlite3_stmt *s, struct fl_arena *arena, bool body, struct fl_message *out,
                                   struct fl_err *err)
{
    struct fl_str *texts[] = {&out->receiver, &out->event, &out->job, &out->trace, &out->why, &out->body};
    *out = (struct fl_message){.row = sqlite3_column_int64(s, 0),
                               .matter = sqlite3_column_int64(s, 1),
                               .made_ms = sqlite3_column_int64(s, 2),
                               .due_ms = sqlite3_column_int64(s, 3),
                               .tries = sqlite3_column_int(s, 4),
                               .dead = sqlite3_column_int(s, 5),
                               .body = {"", 0}};
    return keep_texts(s, 6, arena, texts, body ? 6 : 5, err);
}

enum fl_status fl_outbox_due(struct fl_jobs *jobs, struct fl_str receiver, int64_t now_ms,
                             struct fl_arena *arena, struct fl_message *out, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = seek(jobs, &s, err,
                                 "SELECT " MESSAGE ", body FROM outbox WHERE receiver = ? AND dead = 0"
                                 " AND due <= ? ORDER BY due, row LIMIT 1", "ti", receiver, now_ms);
    if (status == FL_OK) {
        status = read_message(s, arena, true, out, err);
    }
    sqlite3_finalize(s);
    return status;
}

enum fl_status fl_outbox_list(struct fl_jobs *jobs, fl_outbox_visit visit, void *ctx, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status =
        fl_db_prepare(fl_jobs_db(jobs), "SELECT " MESSAGE " FROM outbox ORDER BY row", &s, err);
    while (fl_db_next(fl_jobs_db(jobs), s, &status, err)) {
        struct fl_arena arena;
        struct fl_message message;
        fl_arena_init(&arena, 64 << 10);
        status = read_message(s, &arena, false, &message, err);
        if (status == FL_OK) {
            status = visit(ctx, &message, err);
        }
        fl_arena_free(&arena);
    }
    sqlite3_finalize(s);
    return status;
}

enum fl_status fl_outbox_add(struct fl_jobs *jobs, const struct fl_message *m, bool instead, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    if (instead) {
        status = change(jobs, err, "DELETE FROM outbox WHERE receiver = ? AND matter = ?", "ti", m->receiver,
                        m->matter);
    }
    if (status == FL_OK) {
        status = change(jobs, err, "INSERT INTO outbox(matter, receiver, event, job, trace, body, made)"
                                   " VALUES (?, ?, ?, ?, ?, ?, ?)", "ittttti", m->matter, m->receiver, m->event,
                        m->job, m->trace, m->body, fl_clock_wall_ms());
    }
    int64_t last = sqlite3_last_insert_rowid(fl_jobs_db(jobs)->sql);
    return status == FL_OK ? change(jobs, err, "DELETE FROM outbox WHERE row <= ?", "i", last - FL_OUTBOX_ROWS)
                           : status;
}

enum fl_status fl_outbox_taken(struct fl_jobs *jobs, int64_t row, struct fl_err *err)
{
    return change(jobs, err, "DELETE FROM outbox WHERE row = ?", "i", row);
}

enum fl_status fl_outbox_failed(struct fl_jobs *jobs, const struct fl_message *m, struct fl_err *err)
{
    return change(jobs, err, "UPDATE outbox SET tries = ?, due = ?, dead = ?, why = ? WHERE row = ?", "iiiti",
                  (int64_t)m->tries, m->due_ms, (int64_t)m->dead, m->why, m->row);
}

enum fl_status fl_outbox_orphans(struct fl_jobs *jobs, struct fl_str names, struct fl_err *err)
{
    return change(jobs, err, "UPDATE outbox SET dead = 1, why = 'there is no such receiver any more'"
                             " WHERE dead = 0 AND receiver NOT IN (SELECT value FROM json_each(?))", "t", names);
}

static enum fl_status change_dead(struct fl_jobs *jobs, const char *sql, int64_t row, struct fl_err *err)
{
    enum fl_status status = change(jobs, err, sql, "i", row);
    bool any = status == FL_OK && sqlite3_changes(fl_jobs_db(jobs)->sql) > 0;
    return status == FL_OK && !any && row
               ? fl_fail(err, FL_NOTFOUND, "there is no dead notice %lld (see: faultline notices list)",
                         (long long)row)
               : status;
}

enum fl_status fl_outbox_retry(struct fl_jobs *jobs, int64_t row, struct fl_err *err)
{
    return change_dead(jobs, "UPDATE outbox SET dead = 0, tries = 0, due = 0 WHERE dead = 1 AND ?1 IN (0, row)",
                       row, err);
}

enum fl_status fl_outbox_drop(struct fl_jobs *jobs, int64_t row, struct fl_err *err)
{
    return change_dead(jobs, "DELETE FROM outbox WHERE dead = 1 AND ?1 IN (0, row)", row, err);
}
