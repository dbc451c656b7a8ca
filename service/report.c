/* SPDX-License-Identifier: Apache-2.0 */
/* Text and Markdown. Every byte of a log, an incident or a model passes fl_buf_add_safe; long lines
 * are shortened around what proves the point. The text stays under 40 lines. */
#include "service/report.h"

#include "service/base/markup.h"
#include "service/report_ci.h"
#include "service/report_explain.h"
#include "service/report_json.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const double telling = 0.3;

enum { SHOWN_BYTES = 160, AROUND = 2, AROUND_BYTES = 8 * 1024 };

struct style {
    const char *bold;
    const char *red;
    const char *green;
    const char *dim;
    const char *off;
};

static void add_short(struct fl_buf *out, struct fl_str text)
{
    text = fl_str_trim(text);
    bool cut = text.n > SHOWN_BYTES;
    text.n = cut ? SHOWN_BYTES : text.n;
    fl_buf_add_safe(out, text);
    fl_buf_add_text(out, cut ? " ..." : "");
}

static const struct fl_stream *stream_of(const struct fl_result *r, uint32_t stream)
{
    uint32_t n = 0;
    return &fl_diagnosis_streams(fl_job_diagnosis(r->job), &n)[stream];
}

static void add_where(struct fl_buf *out, const struct fl_place *p)
{
    const char *comma = "";
    if (p->rank >= 0) {
        fl_buf_addf(out, "rank %ld", p->rank);
        comma = ", ";
    }
    if (p->local_rank >= 0) {
        fl_buf_addf(out, "%slocal rank %ld", comma, p->local_rank);
        comma = ", ";
    }
    if (p->node.n) {
        fl_buf_addf(out, "%snode ", comma);
        fl_buf_add_safe(out, p->node);
        comma = ", ";
    }
    if (p->gpu >= 0) {
        fl_buf_addf(out, "%sGPU %ld", comma, p->gpu);
    }
}

/* A few lines of the file around the evidence, when it is a plain file still there. */
struct around {
    char bytes[2 * AROUND_BYTES];
    struct fl_str before[AROUND];
    struct fl_str after[AROUND];
    size_t before_n;
    size_t after_n;
};

static void take_after(struct around *a, struct fl_str rest)
{
    const char *nl = memchr(rest.p, '\n', rest.n);
    while (nl && a->after_n < AROUND) {
        rest = fl_str_skip(rest, (size_t)(nl + 1 - rest.p));
        nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl ? (size_t)(nl - rest.p) : rest.n;
        if (n) {
            a->after[a->after_n++] = (struct fl_str){rest.p, n};
        }
    }
}

static void take_before(struct around *a, struct fl_str head)
{
    struct fl_str found[AROUND];
    size_t n = 0;
    head.n -= head.n && head.p[head.n - 1] == '\n';
    while (head.n && n < AROUND) {
        const char *nl = memrchr(head.p, '\n', head.n);
        const char *start = nl ? nl + 1 : head.p;
        found[n++] = (struct fl_str){start, (size_t)(head.p + head.n - start)};
        head.n = nl ? (size_t)(nl - head.p) : 0;
    }
    while (n) {
        a->before[a->before_n++] = found[--n];
    }
}

static void read_around(const struct fl_result *r, const struct fl_place *p, struct around *a)
{
    const struct fl_stream *s = stream_of(r, p->stream);
    uint64_t from = p->offset > AROUND_BYTES ? p->offset - AROUND_BYTES : 0;
    a->before_n = a->after_n = 0;
    int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return;
    }
    ssize_t got = pread(fd, a->bytes, sizeof a->bytes, (off_t)from);
    unsigned char magic[2] = {0, 0};
    bool plain = pread(fd, magic, 2, 0) == 2 && !(magic[0] == 0x1f && magic[1] == 0x8b) &&
                 !(magic[0] == 0x28 && magic[1] == 0xb5);
    close(fd);
    size_t at = (size_t)(p->offset - from);
    if (got > 0 && plain && (size_t)got > at) {
        take_before(a, (struct fl_str){a->bytes, at});
        take_after(a, (struct fl_str){a->bytes + at, (size_t)got - at});
    }
}

