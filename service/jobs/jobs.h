/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs whose logs were pushed: bytes of their streams, what is known of them from elsewhere, and
 * each verdict that was given. One SQLite file, jobs.db in the state folder, the only truth about them;
 * what a call has committed survives kill -9 and power loss (see rag/db.h).
 *
 * Schema 1:
 *   jobs       one row a job; `judged` is how many of its bytes the last verdict has seen
 *   streams    of a job, told apart by name
 *   chunks     bytes of a stream from an offset on and when they came, packed with zstd when that pays
 *   receipts   keys of pushes that were taken, so that one that is sent again is not taken twice
 *   revisions  the verdicts of a job, the newest last
 * Schema 2: what others are to be told of them (outbox.h)
 *
 * Threads: one connection, one thread at a time; any number of connections.
 * Limits: FL_JOBS_STREAMS streams a job (lines of more go to one named "overflow"). */
#pragma once
#include "rag/db.h"
#include "service/base/arena.h"

enum {
    FL_JOBS_STREAMS = 4000,
    FL_JOBS_CHUNK = 256 * 1024, /* bytes, at most */
    FL_JOBS_RECEIPTS = 200000,  /* the newest are kept */
    FL_JOBS_NAME = 128,
    FL_JOBS_FACTS = 16 * 1024, /* bytes of a job's, as JSON */
};

struct fl_jobs;

enum fl_status fl_jobs_open(const char *state_dir, bool readonly, struct fl_jobs **out,
                            struct fl_err *err) FL_MUST_USE;
void fl_jobs_close(struct fl_jobs *jobs);
struct fl_db *fl_jobs_db(struct fl_jobs *jobs); /* for transactions */

/* A name of a job is 1 to FL_JOBS_NAME of A-Z a-z 0-9 . _ - and does not begin with a dot. */
bool fl_jobs_is_name(struct fl_str name);

/* ---- inside a write transaction ---- */

struct fl_jobs_part {
    struct fl_str job;
    struct fl_str stream;
    struct fl_str node; /* "": not known */
    long rank;          /* -1: not known */
    struct fl_str text;
    long lines;
    int64_t offset; /* of its first byte in the stream, -1: at its end */
    int64_t row;    /* of the job, by fl_jobs_add; 0: the push was taken before */
};

/* Adds bytes. With an offset, what the stream holds already is not taken again, and a gap is FL_CONFLICT.
 * receipt: a key of the whole push, or ""; a key that was seen before changes nothing. */
enum fl_status fl_jobs_add(struct fl_jobs *jobs, struct fl_jobs_part *parts, size_t n,
                           struct fl_str receipt, struct fl_err *err) FL_MUST_USE;

/* Makes the job when it is not there; facts is a JSON object whose keys win over those of before (FL_LIMIT: more
 * than FL_JOBS_FACTS with them). ended: it is over, and will be judged for good. */
enum fl_status fl_jobs_note(struct fl_jobs *jobs, struct fl_str job, struct fl_str facts, bool ended,
                            struct fl_err *err) FL_MUST_USE;

struct fl_revision {
    int64_t judged; /* bytes that it has seen */
    bool final;     /* of a job that is over, or has rested */
    struct fl_str outcome;
    struct fl_str cause; /* "": none; so the next ones */
    struct fl_str severity;
    struct fl_str action;
    struct fl_str method;
    struct fl_str node;
    struct fl_str incident;
    struct fl_str summary;
    long rank;
    double confidence;
    struct fl_str document; /* faultline.verdict/1 */
};

/* A verdict that says the same as the last one only replaces it; *number_r is the same then. One that has seen less
 * than the last one came too late: FL_NOTFOUND, and nothing changes. */
enum fl_status fl_jobs_judge(struct fl_jobs *jobs, int64_t job, const struct fl_revision *revision,
                             long *number_r, struct fl_err *err) FL_MUST_USE;

enum fl_status fl_jobs_forget(struct fl_jobs *jobs, struct fl_str job, struct fl_err *err) FL_MUST_USE;

