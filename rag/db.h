/* SPDX-License-Identifier: Apache-2.0 */
/* A SQLite file of the state folder: opening and schema, transactions that several processes may
 * attempt at once, statements. For the files that own one (store.h, service/jobs) and nobody else.
 *
 * Locks: FILE.lock (flock; one writing process), then SQLite's own. The file lock is there because
 * SQLite before 3.51.3 can damage a WAL when two connections write and checkpoint at the same moment.
 * Threads: a connection is used by one at a time; its owner sees to that. */
#pragma once
#include "service/base/status.h"
#include "service/base/str.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

enum { FL_DB_BUSY_MS = 5000 };

struct fl_db_plan {
    const char *file;         /* its name in the state folder */
    const char *const *steps; /* what leads from each schema to the next; each ends by setting user_version */
    int schema;               /* how many */
};

struct fl_db {
    sqlite3 *sql;
    const struct fl_db_plan *plan;
    char path[4096]; /* what messages call it */
    int lock_fd;     /* -1: in memory or read-only */
    bool readonly;
    bool wrote;
    bool overflows; /* no room in the file for what the WAL holds */
};

/* state_dir NULL: in memory, lost at close. With readonly nothing is made or written; FL_NOTFOUND when
 * there is none yet. FL_CONFLICT: written by a newer version. FL_CORRUPT: damaged, left as it is.
 * To be closed in either case. */
enum fl_status fl_db_open(struct fl_db *db, const struct fl_db_plan *plan, const char *state_dir,
                          bool readonly, struct fl_err *err) FL_MUST_USE;
void fl_db_close(struct fl_db *db);

/* Turns the last SQLite error into a status and a message with the remedy. */
enum fl_status fl_db_fail(struct fl_db *db, const char *doing, struct fl_err *err);

/* A write transaction. Each begin is followed by one end, which commits when status is FL_OK
 * and rolls back otherwise; it returns the status of the whole. */
enum fl_status fl_db_begin(struct fl_db *db, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_db_end(struct fl_db *db, enum fl_status status, struct fl_err *err) FL_MUST_USE;

/* Empties the WAL into the file, so that deleted bytes are gone from both; best effort. */
void fl_db_flush(struct fl_db *db);

enum fl_status fl_db_prepare(struct fl_db *db, const char *sql, sqlite3_stmt **statement_r,
                             struct fl_err *err) FL_MUST_USE;
/* FL_OK with *row_r saying whether there was a row. */
enum fl_status fl_db_step(struct fl_db *db, sqlite3_stmt *statement, bool *row_r,
                          struct fl_err *err) FL_MUST_USE;
/* Steps to the next row: true while there is one and nothing went wrong. For loops over rows:
 * while (fl_db_next(db, statement, &status, err)) { ... status = ...; } */
bool fl_db_next(struct fl_db *db, sqlite3_stmt *statement, enum fl_status *status,
                struct fl_err *err);
enum fl_status fl_db_exec(struct fl_db *db, const char *sql, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_db_number(struct fl_db *db, const char *sql, int64_t *value_r,
                            struct fl_err *err) FL_MUST_USE;
void fl_db_bind(sqlite3_stmt *statement, int at, struct fl_str s);
/* Borrowed until the next step. */
struct fl_str fl_db_text(sqlite3_stmt *statement, int at);
/* Runs a statement whose parameters are texts. */
enum fl_status fl_db_run(struct fl_db *db, const char *sql, const struct fl_str *texts, int n,
                         struct fl_err *err) FL_MUST_USE;
