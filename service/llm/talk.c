/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are redacted before they are cut, so that no half of a secret gets by. */
#include "service/llm/talk.h"

#include "service/base/fsio.h"

#include <stdint.h>
#include <stdio.h>

enum {
    TEMPLATE_CAP = 256 * 1024,
    PROMPT_CAP = 512 * 1024,
    RAW_LINE_CAP = 16 * 1024, /* of a line, more is not even redacted */
    TRIES = 16                /* objects of an answer that are looked at */
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

enum fl_status fl_talk_open(struct fl_talk *talk, const char *prompts_dir, const char *name,
                            struct fl_err *err)
{
    char file[128];
    fl_redact_init(&talk->redact);
    fl_buf_init(&talk->raw, 4 * RAW_LINE_CAP);
    fl_buf_init(&talk->template, TEMPLATE_CAP);
    fl_buf_init(&talk->schema, TEMPLATE_CAP);
    snprintf(file, sizeof file, "%.100s.md", name);
    enum fl_status status = read_file(prompts_dir, file, &talk->template, err);
    if (status == FL_OK) {
        snprintf(file, sizeof file, "%.100s.schema.json", name);
        status = read_file(prompts_dir, file, &talk->schema, err);
    }
    return status;
}

void fl_talk_close(struct fl_talk *talk)
{
    fl_buf_free(&talk->raw);
    fl_buf_free(&talk->template);
    fl_buf_free(&talk->schema);
}

enum fl_status fl_talk_id(const struct fl_talk *talk, const char *name, struct fl_arena *arena,
                          struct fl_str *out)
{
    struct fl_str template = fl_buf_str(&talk->template);
    const char *at = fl_str_find(template, FL_LIT("\nversion: "));
    long version = 0;
    if (at) {
        struct fl_str digits = fl_str_skip(template, (size_t)(at - template.p) + 10);
        fl_str_take_number(&digits, &version);
    }
    uint64_t mark = hash(hash(0xcbf29ce484222325U, template), fl_buf_str(&talk->schema));
    char id[96];
    snprintf(id, sizeof id, "%.30s/%ld-%016llx", name, version,
             (unsigned long long)mark);
    *out = fl_arena_str(arena, fl_str_of(id));
    return out->p ? FL_OK : FL_NOMEM;
}

enum fl_status fl_talk_line(struct fl_talk *talk, struct fl_str text, size_t head, size_t tail,
                            struct fl_buf *out)
{
    struct fl_buf safe;
    bool cut = text.n > RAW_LINE_CAP;
    text.n = cut ? RAW_LINE_CAP : text.n;
    fl_buf_init(&safe, 16 * RAW_LINE_CAP);
    fl_buf_clear(&talk->raw);
    enum fl_status status = fl_redact_add(&talk->redact, text, &talk->raw);
    if (status == FL_OK) {
        fl_buf_add_safe(&safe, fl_buf_str(&talk->raw));
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

size_t fl_talk_tokens(struct fl_str text)
{
    size_t tokens = 0;
    for (size_t i = 0; i < text.n;) {
        size_t from = i;
        bool digit = fl_is_digit(text.p[i]);
        bool word = fl_is_alpha(text.p[i]);
        while (i < text.n && (digit ? fl_is_digit(text.p[i]) : word && fl_is_alpha(text.p[i]))) {
            i++;
        }
        size_t run = i - from;
        tokens += digit ? (run + 2) / 3 : word ? (run + 5) / 6 : !fl_is_space(text.p[i]);
        i += run == 0;
    }
    return tokens;
}

void fl_talk_fence(const struct fl_str *parts, size_t n, char fence[static 32])
{
    uint64_t mark = 0xcbf29ce484222325U;
    for (size_t i = 0; i < n; i++) {
        mark = hash(mark, parts[i]);
    }
    for (bool found = true; found; mark++) {
        snprintf(fence, 32, "=====%016llx", (unsigned long long)mark);
        found = false;
        for (size_t i = 0; i < n; i++) {
            found |= fl_str_find(parts[i], fl_str_of(fence)) != NULL;
        }
    }
}

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
static struct fl_str fill(struct fl_str text, const struct fl_talk_slot *slots, size_t slots_n,
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

enum fl_status fl_talk_fill(const struct fl_talk *talk, const char *part,
                            const struct fl_talk_slot *slots, size_t n, struct fl_arena *arena,
                            struct fl_str *out, struct fl_err *err)
{
    struct fl_str text = part ? part_of(fl_buf_str(&talk->template), fl_str_of(part))
                              : fl_buf_str(&talk->schema);
    struct fl_str heading = part ? fl_str_trim(fl_str_of(part)) : FL_LIT("the schema");
    char name[40];
    snprintf(name, sizeof name, "%.*s", (int)heading.n, heading.p);
    if (text.n == 0) {
        return fl_fail(err, FL_SYNTAX, "prompt: %s is missing or empty", name);
    }
    struct fl_buf filled;
    fl_buf_init(&filled, PROMPT_CAP);
    struct fl_str unknown = fill(text, slots, n, &filled);
    enum fl_status status = filled.failed;
    if (unknown.p) {
        status = fl_fail(err, FL_SYNTAX, "prompt: %s has an unknown placeholder {{%.*s}}", name,
                         (int)unknown.n, unknown.p);
    } else if (status == FL_OK) {
        *out = fl_arena_str(arena, fl_buf_str(&filled));
        status = out->p ? FL_OK : FL_NOMEM;
    }
    fl_buf_free(&filled);
    return status == FL_OK ? FL_OK
                           : fl_fail(err, status, "prompt: %s: %s", name, fl_status_text(status));
}

/* Length of the balanced {...} at the front of s, 0 when it does not close. */
static size_t balanced(struct fl_str s)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (quoted) {
            i += c == '\\' ? 1 : 0;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{') {
            depth++;
        } else if (c == '}' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

enum fl_status fl_talk_object(struct fl_str answer, const char *key, fl_json **out,
                              struct fl_err *err)
{
    struct fl_str text = answer;
    struct fl_err first = {.status = FL_OK};
    *out = NULL;
    for (int i = 0; i < TRIES; i++) {
        const char *at = text.n ? memchr(text.p, '{', text.n) : NULL;
        if (!at) {
            break;
        }
        text = fl_str_skip(text, (size_t)(at - text.p));
        size_t n = balanced(text);
        struct fl_str object = {text.p, n};
        fl_json *root = NULL;
        if (n && fl_json_parse(object, "answer", &root, &first) == FL_OK) {
            if (fl_json_get(root, key)) {
                *out = root;
                return FL_OK;
            }
            fl_json_free(root);
            fl_fail(&first, FL_SYNTAX, "the object has no \"%s\"", key);
            text = fl_str_skip(text, n - 1);
        }
        text = fl_str_skip(text, 1);
    }
    return fl_fail(err, FL_SYNTAX, "the answer is not the JSON object asked for%s%s",
                   first.status == FL_OK ? "" : ": ", first.status == FL_OK ? "" : first.msg);
}
