/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that call themselves OpenAI-compatible differ in the fields they refuse and in the
 * shape of their answers, so nothing beyond model and messages is taken for granted: one field is
 * changed at a time (client_caps.h) and the endpoint asked again. Each change goes one way only,
 * hence the exchange ends. */
#include "service/llm/client.h"

#include "service/base/json.h"
#include "service/llm/client_error.h"
#include "service/llm/client_text.h"
#include "service/llm/client_wire.h"

enum {
    RESPONSE_CAP = 2 << 20,
    TEXT_CAP = 512 * 1024,
    MAX_TOKENS = 2000,
    ROUNDS = 8 /* requests that negotiation may cost */
};

/* One question while it is under way. */
struct talk {
    const struct fl_client_request *request;
    struct fl_client_caps *caps;
    struct fl_client_reply *reply;
    struct fl_arena *arena;
    struct fl_err *err;
    struct fl_client_wire wire;
    struct fl_client_caps before; /* of this question */
    int max_tokens;
};

/* ---- the request body ---- */

static void write_message(struct fl_jw *w, const char *role, struct fl_str before,
                          struct fl_str text)
{
    struct fl_buf joined;
    fl_buf_init(&joined, FL_CLIENT_BODY_CAP);
    fl_buf_add_str(&joined, before);
    if (before.n) {
        fl_buf_add_text(&joined, "\n\n");
    }
    fl_buf_add_str(&joined, text);
    fl_jw_begin(w, '{');
    fl_jw_key(w, "role");
    fl_jw_text(w, role);
    fl_jw_key(w, "content");
    fl_jw_str(w, fl_buf_str(&joined));
    fl_jw_end(w, '}');
    if (joined.failed != FL_OK) {
        w->out->failed = joined.failed;
    }
    fl_buf_free(&joined);
}

static void write_messages(struct fl_jw *w, const struct talk *talk)
{
    const struct fl_client_request *request = talk->request;
    struct fl_str system = {"", 0};
    fl_jw_key(w, "messages");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < request->messages_n; i++) {
        const struct fl_client_message *message = &request->messages[i];
        if (talk->caps->no_system && strcmp(message->role, "system") == 0) {
            system = message->text;
            continue;
        }
        write_message(w, message->role, system, message->text);
        system = (struct fl_str){"", 0};
    }
    fl_jw_end(w, ']');
}

static void write_format(struct fl_jw *w, const struct talk *talk, const fl_json *schema)
{
    if (talk->caps->json == FL_CLIENT_JSON_NONE || !schema) {
        return;
    }
    bool full = talk->caps->json == FL_CLIENT_JSON_SCHEMA;
    fl_jw_key(w, "response_format");
    fl_jw_begin(w, '{');
    fl_jw_key(w, "type");
    fl_jw_text(w, full ? "json_schema" : "json_object");
    if (full) {
        fl_jw_key(w, "json_schema");
        fl_jw_begin(w, '{');
        fl_jw_key(w, "name");
        fl_jw_text(w, talk->request->schema_name);
        fl_jw_key(w, "strict");
        fl_jw_bool(w, true);
        fl_jw_key(w, "schema");
        fl_jw_json(w, schema);
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, '}');
}

static enum fl_status write_body(struct talk *talk)
{
    fl_json *schema = NULL;
    if (talk->request->schema.n) {
        enum fl_status status =
            fl_json_parse(talk->request->schema, "answer schema", &schema, talk->err);
        if (status != FL_OK) {
            return status;
        }
    }
    struct fl_jw w;
    fl_buf_clear(&talk->wire.body);
    fl_jw_init(&w, &talk->wire.body, false);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "model");
    fl_jw_text(&w, talk->request->to.model);
    write_messages(&w, talk);
    if (!talk->caps->no_temperature) {
        fl_jw_key(&w, "temperature");
        fl_jw_num(&w, talk->request->warmth / 10.0);
    }
    if (talk->caps->tokens != FL_CLIENT_TOKENS_NONE) {
        bool is_new = talk->caps->tokens == FL_CLIENT_TOKENS_NEW;
        fl_jw_key(&w, is_new ? "max_completion_tokens" : "max_tokens");
        fl_jw_int(&w, talk->max_tokens);
    }
    if (talk->caps->stream) {
        fl_jw_key(&w, "stream");
        fl_jw_bool(&w, true);
    }
    write_format(&w, talk, schema);
    fl_jw_end(&w, '}');
    fl_json_free(schema);
    if (talk->wire.body.failed != FL_OK) {
        talk->reply->too_long = talk->wire.body.failed == FL_LIMIT;
        return fl_fail(talk->err, talk->wire.body.failed, "the question to the model: %s",
                       fl_status_text(talk->wire.body.failed));
    }
    return FL_OK;
}

