/* SPDX-License-Identifier: Apache-2.0 */
/* The answer of the model, taken as hostile input. Shape and closed lists first, then the quotes:
 * a quote counts when it stands in the line it names, blanks aside. Models forget fences, labels
 * and decoration around the object, which is forgiven; they invent quotes, which is not. */
#include "service/base/buf.h"
#include "service/base/json.h"
#include "service/llm/ask.h"
#include "service/llm/talk.h"

enum {
    SUMMARY_CAP = 600,
    STEP_CAP = 300,
    QUOTE_CAP = 1000,
    QUOTE_LEAST = 8 /* shorter only when it is the whole line */
};

/* One reading: what it needs and where it puts things. */
struct reading {
    const struct fl_ask *ask;
    const struct fl_str *shown;
    struct fl_arena *arena;
    struct fl_ask_answer *out;
    struct fl_err *err;
};

/* ---- text of the model ---- */

/* One line, blanks squeezed, control and bidirectional bytes written out, at most cap bytes. */
static enum fl_status keep_text(const struct reading *r, struct fl_str text, size_t cap,
                                struct fl_str *out_r)
{
    struct fl_buf line;
    struct fl_buf safe;
    fl_buf_init(&line, cap);
    fl_buf_init(&safe, 8 * cap);
    text = fl_str_trim(text);
    for (size_t i = 0; i < text.n && line.n < cap; i++) {
        bool blank = fl_is_space(text.p[i]);
        if (!blank || !fl_is_space(text.p[i - 1])) {
            fl_buf_add(&line, blank ? " " : &text.p[i], 1);
        }
    }
    /* The cap may have cut a character in two. */
    while (line.n == cap && line.n && ((unsigned char)line.p[line.n - 1] & 0x80)) {
        line.n--;
    }
    fl_buf_add_safe(&safe, fl_buf_str(&line));
    *out_r = fl_arena_str(r->arena, fl_buf_str(&safe));
    enum fl_status status =
        line.failed == FL_NOMEM || safe.failed != FL_OK || !out_r->p ? FL_NOMEM : FL_OK;
    fl_buf_free(&safe);
    fl_buf_free(&line);
    return status == FL_OK ? FL_OK : fl_fail(r->err, status, "answer: out of memory");
}

static enum fl_status keep_bytes(const struct reading *r, struct fl_str s, struct fl_str *out_r)
{
    *out_r = fl_arena_str(r->arena, s);
    return out_r->p ? FL_OK : fl_fail(r->err, FL_NOMEM, "answer: out of memory");
}

static enum fl_status fault(const struct reading *r, const char *key, const char *what)
{
    return fl_fail(r->err, FL_SYNTAX, "\"%s\" %s", key, what);
}

/* ---- closed lists and numbers ---- */

static const char *find_name(const char *const *names, size_t n, struct fl_str name)
{
    for (size_t i = 0; i < n; i++) {
        if (fl_str_eq(name, fl_str_of(names[i]))) {
            return names[i];
        }
    }
    return NULL;
}

static enum fl_status read_choices(const struct reading *r, const fl_json *root)
{
    struct fl_str slug = fl_str_trim(fl_json_get_str(root, "cause"));
    struct fl_str name = fl_str_trim(fl_json_get_str(root, "action"));
    const char *cause = find_name(r->ask->causes, r->ask->causes_n, slug);
    const char *action = find_name(r->ask->actions, r->ask->actions_n, name);
    if (!cause && fl_str_eq(slug, FL_LIT("unknown"))) {
        cause = "unknown";
    }
    if (!cause) {
        return fl_fail(r->err, FL_SYNTAX, "\"cause\" is \"%.*s\", which is not in the list",
                       (int)(slug.n < 60 ? slug.n : 60), slug.n ? slug.p : "");
    }
    if (!action) {
        return fl_fail(r->err, FL_SYNTAX, "\"action\" is \"%.*s\", which is not in the list",
                       (int)(name.n < 60 ? name.n : 60), name.n ? name.p : "");
    }
    const fl_json *recoverable = fl_json_get(root, "recoverable");
    if (!fl_json_is_bool(recoverable)) {
        return fault(r, "recoverable", "must be true or false");
    }
    double confidence = fl_json_get_num(root, "confidence", -1);
    if (!(confidence >= 0 && confidence <= 1)) {
        return fault(r, "confidence", "must be a number from 0 to 1");
    }
    r->out->confidence = confidence;
    r->out->recoverable = fl_json_bool(recoverable, false);
    enum fl_status status = keep_bytes(r, fl_str_of(cause), &r->out->cause);
    return status == FL_OK ? keep_bytes(r, fl_str_of(action), &r->out->action) : status;
}

