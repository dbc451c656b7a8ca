/* SPDX-License-Identifier: Apache-2.0 */
/* Every setting of the connection is chosen for a file that outlives the program and may have been
 * touched by others: WAL with synchronous=FULL (an acknowledged incident survives power loss), no
 * trust in what the schema says (trusted_schema, defensive, cell_size_check), deleted bytes
 * overwritten. A network file system gets a rollback journal, since WAL needs shared memory. */
#include "rag/db.h"

#include "service/base/clock.h"
#include "service/base/fsio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { WAL_PAGES = 1000 };

enum fl_status fl_db_fail(struct fl_db *db, const char *doing, struct fl_err *err)
{
    int code = sqlite3_errcode(db->sql) & 0xff;
    const char *why = sqlite3_errmsg(db->sql);
    int system = sqlite3_system_errno(db->sql);
    const char *path = db->path;
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
        return fl_fail(err, FL_CORRUPT,
                       "%s: the database is damaged (%s). It was left as it is. Move it away to"
                       " begin a new one, or put a backup in its place",
                       path, why);
    }
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
        return fl_fail(err, FL_TIMEOUT, "%s: cannot %s: another process holds it; try again", path,
                       doing);
    }
    if (code == SQLITE_READONLY || code == SQLITE_PERM || code == SQLITE_AUTH) {
        return fl_fail(err, FL_DENIED,
                       "%s: cannot %s: not writable. Make it writable or give another state"
                       " folder with --state",
                       path, doing);
    }
    if (code == SQLITE_FULL || (code == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT))) {
        return fl_fail(err, FL_FULL, "%s: cannot %s: no space left on the device", path, doing);
    }
    enum fl_status status = code == SQLITE_NOMEM                              ? FL_NOMEM
                            : code == SQLITE_CONSTRAINT                       ? FL_CONFLICT
                            : code == SQLITE_TOOBIG                           ? FL_LIMIT
                            : code == SQLITE_IOERR || code == SQLITE_CANTOPEN ? FL_IO
                                                                              : FL_INTERNAL;
    return fl_fail(err, status, "%s: cannot %s: %s%s%s", path, doing, why, system ? ": " : "",
                   system ? strerror(system) : "");
}

enum fl_status fl_db_prepare(struct fl_db *db, const char *sql,
                                sqlite3_stmt **statement_r, struct fl_err *err)
{
    if (sqlite3_prepare_v2(db->sql, sql, -1, statement_r, NULL) != SQLITE_OK) {
        return fl_db_fail(db, "read it", err);
    }
    return FL_OK;
}

enum fl_status fl_db_step(struct fl_db *db, sqlite3_stmt *statement, bool *row_r,
                             struct fl_err *err)
{
    int code = sqlite3_step(statement);
    *row_r = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        return FL_OK;
    }
    bool reads = sqlite3_stmt_readonly(statement);
    return fl_db_fail(db, reads ? "read it" : "write it", err);
}

bool fl_db_next(struct fl_db *db, sqlite3_stmt *statement, enum fl_status *status,
                   struct fl_err *err)
{
    bool row = false;
    if (*status == FL_OK) {
        *status = fl_db_step(db, statement, &row, err);
    }
    return *status == FL_OK && row;
}

