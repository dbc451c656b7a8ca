/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/notices/notices_own.h"

#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = 1000, FAULT_MS = 10000, THOUGHTS = 100 /* between two rounds of sending */ };

/* ---- receivers ---- */

static enum fl_status load(const char *path, struct fl_receivers **out, struct fl_err *err)
{
    struct fl_receivers *r = malloc(sizeof *r);
    enum fl_status status =
        r ? fl_receivers_load(path, r, err) : fl_fail(err, FL_NOMEM, "no memory for the receivers");
    if (r && status != FL_OK) {
        fl_receivers_free(r);
        free(r);
        r = NULL;
    }
    *out = r;
    return status;
}

static void discard(struct fl_receivers *r)
{
    if (r) {
        fl_receivers_free(r);
        free(r);
    }
}

struct orphans {
    struct fl_write write;
    struct fl_str names;
};

static enum fl_status write_orphans(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    const struct orphans *o = FL_WRITE_OF(write, struct orphans, write);
    return fl_outbox_orphans(jobs, o->names, err);
}

/* Messages for whom there is no more must not wait for ever. */
static void bury_orphans(struct fl_notices *n)
{
    struct fl_buf names;
    struct fl_jw w;
    struct fl_err err = {0};
    fl_buf_init(&names, FL_RECEIVERS_MOST * 64);
    fl_jw_init(&w, &names, false);
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < n->to->n; i++) {
        fl_jw_text(&w, n->to->list[i].name);
    }
    fl_jw_end(&w, ']');
    struct orphans o = {.write = {.run = write_orphans}, .names = fl_buf_str(&names)};
    if (names.failed || fl_writer_do(n->o.writer, &o.write, &err) != FL_OK) {
        fl_log(FL_LOG_WARN, "notices: %s", err.msg);
    }
    fl_buf_free(&names);
}

static void take_fresh(struct fl_notices *n)
{
    pthread_mutex_lock(&n->mutex);
    struct fl_receivers *fresh = n->fresh;
    n->fresh = NULL;
    pthread_mutex_unlock(&n->mutex);
    if (fresh) {
        discard(n->to);
        n->to = fresh;
        memset(n->state, 0, sizeof n->state);
        bury_orphans(n);
    }
}

/* ---- the worker ---- */

static void wait_for_news(struct fl_notices *n)
{
    int64_t until = fl_clock_mono_ms() + TICK_MS;
    pthread_mutex_lock(&n->mutex);
    if (!n->woken && !atomic_load(&n->stop)) {
        fl_clock_cond_wait(&n->wake, &n->mutex, until);
    }
    n->woken = false;
    pthread_mutex_unlock(&n->mutex);
}

static enum fl_status work(struct fl_notices *n, bool *any_r, struct fl_err *err)
{
    bool thought = true;
    bool sent = false;
    enum fl_status status = FL_OK;
    for (int i = 0; status == FL_OK && thought && i < THOUGHTS && !atomic_load(&n->stop); i++) {
        status = fl_notices_think(n, &thought, err);
    }
    if (status == FL_OK && !thought) {
        status = fl_notices_tend(n, err);
    }
    if (status == FL_OK) {
        status = fl_notices_send(n, &sent, err);
    }
    if (status == FL_OK) {
        status = fl_notices_resend(n, err);
    }
    *any_r = thought || sent;
    return status;
}

static void *run(void *arg)
{
    struct fl_notices *n = arg;
    bool faulty = false;
    while (!atomic_load(&n->stop)) {
        struct fl_err err = {0};
        bool any = false;
        take_fresh(n);
        if (fl_clock_mono_ms() >= n->fault_ms) {
            enum fl_status status = work(n, &any, &err);
            if (status != FL_OK) {
                n->fault_ms = fl_clock_mono_ms() + FAULT_MS;
                any = false;
            }
            if (status != FL_OK && !faulty) {
                fl_log(FL_LOG_WARN, "notices wait: %s", err.msg);
            }
            faulty = status != FL_OK;
        }
        if (!any) {
            wait_for_news(n);
        }
    }
    return NULL;
}