/* Forgets the log (not the verdicts) of the job that rested longest, if all logs together have more than
 * `bytes`, or it has rested since `since_ms`. *trimmed_r: there was one. */
enum fl_status fl_jobs_trim(struct fl_jobs *jobs, int64_t bytes, int64_t since_ms, bool *trimmed_r,
                            struct fl_err *err) FL_MUST_USE;

/* ---- reading ---- */

struct fl_jobs_row {
    int64_t row;
    struct fl_str name;
    bool ended;
    int64_t created_ms; /* since 1970 */
    int64_t grown_ms;   /* when bytes came last */
    int64_t bytes;
    int64_t lines;
    long revision; /* 0: no verdict yet */
    struct fl_str facts;
    struct fl_revision last; /* without its document */
};

typedef enum fl_status (*fl_jobs_visit)(void *ctx, const struct fl_jobs_row *job, struct fl_err *err);

/* FL_NOTFOUND, without a message. Texts end in the arena. */
enum fl_status fl_jobs_get(struct fl_jobs *jobs, struct fl_str name, struct fl_arena *arena,
                           struct fl_jobs_row *out, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_jobs_at(struct fl_jobs *jobs, int64_t row, struct fl_arena *arena,
                          struct fl_jobs_row *out, struct fl_err *err) FL_MUST_USE;

struct fl_jobs_query {
    struct fl_str outcome; /* "": any; so the next ones */
    struct fl_str cause;
    struct fl_str node;
    struct fl_str incident;
    int64_t before; /* rows below this; 0: from the newest on */
    size_t limit;   /* 0: all */
    bool unjudged;  /* that have bytes no final verdict has seen */
};
/* The newest first. */
enum fl_status fl_jobs_list(struct fl_jobs *jobs, const struct fl_jobs_query *query,
                            fl_jobs_visit visit, void *ctx, struct fl_err *err) FL_MUST_USE;

struct fl_jobs_stream {
    int64_t row;
    struct fl_str name;
    struct fl_str node;
    long rank;
    int64_t bytes;
    int64_t lines;
};
typedef enum fl_status (*fl_jobs_visit_stream)(void *ctx, const struct fl_jobs_stream *stream,
                                               struct fl_err *err);
/* In the order of their ranks, then names. visit may read from the same connection. */
enum fl_status fl_jobs_streams(struct fl_jobs *jobs, int64_t job, struct fl_arena *arena,
                               fl_jobs_visit_stream visit, void *ctx, struct fl_err *err) FL_MUST_USE;

/* The stream of that name: its row and how many bytes it got. FL_NOTFOUND, without a message. */
enum fl_status fl_jobs_stream(struct fl_jobs *jobs, struct fl_str job, struct fl_str name, int64_t *row_r,
                              int64_t *bytes_r, struct fl_err *err) FL_MUST_USE;

/* The bytes of a stream from `from` (its offset) to `to`, in pieces. No lock is held meanwhile. */
typedef enum fl_status (*fl_jobs_take)(void *ctx, struct fl_str bytes, struct fl_err *err);
enum fl_status fl_jobs_text(struct fl_jobs *jobs, int64_t stream, int64_t from, int64_t to,
                            fl_jobs_take take, void *ctx, struct fl_err *err) FL_MUST_USE;

/* Which bytes of a stream came between two times (ms since 1970). Nothing: from and to are 0. */
enum fl_status fl_jobs_between(struct fl_jobs *jobs, int64_t stream, int64_t since_ms, int64_t until_ms,
                               int64_t *from_r, int64_t *to_r, struct fl_err *err) FL_MUST_USE;

/* The document of a revision (0: the newest). FL_NOTFOUND without a message. */
enum fl_status fl_jobs_document(struct fl_jobs *jobs, int64_t job, long revision,
                                struct fl_arena *arena, struct fl_str *document_r,
                                struct fl_err *err) FL_MUST_USE;
