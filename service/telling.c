/* SPDX-License-Identifier: Apache-2.0 */
#include "service/telling.h"

#include "service/base/hash.h"
#include "service/llm/ask_choose.h"
#include "service/llm/redact.h"
#include "service/mine.h"
#include "service/pipeline.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 8 * 1024, PRINT_LINES = 2 };

/* 2: proof of the verdict's cause, 1: of another one, 0: of none. */
static unsigned finding_of(const struct fl_verdict *v, const struct fl_view_line *line)
{
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        for (size_t k = 0; k < v->hypotheses[i].evidence_n; k++) {
            const struct fl_place *at = &v->hypotheses[i].evidence[k].place;
            if (at->stream == line->stream && at->offset == line->offset) {
                return i == 0 ? 2 : 1;
            }
        }
    }
    return 0;
}

static struct fl_ask_line line_of(const struct fl_result *r, const struct fl_stream *streams,
                                  const struct fl_view_line *line, const struct fl_view_line *before)
{
    struct fl_form form;
    fl_form_of(&fl_mine_prefixes, line->text, &form);
    return (struct fl_ask_line){.file = fl_str_of(streams[line->stream].name),
                                .line = line->line,
                                .rank = line->rank,
                                .text = line->text,
                                .gap_before = line->line > (before ? before->line : 0) + 1,
                                .kind = fl_hash((struct fl_str){form.text, form.n}, 0),
                                .trouble = line->trouble,
                                .finding = finding_of(&r->verdict, line)};
}

static void fingerprint(struct fl_telling *t)
{
    uint64_t print = 0;
    size_t n = 0;
    for (size_t i = 0; i < t->best_n && n < PRINT_LINES; i++) {
        const struct fl_ask_line *line = &t->lines[t->best[i]];
        if (line->trouble || line->finding) {
            print += line->kind; /* in any order */
            n++;
        }
    }
    snprintf(t->print, sizeof t->print, n ? "1-%016llx" : "", (unsigned long long)print);
}

static void look(const struct fl_result *r, struct fl_telling *t)
{
    for (size_t i = 0; i < t->best_n && t->look_n < FL_TELLING_LOOK; i++) {
        const struct fl_ask_line *line = &t->lines[t->best[i]];
        if (fl_str_trim(line->text).n && line->trouble == t->lines[t->best[0]].trouble) {
            t->look[t->look_n++] = fl_telling_evidence(r, t->best[i]);
        }
    }
}

const struct fl_evidence *fl_telling_shown(const struct fl_result *r, size_t *n_r)
{
    bool failed = r->verdict.outcome == FL_OUTCOME_FAILED;
    bool unknown = r->verdict.outcome == FL_OUTCOME_UNKNOWN;
    const struct fl_hypothesis *h = &r->verdict.hypotheses[0];
    *n_r = failed ? h->evidence_n : unknown ? r->telling.look_n : 0;
    return failed ? h->evidence : r->telling.look;
}

void fl_telling_of(struct fl_result *r, struct fl_telling *out)
{
    uint32_t streams_n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(r->job), &streams_n);
    *out = (struct fl_telling){.n = 0};
    const struct fl_view_line *view = fl_view_lines(fl_job_view(r->job), &out->n);
    out->lines = fl_arena_alloc(&r->arena, (out->n + 1) * sizeof *out->lines);
    struct fl_str *texts = fl_arena_alloc(&r->arena, (out->n + 1) * sizeof *texts);
    out->n = out->lines && texts ? out->n : 0;
    for (size_t i = 0; i < out->n; i++) {
        bool follows = i && view[i - 1].stream == view[i].stream;
        out->lines[i] = line_of(r, streams, &view[i], follows ? &view[i - 1] : NULL);
        texts[i] = view[i].text;
    }
    const struct fl_ask ask = {.lines = out->lines, .lines_n = out->n};
    out->best_n = fl_ask_best(&ask, texts, FL_TELLING_BEST, out->best);
    fingerprint(out);
    look(r, out);
}

struct fl_str fl_telling_text(const struct fl_telling *t, struct fl_arena *arena)
{
    struct fl_buf text;
    fl_buf_init(&text, TEXT_BYTES);
    for (size_t i = 0; i < t->best_n; i++) {
        fl_buf_add_str(&text, t->lines[t->best[i]].text);
        fl_buf_add_text(&text, "\n");
    }
    struct fl_str kept = fl_arena_str(arena, fl_buf_str(&text));
    fl_buf_free(&text);
    return kept.p ? kept : (struct fl_str){"", 0};
}

struct fl_evidence fl_telling_evidence(const struct fl_result *r, size_t index)
{
    size_t n = 0;
    const struct fl_view_line *line = &fl_view_lines(fl_job_view(r->job), &n)[index];
    return (struct fl_evidence){{.stream = line->stream, .line = line->line,
                                 .offset = line->offset, .rank = line->rank, .local_rank = -1,
                                 .gpu = -1}, line->text, NULL};
}

struct fl_str fl_telling_redacted(struct fl_result *r, struct fl_str text)
{
    struct fl_buf out;
    struct fl_str kept = {"", 0};
    fl_buf_init(&out, 2 * text.n + 64);
    if (fl_redact_text(text, &out, NULL) == FL_OK) {
        kept = fl_arena_str(&r->arena, fl_buf_str(&out));
    }
    fl_buf_free(&out);
    return kept.p ? kept : (struct fl_str){"", 0};
}
