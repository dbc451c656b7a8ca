/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes: {"error":{message,type,param,code}}, the same flat, code as text, number or null,
 * {"error":"..."}, {"message":"..."}, {"detail":"..."}, {"detail":[{loc,msg,type}]}, any of them in
 * a list of one, plain text, HTML. */
#include "service/llm/client_error.h"

#include "service/base/json.h"
#include "service/llm/redact.h"

#include <strings.h>

enum { LINE_CAP = 1024, SHOWN = 300, PLACES = 8 };

/* The body parsed and out of its list; *root_r is what to free. */
static const fl_json *open_body(struct fl_str body, fl_json **root_r)
{
    struct fl_err ignored = {.status = FL_OK};
    if (fl_json_parse(body, "response", root_r, &ignored) != FL_OK) {
        return NULL;
    }
    return fl_json_is_array(*root_r) ? fl_json_first(*root_r) : *root_r;
}

/* The object that holds message and code. */
static const fl_json *error_of(const fl_json *root)
{
    const fl_json *error = fl_json_get(root, "error");
    return fl_json_is_object(error) ? error : root;
}

static struct fl_str error_message(const fl_json *root)
{
    const fl_json *detail = fl_json_get(root, "detail");
    const struct fl_str found[] = {
        fl_json_get_str(error_of(root), "message"),
        fl_json_get_str(root, "error"),
        fl_json_get_str(root, "message"),
        fl_json_str(detail),
        fl_json_get_str(fl_json_is_array(detail) ? fl_json_first(detail) : detail, "msg"),
    };
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        if (found[i].n) {
            return found[i];
        }
    }
    return (struct fl_str){NULL, 0};
}

/* HTML and plain text: tags dropped. */
static void add_plain(struct fl_str body, struct fl_buf *out)
{
    bool in_tag = false;
    for (size_t i = 0; i < body.n && out->n < LINE_CAP; i++) {
        if (body.p[i] == '<' || (in_tag && body.p[i] == '>')) {
            in_tag = body.p[i] == '<';
            fl_buf_add_text(out, " ");
        } else if (!in_tag) {
            fl_buf_add(out, &body.p[i], 1);
        }
    }
}

static void squeeze(struct fl_str text, size_t limit, struct fl_buf *out)
{
    text = fl_str_trim(text);
    bool blank = false;
    for (size_t i = 0; i < text.n && out->n < limit; i++) {
        if (fl_is_space(text.p[i])) {
            blank = true;
            continue;
        }
        if (blank) {
            fl_buf_add_text(out, " ");
        }
        blank = false;
        fl_buf_add(out, &text.p[i], 1);
    }
}

static void add_code(const fl_json *root, struct fl_buf *line)
{
    struct fl_str code = fl_json_get_str(error_of(root), "code");
    if (line->n && code.n && code.n < 64 && !fl_str_find(fl_buf_str(line), code)) {
        fl_buf_addf(line, " (%.*s)", (int)code.n, code.p);
    }
}

/* As much of the line as may be shown, cut between two characters. */
static void add_shown(struct fl_str line, struct fl_buf *out)
{
    while (line.n > SHOWN || (line.n && ((unsigned char)line.p[line.n] & 0xc0) == 0x80)) {
        line.n--;
    }
    fl_buf_add_safe(out, line);
}

void fl_client_error_text(struct fl_str body, struct fl_buf *out)
{
    struct fl_buf plain;
    struct fl_buf line;
    struct fl_buf clean;
    fl_buf_init(&plain, 4 * LINE_CAP);
    fl_buf_init(&line, 4 * LINE_CAP);
    fl_buf_init(&clean, 4 * LINE_CAP);
    fl_json *root = NULL;
    const fl_json *error = open_body(body, &root);
    struct fl_str message = error_message(error);
    if (!message.n) {
        add_plain(body, &plain);
        message = fl_buf_str(&plain);
    }
    squeeze(message, LINE_CAP, &line);
    add_code(error, &line);
    struct fl_redact redact;
    fl_redact_init(&redact);
    if (fl_redact_add(&redact, fl_buf_str(&line), &clean) == FL_OK) {
        add_shown(fl_buf_str(&clean), out);
    }
    fl_json_free(root);
    fl_buf_free(&clean);
    fl_buf_free(&line);
    fl_buf_free(&plain);
}

/* ---- what a refusal is about ---- */

static void add_words(struct fl_str words, struct fl_buf *out)
{
    static const char *const echoes[] = {"'input':", "\"input\":", "'input_value'", "input_value="};
    for (size_t i = 0; i < sizeof echoes / sizeof *echoes; i++) {
        const char *at = fl_str_find(words, fl_str_of(echoes[i]));
        words.n = at ? (size_t)(at - words.p) : words.n;
    }
    if (words.n) {
        fl_buf_add_str(out, fl_str_head(words, FL_CLIENT_COMPLAINT_CAP / 4));
        fl_buf_add_text(out, " ");
    }
}

