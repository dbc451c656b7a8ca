/* SPDX-License-Identifier: Apache-2.0 */
/* Events are what the HTML standard says (section 9.2.6): lines that end in LF, CRLF or CR, the
 * `data` lines of one event joined by a line end, an empty line behind it. We ask for no stream;
 * some gateways send one all the same, and some models answer in no other way. */
#include "service/llm/client_stream.h"

#include "service/base/json.h"
#include "service/llm/client_text.h"

enum { PART_CAP = 512 * 1024, NAME_CAP = 256 };

struct joined {
    struct fl_buf content, reasoning, arguments;
    struct fl_buf model, reason; /* of finishing */
    struct fl_buf usage;         /* JSON */
    struct fl_buf error;         /* the event that holds one */
};

bool fl_client_is_stream(struct fl_str body)
{
    static const char *const fields[] = {"data:", "event:", "id:", "retry:", ":"};
    body = fl_str_ltrim(body);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fl_str_starts(body, fl_str_of(fields[i]))) {
            return true;
        }
    }
    return false;
}

static void keep(struct fl_buf *out, struct fl_str text)
{
    if (text.n) {
        fl_buf_clear(out);
        fl_buf_add_str(out, text);
    }
}

static void add_delta(struct joined *all, const fl_json *choice)
{
    const fl_json *delta = fl_json_get(choice, "delta");
    delta = delta ? delta : fl_json_get(choice, "message");
    fl_client_content(fl_json_get(delta, "content"), &all->content);
    struct fl_str reasoning = fl_json_get_str(delta, "reasoning_content");
    fl_buf_add_str(&all->reasoning, reasoning.n ? reasoning : fl_json_get_str(delta, "reasoning"));
    const fl_json *call = fl_json_first(fl_json_get(delta, "tool_calls"));
    if (fl_json_get_num(call, "index", 0) == 0) {
        fl_buf_add_str(&all->arguments,
                       fl_json_get_str(fl_json_get(call, "function"), "arguments"));
    }
    keep(&all->reason, fl_json_get_str(choice, "finish_reason"));
}

static void take_event(struct joined *all, struct fl_str data)
{
    fl_json *root = NULL;
    struct fl_err ignored = {.status = FL_OK};
    if (fl_json_parse(data, "event", &root, &ignored) != FL_OK) {
        return;
    }
    const fl_json *error = fl_json_get(root, "error");
    if (fl_json_is_object(error) || fl_json_str(error).n) {
        keep(&all->error, data);
    }
    const fl_json *choice = fl_json_first(fl_json_get(root, "choices"));
    if (fl_json_get_num(choice, "index", 0) == 0) {
        add_delta(all, choice);
    }
    keep(&all->model, fl_json_get_str(root, "model"));
    const fl_json *usage = fl_json_get(root, "usage");
    if (fl_json_is_object(usage)) {
        struct fl_jw w;
        fl_buf_clear(&all->usage);
        fl_jw_init(&w, &all->usage, false);
        fl_jw_json(&w, usage);
    }
    fl_json_free(root);
}

static struct fl_str next_line(struct fl_str *body)
{
    size_t n = 0;
    while (n < body->n && body->p[n] != '\n' && body->p[n] != '\r') {
        n++;
    }
    struct fl_str line = {body->p, n};
    *body = fl_str_skip(*body, n);
    fl_str_take_char(body, '\r');
    fl_str_take_char(body, '\n');
    return line;
}

static void write_joined(const struct joined *all, struct fl_buf *out)
{
    struct fl_jw w;
    fl_jw_init(&w, out, false);
    fl_jw_begin(&w, '{');
    fl_jw_key_str(&w, "model", fl_buf_str(&all->model));
    fl_jw_key(&w, "choices");
    fl_jw_begin(&w, '[');
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "message");
    fl_jw_begin(&w, '{');
    fl_jw_key_str(&w, "content", fl_buf_str(&all->content));
    fl_jw_key_str(&w, "reasoning_content", fl_buf_str(&all->reasoning));
    fl_jw_key(&w, "function_call");
    fl_jw_begin(&w, '{');
    fl_jw_key_str(&w, "arguments", fl_buf_str(&all->arguments));
    fl_jw_end(&w, '}');
    fl_jw_end(&w, '}');
    fl_jw_key_str(&w, "finish_reason", fl_buf_str(&all->reason));
    fl_jw_end(&w, '}');
    fl_jw_end(&w, ']');
    if (all->usage.n) {
        fl_jw_key(&w, "usage");
        fl_buf_add_str(out, fl_buf_str(&all->usage));
    }
    fl_jw_end(&w, '}');
}

static void take_events(struct joined *all, struct fl_str body, struct fl_buf *data)
{
    while (body.n && all->error.n == 0) {
        struct fl_str line = next_line(&body);
        if (fl_str_take(&line, FL_LIT("data:"))) {
            fl_str_take_char(&line, ' ');
            /* Some gateways leave out the empty line behind an event. */
            if (data->n && line.n && (*line.p == '{' || *line.p == '[')) {
                take_event(all, fl_buf_str(data));
                fl_buf_clear(data);
            }
            fl_buf_add_text(data, data->n ? "\n" : "");
            fl_buf_add_str(data, line);
        }
        if (line.n == 0 || body.n == 0) {
            take_event(all, fl_buf_str(data));
            fl_buf_clear(data);
        }
    }
}

void fl_client_join_stream(struct fl_str body, struct fl_buf *out)
{
    struct joined all;
    struct fl_buf data;
    struct fl_buf *const parts[] = {&all.content, &all.reasoning, &all.arguments, &all.usage,
                                    &all.error};
    fl_buf_init(&data, PART_CAP);
    fl_buf_init(&all.model, NAME_CAP);
    fl_buf_init(&all.reason, NAME_CAP);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fl_buf_init(parts[i], PART_CAP);
    }
    take_events(&all, body, &data);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        out->failed = parts[i]->failed != FL_OK ? parts[i]->failed : out->failed;
    }
    if (out->failed == FL_OK && all.error.n) {
        fl_buf_add_str(out, fl_buf_str(&all.error));
    } else if (out->failed == FL_OK) {
        write_joined(&all, out);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        fl_buf_free(parts[i]);
    }
    fl_buf_free(&all.reason);
    fl_buf_free(&all.model);
    fl_buf_free(&data);
}
