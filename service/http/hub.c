/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/hub.h"

#include "service/base/clock.h"
#include "service/http/reply.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = 100 };

struct event {
    uint64_t id; /* from 1 */
    struct fl_buf text;
};

struct listener {
    struct listener *next;
    struct fl_hub *hub;
    struct fl_http_request *request;
    uint64_t seen;  /* the last event that it has */
    size_t sent;    /* bytes of the one after it */
    int64_t pinged; /* ms */
    bool sleeps;
};

struct waiting {
    struct waiting *next;
    struct fl_http_request *request;
    int64_t job;
    int64_t until;
    fl_hub_ready ready;
    void *ctx;
};

struct fl_hub {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    struct event events[FL_HUB_KEPT];
    uint64_t base; /* ids of this run are above it */
    uint64_t last;
    uint64_t told; /* news of jobs */
    struct listener *listeners;
    size_t listeners_n;
    struct waiting *waiting;
    bool closed;
};

/* The mutex is held. */
static void wake_listener(struct listener *l)
{
    if (l->sleeps) {
        l->sleeps = false;
        fl_http_wake(l->request);
    }
}

/* Back among those who wait; false: there was news meanwhile, or it is all over. */
static bool wait_on(struct fl_hub *hub, struct waiting *w, uint64_t *told, bool *all)
{
    pthread_mutex_lock(&hub->mutex);
    bool waits = hub->told == *told && !hub->closed;
    if (waits) {
        w->next = hub->waiting;
        hub->waiting = w;
    }
    *told = hub->told;
    *all = *all || hub->closed;
    pthread_mutex_unlock(&hub->mutex);
    return waits;
}

/* Takes those out who are to go; without the mutex, `ready` is called for each. */
static void let_go(struct fl_hub *hub, bool all, int64_t job, int64_t now)
{
    struct waiting *going = NULL;
    uint64_t told = 0;
    pthread_mutex_lock(&hub->mutex);
    hub->told += job >= 0;
    for (struct waiting **at = &hub->waiting; *at;) {
        struct waiting *w = *at;
        if (all || w->job == job || now >= w->until) {
            *at = w->next;
            w->next = going;
            going = w;
        } else {
            at = &w->next;
        }
    }
    told = hub->told;
    pthread_mutex_unlock(&hub->mutex);
    while (going) {
        struct waiting *w = going;
        going = w->next;
        while (!w->ready(w->ctx, w->request, all || now >= w->until)) {
            if (wait_on(hub, w, &told, &all)) {
                w = NULL;
                break;
            }
        }
        if (w) {
            fl_http_wake(w->request);
            free(w);
        }
    }
}

static void *run(void *arg)
{
    struct fl_hub *hub = arg;
    pthread_mutex_lock(&hub->mutex);
    while (!hub->closed) {
        int64_t now = fl_clock_mono_ms();
        fl_clock_cond_wait(&hub->wake, &hub->mutex, now + TICK_MS);
        for (struct listener *l = hub->listeners; l; l = l->next) {
            if (now - l->pinged >= FL_HUB_PING_MS) {
                wake_listener(l);
            }
        }
        pthread_mutex_unlock(&hub->mutex);
        let_go(hub, false, -1, now);
        pthread_mutex_lock(&hub->mutex);
    }
    pthread_mutex_unlock(&hub->mutex);
    return NULL;
}

enum fl_status fl_hub_start(struct fl_hub **out, struct fl_err *err)
{
    struct fl_hub *hub = calloc(1, sizeof *hub);
    *out = NULL;
    if (!hub) {
        return fl_fail(err, FL_NOMEM, "no memory for events");
    }
    hub->last = hub->base = (uint64_t)fl_clock_wall_ms(); /* ids grow from run to run */
    pthread_mutex_init(&hub->mutex, NULL);
    fl_clock_cond_init(&hub->wake);
    if (pthread_create(&hub->thread, NULL, run, hub) != 0) {
        free(hub);
        return fl_fail(err, FL_NOMEM, "no thread for events");
    }
    *out = hub;
    return FL_OK;
}

void fl_hub_close(struct fl_hub *hub)
{
    pthread_mutex_lock(&hub->mutex);
    hub->closed = true;
    pthread_cond_signal(&hub->wake);
    for (struct listener *l = hub->listeners; l; l = l->next) {
        wake_listener(l);
    }
    pthread_mutex_unlock(&hub->mutex);
    let_go(hub, true, -1, 0);
}

void fl_hub_free(struct fl_hub *hub)
{
    if (hub) {
        pthread_join(hub->thread, NULL);
        for (size_t i = 0; i < FL_HUB_KEPT; i++) {
            fl_buf_free(&hub->events[i].text);
        }
        pthread_cond_destroy(&hub->wake);
        pthread_mutex_destroy(&hub->mutex);
        free(hub);
    }
}

