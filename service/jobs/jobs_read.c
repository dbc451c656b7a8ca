/* SPDX-License-Identifier: Apache-2.0 */
/* What is read. Each statement is over before the caller sees what it gave, so that no reader keeps the
 * WAL from being emptied, however long it takes over a log. */
#include "service/jobs/jobs_own.h"

#include <stdlib.h>

enum { PAGE = 8, LIST_PAGE = 100 };

#define COLUMNS                                                                                    \
    "row, name, ended, created, grown, bytes, lines, revision, facts, judged, final, outcome,"     \
    " cause, severity, action, method, node, incident, summary, rank, confidence"

static bool keep(sqlite3_stmt *s, int at, struct fl_arena *arena, struct fl_str *out)
{
    *out = fl_arena_str(arena, fl_db_text(s, at));
    return out->p != NULL;
}

static enum fl_status read_row(sqlite3_stmt *s, struct fl_arena *arena, struct fl_jobs_row *out,
                               struct fl_err *err)
{
    *out = (struct fl_jobs_row){.row = sqlite3_column_int64(s, 0),
                                .ended = sqlite3_column_int(s, 2),
                                .created_ms = sqlite3_column_int64(s, 3),
                                .grown_ms = sqlite3_column_int64(s, 4),
                                .bytes = sqlite3_column_int64(s, 5),
                                .lines = sqlite3_column_int64(s, 6),
                                .revision = (long)sqlite3_column_int64(s, 7),
                                .last = {.judged = sqlite3_column_int64(s, 9),
                                         .final = sqlite3_column_int(s, 10),
                                         .rank = (long)sqlite3_column_int64(s, 19),
                                         .confidence = sqlite3_column_double(s, 20)}};
    struct fl_str *texts[] = {&out->last.outcome, &out->last.cause, &out->last.severity,
                              &out->last.action, &out->last.method, &out->last.node,
                              &out->last.incident, &out->last.summary};
    bool ok = keep(s, 1, arena, &out->name) && keep(s, 8, arena, &out->facts);
    for (int i = 0; ok && i < 8; i++) {
        ok = keep(s, 11 + i, arena, texts[i]);
    }
    return ok ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for a job");
}

/* The row that the prepared statement finds. */
static enum fl_status read_one(struct fl_jobs *jobs, sqlite3_stmt *s, struct fl_arena *arena,
                               struct fl_jobs_row *out, struct fl_err *err)
{
    bool row = false;
    enum fl_status status = fl_db_step(&jobs->db, s, &row, err);
    if (status == FL_OK) {
        status = row ? read_row(s, arena, out, err) : FL_NOTFOUND;
    }
    sqlite3_finalize(s);
    return status;
}

enum fl_status fl_jobs_get(struct fl_jobs *jobs, struct fl_str name, struct fl_arena *arena,
                           struct fl_jobs_row *out, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status =
        fl_db_prepare(&jobs->db, "SELECT " COLUMNS " FROM jobs WHERE name = ?", &s, err);
    if (status != FL_OK) {
        return status;
    }
    fl_db_bind(s, 1, name);
    return read_one(jobs, s, arena, out, err);
}

enum fl_status fl_jobs_at(struct fl_jobs *jobs, int64_t row, struct fl_arena *arena,
                          struct fl_jobs_row *out, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status =
        fl_db_prepare(&jobs->db, "SELECT " COLUMNS " FROM jobs WHERE row = ?", &s, err);
    if (status != FL_OK) {
        return status;
    }
    sqlite3_bind_int64(s, 1, row);
    return read_one(jobs, s, arena, out, err);
}

/* At most LIST_PAGE rows below *before, into the arena; *n_r of them. */
static enum fl_status read_page(struct fl_jobs *jobs, const struct fl_jobs_query *q, int64_t before,
                                struct fl_arena *arena, struct fl_jobs_row *rows, size_t *n_r,
                                struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = fl_db_prepare(
        &jobs->db,
        q->unjudged ? "SELECT " COLUMNS " FROM jobs WHERE final = 0 AND row < ?1"
                      " AND ?2 || ?3 || ?4 || ?5 = '' ORDER BY row DESC LIMIT ?6"
                    : "SELECT " COLUMNS " FROM jobs WHERE row < ?1 AND ?2 IN ('', outcome)"
                      " AND ?3 IN ('', cause) AND ?4 IN ('', node) AND ?5 IN ('', incident)"
                      " ORDER BY row DESC LIMIT ?6",
        &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, before);
        fl_db_bind(s, 2, q->outcome);
        fl_db_bind(s, 3, q->cause);
        fl_db_bind(s, 4, q->node);
        fl_db_bind(s, 5, q->incident);
        sqlite3_bind_int(s, 6, LIST_PAGE);
    }
    *n_r = 0;
    while (fl_db_next(&jobs->db, s, &status, err)) {
        status = read_row(s, arena, &rows[*n_r], err);
        *n_r += status == FL_OK;
    }
    sqlite3_finalize(s);
    return status;
}

