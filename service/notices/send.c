/* SPDX-License-Identifier: Apache-2.0 */
/* From the outbox to the receivers. One that fails is left alone for a while, so that what waits for it costs the
 * others nothing and no message more tries than it has. */
#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/notices/notices_own.h"

#include <stdio.h>

enum { BATCH = 64 /* alerts */, BATCH_CAP = 1 << 20 };

struct settling {
    struct fl_write write;
    struct fl_message *message;
    bool taken;
};

static enum fl_status write_end(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct settling *s = FL_WRITE_OF(write, struct settling, write);
    return s->taken ? fl_outbox_taken(jobs, s->message->row, err) : fl_outbox_failed(jobs, s->message, err);
}

static void count(struct fl_notices *n, const struct fl_receiver *to, const char *result)
{
    const struct fl_counter_label labels[] = {{"kind", fl_receiver_kind_name(to->kind)}, {"result", result}};
    fl_counters_add(n->o.counters, "faultline_notices_total", labels, 2, 1);
}

/* Until the next try, in ms: retry_s, then four times that. */
static int64_t pause_of(const struct fl_receiver *to, const struct fl_post *post, int tries)
{
    double s = to->retry_s * (tries > 1 ? 4 : 1);
    s = s > post->wait_s ? s : post->wait_s;
    return (int64_t)(s * 1000);
}

static enum fl_status settle(struct fl_notices *n, size_t at, struct fl_message *m, const struct fl_post *post,
                             struct fl_err *err)
{
    const struct fl_receiver *to = &n->to->list[at];
    struct settling s = {.write = {.run = write_end}, .message = m, .taken = post->end == FL_POST_TAKEN};
    if (post->end == FL_POST_STOPPED) {
        return FL_OK;
    }
    m->tries++;
    m->why = fl_str_of(post->why);
    m->dead = post->end == FL_POST_NEVER || m->tries >= FL_NOTICES_TRIES;
    if (post->end == FL_POST_AGAIN) {
        int64_t pause = pause_of(to, post, m->tries);
        m->due_ms = fl_clock_wall_ms() + pause;
        n->state[at].paused_ms = fl_clock_mono_ms() + pause;
    }
    count(n, to, s.taken ? "sent" : m->dead ? "dead" : "retried");
    if (!s.taken) {
        fl_log(FL_LOG_WARN, "notice %lld not taken by %s (%s): %s", (long long)m->row, to->name,
               m->dead ? "dead: see faultline notices" : "tried again", post->why);
    }
    return fl_writer_do(n->o.writer, &s.write, err);
}

static enum fl_status send_one(struct fl_notices *n, size_t at, bool *any_r, struct fl_err *err)
{
    const struct fl_receiver *to = &n->to->list[at];
    struct fl_arena arena;
    struct fl_message m;
    char key[64];
    fl_arena_init(&arena, 2 * FL_OUTBOX_BODY);
    enum fl_status status =
        fl_outbox_due(n->jobs, fl_str_of(to->name), fl_clock_wall_ms(), &arena, &m, err);
    if (status == FL_OK) {
        snprintf(key, sizeof key, "faultline-%llx-%lld", (unsigned long long)m.made_ms, (long long)m.row);
        struct fl_post post = {.to = to, .body = m.body, .key = key, .trace = m.trace.p, .stop = &n->stop};
        fl_post(&post);
        *any_r = true;
        status = settle(n, at, &m, &post, err);
    }
    fl_arena_free(&arena);
    return status == FL_NOTFOUND ? FL_OK : status;
}

enum fl_status fl_notices_send(struct fl_notices *n, bool *any_r, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    *any_r = false;
    for (size_t i = 0; status == FL_OK && i < n->to->n && !atomic_load(&n->stop); i++) {
        if (n->state[i].paused_ms <= fl_clock_mono_ms()) {
            status = send_one(n, i, any_r, err);
        }
    }
    return status;
}

/* ---- active alerts ---- */

static bool add_alert(const struct fl_notices *n, const struct fl_receiver *to, const struct fl_matter *m,
                      struct fl_jw *w)
{
    struct fl_notice notice = {.jobs = m->jobs,
                               .since_ms = m->opened_ms,
                               .until_ms = fl_notices_until(to, fl_clock_wall_ms())};
    fl_json *facts = NULL;
    struct fl_buf link;
    fl_buf_init(&link, FL_JOBS_NAME + 4096);
    bool wanted = fl_notice_read(m->facts, &facts, &notice, NULL) == FL_OK &&
                  fl_receiver_wants(to, notice.cause, notice.severity);
    if (wanted) {
        notice.link = fl_notices_link(n->to->base_url, notice.job, &link);
        fl_notice_alert(&notice, w);
    }
    fl_json_free(facts);
    fl_buf_free(&link);
    return wanted;
}

/* The next BATCH of them, from *row on; *n_r: how many are in out. FL_NOTFOUND: there are no more. */
static enum fl_status add_batch(struct fl_notices *n, const struct fl_receiver *to, int64_t *row,
                                struct fl_buf *out, int *n_r, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    struct fl_jw w;
    fl_jw_init(&w, out, false);
    fl_jw_begin(&w, '[');
    for (*n_r = 0; status == FL_OK && *n_r < BATCH;) {
        struct fl_matter m;
        struct fl_arena arena;
        fl_arena_init(&arena, FL_NOTICES_ARENA);
        status = fl_matter_next(n->jobs, *row, INT64_MAX, INT64_MAX, &arena, &m, err);
        if (status == FL_OK) {
            *row = m.row;
            *n_r += add_alert(n, to, &m, &w);
        }
        fl_arena_free(&arena);
    }
    fl_jw_end(&w, ']');
    return status == FL_OK && out->failed ? fl_fail(err, out->failed, "no memory for alerts") : status;
}

static enum fl_status resend(struct fl_notices *n, size_t at, struct fl_err *err)
{
    const struct fl_receiver *to = &n->to->list[at];
    enum fl_status status = FL_OK;
    struct fl_post post = {.to = to, .key = "faultline-active", .trace = "", .stop = &n->stop};
    for (int64_t row = 0; status == FL_OK && post.end == FL_POST_TAKEN;) {
        struct fl_buf body;
        int alerts = 0;
        fl_buf_init(&body, BATCH_CAP);
        status = add_batch(n, to, &row, &body, &alerts, err);
        if (alerts && (status == FL_OK || status == FL_NOTFOUND)) {
            post.body = fl_buf_str(&body);
            fl_post(&post);
            count(n, to, post.end == FL_POST_TAKEN ? "resent" : "not_resent");
        }
        fl_buf_free(&body);
    }
    return status == FL_NOTFOUND ? FL_OK : status;
}

enum fl_status fl_notices_resend(struct fl_notices *n, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (size_t i = 0; status == FL_OK && i < n->to->n && !atomic_load(&n->stop); i++) {
        const struct fl_receiver *to = &n->to->list[i];
        int64_t now = fl_clock_mono_ms();
        if (to->kind != FL_RECEIVER_ALERTMANAGER || n->state[i].resend_ms > now || n->state[i].paused_ms > now) {
            continue;
        }
        n->state[i].resend_ms = now + (int64_t)(to->resend_s * 1000);
        status = resend(n, i, err);
    }
    return status;
}
