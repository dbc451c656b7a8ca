/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints that call themselves OpenAI-compatible differ in the fields they refuse and in the
 * shape of their errors, so nothing beyond model and messages is taken for granted: a complaint is
 * matched by the names it mentions (param, code and message are used at will) and one field is
 * changed at a time. Each change goes one way only, hence the exchange ends. */
#include "service/llm/client.h"

#include "service/base/clock.h"
#include "service/base/json.h"
#include "service/llm/client_address.h"
#include "service/llm/client_text.h"

#include <curl/curl.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

enum {
    CONNECT_MS = 10 * 1000,
    RESPONSE_CAP = 2 << 20,
    REQUEST_CAP = 1 << 20,
    RETRIES = 2,
    ROUNDS = 8, /* requests that negotiation may cost */
    PAUSE_MS = 500,
    PAUSE_MAX_MS = 8000,
    KEY_CAP = 8192,
    TEXT_CAP = 512 * 1024
};

/* One question while it is under way. */
struct talk {
    const struct fl_client_request *request;
    struct fl_client_caps *caps;
    struct fl_client_reply *reply;
    struct fl_arena *arena;
    struct fl_err *err;
    struct fl_client_address address;
    int max_tokens;
    struct fl_buf body;     /* what we send */
    struct fl_buf response; /* what came back */
    long http;
    long retry_after_s;
    CURLcode code;
    char reason[CURL_ERROR_SIZE];
};

static bool is_header_value(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

static enum fl_status check_request(struct talk *talk)
{
    const struct fl_client_request *request = talk->request;
    const char *key = request->api_key;
    if (!request->model || !*request->model) {
        return fl_fail(talk->err, FL_USAGE, "no model name set (FAULTLINE_MODEL)");
    }
    if (key && (!is_header_value(key) || strlen(key) > KEY_CAP)) {
        return fl_fail(talk->err, FL_USAGE, "the API key holds a line end or is too long");
    }
    return fl_client_address(request->base_url, &talk->address, talk->err);
}

static void guess_caps(struct talk *talk)
{
    if (!talk->caps->guessed) {
        talk->caps->guessed = true;
        talk->caps->tokens = talk->address.is_openai || talk->address.is_azure
                                 ? FL_CLIENT_TOKENS_NEW
                                 : FL_CLIENT_TOKENS_OLD;
    }
}

/* ---- the request body ---- */

static void write_message(struct fl_jw *w, const char *role, struct fl_str before,
                          struct fl_str text)
{
    struct fl_buf joined;
    fl_buf_init(&joined, REQUEST_CAP);
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
    fl_buf_clear(&talk->body);
    fl_jw_init(&w, &talk->body, false);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "model");
    fl_jw_text(&w, talk->request->model);
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
    write_format(&w, talk, schema);
    fl_jw_end(&w, '}');
    fl_json_free(schema);
    if (talk->body.failed != FL_OK) {
        return fl_fail(talk->err, talk->body.failed, "the question to the model: %s",
                       fl_status_text(talk->body.failed));
    }
    return FL_OK;
}

/* ---- one exchange ---- */

static size_t on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct fl_buf *response = ctx;
    return fl_buf_add(response, bytes, size * n) == FL_OK ? size * n : 0;
}

static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *h = headers; h; h = h->next) {
        explicit_bzero(h->data, strlen(h->data));
    }
    curl_slist_free_all(headers);
}

static struct curl_slist *make_headers(const struct talk *talk)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more =
        headers ? curl_slist_append(headers, "Accept: application/json") : NULL;
    const char *key = talk->request->api_key;
    if (more && key && *key) {
        char line[KEY_CAP + 32];
        snprintf(line, sizeof line, "%s%s",
                 talk->address.is_azure ? "api-key: " : "Authorization: Bearer ", key);
        more = curl_slist_append(headers, line);
        explicit_bzero(line, sizeof line);
    }
    if (!more) {
        free_headers(headers);
    }
    return more ? headers : NULL;
}

