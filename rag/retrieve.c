/* SPDX-License-Identifier: Apache-2.0 */
/* Two rankings see different things: vectors forgive other wording, words find the one rare name; what
 * either finds is looked at word by word. Reciprocal rank fusion (Cormack et al. 2009) of the two breaks
 * ties.
 *
 * The query for FTS5 is made of the most telling words only: an OR over common words scores every
 * incident (140 ms at 100 000). Words are letters and digits of ASCII, each in double quotes, so nothing
 * in a hostile log can become query syntax. */
#include "rag/retrieve.h"

#include "rag/embed.h"
#include "rag/store.h"
#include "rag/words.h"

#include <math.h>
#include <stdlib.h>

enum {
    CANDIDATES_MIN = 32,
    CANDIDATES_MOST = 4 * FL_RETRIEVE_MOST,
    FUSION_K = 60,
    WORDS_ASKED = 16,     /* the most telling words, in the query */
    POSTINGS_MOST = 4000, /* incidents that the query may score */
    BATCH = 128,
};

struct question {
    struct fl_str text;
    struct fl_str but;
    const struct fl_near *near;
    size_t near_n;
    size_t k;
    bool loose;
};

struct candidate {
    int64_t row;
    double score; /* of the two ranks */
    double likeness;
    bool by_words;
};

struct candidates {
    int64_t but; /* row of the incident that does not count; 0: none */
    int64_t incidents;
    struct fl_words *words; /* of the question */
    struct fl_words *other;
    struct candidate list[3 * CANDIDATES_MOST];
    size_t n;
};

/* --- the index follows the table ------------------------------------------------------------- */

/* A stored vector of this version, with length one (or zero, for a text without words). */
static bool usable(sqlite3_stmt *statement, int version_at, float *vector)
{
    const void *blob = sqlite3_column_blob(statement, version_at + 1);
    double squares = 0;
    if (sqlite3_column_int64(statement, version_at) != FL_EMBED_VERSION || !blob ||
        sqlite3_column_bytes(statement, version_at + 1) != (int)(FL_EMBED_DIM * sizeof *vector)) {
        return false;
    }
    memcpy(vector, blob, FL_EMBED_DIM * sizeof *vector);
    for (size_t i = 0; i < FL_EMBED_DIM; i++) {
        squares += (double)vector[i] * (double)vector[i];
    }
    return fabs(squares - 1) < 0.001 || fpclassify(squares) == FP_ZERO;
}

static enum fl_status load_stored(struct fl_incidents *store, struct fl_arena *arena,
                                  struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    float *vectors = fl_arena_alloc(arena, BATCH * FL_EMBED_DIM * sizeof *vectors);
    int64_t rows[BATCH];
    size_t n = 0;
    if (!vectors) {
        return fl_fail(err, FL_NOMEM, "no memory for the index of incidents");
    }
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT row, version, vector FROM vectors ORDER BY row", &statement, err);
    while (fl_db_next(&store->db, statement, &status, err)) {
        rows[n] = sqlite3_column_int64(statement, 0);
        n += usable(statement, 1, vectors + n * FL_EMBED_DIM);
        if (n == BATCH) {
            status = fl_index_add(store->index, n, vectors, rows, err);
            n = 0;
        }
    }
    sqlite3_finalize(statement);
    return status == FL_OK ? fl_index_add(store->index, n, vectors, rows, err) : status;
}