enum fl_status fl_jobs_list(struct fl_jobs *jobs, const struct fl_jobs_query *q, fl_jobs_visit visit,
                            void *ctx, struct fl_err *err)
{
    struct fl_jobs_row rows[LIST_PAGE];
    int64_t before = q->before ? q->before : INT64_MAX;
    size_t left = q->limit ? q->limit : SIZE_MAX;
    size_t n = LIST_PAGE;
    enum fl_status status = FL_OK;
    while (status == FL_OK && left && n == LIST_PAGE) {
        struct fl_arena arena;
        fl_arena_init(&arena, 64 << 20);
        status = read_page(jobs, q, before, &arena, rows, &n, err);
        for (size_t i = 0; status == FL_OK && i < n && left; i++, left--) {
            before = rows[i].row;
            status = visit(ctx, &rows[i], err);
        }
        fl_arena_free(&arena);
    }
    return status;
}

struct stream_node {
    struct fl_jobs_stream stream;
    struct stream_node *next;
};

static struct stream_node *keep_stream(sqlite3_stmt *s, struct fl_arena *arena)
{
    struct stream_node *node = fl_arena_alloc(arena, sizeof *node);
    if (!node || !keep(s, 1, arena, &node->stream.name) || !keep(s, 2, arena, &node->stream.node)) {
        return NULL;
    }
    node->stream.row = sqlite3_column_int64(s, 0);
    node->stream.rank = (long)sqlite3_column_int64(s, 3);
    node->stream.bytes = sqlite3_column_int64(s, 4);
    node->stream.lines = sqlite3_column_int64(s, 5);
    return node;
}

enum fl_status fl_jobs_streams(struct fl_jobs *jobs, int64_t job, struct fl_arena *arena,
                               fl_jobs_visit_stream visit, void *ctx, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    struct stream_node *first = NULL;
    struct stream_node **last = &first;
    enum fl_status status = fl_db_prepare(
        &jobs->db, "SELECT row, name, node, rank, bytes, lines FROM streams WHERE job = ?"
                   " ORDER BY rank < 0, rank, name", &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, job);
    }
    while (fl_db_next(&jobs->db, s, &status, err)) {
        *last = keep_stream(s, arena);
        if (*last) {
            last = &(*last)->next;
        } else {
            status = fl_fail(err, FL_NOMEM, "no memory for the streams");
        }
    }
    sqlite3_finalize(s);
    for (const struct stream_node *node = first; status == FL_OK && node; node = node->next) {
        status = visit(ctx, &node->stream, err);
    }
    return status;
}

enum fl_status fl_jobs_stream(struct fl_jobs *jobs, struct fl_str job, struct fl_str name, int64_t *row_r,
                              int64_t *bytes_r, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(
        &jobs->db, "SELECT row, bytes FROM streams WHERE job = (SELECT row FROM jobs WHERE name = ?)"
                   " AND name = ?", &s, err);
    if (status == FL_OK) {
        fl_db_bind(s, 1, job);
        fl_db_bind(s, 2, name);
        status = fl_db_step(&jobs->db, s, &row, err);
    }
    if (row) {
        *row_r = sqlite3_column_int64(s, 0);
        *bytes_r = sqlite3_column_int64(s, 1);
    }
    sqlite3_finalize(s);
    return status == FL_OK && !row ? FL_NOTFOUND : status;
}

struct piece {
    int64_t offset;
    int64_t bytes;
    char *data; /* of the C library */
    size_t n;
    bool packed;
};

