/* SPDX-License-Identifier: Apache-2.0 */
/* Every setting of the connection is chosen for a file that outlives the program and may have been
 * touched by others: WAL with synchronous=FULL (an acknowledged incident survives power loss), no
 * trust in what the schema says (trusted_schema, defensive, cell_size_check), deleted bytes
 * overwritten. A network file system gets a rollback journal, since WAL needs shared memory. */
#include "rag/store.h"

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

/* What leads from each schema to the next. */
static const char *const steps[FL_STORE_SCHEMA] = {
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE incidents(row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " cause TEXT NOT NULL, stack TEXT NOT NULL, title TEXT NOT NULL, summary TEXT NOT NULL,"
    " text TEXT NOT NULL, resolution TEXT NOT NULL, action TEXT NOT NULL, outcome TEXT NOT NULL,"
    " origin TEXT NOT NULL, job TEXT NOT NULL, created TEXT NOT NULL);"
    "CREATE INDEX incidents_cause ON incidents(cause);"
    "CREATE TABLE seeds(id TEXT PRIMARY KEY, forgotten INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE vectors(row INTEGER PRIMARY KEY, version INTEGER NOT NULL,"
    " vector BLOB NOT NULL);"
    "CREATE VIRTUAL TABLE incidents_fts USING fts5(title, summary, text, cause, stack,"
    " content='incidents', content_rowid='row');"
    "CREATE VIRTUAL TABLE incidents_vocab USING fts5vocab(incidents_fts, row);"
    "CREATE TRIGGER incidents_deleted AFTER DELETE ON incidents BEGIN"
    " DELETE FROM vectors WHERE row = old.row; END;"
    "PRAGMA user_version = 1;",

    "CREATE TABLE rule_journal(seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL,"
    " actor TEXT NOT NULL, rule TEXT NOT NULL, was TEXT NOT NULL, now TEXT NOT NULL,"
    " reason TEXT NOT NULL);"
    "CREATE INDEX rule_journal_rule ON rule_journal(rule);"
    "CREATE TRIGGER rule_journal_kept BEFORE DELETE ON rule_journal BEGIN"
    " SELECT RAISE(ABORT, 'the journal is only added to'); END;"
    "CREATE TRIGGER rule_journal_fixed BEFORE UPDATE ON rule_journal BEGIN"
    " SELECT RAISE(ABORT, 'the journal is only added to'); END;"
    "CREATE TABLE rule_use(row INTEGER PRIMARY KEY AUTOINCREMENT, rule TEXT NOT NULL,"
    " job TEXT NOT NULL, name TEXT NOT NULL, since INTEGER NOT NULL, state TEXT NOT NULL,"
    " lines INTEGER NOT NULL, telling INTEGER NOT NULL, total INTEGER NOT NULL,"
    " sample TEXT NOT NULL, seen TEXT NOT NULL, UNIQUE(rule, job));"
    "CREATE TABLE rule_total(rule TEXT PRIMARY KEY, jobs INTEGER NOT NULL,"
    " lines INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version = 2;",

    "ALTER TABLE incidents ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX incidents_fingerprint ON incidents(fingerprint) WHERE fingerprint <> '';"
    "CREATE TABLE verdicts(job TEXT PRIMARY KEY, name TEXT NOT NULL, time TEXT NOT NULL,"
    " incident TEXT NOT NULL, cause TEXT NOT NULL, method TEXT NOT NULL, rule TEXT NOT NULL,"
    " model TEXT NOT NULL, confidence REAL NOT NULL, calls INTEGER NOT NULL,"
    " asked INTEGER NOT NULL, answered INTEGER NOT NULL, seconds REAL NOT NULL,"
    " feedback TEXT NOT NULL DEFAULT '', truth TEXT NOT NULL DEFAULT '',"
    " retracted INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX verdicts_incident ON verdicts(incident);"
    "CREATE INDEX verdicts_rule ON verdicts(rule) WHERE rule <> '';"
    "CREATE TABLE dense(row INTEGER PRIMARY KEY, model TEXT NOT NULL, dim INTEGER NOT NULL,"
    " vector BLOB NOT NULL);"
    "CREATE TRIGGER dense_gone AFTER DELETE ON incidents BEGIN"
    " DELETE FROM dense WHERE row = old.row; END;"
    "CREATE TRIGGER dense_old AFTER UPDATE OF text ON incidents WHEN old.text IS NOT new.text BEGIN"
    " DELETE FROM dense WHERE row = old.row; END;"
    "CREATE TABLE endpoints(name TEXT PRIMARY KEY, caps TEXT NOT NULL, faults INTEGER NOT NULL,"
    " closed_until INTEGER NOT NULL, fault TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE answers(key TEXT PRIMARY KEY, time TEXT NOT NULL, model TEXT NOT NULL,"
    " text TEXT NOT NULL);"
    "CREATE TABLE spending(day TEXT NOT NULL, model TEXT NOT NULL, calls INTEGER NOT NULL,"
    " asked INTEGER NOT NULL, answered INTEGER NOT NULL, seconds REAL NOT NULL,"
    " PRIMARY KEY(day, model)) WITHOUT ROWID;"
    "PRAGMA user_version = 3;"};

enum fl_status fl_store_fail(struct fl_incidents *store, const char *doing, struct fl_err *err)
{
    int code = sqlite3_errcode(store->db) & 0xff;
    const char *why = sqlite3_errmsg(store->db);
    int system = sqlite3_system_errno(store->db);
    const char *path = store->path;
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

enum fl_status fl_store_prepare(struct fl_incidents *store, const char *sql,
                                sqlite3_stmt **statement_r, struct fl_err *err)
{
    if (sqlite3_prepare_v2(store->db, sql, -1, statement_r, NULL) != SQLITE_OK) {
        return fl_store_fail(store, "read the incidents", err);
    }
    return FL_OK;
}

enum fl_status fl_store_step(struct fl_incidents *store, sqlite3_stmt *statement, bool *row_r,
                             struct fl_err *err)
{
    int code = sqlite3_step(statement);
    *row_r = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        return FL_OK;
    }
    bool reads = sqlite3_stmt_readonly(statement);
    return fl_store_fail(store, reads ? "read the incidents" : "write the incidents", err);
}

bool fl_store_next(struct fl_incidents *store, sqlite3_stmt *statement, enum fl_status *status,
                   struct fl_err *err)
{
    bool row = false;
    if (*status == FL_OK) {
        *status = fl_store_step(store, statement, &row, err);
    }
    return *status == FL_OK && row;
}

enum fl_status fl_store_exec(struct fl_incidents *store, const char *sql, struct fl_err *err)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        return fl_store_fail(store, "use the database", err);
    }
    return FL_OK;
}