static void add_context(struct fl_buf *out, const struct style *st, const struct fl_str *lines,
                        size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *cr = memrchr(lines[i].p, '\r', lines[i].n);
        struct fl_str text = lines[i];
        if (cr && cr + 1 < text.p + text.n) {
            text = fl_str_skip(text, (size_t)(cr + 1 - text.p));
        }
        fl_buf_addf(out, "    %s  ", st->dim);
        add_short(out, text);
        fl_buf_addf(out, "%s\n", st->off);
    }
}

static void add_proof(const struct fl_result *r, const struct style *st, struct fl_buf *out)
{
    const struct fl_hypothesis *h = &r->verdict.hypotheses[0];
    struct around around;
    if (h->evidence_n == 0) {
        return;
    }
    const struct fl_evidence *e = &h->evidence[0];
    read_around(r, &e->place, &around);
    fl_buf_addf(out, "  proof   ");
    fl_buf_add_safe(out, fl_str_of(stream_of(r, e->place.stream)->name));
    fl_buf_addf(out, ":%ld%s%s%s\n", e->place.line, e->rule ? "  (rule " : "", e->rule ? e->rule : "",
                e->rule ? ")" : "");
    add_context(out, st, around.before, around.before_n);
    fl_buf_addf(out, "    %s> ", st->bold);
    add_short(out, e->text);
    fl_buf_addf(out, "%s\n", st->off);
    add_context(out, st, around.after, around.after_n);
    for (size_t i = 1; i < h->evidence_n && i < 3; i++) {
        fl_buf_add_text(out, "  also    ");
        fl_buf_add_safe(out, fl_str_of(stream_of(r, h->evidence[i].place.stream)->name));
        fl_buf_addf(out, ":%ld  ", h->evidence[i].place.line);
        add_short(out, h->evidence[i].text);
        fl_buf_add_text(out, "\n");
    }
}

/* What the numbers show beside the verdict: its own summary may be one of them. */
static void add_signals(const struct fl_result *r, struct fl_buf *out)
{
    const struct fl_verdict *v = &r->verdict;
    size_t told = 0;
    for (size_t i = 0; i < v->signals_n && told < 3; i++) {
        const struct fl_signal *s = &v->signals[i];
        if (s->severity < FL_SEVERITY_MEDIUM || fl_str_eq(fl_str_of(s->text), v->summary)) {
            continue;
        }
        told++;
        fl_buf_add_text(out, "  signal  ");
        fl_buf_add_safe(out, fl_str_of(stream_of(r, s->stream)->name));
        fl_buf_addf(out, ":%ld  ", s->line);
        fl_buf_add_safe(out, fl_str_of(s->text));
        fl_buf_add_text(out, "\n");
    }
}

/* Where nothing is known. */
static void add_look(const struct fl_result *r, struct fl_buf *out)
{
    size_t n = 0;
    const struct fl_evidence *e = fl_telling_shown(r, &n);
    for (size_t i = 0; i < n; i++) {
        fl_buf_add_text(out, i ? "          " : "  look at ");
        fl_buf_add_safe(out, fl_str_of(stream_of(r, e[i].place.stream)->name));
        fl_buf_addf(out, ":%ld  ", e[i].place.line);
        add_short(out, e[i].text);
        fl_buf_add_text(out, "\n");
    }
}

static void add_progress(const struct fl_verdict *v, struct fl_buf *out)
{
    if (v->last_step < 0 && v->checkpoint < 0) {
        return;
    }
    fl_buf_add_text(out, "  reached ");
    if (v->last_step >= 0) {
        fl_buf_addf(out, "step %ld", v->last_step);
    }
    if (v->checkpoint >= 0) {
        fl_buf_addf(out, "%scheckpoint saved at step %ld", v->last_step >= 0 ? ", " : "",
                    v->checkpoint);
    }
    if (v->lost_steps > 0) {
        fl_buf_addf(out, " (%ld steps lost)", v->lost_steps);
    }
    fl_buf_add_text(out, "\n");
}

