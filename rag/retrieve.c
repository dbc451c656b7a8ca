/* SPDX-License-Identifier: Apache-2.0 */
/* Two rankings see different things: vectors forgive other wording, words find the one rare name.
 * Reciprocal rank fusion (Cormack et al. 2009) joins them without comparing their scores.
 *
 * The query for FTS5 is made of the rarest words only: an OR over common words scores every
 * incident (140 ms at 100 000). Words are letters, digits and '_' of ASCII, each in double quotes,
 * so nothing in a hostile log can become query syntax. */
#include "rag/retrieve.h"

#include "rag/embed.h"
#include "rag/store.h"

#include <math.h>
#include <stdlib.h>

enum {
    CANDIDATES_MIN = 32,
    CANDIDATES_MOST = 4 * FL_RETRIEVE_MOST,
    FUSION_K = 60,
    WORDS_READ = 384,     /* distinct words looked up */
    WORDS_ASKED = 16,     /* rarest words in the query */
    POSTINGS_MOST = 4000, /* incidents that the query may score */
    WORD_MIN = 3,
    WORD_MOST = 40,
    BATCH = 128,
};

struct candidate {
    int64_t row;
    double score;
    double cosine; /* below 0: not known yet */
    bool by_words;
};

struct candidates {
    bool loose;
    int64_t but; /* row of the incident that does not count; 0: none */
    struct candidate list[2 * CANDIDATES_MOST];
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
    bool more = false;
    if (!vectors) {
        return fl_fail(err, FL_NOMEM, "no memory for the index of incidents");
    }
    enum fl_status status = fl_store_prepare(
        store, "SELECT row, version, vector FROM vectors ORDER BY row", &statement, err);
    if (status == FL_OK) {
        status = fl_store_step(store, statement, &more, err);
    }
    while (status == FL_OK && more) {
        rows[n] = sqlite3_column_int64(statement, 0);
        n += usable(statement, 1, vectors + n * FL_EMBED_DIM);
        if (n == BATCH) {
            status = fl_index_add(store->index, n, vectors, rows, err);
            n = 0;
        }
        if (status == FL_OK) {
            status = fl_store_step(store, statement, &more, err);
        }
    }
    sqlite3_finalize(statement);
    return status == FL_OK ? fl_index_add(store->index, n, vectors, rows, err) : status;
}

