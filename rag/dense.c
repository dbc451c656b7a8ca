/* SPDX-License-Identifier: Apache-2.0 */
/* Asked for once in a process, for a failure that nobody knows: the index is made for the question and
 * let go, which at 100,000 vectors takes less than the endpoint does. */
#include "rag/dense.h"

#include "rag/store.h"

enum fl_status fl_dense_missing(struct fl_incidents *store, struct fl_str model, size_t most,
                                struct fl_arena *arena, struct fl_dense_text *out, size_t *n_r,
                                struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    *n_r = 0;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT i.row, CASE WHEN i.text <> '' THEN i.text ELSE i.title || ' ' || i.summary END"
        " FROM incidents i LEFT JOIN dense d ON d.row = i.row AND d.model = ?1"
        " WHERE d.row IS NULL ORDER BY i.row DESC LIMIT ?2", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, model);
        sqlite3_bind_int64(statement, 2, (int64_t)most);
    }
    while (*n_r < most && fl_db_next(&store->db, statement, &status, err)) {
        struct fl_dense_text *text = &out[(*n_r)++];
        text->row = sqlite3_column_int64(statement, 0);
        text->text = fl_arena_str(arena, fl_db_text(statement, 1));
        status = text->text.p ? FL_OK
                              : fl_fail(err, FL_NOMEM, "no memory for the texts of incidents");
    }
    sqlite3_finalize(statement);
    pthread_mutex_unlock(&store->mutex);
    return status;
}

static enum fl_status put(struct fl_incidents *store, struct fl_str model, size_t dim, int64_t at,
                          const float *vector, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status = fl_db_prepare(
        &store->db, "INSERT OR REPLACE INTO dense(row, model, dim, vector) SELECT row, ?2, ?3, ?4"
        " FROM incidents WHERE row = ?1", &statement, err); /* it may be gone meanwhile */
    if (status == FL_OK) {
        sqlite3_bind_int64(statement, 1, at);
        fl_db_bind(statement, 2, model);
        sqlite3_bind_int64(statement, 3, (int64_t)dim);
        sqlite3_bind_blob64(statement, 4, vector, dim * sizeof *vector, SQLITE_STATIC);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    sqlite3_finalize(statement);
    return status;
}

enum fl_status fl_dense_keep(struct fl_incidents *store, struct fl_str model, size_t dim,
                             const struct fl_dense_text *texts, const float *vectors, size_t n,
                             struct fl_err *err)
{
    if (dim == 0 || dim > FL_DENSE_DIM) {
        return fl_fail(err, FL_LIMIT, "vectors of %zu numbers cannot be kept", dim);
    }
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_db_begin(&store->db, err);
    if (status == FL_OK) {
        for (size_t i = 0; status == FL_OK && i < n; i++) {
            status = put(store, model, dim, texts[i].row, vectors + i * dim, err);
        }
        status = fl_store_end(store, status, err);
    }
    pthread_mutex_unlock(&store->mutex);
    return status;
}

/* Vectors of another length than they should have are passed over. */
static enum fl_status load(struct fl_incidents *store, struct fl_str model, size_t dim,
                           struct fl_index *index, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT row, vector FROM dense WHERE model = ?1 AND dim = ?2", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, model);
        sqlite3_bind_int64(statement, 2, (int64_t)dim);
    }
    while (fl_db_next(&store->db, statement, &status, err)) {
        int64_t id = sqlite3_column_int64(statement, 0);
        const void *vector = sqlite3_column_blob(statement, 1);
        if (vector && (size_t)sqlite3_column_bytes(statement, 1) == dim * sizeof(float)) {
            status = fl_index_add(index, 1, vector, &id, err);
        }
    }
    sqlite3_finalize(statement);
    return status;
}

enum fl_status fl_dense_near(struct fl_incidents *store, struct fl_str model, const float *vector,
                             size_t dim, size_t k, struct fl_near *out, size_t *n_r,
                             struct fl_err *err)
{
    struct fl_index *index = NULL;
    int64_t rows[FL_RETRIEVE_MOST];
    float scores[FL_RETRIEVE_MOST];
    *n_r = 0;
    k = k < FL_RETRIEVE_MOST ? k : FL_RETRIEVE_MOST;
    pthread_mutex_lock(&store->mutex);
    enum fl_status status = fl_index_new(dim, &index, err);
    if (status == FL_OK) {
        status = load(store, model, dim, index, err);
    }
    if (status == FL_OK) {
        status = fl_index_search(index, vector, k, rows, scores, n_r, err);
    }
    for (size_t i = 0; i < *n_r; i++) {
        out[i] = (struct fl_near){rows[i], (double)scores[i]};
    }
    fl_index_free(index);
    pthread_mutex_unlock(&store->mutex);
    return status;
}
