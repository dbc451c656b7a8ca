/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/writer.h"

#include "service/base/log.h"
#include "service/jobs/reserve.h"

#include <pthread.h>
#include <stdlib.h>

struct fl_writer {
    struct fl_jobs *jobs;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct fl_write *first;
    struct fl_write **last;
    struct fl_writer_state state;
    bool stop;
    struct fl_reserve reserve;
    struct fl_err full; /* why it is */
    bool is_full;
};

/* One of a batch; what it did is undone when it fails. */
static void run_one(struct fl_writer *w, struct fl_write *write)
{
    struct fl_db *db = fl_jobs_db(w->jobs);
    write->err = (struct fl_err){0};
    write->status = fl_db_exec(db, "SAVEPOINT one", &write->err);
    if (write->status != FL_OK) {
        return;
    }
    write->status = write->run(write, w->jobs, &write->err);
    bool gone = sqlite3_get_autocommit(db->sql); /* a full disk may end the transaction */
    const char *end = write->status == FL_OK ? "RELEASE one" : "ROLLBACK TO one; RELEASE one";
    enum fl_status ended = gone ? FL_OK : fl_db_exec(db, end, write->status == FL_OK ? &write->err : NULL);
    write->status = write->status == FL_OK ? ended : write->status;
}

static enum fl_status transact(struct fl_writer *w, struct fl_write *list, struct fl_err *err)
{
    struct fl_db *db = fl_jobs_db(w->jobs);
    enum fl_status status = fl_db_begin(db, err);
    bool began = status == FL_OK;
    for (struct fl_write *write = list; status == FL_OK && write; write = write->next) {
        run_one(w, write);
        if (sqlite3_get_autocommit(db->sql) || write->status == FL_FULL) {
            status = fl_fail(err, write->status, "%s", write->err.msg);
        }
    }
    return began ? fl_db_end(db, status, err) : status;
}

/* Space that was written once is written again. */
static bool has_room(struct fl_writer *w)
{
    int64_t pages = 0;
    int64_t size = 0;
    struct fl_db *db = fl_jobs_db(w->jobs);
    return fl_reserve_hold(&w->reserve) ||
           (fl_db_number(db, "PRAGMA freelist_count", &pages, NULL) == FL_OK &&
            fl_db_number(db, "PRAGMA page_size", &size, NULL) == FL_OK &&
            pages * size >= w->reserve.bytes);
}

/* Takes those that yield out of the list. */
static struct fl_write *take_yielding(struct fl_write **list)
{
    struct fl_write *out = NULL;
    struct fl_write **end = &out;
    for (struct fl_write **link = list; *link;) {
        struct fl_write *write = *link;
        if (write->yields) {
            *link = write->next;
            write->next = NULL;
            *end = write;
            end = &write->next;
        } else {
            link = &write->next;
        }
    }
    return out;
}

/* What `status` says of the last transaction, for whoever looks. */
static void note(struct fl_writer *w, enum fl_status status, const struct fl_err *err, long n)
{
    pthread_mutex_lock(&w->mutex);
    enum fl_status fault = w->is_full ? FL_FULL : status;
    bool is_new = fault != FL_OK && w->state.fault != fault;
    bool healed = fault == FL_OK && w->state.fault != FL_OK;
    w->state.writes += status == FL_OK ? n : 0;
    w->state.transactions += status == FL_OK;
    w->state.failed += status != FL_OK;
    w->state.fault = fault;
    w->state.why = w->is_full ? w->full : *err;
    struct fl_err why = w->state.why;
    pthread_mutex_unlock(&w->mutex);
    if (is_new) {
        fl_log(FL_LOG_ERROR, "%s (nothing is acknowledged until it can be written)", why.msg);
    } else if (healed) {
        fl_log(FL_LOG_INFO, "%s: can be written again", fl_jobs_db(w->jobs)->path);
    }
}

/* All of the list end like this, or each as its own part of the transaction did. */
static void tell(struct fl_write *list, enum fl_status status, const struct fl_err *err)
{
    for (struct fl_write *write = list, *next; write; write = next) {
        next = write->next;
        if (status != FL_OK) {
            write->done(write, status, err);
        } else {
            write->done(write, write->status, &write->err);
        }
    }
}

static void write_batch(struct fl_writer *w, struct fl_write *list)
{
    struct fl_err err = {0};
    struct fl_write *refused = NULL;
    enum fl_status status = FL_OK;
    if (w->is_full && !has_room(w)) {
        refused = take_yielding(&list);
    } else {
        fl_reserve_hold(&w->reserve);
        status = transact(w, list, &err);
        w->is_full = status == FL_FULL;
    }
    if (status == FL_FULL || fl_jobs_db(w->jobs)->overflows) {
        fl_reserve_give_up(&w->reserve);
        fl_db_flush(fl_jobs_db(w->jobs));
    }
    if (status == FL_FULL) {
        w->full = err;
        refused = take_yielding(&list);
    }
    if (w->is_full) {
        status = transact(w, list, &err);
    }
    long n = 0;
    for (const struct fl_write *write = list; write; write = write->next) {
        n++;
    }
    note(w, status, &err, n);
    tell(list, status, &err);
    tell(refused, FL_FULL, &w->full);
}