static void add_symptoms(const struct fl_result *r, struct fl_buf *out)
{
    const struct fl_verdict *v = &r->verdict;
    const char *lead = "  noise   ";
    const struct fl_place *proof =
        v->outcome == FL_OUTCOME_FAILED ? &v->hypotheses[0].evidence[0].place : NULL;
    for (size_t i = 0; i < v->symptoms_n && i < 4; i++) {
        const struct fl_symptom *s = &v->symptoms[i];
        if (proof && s->first.stream == proof->stream && s->first.line == proof->line) {
            continue; /* the proving line under a second name */
        }
        fl_buf_addf(out, "%s%s x%ld (first ", lead, s->cause, s->count);
        lead = "          ";
        fl_buf_add_safe(out, fl_str_of(stream_of(r, s->first.stream)->name));
        fl_buf_addf(out, ":%ld)%s\n", s->first.line,
                    v->outcome == FL_OUTCOME_FAILED ? ": a consequence, or harmless"
                                                    : ": harmless here");
    }
    if (v->symptoms_n > 4) {
        fl_buf_addf(out, "          and %zu more kinds\n", v->symptoms_n - 4);
    }
}

static void add_other_causes(const struct fl_verdict *v, struct fl_buf *out)
{
    const char *lead = "  or else ";
    for (size_t i = 1; i < v->hypotheses_n && i < 4; i++) {
        const struct fl_hypothesis *h = &v->hypotheses[i];
        if (!h->explained_by && !h->healed && h->score > 0.3) {
            fl_buf_addf(out, "%s%s (%.0f %%)", lead, h->cause->slug, h->confidence * 100);
            lead = ", ";
        }
    }
    if (*lead == ',') {
        fl_buf_add_text(out, "\n");
    }
}

static void add_similar(const struct fl_result *r, struct fl_buf *out)
{
    const char *lead = "  before  ";
    for (size_t i = 0; i < r->similar.n; i++) {
        const struct fl_hit *hit = &r->similar.list[i];
        bool same = r->verdict.cause &&
                    fl_str_eq(hit->incident.cause, fl_str_of(r->verdict.cause->slug));
        bool open = r->verdict.outcome == FL_OUTCOME_UNKNOWN && hit->similarity >= telling;
        if (!same && !open) { /* another cause's fix misleads */
            continue;
        }
        fl_buf_addf(out, "%s%.0f %% like ", lead, hit->similarity * 100);
        lead = "          ";
        fl_buf_add_safe(out, hit->incident.id);
        fl_buf_add_text(out, ": ");
        if (hit->incident.resolution.n) {
            add_short(out, hit->incident.resolution);
        } else {
            fl_buf_add_safe(out, hit->incident.cause);
            fl_buf_add_text(out, ", no remedy was noted");
        }
        fl_buf_add_text(out, "\n");
    }
}

/* What it is remembered as, and how to say what it really was. */
static void add_memory(const struct fl_result *r, struct fl_buf *out)
{
    if (r->incident.n == 0 || !r->keeps) {
        return;
    }
    fl_buf_addf(out, "  memory  %.*s", (int)r->incident.n, r->incident.p);
    if (r->seen.jobs) {
        fl_buf_addf(out, ", seen in %ld job%s since %.10s", r->seen.jobs,
                    r->seen.jobs == 1 ? "" : "s", r->seen.first);
    }
    fl_buf_addf(out, r->verdict.cause ? "; right? faultline feedback %.*s correct|wrong\n"
                                      : "; found out? faultline feedback %.*s correct --cause CAUSE\n",
                (int)r->incident.n, r->incident.p);
}

static void add_totals(const struct fl_result *r, const struct style *st, struct fl_buf *out)
{
    uint32_t n = 0;
    long lines = 0;
    long kept = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &n);
    for (uint32_t i = 0; i < n; i++) {
        lines += streams[i].lines;
        kept += streams[i].kept;
        if (streams[i].fault) {
            fl_buf_add_text(out, "  caution ");
            fl_buf_add_safe(out, fl_str_of(streams[i].fault));
            fl_buf_add_text(out, "\n");
        }
    }
    for (size_t i = 0; i < r->warnings_n; i++) {
        fl_buf_addf(out, "  caution %s\n", r->warnings[i]);
    }
    fl_buf_addf(out, "%s%u stream%s, %ld lines, %ld not routine, %.3f s", st->dim, n,
                n == 1 ? "" : "s", lines, kept, r->seconds);
    if (r->model_calls) {
        fl_buf_addf(out, ", %ld model call%s, %ld tokens", r->model_calls,
                    r->model_calls == 1 ? "" : "s", r->asked_tokens + r->answer_tokens);
    }
    fl_buf_addf(out, "%s\n", st->off);
}