static void set_options(CURL *curl, struct talk *talk, long left_ms, struct curl_slist *headers)
{
    curl_easy_setopt(curl, CURLOPT_URL, talk->address.url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, left_ms < CONNECT_MS ? left_ms : CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left_ms);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)RESPONSE_CAP);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "faultline");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, fl_buf_text(&talk->body));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)talk->body.n);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &talk->response);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, talk->reason);
    if (talk->address.is_local) {
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    }
}

static int64_t left_ms(const struct talk *talk)
{
    return talk->request->deadline_ms - fl_clock_mono_ms();
}

static enum fl_status too_late(struct talk *talk)
{
    return fl_fail(talk->err, FL_TIMEOUT, "%s: no answer before the deadline", talk->address.shown);
}

/* Sends the body once; http, code, reason and response tell what came of it. */
static enum fl_status exchange(struct talk *talk)
{
    int64_t left = left_ms(talk);
    if (left <= 0) {
        return too_late(talk);
    }
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl ? make_headers(talk) : NULL;
    if (!headers) {
        curl_easy_cleanup(curl);
        return fl_fail(talk->err, FL_NOMEM, "%s: out of memory", talk->address.shown);
    }
    fl_buf_clear(&talk->response);
    talk->http = 0;
    talk->retry_after_s = 0;
    talk->reason[0] = '\0';
    set_options(curl, talk, (long)left, headers);
    talk->code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &talk->http);
    curl_off_t after = 0;
    if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0) {
        talk->retry_after_s = after < 86400 ? (long)after : 86400;
    }
    curl_easy_cleanup(curl);
    free_headers(headers);
    return FL_OK;
}

/* ---- errors of the endpoint ---- */

static enum fl_status status_of_http(long http)
{
    switch (http) {
    case 401:
    case 403:
        return FL_DENIED;
    case 404:
        return FL_NOTFOUND;
    case 408:
        return FL_TIMEOUT;
    case 413:
        return FL_LIMIT;
    default:
        return FL_UNAVAILABLE;
    }
}

static enum fl_status http_failure(struct talk *talk)
{
    if (talk->http >= 300 && talk->http < 400) {
        return fl_fail(talk->err, FL_UNAVAILABLE, "%s: HTTP %ld, a redirect, which is not followed",
                       talk->address.shown, talk->http);
    }
    struct fl_buf text;
    fl_buf_init(&text, 1024);
    fl_client_error_text(fl_buf_str(&talk->response), &text);
    const char *key = talk->request->api_key;
    if (key && *key && strstr(fl_buf_text(&text), key)) {
        fl_buf_clear(&text);
    }
    enum fl_status status =
        fl_fail(talk->err, status_of_http(talk->http), "%s: HTTP %ld%s%s", talk->address.shown,
                talk->http, text.n ? ": " : "", fl_buf_text(&text));
    fl_buf_free(&text);
    return status;
}

static enum fl_status transport_failure(struct talk *talk)
{
    if (talk->response.failed == FL_LIMIT || talk->code == CURLE_FILESIZE_EXCEEDED) {
        return fl_fail(talk->err, FL_LIMIT, "%s: the response is over %d bytes",
                       talk->address.shown, RESPONSE_CAP);
    }
    if (talk->code == CURLE_OPERATION_TIMEDOUT && left_ms(talk) <= 0) {
        return too_late(talk);
    }
    const char *reason = talk->reason[0] ? talk->reason : curl_easy_strerror(talk->code);
    return fl_fail(talk->err, FL_UNAVAILABLE, "%s: %s", talk->address.shown, reason);
}

static bool mentions(struct fl_str body, const char *word)
{
    struct fl_str needle = fl_str_of(word);
    for (; body.n >= needle.n; body = fl_str_skip(body, 1)) {
        if (strncasecmp(body.p, word, needle.n) == 0) {
            return true;
        }
    }
    return false;
}