/* Vectors of another version or none: made anew, and kept when the store may be written. */
static enum fl_status load_missing(struct fl_incidents *store, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum fl_status status =
        fl_db_prepare(&store->db,
                         "SELECT " FL_STORE_COLUMNS ", i.row, v.version, v.vector FROM incidents i"
                         " LEFT JOIN vectors v ON v.row = i.row",
                         &statement, err);
    while (fl_db_next(&store->db, statement, &status, err)) {
        float vector[FL_EMBED_DIM];
        int64_t row = sqlite3_column_int64(statement, FL_STORE_PARTS);
        if (!usable(statement, FL_STORE_PARTS + 1, vector)) {
            struct fl_incident incident;
            fl_store_row(statement, &incident);
            status = fl_store_embed(&incident, vector, err);
            if (status == FL_OK && !store->db.readonly) {
                status = fl_store_put_vector(store, row, vector, err);
            }
            if (status == FL_OK) {
                status = fl_index_add(store->index, 1, vector, &row, err);
            }
        }
    }
    sqlite3_finalize(statement);
    return status;
}

/* Inside a transaction, so that the count and the vectors belong together. */
static enum fl_status load_all(struct fl_incidents *store, bool repair, bool *complete_r,
                               struct fl_err *err)
{
    struct fl_arena arena;
    int64_t count = 0;
    fl_index_free(store->index);
    store->index = NULL;
    fl_arena_init(&arena, 1 << 20);
    enum fl_status status = fl_index_new(FL_EMBED_DIM, &store->index, err);
    if (status == FL_OK) {
        status = load_stored(store, &arena, err);
    }
    fl_arena_free(&arena);
    if (status == FL_OK) {
        status = fl_db_number(&store->db, "SELECT COUNT(*) FROM incidents", &count, err);
    }
    if (status == FL_OK && repair && fl_index_count(store->index) != (size_t)count) {
        status = load_missing(store, err);
    }
    *complete_r = fl_index_count(store->index) == (size_t)count;
    return status;
}

static enum fl_status rebuild(struct fl_incidents *store, struct fl_err *err)
{
    bool complete = false;
    enum fl_status status = fl_db_exec(&store->db, "BEGIN", err);
    if (status != FL_OK) {
        return status;
    }
    status = load_all(store, store->db.readonly, &complete, err);
    sqlite3_exec(store->db.sql, "ROLLBACK", NULL, NULL, NULL);
    if (status == FL_OK && !complete && !store->db.readonly) {
        status = fl_db_begin(&store->db, err);
        if (status == FL_OK) {
            status = fl_store_end(store, load_all(store, true, &complete, err), err);
        }
    }
    if (status == FL_OK && !complete) {
        status = fl_fail(err, FL_CORRUPT,
                         "%s: the table of vectors does not fit the incidents. Export them, move"
                         " the file away and import them again",
                         store->db.path);
    }
    return status;
}

static enum fl_status follow_table(struct fl_incidents *store, struct fl_err *err)
{
    int64_t version = 0;
    enum fl_status status = fl_db_number(&store->db, "PRAGMA data_version", &version, err);
    if (status != FL_OK ||
        (store->index && !store->index_stale && store->index_version == version)) {
        return status;
    }
    status = rebuild(store, err);
    if (status != FL_OK) {
        fl_index_free(store->index);
        store->index = NULL;
        return status;
    }
    store->index_version = version;
    store->index_stale = false;
    return FL_OK;
}

/* --- the words of the query ------------------------------------------------------------------ */

