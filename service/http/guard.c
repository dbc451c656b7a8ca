/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/guard.h"

#include "service/base/clock.h"
#include "service/base/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { SLOTS = 1024, LOOK_MS = 250 };

/* Addresses of one slot share a count of wrong tokens. */
struct slot {
    int64_t second;
    int wrong;
};

struct fl_guarded {
    struct fl_guarded *next;
    struct fl_guarded *before;
    int fd;
    uint64_t address;
    bool local;
    bool cut;
    enum fl_guard_part part;
    int64_t since; /* ms */
    size_t bytes;
    bool used; /* a request was answered on it */
};

struct fl_guard {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t thread;
    struct fl_guarded *first;
    struct fl_guard_state state;
    struct slot slots[SLOTS];
    size_t most;
    bool stop;
};

static uint64_t address_of(const struct sockaddr *a, bool *local_r)
{
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
        *local_r = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
        return fl_hash((struct fl_str){(const char *)&v4->sin_addr, sizeof v4->sin_addr}, 4);
    }
    if (a->sa_family == AF_INET6) { /* one customer has a /64 */
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)a;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        *local_r = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) || (mapped && v6->sin6_addr.s6_addr[12] == 127);
        return fl_hash((struct fl_str){(const char *)&v6->sin6_addr, mapped ? 16 : 8}, 6);
    }
    *local_r = true;
    return 0;
}

/* ms that it may take for what it does; -1: for ever. */
static int64_t allowed(const struct fl_guarded *c, bool crowded)
{
    int64_t rest = (int64_t)(c->bytes / FL_GUARD_RATE) * 1000;
    switch (c->part) {
    case FL_GUARD_IDLE:
        return !c->used ? FL_GUARD_HEAD_MS : crowded ? 1000 : FL_GUARD_IDLE_MS;
    case FL_GUARD_HEAD:
        return FL_GUARD_HEAD_MS;
    case FL_GUARD_BODY:
        return FL_GUARD_GRACE_MS + rest;
    case FL_GUARD_ANSWER:
        return FL_GUARD_GRACE_MS + rest / FL_GUARD_READS;
    case FL_GUARD_WORK:
    case FL_GUARD_STREAM:
        return -1;
    }
    return -1;
}

static void cut_slow(struct fl_guard *g)
{
    int64_t now = fl_clock_mono_ms();
    bool crowded = g->state.connections > g->most / 4 * 3;
    for (struct fl_guarded *c = g->first; c; c = c->next) {
        int64_t most = allowed(c, crowded);
        if (!c->cut && most >= 0 && now - c->since > most) {
            c->cut = true; /* its thread sees the end of the connection, and closes it */
            g->state.cut += c->part != FL_GUARD_IDLE || !c->used;
            shutdown(c->fd, SHUT_RDWR);
        }
    }
}

static void *run(void *arg)
{
    struct fl_guard *g = arg;
    pthread_mutex_lock(&g->mutex);
    while (!g->stop) {
        fl_clock_cond_wait(&g->wake, &g->mutex, fl_clock_mono_ms() + LOOK_MS);
        cut_slow(g);
    }
    pthread_mutex_unlock(&g->mutex);
    return NULL;
}

enum fl_status fl_guard_start(size_t most, struct fl_guard **out, struct fl_err *err)
{
    struct fl_guard *g = calloc(1, sizeof *g);
    *out = NULL;
    if (!g) {
        return fl_fail(err, FL_NOMEM, "no memory for the guard");
    }
    g->most = most;
    pthread_mutex_init(&g->mutex, NULL);
    fl_clock_cond_init(&g->wake);
    if (pthread_create(&g->thread, NULL, run, g) != 0) {
        free(g);
        return fl_fail(err, FL_NOMEM, "no thread for the guard");
    }
    *out = g;
    return FL_OK;
}

void fl_guard_stop(struct fl_guard *g)
{
    if (!g) {
        return;
    }
    pthread_mutex_lock(&g->mutex);
    g->stop = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->mutex);
    pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->mutex);
    free(g);
}

bool fl_guard_accepts(struct fl_guard *g, const struct sockaddr *address)
{
    bool local = false;
    uint64_t key = address_of(address, &local);
    size_t n = 0;
    pthread_mutex_lock(&g->mutex);
    for (const struct fl_guarded *c = g->first; c && !local; c = c->next) {
        n += c->address == key;
    }
    bool yes = n < FL_GUARD_ADDRESS && g->state.connections < g->most;
    g->state.refused += !yes;
    pthread_mutex_unlock(&g->mutex);
    return yes;
}

struct fl_guarded *fl_guard_enter(struct fl_guard *g, int fd, const struct sockaddr *address)
{
    struct fl_guarded *c = calloc(1, sizeof *c);
    if (!c) {
        return NULL;
    }
    c->fd = fd;
    c->address = address_of(address, &c->local);
    c->since = fl_clock_mono_ms();
    pthread_mutex_lock(&g->mutex);
    c->next = g->first;
    if (g->first) {
        g->first->before = c;
    }
    g->first = c;
    g->state.connections++;
    pthread_mutex_unlock(&g->mutex);
    return c;
}

void fl_guard_leave(struct fl_guard *g, struct fl_guarded *c)
{
    if (!c) {
        return;
    }
    pthread_mutex_lock(&g->mutex);
    if (c->before) {
        c->before->next = c->next;
    } else {
        g->first = c->next;
    }
    if (c->next) {
        c->next->before = c->before;
    }
    g->state.connections--;
    pthread_mutex_unlock(&g->mutex);
    free(c);
}

void fl_guard_now(struct fl_guard *g, struct fl_guarded *c, enum fl_guard_part part, size_t bytes)
{
    if (c) {
        pthread_mutex_lock(&g->mutex);
        c->used |= part == FL_GUARD_IDLE;
        c->part = part;
        c->bytes = bytes;
        c->since = fl_clock_mono_ms();
        pthread_mutex_unlock(&g->mutex);
    }
}

void fl_guard_got(struct fl_guard *g, struct fl_guarded *c, size_t bytes)
{
    if (c) {
        pthread_mutex_lock(&g->mutex);
        c->bytes += bytes;
        pthread_mutex_unlock(&g->mutex);
    }
}

bool fl_guard_wrong(struct fl_guard *g, struct fl_guarded *c)
{
    struct slot *slot = &g->slots[c->address % SLOTS];
    int64_t second = fl_clock_mono_ms() / 1000;
    pthread_mutex_lock(&g->mutex);
    slot->wrong = slot->second == second ? slot->wrong + 1 : 1;
    slot->second = second;
    bool may = slot->wrong <= FL_GUARD_WRONG;
    pthread_mutex_unlock(&g->mutex);
    return may;
}

bool fl_guard_may_try(struct fl_guard *g, const struct fl_guarded *c)
{
    const struct slot *slot = &g->slots[c->address % SLOTS];
    pthread_mutex_lock(&g->mutex);
    bool may = slot->second != fl_clock_mono_ms() / 1000 || slot->wrong < FL_GUARD_WRONG;
    pthread_mutex_unlock(&g->mutex);
    return may;
}

void fl_guard_look(struct fl_guard *g, struct fl_guard_state *out)
{
    pthread_mutex_lock(&g->mutex);
    *out = g->state;
    pthread_mutex_unlock(&g->mutex);
}