static void add_headline(const struct fl_verdict *v, const struct style *st, struct fl_buf *out)
{
    const char *colour = v->outcome == FL_OUTCOME_FAILED    ? st->red
                         : v->outcome == FL_OUTCOME_HEALTHY ? st->green
                                                            : st->bold;
    static const char *const words[] = {"FAILED", "HEALTHY", "UNKNOWN"};
    fl_buf_addf(out, "%s%s%s", colour, words[v->outcome], st->off);
    if (v->outcome == FL_OUTCOME_FAILED) {
        fl_buf_addf(out, "  %s%s%s  %s, %s severity, %.0f %% sure (by %s)", st->bold,
                    v->cause->slug, st->off, v->cause->category, fl_severity_name(v->severity),
                    v->confidence * 100, fl_method_name(v->method));
    }
    fl_buf_add_text(out, "\n  ");
    fl_buf_add_safe(out, v->summary);
    fl_buf_add_text(out, "\n\n");
}

static void add_remedy_line(const struct fl_verdict *v, const struct style *st, struct fl_buf *out)
{
    bool first = strcmp(v->action, "drain_node") == 0 || strncmp(v->action, "fix_", 4) == 0 ||
                 strcmp(v->action, "increase_limit") == 0;
    const char *then = !v->recoverable ? "  (a plain restart would fail again)"
                       : first         ? "  (then restart)"
                                       : "";
    fl_buf_addf(out, "  %sdo      %s%s%s\n", st->bold, v->action, st->off, then);
}

static void add_text(const struct fl_result *r, const struct style *st, bool explain,
                     struct fl_buf *out)
{
    const struct fl_verdict *v = &r->verdict;
    add_headline(v, st, out);
    if (v->outcome == FL_OUTCOME_FAILED) {
        size_t before = out->n;
        fl_buf_add_text(out, "  where   ");
        size_t empty = out->n;
        add_where(out, &v->faulty);
        if (out->n == empty) {
            out->n = before;
        } else {
            fl_buf_add_text(out, "\n");
        }
        add_remedy_line(v, st, out);
        add_proof(r, st, out);
    }
    if (v->outcome == FL_OUTCOME_UNKNOWN) {
        add_look(r, out);
    }
    add_signals(r, out);
    add_progress(v, out);
    add_symptoms(r, out);
    if (v->outcome == FL_OUTCOME_FAILED) {
        add_other_causes(v, out);
        fl_buf_add_text(out, "\n");
        for (size_t i = 0; i < v->recovery_n && i < 5; i++) {
            fl_buf_addf(out, "%s%zu. ", i ? "          " : "  steps   ", i + 1);
            fl_buf_add_safe(out, fl_str_of(v->recovery[i]));
            fl_buf_add_text(out, "\n");
        }
    }
    if (v->outcome == FL_OUTCOME_UNKNOWN) {
        fl_buf_add_text(out, "  do      read the end of the log; set OPENAI_BASE_URL and "
                             "FAULTLINE_MODEL to ask a model\n");
    }
    add_similar(r, out);
    add_memory(r, out);
    if (explain) {
        fl_explain_text(r, out);
    }
    add_totals(r, st, out);
}

static void add_reason(void *ctx, enum fl_reason kind, struct fl_str words)
{
    static const char *const labels[] = {"for", "explains", "against"};
    struct fl_buf *out = ctx;
    fl_buf_addf(out, "   - %s: ", labels[kind]);
    fl_markup_markdown(out, words);
    fl_buf_add_text(out, "\n");
}