static bool mentions_any(struct fl_str body, const char *const *words)
{
    for (; *words; words++) {
        if (mentions(body, *words)) {
            return true;
        }
    }
    return false;
}

/* ---- trying again ---- */

static bool may_retry(const struct talk *talk)
{
    switch ((int)talk->code) {
    case CURLE_OK:
        break;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT: /* of the connecting; the rest is the deadline */
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
    if (talk->http == 429) {
        return !mentions(fl_buf_str(&talk->response), "insufficient_quota");
    }
    return talk->http == 408 || (talk->http >= 500 && talk->http != 501 && talk->http != 505);
}

/* Sleeps before attempt number `attempt` + 1; false when that would pass the deadline. */
static bool pause_before(const struct talk *talk, int attempt)
{
    int64_t ms = PAUSE_MS << attempt;
    ms = ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
    ms -= fl_clock_mono_us() % (ms / 4); /* spreads clients that failed together */
    if (talk->retry_after_s > 0) {
        ms = (int64_t)talk->retry_after_s * 1000;
    }
    if (ms >= left_ms(talk)) {
        return false;
    }
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&wait, &wait) != 0 && left_ms(talk) > 0) {
    }
    return true;
}

static enum fl_status exchange_patiently(struct talk *talk)
{
    for (int attempt = 0;; attempt++) {
        enum fl_status status = exchange(talk);
        if (status != FL_OK) {
            return status;
        }
        if (attempt == RETRIES || !may_retry(talk) || !pause_before(talk, attempt)) {
            break;
        }
    }
    return talk->code == CURLE_OK ? FL_OK : transport_failure(talk);
}

/* ---- negotiation ---- */

/* Changes the field a refusal complains about; false when there is nothing (more) to change. */
static bool renegotiate(struct talk *talk)
{
    static const char *const too_long[] = {"context_length", "maximum context", "context window",
                                           "context size", NULL};
    static const char *const format[] = {"response_format", "json_schema", "json_object",
                                         "json mode",       "structured",  "guided",
                                         "grammar",         NULL};
    static const char *const tokens[] = {"max_tokens", "max_completion_tokens", NULL};
    static const char *const system[] = {
        "system role",          "role 'system'",         "role \"system\"",
        "role: system",         "system message",        "system prompt",
        "roles must alternate", "developer instruction", NULL};
    struct fl_client_caps *caps = talk->caps;
    struct fl_str body = fl_buf_str(&talk->response);
    bool has_format = talk->request->schema.n && caps->json != FL_CLIENT_JSON_NONE;
    if (mentions_any(body, too_long)) {
        return false;
    }
    if (caps->tokens != FL_CLIENT_TOKENS_NONE && mentions_any(body, tokens)) {
        caps->tokens = caps->tokens_changed                   ? FL_CLIENT_TOKENS_NONE
                       : caps->tokens == FL_CLIENT_TOKENS_OLD ? FL_CLIENT_TOKENS_NEW
                                                              : FL_CLIENT_TOKENS_OLD;
        caps->tokens_changed = true;
        return true;
    }
    if (!caps->no_temperature && mentions(body, "temperature")) {
        return caps->no_temperature = true;
    }
    if (!caps->no_system && mentions_any(body, system)) {
        return caps->no_system = true;
    }
    /* A refusal that names nothing is blamed on the least common field. */
    if (has_format && (mentions_any(body, format) || !mentions(body, "model"))) {
        caps->json =
            caps->json == FL_CLIENT_JSON_SCHEMA ? FL_CLIENT_JSON_OBJECT : FL_CLIENT_JSON_NONE;
        return true;
    }
    return false;
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
        fl_arena_str(talk->arena, model.n ? model : fl_str_of(talk->request->model));
    talk->reply->text = fl_arena_str(talk->arena, text);
    return talk->reply->text.p && talk->reply->model.p
               ? FL_OK
               : fl_fail(talk->err, FL_NOMEM, "%s: out of memory for the answer",
                         talk->address.shown);
}