static enum fl_status read_prose(const struct reading *r, const fl_json *root)
{
    struct fl_str summary = fl_str_trim(fl_json_get_str(root, "summary"));
    const fl_json *steps = fl_json_get(root, "recovery");
    if (summary.n == 0) {
        return fault(r, "summary", "must be a sentence");
    }
    if (!fl_json_is_array(steps)) {
        return fault(r, "recovery", "must be a list of texts");
    }
    enum fl_status status = keep_text(r, summary, SUMMARY_CAP, &r->out->summary);
    for (const fl_json *e = fl_json_first(steps); e && status == FL_OK; e = fl_json_next(e)) {
        struct fl_str step = fl_str_trim(fl_json_str(e));
        if (!fl_json_is_string(e)) {
            return fault(r, "recovery", "must hold texts only");
        }
        if (step.n && r->out->recovery_n < FL_ASK_STEPS) {
            status = keep_text(r, step, STEP_CAP, &r->out->recovery[r->out->recovery_n++]);
        }
    }
    return status;
}

/* ---- grounding ---- */

/* The index of "L12", "12" or 12 among the lines shown; false when there is no such line. */
static bool find_line(const struct reading *r, const fl_json *label, size_t *index_r)
{
    struct fl_str text = fl_str_trim(fl_json_str(label));
    long number = 0;
    if (fl_json_is_number(label)) {
        double value = fl_json_num(label, 0);
        number = value >= 1 && value < 1e9 ? (long)value : 0;
    } else {
        while (text.n && (*text.p == '[' || *text.p == 'L' || *text.p == 'l')) {
            text = fl_str_skip(text, 1);
        }
        fl_str_take_number(&text, &number);
    }
    if (number < 1 || (size_t)number > r->ask->lines_n || !r->shown[number - 1].p) {
        return false;
    }
    *index_r = (size_t)number - 1;
    return true;
}

/* When needle stands at the front of s, blanks counting alike however many: its length in s. */
static size_t match_here(struct fl_str s, struct fl_str needle)
{
    size_t i = 0;
    for (size_t j = 0; j < needle.n;) {
        if (i == s.n) {
            return 0;
        }
        if (!fl_is_space(needle.p[j])) {
            if (s.p[i++] != needle.p[j++]) {
                return 0;
            }
            continue;
        }
        if (!fl_is_space(s.p[i])) {
            return 0;
        }
        while (i < s.n && fl_is_space(s.p[i])) {
            i++;
        }
        while (j < needle.n && fl_is_space(needle.p[j])) {
            j++;
        }
    }
    return i;
}

/* A label of this line that the model copied along: "L12 [rank 3] ". */
static struct fl_str skip_label(const struct fl_ask_line *line, struct fl_str quote, size_t index)
{
    struct fl_str rest = quote;
    long number = 0;
    if (rest.n < 2 || *rest.p != 'L') {
        return quote;
    }
    rest = fl_str_skip(rest, 1);
    if (!fl_str_take_number(&rest, &number) || (size_t)number != index + 1 || rest.n == 0 ||
        *rest.p != ' ') {
        return quote;
    }
    rest = fl_str_ltrim(rest);
    if (fl_str_starts(rest, FL_LIT("[rank "))) {
        struct fl_str rank = fl_str_skip(rest, 6);
        bool is_ours = fl_str_take_number(&rank, &number) && number == line->rank && rank.n &&
                       *rank.p == ']';
        rest = is_ours ? fl_str_ltrim(fl_str_skip(rank, 1)) : rest;
    }
    return rest;
}