/* The pieces that hold `from` and what follows, at most PAGE. */
static enum fl_status read_pieces(struct fl_jobs *jobs, int64_t stream, int64_t from,
                                  struct piece *pieces, size_t *n_r, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    enum fl_status status = fl_db_prepare(
        &jobs->db,
        "SELECT offset, bytes, packed, data FROM chunks WHERE stream = ?1 AND offset >= ifnull("
        " (SELECT max(offset) FROM chunks WHERE stream = ?1 AND offset <= ?2), 0)"
        " ORDER BY offset LIMIT ?3", &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, stream);
        sqlite3_bind_int64(s, 2, from);
        sqlite3_bind_int(s, 3, PAGE);
    }
    while (fl_db_next(&jobs->db, s, &status, err)) {
        struct piece *p = &pieces[*n_r];
        *p = (struct piece){.offset = sqlite3_column_int64(s, 0),
                            .bytes = sqlite3_column_int64(s, 1),
                            .packed = sqlite3_column_int(s, 2)};
        const void *data = sqlite3_column_blob(s, 3);
        p->n = (size_t)sqlite3_column_bytes(s, 3);
        p->data = data ? malloc(p->n) : NULL;
        if (!p->data || p->bytes < 0 || p->bytes > FL_JOBS_CHUNK) {
            free(p->data);
            status = fl_fail(err, p->data ? FL_CORRUPT : FL_NOMEM, "%s: a piece of a log cannot be read",
                             jobs->db.path);
            break;
        }
        memcpy(p->data, data, p->n);
        ++*n_r;
    }
    sqlite3_finalize(s);
    return status;
}

static enum fl_status unpack(struct fl_jobs *jobs, const struct piece *p, struct fl_str *out,
                             struct fl_err *err)
{
    *out = (struct fl_str){p->data, p->n};
    if (p->packed) {
        jobs->unpack = jobs->unpack ? jobs->unpack : ZSTD_createDCtx();
        size_t n = jobs->unpack ? ZSTD_decompressDCtx(jobs->unpack, jobs->room, sizeof jobs->room,
                                                      p->data, p->n)
                                : 0;
        *out = (struct fl_str){jobs->room, ZSTD_isError(n) ? 0 : n};
    }
    return out->n == (size_t)p->bytes
               ? FL_OK
               : fl_fail(err, FL_CORRUPT, "%s: a piece of a log is damaged", jobs->db.path);
}

enum fl_status fl_jobs_text(struct fl_jobs *jobs, int64_t stream, int64_t from, int64_t to,
                            fl_jobs_take take, void *ctx, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    size_t n = 1;
    while (status == FL_OK && from < to && n > 0) {
        struct piece pieces[PAGE];
        n = 0;
        status = read_pieces(jobs, stream, from, pieces, &n, err);
        for (size_t i = 0; status == FL_OK && i < n && from < to; i++) {
            struct fl_str text;
            status = unpack(jobs, &pieces[i], &text, err);
            int64_t skip = from - pieces[i].offset;
            if (status == FL_OK && skip >= 0 && skip < (int64_t)text.n) {
                text = fl_str_head(fl_str_skip(text, (size_t)skip), (size_t)(to - from));
                from += (int64_t)text.n;
                status = take(ctx, text, err);
            } else if (status == FL_OK) {
                from = skip < 0 ? pieces[i].offset : to; /* trimmed away, or the end */
                i -= skip < 0;
            }
        }
        for (size_t i = 0; i < n; i++) {
            free(pieces[i].data);
        }
    }
    return status;
}

enum fl_status fl_jobs_between(struct fl_jobs *jobs, int64_t stream, int64_t since_ms, int64_t until_ms,
                               int64_t *from_r, int64_t *to_r, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(
        &jobs->db, "SELECT ifnull(min(offset), 0), ifnull(max(offset + bytes), 0) FROM chunks"
                   " WHERE stream = ?1 AND time BETWEEN ?2 AND ?3", &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, stream);
        sqlite3_bind_int64(s, 2, since_ms);
        sqlite3_bind_int64(s, 3, until_ms);
        status = fl_db_step(&jobs->db, s, &row, err);
    }
    *from_r = row ? sqlite3_column_int64(s, 0) : 0;
    *to_r = row ? sqlite3_column_int64(s, 1) : 0;
    sqlite3_finalize(s);
    return status;
}

enum fl_status fl_jobs_document(struct fl_jobs *jobs, int64_t job, long revision,
                                struct fl_arena *arena, struct fl_str *document_r, struct fl_err *err)
{
    sqlite3_stmt *s = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(
        &jobs->db, "SELECT document FROM revisions WHERE job = ?1 AND ?2 IN (0, number)"
                   " ORDER BY number DESC LIMIT 1", &s, err);
    if (status == FL_OK) {
        sqlite3_bind_int64(s, 1, job);
        sqlite3_bind_int64(s, 2, revision);
        status = fl_db_step(&jobs->db, s, &row, err);
    }
    if (status == FL_OK && !row) {
        status = FL_NOTFOUND;
    }
    if (status == FL_OK && !keep(s, 0, arena, document_r)) {
        status = fl_fail(err, FL_NOMEM, "no memory for a verdict");
    }
    sqlite3_finalize(s);
    return status;
}
