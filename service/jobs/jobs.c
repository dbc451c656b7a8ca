/* SPDX-License-Identifier: Apache-2.0 */
/* What is written. Statements are kept, since a push of one line costs little more than they do. */
#include "service/jobs/jobs.h"

#include "service/base/clock.h"
#include "service/jobs/jobs_own.h"

#include <stdlib.h>
#include <zstd.h>

enum { PACK_FROM = 512, PACK_LEVEL = 1, RECEIPTS_SLACK = 1000 };

static const char *const steps[] = {
    "CREATE TABLE jobs(row INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " ended INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, grown INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL DEFAULT 0, lines INTEGER NOT NULL DEFAULT 0,"
    " streams INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0,"
    " facts TEXT NOT NULL DEFAULT '{}', revision INTEGER NOT NULL DEFAULT 0,"
    " judged INTEGER NOT NULL DEFAULT 0, final INTEGER NOT NULL DEFAULT 0,"
    " outcome TEXT NOT NULL DEFAULT '', cause TEXT NOT NULL DEFAULT '',"
    " severity TEXT NOT NULL DEFAULT '', action TEXT NOT NULL DEFAULT '',"
    " method TEXT NOT NULL DEFAULT '', node TEXT NOT NULL DEFAULT '',"
    " incident TEXT NOT NULL DEFAULT '', summary TEXT NOT NULL DEFAULT '',"
    " rank INTEGER NOT NULL DEFAULT -1, confidence REAL NOT NULL DEFAULT 0);"
    "CREATE INDEX jobs_unjudged ON jobs(row) WHERE final = 0;"
    "CREATE INDEX jobs_incident ON jobs(incident) WHERE incident <> '';"
    "CREATE INDEX jobs_held ON jobs(grown) WHERE held > 0;"
    "CREATE TABLE streams(row INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL,"
    " name TEXT NOT NULL, node TEXT NOT NULL, rank INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL DEFAULT 0, lines INTEGER NOT NULL DEFAULT 0, UNIQUE(job, name));"
    "CREATE TABLE chunks(row INTEGER PRIMARY KEY, stream INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, bytes INTEGER NOT NULL, packed INTEGER NOT NULL,"
    " time INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE INDEX chunks_stream ON chunks(stream, offset);"
    "CREATE TABLE receipts(row INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE);"
    "CREATE TABLE revisions(job INTEGER NOT NULL, number INTEGER NOT NULL, time INTEGER NOT NULL,"
    " document TEXT NOT NULL, PRIMARY KEY(job, number));"
    "PRAGMA user_version = 1;",
    "CREATE TABLE news(row INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL UNIQUE);"
    "CREATE TRIGGER jobs_final AFTER UPDATE OF judged ON jobs WHEN new.final = 1"
    " BEGIN INSERT OR REPLACE INTO news(job) VALUES (new.row); END;"
    "CREATE TRIGGER jobs_gone AFTER DELETE ON jobs"
    " BEGIN INSERT OR REPLACE INTO news(job) VALUES (old.row); END;"
    "CREATE TABLE matters(row INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE,"
    " facts TEXT NOT NULL, job INTEGER NOT NULL, jobs INTEGER NOT NULL, untold INTEGER NOT NULL,"
    " opened INTEGER NOT NULL, told INTEGER NOT NULL, seen INTEGER NOT NULL);"
    "CREATE TABLE members(job INTEGER PRIMARY KEY, matter INTEGER NOT NULL);"
    "CREATE INDEX members_matter ON members(matter);"
    "CREATE TABLE outbox(row INTEGER PRIMARY KEY AUTOINCREMENT, matter INTEGER NOT NULL,"
    " receiver TEXT NOT NULL, event TEXT NOT NULL, job TEXT NOT NULL, trace TEXT NOT NULL,"
    " body TEXT NOT NULL, made INTEGER NOT NULL, due INTEGER NOT NULL DEFAULT 0,"
    " tries INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX outbox_due ON outbox(receiver, dead, due);"
    "PRAGMA user_version = 2;"};

static const struct fl_db_plan plan = {"jobs.db", steps, sizeof steps / sizeof *steps};

enum fl_status fl_jobs_open(const char *state_dir, bool readonly, struct fl_jobs **out,
                            struct fl_err *err)
{
    struct fl_jobs *jobs = calloc(1, sizeof *jobs);
    *out = jobs;
    if (!jobs) {
        return fl_fail(err, FL_NOMEM, "no memory for the jobs");
    }
    enum fl_status status = fl_db_open(&jobs->db, &plan, state_dir, readonly, err);
    if (status != FL_OK) {
        fl_jobs_close(jobs);
        *out = NULL;
    }
    return status;
}

