/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/triage.h"

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/consult.h"
#include "service/jobs/judge.h"

#include <pthread.h>
#include <stdlib.h>

enum { ASK_WAITING = 1024, FAULT_WAIT_MS = 10000 };

/* A job that is not judged for good. */
struct waiter {
    int64_t job;
    int64_t grown;  /* ms of the monotonic clock; so the next ones */
    int64_t judged; /* 0: never */
    int64_t cost;   /* ms of the last verdict */
    int64_t not_before; /* it could not be judged; 0 */
    bool unseen;        /* bytes came since */
    bool over;
    bool wanted;
};

struct fl_triage {
    struct fl_triage_options o;
    struct fl_config quick_config;
    pthread_t quick_thread;
    pthread_t asking_thread;
    bool asks;
    struct fl_jobs *quick_jobs;
    struct fl_jobs *asking_jobs;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_cond_t ask;
    struct waiter *waiters;
    size_t n;
    size_t size;
    int64_t asked[ASK_WAITING]; /* jobs for the model, the oldest first */
    size_t asked_n;
    struct fl_triage_state state;
    bool stop;
};

static int64_t rest_ms(const struct fl_triage *t)
{
    return (int64_t)t->o.rest_s * 1000;
}

static bool is_final(const struct fl_triage *t, const struct waiter *w, int64_t now)
{
    return w->over || now - w->grown >= rest_ms(t);
}

/* When it should be judged. */
static int64_t due(const struct fl_triage *t, const struct waiter *w)
{
    int64_t at = w->grown + rest_ms(t);
    if (w->over || (w->wanted && w->unseen)) {
        at = 0;
    } else if (w->unseen) {
        int64_t quiet = w->grown + FL_TRIAGE_QUIET_MS;
        int64_t busy = (w->judged ? w->judged : w->grown) + FL_TRIAGE_BUSY_MS;
        int64_t share = w->judged + w->cost * FL_TRIAGE_SHARE;
        at = quiet < busy ? quiet : busy;
        at = at < share ? share : at;
    }
    return at > w->not_before ? at : w->not_before;
}

static struct waiter *find(struct fl_triage *t, int64_t job)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->waiters[i].job == job) {
            return &t->waiters[i];
        }
    }
    return NULL;
}

/* NULL: no memory; such a job is found again at the next start. */
static struct waiter *find_or_add(struct fl_triage *t, int64_t job)
{
    struct waiter *w = find(t, job);
    if (!w && t->n == t->size) {
        size_t size = t->size ? 2 * t->size : 64;
        void *grown = realloc(t->waiters, size * sizeof *t->waiters);
        if (!grown) {
            return NULL;
        }
        t->waiters = grown;
        t->size = size;
    }
    if (!w) {
        w = &t->waiters[t->n++];
        *w = (struct waiter){.job = job, .grown = fl_clock_mono_ms()};
    }
    return w;
}

enum tell { GROWN, OVER, WANTED };

static void tell(struct fl_triage *t, int64_t job, enum tell what)
{
    pthread_mutex_lock(&t->mutex);
    struct waiter *w = what == WANTED ? find(t, job) : find_or_add(t, job);
    if (w && what == GROWN) {
        w->grown = fl_clock_mono_ms();
        w->unseen = true;
    } else if (w && what == OVER) {
        w->over = true;
    } else if (w) {
        w->wanted = true;
    }
    if (w && what != GROWN) {
        pthread_cond_signal(&t->wake);
    }
    pthread_mutex_unlock(&t->mutex);
}

void fl_triage_grown(struct fl_triage *t, int64_t job)
{
    tell(t, job, GROWN);
}

void fl_triage_over(struct fl_triage *t, int64_t job)
{
    tell(t, job, OVER);
}

void fl_triage_wanted(struct fl_triage *t, int64_t job)
{
    tell(t, job, WANTED);
}

/* ---- the thread of the rules ---- */

/* The one most overdue, once one is due; false: it is over. The mutex is held. */
static bool next(struct fl_triage *t, struct waiter *out, bool *final_r)
{
    while (!t->stop) {
        struct waiter *first = NULL;
        int64_t now = fl_clock_mono_ms();
        int64_t at = now + 1000; /* jobs that grow wake nobody */
        for (size_t i = 0; i < t->n; i++) {
            int64_t when = due(t, &t->waiters[i]);
            if (when < at) {
                at = when;
                first = &t->waiters[i];
            }
        }
        if (first && at <= now) {
            *final_r = is_final(t, first, now);
            first->unseen = first->wanted = false;
            *out = *first;
            return true;
        }
        fl_clock_cond_wait(&t->wake, &t->mutex, at);
    }
    return false;
}

static void ask_later(struct fl_triage *t, int64_t job)
{
    if (t->asked_n < ASK_WAITING) {
        t->asked[t->asked_n++] = job;
        pthread_cond_signal(&t->ask);
    }
}

/* What becomes of it. The mutex is held. */
static void settle(struct fl_triage *t, const struct waiter *was, bool final, int64_t began,
                   enum fl_status status)
{
    struct waiter *w = find(t, was->job);
    int64_t now = fl_clock_mono_ms();
    t->state.verdicts += status == FL_OK;
    t->state.seconds += (double)(now - began) / 1000;
    if (!w) {
        return;
    }
    w->judged = now;
    w->cost = now - began;
    bool failed = status != FL_OK && status != FL_NOTFOUND;
    w->not_before = failed ? now + FAULT_WAIT_MS : 0;
    w->unseen = w->unseen || failed;
    if (final && !failed && !w->unseen && w->over == was->over) {
        *w = t->waiters[--t->n];
    }
}