static enum fl_status count_words(struct fl_incidents *store, struct fl_words *words,
                                  struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum fl_status status =
        fl_db_prepare(&store->db, "SELECT doc FROM incidents_vocab WHERE term = ?1", &statement, err);
    for (size_t i = 0; i < words->n && status == FL_OK; i++) {
        bool row = false;
        struct fl_word *word = &words->list[i];
        fl_db_bind(statement, 1, (struct fl_str){word->text, word->n});
        status = fl_db_step(&store->db, statement, &row, err);
        word->documents = row ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return status;
}

static int by_telling(const void *a, const void *b)
{
    const struct fl_word *const *x = a;
    const struct fl_word *const *y = b;
    double tells = (*x)->line * (*x)->idf - (*y)->line * (*y)->idf;
    if (tells > 0 || tells < 0) {
        return tells > 0 ? -1 : 1;
    }
    size_t n = (*x)->n < (*y)->n ? (*x)->n : (*y)->n;
    int order = memcmp((*x)->text, (*y)->text, n);
    return order ? order : ((*x)->n > (*y)->n) - ((*x)->n < (*y)->n);
}

/* "word" OR "word" ..., the most telling first; words that half of the incidents hold say nothing. */
static void build_query(const struct fl_words *words, int64_t incidents, struct fl_buf *query)
{
    const struct fl_word *order[FL_WORDS_MOST];
    int64_t postings = 0;
    size_t asked = 0;
    for (size_t i = 0; i < words->n; i++) {
        order[i] = &words->list[i];
    }
    qsort(order, words->n, sizeof *order, by_telling);
    for (size_t i = 0; i < words->n && asked < WORDS_ASKED; i++) {
        const struct fl_word *word = order[i];
        if (word->documents > 0 && word->documents <= incidents / 2 + 1 &&
            postings + word->documents <= POSTINGS_MOST) {
            fl_buf_addf(query, "%s\"%.*s\"", asked ? " OR " : "", (int)word->n, word->text);
            postings += word->documents;
            asked++;
        }
    }
}

/* --- candidates ------------------------------------------------------------------------------ */

static void rank_candidate(struct candidates *all, int64_t row, size_t rank, bool by_words)
{
    size_t i = 0;
    while (i < all->n && all->list[i].row != row) {
        i++;
    }
    if (i == all->n) {
        all->list[all->n++] = (struct candidate){.row = row};
    }
    all->list[i].score += 1.0 / (double)(FUSION_K + rank + 1);
    all->list[i].by_words |= by_words;
}

static enum fl_status match_words(struct fl_incidents *store, struct fl_str query, size_t most,
                                  struct candidates *all, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    size_t rank = 0;
    enum fl_status status =
        fl_db_prepare(&store->db,
                         "SELECT rowid FROM incidents_fts WHERE incidents_fts MATCH ?1"
                         " ORDER BY bm25(incidents_fts, 3.0, 2.0, 1.0, 2.0, 1.0), rowid LIMIT ?2",
                         &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, query);
        sqlite3_bind_int64(statement, 2, (int64_t)most);
    }
    while (fl_db_next(&store->db, statement, &status, err)) {
        int64_t found = sqlite3_column_int64(statement, 0);
        if (found != all->but) {
            rank_candidate(all, found, rank++, true);
        }
    }
    sqlite3_finalize(statement);
    return status;
}

/* Which words, and how rare: as if the incident that does not count were not there. */
static enum fl_status read_query(struct fl_incidents *store, const struct question *q,
                                 struct candidates *all, struct fl_err *err)
{
    all->incidents = (int64_t)fl_index_count(store->index) - (all->but > 0);
    fl_words_read(all->words, q->text, !q->loose);
    enum fl_status status = count_words(store, all->words, err);
    for (size_t i = 0; all->but && i < all->words->n; i++) {
        all->words->list[i].documents -= all->words->list[i].documents > 0;
    }
    fl_words_weigh(all->words, all->incidents);
    return status;
}

static enum fl_status find_by_words(struct fl_incidents *store, size_t most,
                                    struct candidates *all, struct fl_err *err)
{
    struct fl_buf query;
    fl_buf_init(&query, WORDS_ASKED * (FL_WORD_MOST + 8));
    build_query(all->words, all->incidents, &query);
    enum fl_status status =
        query.n ? match_words(store, fl_buf_str(&query), most, all, err) : FL_OK;
    fl_buf_free(&query);
    return status;
}

static enum fl_status find_by_vector(struct fl_incidents *store, const float *vector, size_t most,
                                     struct candidates *all, struct fl_err *err)
{
    int64_t rows[CANDIDATES_MOST];
    float scores[CANDIDATES_MOST];
    size_t n = 0;
    enum fl_status status = fl_index_search(store->index, vector, most, rows, scores, &n, err);
    for (size_t i = 0, rank = 0; i < n; i++) {
        if (rows[i] != all->but) {
            rank_candidate(all, rows[i], rank++, false);
        }
    }
    return status;
}