void fl_jobs_close(struct fl_jobs *jobs)
{
    if (jobs) {
        for (size_t i = 0; i < FL_JOBS_STATEMENTS; i++) {
            sqlite3_finalize(jobs->statement[i]);
        }
        ZSTD_freeCCtx(jobs->pack);
        ZSTD_freeDCtx(jobs->unpack);
        fl_db_close(&jobs->db);
        free(jobs);
    }
}

struct fl_db *fl_jobs_db(struct fl_jobs *jobs)
{
    return &jobs->db;
}

bool fl_jobs_is_name(struct fl_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!fl_is_alpha(c) && !fl_is_digit(c) && c != '_' && c != '-' && c != '.') {
            return false;
        }
    }
    return name.n > 0 && name.n <= FL_JOBS_NAME && *name.p != '.';
}

/* A kept statement, reset. */
static enum fl_status kept(struct fl_jobs *jobs, enum fl_jobs_statement which, const char *sql,
                           sqlite3_stmt **out, struct fl_err *err)
{
    sqlite3_stmt **slot = &jobs->statement[which];
    enum fl_status status = *slot ? FL_OK : fl_db_prepare(&jobs->db, sql, slot, err);
    if (status == FL_OK) {
        sqlite3_reset(*slot);
    }
    *out = *slot;
    return status;
}

static enum fl_status step_once(struct fl_jobs *jobs, sqlite3_stmt *statement, bool *row_r,
                                struct fl_err *err)
{
    bool row = false;
    enum fl_status status = fl_db_step(&jobs->db, statement, &row, err);
    if (row_r) {
        *row_r = row;
    } else {
        sqlite3_reset(statement);
    }
    return status;
}

struct job_now {
    int64_t row;
    int64_t streams;
};

static enum fl_status find_job(struct fl_jobs *jobs, struct fl_str name, struct job_now *out,
                               struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    bool row = false;
    if (!fl_jobs_is_name(name)) {
        return fl_fail(err, FL_USAGE, "a job's name is 1 to %d of A-Z a-z 0-9 . _ - and begins with no dot",
                       FL_JOBS_NAME);
    }
    enum fl_status status = kept(
        jobs, FL_JOBS_FIND, "SELECT row, streams FROM jobs WHERE name = ?", &s, err);
    if (status == FL_OK) {
        fl_db_bind(s, 1, name);
        status = step_once(jobs, s, &row, err);
        *out = (struct job_now){row ? sqlite3_column_int64(s, 0) : 0,
                                row ? sqlite3_column_int64(s, 1) : 0};
        sqlite3_reset(s);
    }
    if (status == FL_OK && out->row == 0) {
        status = kept(jobs, FL_JOBS_NEW, "INSERT INTO jobs(name, created, grown) VALUES (?, ?2, ?2)",
                      &s, err);
        if (status == FL_OK) {
            fl_db_bind(s, 1, name);
            sqlite3_bind_int64(s, 2, fl_clock_wall_ms());
            status = step_once(jobs, s, NULL, err);
            out->row = sqlite3_last_insert_rowid(jobs->db.sql);
        }
    }
    return status;
}

struct stream_now {
    int64_t row;
    int64_t bytes;
    bool shared; /* "overflow", in place of its own: offsets mean nothing there */
};

static enum fl_status new_stream(struct fl_jobs *jobs, const struct fl_jobs_part *part,
                                 struct fl_str name, int64_t job, struct stream_now *out,
                                 struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status =
        kept(jobs, FL_JOBS_STREAM_NEW, "INSERT INTO streams(job, name, node, rank) VALUES (?, ?, ?, ?)",
             &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, job);
        fl_db_bind(s, 2, name);
        fl_db_bind(s, 3, part->node);
        sqlite3_bind_int64(s, 4, part->rank);
        status = step_once(jobs, s, NULL, err);
        *out = (struct stream_now){.row = sqlite3_last_insert_rowid(jobs->db.sql)};
    }
    if (status == FL_OK) {
        status = kept(jobs, FL_JOBS_STREAM_COUNT, "UPDATE jobs SET streams = streams + 1 WHERE row = ?",
                      &s, err);
    }
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, job);
        status = step_once(jobs, s, NULL, err);
    }
    return status;
}