static enum fl_status judge(struct fl_triage *t, const struct fl_judge *judge, int64_t job, bool goes_on,
                            bool *unknown_r)
{
    struct fl_job_verdict judged;
    struct fl_err err = {0};
    enum fl_status status = fl_judge_job(judge, job, goes_on, &judged, &err);
    *unknown_r = status == FL_OK && judged.is_unknown;
    if (status == FL_OK && t->o.told) {
        const struct fl_told told = {&judged.job, judged.changed, judged.document};
        t->o.told(t->o.ctx, &told);
    } else if (status != FL_OK && status != FL_NOTFOUND) {
        fl_log(FL_LOG_WARN, "job not judged, tried again in %d s: %s", FAULT_WAIT_MS / 1000, err.msg);
    }
    fl_job_verdict_free(&judged);
    return status;
}

static void *run_quick(void *arg)
{
    struct fl_triage *t = arg;
    const struct fl_judge how = {&t->quick_config, t->asks, t->o.books, t->o.incidents, t->o.writer,
                                 t->quick_jobs};
    struct waiter w;
    bool final = false;
    pthread_mutex_lock(&t->mutex);
    while (next(t, &w, &final)) {
        int64_t began = fl_clock_mono_ms();
        bool unknown = false;
        pthread_mutex_unlock(&t->mutex);
        enum fl_status status = judge(t, &how, w.job, !final, &unknown);
        pthread_mutex_lock(&t->mutex);
        settle(t, &w, final, began, status);
        if (final && unknown && t->asks) {
            ask_later(t, w.job);
        }
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

/* ---- the thread of the model ---- */

static void *run_asking(void *arg)
{
    struct fl_triage *t = arg;
    const struct fl_judge how = {t->o.config, false, t->o.books, t->o.incidents, t->o.writer,
                                 t->asking_jobs};
    pthread_mutex_lock(&t->mutex);
    while (!t->stop) {
        if (t->asked_n == 0) {
            pthread_cond_wait(&t->ask, &t->mutex);
            continue;
        }
        int64_t job = t->asked[0];
        memmove(t->asked, t->asked + 1, --t->asked_n * sizeof *t->asked);
        bool unknown = false;
        pthread_mutex_unlock(&t->mutex);
        judge(t, &how, job, false, &unknown);
        pthread_mutex_lock(&t->mutex);
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

/* ---- start and end ---- */

static enum fl_status add_waiting(void *ctx, const struct fl_jobs_row *job, struct fl_err *err)
{
    struct fl_triage *t = ctx;
    struct waiter *w = find_or_add(t, job->row);
    if (!w) {
        return fl_fail(err, FL_NOMEM, "no memory for the jobs that wait");
    }
    w->unseen = job->last.judged < job->bytes;
    w->over = job->ended;
    return FL_OK;
}

void fl_triage_free(struct fl_triage *t)
{
    if (!t) {
        return;
    }
    fl_jobs_close(t->quick_jobs);
    fl_jobs_close(t->asking_jobs);
    pthread_cond_destroy(&t->ask);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->mutex);
    free(t->waiters);
    free(t);
}

enum fl_status fl_triage_start(const struct fl_triage_options *o, struct fl_triage **out,
                               struct fl_err *err)
{
    const char *state = o->config->value[FL_SET_STATE];
    const struct fl_jobs_query waiting = {.unjudged = true};
    struct fl_triage *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t) {
        return fl_fail(err, FL_NOMEM, "no memory for the triage");
    }
    t->o = *o;
    t->quick_config = *o->config;
    t->quick_config.offline = true;
    t->asks = fl_consult_wanted(o->config);
    pthread_mutex_init(&t->mutex, NULL);
    fl_clock_cond_init(&t->wake);
    fl_clock_cond_init(&t->ask);
    enum fl_status status = fl_jobs_open(state, true, &t->quick_jobs, err);
    if (status == FL_OK) {
        status = fl_jobs_open(state, true, &t->asking_jobs, err);
    }
    if (status == FL_OK) {
        status = fl_jobs_list(t->quick_jobs, &waiting, add_waiting, t, err);
    }
    if (status != FL_OK) {
        fl_triage_free(t);
        return status;
    }
    t->asks = t->asks && pthread_create(&t->asking_thread, NULL, run_asking, t) == 0;
    if (pthread_create(&t->quick_thread, NULL, run_quick, t) == 0) {
        *out = t;
        return FL_OK;
    }
    pthread_mutex_lock(&t->mutex);
    t->stop = true;
    pthread_cond_signal(&t->ask);
    pthread_mutex_unlock(&t->mutex);
    if (t->asks) {
        pthread_join(t->asking_thread, NULL);
    }
    fl_triage_free(t);
    return fl_fail(err, FL_NOMEM, "no thread for the triage");
}

void fl_triage_stop(struct fl_triage *t)
{
    if (!t) {
        return;
    }
    pthread_mutex_lock(&t->mutex);
    t->stop = true;
    pthread_cond_signal(&t->wake);
    pthread_cond_signal(&t->ask);
    pthread_mutex_unlock(&t->mutex);
    pthread_join(t->quick_thread, NULL);
    if (t->asks) {
        pthread_join(t->asking_thread, NULL);
    }
}

void fl_triage_look(struct fl_triage *t, struct fl_triage_state *out)
{
    int64_t now = fl_clock_mono_ms();
    pthread_mutex_lock(&t->mutex);
    *out = t->state;
    for (size_t i = 0; i < t->n; i++) {
        const struct waiter *w = &t->waiters[i];
        out->waiting += w->unseen;
        int64_t late = w->unseen || w->over ? now - due(t, w) : 0;
        if (w->unseen && late > out->behind_ms && late < now) {
            out->behind_ms = late;
        }
    }
    pthread_mutex_unlock(&t->mutex);
}
