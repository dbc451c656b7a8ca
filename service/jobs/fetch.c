/* SPDX-License-Identifier: Apache-2.0 */
/* The facts in jobs.db are the queue: a poke, or the end of an errand while others may wait, reads it anew.
 * A log is read to its end twice, a second apart, since the last lines may be on their way through a network
 * file system; one that is not there yet is waited for. */
#include "service/jobs/fetch.h"

#include "service/base/clock.h"
#include "service/base/json.h"
#include "service/base/log.h"
#include "service/jobs/folders.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ERRANDS = 1024, /* most of them wait for a file that is not there yet */
    FILES = 2,      /* of an errand */
    SETTLE_MS = 1000,
    MISSING_MS = 60000,
    FAULT_MS = 5000,
};

struct wanted {
    char path[FL_ROOTS_PATH];
    struct fl_copy copy;
    bool over;
    int64_t end_at; /* when its end was first seen; 0 */
};

struct errand {
    struct wanted file[FILES];
    size_t n;
    long uid;     /* -1: anybody's */
    int64_t most; /* bytes, 0: any */
    int64_t since;
    int64_t again; /* not before */
    char told[300]; /* what became of it */
};

struct fl_fetch {
    struct fl_fetch_options o;
    struct fl_roots log_roots;
    struct fl_roots watch_roots;
    struct fl_jobs *jobs;
    struct fl_copier *copier;
    struct fl_folders *watch;
    struct errand *errand[ERRANDS];
    size_t errands_n;
    bool left_out; /* more waited than there was room for */
    pthread_t thread;
    bool runs;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool poked;
    struct fl_fetch_state state;
    atomic_bool stop;
};

/* ---- the queue ---- */

static bool known(const struct fl_fetch *f, struct fl_str job)
{
    for (size_t i = 0; i < f->errands_n; i++) {
        if (fl_str_eq(fl_str_of(f->errand[i]->file[0].copy.job), job)) {
            return true;
        }
    }
    return false;
}

static void copy_text(struct fl_str s, char *out, size_t size)
{
    size_t n = s.n < size ? s.n : 0; /* what does not fit is no path that can be opened */
    memcpy(out, s.p ? s.p : "", n);
    out[n] = '\0';
}

static void fill(struct errand *e, const fl_json *log, struct fl_str job)
{
    e->uid = (long)fl_json_get_num(log, "uid", -1);
    e->most = (int64_t)fl_json_get_num(log, "most", 0);
    e->since = fl_clock_mono_ms();
    for (const fl_json *file = fl_json_first(fl_json_get(log, "files")); file && e->n < FILES;
         file = fl_json_next(file)) {
        struct wanted *w = &e->file[e->n++];
        copy_text(fl_json_get_str(file, "path"), w->path, sizeof w->path);
        copy_text(fl_json_get_str(file, "stream"), w->copy.stream, sizeof w->copy.stream);
        copy_text(job, w->copy.job, sizeof w->copy.job);
    }
    copy_text(job, e->file[0].copy.job, sizeof e->file[0].copy.job);
}

static enum fl_status add_waiting(void *ctx, const struct fl_jobs_row *job, struct fl_err *err)
{
    struct fl_fetch *f = ctx;
    fl_json *facts = NULL;
    if (!fl_str_find(job->facts, FL_LIT("\"waiting\"")) || known(f, job->name) ||
        fl_json_parse(job->facts, "facts", &facts, NULL) != FL_OK) {
        return FL_OK;
    }
    const fl_json *log = fl_json_get(facts, "log");
    bool waits = fl_str_eq(fl_json_get_str(log, "state"), FL_LIT("waiting"));
    f->left_out |= waits && f->errands_n == ERRANDS;
    struct errand *e = waits && f->errands_n < ERRANDS ? calloc(1, sizeof *e) : NULL;
    if (e) {
        fill(e, log, job->name);
        f->errand[f->errands_n++] = e;
    }
    fl_json_free(facts);
    return waits && !e && f->errands_n < ERRANDS ? fl_fail(err, FL_NOMEM, "no memory for a log to be read")
                                                  : FL_OK;
}

static enum fl_status load(struct fl_fetch *f, struct fl_err *err)
{
    const struct fl_jobs_query query = {.unjudged = true};
    f->left_out = false;
    return fl_jobs_list(f->jobs, &query, add_waiting, f, err);
}

/* ---- an errand ---- */

static void tell(struct errand *e, const char *path, const char *why)
{
    if (!e->told[0]) {
        snprintf(e->told, sizeof e->told, "%.120s: %.150s", path, why);
    }
}