static enum fl_status find_stream(struct fl_jobs *jobs, const struct fl_jobs_part *part,
                                  struct fl_str name, const struct job_now *job,
                                  struct stream_now *out, struct fl_err *err)
{
    static const struct fl_str overflow = {"overflow", 8};
    sqlite3_stmt *s = NULL;
    bool row = false;
    enum fl_status status = kept(jobs, FL_JOBS_STREAM_FIND,
                                 "SELECT row, bytes FROM streams WHERE job = ? AND name = ?", &s, err);
    if (status != FL_OK) {
        return status;
    }
    sqlite3_bind_int64(s, 1, job->row);
    fl_db_bind(s, 2, name);
    status = step_once(jobs, s, &row, err);
    *out = (struct stream_now){.row = row ? sqlite3_column_int64(s, 0) : 0,
                               .bytes = row ? sqlite3_column_int64(s, 1) : 0};
    sqlite3_reset(s);
    if (status != FL_OK || row) {
        return status;
    }
    if (job->streams < FL_JOBS_STREAMS || fl_str_eq(name, overflow)) {
        return new_stream(jobs, part, name, job->row, out, err);
    }
    status = find_stream(jobs, part, overflow, job, out, err);
    out->shared = true;
    return status;
}

/* Packs when that saves an eighth or more. */
static struct fl_str pack(struct fl_jobs *jobs, struct fl_str text)
{
    if (!jobs->pack) {
        jobs->pack = ZSTD_createCCtx();
    }
    if (text.n < PACK_FROM || !jobs->pack) {
        return text;
    }
    size_t n = ZSTD_compressCCtx(jobs->pack, jobs->room, sizeof jobs->room, text.p, text.n, PACK_LEVEL);
    return ZSTD_isError(n) || n > text.n - text.n / 8 ? text : (struct fl_str){jobs->room, n};
}

static enum fl_status add_chunk(struct fl_jobs *jobs, int64_t stream, int64_t offset,
                                struct fl_str text, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status =
        kept(jobs, FL_JOBS_CHUNK_NEW,
             "INSERT INTO chunks(stream, offset, bytes, packed, data, time) VALUES (?, ?, ?, ?, ?, ?)",
             &s, err);
    if (status == FL_OK) {
        struct fl_str packed = pack(jobs, text);
        sqlite3_bind_int64(s, 1, stream);
        sqlite3_bind_int64(s, 2, offset);
        sqlite3_bind_int64(s, 3, (int64_t)text.n);
        sqlite3_bind_int(s, 4, packed.p != text.p);
        sqlite3_bind_blob64(s, 5, packed.p, packed.n, SQLITE_STATIC);
        sqlite3_bind_int64(s, 6, fl_clock_wall_ms());
        status = step_once(jobs, s, NULL, err);
    }
    return status;
}

static enum fl_status grow(struct fl_jobs *jobs, int64_t job, int64_t stream, size_t bytes, long lines,
                           struct fl_err *err)
{
    static const char *const sql[] = {
        "UPDATE streams SET bytes = bytes + ?2, lines = lines + ?3 WHERE row = ?1",
        "UPDATE jobs SET bytes = bytes + ?2, lines = lines + ?3, grown = ?4, final = 0, held = held + ?2"
        " WHERE row = ?1"};
    enum fl_status status = FL_OK;
    for (size_t i = 0; status == FL_OK && i < 2; i++) {
        sqlite3_stmt *s = NULL;
        status = kept(jobs, i ? FL_JOBS_GROW : FL_JOBS_STREAM_GROW, sql[i], &s, err);
        if (status == FL_OK) {
            sqlite3_bind_int64(s, 1, i ? job : stream);
            sqlite3_bind_int64(s, 2, (int64_t)bytes);
            sqlite3_bind_int64(s, 3, lines);
            if (i) {
                sqlite3_bind_int64(s, 4, fl_clock_wall_ms());
            }
            status = step_once(jobs, s, NULL, err);
        }
    }
    return status;
}

static long count_lines(struct fl_str text)
{
    long n = 0;
    for (const char *nl; (nl = memchr(text.p, '\n', text.n)) != NULL; n++) {
        text = fl_str_skip(text, (size_t)(nl - text.p) + 1);
    }
    return n;
}