/* Where the quote stands in the line, as a slice of the line; {NULL,0} when it does not. */
static struct fl_str ground(struct fl_str line, struct fl_str quote)
{
    quote = fl_str_trim(quote);
    struct fl_str whole = fl_str_trim(line);
    if (quote.n == 0 || quote.n > QUOTE_CAP) {
        return (struct fl_str){NULL, 0};
    }
    for (size_t i = 0; i < whole.n; i++) {
        struct fl_str here = fl_str_skip(whole, i);
        size_t n = *here.p == *quote.p ? match_here(here, quote) : 0;
        if (n && (n >= QUOTE_LEAST || n == whole.n)) {
            return (struct fl_str){here.p, n};
        }
    }
    return (struct fl_str){NULL, 0};
}

static bool has_evidence(const struct fl_ask_answer *out, size_t index, struct fl_str quote)
{
    for (size_t i = 0; i < out->evidence_n; i++) {
        if (out->evidence[i].line_index == index && fl_str_eq(out->evidence[i].quote, quote)) {
            return true;
        }
    }
    return false;
}

static enum fl_status read_evidence(const struct reading *r, const fl_json *root)
{
    const fl_json *items = fl_json_get(root, "evidence");
    if (!fl_json_is_array(items)) {
        return fault(r, "evidence", "must be a list of {\"line\", \"quote\"}");
    }
    for (const fl_json *e = fl_json_first(items); e; e = fl_json_next(e)) {
        size_t index = 0;
        struct fl_str quote = fl_json_get_str(e, "quote");
        if (r->out->evidence_n == FL_ASK_EVIDENCE ||
            !find_line(r, fl_json_get(e, "line"), &index)) {
            continue;
        }
        struct fl_str found = ground(r->shown[index], quote);
        if (!found.p) {
            quote = skip_label(&r->ask->lines[index], fl_str_trim(quote), index);
            found = ground(r->shown[index], quote);
        }
        if (found.p && !has_evidence(r->out, index, found)) {
            struct fl_ask_evidence *kept = &r->out->evidence[r->out->evidence_n++];
            kept->line_index = index;
            if (keep_bytes(r, found, &kept->quote) != FL_OK) {
                return FL_NOMEM;
            }
        }
    }
    if (r->out->evidence_n == 0 && !fl_str_eq(r->out->cause, FL_LIT("unknown"))) {
        return fl_fail(r->err, FL_NOTFOUND,
                       "answer cites nothing that is in the log (%zu quotes given, none stands in "
                       "the line it names)",
                       fl_json_count(items));
    }
    return FL_OK;
}

enum fl_status fl_ask_parse_answer(struct fl_str text, const struct fl_ask *ask,
                                   const struct fl_str *shown, struct fl_arena *arena,
                                   struct fl_ask_answer *out, struct fl_err *err)
{
    struct reading r = {ask, shown, arena, out, err};
    fl_json *root = NULL;
    *out = (struct fl_ask_answer){.confidence = 0};
    enum fl_status status = fl_talk_object(text, "cause", &root, err);
    if (status == FL_OK) {
        status = read_choices(&r, root);
    }
    if (status == FL_OK) {
        status = read_prose(&r, root);
    }
    if (status == FL_OK) {
        status = read_evidence(&r, root);
    }
    fl_json_free(root);
    if (status == FL_NOTFOUND) { /* well-formed, and worth showing as what it is */
        *out = (struct fl_ask_answer){.cause = out->cause, .summary = out->summary};
    } else if (status != FL_OK) {
        *out = (struct fl_ask_answer){.confidence = 0};
    }
    return status;
}
