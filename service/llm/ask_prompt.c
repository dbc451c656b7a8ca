/* SPDX-License-Identifier: Apache-2.0 */
/* The question to the model. Log text is hostile: it is redacted, control bytes are written out so
 * that one line stays one line, each line begins with its label, and the whole stands between marks
 * that occur nowhere in it. The mark is taken from the content, not from chance: the same log gives
 * the same prompt. Lines are redacted before they are cut, so that no half of a secret gets by. */
#include "service/llm/ask_choose.h"
#include "service/llm/talk.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PART_CAP = 256 * 1024,
    LINE_HEAD = 440,
    LINE_TAIL = 130,
    SIMILAR_MAX = 3,
    FIELD_CAP = 260,
    FINDINGS_CAP = 2000
};

/* The pieces of one prompt while it is being made. */
struct job {
    const struct fl_ask *ask;
    struct fl_arena *arena;
    struct fl_talk talk;
    struct fl_buf lines, similar, findings, causes, actions;
};

/* ---- lines ---- */

/* All lines, redacted in order, so that the numbers of placeholders rise. */
static enum fl_status clean_lines(struct job *job, struct fl_str *clean)
{
    struct fl_buf line;
    fl_buf_init(&line, 4096);
    enum fl_status status = FL_OK;
    for (size_t i = 0; i < job->ask->lines_n && status == FL_OK; i++) {
        fl_buf_clear(&line);
        status = fl_talk_line(&job->talk, job->ask->lines[i].text, LINE_HEAD, LINE_TAIL, &line);
        if (status == FL_OK) {
            clean[i] = fl_arena_str(job->arena, fl_buf_str(&line));
            status = clean[i].p ? FL_OK : FL_NOMEM;
        }
    }
    fl_buf_free(&line);
    return status;
}

/* A mark between the shown lines `previous` and `next`, when something is missing there. */
static void add_gap(const struct fl_ask *ask, size_t previous, size_t next, struct fl_buf *out)
{
    const struct fl_ask_line *a = &ask->lines[previous];
    const struct fl_ask_line *b = &ask->lines[next];
    bool gap = next - previous > 1;
    for (size_t i = previous + 1; i <= next; i++) {
        gap |= ask->lines[i].gap_before;
    }
    if (!gap) {
        return;
    }
    bool same = fl_str_eq(a->file, b->file) && a->line > 0 && b->line > a->line;
    long count = same ? b->line - a->line - 1 : (long)(next - previous - 1);
    if (count > 0) {
        fl_buf_addf(out, "[... %ld lines left out ...]\n", count);
    } else {
        fl_buf_add_text(out, "[... lines left out ...]\n");
    }
}

static void add_likes(const struct fl_ask_choice *choice, struct fl_buf *out)
{
    if (choice->likes) {
        fl_buf_addf(out, "[%zu more like it, the last is L%zu", choice->likes, choice->last + 1);
        fl_buf_addf(out, choice->ranks > 1 ? "; %zu ranks]\n" : "]\n", choice->ranks);
    }
}

static enum fl_status add_file(struct job *job, struct fl_str file)
{
    fl_buf_add_text(&job->lines, "[file ");
    enum fl_status status = fl_talk_line(&job->talk, file, 160, 60, &job->lines);
    fl_buf_add_text(&job->lines, "]\n");
    return status;
}

