/* SPDX-License-Identifier: Apache-2.0 */
/* Each thread has lines of its own and does all three steps with them. Who reads next takes over what
 * the last reader left behind its last line end, so the cutting of the stream into lines is that of
 * one reader. Tickets keep the order. */
#include "service/ingest/relay.h"

#include <pthread.h>

enum { MUCH = 32 * 1024 }; /* bytes of a batch that make more threads worth their while */

struct crew {
    const struct fl_relay *relay;
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool reading;
    bool ended;
    size_t read;            /* batches */
    size_t settled;         /* batches */
    struct fl_lines *rest;  /* of the last reader */
    enum fl_status status;  /* the first failure */
    struct fl_err *err;
    enum fl_status read_status;
    struct fl_err *fault;
};

struct hand {
    struct crew *crew;
    void *worker;
    struct fl_lines *lines;
    struct fl_batch batch;
    bool got; /* a batch */
    size_t ticket;
};

static enum fl_status take(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct hand *h = ctx;
    (void)err;
    h->batch = *batch;
    h->got = true;
    return FL_OK;
}

static void fail(struct crew *c, enum fl_status status, const struct fl_err *err)
{
    pthread_mutex_lock(&c->lock);
    if (c->status == FL_OK && status != FL_OK) {
        c->status = status;
        *c->err = *err;
    }
    pthread_mutex_unlock(&c->lock);
}

/* One at a time. */
static enum fl_status read_batch(struct hand *h, struct fl_err *err)
{
    struct crew *c = h->crew;
    enum fl_status status = FL_OK;
    fl_lines_take_over(h->lines, c->rest);
    while (status == FL_OK && !h->got && !c->ended) {
        size_t room = 0;
        size_t n = 0;
        char *p = fl_lines_room(h->lines, &room);
        c->read_status = fl_source_read(c->relay->source, p, room, &n, c->fault);
        c->ended = c->read_status != FL_OK || n == 0;
        status = c->ended ? fl_lines_end(h->lines, err) : fl_lines_filled(h->lines, n, err);
        if (status == FL_OK && n < room && !h->got) { /* a pipe that rests */
            status = fl_lines_flush(h->lines, err);
        }
    }
    return status;
}

/* Waits for its turn to read. False: there is nothing more. */
static bool next_batch(struct hand *h)
{
    struct crew *c = h->crew;
    struct fl_err err = {0};
    h->got = false;
    pthread_mutex_lock(&c->lock);
    while (c->reading) {
        pthread_cond_wait(&c->change, &c->lock);
    }
    bool goes = !c->ended && c->status == FL_OK;
    c->reading = goes;
    pthread_mutex_unlock(&c->lock);
    if (!goes) {
        return false;
    }
    fail(c, read_batch(h, &err), &err);
    pthread_mutex_lock(&c->lock);
    c->reading = false;
    c->rest = h->lines;
    h->ticket = c->read;
    c->read += h->got;
    pthread_cond_broadcast(&c->change);
    pthread_mutex_unlock(&c->lock);
    return h->got;
}

/* Waits for its turn to settle. */
static void settle(struct hand *h)
{
    struct crew *c = h->crew;
    struct fl_err err = {0};
    pthread_mutex_lock(&c->lock);
    while (c->settled != h->ticket && c->status == FL_OK) {
        pthread_cond_wait(&c->change, &c->lock);
    }
    bool goes = c->status == FL_OK;
    pthread_mutex_unlock(&c->lock);
    if (goes) {
        fail(c, c->relay->settle(c->relay->ctx, h->worker, &h->batch, &err), &err);
    }
    pthread_mutex_lock(&c->lock);
    c->settled++;
    pthread_cond_broadcast(&c->change);
    pthread_mutex_unlock(&c->lock);
}

static void turn(struct hand *h)
{
    struct fl_err err = {0};
    fail(h->crew, h->crew->relay->judge(h->worker, &h->batch, &err), &err);
    settle(h);
}

static void *work(void *ctx)
{
    while (next_batch(ctx)) {
        turn(ctx);
    }
    return NULL;
}

/* With the first batch in hand 0. A thread that cannot be had is done without. */
static void work_together(struct hand *hands, size_t n)
{
    pthread_t threads[FL_RELAY_MAX];
    size_t started = 1;
    while (started < n &&
           pthread_create(&threads[started], NULL, work, &hands[started]) == 0) {
        started++;
    }
    turn(&hands[0]);
    work(&hands[0]);
    for (size_t i = 1; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
}

enum fl_status fl_relay_run(const struct fl_relay *relay, enum fl_status *read_r,
                            struct fl_err *fault, struct fl_err *err)
{
    struct hand hands[FL_RELAY_MAX] = {{.crew = NULL}};
    struct crew crew = {.relay = relay, .fault = fault, .err = err,
                        .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    for (size_t i = 0; i < relay->workers_n && crew.status == FL_OK; i++) {
        hands[i] = (struct hand){.crew = &crew, .worker = relay->workers[i]};
        crew.status = fl_lines_new(relay->flags, take, &hands[i], &hands[i].lines, err);
    }
    bool alone = crew.status == FL_OK;
    while (alone && next_batch(&hands[0])) {
        alone = relay->workers_n == 1 || hands[0].batch.block.n < MUCH;
        if (alone) {
            turn(&hands[0]);
        } else {
            work_together(hands, relay->workers_n);
        }
    }
    for (size_t i = 0; i < relay->workers_n; i++) {
        fl_lines_free(hands[i].lines);
    }
    *read_r = crew.read_status;
    return crew.status;
}
