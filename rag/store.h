/* SPDX-License-Identifier: Apache-2.0 */
/* The database under incidents.h, shared by the files of this room and by nobody else: its schema,
 * rows to incidents, and the index of vectors that follows the table.
 *
 * Schema 4 of faultline.db (PRAGMA user_version):
 *   meta(key, value)        "seeds <hash of the seed file>" -> time of its import
 *   incidents(row, ...)     row is never used twice (AUTOINCREMENT)
 *   seeds(id, forgotten)    the shipped incidents; forgotten is 1 when the user deleted it
 *   vectors(row, version, vector)  FL_EMBED_DIM little-endian floats, version FL_EMBED_VERSION
 *   rule_journal, rule_use, rule_total  see rulelog.h (since 2)
 *   verdicts                see verdicts.h (since 3)
 *   dense                   see dense.h (since 3)
 *   endpoints, answers, spending  see asked.h (since 3)
 *   merges, flags           see groups.h (since 4)
 *   incidents_fts, incidents_vocab  FTS5 over title, summary, text, cause, stack
 *
 * Locks, in this order: mutex (threads of one store), then those of db.h. */
#pragma once
#include "rag/db.h"
#include "rag/incidents.h"
#include "rag/index.h"

#include <pthread.h>

enum { FL_STORE_SCHEMA = 4 };

struct fl_incidents {
    struct fl_db db;
    pthread_mutex_t mutex;
    struct fl_index *index; /* NULL until the first search */
    int64_t index_version;  /* PRAGMA data_version it was built at */
    bool index_stale;
};

enum fl_store_mode { FL_STORE_ADD, FL_STORE_IMPORT, FL_STORE_SEED };

enum fl_status fl_store_open(struct fl_incidents *store, const char *state_dir, bool readonly,
                             struct fl_err *err) FL_MUST_USE;
void fl_store_close(struct fl_incidents *store);

/* fl_db_end; what was rolled back leaves the index behind. */
enum fl_status fl_store_end(struct fl_incidents *store, enum fl_status status,
                            struct fl_err *err) FL_MUST_USE;

/* One write statement in a transaction of its own; its parameters are texts. *n_r: rows that it changed. */
enum fl_status fl_store_write(struct fl_incidents *store, const char *sql, const struct fl_str *texts,
                              int n, long *n_r, struct fl_err *err) FL_MUST_USE;

/* The parts of an incident, in the order of the columns below: one table drives binding, reading,
 * checking and JSON. */
struct fl_store_part {
    const char *key;
    size_t offset;
    size_t cap;
};
enum { FL_STORE_PARTS = 13 };
extern const struct fl_store_part fl_store_parts[FL_STORE_PARTS];

static inline const struct fl_str *fl_store_part(const struct fl_incident *incident, size_t at)
{
    return (const struct fl_str *)(const void *)((const char *)incident +
                                                 fl_store_parts[at].offset);
}

static inline struct fl_str *fl_store_part_mut(struct fl_incident *incident, size_t at)
{
    return (struct fl_str *)(void *)((char *)incident + fl_store_parts[at].offset);
}

#define FL_STORE_COLUMNS                                                                           \
    "i.id, i.cause, i.stack, i.title, i.summary, i.text, i.resolution, i.action, i.outcome,"       \
    " i.origin, i.job, i.created, i.fingerprint"

/* The first FL_STORE_PARTS columns of the row, borrowed until the next step. */
void fl_store_row(sqlite3_stmt *statement, struct fl_incident *incident_r);

/* Steps through all rows. */
enum fl_status fl_store_visit(struct fl_incidents *store, sqlite3_stmt *statement,
                              fl_incidents_visit visit, void *ctx, struct fl_err *err) FL_MUST_USE;

/* Parts into the arena; false: no memory. */
bool fl_store_keep(struct fl_incident *incident, struct fl_arena *arena);

/* Checks sizes and the id, and puts a repaired copy of broken UTF-8 into arena. `name` is what
 * messages call the incident. */
enum fl_status fl_store_check(struct fl_incident *incident, const char *name,
                              struct fl_arena *arena, struct fl_err *err) FL_MUST_USE;

/* Inside a write transaction: puts one checked incident with its vector in. */
enum fl_status fl_store_put(struct fl_incidents *store, const struct fl_incident *incident,
                            enum fl_store_mode mode, struct fl_err *err) FL_MUST_USE;

/* The vector of an incident. */
enum fl_status fl_store_embed(const struct fl_incident *incident, float *vector,
                              struct fl_err *err) FL_MUST_USE;
enum fl_status fl_store_put_vector(struct fl_incidents *store, int64_t row, const float *vector,
                                   struct fl_err *err) FL_MUST_USE;

/* Takes the seeds of the file in, unless this content was imported before. */
enum fl_status fl_store_seed(struct fl_incidents *store, const char *seed_path,
                             struct fl_err *err) FL_MUST_USE;
