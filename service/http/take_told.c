/* SPDX-License-Identifier: Apache-2.0 */
/* What schedulers and monitors say about jobs: Slurm that one has finished, Alertmanager that one failed. */
#include "service/http/serving.h"
#include "service/jobs/slurm.h"

#include <stdio.h>

enum { ARENA = 1 << 20, ALERTS = 256 };

/* ---- Slurm: POST /slurm/_doc ---- */

struct finished {
    struct fl_write write;
    struct fl_slurm slurm;
    char name[FL_JOBS_NAME + 1];
    int64_t row;
    bool reads; /* its log, now */
};

static fl_json *facts_of(const struct fl_jobs_row *job)
{
    fl_json *facts = NULL;
    return fl_json_parse(job->facts, "facts", &facts, NULL) == FL_OK ? facts : NULL;
}

static bool differs(const fl_json *a, const fl_json *b, const char *key)
{
    struct fl_str x = fl_json_get_str(fl_json_get(a, "slurm"), key);
    return x.n && !fl_str_eq(x, fl_json_get_str(fl_json_get(b, "slurm"), key));
}

/* Two clusters count their jobs alike: the second one's are named with it. A record that comes again changes
 * nothing. */
static enum fl_status write_finished(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct finished *f = FL_WRITE_OF(write, struct finished, write);
    struct fl_arena arena;
    struct fl_jobs_row row;
    fl_json *mine = NULL;
    fl_arena_init(&arena, ARENA);
    memcpy(f->name, f->slurm.job, sizeof f->name);
    enum fl_status status = fl_json_parse(fl_buf_str(&f->slurm.facts), "facts", &mine, err);
    f->reads = f->slurm.has_log;
    for (int named = 0; status == FL_OK && named < 2; named++) {
        enum fl_status found = fl_jobs_get(jobs, fl_str_of(f->name), &arena, &row, err);
        fl_json *old = found == FL_OK ? facts_of(&row) : NULL;
        status = found == FL_NOTFOUND ? FL_OK : found;
        bool other = old && differs(old, mine, "cluster");
        bool again = old && !other && fl_json_get(old, "slurm") && !differs(old, mine, "ended") &&
                     !differs(old, mine, "submitted");
        f->row = found == FL_OK ? row.row : 0;
        fl_json_free(old);
        if (again) { /* whoever sent it first has seen to it */
            f->reads = false;
            f->row = 0;
            goto out;
        }
        if (!other) {
            break;
        }
        snprintf(f->name, sizeof f->name, "%.90s-%.37s", f->slurm.cluster, f->slurm.job);
    }
    if (status == FL_OK) {
        status = fl_jobs_note(jobs, fl_str_of(f->name), fl_buf_str(&f->slurm.facts), !f->reads, err);
    }
out:
    fl_json_free(mine);
    fl_arena_free(&arena);
    return status;
}

void fl_take_slurm(struct fl_serve *s, struct fl_http_request *r)
{
    struct fl_err err = {0};
    struct finished f = {.write = {.run = write_finished, .bytes = r->body.n}};
    fl_json *body = fl_serve_body(r);
    if (!body) {
        return;
    }
    enum fl_status status = fl_slurm_read(body, &f.slurm, &err);
    fl_json_free(body);
    if (status != FL_OK) {
        fl_reply_failed(r, status, &err);
    } else if (fl_serve_write(s, r, &f.write)) {
        struct fl_jw w;
        fl_reply_json(r, MHD_HTTP_CREATED, &w);
        fl_http_set(r, "X-Elastic-Product", "Elasticsearch");
        fl_jw_begin(&w, '{');
        fl_jw_key_text(&w, "_id", f.name);
        fl_jw_key_text(&w, "result", "created");
        fl_jw_end(&w, '}');
        if (f.reads) {
            fl_fetch_poke(s->fetch);
        } else if (f.row) {
            fl_triage_over(s->triage, f.row);
        }
    }
    fl_slurm_free(&f.slurm);
}

/* ---- Alertmanager: POST /api/v1/alerts ---- */

struct alarming {
    struct fl_write write;
    const fl_json *alerts;
    bool ends;
    int64_t rows[ALERTS];
    size_t n;
};

static void add_label(struct fl_jw *w, const fl_json *labels, const char *key)
{
    struct fl_str value = fl_json_get_str(labels, key);
    if (value.n) {
        fl_jw_key_str(w, key, fl_str_head(value, 300));
    }
}

