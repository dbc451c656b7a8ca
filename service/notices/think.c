/* SPDX-License-Identifier: Apache-2.0 */
/* From a verdict to messages. A plan is made of what was read, and then written in one transaction; the worker
 * is the only one who writes these tables, so it still holds. */
#include "service/base/clock.h"
#include "service/notices/notices_own.h"

enum { FACTS_CAP = 64 << 10, MESSAGES = 2 * FL_RECEIVERS_MOST };

struct planned {
    struct fl_message message;
    enum fl_receiver_kind kind;
    bool of_matter; /* else of the one that is closed */
};

struct plan {
    struct fl_write write;
    struct fl_notices *n;
    struct fl_arena arena;
    int64_t news;
    int64_t job;             /* 0: none changes its matter */
    bool leaves;
    int64_t closed;          /* 0: none; a matter that is over */
    struct fl_matter matter; /* made or changed; .key.p NULL: none */
    bool joins;
    struct planned messages[MESSAGES];
    size_t messages_n;
};

static enum fl_status write_plan(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct plan *p = FL_WRITE_OF(write, struct plan, write);
    enum fl_status status = fl_outbox_read(jobs, p->news, err);
    if (status == FL_OK && p->leaves) {
        status = fl_matter_join(jobs, p->job, 0, err);
    }
    if (status == FL_OK && p->closed) {
        status = fl_matter_close(jobs, p->closed, err);
    }
    if (status == FL_OK && p->matter.key.p) {
        status = fl_matter_keep(jobs, &p->matter, err);
    }
    if (status == FL_OK && p->joins) {
        status = fl_matter_join(jobs, p->job, p->matter.row, err);
    }
    for (size_t i = 0; status == FL_OK && i < p->messages_n; i++) {
        struct planned *m = &p->messages[i];
        m->message.matter = m->of_matter ? p->matter.row : p->closed;
        status = fl_outbox_add(jobs, &m->message, m->kind == FL_RECEIVER_ALERTMANAGER, err);
    }
    return status;
}

/* ---- messages of a matter ---- */

static fl_json *document_of(struct plan *p, int64_t job)
{
    struct fl_str text = {"", 0};
    fl_json *root = NULL;
    struct fl_err ignored = {0};
    if (fl_jobs_document(p->n->jobs, job, 0, &p->arena, &text, &ignored) != FL_OK ||
        fl_json_parse(text, "a verdict", &root, &ignored) != FL_OK) {
        return NULL;
    }
    return root;
}

/* A document that is too large is left out. */
static struct fl_str body_of(struct plan *p, const struct fl_receiver *to, struct fl_notice *notice)
{
    struct fl_buf out;
    fl_buf_init(&out, FL_OUTBOX_BODY);
    fl_notice_write(to->kind, notice, &out);
    if (out.failed && notice->document) {
        fl_buf_clear(&out);
        notice->document = NULL;
        fl_notice_write(to->kind, notice, &out);
    }
    struct fl_str kept = out.failed ? (struct fl_str){NULL, 0} : fl_arena_str(&p->arena, fl_buf_str(&out));
    fl_buf_free(&out);
    return kept;
}

static enum fl_status tell_all(struct plan *p, const struct fl_matter *m, enum fl_notice_event event,
                               struct fl_notice *notice, struct fl_err *err)
{
    const struct fl_receivers *all = p->n->to;
    int64_t now = fl_clock_wall_ms();
    for (size_t i = 0; i < all->n && p->messages_n < MESSAGES; i++) {
        const struct fl_receiver *to = &all->list[i];
        if (!fl_receiver_wants(to, notice->cause, notice->severity)) {
            continue;
        }
        int64_t past = now - 1000 > m->opened_ms ? now - 1000 : m->opened_ms; /* no alert ends before it starts */
        notice->until_ms = event == FL_NOTICE_RESOLVED ? past : fl_notices_until(to, now);
        const struct fl_message message = {.receiver = fl_str_of(to->name),
                                           .event = fl_str_of(fl_notice_event_name(event)),
                                           .job = fl_arena_str(&p->arena, notice->job),
                                           .trace = fl_arena_str(&p->arena, notice->trace),
                                           .body = body_of(p, to, notice)};
        if (!message.job.p || !message.trace.p || !message.body.p) {
            return fl_fail(err, FL_NOMEM, "no memory for a notice");
        }
        p->messages[p->messages_n++] = (struct planned){message, to->kind, m == &p->matter};
    }
    return FL_OK;
}