/* The oldest that wait, FL_WRITER_BATCH bytes of them at most but one in any case; NULL: it is over. */
static struct fl_write *take(struct fl_writer *w)
{
    pthread_mutex_lock(&w->mutex);
    while (!w->first && !w->stop) {
        pthread_cond_wait(&w->wake, &w->mutex);
    }
    struct fl_write *list = w->first;
    size_t bytes = list ? list->bytes : 0;
    struct fl_write *end = list;
    while (end && end->next && bytes + end->next->bytes <= FL_WRITER_BATCH) {
        end = end->next;
        bytes += end->bytes;
    }
    if (end) {
        w->first = end->next;
        w->last = w->first ? w->last : &w->first;
        end->next = NULL;
        w->state.waiting -= bytes;
    }
    pthread_mutex_unlock(&w->mutex);
    return list;
}

static void *run(void *arg)
{
    struct fl_writer *w = arg;
    for (struct fl_write *list; (list = take(w)) != NULL;) {
        write_batch(w, list);
    }
    return NULL;
}

enum fl_status fl_writer_start(struct fl_jobs *jobs, struct fl_writer **out, struct fl_err *err)
{
    struct fl_writer *w = calloc(1, sizeof *w);
    *out = NULL;
    if (!w) {
        return fl_fail(err, FL_NOMEM, "no memory for the writer");
    }
    w->jobs = jobs;
    w->last = &w->first;
    fl_reserve_init(&w->reserve, fl_jobs_db(jobs)->path);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->wake, NULL);
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        free(w);
        return fl_fail(err, FL_NOMEM, "no thread for the writer");
    }
    *out = w;
    return FL_OK;
}

void fl_writer_stop(struct fl_writer *w)
{
    if (!w) {
        return;
    }
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
}

void fl_writer_free(struct fl_writer *w)
{
    if (w) {
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->mutex);
        free(w);
    }
}

static bool put(struct fl_writer *w, struct fl_write *write, size_t most)
{
    pthread_mutex_lock(&w->mutex);
    bool room = !w->stop && (w->state.waiting + write->bytes <= most || !w->first);
    if (room) {
        write->next = NULL;
        *w->last = write;
        w->last = &write->next;
        w->state.waiting += write->bytes;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->mutex);
    return room;
}

enum fl_status fl_writer_submit(struct fl_writer *w, struct fl_write *write, struct fl_err *err)
{
    return put(w, write, FL_WRITER_WAITING)
               ? FL_OK
               : fl_fail(err, FL_UNAVAILABLE, "too much waits to be written; try again in a second");
}

struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t over;
    struct fl_write *write; /* the caller's */
    struct fl_write mine;
    bool is_over;
    enum fl_status status;
    struct fl_err *err;
};

static struct waiting *waiting_of(struct fl_write *write)
{
    return FL_WRITE_OF(write, struct waiting, mine);
}

static enum fl_status run_mine(struct fl_write *mine, struct fl_jobs *jobs, struct fl_err *err)
{
    struct fl_write *write = waiting_of(mine)->write;
    return write->run(write, jobs, err);
}

static void done_mine(struct fl_write *mine, enum fl_status status, const struct fl_err *err)
{
    struct waiting *wait = waiting_of(mine);
    pthread_mutex_lock(&wait->mutex);
    wait->is_over = true;
    wait->status = status == FL_OK ? FL_OK : fl_fail(wait->err, status, "%s", err->msg);
    pthread_cond_signal(&wait->over);
    pthread_mutex_unlock(&wait->mutex);
}

enum fl_status fl_writer_do(struct fl_writer *w, struct fl_write *write, struct fl_err *err)
{
    struct waiting wait = {.mutex = PTHREAD_MUTEX_INITIALIZER, .over = PTHREAD_COND_INITIALIZER,
                           .write = write, .err = err,
                           .mine = {.run = run_mine, .done = done_mine, .bytes = write->bytes,
                                    .yields = write->yields}};
    if (!put(w, &wait.mine, SIZE_MAX)) {
        return fl_fail(err, FL_UNAVAILABLE, "the service is stopping");
    }
    pthread_mutex_lock(&wait.mutex);
    while (!wait.is_over) {
        pthread_cond_wait(&wait.over, &wait.mutex);
    }
    pthread_mutex_unlock(&wait.mutex);
    return wait.status;
}

void fl_writer_look(struct fl_writer *w, struct fl_writer_state *out)
{
    pthread_mutex_lock(&w->mutex);
    *out = w->state;
    pthread_mutex_unlock(&w->mutex);
}