static void add_markdown_why(const struct fl_result *r, struct fl_buf *out)
{
    const struct fl_verdict *v = &r->verdict;
    fl_buf_add_text(out, v->hypotheses_n ? "\nWhy:\n\n" : "");
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        fl_buf_addf(out, "%zu. `%s` %.2f\n", i + 1, v->hypotheses[i].cause->slug,
                    v->hypotheses[i].confidence);
        fl_explain(r, i, add_reason, out);
    }
}

static void add_markdown_lines(const struct fl_result *r, struct fl_buf *out)
{
    size_t n = 0;
    const struct fl_evidence *e = fl_telling_shown(r, &n);
    for (size_t i = 0; i < n; i++) {
        fl_buf_add_text(out, "- ");
        fl_markup_markdown(out, fl_str_of(stream_of(r, e[i].place.stream)->name));
        fl_buf_addf(out, ":%ld: ", e[i].place.line);
        fl_markup_markdown(out, e[i].text);
        fl_buf_add_text(out, "\n");
    }
}

static void add_markdown(const struct fl_result *r, bool explain, struct fl_buf *out)
{
    const struct fl_verdict *v = &r->verdict;
    bool failed = v->outcome == FL_OUTCOME_FAILED;
    fl_buf_addf(out, "## %s%s%s\n\n", fl_outcome_name(v->outcome), failed ? ": " : "",
                failed ? v->cause->slug : "");
    fl_markup_markdown(out, v->summary);
    fl_buf_add_text(out, "\n\n");
    if (failed) {
        fl_buf_addf(out, "- **confidence** %.2f (%s), **severity** %s\n", v->confidence,
                    fl_method_name(v->method), fl_severity_name(v->severity));
        fl_buf_add_text(out, "- **where** ");
        struct fl_buf where;
        fl_buf_init(&where, 1024);
        add_where(&where, &v->faulty);
        fl_markup_markdown(out, where.n ? fl_buf_str(&where) : FL_LIT("not said in the log"));
        fl_buf_free(&where);
        fl_buf_addf(out, "\n- **action** `%s`\n", v->action);
        add_markdown_lines(r, out);
        fl_buf_add_text(out, "\nWhat to do:\n\n");
        for (size_t i = 0; i < v->recovery_n; i++) {
            fl_buf_addf(out, "%zu. ", i + 1);
            fl_markup_markdown(out, fl_str_of(v->recovery[i]));
            fl_buf_add_text(out, "\n");
        }
    }
    if (v->outcome == FL_OUTCOME_UNKNOWN && r->telling.look_n) {
        fl_buf_add_text(out, "Look at:\n\n");
        add_markdown_lines(r, out);
    }
    for (size_t i = 0; i < v->symptoms_n; i++) {
        fl_buf_addf(out, "%s`%s` x %ld", i ? ", " : "\nSymptoms only: ", v->symptoms[i].cause,
                    v->symptoms[i].count);
    }
    fl_buf_add_text(out, "\n");
    for (size_t i = 0; i < r->warnings_n; i++) {
        fl_buf_add_text(out, "\nCaution: ");
        fl_markup_markdown(out, fl_str_of(r->warnings[i]));
        fl_buf_add_text(out, "\n");
    }
    if (explain) {
        add_markdown_why(r, out);
    }
}

enum fl_status fl_report(const struct fl_result *result, const struct fl_report_options *options,
                         struct fl_buf *out, struct fl_err *err)
{
    static const struct style plain = {"", "", "", "", ""};
    static const struct style colour = {"\x1b[1m", "\x1b[1;31m", "\x1b[1;32m", "\x1b[2m",
                                        "\x1b[0m"};
    switch (options->format) {
    case FL_FORMAT_TEXT:
        add_text(result, options->colour ? &colour : &plain, options->explain, out);
        break;
    case FL_FORMAT_JSON:
        fl_report_json(result, options->explain, out);
        break;
    case FL_FORMAT_MARKDOWN:
        add_markdown(result, options->explain, out);
        break;
    case FL_FORMAT_JUNIT:
        fl_report_junit(result, out);
        break;
    case FL_FORMAT_GITHUB:
        fl_report_github(result, out);
        break;
    }
    return out->failed ? fl_fail(err, out->failed, "the report is too large") : FL_OK;
}
