/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents: what is remembered, what looks like it, what people say of it. */
#include "rag/groups.h"
#include "rag/retrieve.h"
#include "rag/verdicts.h"
#include "service/feedback.h"
#include "service/http/serving.h"
#include "service/review.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA = 64 << 20, LIST_MOST = 500, LIST_USUAL = 50, SIMILAR = 10, IDS_MOST = 100 };

static size_t limit_of(const struct fl_http_request *r)
{
    const char *text = fl_http_arg(r, "limit");
    long n = text ? strtol(text, NULL, 10) : LIST_USUAL;
    return n > 0 && n < LIST_MOST ? (size_t)n : LIST_MOST;
}

static enum fl_status write_incident(void *ctx, const struct fl_incident *incident, struct fl_err *err)
{
    struct fl_jw *w = ctx;
    (void)err;
    fl_incident_write(w, incident);
    return FL_OK;
}

/* Messages of the store name its file, which is nobody's business here. */
static void fail(struct fl_http_request *r, enum fl_status status, const struct fl_err *err)
{
    if (status == FL_NOTFOUND) {
        fl_reply_problem(r, MHD_HTTP_NOT_FOUND, "there is no such incident (see /api/v1/incidents)");
    } else {
        fl_reply_failed(r, status, err);
    }
}

static void finish(struct fl_http_request *r, enum fl_status status, const struct fl_err *err)
{
    if (status != FL_OK) {
        fail(r, status, err);
    }
}

void fl_api_incidents(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_jw w;
    const char *cause = fl_http_arg(r, "cause");
    fl_reply_json(r, MHD_HTTP_OK, &w);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "incidents");
    fl_jw_begin(&w, '[');
    enum fl_status status = fl_incidents_list(s->incidents, fl_str_of(cause ? cause : ""), limit_of(r),
                                              write_incident, &w, &err);
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    finish(r, status, &err);
}

struct members {
    struct fl_serve *serve;
    struct fl_jw *w;
    bool jobs; /* else ids */
};

static enum fl_status write_name(void *ctx, const struct fl_jobs_row *job, struct fl_err *err)
{
    struct fl_jw *w = ctx;
    (void)err;
    fl_jw_str(w, job->name);
    return FL_OK;
}

static enum fl_status write_member(void *ctx, struct fl_str id, struct fl_err *err)
{
    const struct members *m = ctx;
    const struct fl_jobs_query query = {.incident = id, .limit = LIST_MOST};
    if (!m->jobs) {
        fl_jw_str(m->w, id);
        return FL_OK;
    }
    pthread_mutex_lock(&m->serve->reading);
    enum fl_status status = fl_jobs_list(m->serve->read_jobs, &query, write_name, m->w, err);
    pthread_mutex_unlock(&m->serve->reading);
    return status;
}

/* With what is merged into it, and the jobs that ended in it. */
void fl_api_incident(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_arena arena;
    struct fl_incident incident;
    struct fl_str root;
    struct fl_seen seen;
    struct fl_jw w;
    struct members members = {s, &w, false};
    fl_arena_init(&arena, ARENA);
    enum fl_status status = fl_incidents_get(s->incidents, r->segment[0], &arena, &incident, &err);
    if (status == FL_OK) {
        status = fl_groups_root(s->incidents, incident.id, &arena, &root, &err);
    }
    if (status == FL_OK) {
        status = fl_verdicts_seen(s->incidents, incident.id, (struct fl_str){"", 0}, &seen, &err);
    }
    if (status == FL_OK) {
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_jw_begin(&w, '{');
        fl_jw_key(&w, "incident");
        fl_incident_write(&w, &incident);
        fl_jw_key(&w, "merged_into");
        if (fl_str_eq(root, incident.id)) {
            fl_jw_null(&w);
        } else {
            fl_jw_str(&w, root);
        }
        fl_jw_key_int(&w, "seen", seen.jobs);
        fl_jw_key_text(&w, "first", seen.first);
        fl_jw_key(&w, "members");
        fl_jw_begin(&w, '[');
        status = fl_groups_members(s->incidents, incident.id, write_member, &members, &err);
        fl_jw_end(&w, ']');
        fl_jw_key(&w, "jobs");
        fl_jw_begin(&w, '[');
        members.jobs = true;
    }
    if (status == FL_OK) {
        status = fl_groups_members(s->incidents, incident.id, write_member, &members, &err);
        fl_jw_end(&w, ']');
        fl_jw_end(&w, '}');
    }
    finish(r, status, &err);
    fl_arena_free(&arena);
}

