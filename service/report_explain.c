/* SPDX-License-Identifier: Apache-2.0 */
#include "service/report_explain.h"

#include "rules/attribute/reasons.h"

enum { WORDS_BYTES = 1024, QUOTED_BYTES = 120 };

/* The hypothesis in hand, and where its reasons go. */
struct teller {
    const struct fl_result *r;
    const struct fl_hypothesis *h;
    fl_reason_sink tell;
    void *ctx;
    struct fl_buf words;
};

static void say(struct teller *t, enum fl_reason kind)
{
    if (t->words.n) {
        t->tell(t->ctx, kind, fl_buf_str(&t->words));
    }
    fl_buf_clear(&t->words);
}

static void say_text(struct teller *t, enum fl_reason kind, const char *words)
{
    fl_buf_add_text(&t->words, words);
    say(t, kind);
}

/* FILE:LINE "the line" (rule ID, 0.95) */
static void quote(struct teller *t, const struct fl_evidence *e, const struct fl_rule *rule)
{
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(t->r->job), &n);
    struct fl_str text = fl_str_trim(e->text);
    bool cut = text.n > QUOTED_BYTES;
    text.n = cut ? QUOTED_BYTES : text.n;
    fl_buf_addf(&t->words, "%s:%ld \"", streams[e->place.stream].name, e->place.line);
    fl_buf_add_str(&t->words, text);
    fl_buf_add_text(&t->words, cut ? " ...\"" : "\"");
    if (e->rule) {
        fl_buf_addf(&t->words, " (rule %s", e->rule);
        if (rule) {
            fl_buf_addf(&t->words, ", %.2f", rule->confidence);
        }
        fl_buf_add_text(&t->words, ")");
    }
}

static const struct fl_hypothesis *find(const struct fl_verdict *v, const char *slug)
{
    for (size_t i = 0; slug && i < v->hypotheses_n; i++) {
        if (strcmp(v->hypotheses[i].cause->slug, slug) == 0) {
            return &v->hypotheses[i];
        }
    }
    return NULL;
}

/* " (it began 30 min and 210 lines earlier)", of which what can be told. */
static void add_distance(struct fl_buf *words, const struct fl_sighting *early,
                         const struct fl_sighting *late)
{
    bool timed = early->place.own_time && late->place.own_time;
    int64_t ms = timed ? late->place.time_ms - early->place.time_ms : 0;
    bool one_file = early->place.stream == late->place.stream;
    uint64_t lines = one_file && late->order > early->order ? late->order - early->order : 0;
    if (ms < 1000 && !lines) {
        return;
    }
    fl_buf_add_text(words, " (it began ");
    if (ms >= 1000) {
        int64_t s = ms / 1000;
        bool minutes = s >= 300 && s < 7200;
        fl_buf_addf(words, "%lld %s", (long long)(s < 300 ? s : minutes ? s / 60 : s / 3600),
                    s < 300 ? "s" : minutes ? "min" : "h");
    }
    if (lines) {
        fl_buf_addf(words, "%s%llu line%s", ms >= 1000 ? " and " : "", (unsigned long long)lines,
                    lines == 1 ? "" : "s");
    }
    fl_buf_add_text(words, " earlier)");
}

static void say_sightings(struct teller *t)
{
    const struct fl_hypothesis *h = t->h;
    const struct fl_reasons *why = &h->why;
    if (h->evidence_n == 0) {
        return;
    }
    quote(t, &h->evidence[0], h->rule);
    if (why->count == 0) {
        fl_buf_add_text(&t->words, ", quoted by the model and found in the log");
    } else if (h->rule) {
        fl_buf_addf(&t->words, why->count > 1 ? ", one of %ld such lines" : ", seen once",
                    why->count);
    } else {
        fl_buf_add_text(&t->words, " (its numbers, not a message)");
    }
    say(t, FL_REASON_FOR);
    for (size_t i = 1; i < h->evidence_n; i++) {
        const char *first = h->evidence[0].rule ? h->evidence[0].rule : "";
        if (h->evidence[i].rule && strcmp(h->evidence[i].rule, first) != 0) {
            fl_buf_add_text(&t->words, "also ");
            quote(t, &h->evidence[i], NULL);
            say(t, FL_REASON_FOR);
            break;
        }
    }
    if (why->confirmation.rule) {
        fl_buf_add_text(&t->words, "confirmed by ");
        quote(t, &why->confirmation, NULL);
        say(t, FL_REASON_FOR);
    }
}

/* Known to be older than every other cause that the job did not get over. */
static bool is_earliest(const struct fl_verdict *v, const struct fl_hypothesis *h)
{
    bool earliest = h->why.lasts && v->hypotheses_n > 1;
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        const struct fl_hypothesis *b = &v->hypotheses[i];
        earliest &= b == h || !b->why.lasts || fl_surely_before(&h->why.began, &b->why.began);
    }
    return earliest;
}