enum fl_status fl_db_exec(struct fl_db *db, const char *sql, struct fl_err *err)
{
    if (sqlite3_exec(db->sql, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return fl_db_fail(db, "use the database", err);
    }
    return FL_OK;
}

enum fl_status fl_db_number(struct fl_db *db, const char *sql, int64_t *value_r,
                               struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(db, sql, &statement, err);
    if (status == FL_OK) {
        status = fl_db_step(db, statement, &row, err);
    }
    *value_r = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

void fl_db_bind(sqlite3_stmt *statement, int at, struct fl_str s)
{
    /* A failed bind leaves NULL, which NOT NULL refuses. Sizes are checked before. */
    sqlite3_bind_text64(statement, at, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

struct fl_str fl_db_text(sqlite3_stmt *statement, int at)
{
    const void *text = sqlite3_column_text(statement, at);
    return (struct fl_str){text ? text : "", (size_t)sqlite3_column_bytes(statement, at)};
}

enum fl_status fl_db_run(struct fl_db *db, const char *sql, const struct fl_str *texts,
                            int n, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(db, sql, &statement, err);
    for (int i = 0; status == FL_OK && i < n; i++) {
        fl_db_bind(statement, i + 1, texts[i]);
    }
    if (status == FL_OK) {
        status = fl_db_step(db, statement, &row, err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* Waits for the other writing processes. A file system without locks leaves it to SQLite's. */
static enum fl_status lock_file(struct fl_db *db, struct fl_err *err)
{
    int64_t until = fl_clock_mono_ms() + FL_DB_BUSY_MS;
    while (db->lock_fd >= 0 && flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return FL_OK;
        }
        if (fl_clock_mono_ms() > until) {
            return fl_fail(err, FL_TIMEOUT,
                           "%s: another process has been writing for %d s; try again", db->path,
                           FL_DB_BUSY_MS / 1000);
        }
        nanosleep(&(struct timespec){.tv_nsec = 2 * 1000 * 1000}, NULL);
    }
    return FL_OK;
}

static void unlock_file(struct fl_db *db)
{
    if (db->lock_fd >= 0) {
        flock(db->lock_fd, LOCK_UN);
    }
}

enum fl_status fl_db_begin(struct fl_db *db, struct fl_err *err)
{
    if (db->readonly) {
        return fl_fail(err, FL_DENIED, "%s: opened for reading only", db->path);
    }
    enum fl_status status = lock_file(db, err);
    if (status == FL_OK && sqlite3_exec(db->sql, "BEGIN IMMEDIATE", NULL, NULL, NULL)) {
        status = fl_db_fail(db, "begin to write", err);
        unlock_file(db);
    }
    return status;
}

enum fl_status fl_db_end(struct fl_db *db, enum fl_status status, struct fl_err *err)
{
    if (status == FL_OK && sqlite3_exec(db->sql, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        status = fl_db_fail(db, "write it", err);
    }
    if (status == FL_OK) {
        db->wrote = true;
    } else if (!sqlite3_get_autocommit(db->sql)) {
        sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
    }
    unlock_file(db);
    return status;
}

/* File systems that more than one machine may have mounted, by their magic number (statfs(2)). */
static bool is_shared_fs(const char *folder)
{
    static const uint32_t magics[] = {0x6969,     0x0bd00bd0, 0x47504653, 0xff534d42, 0xfe534d42,
                                      0x19830326, 0x00c36400, 0x5346414f, 0x01021997, 0x65735546};
    struct statfs fs;
    if (statfs(folder, &fs) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        if ((uint32_t)fs.f_type == magics[i]) {
            return true;
        }
    }
    return false;
}

/* In place of SQLite's own, which does not tell that the disk is full until the WAL has taken all of it. */
static int after_commit(void *ctx, sqlite3 *sql, const char *name, int pages)
{
    struct fl_db *db = ctx;
    if (pages >= WAL_PAGES) {
        db->overflows = sqlite3_wal_checkpoint_v2(sql, name, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                                  NULL) == SQLITE_FULL;
    }
    return SQLITE_OK;
}

static enum fl_status set_journal(struct fl_db *db, const char *state_dir,
                                  struct fl_err *err)
{
    bool wal = !is_shared_fs(state_dir);
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(db, "PRAGMA journal_mode", &statement, err);
    if (status == FL_OK) {
        status = fl_db_step(db, statement, &row, err);
    }
    bool is_wal =
        row && sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    if (status == FL_OK && is_wal != wal) {
        status = fl_db_exec(db,
                               wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE", err);
    }
    sqlite3_wal_hook(db->sql, after_commit, db);
    return status;
}

static enum fl_status check_version(struct fl_db *db, int64_t *version_r,
                                    struct fl_err *err)
{
    enum fl_status status = fl_db_number(db, "PRAGMA user_version", version_r, err);
    if (status == FL_OK && *version_r > db->plan->schema) {
        return fl_fail(err, FL_CONFLICT,
                       "%s: written by a newer version (schema %lld; this program knows %d)."
                       " Upgrade this program, or give another state folder with --state",
                       db->path, (long long)*version_r, db->plan->schema);
    }
    return status;
}

/* Makes the tables of a new file; other processes may be doing the same. */
static enum fl_status migrate(struct fl_db *db, const char *state_dir, struct fl_err *err)
{
    enum fl_status status = lock_file(db, err);
    if (status != FL_OK) {
        return status;
    }
    status = state_dir ? set_journal(db, state_dir, err) : FL_OK;
    unlock_file(db);
    int64_t version = 0;
    if (status == FL_OK) {
        status = fl_db_begin(db, err);
    }
    if (status != FL_OK) {
        return status;
    }
    status = check_version(db, &version, err);
    for (; status == FL_OK && version < db->plan->schema; version++) {
        status = fl_db_exec(db, db->plan->steps[version], err);
    }
    return fl_db_end(db, status, err);
}

static enum fl_status configure(struct fl_db *db, struct fl_err *err)
{
    sqlite3_busy_timeout(db->sql, FL_DB_BUSY_MS);
    sqlite3_extended_result_codes(db->sql, 1);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_limit(db->sql, SQLITE_LIMIT_LENGTH, 16 << 20);
    sqlite3_limit(db->sql, SQLITE_LIMIT_ATTACHED, 0);
    return fl_db_exec(db,
                         "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                         "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA mmap_size=0;"
                         "PRAGMA temp_store=MEMORY",
                         err);
}

static enum fl_status open_lock(struct fl_db *db, struct fl_err *err)
{
    char path[sizeof db->path + 8];
    snprintf(path, sizeof path, "%s.lock", db->path);
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->lock_fd < 0) {
        return fl_fail_errno(
            err, "%s: cannot write in the state folder (give another with --state)", path);
    }
    return FL_OK;
}

/* The folder, the lock file, and an empty database file readable by its owner only: what log lines
 * it holds is nobody else's business, and SQLite gives its side files the same mode. */
static enum fl_status prepare_folder(struct fl_db *db, const char *state_dir,
                                     struct fl_err *err)
{
    struct fl_err why = {0};
    enum fl_status status = fl_fsio_mkdirs(state_dir, &why);
    if (status != FL_OK) {
        return fl_fail(err, status, "%s (give another state folder with --state)", why.msg);
    }
    status = open_lock(db, err);
    if (status != FL_OK) {
        return status;
    }
    int fd = open(db->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    }
    return FL_OK;
}

static enum fl_status check_writable(struct fl_db *db, struct fl_err *err)
{
    if (db->readonly || sqlite3_db_readonly(db->sql, "main") != 1) {
        return FL_OK;
    }
    return fl_fail(err, FL_DENIED,
                   "%s: not writable. Make it writable or give another state folder with --state",
                   db->path);
}

static enum fl_status open_db(struct fl_db *db, const char *state_dir, struct fl_err *err)
{
    int flags = db->readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    enum fl_status status = FL_OK;
    if (state_dir && db->readonly && !fl_fsio_exists(db->path)) {
        return fl_fail(err, FL_NOTFOUND, "%s: there is no such file yet", db->path);
    }
    if (state_dir && !db->readonly) {
        status = prepare_folder(db, state_dir, err);
    }
    if (status != FL_OK) {
        return status;
    }
    if (sqlite3_open_v2(state_dir ? db->path : ":memory:", &db->sql, flags, NULL)) {
        return fl_db_fail(db, "open it", err);
    }
    int64_t version = 0;
    status = configure(db, err);
    if (status == FL_OK) {
        status = check_version(db, &version, err);
    }
    if (status == FL_OK) {
        status = check_writable(db, err);
    }
    if (status == FL_OK && db->readonly && version == 0) {
        return fl_fail(err, FL_NOTFOUND, "%s: holds nothing yet", db->path);
    }
    if (status == FL_OK && db->readonly && version < db->plan->schema) {
        sqlite3_close_v2(db->sql); /* nothing can be read before it is brought up to date */
        db->sql = NULL;
        db->readonly = false;
        return open_db(db, state_dir, err);
    }
    if (status == FL_OK && !db->readonly && version < db->plan->schema) {
        status = migrate(db, state_dir, err);
    }
    return status;
}

enum fl_status fl_db_open(struct fl_db *db, const struct fl_db_plan *plan, const char *state_dir,
                          bool readonly, struct fl_err *err)
{
    *db = (struct fl_db){.plan = plan, .lock_fd = -1, .readonly = readonly && state_dir};
    int n = state_dir ? snprintf(db->path, sizeof db->path, "%s/%s", state_dir, plan->file)
                      : snprintf(db->path, sizeof db->path, "%s in memory", plan->file);
    return n < (int)sizeof db->path
               ? open_db(db, state_dir, err)
               : fl_fail(err, FL_LIMIT, "%.64s...: the path of the state folder is too long",
                         state_dir);
}

/* Alone, because of the WAL-reset fault (db.h); readers do not matter. */
static void checkpoint(struct fl_db *db, int mode)
{
    if (db->lock_fd >= 0 && lock_file(db, NULL) == FL_OK) {
        db->overflows =
            sqlite3_wal_checkpoint_v2(db->sql, NULL, mode, NULL, NULL) == SQLITE_FULL;
        unlock_file(db);
    }
}

void fl_db_flush(struct fl_db *db)
{
    checkpoint(db, SQLITE_CHECKPOINT_TRUNCATE);
}

void fl_db_close(struct fl_db *db)
{
    if (db->wrote) {
        checkpoint(db, SQLITE_CHECKPOINT_PASSIVE);
    }
    sqlite3_close_v2(db->sql);
    if (db->lock_fd >= 0) {
        close(db->lock_fd);
    }
}