/* The text is the body (lines of a log), or ?q= (a person's words). */
void fl_api_similar(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_arena arena;
    struct fl_hits hits = {.n = 0};
    struct fl_jw w;
    const char *words = fl_http_arg(r, "q");
    fl_arena_init(&arena, ARENA);
    enum fl_status status =
        words ? fl_retrieve_loose(s->incidents, fl_str_of(words), SIMILAR, &arena, &hits, &err)
              : fl_retrieve(s->incidents, fl_buf_str(&r->body), SIMILAR, &arena, &hits, &err);
    fl_reply_json(r, MHD_HTTP_OK, &w);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "hits");
    fl_jw_begin(&w, '[');
    for (size_t i = 0; status == FL_OK && i < hits.n; i++) {
        fl_jw_begin(&w, '{');
        fl_jw_key(&w, "similarity");
        fl_jw_num(&w, hits.list[i].similarity);
        fl_jw_key(&w, "incident");
        fl_incident_write(&w, &hits.list[i].incident);
        fl_jw_end(&w, '}');
    }
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    finish(r, status, &err);
    fl_arena_free(&arena);
}

/* {"right": true|false, "cause": ..., "fix": ...} */
void fl_api_feedback(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_buf said;
    fl_json *body = fl_serve_body(r);
    if (!body) {
        return;
    }
    const fl_json *right = fl_json_get(body, "right");
    char id[FL_INCIDENT_ID + 1];
    char actor[160];
    snprintf(id, sizeof id, "%.*s", (int)r->segment[0].n, r->segment[0].p);
    snprintf(actor, sizeof actor, "api%s%s", *r->token ? ":" : "", r->token);
    const struct fl_feedback word = {.incident = id,
                                     .right = fl_json_bool(right, false),
                                     .cause = fl_json_get_str(body, "cause").p,
                                     .fix = fl_json_get_str(body, "fix").p,
                                     .actor = actor};
    fl_buf_init(&said, 64 << 10);
    enum fl_status status = fl_json_is_bool(right)
                                ? FL_OK
                                : fl_fail(&err, FL_USAGE, "say {\"right\": true} or {\"right\": false, \"cause\": ...}");
    if (status == FL_OK) {
        struct fl_book *book = fl_books_take(s->books);
        status = fl_feedback(s->o.config, &book->rules, &word, &said, &err);
        fl_books_give(s->books, book);
    }
    if (status == FL_OK) {
        struct fl_jw w;
        const struct fl_counter_label label = {"verdict", word.right ? "right" : "wrong"};
        fl_counters_add(s->counters, "faultline_feedback_total", &label, 1, 1);
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_jw_begin(&w, '{');
        fl_jw_key_str(&w, "incident", r->segment[0]);
        fl_jw_key_str(&w, "said", fl_str_trim(fl_buf_str(&said)));
        fl_jw_end(&w, '}');
    }
    finish(r, status, &err);
    fl_buf_free(&said);
    fl_json_free(body);
}

static void done(struct fl_http_request *r, enum fl_status status, const struct fl_err *err)
{
    if (status == FL_OK) {
        fl_reply_empty(r, MHD_HTTP_NO_CONTENT);
    } else {
        fail(r, status, err);
    }
}

/* {"flagged": true|false, "note": ...} */
void fl_api_flag(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    fl_json *body = fl_serve_body(r);
    if (body) {
        struct fl_str note = fl_json_get_str(body, "note");
        done(r,
             fl_flags_set(s->incidents, r->segment[0], fl_json_bool(fl_json_get(body, "flagged"), true),
                          note.p ? note : FL_LIT(""), &err),
             &err);
        fl_json_free(body);
    }
}

/* {"into": ID} */
void fl_api_merge(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    fl_json *body = fl_serve_body(r);
    if (body) {
        struct fl_str into = fl_json_get_str(body, "into");
        done(r, fl_groups_merge(s->incidents, r->segment[0], into.p ? into : FL_LIT(""), &err), &err);
        fl_json_free(body);
    }
}

void fl_api_split(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    done(r, fl_groups_split(s->incidents, r->segment[0], &err), &err);
}

/* ?incident=ID[,ID...]; without it, what is flagged. */
void fl_api_review(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct fl_arena arena;
    struct fl_review review;
    const char *ids[IDS_MOST];
    size_t n = 0;
    fl_arena_init(&arena, ARENA);
    struct fl_str rest = fl_str_of(fl_http_arg(r, "incident"));
    while (rest.n && n < IDS_MOST) {
        const char *comma = memchr(rest.p, ',', rest.n);
        struct fl_str one = {rest.p, comma ? (size_t)(comma - rest.p) : rest.n};
        ids[n] = fl_arena_text(&arena, one);
        n += ids[n] != NULL;
        rest = fl_str_skip(rest, one.n + (comma != NULL));
    }
    pthread_mutex_lock(&s->reading);
    enum fl_status status = fl_review_of(s->incidents, s->read_jobs, ids, n, &arena, &review, &err);
    pthread_mutex_unlock(&s->reading);
    if (status == FL_OK) {
        struct fl_jw w;
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_review_write(&review, &w);
    }
    finish(r, status, &err);
    fl_arena_free(&arena);
}