/* How like each candidate is, by its words. */
static enum fl_status liken(struct fl_incidents *store, struct candidates *all, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT " FL_STORE_COLUMNS " FROM incidents i WHERE i.row = ?1", &statement, err);
    for (size_t i = 0; i < all->n && status == FL_OK; i++) {
        struct fl_incident incident;
        bool row = false;
        sqlite3_bind_int64(statement, 1, all->list[i].row);
        status = fl_db_step(&store->db, statement, &row, err);
        if (status == FL_OK && row) {
            fl_store_row(statement, &incident);
            struct fl_str text = incident.text.n ? incident.text : incident.summary;
            fl_words_read(all->other, text, incident.fingerprint.n > 0);
            all->list[i].likeness = fl_words_likeness(all->words, all->other, all->incidents);
        }
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return status;
}

static int by_likeness(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    if (x->likeness > y->likeness || x->likeness < y->likeness) {
        return x->likeness > y->likeness ? -1 : 1;
    }
    if (x->score > y->score || x->score < y->score) {
        return x->score > y->score ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Does it help with a failure? Not when nobody has looked at it yet, or its cause is known to be wrong. */
static bool tells(const struct fl_incident *incident)
{
    bool unseen = !incident->cause.n && fl_str_eq(incident->outcome, FL_LIT("unconfirmed"));
    return !unseen && !fl_str_eq(incident->outcome, FL_LIT("wrong"));
}

static enum fl_status read_hits(struct fl_incidents *store, const struct question *q,
                                const struct candidates *all, struct fl_arena *arena,
                                struct fl_hits *hits, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum fl_status status = fl_db_prepare(
        &store->db, "SELECT " FL_STORE_COLUMNS " FROM incidents i WHERE i.row = ?1", &statement, err);
    for (size_t i = 0; i < all->n && hits->n < q->k && status == FL_OK; i++) {
        bool row = false;
        struct fl_hit *hit = &hits->list[hits->n];
        bool close = all->list[i].likeness * 100 >= FL_RETRIEVE_FLOOR;
        if (!close && !(q->loose && all->list[i].by_words)) {
            continue;
        }
        sqlite3_bind_int64(statement, 1, all->list[i].row);
        status = fl_db_step(&store->db, statement, &row, err);
        if (status == FL_OK && row) { /* gone meanwhile: not a hit */
            fl_store_row(statement, &hit->incident);
            row = q->loose || tells(&hit->incident);
        }
        if (status == FL_OK && row) {
            hit->similarity = all->list[i].likeness;
            hits->n++;
            if (!fl_store_keep(&hit->incident, arena)) {
                status = fl_fail(err, FL_NOMEM, "no memory for similar incidents");
            }
        }
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum fl_status row_of(struct fl_incidents *store, struct fl_str id, int64_t *row_r,
                             struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status =
        fl_db_prepare(&store->db, "SELECT row FROM incidents WHERE id = ?1", &statement, err);
    if (status == FL_OK) {
        fl_db_bind(statement, 1, id);
        status = fl_db_step(&store->db, statement, &row, err);
    }
    *row_r = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    return x->score > y->score || x->score < y->score ? (x->score > y->score ? -1 : 1)
                                                      : by_likeness(a, b);
}

/* The rank by likeness and the one in near; a cosine well above what any two texts have is a likeness,
 * too, but never one that would do for a verdict. */
static void fuse(const struct question *q, struct candidates *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct candidate *c = &all->list[i];
        c->score = 1.0 / (double)(FUSION_K + i + 1);
        for (size_t k = 0; k < q->near_n; k++) {
            if (q->near[k].row == c->row) {
                double near = q->near[k].score - FL_RETRIEVE_NEAR;
                c->score += 1.0 / (double)(FUSION_K + k + 1);
                c->likeness = c->likeness > near ? c->likeness : near;
            }
        }
    }
    qsort(all->list, all->n, sizeof *all->list, by_score);
}

static enum fl_status find(struct fl_incidents *store, const struct question *q,
                           struct candidates *all, struct fl_err *err)
{
    float vector[FL_EMBED_DIM];
    bool empty = false;
    size_t most = 4 * q->k > CANDIDATES_MIN ? 4 * q->k : CANDIDATES_MIN;
    enum fl_status status = fl_embed(q->text, vector, &empty, err);
    if (status != FL_OK || empty) {
        return status;
    }
    status = follow_table(store, err);
    if (status == FL_OK && q->but.n) {
        status = row_of(store, q->but, &all->but, err);
    }
    if (status == FL_OK) {
        status = read_query(store, q, all, err);
    }
    if (status == FL_OK) {
        status = find_by_vector(store, vector, most, all, err);
    }
    if (status == FL_OK) {
        status = find_by_words(store, most, all, err);
    }
    for (size_t i = 0; i < q->near_n && i < CANDIDATES_MOST; i++) {
        if (q->near[i].row != all->but) {
            rank_candidate(all, q->near[i].row, i, false);
        }
    }
    if (status == FL_OK) {
        status = liken(store, all, err);
    }
    qsort(all->list, all->n, sizeof *all->list, by_likeness);
    if (q->near_n) {
        fuse(q, all);
    }
    return status;
}

static enum fl_status answer(struct fl_incidents *store, struct question q, struct fl_arena *arena,
                             struct fl_hits *hits, struct fl_err *err)
{
    struct fl_arena scratch;
    fl_arena_init(&scratch, 1 << 20);
    struct candidates *all = fl_arena_alloc(&scratch, sizeof *all);
    struct fl_words *words = fl_arena_alloc(&scratch, 2 * sizeof *words);
    q.k = q.k < FL_RETRIEVE_MOST ? q.k : FL_RETRIEVE_MOST;
    q.text.n = q.text.n < FL_EMBED_BYTES ? q.text.n : FL_EMBED_BYTES;
    *hits = (struct fl_hits){.list = fl_arena_alloc(arena, (q.k + 1) * sizeof *hits->list)};
    enum fl_status status = all && words && hits->list
                                ? FL_OK
                                : fl_fail(err, FL_NOMEM, "no memory for similar incidents");
    pthread_mutex_lock(&store->mutex);
    if (status == FL_OK) {
        *all = (struct candidates){.words = words, .other = words + 1};
        status = find(store, &q, all, err);
    }
    if (status == FL_OK) {
        status = read_hits(store, &q, all, arena, hits, err);
    }
    pthread_mutex_unlock(&store->mutex);
    hits->n = status == FL_OK ? hits->n : 0;
    fl_arena_free(&scratch);
    return status;
}

enum fl_status fl_retrieve(struct fl_incidents *store, struct fl_str text, size_t k,
                           struct fl_arena *arena, struct fl_hits *hits_r, struct fl_err *err)
{
    return answer(store, (struct question){.text = text, .k = k}, arena, hits_r, err);
}

enum fl_status fl_retrieve_others(struct fl_incidents *store, struct fl_str text, struct fl_str but,
                                  const struct fl_near *near, size_t near_n, size_t k,
                                  struct fl_arena *arena, struct fl_hits *hits_r,
                                  struct fl_err *err)
{
    const struct question q = {.text = text, .but = but, .near = near, .near_n = near_n, .k = k};
    return answer(store, q, arena, hits_r, err);
}

enum fl_status fl_retrieve_loose(struct fl_incidents *store, struct fl_str text, size_t k,
                                 struct fl_arena *arena, struct fl_hits *hits_r, struct fl_err *err)
{
    return answer(store, (struct question){.text = text, .k = k, .loose = true}, arena, hits_r,
                  err);
}