/* *again_r: the answer was cut off by the token limit; a larger one may do. */
static enum fl_status read_completion(struct talk *talk, const fl_json *root, bool *again_r)
{
    const fl_json *choice = fl_json_first(fl_json_get(root, "choices"));
    const fl_json *message = fl_json_get(choice, "message");
    if (!fl_json_is_object(message)) {
        return http_failure(talk);
    }
    struct fl_buf text;
    fl_buf_init(&text, TEXT_CAP);
    fl_client_message_text(message, &text);
    struct fl_str answer = fl_client_strip_reasoning(fl_buf_str(&text));
    struct fl_str refusal = fl_json_get_str(message, "refusal");
    *again_r = fl_str_eq(fl_json_get_str(choice, "finish_reason"), FL_LIT("length"));
    enum fl_status status;
    if (text.failed != FL_OK) {
        status = fl_fail(talk->err, text.failed, "%s: the answer is too long", talk->address.shown);
    } else if (answer.n) {
        status = keep_text(talk, root, answer);
    } else if (refusal.n) {
        status = fl_fail(talk->err, FL_UNAVAILABLE, "%s: the model declined to answer",
                         talk->address.shown);
    } else {
        status = *again_r ? FL_OK
                          : fl_fail(talk->err, FL_SYNTAX, "%s: the answer is empty",
                                    talk->address.shown);
    }
    fl_buf_free(&text);
    return status;
}

static enum fl_status read_response(struct talk *talk, bool *again_r)
{
    fl_json *root = NULL;
    struct fl_err syntax = {.status = FL_OK};
    *again_r = false;
    if (fl_json_parse(fl_buf_str(&talk->response), "response", &root, &syntax) != FL_OK) {
        return fl_fail(talk->err, FL_SYNTAX, "%s: the response is not a chat completion (%s)",
                       talk->address.shown, syntax.msg);
    }
    enum fl_status status;
    if (fl_json_get(root, "choices")) {
        talk->reply->calls++;
        count_usage(talk, root);
        status = read_completion(talk, root, again_r);
    } else if (fl_json_get(root, "error") || fl_json_get(root, "message")) {
        status = http_failure(talk);
    } else {
        status = fl_fail(talk->err, FL_SYNTAX, "%s: the response is not a chat completion",
                         talk->address.shown);
    }
    fl_json_free(root);
    return status;
}

/* Asks until the endpoint answers, refuses for good, or the rounds are used up. */
static enum fl_status converse(struct talk *talk)
{
    bool enlarged = false;
    for (int round = 0; round < ROUNDS; round++) {
        enum fl_status status = write_body(talk);
        if (status == FL_OK) {
            status = exchange_patiently(talk);
        }
        if (status != FL_OK) {
            return status;
        }
        if ((talk->http == 400 || talk->http == 422) && renegotiate(talk)) {
            continue;
        }
        if (talk->http != 200) {
            return http_failure(talk);
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
                                 talk->address.shown, talk->max_tokens);
        }
        enlarged = true;
        talk->reply->text = (struct fl_str){NULL, 0};
        talk->max_tokens *= 4;
    }
    return http_failure(talk);
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
                        .max_tokens = request->max_tokens > 0 ? request->max_tokens : 2000};
    reply->text = (struct fl_str){NULL, 0};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return fl_fail(err, FL_INTERNAL, "libcurl (libcurl.so.4) cannot be loaded or does not start");
    }
    fl_buf_init(&talk.body, REQUEST_CAP);
    fl_buf_init(&talk.response, RESPONSE_CAP);
    enum fl_status status = check_request(&talk);
    if (status == FL_OK) {
        guess_caps(&talk);
        status = converse(&talk);
    }
    if (status != FL_OK) {
        reply->text = (struct fl_str){NULL, 0};
    }
    fl_buf_free(&talk.response);
    fl_buf_free(&talk.body);
    curl_global_cleanup();
    return status;
}