/* May it be read? What speaks against it is told. */
static bool may_read(struct errand *e, const struct wanted *w, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        tell(e, w->path, "it cannot be looked at");
    } else if (e->uid >= 0 && (long)st.st_uid != e->uid) {
        tell(e, w->path, "it is not the file of the job's user");
    } else if (e->most > 0 && st.st_size > e->most) {
        tell(e, w->path, "it is too large for a job that did not fail");
    } else {
        return true;
    }
    return false;
}

/* Copies what is there now; over when that is all. */
static enum fl_status read_file(struct fl_fetch *f, struct errand *e, struct wanted *w, struct fl_err *err)
{
    struct fl_err why = {0};
    int fd = -1;
    int64_t now = fl_clock_mono_ms();
    enum fl_status opened = fl_roots_file(&f->log_roots, w->path, &fd, &why);
    if (opened != FL_OK) {
        w->over = opened != FL_NOTFOUND || now - e->since >= MISSING_MS;
        if (w->over) {
            tell(e, w->path, why.msg);
        }
        return FL_OK;
    }
    enum fl_status status = FL_OK;
    int64_t before = fl_copier_bytes(f->copier);
    enum fl_copy_step step = FL_COPY_MORE;
    w->over = !may_read(e, w, fd);
    while (status == FL_OK && !w->over && (step == FL_COPY_MORE || step == FL_COPY_OTHER) &&
           !atomic_load(&f->stop)) {
        status = fl_copy_turn(f->copier, &w->copy, fd, &step, err);
        if (status == FL_OK && step == FL_COPY_OTHER) {
            fl_copy_anew(&w->copy);
        }
        if (status == FL_OK) {
            status = fl_copier_flush(f->copier, err);
        }
    }
    close(fd);
    if (fl_copier_bytes(f->copier) != before) {
        w->end_at = 0;
    }
    bool at_end = step == FL_COPY_NOTHING || step == FL_COPY_END;
    if (at_end && w->end_at == 0) {
        w->end_at = now;
    }
    w->over |= at_end && now - w->end_at >= SETTLE_MS;
    return status;
}

struct ending {
    struct fl_write write;
    const struct errand *errand;
    int64_t job;
};

static enum fl_status write_end(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct ending *end = FL_WRITE_OF(write, struct ending, write);
    const struct errand *e = end->errand;
    struct fl_str job = fl_str_of(e->file[0].copy.job);
    struct fl_jobs_row row;
    struct fl_arena arena;
    struct fl_buf facts;
    struct fl_jw w;
    fl_arena_init(&arena, 1 << 20);
    enum fl_status status = fl_jobs_get(jobs, job, &arena, &row, err);
    if (status != FL_OK) { /* it was forgotten meanwhile */
        fl_arena_free(&arena);
        return status == FL_NOTFOUND ? FL_OK : status;
    }
    end->job = row.row;
    fl_arena_free(&arena);
    fl_buf_init(&facts, 4096);
    fl_jw_init(&w, &facts, false);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "log");
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "state", e->told[0] ? e->told : "read");
    fl_jw_end(&w, '}');
    fl_jw_end(&w, '}');
    status = facts.failed ? fl_fail(err, facts.failed, "no memory for a job's facts")
                          : fl_jobs_note(jobs, job, fl_buf_str(&facts), true, err);
    fl_buf_free(&facts);
    return status;
}

/* *over_r: all was read, and the job is ended. */
static enum fl_status run_errand(struct fl_fetch *f, struct errand *e, bool *over_r, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    bool all = true;
    for (size_t i = 0; status == FL_OK && i < e->n; i++) {
        if (!e->file[i].over) {
            status = read_file(f, e, &e->file[i], err);
        }
        all &= e->file[i].over;
    }
    if (status == FL_OK && all) {
        struct ending end = {.write = {.run = write_end, .bytes = 1024}, .errand = e};
        status = fl_writer_do(f->o.writer, &end.write, err);
        *over_r = status == FL_OK;
        if (*over_r && end.job) {
            fl_triage_over(f->o.triage, end.job);
        }
    }
    e->again = fl_clock_mono_ms() + (status == FL_OK ? SETTLE_MS / 4 : FAULT_MS);
    return status;
}

static void run_errands(struct fl_fetch *f)
{
    for (size_t i = 0; i < f->errands_n && !atomic_load(&f->stop);) {
        struct fl_err err = {0};
        struct errand *e = f->errand[i];
        bool over = false;
        if (e->again <= fl_clock_mono_ms() && run_errand(f, e, &over, &err) != FL_OK) {
            fl_log(FL_LOG_WARN, "%s: %s (tried again)", e->file[0].path, err.msg);
        }
        if (over) {
            free(e);
            f->errand[i] = f->errand[--f->errands_n];
        } else {
            i++;
        }
    }
}

