/* SPDX-License-Identifier: Apache-2.0 */
/* The question to the model. Log text is hostile: it is redacted, control bytes are written out so
 * that one line stays one line, each line begins with its label, and the whole stands between marks
 * that occur nowhere in it. The mark is taken from the content, not from chance: the same log gives
 * the same prompt. Lines are redacted before they are cut, so that no half of a secret gets by. */
#include "service/base/buf.h"
#include "service/base/fsio.h"
#include "service/base/json.h"
#include "service/llm/ask.h"
#include "service/llm/redact.h"

#include <stdint.h>
#include <stdio.h>

enum {
    TEMPLATE_CAP = 256 * 1024,
    PART_CAP = 256 * 1024,
    PROMPT_CAP = 512 * 1024,
    RAW_LINE_CAP = 16 * 1024, /* of a line, more is not even redacted */
    LINE_HEAD = 440,
    LINE_TAIL = 130,
    LINES_BUDGET = 20000,
    HEAD_SHARE = LINES_BUDGET * 2 / 5,
    LOOKED_AT = 1100, /* lines from either end; the budget never reaches further */
    SIMILAR_MAX = 5,
    FIELD_CAP = 300,
    FINDINGS_CAP = 3000
};

struct slot {
    const char *name;
    struct fl_str value;
};

/* The pieces of one prompt while it is being made. */
struct job {
    const struct fl_ask *ask;
    struct fl_arena *arena;
    struct fl_redact redact;
    struct fl_buf raw; /* scratch: redacted, not yet safe */
    struct fl_buf template, schema;
    struct fl_buf lines, similar, findings, causes, actions;
};

static uint64_t hash(uint64_t seed, struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        seed = (seed ^ (unsigned char)s.p[i]) * 0x100000001b3U;
    }
    return seed;
}

