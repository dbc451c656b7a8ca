/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON document of the contract. Keys are never left out: what is not known is null or an empty
 * list, so that a script need not ask. */
#include "service/report_json.h"

#include "service/report_explain.h"

#include <math.h>
#include <stdio.h>

static void key_str(struct fl_jw *w, const char *key, struct fl_str s)
{
    fl_jw_key(w, key);
    if (s.n) {
        fl_jw_str(w, s);
    } else {
        fl_jw_null(w);
    }
}

static void key_int(struct fl_jw *w, const char *key, long value)
{
    fl_jw_key(w, key);
    if (value >= 0) {
        fl_jw_int(w, value);
    } else {
        fl_jw_null(w);
    }
}

static void write_job(struct fl_jw *w, const struct fl_result *r)
{
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &n);
    fl_jw_key(w, "job");
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "id", r->id ? r->id : n ? streams[0].name : "");
    fl_jw_key(w, "streams");
    fl_jw_begin(w, '[');
    for (uint32_t i = 0; i < n; i++) {
        fl_jw_begin(w, '{');
        fl_jw_key_text(w, "name", streams[i].name);
        key_int(w, "lines", streams[i].lines);
        key_int(w, "bytes", (long)streams[i].bytes);
        key_int(w, "dropped", streams[i].dropped);
        if (streams[i].fault) {
            fl_jw_key_text(w, "fault", streams[i].fault);
        }
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
    fl_jw_end(w, '}');
}

static const char *stream_name(const struct fl_result *r, uint32_t stream)
{
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &n);
    return stream < n ? streams[stream].name : "";
}

static void write_evidence(struct fl_jw *w, const struct fl_result *r,
                           const struct fl_evidence *list, size_t n)
{
    fl_jw_key(w, "evidence");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < n; i++) {
        const struct fl_evidence *e = &list[i];
        fl_jw_begin(w, '{');
        fl_jw_key_text(w, "file", stream_name(r, e->place.stream));
        key_int(w, "line", e->place.line);
        key_int(w, "offset", (long)e->place.offset);
        fl_jw_key(w, "text");
        fl_jw_str(w, e->text);
        key_int(w, "rank", e->place.rank);
        key_str(w, "node", e->place.node);
        fl_jw_key_text(w, "rule", e->rule);
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
}

static void write_symptoms(struct fl_jw *w, const struct fl_result *r)
{
    fl_jw_key(w, "symptoms");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < r->verdict.symptoms_n; i++) {
        const struct fl_symptom *s = &r->verdict.symptoms[i];
        fl_jw_begin(w, '{');
        fl_jw_key_text(w, "cause", s->cause);
        key_int(w, "count", s->count);
        fl_jw_key(w, "first");
        fl_jw_begin(w, '{');
        fl_jw_key_text(w, "file", stream_name(r, s->first.stream));
        key_int(w, "line", s->first.line);
        fl_jw_end(w, '}');
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
}

struct reason_list {
    struct fl_jw *w;
    bool against;
};

static void write_reason(void *ctx, enum fl_reason kind, struct fl_str words)
{
    struct reason_list *list = ctx;
    if ((kind == FL_REASON_AGAINST) != list->against) {
        return;
    }
    struct fl_buf text;
    fl_buf_init(&text, 2048);
    fl_buf_addf(&text, "%s%.*s", kind == FL_REASON_EXPLAINS ? "explains " : "", (int)words.n,
                words.p);
    fl_jw_str(list->w, fl_buf_str(&text));
    fl_buf_free(&text);
}

static void write_reasons(struct fl_jw *w, const struct fl_result *r, size_t at)
{
    static const char *const keys[] = {"for", "against"};
    fl_jw_key(w, "reasons");
    fl_jw_begin(w, '{');
    for (size_t i = 0; i < 2; i++) {
        struct reason_list list = {w, i == 1};
        fl_jw_key(w, keys[i]);
        fl_jw_begin(w, '[');
        fl_explain(r, at, write_reason, &list);
        fl_jw_end(w, ']');
    }
    fl_jw_end(w, '}');
}