enum fl_status fl_store_number(struct fl_incidents *store, const char *sql, int64_t *value_r,
                               struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_store_prepare(store, sql, &statement, err);
    if (status == FL_OK) {
        status = fl_store_step(store, statement, &row, err);
    }
    *value_r = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

void fl_store_bind(sqlite3_stmt *statement, int at, struct fl_str s)
{
    /* A failed bind leaves NULL, which NOT NULL refuses. Sizes are checked before. */
    sqlite3_bind_text64(statement, at, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
}

struct fl_str fl_store_text(sqlite3_stmt *statement, int at)
{
    const void *text = sqlite3_column_text(statement, at);
    return (struct fl_str){text ? text : "", (size_t)sqlite3_column_bytes(statement, at)};
}

enum fl_status fl_store_run(struct fl_incidents *store, const char *sql, const struct fl_str *texts,
                            int n, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_store_prepare(store, sql, &statement, err);
    for (int i = 0; status == FL_OK && i < n; i++) {
        fl_store_bind(statement, i + 1, texts[i]);
    }
    if (status == FL_OK) {
        status = fl_store_step(store, statement, &row, err);
    }
    sqlite3_finalize(statement);
    return status;
}

/* Waits for the other writing processes. A file system without locks leaves it to SQLite's. */
static enum fl_status lock_file(struct fl_incidents *store, struct fl_err *err)
{
    int64_t until = fl_clock_mono_ms() + FL_STORE_BUSY_MS;
    while (store->lock_fd >= 0 && flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return FL_OK;
        }
        if (fl_clock_mono_ms() > until) {
            return fl_fail(err, FL_TIMEOUT,
                           "%s: another process has been writing for %d s; try again", store->path,
                           FL_STORE_BUSY_MS / 1000);
        }
        nanosleep(&(struct timespec){.tv_nsec = 2 * 1000 * 1000}, NULL);
    }
    return FL_OK;
}

static void unlock_file(struct fl_incidents *store)
{
    if (store->lock_fd >= 0) {
        flock(store->lock_fd, LOCK_UN);
    }
}

enum fl_status fl_store_begin(struct fl_incidents *store, struct fl_err *err)
{
    if (store->readonly) {
        return fl_fail(err, FL_DENIED, "%s: opened for reading only", store->path);
    }
    enum fl_status status = lock_file(store, err);
    if (status == FL_OK && sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL)) {
        status = fl_store_fail(store, "begin to write", err);
        unlock_file(store);
    }
    return status;
}