/* The longest beginning of s of at most n bytes that ends between two characters. */
static size_t utf8_floor(struct fl_str s, size_t n)
{
    if (n >= s.n) {
        return s.n;
    }
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

/* ---- lines ---- */

/* Redacts text and writes it out safe for one line, at most head + tail bytes and a mark. */
static enum fl_status add_clean(struct job *job, struct fl_str text, size_t head, size_t tail,
                                struct fl_buf *out)
{
    struct fl_buf safe;
    bool cut = text.n > RAW_LINE_CAP;
    text.n = cut ? RAW_LINE_CAP : text.n;
    fl_buf_init(&safe, 16 * RAW_LINE_CAP);
    fl_buf_clear(&job->raw);
    enum fl_status status = fl_redact_add(&job->redact, text, &job->raw);
    if (status == FL_OK) {
        fl_buf_add_safe(&safe, fl_buf_str(&job->raw));
        status = safe.failed;
    }
    struct fl_str clean = fl_str_trim(fl_buf_str(&safe));
    if (status == FL_OK && clean.n <= head + tail) {
        status = fl_buf_add_str(out, clean);
    } else if (status == FL_OK) {
        size_t first = utf8_floor(clean, head);
        /* The end of what was cut off above may be half a secret: leave it out. */
        size_t last = cut ? clean.n : utf8_floor(clean, clean.n - tail);
        fl_buf_add(out, clean.p, first);
        fl_buf_addf(out, " [... %zu bytes left out ...] ", last - first);
        status = fl_buf_add(out, clean.p + last, clean.n - last);
    }
    fl_buf_free(&safe);
    return status;
}

static bool is_looked_at(const struct fl_ask *ask, size_t i)
{
    return i < LOOKED_AT || ask->lines_n - i <= LOOKED_AT;
}

/* All lines that may be shown, redacted in order, so that the numbers of placeholders rise. */
static enum fl_status clean_lines(struct job *job, struct fl_str *shown)
{
    struct fl_buf line;
    fl_buf_init(&line, 4096);
    enum fl_status status = FL_OK;
    for (size_t i = 0; i < job->ask->lines_n && status == FL_OK; i++) {
        if (!is_looked_at(job->ask, i)) {
            continue;
        }
        fl_buf_clear(&line);
        status = add_clean(job, job->ask->lines[i].text, LINE_HEAD, LINE_TAIL, &line);
        if (status == FL_OK) {
            shown[i] = fl_arena_str(job->arena, fl_buf_str(&line));
            status = shown[i].p ? FL_OK : FL_NOMEM;
        }
    }
    fl_buf_free(&line);
    return status;
}

static size_t cost_of(struct fl_str line)
{
    return line.n + sizeof "L1234 [rank 1234] ";
}

/* Keeps what fits: the beginning gets two fifths of the budget, the end the rest. */
static void choose_lines(const struct fl_ask *ask, struct fl_str *shown)
{
    size_t left = LINES_BUDGET;
    size_t head = 0;
    while (head < ask->lines_n && shown[head].p &&
           LINES_BUDGET - left + cost_of(shown[head]) <= HEAD_SHARE) {
        left -= cost_of(shown[head++]);
    }
    size_t tail = ask->lines_n;
    while (tail > head && shown[tail - 1].p && cost_of(shown[tail - 1]) <= left) {
        left -= cost_of(shown[--tail]);
    }
    for (size_t i = head; i < tail; i++) {
        shown[i] = (struct fl_str){NULL, 0};
    }
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

static enum fl_status add_file(struct job *job, struct fl_str file)
{
    fl_buf_add_text(&job->lines, "[file ");
    enum fl_status status = add_clean(job, file, 160, 60, &job->lines);
    fl_buf_add_text(&job->lines, "]\n");
    return status;
}

static enum fl_status add_lines(struct job *job, const struct fl_str *shown)
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
        enum fl_status status = add_clean(job, incident->cause, FIELD_CAP, 0, out);
        fl_buf_add_text(out, ": ");
        if (status == FL_OK) {
            status = add_clean(job, incident->summary, FIELD_CAP, 0, out);
        }
        if (status == FL_OK && incident->resolution.n) {
            fl_buf_add_text(out, " | resolved by: ");
            status = add_clean(job, incident->resolution, FIELD_CAP, 0, out);
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
        enum fl_status status = add_clean(job, line, LINE_HEAD, LINE_TAIL, &job->findings);
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

/* ---- the template ---- */

/* The text of part `## name`: up to the next part or the end. */
static struct fl_str part_of(struct fl_str template, struct fl_str name)
{
    const char *at = fl_str_find(template, name);
    if (!at) {
        return (struct fl_str){NULL, 0};
    }
    struct fl_str part = fl_str_skip(template, (size_t)(at - template.p) + name.n);
    const char *next = fl_str_find(part, FL_LIT("\n## "));
    part.n = next ? (size_t)(next - part.p) : part.n;
    return fl_str_trim(part);
}

/* Copies `text` with its placeholders filled; what is filled in is not looked at again. Returns
 * the name of a placeholder that nobody fills, else {NULL,0}. */
static struct fl_str fill(struct fl_str text, const struct slot *slots, size_t slots_n,
                          struct fl_buf *out)
{
    for (const char *at; (at = fl_str_find(text, FL_LIT("{{"))) != NULL;) {
        fl_buf_add(out, text.p, (size_t)(at - text.p));
        text = fl_str_skip(text, (size_t)(at - text.p) + 2);
        const char *end = fl_str_find(text, FL_LIT("}}"));
        struct fl_str name = {text.p, end ? (size_t)(end - text.p) : text.n};
        size_t i = 0;
        while (i < slots_n && !fl_str_eq(name, fl_str_of(slots[i].name))) {
            i++;
        }
        if (!end || i == slots_n) {
            name.n = name.n < 40 ? name.n : 40;
            return name;
        }
        fl_buf_add_str(out, fl_str_trim(slots[i].value));
        text = fl_str_skip(text, name.n + 2);
    }
    fl_buf_add_str(out, text);
    return (struct fl_str){NULL, 0};
}

static enum fl_status fill_part(const char *name, struct fl_str text, const struct slot *slots,
                                size_t slots_n, struct fl_arena *arena, struct fl_str *out_r,
                                struct fl_err *err)
{
    if (text.n == 0) {
        return fl_fail(err, FL_SYNTAX, "prompt: %s is missing or empty", name);
    }
    struct fl_buf filled;
    fl_buf_init(&filled, PROMPT_CAP);
    struct fl_str unknown = fill(text, slots, slots_n, &filled);
    enum fl_status status = filled.failed;
    if (unknown.p) {
        status = fl_fail(err, FL_SYNTAX, "prompt: %s has an unknown placeholder {{%.*s}}", name,
                         (int)unknown.n, unknown.p);
    } else if (status == FL_OK) {
        *out_r = fl_arena_str(arena, fl_buf_str(&filled));
        status = out_r->p ? FL_OK : FL_NOMEM;
    }
    fl_buf_free(&filled);
    return status == FL_OK ? FL_OK
                           : fl_fail(err, status, "prompt: %s: %s", name, fl_status_text(status));
}

/* A mark that occurs in none of the parts. */
static void make_fence(const struct job *job, char fence[static 32])
{
    const struct fl_str parts[] = {fl_buf_str(&job->lines), fl_buf_str(&job->similar),
                                   fl_buf_str(&job->findings)};
    size_t parts_n = sizeof parts / sizeof *parts;
    uint64_t mark = 0xcbf29ce484222325U;
    for (size_t i = 0; i < parts_n; i++) {
        mark = hash(mark, parts[i]);
    }
    for (bool found = true; found; mark++) {
        snprintf(fence, 32, "=====%016llx", (unsigned long long)mark);
        found = false;
        for (size_t i = 0; i < parts_n; i++) {
            found |= fl_str_find(parts[i], fl_str_of(fence)) != NULL;
        }
    }
}

static enum fl_status read_file(const char *dir, const char *name, struct fl_buf *out,
                                struct fl_err *err)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path) {
        return fl_fail(err, FL_USAGE, "prompts folder: the name is too long");
    }
    return fl_fsio_read(path, out, err);
}

static enum fl_status make_id(struct job *job, struct fl_ask_prompt *out)
{
    struct fl_str template = fl_buf_str(&job->template);
    const char *at = fl_str_find(template, FL_LIT("\nversion: "));
    long version = 0;
    if (at) {
        struct fl_str digits = fl_str_skip(template, (size_t)(at - template.p) + 10);
        fl_str_take_number(&digits, &version);
    }
    uint64_t mark = hash(hash(0xcbf29ce484222325U, template), fl_buf_str(&job->schema));
    char id[64];
    snprintf(id, sizeof id, "diagnose/%ld-%016llx", version, (unsigned long long)mark);
    out->id = fl_arena_str(job->arena, fl_str_of(id));
    return out->id.p ? FL_OK : FL_NOMEM;
}

/* ---- all together ---- */

static enum fl_status gather(struct job *job, struct fl_ask_prompt *out)
{
    enum fl_status status = make_id(job, out);
    if (status == FL_OK) {
        status = clean_lines(job, out->shown);
    }
    if (status == FL_OK) {
        choose_lines(job->ask, out->shown);
        job->redact.in_key_block = false;
        status = add_lines(job, out->shown);
    }
    if (status == FL_OK) {
        status = add_similar(job);
    }
    return status == FL_OK ? add_findings(job) : status;
}

static enum fl_status fill_all(struct job *job, struct fl_ask_prompt *out, struct fl_err *err)
{
    char fence[32];
    make_fence(job, fence);
    add_lists(job, ", ");
    const struct slot slots[] = {
        {"lines", fl_buf_str(&job->lines)},       {"similar", fl_buf_str(&job->similar)},
        {"findings", fl_buf_str(&job->findings)}, {"causes", fl_buf_str(&job->causes)},
        {"actions", fl_buf_str(&job->actions)},   {"fence", fl_str_of(fence)},
    };
    size_t slots_n = sizeof slots / sizeof *slots;
    struct fl_str template = fl_buf_str(&job->template);
    enum fl_status status = fill_part("part system", part_of(template, FL_LIT("\n## system\n")),
                                      slots, slots_n, job->arena, &out->system, err);
    if (status == FL_OK) {
        status = fill_part("part user", part_of(template, FL_LIT("\n## user\n")), slots, slots_n,
                           job->arena, &out->user, err);
    }
    if (status != FL_OK) {
        return status;
    }
    /* In the schema the list stands inside quotation marks. */
    add_lists(job, "\", \"");
    const struct slot lists[] = {{"causes", fl_buf_str(&job->causes)},
                                 {"actions", fl_buf_str(&job->actions)}};
    return fill_part("schema", fl_buf_str(&job->schema), lists, 2, job->arena, &out->schema, err);
}

static enum fl_status render(struct job *job, const char *prompts_dir, struct fl_ask_prompt *out,
                             struct fl_err *err)
{
    enum fl_status status = read_file(prompts_dir, "diagnose.md", &job->template, err);
    if (status == FL_OK) {
        status = read_file(prompts_dir, "diagnose.schema.json", &job->schema, err);
    }
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
    fl_redact_init(&job.redact);
    fl_buf_init(&job.raw, 4 * RAW_LINE_CAP);
    fl_buf_init(&job.template, TEMPLATE_CAP);
    fl_buf_init(&job.schema, TEMPLATE_CAP);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fl_buf_init(parts[i], PART_CAP);
    }
    enum fl_status status = render(&job, prompts_dir ? prompts_dir : "prompts", out, err);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fl_buf_free(parts[i]);
    }
    fl_buf_free(&job.schema);
    fl_buf_free(&job.template);
    fl_buf_free(&job.raw);
    if (status != FL_OK) {
        *out = (struct fl_ask_prompt){.shown = NULL};
    }
    return status;
}