static void write_hypotheses(struct fl_jw *w, const struct fl_result *r, bool explain)
{
    fl_jw_key(w, "hypotheses");
    fl_jw_begin(w, '[');
    for (size_t i = 0; r->verdict.outcome != FL_OUTCOME_HEALTHY && i < r->verdict.hypotheses_n;
         i++) {
        const struct fl_hypothesis *h = &r->verdict.hypotheses[i];
        fl_jw_begin(w, '{');
        fl_jw_key_text(w, "cause", h->cause->slug);
        fl_jw_key(w, "confidence");
        fl_jw_num(w, h->confidence);
        write_evidence(w, r, h->evidence, h->evidence_n);
        if (h->explained_by) {
            fl_jw_key_text(w, "explained_by", h->explained_by);
        }
        if (explain) {
            write_reasons(w, r, i);
        }
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
}

void fl_report_json_signal(struct fl_jw *w, const struct fl_signal *s)
{
    fl_jw_key_text(w, "metric", s->metric);
    fl_jw_key_text(w, "kind", s->kind);
    key_int(w, "from_step", s->from_step);
    key_int(w, "to_step", s->to_step);
    key_int(w, "rank", s->rank);
    fl_jw_key_text(w, "severity", fl_severity_name(s->severity));
    fl_jw_key(w, "confidence");
    fl_jw_num(w, s->confidence < 0 ? (double)NAN : s->confidence);
}

static void write_signals(struct fl_jw *w, const struct fl_verdict *v)
{
    fl_jw_key(w, "signals");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < v->signals_n; i++) {
        fl_jw_begin(w, '{');
        fl_report_json_signal(w, &v->signals[i]);
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
}

static void write_similar(struct fl_jw *w, const struct fl_result *r)
{
    fl_jw_key(w, "similar");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < r->similar.n; i++) {
        const struct fl_hit *hit = &r->similar.list[i];
        fl_jw_begin(w, '{');
        key_str(w, "incident", hit->incident.id);
        fl_jw_key(w, "similarity");
        fl_jw_num(w, hit->similarity);
        key_str(w, "cause", hit->incident.cause);
        key_str(w, "resolution", hit->incident.resolution);
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
}

static void write_incident(struct fl_jw *w, const struct fl_result *r)
{
    if (r->incident.n == 0 || !r->keeps) {
        return;
    }
    fl_jw_key(w, "incident");
    fl_jw_begin(w, '{');
    key_str(w, "id", r->incident);
    key_int(w, "jobs_before", r->seen.jobs);
    if (r->seen.jobs) {
        key_str(w, "first", fl_str_of(r->seen.first));
    }
    fl_jw_end(w, '}');
}

static void write_places(struct fl_jw *w, const struct fl_verdict *v)
{
    fl_jw_key(w, "faulty");
    fl_jw_begin(w, '{');
    key_int(w, "rank", v->faulty.rank);
    key_int(w, "local_rank", v->faulty.local_rank);
    key_str(w, "node", v->faulty.node);
    key_int(w, "gpu", v->faulty.gpu);
    fl_jw_end(w, '}');
    write_signals(w, v);
    fl_jw_key(w, "progress");
    fl_jw_begin(w, '{');
    key_int(w, "last_step", v->last_step);
    key_int(w, "last_checkpoint_step", v->checkpoint);
    key_int(w, "lost_steps", v->lost_steps);
    fl_jw_end(w, '}');
}

static void write_stats(struct fl_jw *w, const struct fl_result *r)
{
    uint32_t n = 0;
    long kept = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &n);
    for (uint32_t i = 0; i < n; i++) {
        kept += streams[i].kept;
    }
    fl_jw_key(w, "stats");
    fl_jw_begin(w, '{');
    fl_jw_key(w, "seconds");
    fl_jw_num(w, r->seconds);
    key_int(w, "kept_lines", kept);
    key_int(w, "undecided_matches", fl_diagnosis_errors(fl_job_diagnosis(r->job)));
    key_int(w, "model_calls", r->model_calls);
    key_int(w, "model_tokens", r->asked_tokens + r->answer_tokens);
    if (r->model_calls) {
        key_int(w, "tokens_sent", r->asked_tokens);
        key_int(w, "tokens_received", r->answer_tokens);
        key_str(w, "model", r->model);
    }
    if (r->model_calls && r->money >= 0) {
        fl_jw_key(w, "money");
        fl_jw_num(w, r->money);
    }
    if (r->model_note) {
        key_str(w, "model_note", fl_str_of(r->model_note));
    }
    fl_jw_end(w, '}');
}

void fl_report_json(const struct fl_result *r, bool explain, struct fl_buf *out)
{
    const struct fl_verdict *v = &r->verdict;
    size_t shown_n = 0;
    const struct fl_evidence *shown = fl_telling_shown(r, &shown_n);
    bool failed = v->outcome == FL_OUTCOME_FAILED;
    struct fl_jw w;
    fl_jw_init(&w, out, true);
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "schema", "faultline.verdict/1");
    write_job(&w, r);
    fl_jw_key_text(&w, "verdict", fl_outcome_name(v->outcome));
    fl_jw_key_text(&w, "cause", failed ? v->cause->slug : NULL);
    fl_jw_key_text(&w, "category", failed ? v->cause->category : "none");
    fl_jw_key_text(&w, "severity", fl_severity_name(v->severity));
    fl_jw_key(&w, "confidence");
    fl_jw_num(&w, v->confidence);
    fl_jw_key_text(&w, "method", fl_method_name(v->method));
    fl_jw_key(&w, "summary");
    fl_jw_str(&w, v->summary);
    write_evidence(&w, r, shown, shown_n);
    write_symptoms(&w, r);
    write_hypotheses(&w, r, explain);
    write_places(&w, v);
    fl_jw_key(&w, "recoverable");
    fl_jw_bool(&w, v->recoverable);
    fl_jw_key_text(&w, "action", v->action);
    fl_jw_key(&w, "recovery");
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < v->recovery_n; i++) {
        fl_jw_text(&w, v->recovery[i]);
    }
    fl_jw_end(&w, ']');
    write_similar(&w, r);
    write_incident(&w, r);
    fl_jw_key(&w, "warnings");
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < r->warnings_n; i++) {
        fl_jw_text(&w, r->warnings[i]);
    }
    fl_jw_end(&w, ']');
    write_stats(&w, r);
    fl_jw_end(&w, '}');
    fl_buf_add_text(out, "\n");
}