static enum fl_status add_lines(struct job *job, const struct fl_str *shown,
                                const struct fl_ask_choice *choice)
{
    const struct fl_ask *ask = job->ask;
    size_t previous = ask->lines_n;
    for (size_t i = 0; i < ask->lines_n; i++) {
        const struct fl_ask_line *line = &ask->lines[i];
        if (!shown[i].p) {
            continue;
        }
        if (previous < ask->lines_n) {
            add_gap(ask, previous, i, &job->lines);
        } else if (line->gap_before || i > 0) {
            fl_buf_add_text(&job->lines, "[... lines left out ...]\n");
        }
        bool new_file =
            previous == ask->lines_n || !fl_str_eq(ask->lines[previous].file, line->file);
        if (new_file && line->file.n && add_file(job, line->file) != FL_OK) {
            return FL_NOMEM;
        }
        fl_buf_addf(&job->lines, "L%zu ", i + 1);
        if (line->rank >= 0) {
            fl_buf_addf(&job->lines, "[rank %ld] ", line->rank);
        }
        fl_buf_add_str(&job->lines, shown[i]);
        fl_buf_add_text(&job->lines, "\n");
        add_likes(&choice[i], &job->lines);
        previous = i;
    }
    return job->lines.failed;
}

/* ---- the other parts ---- */

static enum fl_status add_similar(struct job *job)
{
    struct fl_buf *out = &job->similar;
    for (size_t i = 0; i < job->ask->similar_n && i < SIMILAR_MAX; i++) {
        const struct fl_ask_incident *incident = &job->ask->similar[i];
        fl_buf_addf(out, "- similarity %.2f, cause ", incident->similarity);
        enum fl_status status = fl_talk_line(&job->talk, incident->cause, FIELD_CAP, 0, out);
        fl_buf_add_text(out, ": ");
        if (status == FL_OK) {
            status = fl_talk_line(&job->talk, incident->summary, FIELD_CAP, 0, out);
        }
        if (status == FL_OK && incident->resolution.n) {
            fl_buf_add_text(out, " | resolved by: ");
            status = fl_talk_line(&job->talk, incident->resolution, FIELD_CAP, 0, out);
        }
        fl_buf_add_text(out, "\n");
        if (status != FL_OK) {
            return status;
        }
    }
    if (out->n == 0) {
        fl_buf_add_text(out, "none\n");
    }
    return out->failed;
}

static enum fl_status add_findings(struct job *job)
{
    struct fl_str text = fl_str_of(job->ask->findings ? job->ask->findings : "");
    text = fl_str_trim(text);
    while (text.n && job->findings.n < FINDINGS_CAP) {
        const char *end = memchr(text.p, '\n', text.n);
        struct fl_str line = {text.p, end ? (size_t)(end - text.p) : text.n};
        enum fl_status status = fl_talk_line(&job->talk, line, LINE_HEAD, LINE_TAIL, &job->findings);
        if (status != FL_OK) {
            return status;
        }
        fl_buf_add_text(&job->findings, "\n");
        text = fl_str_skip(text, line.n + (end ? 1 : 0));
    }
    if (text.n) {
        fl_buf_add_text(&job->findings, "[... more findings left out ...]\n");
    }
    if (job->findings.n == 0) {
        fl_buf_add_text(&job->findings, "nothing\n");
    }
    return job->findings.failed;
}

static void add_item(struct fl_buf *out, const char *item, const char *between)
{
    if (out->n) {
        fl_buf_add_text(out, between);
    }
    fl_buf_add_text(out, item);
}

/* The lists, joined by `between`. */
static void add_lists(struct job *job, const char *between)
{
    fl_buf_clear(&job->causes);
    fl_buf_clear(&job->actions);
    bool has_unknown = false;
    for (size_t i = 0; i < job->ask->causes_n; i++) {
        add_item(&job->causes, job->ask->causes[i], between);
        has_unknown |= strcmp(job->ask->causes[i], "unknown") == 0;
    }
    if (!has_unknown) {
        add_item(&job->causes, "unknown", between);
    }
    for (size_t i = 0; i < job->ask->actions_n; i++) {
        add_item(&job->actions, job->ask->actions[i], between);
    }
}

/* ---- all together ---- */