/* Vectors of another version or none: made anew, and kept when the store may be written. */
static enum fl_status load_missing(struct fl_incidents *store, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool more = false;
    enum fl_status status =
        fl_store_prepare(store,
                         "SELECT " FL_STORE_COLUMNS ", i.row, v.version, v.vector FROM incidents i"
                         " LEFT JOIN vectors v ON v.row = i.row",
                         &statement, err);
    if (status == FL_OK) {
        status = fl_store_step(store, statement, &more, err);
    }
    while (status == FL_OK && more) {
        float vector[FL_EMBED_DIM];
        int64_t row = sqlite3_column_int64(statement, FL_STORE_PARTS);
        if (!usable(statement, FL_STORE_PARTS + 1, vector)) {
            struct fl_incident incident;
            fl_store_row(statement, &incident);
            status = fl_store_embed(&incident, vector, err);
            if (status == FL_OK && !store->readonly) {
                status = fl_store_put_vector(store, row, vector, err);
            }
            if (status == FL_OK) {
                status = fl_index_add(store->index, 1, vector, &row, err);
            }
        }
        if (status == FL_OK) {
            status = fl_store_step(store, statement, &more, err);
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
        status = fl_store_number(store, "SELECT COUNT(*) FROM incidents", &count, err);
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
    enum fl_status status = fl_store_exec(store, "BEGIN", err);
    if (status != FL_OK) {
        return status;
    }
    status = load_all(store, store->readonly, &complete, err);
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    if (status == FL_OK && !complete && !store->readonly) {
        status = fl_store_begin(store, err);
        if (status == FL_OK) {
            status = fl_store_end(store, load_all(store, true, &complete, err), err);
        }
    }
    if (status == FL_OK && !complete) {
        status = fl_fail(err, FL_CORRUPT,
                         "%s: the table of vectors does not fit the incidents. Export them, move"
                         " the file away and import them again",
                         store->path);
    }
    return status;
}

static enum fl_status follow_table(struct fl_incidents *store, struct fl_err *err)
{
    int64_t version = 0;
    enum fl_status status = fl_store_number(store, "PRAGMA data_version", &version, err);
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

struct word {
    char text[WORD_MOST];
    size_t n;
    int64_t documents;
};

struct words {
    struct word list[WORDS_READ];
    size_t n;
};

/* Keeps a word unless it is a number, a mere hash, or there already. */
static void keep_word(struct words *words, struct fl_str raw)
{
    struct word word = {.n = raw.n};
    size_t hexes = 0;
    bool digit = false;
    if (raw.n < WORD_MIN || raw.n > WORD_MOST || words->n == WORDS_READ) {
        return;
    }
    for (size_t i = 0; i < raw.n; i++) {
        char c = (char)(raw.p[i] >= 'A' && raw.p[i] <= 'Z' ? raw.p[i] | 0x20 : raw.p[i]);
        digit = digit || fl_is_digit(c);
        hexes += fl_is_digit(c) || (c >= 'a' && c <= 'f');
        word.text[i] = c;
    }
    if (digit && hexes == raw.n) {
        return;
    }
    for (size_t i = 0; i < words->n; i++) {
        if (fl_str_eq((struct fl_str){words->list[i].text, words->list[i].n},
                      (struct fl_str){word.text, word.n})) {
            return;
        }
    }
    words->list[words->n++] = word;
}

/* As the unicode61 tokenizer cuts ASCII: letters and digits; bytes over 0x7f end up in no word
 * that the table knows. */
static void read_words(struct words *words, struct fl_str text)
{
    size_t i = 0;
    while (i < text.n) {
        size_t start = i;
        while (i < text.n && (fl_is_alpha(text.p[i]) || fl_is_digit(text.p[i]))) {
            i++;
        }
        keep_word(words, (struct fl_str){text.p + start, i - start});
        i += i == start;
    }
}

static enum fl_status count_words(struct fl_incidents *store, struct words *words,
                                  struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum fl_status status =
        fl_store_prepare(store, "SELECT doc FROM incidents_vocab WHERE term = ?1", &statement, err);
    for (size_t i = 0; i < words->n && status == FL_OK; i++) {
        bool row = false;
        struct word *word = &words->list[i];
        fl_store_bind(statement, 1, (struct fl_str){word->text, word->n});
        status = fl_store_step(store, statement, &row, err);
        word->documents = row ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return status;
}

static int by_rarity(const void *a, const void *b)
{
    const struct word *x = a;
    const struct word *y = b;
    if (x->documents != y->documents) {
        return x->documents < y->documents ? -1 : 1;
    }
    size_t n = x->n < y->n ? x->n : y->n;
    int order = memcmp(x->text, y->text, n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* "word" OR "word" ..., rarest first; words that half of the incidents hold say nothing. */
static void build_query(struct words *words, size_t incidents, bool one_is_itself,
                        struct fl_buf *query)
{
    int64_t postings = 0;
    size_t asked = 0;
    qsort(words->list, words->n, sizeof *words->list, by_rarity);
    for (size_t i = 0; i < words->n && asked < WORDS_ASKED; i++) {
        const struct word *word = &words->list[i];
        int64_t others = word->documents - one_is_itself;
        postings += word->documents;
        if (postings > POSTINGS_MOST || others > (int64_t)(incidents / 2 + 1)) {
            break;
        }
        if (others > 0) {
            fl_buf_addf(query, "%s\"%.*s\"", asked ? " OR " : "", (int)word->n, word->text);
            asked++;
        }
    }
}

/* --- candidates ------------------------------------------------------------------------------ */

static void rank_candidate(struct candidates *all, int64_t row, size_t rank, double cosine)
{
    size_t i = 0;
    while (i < all->n && all->list[i].row != row) {
        i++;
    }
    if (i == all->n) {
        all->list[all->n++] = (struct candidate){.row = row, .cosine = -1};
    }
    all->list[i].score += 1.0 / (double)(FUSION_K + rank + 1);
    all->list[i].cosine = cosine >= 0 ? cosine : all->list[i].cosine;
    all->list[i].by_words = all->list[i].by_words || cosine < 0;
}

static enum fl_status match_words(struct fl_incidents *store, struct fl_str query, size_t most,
                                  struct candidates *all, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum fl_status status =
        fl_store_prepare(store,
                         "SELECT rowid FROM incidents_fts WHERE incidents_fts MATCH ?1"
                         " ORDER BY bm25(incidents_fts, 3.0, 2.0, 1.0, 2.0, 1.0), rowid LIMIT ?2",
                         &statement, err);
    if (status == FL_OK) {
        fl_store_bind(statement, 1, query);
        sqlite3_bind_int64(statement, 2, (int64_t)most);
        status = fl_store_step(store, statement, &row, err);
    }
    for (size_t rank = 0; status == FL_OK && row;) {
        int64_t found = sqlite3_column_int64(statement, 0);
        if (found != all->but) {
            rank_candidate(all, found, rank++, -1);
        }
        status = fl_store_step(store, statement, &row, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum fl_status find_by_words(struct fl_incidents *store, struct fl_str text, size_t most,
                                    struct candidates *all, struct fl_err *err)
{
    struct fl_arena arena;
    struct fl_buf query;
    fl_arena_init(&arena, 1 << 20);
    fl_buf_init(&query, WORDS_ASKED * (WORD_MOST + 8));
    struct words *words = fl_arena_alloc(&arena, sizeof *words);
    enum fl_status status =
        words ? FL_OK : fl_fail(err, FL_NOMEM, "no memory to search the incidents");
    if (status == FL_OK) {
        read_words(words, text);
        status = count_words(store, words, err);
    }
    if (status == FL_OK) {
        build_query(words, fl_index_count(store->index) - (all->but > 0), all->but > 0, &query);
    }
    if (status == FL_OK && query.n) {
        status = match_words(store, fl_buf_str(&query), most, all, err);
    }
    fl_buf_free(&query);
    fl_arena_free(&arena);
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
        double cosine = scores[i] < 0 ? 0 : scores[i] > 1 ? 1 : (double)scores[i];
        if (rows[i] != all->but) {
            rank_candidate(all, rows[i], rank++, cosine);
        }
    }
    return status;
}

/* Candidates that only the words found: their cosine from the stored vector. */
static enum fl_status fill_cosines(struct fl_incidents *store, const float *vector,
                                   struct candidates *all, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum fl_status status = fl_store_prepare(
        store, "SELECT version, vector FROM vectors WHERE row = ?1", &statement, err);
    for (size_t i = 0; i < all->n && status == FL_OK; i++) {
        struct candidate *candidate = &all->list[i];
        float other[FL_EMBED_DIM];
        bool row = false;
        if (candidate->cosine >= 0) {
            continue;
        }
        sqlite3_bind_int64(statement, 1, candidate->row);
        status = fl_store_step(store, statement, &row, err);
        candidate->cosine = row && usable(statement, 0, other) ? fl_embed_cosine(vector, other) : 0;
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return status;
}

static int by_score(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    if (x->score > y->score || x->score < y->score) {
        return x->score > y->score ? -1 : 1;
    }
    if (x->cosine > y->cosine || x->cosine < y->cosine) {
        return x->cosine > y->cosine ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Does it help with a failure? Not when nobody has looked at it yet, or its cause is known to be wrong. */
static bool tells(const struct fl_incident *incident)
{
    bool unseen = !incident->cause.n && fl_str_eq(incident->outcome, FL_LIT("unconfirmed"));
    return !unseen && !fl_str_eq(incident->outcome, FL_LIT("wrong"));
}

static enum fl_status read_hits(struct fl_incidents *store, const struct candidates *all, size_t k,
                                struct fl_arena *arena, struct fl_hits *hits, struct fl_err *err)
{
    sqlite3_stmt *statement = NULL;
    enum fl_status status = fl_store_prepare(
        store, "SELECT " FL_STORE_COLUMNS " FROM incidents i WHERE i.row = ?1", &statement, err);
    for (size_t i = 0; i < all->n && hits->n < k && status == FL_OK; i++) {
        bool row = false;
        struct fl_hit *hit = &hits->list[hits->n];
        bool close = all->list[i].cosine * 100 >= FL_RETRIEVE_FLOOR;
        if (!close && !(all->loose && all->list[i].by_words)) {
            continue;
        }
        sqlite3_bind_int64(statement, 1, all->list[i].row);
        status = fl_store_step(store, statement, &row, err);
        if (status == FL_OK && row) { /* gone meanwhile: not a hit */
            fl_store_row(statement, &hit->incident);
            row = all->loose || tells(&hit->incident);
        }
        if (status == FL_OK && row) {
            hit->similarity = all->list[i].cosine;
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
        fl_store_prepare(store, "SELECT row FROM incidents WHERE id = ?1", &statement, err);
    if (status == FL_OK) {
        fl_store_bind(statement, 1, id);
        status = fl_store_step(store, statement, &row, err);
    }
    *row_r = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return status;
}

static enum fl_status find(struct fl_incidents *store, struct fl_str text, struct fl_str but,
                           size_t most, struct candidates *all, struct fl_err *err)
{
    float vector[FL_EMBED_DIM];
    bool empty = false;
    enum fl_status status = fl_embed(text, vector, &empty, err);
    if (status != FL_OK || empty) {
        return status;
    }
    status = follow_table(store, err);
    if (status == FL_OK && but.n) {
        status = row_of(store, but, &all->but, err);
    }
    if (status == FL_OK) {
        status = find_by_vector(store, vector, most, all, err);
    }
    if (status == FL_OK) {
        status = find_by_words(store, text, most, all, err);
    }
    if (status == FL_OK) {
        status = fill_cosines(store, vector, all, err);
    }
    qsort(all->list, all->n, sizeof *all->list, by_score);
    return status;
}

struct question {
    struct fl_str text;
    struct fl_str but;
    size_t k;
    bool loose;
};

static enum fl_status answer(struct fl_incidents *store, struct question q, struct fl_arena *arena,
                             struct fl_hits *hits, struct fl_err *err)
{
    struct candidates all;
    all.n = 0;
    all.but = 0;
    all.loose = q.loose;
    size_t k = q.k < FL_RETRIEVE_MOST ? q.k : FL_RETRIEVE_MOST;
    *hits = (struct fl_hits){.list = fl_arena_alloc(arena, (k + 1) * sizeof *hits->list)};
    if (!hits->list) {
        return fl_fail(err, FL_NOMEM, "no memory for similar incidents");
    }
    q.text.n = q.text.n < FL_EMBED_BYTES ? q.text.n : FL_EMBED_BYTES;
    pthread_mutex_lock(&store->mutex);
    size_t most = 4 * k > CANDIDATES_MIN ? 4 * k : CANDIDATES_MIN;
    enum fl_status status = find(store, q.text, q.but, most, &all, err);
    if (status == FL_OK) {
        status = read_hits(store, &all, k, arena, hits, err);
    }
    pthread_mutex_unlock(&store->mutex);
    hits->n = status == FL_OK ? hits->n : 0;
    return status;
}

enum fl_status fl_retrieve(struct fl_incidents *store, struct fl_str text, size_t k,
                           struct fl_arena *arena, struct fl_hits *hits_r, struct fl_err *err)
{
    return answer(store, (struct question){.text = text, .k = k}, arena, hits_r, err);
}

enum fl_status fl_retrieve_others(struct fl_incidents *store, struct fl_str text, struct fl_str but,
                                  size_t k, struct fl_arena *arena, struct fl_hits *hits_r,
                                  struct fl_err *err)
{
    return answer(store, (struct question){.text = text, .but = but, .k = k}, arena, hits_r, err);
}

enum fl_status fl_retrieve_loose(struct fl_incidents *store, struct fl_str text, size_t k,
                                 struct fl_arena *arena, struct fl_hits *hits_r, struct fl_err *err)
{
    return answer(store, (struct question){.text = text, .k = k, .loose = true}, arena, hits_r,
                  err);
}