enum fl_status fl_store_end(struct fl_incidents *store, enum fl_status status, struct fl_err *err)
{
    if (status == FL_OK && sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        status = fl_store_fail(store, "write the incidents", err);
    }
    if (status == FL_OK) {
        store->wrote = true;
    } else if (!sqlite3_get_autocommit(store->db)) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    }
    store->index_stale = store->index_stale || status != FL_OK;
    unlock_file(store);
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

static enum fl_status set_journal(struct fl_incidents *store, const char *state_dir,
                                  struct fl_err *err)
{
    bool wal = !is_shared_fs(state_dir);
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_store_prepare(store, "PRAGMA journal_mode", &statement, err);
    if (status == FL_OK) {
        status = fl_store_step(store, statement, &row, err);
    }
    bool is_wal =
        row && sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    sqlite3_finalize(statement);
    if (status == FL_OK && is_wal != wal) {
        status = fl_store_exec(store,
                               wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE", err);
    }
    return status;
}

static enum fl_status check_version(struct fl_incidents *store, int64_t *version_r,
                                    struct fl_err *err)
{
    enum fl_status status = fl_store_number(store, "PRAGMA user_version", version_r, err);
    if (status == FL_OK && *version_r > FL_STORE_SCHEMA) {
        return fl_fail(err, FL_CONFLICT,
                       "%s: written by a newer version (schema %lld; this program knows %d)."
                       " Upgrade this program, or give another state folder with --state",
                       store->path, (long long)*version_r, FL_STORE_SCHEMA);
    }
    return status;
}

/* Makes the tables of a new file; other processes may be doing the same. */
static enum fl_status migrate(struct fl_incidents *store, const char *state_dir, struct fl_err *err)
{
    enum fl_status status = lock_file(store, err);
    if (status != FL_OK) {
        return status;
    }
    status = state_dir ? set_journal(store, state_dir, err) : FL_OK;
    unlock_file(store);
    int64_t version = 0;
    if (status == FL_OK) {
        status = fl_store_begin(store, err);
    }
    if (status != FL_OK) {
        return status;
    }
    status = check_version(store, &version, err);
    for (; status == FL_OK && version < FL_STORE_SCHEMA; version++) {
        status = fl_store_exec(store, steps[version], err);
    }
    return fl_store_end(store, status, err);
}

static enum fl_status configure(struct fl_incidents *store, struct fl_err *err)
{
    sqlite3_busy_timeout(store->db, FL_STORE_BUSY_MS);
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, 16 << 20);
    sqlite3_limit(store->db, SQLITE_LIMIT_ATTACHED, 0);
    return fl_store_exec(store,
                         "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                         "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON; PRAGMA mmap_size=0;"
                         "PRAGMA temp_store=MEMORY",
                         err);
}