static enum fl_status choose(struct job *job, struct fl_str *shown)
{
    const struct fl_ask *ask = job->ask;
    struct fl_err ignored = {0};
    struct fl_ask_choice *choice = calloc(ask->lines_n + 1, sizeof *choice);
    enum fl_status status = choice ? clean_lines(job, shown) : FL_NOMEM;
    if (status == FL_OK) {
        status = fl_ask_choose(ask, shown, ask->budget ? ask->budget : FL_ASK_TOKENS, choice,
                               &ignored);
    }
    for (size_t i = 0; status == FL_OK && i < ask->lines_n; i++) {
        shown[i] = choice[i].shown ? shown[i] : (struct fl_str){NULL, 0};
    }
    if (status == FL_OK) {
        job->talk.redact.in_key_block = false;
        status = add_lines(job, shown, choice);
    }
    free(choice);
    return status;
}

static enum fl_status gather(struct job *job, struct fl_ask_prompt *out)
{
    enum fl_status status = fl_talk_id(&job->talk, "diagnose", job->arena, &out->id);
    if (status == FL_OK) {
        status = choose(job, out->shown);
    }
    if (status == FL_OK) {
        status = add_similar(job);
    }
    return status == FL_OK ? add_findings(job) : status;
}

static enum fl_status fill_all(struct job *job, struct fl_ask_prompt *out, struct fl_err *err)
{
    const struct fl_str parts[] = {fl_buf_str(&job->lines), fl_buf_str(&job->similar),
                                   fl_buf_str(&job->findings)};
    char fence[32];
    fl_talk_fence(parts, sizeof parts / sizeof *parts, fence);
    add_lists(job, ", ");
    const struct fl_talk_slot slots[] = {
        {"lines", parts[0]},    {"similar", parts[1]},
        {"findings", parts[2]}, {"causes", fl_buf_str(&job->causes)},
        {"actions", fl_buf_str(&job->actions)}, {"fence", fl_str_of(fence)},
    };
    size_t n = sizeof slots / sizeof *slots;
    enum fl_status status =
        fl_talk_fill(&job->talk, "\n## system\n", slots, n, job->arena, &out->system, err);
    if (status == FL_OK) {
        status = fl_talk_fill(&job->talk, "\n## user\n", slots, n, job->arena, &out->user, err);
    }
    if (status != FL_OK) {
        return status;
    }
    /* In the schema the list stands inside quotation marks. */
    add_lists(job, "\", \"");
    const struct fl_talk_slot lists[] = {{"causes", fl_buf_str(&job->causes)},
                                         {"actions", fl_buf_str(&job->actions)}};
    status = fl_talk_fill(&job->talk, NULL, lists, 2, job->arena, &out->schema, err);
    out->tokens = fl_talk_tokens(out->system) + fl_talk_tokens(out->user) +
                  fl_talk_tokens(out->schema);
    return status;
}

static enum fl_status render(struct job *job, const char *prompts_dir, struct fl_ask_prompt *out,
                             struct fl_err *err)
{
    enum fl_status status = fl_talk_open(&job->talk, prompts_dir, "diagnose", err);
    if (status != FL_OK) {
        return status;
    }
    out->shown = fl_arena_alloc(job->arena, (job->ask->lines_n + 1) * sizeof *out->shown);
    status = out->shown ? gather(job, out) : FL_NOMEM;
    if (status != FL_OK) {
        return fl_fail(err, status, "prompt: %s", fl_status_text(status));
    }
    return fill_all(job, out, err);
}

enum fl_status fl_ask_render(const char *prompts_dir, const struct fl_ask *ask,
                             struct fl_arena *arena, struct fl_ask_prompt *out, struct fl_err *err)
{
    struct job job = {.ask = ask, .arena = arena};
    struct fl_buf *const parts[] = {&job.lines, &job.similar, &job.findings, &job.causes,
                                    &job.actions};
    *out = (struct fl_ask_prompt){.shown = NULL};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fl_buf_init(parts[i], PART_CAP);
    }
    enum fl_status status = render(&job, prompts_dir ? prompts_dir : "prompts", out, err);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fl_buf_free(parts[i]);
    }
    fl_talk_close(&job.talk);
    if (status != FL_OK) {
        *out = (struct fl_ask_prompt){.shown = NULL};
    }
    return status;
}