static void add_details(const fl_json *detail, struct fl_buf *out)
{
    const fl_json *one = fl_json_is_array(detail) ? fl_json_first(detail) : detail;
    for (int i = 0; one && i < PLACES; one = fl_json_next(one), i++) {
        const fl_json *place = fl_json_get(one, "loc");
        for (place = fl_json_first(place); place; place = fl_json_next(place)) {
            add_words(fl_json_str(place), out);
        }
        add_words(fl_json_get_str(one, "msg"), out);
    }
}

void fl_client_complaint(struct fl_str body, struct fl_buf *out)
{
    static const char *const fields[] = {"code", "type", "param"};
    fl_json *root = NULL;
    const fl_json *top = open_body(body, &root);
    const fl_json *error = error_of(top);
    size_t before = out->n;
    add_words(error_message(top), out);
    add_details(fl_json_get(top, "detail"), out);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        add_words(fl_json_get_str(error, fields[i]), out);
    }
    add_words(fl_json_get_str(fl_json_get(error, "metadata"), "raw"), out); /* of the one behind */
    double context = fl_json_get_num(error, "n_ctx", 0);
    if (context > 0 && context < 1e9) {
        fl_buf_addf(out, "context size %.0f ", context);
    }
    if (out->n == before) {
        add_words(body, out);
    }
    fl_json_free(root);
}

/* What an error's code says, as a number or in digits. */
static long status_of(const fl_json *code)
{
    struct fl_str digits = fl_json_str(code);
    double status = fl_json_num(code, 0);
    long number = 0;
    if (fl_str_take_number(&digits, &number)) {
        status = (double)number;
    }
    return status >= 400 && status < 600 ? (long)status : 400;
}

long fl_client_hidden_error(struct fl_str body)
{
    fl_json *root = NULL;
    const fl_json *top = open_body(body, &root);
    bool answered = fl_json_get(top, "choices") || fl_json_get(top, "data");
    long status =
        !answered && error_message(top).n ? status_of(fl_json_get(error_of(top), "code")) : 0;
    fl_json_free(root);
    return status;
}

static const char *find_word(struct fl_str text, struct fl_str word)
{
    for (size_t i = 0; i + word.n <= text.n; i++) {
        if ((i == 0 || !fl_is_alpha(text.p[i - 1])) &&
            strncasecmp(text.p + i, word.p, word.n) == 0) {
            return text.p + i;
        }
    }
    return NULL;
}

bool fl_client_mentions(struct fl_str text, const char *const *words)
{
    for (; *words; words++) {
        if (find_word(text, fl_str_of(*words))) {
            return true;
        }
    }
    return false;
}

/* The first number of a size that a context may have, near the front of the text; commas may part
 * its thousands. */
static long size_near(struct fl_str text)
{
    enum { NEAR = 40, LEAST = 256 };
    text = fl_str_head(text, NEAR);
    while (text.n) {
        long size = 0;
        long more = 0;
        if (!fl_str_take_number(&text, &size)) {
            text = fl_str_skip(text, 1);
            continue;
        }
        for (struct fl_str rest = text; size < 1000000 && fl_str_take_char(&rest, ',') &&
                                        fl_str_take_number(&rest, &more) && rest.p == text.p + 4;) {
            size = size * 1000 + more;
            text = rest;
        }
        if (size >= LEAST && size < 1000000000) {
            return size;
        }
    }
    return 0;
}

bool fl_client_too_long(struct fl_str complaint, long *tokens_r)
{
    /* What stands in front of the size, and what says that it is about the size at all. */
    static const char *const sized[] = {"maximum context length",
                                        "context length",
                                        "context window",
                                        "context size",
                                        "tokens allowed",
                                        "must be <=",
                                        "tokens >",
                                        "prompt is too long",
                                        NULL};
    static const char *const said[] = {"context_length",
                                       "maximum context",
                                       "context window",
                                       "context size",
                                       "exceed_context",
                                       "context length",
                                       "prompt is too long",
                                       "input is too long",
                                       "tokens allowed",
                                       "`inputs` tokens",
                                       NULL};
    *tokens_r = 0;
    if (!fl_client_mentions(complaint, said)) {
        return false;
    }
    for (const char *const *phrase = sized; *phrase && *tokens_r == 0; phrase++) {
        struct fl_str word = fl_str_of(*phrase);
        struct fl_str rest = complaint;
        for (const char *at; *tokens_r == 0 && (at = find_word(rest, word)) != NULL;) {
            rest = fl_str_skip(rest, (size_t)(at - rest.p) + word.n);
            *tokens_r = size_near(rest);
        }
    }
    return true;
}