static void say_for(struct teller *t)
{
    const struct fl_reasons *why = &t->h->why;
    const struct fl_verdict *v = &t->r->verdict;
    say_sightings(t);
    if (is_earliest(v, t->h)) {
        say_text(t, FL_REASON_FOR, "the earliest of all these causes");
    }
    if (t->h->rule && why->has_steps && why->steps_after == 0 && !t->h->healed &&
        !t->h->explained_by) {
        say_text(t, FL_REASON_FOR, "no step was made after it");
    }
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        const struct fl_hypothesis *b = &v->hypotheses[i];
        if (b->explained_by && strcmp(b->explained_by, t->h->cause->slug) == 0) {
            fl_buf_addf(&t->words, "%s%s (%ld line%s)", t->words.n ? ", " : "", b->cause->slug,
                        b->why.count, b->why.count == 1 ? "" : "s");
        }
    }
    say(t, FL_REASON_EXPLAINS);
}

/* The job got over it, or was over already. */
static void say_healed(struct teller *t)
{
    const struct fl_reasons *why = &t->h->why;
    if (why->after_success) {
        say_text(t, FL_REASON_AGAINST, "it came after the job had said that it was done");
    } else if (why->succeeded) {
        say_text(t, FL_REASON_AGAINST, "the job said afterwards that it was done");
    } else if (t->h->rule && why->steps_after > 0) {
        fl_buf_addf(&t->words, "the job went on: %ld step%s after it%s", why->steps_after,
                    why->steps_after == 1 ? "" : "s",
                    t->h->healed ? "" : ", which may be late output");
        say(t, FL_REASON_AGAINST);
    }
}

static void say_against(struct teller *t)
{
    const struct fl_hypothesis *h = t->h;
    const struct fl_verdict *v = &t->r->verdict;
    const struct fl_hypothesis *lead = &v->hypotheses[0];
    const struct fl_hypothesis *by = find(v, h->explained_by);
    if (h->explained_by) {
        fl_buf_addf(&t->words, "explained by %s", h->explained_by);
        if (by) {
            add_distance(&t->words, &by->why.began, &h->why.began);
        }
        fl_buf_add_text(&t->words, "; only a consequence");
        say(t, FL_REASON_AGAINST);
    }
    if (h->why.symptom && h->why.count) {
        say_text(t, FL_REASON_AGAINST, "its rules name what follows a failure, not what begins it");
    }
    say_healed(t);
    if (h == lead && h->why.doubt > 0.005) {
        fl_buf_addf(&t->words, "%s is nearly as likely (%.2f taken off)",
                    v->hypotheses_n > 1 ? v->hypotheses[1].cause->slug : "another", h->why.doubt);
        say(t, FL_REASON_AGAINST);
    } else if (h == lead && v->outcome == FL_OUTCOME_UNKNOWN) {
        say_text(t, FL_REASON_AGAINST, "too weak a sign to blame it");
    } else if (h != lead && !h->explained_by && !h->healed) {
        bool weaker = h->confidence < lead->confidence;
        fl_buf_addf(&t->words, "%s %s", lead->cause->slug,
                    weaker ? "is a surer sign" : "began earlier and is about as sure");
        add_distance(&t->words, &lead->why.began, &h->why.began);
        say(t, FL_REASON_AGAINST);
    }
}

void fl_explain(const struct fl_result *result, size_t at, fl_reason_sink tell, void *ctx)
{
    struct teller t = {.r = result, .h = &result->verdict.hypotheses[at], .tell = tell, .ctx = ctx};
    fl_buf_init(&t.words, WORDS_BYTES);
    say_for(&t);
    say_against(&t);
    fl_buf_free(&t.words);
}

struct column {
    struct fl_buf *out;
    int last; /* kind of the reason before, -1: none */
};

static void add_reason(void *ctx, enum fl_reason kind, struct fl_str words)
{
    static const char *const labels[] = {"for", "explains", "against"};
    struct column *c = ctx;
    fl_buf_addf(c->out, "       %-9s", (int)kind == c->last ? "" : labels[kind]);
    fl_buf_add_safe(c->out, words);
    fl_buf_add_text(c->out, "\n");
    c->last = (int)kind;
}

void fl_explain_text(const struct fl_result *result, struct fl_buf *out)
{
    const struct fl_verdict *v = &result->verdict;
    fl_buf_addf(out, "\n  why%s\n", v->hypotheses_n ? "" : "     no rule found anything to blame");
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        const struct fl_hypothesis *h = &v->hypotheses[i];
        struct column c = {out, -1};
        fl_buf_addf(out, "    %zu. %s %.2f  ", i + 1, h->cause->slug, h->confidence);
        fl_buf_add_safe(out, h->summary.n ? h->summary : fl_str_of(h->cause->title));
        fl_buf_add_text(out, "\n");
        fl_explain(result, i, add_reason, &c);
    }
}