static enum fl_status note_alert(struct fl_jobs *jobs, const fl_json *alert, struct fl_str job, bool ends,
                                 struct fl_err *err)
{
    struct fl_buf facts;
    struct fl_jw w;
    fl_buf_init(&facts, 8192);
    fl_jw_init(&w, &facts, false);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "alert");
    fl_jw_begin(&w, '{');
    add_label(&w, fl_json_get(alert, "labels"), "alertname");
    add_label(&w, fl_json_get(alert, "labels"), "namespace");
    add_label(&w, fl_json_get(alert, "labels"), "severity");
    add_label(&w, fl_json_get(alert, "annotations"), "summary");
    add_label(&w, fl_json_get(alert, "annotations"), "description");
    add_label(&w, alert, "startsAt");
    fl_jw_end(&w, '}');
    fl_jw_end(&w, '}');
    enum fl_status status = facts.failed ? fl_fail(err, FL_LIMIT, "an alert is too long")
                                         : fl_jobs_note(jobs, job, fl_buf_str(&facts), ends, err);
    fl_buf_free(&facts);
    return status;
}

/* `job` comes last: in most alerts it is what Prometheus scraped. */
static const char *const job_labels[] = {"faultline_job", "slurm_job_id", "job_name", "job_id",
                                         "exported_job", "job"};

/* The first label that names a job we know. */
static enum fl_status find_job(struct fl_jobs *jobs, const fl_json *labels, struct fl_arena *arena,
                               struct fl_jobs_row *out, struct fl_err *err)
{
    enum fl_status status = FL_NOTFOUND;
    for (size_t i = 0; status == FL_NOTFOUND && i < sizeof job_labels / sizeof *job_labels; i++) {
        char name[FL_JOBS_NAME + 8];
        struct fl_str value = fl_json_get_str(labels, job_labels[i]);
        bool slurm = strcmp(job_labels[i], "slurm_job_id") == 0;
        int n = snprintf(name, sizeof name, "%s%.*s", slurm ? "slurm-" : "",
                         (int)fl_str_head(value, FL_JOBS_NAME).n, value.p ? value.p : "");
        if (value.n && value.n <= FL_JOBS_NAME) {
            status = fl_jobs_get(jobs, (struct fl_str){name, (size_t)n}, arena, out, err);
        }
    }
    return status;
}

static enum fl_status write_alerts(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct alarming *a = FL_WRITE_OF(write, struct alarming, write);
    struct fl_arena arena;
    fl_arena_init(&arena, ARENA);
    enum fl_status status = FL_OK;
    const fl_json *alert = fl_json_first(a->alerts);
    for (; status == FL_OK && alert && a->n < ALERTS; alert = fl_json_next(alert)) {
        struct fl_jobs_row row;
        if (!fl_str_eq(fl_json_get_str(alert, "status"), FL_LIT("firing"))) {
            continue;
        }
        status = find_job(jobs, fl_json_get(alert, "labels"), &arena, &row, err);
        if (status == FL_OK) {
            a->rows[a->n++] = row.row;
            status = note_alert(jobs, alert, row.name, a->ends, err);
        }
        status = status == FL_NOTFOUND ? FL_OK : status;
    }
    fl_arena_free(&arena);
    return status;
}

/* The webhook of Alertmanager, version 4. A job that a firing alert names is over (?end=0: it goes on), and is
 * judged now. Jobs that are not known here are none of ours: the answer is 200, or it would be sent again. */
void fl_take_alerts(struct fl_serve *s, struct fl_http_request *r)
{
    const char *end = fl_http_arg(r, "end");
    fl_json *body = fl_serve_body(r);
    struct alarming a = {.write = {.run = write_alerts, .bytes = r->body.n},
                         .alerts = fl_json_get(body, "alerts"),
                         .ends = !end || strcmp(end, "0") != 0};
    if (!body) {
        return;
    }
    if (!fl_json_is_array(a.alerts)) {
        fl_reply_problem(r, MHD_HTTP_BAD_REQUEST, "this is no webhook of Alertmanager: it has no alerts");
    } else if (fl_serve_write(s, r, &a.write)) {
        struct fl_jw w;
        for (size_t i = 0; i < a.n; i++) {
            if (a.ends) {
                fl_triage_over(s->triage, a.rows[i]);
            } else {
                fl_triage_wanted(s->triage, a.rows[i]);
            }
        }
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_jw_begin(&w, '{');
        fl_jw_key_int(&w, "jobs", (int64_t)a.n);
        fl_jw_end(&w, '}');
    }
    fl_json_free(body);
}