/* Messages for all who want to know this of the matter. job: whose verdict is shown. */
static enum fl_status tell(struct plan *p, const struct fl_matter *m, enum fl_notice_event event, int64_t job,
                           struct fl_err *err)
{
    struct fl_notice notice = {.event = event, .jobs = m->jobs, .since_ms = m->opened_ms};
    fl_json *facts = NULL;
    struct fl_buf link;
    fl_buf_init(&link, FL_JOBS_NAME + 4096);
    enum fl_status status = fl_notice_read(m->facts, &facts, &notice, err);
    if (status == FL_OK) {
        fl_json *document = document_of(p, job);
        notice.document = document;
        notice.link = fl_notices_link(p->n->to->base_url, notice.job, &link);
        status = tell_all(p, m, event, &notice, err);
        fl_json_free(document);
    }
    fl_json_free(facts);
    fl_buf_free(&link);
    return status;
}

/* The matter is over, and alerts of it end. People are told only what was repaired: not of a cause that turned
 * out to be another one, nor of a failure that nobody has seen for long. */
static enum fl_status close_matter(struct plan *p, const struct fl_matter *m, bool repaired, int64_t job,
                                   struct fl_err *err)
{
    p->closed = m->row;
    enum fl_status status = tell(p, m, FL_NOTICE_RESOLVED, job, err);
    size_t kept = 0;
    for (size_t i = 0; i < p->messages_n; i++) {
        if (repaired || p->messages[i].kind == FL_RECEIVER_ALERTMANAGER) {
            p->messages[kept++] = p->messages[i];
        }
    }
    p->messages_n = kept;
    return status;
}

/* ---- a verdict ---- */

/* One failure, whatever the job: the incident that it is, and the cause that was found. */
static struct fl_str key_of(struct plan *p, const struct fl_jobs_row *job)
{
    struct fl_buf key;
    const struct fl_revision *v = &job->last;
    fl_buf_init(&key, 4096);
    fl_buf_addf(&key, "%s %.*s %.*s", v->incident.n ? "incident" : "job",
                (int)(v->incident.n ? v->incident.n : job->name.n), v->incident.n ? v->incident.p : job->name.p,
                (int)v->cause.n, v->cause.p);
    struct fl_str kept = key.failed ? (struct fl_str){NULL, 0} : fl_arena_str(&p->arena, fl_buf_str(&key));
    fl_buf_free(&key);
    return kept;
}

static enum fl_status leave(struct plan *p, const struct fl_matter *old, bool repaired, struct fl_err *err)
{
    int64_t members = 0;
    enum fl_status status = fl_matter_members(p->n->jobs, old->row, &members, err);
    p->leaves = true;
    return status == FL_OK && members <= 1 ? close_matter(p, old, repaired, p->job, err) : status;
}

static enum fl_status open_matter(struct plan *p, const struct fl_jobs_row *job, struct fl_str key, int64_t now,
                                  struct fl_err *err)
{
    fl_json *document = document_of(p, job->row);
    struct fl_buf text;
    fl_buf_init(&text, FACTS_CAP);
    fl_notice_facts(job, document, &text);
    p->matter = (struct fl_matter){.key = key,
                                   .facts = fl_arena_str(&p->arena, fl_buf_str(&text)),
                                   .job = job->row,
                                   .jobs = 1,
                                   .opened_ms = now,
                                   .told_ms = now,
                                   .seen_ms = now};
    bool ok = !text.failed && p->matter.facts.p;
    fl_json_free(document);
    fl_buf_free(&text);
    return ok ? tell(p, &p->matter, FL_NOTICE_FAILED, job->row, err)
              : fl_fail(err, FL_NOMEM, "no memory for a notice");
}

static int64_t window_ms(const struct fl_notices *n)
{
    return (int64_t)(n->to->window_s * 1000);
}