static enum fl_status add_part(struct fl_jobs *jobs, struct fl_jobs_part *part,
                               struct fl_err *err)
{
    struct job_now job = {0};
    struct stream_now stream = {0};
    struct fl_str text = part->text;
    long lines = part->lines;
    enum fl_status status = find_job(jobs, part->job, &job, err);
    part->row = job.row;
    if (status == FL_OK) {
        status = find_stream(jobs, part, part->stream, &job, &stream, err);
    }
    int64_t offset = stream.shared ? -1 : part->offset;
    if (status == FL_OK && offset > stream.bytes) {
        return fl_fail(err, FL_CONFLICT,
                       "the stream holds %lld bytes, so nothing can begin at %lld: send from %lld on",
                       (long long)stream.bytes, (long long)offset, (long long)stream.bytes);
    }
    if (status == FL_OK && offset >= 0 && offset < stream.bytes) {
        int64_t seen = stream.bytes - offset;
        text = fl_str_skip(text, seen < (int64_t)text.n ? (size_t)seen : text.n);
        lines = count_lines(text);
    }
    size_t bytes = text.n;
    for (int64_t at = stream.bytes; status == FL_OK && text.n;) {
        struct fl_str head = fl_str_head(text, FL_JOBS_CHUNK);
        status = add_chunk(jobs, stream.row, at, head, err);
        at += (int64_t)head.n;
        text = fl_str_skip(text, head.n);
    }
    return status == FL_OK && bytes ? grow(jobs, job.row, stream.row, bytes, lines, err) : status;
}

/* Was it taken before? Else it is noted now. */
static enum fl_status receive(struct fl_jobs *jobs, struct fl_str receipt, bool *known_r,
                              struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status =
        kept(jobs, FL_JOBS_RECEIPT, "INSERT INTO receipts(key) VALUES (?) ON CONFLICT DO NOTHING", &s,
             err);
    if (status == FL_OK) {
        fl_db_bind(s, 1, receipt);
        status = step_once(jobs, s, NULL, err);
    }
    *known_r = status == FL_OK && sqlite3_changes(jobs->db.sql) == 0;
    int64_t row = sqlite3_last_insert_rowid(jobs->db.sql);
    if (status == FL_OK && !*known_r && row % RECEIPTS_SLACK == 0) {
        status = kept(jobs, FL_JOBS_RECEIPTS_OLD, "DELETE FROM receipts WHERE row <= ?", &s, err);
        if (status == FL_OK) {
            sqlite3_bind_int64(s, 1, row - FL_JOBS_RECEIPTS);
            status = step_once(jobs, s, NULL, err);
        }
    }
    return status;
}

enum fl_status fl_jobs_add(struct fl_jobs *jobs, struct fl_jobs_part *parts, size_t n,
                           struct fl_str receipt, struct fl_err *err)
{
    bool known = false;
    enum fl_status status = receipt.n ? receive(jobs, receipt, &known, err) : FL_OK;
    for (size_t i = 0; status == FL_OK && !known && i < n; i++) {
        status = add_part(jobs, &parts[i], err);
    }
    return status;
}

enum fl_status fl_jobs_note(struct fl_jobs *jobs, struct fl_str name, struct fl_str facts, bool ended,
                            struct fl_err *err)
{
    struct job_now job;
    enum fl_status status = find_job(jobs, name, &job, err);
    sqlite3_stmt *s = NULL;
    if (status == FL_OK) {
        status = kept(jobs, FL_JOBS_NOTE,
                      "UPDATE jobs SET facts = json_patch(facts, ?2), final = final AND NOT ?3,"
                      " ended = ended OR ?3 WHERE row = ?1"
                      " AND length(json_patch(facts, ?2)) <= ?4",
                      &s, err);
    }
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, job.row);
        fl_db_bind(s, 2, facts.n ? facts : FL_LIT("{}"));
        sqlite3_bind_int(s, 3, ended);
        sqlite3_bind_int(s, 4, FL_JOBS_FACTS);
        status = step_once(jobs, s, NULL, err);
        if (status == FL_OK && sqlite3_changes(jobs->db.sql) == 0) {
            status = fl_fail(err, FL_LIMIT, "the facts of a job may have %d bytes", FL_JOBS_FACTS);
        }
    }
    return status;
}

static enum fl_status number_of(struct fl_jobs *jobs, int64_t job, const struct fl_revision *r,
                                long *number_r, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(
        &jobs->db, "SELECT revision + (revision = 0 OR outcome <> ?2 OR cause <> ?3 OR node <> ?4"
                   " OR rank <> ?5 OR method <> ?6) FROM jobs WHERE row = ?1 AND judged <= ?7", &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, job);
        fl_db_bind(s, 2, r->outcome);
        fl_db_bind(s, 3, r->cause);
        fl_db_bind(s, 4, r->node);
        sqlite3_bind_int64(s, 5, r->rank);
        fl_db_bind(s, 6, r->method);
        sqlite3_bind_int64(s, 7, r->judged);
        status = fl_db_step(&jobs->db, s, &row, err);
    }
    *number_r = row ? (long)sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return status == FL_OK && !row ? fl_fail(err, FL_NOTFOUND, "the job is gone, or was judged later") : status;
}

