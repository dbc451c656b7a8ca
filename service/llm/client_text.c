/* SPDX-License-Identifier: Apache-2.0 */
#include "service/llm/client_text.h"

#include "service/llm/redact.h"

/* The message inside an error body, or {NULL,0}: {"error":{"message"}}, {"error":"..."},
 * {"message"}, {"detail":"..."}, {"detail":[{"msg"}]}. */
static struct fl_str error_message(const fl_json *root)
{
    const fl_json *error = fl_json_get(root, "error");
    const fl_json *detail = fl_json_get(root, "detail");
    const struct fl_str found[] = {
        fl_json_get_str(error, "message"),
        fl_json_str(error),
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
    for (size_t i = 0; i < body.n && out->n < 1024; i++) {
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

void fl_client_error_text(struct fl_str body, struct fl_buf *out)
{
    enum { SHOWN = 300 };
    struct fl_buf plain;
    struct fl_buf line;
    struct fl_buf clean;
    fl_buf_init(&plain, 4096);
    fl_buf_init(&line, 4096);
    fl_buf_init(&clean, 4096);
    fl_json *root = NULL;
    struct fl_err ignored = {.status = FL_OK};
    struct fl_str message = {NULL, 0};
    if (fl_json_parse(body, "response", &root, &ignored) == FL_OK) {
        message = error_message(root);
    }
    if (!message.n) {
        add_plain(body, &plain);
        message = fl_buf_str(&plain);
    }
    squeeze(message, 1024, &line);
    struct fl_redact redact;
    fl_redact_init(&redact);
    if (fl_redact_add(&redact, fl_buf_str(&line), &clean) == FL_OK) {
        struct fl_str shown = fl_buf_str(&clean);
        shown.n = shown.n < SHOWN ? shown.n : SHOWN;
        fl_buf_add_str(out, shown);
    }
    fl_json_free(root);
    fl_buf_free(&clean);
    fl_buf_free(&line);
    fl_buf_free(&plain);
}

struct fl_str fl_client_strip_reasoning(struct fl_str text)
{
    static const char *const ends[] = {"</think>", "</thinking>", "</reasoning>"};
    static const char *const begins[] = {"<think>", "<thinking>", "<reasoning>"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct fl_str tag = fl_str_of(ends[i]);
        for (const char *at = fl_str_find(text, tag); at; at = fl_str_find(text, tag)) {
            text = fl_str_skip(text, (size_t)(at - text.p) + tag.n);
        }
    }
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        const char *at = fl_str_find(text, fl_str_of(begins[i]));
        text.n = at ? (size_t)(at - text.p) : text.n;
    }
    return fl_str_trim(text);
}

/* Content as a string, or as parts of which the text ones count. */
static void add_content(const fl_json *content, struct fl_buf *out)
{
    fl_buf_add_str(out, fl_json_is_string(content) ? fl_json_str(content) : FL_LIT(""));
    if (!fl_json_is_array(content)) {
        return;
    }
    for (const fl_json *part = fl_json_first(content); part; part = fl_json_next(part)) {
        struct fl_str type = fl_json_get_str(part, "type");
        bool is_text = fl_str_eq(type, FL_LIT("text")) || fl_str_eq(type, FL_LIT("output_text"));
        struct fl_str text =
            fl_json_is_string(part) ? fl_json_str(part) : fl_json_get_str(part, "text");
        if (text.n && (is_text || type.n == 0)) {
            fl_buf_add_str(out, text);
        }
    }
}

/* Some servers put all of the answer into the reasoning field when they parse reasoning. */
static void add_stray_content(const fl_json *message, struct fl_buf *out)
{
    static const char *const fields[] = {"reasoning_content", "reasoning"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct fl_str text = fl_json_get_str(message, fields[i]);
        if (text.n && fl_str_find(text, FL_LIT("{"))) {
            fl_buf_add_str(out, text);
            return;
        }
    }
}

void fl_client_message_text(const fl_json *message, struct fl_buf *out)
{
    add_content(fl_json_get(message, "content"), out);
    if (fl_str_trim(fl_buf_str(out)).n == 0) {
        add_stray_content(message, out);
    }
}