/* ---- the thread ---- */

/* Until ms, a poke (true) or the end. */
static bool wait_until(struct fl_fetch *f, int64_t ms)
{
    pthread_mutex_lock(&f->mutex);
    f->state = (struct fl_fetch_state){.watched = fl_folders_files(f->watch),
                                       .waiting = f->errands_n,
                                       .bytes = fl_copier_bytes(f->copier)};
    int timed = 0;
    while (!f->poked && !atomic_load(&f->stop) && timed == 0) {
        timed = fl_clock_cond_wait(&f->wake, &f->mutex, ms);
    }
    bool poked = f->poked;
    f->poked = false;
    pthread_mutex_unlock(&f->mutex);
    return poked;
}

static void *run(void *arg)
{
    struct fl_fetch *f = arg;
    int64_t pass_at = 0;
    bool wanted = true;
    while (!atomic_load(&f->stop)) {
        struct fl_err err = {0};
        enum fl_status status = FL_OK;
        if (wanted || (f->left_out && f->errands_n < ERRANDS)) {
            status = load(f, &err);
        }
        run_errands(f);
        int64_t began = fl_clock_mono_ms();
        if (status == FL_OK && f->watch_roots.n && began >= pass_at) {
            int64_t rest = 0;
            status = fl_folders_pass(f->watch, &f->stop, &rest, &err);
            pass_at = fl_clock_mono_ms() + rest;
        }
        if (status != FL_OK) {
            fl_log(FL_LOG_WARN, "logs are not read: %s (tried again)", err.msg);
            pass_at = fl_clock_mono_ms() + FAULT_MS;
        }
        int64_t errands_at = f->errands_n ? began + SETTLE_MS / 4 : INT64_MAX;
        int64_t next = f->watch_roots.n && pass_at < errands_at ? pass_at : errands_at;
        int64_t latest = began + 60000;
        wanted = wait_until(f, next < latest ? next : latest) || status != FL_OK;
    }
    return NULL;
}

void fl_fetch_poke(struct fl_fetch *f)
{
    pthread_mutex_lock(&f->mutex);
    f->poked = true;
    pthread_cond_signal(&f->wake);
    pthread_mutex_unlock(&f->mutex);
}

void fl_fetch_look(struct fl_fetch *f, struct fl_fetch_state *out)
{
    pthread_mutex_lock(&f->mutex);
    *out = f->state;
    pthread_mutex_unlock(&f->mutex);
}

enum fl_status fl_fetch_start(const struct fl_fetch_options *o, struct fl_fetch **out, struct fl_err *err)
{
    struct fl_fetch *f = calloc(1, sizeof *f);
    *out = NULL;
    if (!f) {
        return fl_fail(err, FL_NOMEM, "no memory for reading logs");
    }
    f->o = *o;
    pthread_mutex_init(&f->mutex, NULL);
    fl_clock_cond_init(&f->wake);
    enum fl_status status = fl_roots_open(&f->log_roots, o->log_roots, err);
    if (status == FL_OK) {
        status = fl_roots_open(&f->watch_roots, o->watch, err);
    }
    if (status == FL_OK) {
        status = fl_jobs_open(o->state, true, &f->jobs, err);
    }
    if (status == FL_OK) {
        status = fl_copier_new(f->jobs, o->writer, o->triage, &f->copier, err);
    }
    if (status == FL_OK) {
        status = fl_folders_new(&f->watch_roots, f->copier, &f->watch, err);
    }
    if (status == FL_OK && pthread_create(&f->thread, NULL, run, f) != 0) {
        status = fl_fail(err, FL_NOMEM, "no thread for reading logs");
    }
    f->runs = status == FL_OK;
    if (!f->runs) {
        fl_fetch_stop(f);
        return status;
    }
    *out = f;
    return FL_OK;
}

void fl_fetch_stop(struct fl_fetch *f)
{
    if (!f) {
        return;
    }
    atomic_store(&f->stop, true);
    if (f->runs) {
        fl_fetch_poke(f);
        pthread_join(f->thread, NULL);
    }
    for (size_t i = 0; i < f->errands_n; i++) {
        free(f->errand[i]);
    }
    fl_folders_free(f->watch);
    fl_copier_free(f->copier);
    fl_jobs_close(f->jobs);
    fl_roots_close(&f->log_roots);
    fl_roots_close(&f->watch_roots);
    pthread_cond_destroy(&f->wake);
    pthread_mutex_destroy(&f->mutex);
    free(f);
}
