/* SPDX-License-Identifier: Apache-2.0 */
#include "service/llm/client_text.h"

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

void fl_client_content(const fl_json *content, struct fl_buf *out)
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

/* The arguments of a call: a string by the book, an object from some servers. */
static bool add_arguments(const fl_json *function, struct fl_buf *out)
{
    const fl_json *arguments = fl_json_get(function, "arguments");
    if (fl_json_is_object(arguments)) {
        struct fl_jw w;
        fl_jw_init(&w, out, false);
        fl_jw_json(&w, arguments);
        return true;
    }
    fl_buf_add_str(out, fl_json_is_string(arguments) ? fl_json_str(arguments) : FL_LIT(""));
    return fl_json_str(arguments).n > 0;
}

void fl_client_message_text(const fl_json *message, struct fl_buf *out)
{
    fl_client_content(fl_json_get(message, "content"), out);
    if (fl_client_strip_reasoning(fl_buf_str(out)).n || out->failed != FL_OK) {
        return;
    }
    fl_buf_clear(out);
    const fl_json *call = fl_json_first(fl_json_get(message, "tool_calls"));
    if (!add_arguments(fl_json_get(call, "function"), out) &&
        !add_arguments(fl_json_get(message, "function_call"), out)) {
        add_stray_content(message, out);
    }
}