static enum fl_status keep_document(struct fl_jobs *jobs, int64_t job, long number,
                                    struct fl_str document, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = fl_db_prepare(
        &jobs->db, "INSERT OR REPLACE INTO revisions(job, number, time, document) VALUES (?, ?, ?, ?)",
        &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, job);
        sqlite3_bind_int64(s, 2, number);
        sqlite3_bind_int64(s, 3, fl_clock_wall_ms());
        fl_db_bind(s, 4, document);
        status = step_once(jobs, s, NULL, err);
    }
    sqlite3_finalize(s);
    return status;
}

enum fl_status fl_jobs_judge(struct fl_jobs *jobs, int64_t job, const struct fl_revision *r,
                             long *number_r, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = number_of(jobs, job, r, number_r, err);
    if (status == FL_OK) {
        status = keep_document(jobs, job, *number_r, r->document, err);
    }
    if (status == FL_OK) {
        status = fl_db_prepare(
            &jobs->db,
            "UPDATE jobs SET revision = ?2, judged = ?3, final = ?4 AND bytes = ?3 AND"
            " ifnull(json_extract(facts, '$.log.state'), '') <> 'waiting', outcome = ?5,"
            " cause = ?6, severity = ?7, action = ?8, method = ?9, node = ?10, incident = ?11,"
            " summary = ?12, rank = ?13, confidence = ?14 WHERE row = ?1", &s, err);
    }
    if (status == FL_OK) {
        const struct fl_str texts[] = {r->outcome, r->cause, r->severity, r->action,
                                       r->method, r->node, r->incident, r->summary};
        sqlite3_bind_int64(s, 1, job);
        sqlite3_bind_int64(s, 2, *number_r);
        sqlite3_bind_int64(s, 3, r->judged);
        sqlite3_bind_int(s, 4, r->final);
        for (int i = 0; i < 8; i++) {
            fl_db_bind(s, 5 + i, texts[i]);
        }
        sqlite3_bind_int64(s, 13, r->rank);
        sqlite3_bind_double(s, 14, r->confidence);
        status = step_once(jobs, s, NULL, err);
    }
    sqlite3_finalize(s);
    return status;
}

static enum fl_status run_on(struct fl_jobs *jobs, const char *sql, int64_t row, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = fl_db_prepare(&jobs->db, sql, &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, row);
        status = step_once(jobs, s, NULL, err);
    }
    sqlite3_finalize(s);
    return status;
}

static enum fl_status drop_logs(struct fl_jobs *jobs, int64_t job, struct fl_err *err)
{
    enum fl_status status = run_on(
        jobs, "DELETE FROM chunks WHERE stream IN (SELECT row FROM streams WHERE job = ?)", job, err);
    return status == FL_OK ? run_on(jobs, "UPDATE jobs SET held = 0 WHERE row = ?", job, err) : status;
}

enum fl_status fl_jobs_forget(struct fl_jobs *jobs, struct fl_str name, struct fl_err *err)
{
    static const char *const rest[] = {"DELETE FROM streams WHERE job = ?",
                                       "DELETE FROM revisions WHERE job = ?",
                                       "DELETE FROM jobs WHERE row = ?"};
    struct fl_jobs_row job;
    struct fl_arena arena;
    fl_arena_init(&arena, 1 << 20);
    enum fl_status status = fl_jobs_get(jobs, name, &arena, &job, err);
    if (status == FL_OK) {
        status = drop_logs(jobs, job.row, err);
    }
    for (size_t i = 0; status == FL_OK && i < sizeof rest / sizeof *rest; i++) {
        status = run_on(jobs, rest[i], job.row, err);
    }
    fl_arena_free(&arena);
    return status;
}

enum fl_status fl_jobs_trim(struct fl_jobs *jobs, int64_t bytes, int64_t since_ms, bool *trimmed_r,
                            struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    *trimmed_r = false;
    enum fl_status status = fl_db_prepare(
        &jobs->db, "SELECT row FROM jobs WHERE held > 0 AND (grown < ?1 OR"
                   " (SELECT total(held) FROM jobs WHERE held > 0) > ?2) ORDER BY grown LIMIT 1", &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, since_ms);
        sqlite3_bind_int64(s, 2, bytes);
        status = fl_db_step(&jobs->db, s, trimmed_r, err);
    }
    int64_t job = *trimmed_r ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return status == FL_OK && *trimmed_r ? drop_logs(jobs, job, err) : status;
}