void fl_hub_publish(struct fl_hub *hub, const char *type, struct fl_str data)
{
    pthread_mutex_lock(&hub->mutex);
    struct event *e = &hub->events[++hub->last % FL_HUB_KEPT];
    fl_buf_free(&e->text);
    fl_buf_init(&e->text, 64 << 10);
    e->id = hub->last;
    fl_buf_addf(&e->text, "id: %llu\nevent: %s\ndata: ", (unsigned long long)e->id, type);
    fl_buf_add_str(&e->text, data);
    fl_buf_add_text(&e->text, "\n\n");
    for (struct listener *l = hub->listeners; l; l = l->next) {
        wake_listener(l);
    }
    pthread_mutex_unlock(&hub->mutex);
}

static ssize_t next_bytes(struct fl_http_request *r, char *p, size_t n)
{
    struct listener *l = r->own;
    struct fl_hub *hub = l->hub;
    ssize_t got = 0;
    pthread_mutex_lock(&hub->mutex);
    if (hub->closed) {
        got = -1;
    } else if (l->seen < hub->last) {
        if (hub->last - l->seen > FL_HUB_KEPT) { /* it is too slow: what is gone is gone */
            l->seen = hub->last - FL_HUB_KEPT;
            l->sent = 0;
        }
        struct fl_str text = fl_buf_str(&hub->events[(l->seen + 1) % FL_HUB_KEPT].text);
        text = fl_str_head(fl_str_skip(text, l->sent), n);
        memcpy(p, text.p, text.n);
        l->sent += text.n;
        got = (ssize_t)text.n;
        if (l->sent == hub->events[(l->seen + 1) % FL_HUB_KEPT].text.n) {
            l->seen++;
            l->sent = 0;
        }
        l->pinged = fl_clock_mono_ms();
    } else if (fl_clock_mono_ms() - l->pinged >= FL_HUB_PING_MS && n >= 3) {
        memcpy(p, ":\n\n", 3);
        got = 3;
        l->pinged = fl_clock_mono_ms();
    }
    l->sleeps = got == 0;
    pthread_mutex_unlock(&hub->mutex);
    return got;
}

static void gone(struct fl_http_request *r)
{
    struct listener *l = r->own;
    pthread_mutex_lock(&l->hub->mutex);
    struct listener **at = &l->hub->listeners;
    while (*at && *at != l) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = l->next;
        l->hub->listeners_n--;
    }
    pthread_mutex_unlock(&l->hub->mutex);
    free(l);
}

void fl_hub_stream(struct fl_hub *hub, struct fl_http_request *r)
{
    struct listener *l = calloc(1, sizeof *l);
    const char *from = fl_http_header(r, "Last-Event-ID");
    pthread_mutex_lock(&hub->mutex);
    bool room = l && hub->listeners_n < FL_HUB_STREAMS && !hub->closed;
    if (room) {
        uint64_t seen = from ? strtoull(from, NULL, 10) : hub->last;
        seen = seen < hub->base || seen > hub->last ? hub->base : seen; /* of another run: all of this one */
        *l = (struct listener){.next = hub->listeners, .hub = hub, .request = r,
                               .seen = seen};
        hub->listeners = l;
        hub->listeners_n++;
    }
    pthread_mutex_unlock(&hub->mutex);
    if (!room) {
        free(l);
        fl_reply_problem(r, MHD_HTTP_SERVICE_UNAVAILABLE, "too many streams of events are open");
        return;
    }
    r->status = MHD_HTTP_OK;
    r->type = "text/event-stream";
    fl_http_set(r, "Cache-Control", "no-store");
    r->stream = next_bytes;
    r->over = gone;
    r->own = l;
}

bool fl_hub_wait(struct fl_hub *hub, struct fl_http_request *r, int64_t job, int64_t wait_ms,
                 uint64_t told, fl_hub_ready ready, void *ctx)
{
    struct waiting *w = malloc(sizeof *w);
    pthread_mutex_lock(&hub->mutex);
    bool news = hub->told != told;
    bool waits = w && !hub->closed && !news;
    if (waits) {
        fl_http_later(r);
        *w = (struct waiting){hub->waiting, r, job, fl_clock_mono_ms() + wait_ms, ready, ctx};
        hub->waiting = w;
    }
    pthread_mutex_unlock(&hub->mutex);
    if (!waits) {
        free(w);
    }
    if (!waits && !news) {
        ready(ctx, r, true);
    }
    return !news;
}

uint64_t fl_hub_told(struct fl_hub *hub)
{
    pthread_mutex_lock(&hub->mutex);
    uint64_t told = hub->told;
    pthread_mutex_unlock(&hub->mutex);
    return told;
}

void fl_hub_news(struct fl_hub *hub, int64_t job)
{
    let_go(hub, false, job, 0);
}

size_t fl_hub_streams(struct fl_hub *hub)
{
    pthread_mutex_lock(&hub->mutex);
    size_t n = hub->listeners_n;
    pthread_mutex_unlock(&hub->mutex);
    return n;
}
