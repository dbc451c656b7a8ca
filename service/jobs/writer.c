/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/writer.h"

#include "service/base/log.h"

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

static void write_batch(struct fl_writer *w, struct fl_write *list)
{
    struct fl_err err = {0};
    struct fl_db *db = fl_jobs_db(w->jobs);
    enum fl_status status = fl_db_begin(db, &err);
    long n = 0;
    for (struct fl_write *write = list; status == FL_OK && write; write = write->next, n++) {
        run_one(w, write);
        if (sqlite3_get_autocommit(db->sql)) {
            status = fl_fail(&err, write->status, "%s", write->err.msg);
        }
    }
    bool began = status == FL_OK || n > 0;
    status = began ? fl_db_end(db, status, &err) : status;
    pthread_mutex_lock(&w->mutex);
    bool new_fault = status != FL_OK && w->state.fault != status;
    bool healed = status == FL_OK && w->state.fault != FL_OK;
    w->state.writes += status == FL_OK ? n : 0;
    w->state.transactions += status == FL_OK;
    w->state.failed += status != FL_OK;
    w->state.fault = status;
    w->state.why = err;
    pthread_mutex_unlock(&w->mutex);
    if (new_fault) {
        fl_log(FL_LOG_ERROR, "%s (nothing is acknowledged until it can be written)", err.msg);
    } else if (healed) {
        fl_log(FL_LOG_INFO, "%s: can be written again", db->path);
    }
    for (struct fl_write *write = list, *next; write; write = next) {
        next = write->next;
        if (status != FL_OK) {
            write->done(write, status, &err);
        } else {
            write->done(write, write->status, &write->err);
        }
    }
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
                           .mine = {.run = run_mine, .done = done_mine, .bytes = write->bytes}};
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