/* ---- start and end ---- */

static void free_notices(struct fl_notices *n)
{
    fl_jobs_close(n->jobs);
    discard(n->to);
    discard(n->fresh);
    pthread_cond_destroy(&n->wake);
    pthread_mutex_destroy(&n->mutex);
    free(n->path);
    free(n);
}

enum fl_status fl_notices_start(const struct fl_notices_options *o, struct fl_notices **out, struct fl_err *err)
{
    struct fl_notices *n = calloc(1, sizeof *n);
    *out = NULL;
    if (!n) {
        return fl_fail(err, FL_NOMEM, "no memory for notices");
    }
    n->o = *o;
    n->path = o->path ? strdup(o->path) : NULL;
    pthread_mutex_init(&n->mutex, NULL);
    fl_clock_cond_init(&n->wake);
    enum fl_status status =
        o->path && !n->path ? fl_fail(err, FL_NOMEM, "no memory for notices") : load(n->path, &n->to, err);
    if (status == FL_OK) {
        status = fl_jobs_open(o->state_dir, true, &n->jobs, err);
    }
    if (status == FL_OK) {
        bury_orphans(n);
    }
    if (status == FL_OK && pthread_create(&n->thread, NULL, run, n) != 0) {
        status = fl_fail(err, FL_NOMEM, "no thread for notices");
    }
    if (status != FL_OK) {
        free_notices(n);
        return status;
    }
    *out = n;
    return FL_OK;
}

void fl_notices_stop(struct fl_notices *n)
{
    if (n) {
        atomic_store(&n->stop, true);
        fl_notices_wake(n);
        pthread_join(n->thread, NULL);
        free_notices(n);
    }
}

void fl_notices_wake(struct fl_notices *n)
{
    pthread_mutex_lock(&n->mutex);
    n->woken = true;
    pthread_cond_signal(&n->wake);
    pthread_mutex_unlock(&n->mutex);
}

enum fl_status fl_notices_reload(struct fl_notices *n, struct fl_err *err)
{
    struct fl_receivers *fresh = NULL;
    enum fl_status status = load(n->path, &fresh, err);
    if (status == FL_OK) {
        pthread_mutex_lock(&n->mutex);
        discard(n->fresh);
        n->fresh = fresh;
        pthread_mutex_unlock(&n->mutex);
        fl_notices_wake(n);
    }
    return status;
}

enum fl_status fl_notices_test(const struct fl_receiver *to, struct fl_str base_url, struct fl_err *err)
{
    struct fl_buf body;
    struct fl_buf link;
    char key[48];
    int64_t now = fl_clock_wall_ms();
    fl_buf_init(&body, 64 << 10);
    fl_buf_init(&link, 8192);
    struct fl_notice notice = {.event = FL_NOTICE_TEST,
                               .job = FL_LIT("test"),
                               .cause = FL_LIT(""),
                               .category = FL_LIT(""),
                               .severity = FL_LIT("low"),
                               .summary = FL_LIT("A test of Faultline's notices; nothing has failed."),
                               .action = FL_LIT("none"),
                               .evidence = FL_LIT(""),
                               .incident = FL_LIT(""),
                               .trace = FL_LIT(""),
                               .link = fl_notices_link(base_url, FL_LIT("test"), &link),
                               .jobs = 1,
                               .since_ms = now,
                               .until_ms = now + 60000};
    fl_notice_write(to->kind, &notice, &body);
    snprintf(key, sizeof key, "faultline-test-%llx", (unsigned long long)now);
    struct fl_post post = {.to = to, .body = fl_buf_str(&body), .key = key, .trace = ""};
    fl_post(&post);
    fl_buf_free(&link);
    fl_buf_free(&body);
    return post.end == FL_POST_TAKEN ? FL_OK
                                     : fl_fail(err, FL_UNAVAILABLE, "%s did not take it: %s", to->name, post.why);
}