static enum fl_status join(struct plan *p, const struct fl_jobs_row *job, struct fl_str key, struct fl_err *err)
{
    int64_t now = fl_clock_wall_ms();
    p->joins = true;
    enum fl_status status = fl_matter_find(p->n->jobs, key, &p->arena, &p->matter, err);
    if (status == FL_NOTFOUND) {
        return open_matter(p, job, key, now, err);
    }
    p->matter.jobs++;
    p->matter.seen_ms = now;
    p->matter.untold = true;
    if (status == FL_OK && now - p->matter.told_ms >= window_ms(p->n)) {
        p->matter.untold = false;
        p->matter.told_ms = now;
        status = tell(p, &p->matter, FL_NOTICE_SEEN, job->row, err);
    }
    return status;
}

static enum fl_status make_plan(struct plan *p, struct fl_err *err)
{
    struct fl_jobs_row job;
    struct fl_matter old;
    enum fl_status found = fl_jobs_at(p->n->jobs, p->job, &p->arena, &job, err);
    if (found != FL_OK && found != FL_NOTFOUND) {
        return found;
    }
    if (found == FL_OK && !job.last.final) {
        return FL_OK; /* more of it came: there will be news */
    }
    bool failed = found == FL_OK && fl_str_eq(job.last.outcome, FL_LIT("failed"));
    struct fl_str key = failed ? key_of(p, &job) : FL_LIT("");
    enum fl_status status = fl_matter_of(p->n->jobs, p->job, &p->arena, &old, err);
    bool was_in = status == FL_OK;
    if (status != FL_OK && status != FL_NOTFOUND) {
        return status;
    }
    if (!key.p) {
        return fl_fail(err, FL_NOMEM, "no memory for a notice");
    }
    if (was_in && failed && fl_str_eq(old.key, key)) {
        return FL_OK;
    }
    bool well = found == FL_OK && fl_str_eq(job.last.outcome, FL_LIT("healthy"));
    status = was_in ? leave(p, &old, well, err) : FL_OK;
    return status == FL_OK && failed ? join(p, &job, key, err) : status;
}

enum fl_status fl_notices_think(struct fl_notices *n, bool *any_r, struct fl_err *err)
{
    struct fl_news news;
    enum fl_status status = fl_outbox_news(n->jobs, &news, err);
    *any_r = status == FL_OK && news.row != 0;
    if (!*any_r) {
        return status;
    }
    struct plan p = {.write = {.run = write_plan}, .n = n, .news = news.row, .job = news.job};
    fl_arena_init(&p.arena, FL_NOTICES_ARENA);
    status = n->to->n ? make_plan(&p, err) : FL_OK;
    if (status == FL_OK) {
        status = fl_writer_do(n->o.writer, &p.write, err);
    }
    fl_arena_free(&p.arena);
    return status;
}

/* ---- as time goes by ---- */

static enum fl_status tend(struct fl_notices *n, int64_t *row, struct fl_err *err)
{
    struct plan p = {.write = {.run = write_plan}, .n = n};
    int64_t now = fl_clock_wall_ms();
    int64_t forgotten = now - (int64_t)(n->to->active_s * 1000);
    fl_arena_init(&p.arena, FL_NOTICES_ARENA);
    enum fl_status status =
        fl_matter_next(n->jobs, *row, now - window_ms(n), forgotten, &p.arena, &p.matter, err);
    *row = p.matter.row;
    if (status == FL_OK && p.matter.seen_ms <= forgotten) {
        status = close_matter(&p, &p.matter, false, p.matter.job, err);
        p.matter.key = (struct fl_str){NULL, 0};
    } else if (status == FL_OK) {
        p.matter.untold = false;
        p.matter.told_ms = now;
        status = tell(&p, &p.matter, FL_NOTICE_SEEN, p.matter.job, err);
    }
    if (status == FL_OK) {
        status = fl_writer_do(n->o.writer, &p.write, err);
    }
    fl_arena_free(&p.arena);
    return status;
}

enum fl_status fl_notices_tend(struct fl_notices *n, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (int64_t row = 0; status == FL_OK && n->to->n && !atomic_load(&n->stop);) {
        status = tend(n, &row, err);
    }
    return status == FL_NOTFOUND ? FL_OK : status;
}