/* ---- the answer ---- */

static void count_usage(struct talk *talk, const fl_json *root)
{
    const fl_json *usage = fl_json_get(root, "usage");
    double prompt = fl_json_get_num(usage, "prompt_tokens", 0);
    double completion = fl_json_get_num(usage, "completion_tokens", 0);
    talk->reply->prompt_tokens += prompt > 0 && prompt < 1e9 ? (long)prompt : 0;
    talk->reply->completion_tokens += completion > 0 && completion < 1e9 ? (long)completion : 0;
}

static enum fl_status keep_text(struct talk *talk, const fl_json *root, struct fl_str text)
{
    struct fl_str model = fl_json_get_str(root, "model");
    talk->reply->model =
        fl_arena_str(talk->arena, model.n ? model : fl_str_of(talk->request->to.model));
    talk->reply->text = fl_arena_str(talk->arena, text);
    return talk->reply->text.p && talk->reply->model.p
               ? FL_OK
               : fl_fail(talk->err, FL_NOMEM, "%s: out of memory for the answer",
                         talk->wire.address.shown);
}

/* What a choice without an answer in it says about why. */
static enum fl_status no_answer(struct talk *talk, const fl_json *choice)
{
    const char *shown = talk->wire.address.shown;
    struct fl_str reason = fl_json_get_str(choice, "finish_reason");
    if (fl_json_get_str(fl_json_get(choice, "message"), "refusal").n) {
        return fl_fail(talk->err, FL_UNAVAILABLE, "%s: the model declined to answer", shown);
    }
    if (fl_str_eq(reason, FL_LIT("content_filter"))) {
        return fl_fail(talk->err, FL_UNAVAILABLE, "%s: a content filter stopped the answer", shown);
    }
    return fl_fail(talk->err, FL_SYNTAX, "%s: the answer is empty", shown);
}

/* *again_r: the answer was cut off by the token limit; a larger one may do. */
static enum fl_status read_completion(struct talk *talk, const fl_json *root, bool *again_r)
{
    const fl_json *choice = fl_json_first(fl_json_get(root, "choices"));
    struct fl_str reason = fl_json_get_str(choice, "finish_reason");
    bool filtered = fl_str_eq(reason, FL_LIT("content_filter"));
    struct fl_buf text;
    fl_buf_init(&text, TEXT_CAP);
    fl_client_message_text(fl_json_get(choice, "message"), &text);
    struct fl_str answer = fl_client_strip_reasoning(fl_buf_str(&text));
    *again_r = fl_str_eq(reason, FL_LIT("length"));
    enum fl_status status = FL_OK;
    if (text.failed != FL_OK) {
        status =
            fl_fail(talk->err, text.failed, "%s: the answer is too long", talk->wire.address.shown);
    } else if (answer.n && !filtered) {
        status = keep_text(talk, root, answer);
    } else if (!*again_r) {
        status = no_answer(talk, choice);
    }
    fl_buf_free(&text);
    return status;
}