static enum fl_status open_lock(struct fl_incidents *store, struct fl_err *err)
{
    char path[sizeof store->path + 8];
    snprintf(path, sizeof path, "%s.lock", store->path);
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->lock_fd < 0) {
        return fl_fail_errno(
            err, "%s: cannot write in the state folder (give another with --state)", path);
    }
    return FL_OK;
}

/* The folder, the lock file, and an empty database file readable by its owner only: what log lines
 * it holds is nobody else's business, and SQLite gives its side files the same mode. */
static enum fl_status prepare_folder(struct fl_incidents *store, const char *state_dir,
                                     struct fl_err *err)
{
    struct fl_err why = {0};
    enum fl_status status = fl_fsio_mkdirs(state_dir, &why);
    if (status != FL_OK) {
        return fl_fail(err, status, "%s (give another state folder with --state)", why.msg);
    }
    status = open_lock(store, err);
    if (status != FL_OK) {
        return status;
    }
    int fd = open(store->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
    }
    return FL_OK;
}

static enum fl_status check_writable(struct fl_incidents *store, struct fl_err *err)
{
    if (store->readonly || sqlite3_db_readonly(store->db, "main") != 1) {
        return FL_OK;
    }
    return fl_fail(err, FL_DENIED,
                   "%s: not writable. Make it writable or give another state folder with --state",
                   store->path);
}

enum fl_status fl_store_open(struct fl_incidents *store, const char *state_dir, struct fl_err *err)
{
    int flags = store->readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    enum fl_status status = FL_OK;
    if (state_dir && store->readonly && !fl_fsio_exists(store->path)) {
        return fl_fail(err, FL_NOTFOUND, "%s: there is no such file yet", store->path);
    }
    if (state_dir && !store->readonly) {
        status = prepare_folder(store, state_dir, err);
    }
    if (status != FL_OK) {
        return status;
    }
    if (sqlite3_open_v2(state_dir ? store->path : ":memory:", &store->db, flags, NULL)) {
        return fl_store_fail(store, "open it", err);
    }
    int64_t version = 0;
    status = configure(store, err);
    if (status == FL_OK) {
        status = check_version(store, &version, err);
    }
    if (status == FL_OK) {
        status = check_writable(store, err);
    }
    if (status == FL_OK && store->readonly && version == 0) {
        return fl_fail(err, FL_NOTFOUND, "%s: holds no incidents yet", store->path);
    }
    if (status == FL_OK && store->readonly && version < FL_STORE_SCHEMA) {
        sqlite3_close_v2(store->db); /* nothing can be read before it is brought up to date */
        store->db = NULL;
        store->readonly = false;
        return fl_store_open(store, state_dir, err);
    }
    if (status == FL_OK && !store->readonly && version < FL_STORE_SCHEMA) {
        status = migrate(store, state_dir, err);
    }
    return status;
}

/* Alone, because of the WAL-reset fault (store.h); readers do not matter. */
static void checkpoint(struct fl_incidents *store, int mode)
{
    if (store->lock_fd >= 0 && lock_file(store, NULL) == FL_OK) {
        sqlite3_wal_checkpoint_v2(store->db, NULL, mode, NULL, NULL);
        unlock_file(store);
    }
}

void fl_store_flush(struct fl_incidents *store)
{
    checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
}

void fl_store_close(struct fl_incidents *store)
{
    if (store->wrote) {
        checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
    }
    sqlite3_close_v2(store->db);
    if (store->lock_fd >= 0) {
        close(store->lock_fd);
    }
    fl_index_free(store->index);
}
