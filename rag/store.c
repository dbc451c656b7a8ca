/* SPDX-License-Identifier: Apache-2.0 */
#include "rag/store.h"

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
    "PRAGMA user_version = 3;",

    "CREATE TABLE merges(id TEXT PRIMARY KEY, into_id TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX merges_into ON merges(into_id);"
    "CREATE TABLE flags(id TEXT PRIMARY KEY, note TEXT NOT NULL, time TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TRIGGER groups_gone AFTER DELETE ON incidents BEGIN"
    " DELETE FROM merges WHERE old.id IN (id, into_id); DELETE FROM flags WHERE id = old.id; END;"
    "PRAGMA user_version = 4;"};

static const struct fl_db_plan plan = {"faultline.db", steps, FL_STORE_SCHEMA};

enum fl_status fl_store_open(struct fl_incidents *store, const char *state_dir, bool readonly,
                             struct fl_err *err)
{
    return fl_db_open(&store->db, &plan, state_dir, readonly, err);
}

void fl_store_close(struct fl_incidents *store)
{
    fl_db_close(&store->db);
    fl_index_free(store->index);
}

enum fl_status fl_store_end(struct fl_incidents *store, enum fl_status status, struct fl_err *err)
{
    status = fl_db_end(&store->db, status, err);
    store->index_stale = store->index_stale || status != FL_OK;
    return status;
}

enum fl_status fl_store_write(struct fl_incidents *store, const char *sql, const struct fl_str *texts,
                              int n, long *n_r, struct fl_err *err)
{
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status == FL_OK) {
        status = fl_db_run(&store->db, sql, texts, n, err);
        *n_r = status == FL_OK ? sqlite3_changes(store->db.sql) : 0;
        status = fl_store_end(store, status, err);
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}