static enum fl_status read_response(struct talk *talk, bool *again_r)
{
    const char *shown = talk->wire.address.shown;
    fl_json *root = NULL;
    struct fl_err syntax = {.status = FL_OK};
    *again_r = false;
    if (fl_client_wire_leaks(&talk->wire)) {
        return fl_fail(talk->err, FL_SYNTAX, "%s: the answer repeats the API key", shown);
    }
    if (fl_json_parse(fl_client_wire_text(&talk->wire), "response", &root, &syntax) != FL_OK) {
        return fl_fail(talk->err, FL_SYNTAX, "%s: the response is not a chat completion (%s)",
                       shown, syntax.msg);
    }
    enum fl_status status = FL_SYNTAX;
    if (fl_json_is_object(fl_json_get(fl_json_first(fl_json_get(root, "choices")), "message"))) {
        talk->reply->calls++;
        count_usage(talk, root);
        status = read_completion(talk, root, again_r);
    } else {
        fl_fail(talk->err, status, "%s: the response is not a chat completion", shown);
    }
    fl_json_free(root);
    return status;
}

/* ---- the exchange ---- */

/* The refusal for good. What was tried did not help, so it is no knowledge to keep. */
static enum fl_status give_up(struct talk *talk)
{
    struct fl_str complaint = fl_buf_str(&talk->wire.complaint);
    *talk->caps = talk->before;
    talk->reply->too_long =
        fl_client_too_long(complaint, &talk->reply->context_tokens) || talk->wire.refused == 413;
    return fl_client_wire_refusal(&talk->wire);
}

/* Whether another way of asking may do; no guesses unless the endpoint says that the request is at
 * fault. */
static bool renegotiate(struct talk *talk)
{
    long refused = talk->wire.refused;
    bool at_fault = talk->wire.http == 400 || talk->wire.http == 422;
    return (refused == 400 || refused == 422 || refused == 500 || refused == 501) &&
           fl_client_caps_change(talk->caps, fl_buf_str(&talk->wire.complaint),
                                 talk->request->schema.n > 0, at_fault);
}

/* Asks until the endpoint answers, refuses for good, or the rounds are used up. */
static enum fl_status converse(struct talk *talk)
{
    bool enlarged = false;
    for (int round = 0; round < ROUNDS; round++) {
        enum fl_status status = write_body(talk);
        if (status == FL_OK) {
            status = fl_client_wire_post(&talk->wire);
        }
        if (status != FL_OK) {
            return status;
        }
        if (talk->wire.refused) {
            if (renegotiate(talk)) {
                continue;
            }
            break;
        }
        bool again = false;
        status = read_response(talk, &again);
        if (status != FL_OK || !again) {
            return status;
        }
        if (enlarged || talk->caps->tokens == FL_CLIENT_TOKENS_NONE) {
            return talk->reply->text.n
                       ? FL_OK
                       : fl_fail(talk->err, FL_LIMIT, "%s: the answer does not fit into %d tokens",
                                 talk->wire.address.shown, talk->max_tokens);
        }
        enlarged = true;
        talk->reply->text = (struct fl_str){NULL, 0};
        talk->max_tokens *= 4;
    }
    return give_up(talk);
}

enum fl_status fl_client_chat(const struct fl_client_request *request, struct fl_client_caps *caps,
                              struct fl_arena *arena, struct fl_client_reply *reply,
                              struct fl_err *err)
{
    struct talk talk = {.request = request,
                        .caps = caps,
                        .reply = reply,
                        .arena = arena,
                        .err = err,
                        .max_tokens = request->max_tokens > 0 ? request->max_tokens : MAX_TOKENS};
    reply->text = (struct fl_str){NULL, 0};
    reply->too_long = false;
    reply->context_tokens = 0;
    enum fl_status status =
        fl_client_wire_open(&talk.wire, request, "/chat/completions", RESPONSE_CAP, err);
    if (status == FL_OK) {
        fl_client_caps_guess(caps, talk.wire.address.is_openai || talk.wire.address.is_azure);
        talk.before = *caps;
        status = converse(&talk);
    }
    if (status != FL_OK) {
        reply->text = (struct fl_str){NULL, 0};
    }
    fl_client_wire_close(&talk.wire);
    return status;
}
