/* SPDX-License-Identifier: Apache-2.0 */
/* The client of the endpoint: what it makes of texts, then what it does with a pretended endpoint
 * (tests/fakes/fake_llm.py; left out where there is no python3). */
#include "tests/unit/test.h"

#include "service/base/clock.h"
#include "service/llm/client.h"
#include "service/llm/client_embed.h"
#include "service/llm/client_error.h"
#include "service/llm/client_stream.h"

#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

extern char **environ;

static struct fl_arena arena;
static struct fl_err err;

static const char *kept(struct fl_buf *buf)
{
    const char *text = fl_arena_text(&arena, fl_buf_str(buf));
    fl_buf_free(buf);
    return text;
}

/* ---- texts ---- */

static const char *complaint(const char *body)
{
    struct fl_buf out;
    fl_buf_init(&out, FL_CLIENT_COMPLAINT_CAP);
    fl_client_complaint(fl_str_of(body), &out);
    return kept(&out);
}

static long context(const char *body)
{
    long tokens = 0;
    return fl_client_too_long(fl_str_of(complaint(body)), &tokens) ? tokens : -1;
}

TEST(a_question_too_long_is_told)
{
    static const struct {
        const char *body;
        long tokens;
    } cases[] = {
        {"{\"error\":{\"message\":\"This model's maximum context length is 4097 tokens. However, "
         "you requested 5000 tokens\",\"code\":\"context_length_exceeded\"}}",
         4097},
        {"{\"object\":\"error\",\"message\":\"'max_tokens' is too large: 2000. This model's "
         "maximum context length is 131,072 tokens\",\"code\":400}",
         131072},
        {"{\"error\":{\"message\":\"Please shorten it\",\"code\":\"context_length_exceeded\"}}", 0},
        {"{\"error\":{\"code\":400,\"message\":\"the request exceeds the available context size\","
         "\"type\":\"exceed_context_size_error\",\"n_ctx\":2048}}",
         2048},
        {"{\"error\":\"The input (5000 tokens) is longer than the model's context length (4096 "
         "tokens).\"}",
         4096},
        {"{\"error\":{\"message\":\"prompt is too long: 210000 tokens > 200000 maximum\"}}",
         200000},
        {"{\"error\":\"`inputs` tokens + `max_new_tokens` must be <= 1512. Given: 2000\"}", 1512},
        {"[{\"error\":{\"message\":\"The input token count (1200000) exceeds the maximum number of "
         "tokens allowed (1048576).\"}}]",
         1048576},
        {"{\"error\":{\"message\":\"x\",\"metadata\":{\"raw\":\"maximum context length is 8192 "
         "tokens\"}}}",
         8192},
        {"{\"error\":{\"message\":\"Unsupported parameter: max_tokens\"}}", -1},
        {"{\"error\":{\"message\":\"slow down\"}}", -1},
        {"", -1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CHECK_EQ_INT(context(cases[i].body), cases[i].tokens);
    }
}

TEST(complaints_leave_out_echoes)
{
    const char *text = complaint("{\"detail\":[{\"loc\":[\"body\",\"stop\",0],\"msg\":\"extra\","
                                 "\"input\":{\"temperature\":0}}]}");
    CHECK_HAS(text, "stop");
    CHECK_HAS(text, "extra");
    CHECK(!strstr(text, "temperature"));
    CHECK(!strstr(complaint("{\"message\":\"[{'loc': ('body', 'x'), 'input': {'stream': 1}}]\"}"),
                  "stream"));
    CHECK_HAS(complaint("{\"error\":{\"message\":\"m\",\"param\":\"p\",\"code\":7}}"), "p");
    CHECK_HAS(complaint("upstream connect error"), "upstream");
}

TEST(words_begin_where_no_letter_precedes)
{
    static const char *const stream[] = {"stream", NULL};
    CHECK(fl_client_mentions(FL_LIT("the 'Stream' parameter"), stream));
    CHECK(fl_client_mentions(FL_LIT("streaming"), stream));
    CHECK(!fl_client_mentions(FL_LIT("upstream"), stream));
    CHECK(!fl_client_mentions(FL_LIT("strea"), stream));
}

TEST(errors_hide_in_answers)
{
    CHECK_EQ_INT(fl_client_hidden_error(FL_LIT("{\"error\":{\"code\":503,\"message\":\"x\"}}")),
                 503);
    CHECK_EQ_INT(fl_client_hidden_error(FL_LIT("{\"error\":{\"code\":\"429\",\"message\":\"x\"}}")),
                 429);
    CHECK_EQ_INT(fl_client_hidden_error(FL_LIT("{\"error\":\"x\"}")), 400);
    CHECK_EQ_INT(fl_client_hidden_error(FL_LIT("{\"error\":null,\"choices\":[]}")), 0);
    CHECK_EQ_INT(fl_client_hidden_error(FL_LIT("{\"choices\":[],\"message\":\"x\"}")), 0);
    CHECK_EQ_INT(fl_client_hidden_error(FL_LIT("<html>")), 0);
}

static const char *joined(const char *body)
{
    struct fl_buf out;
    fl_buf_init(&out, 1 << 20);
    fl_client_join_stream(fl_str_of(body), &out);
    CHECK_EQ_INT(out.failed, FL_OK);
    return kept(&out);
}

TEST(streams_are_joined)
{
    const char *text = joined(": hi\r\n\r\ndata: {\"model\":\"m\",\"choices\":[]}\r\n\r\n"
                              "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n"
                              "event: x\r\ndata: {\"choices\":\r\n"
                              "data: [{\"delta\":{\"content\":\"b\",\"reasoning\":\"r\"},"
                              "\"finish_reason\":\"stop\"}]}\r\n\r\n"
                              "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\n"
                              "data: [DONE]\n\n");
    CHECK_HAS(text, "\"model\":\"m\"");
    CHECK_HAS(text, "\"content\":\"a");
    CHECK_HAS(text, "\"finish_reason\":\"");
    CHECK_HAS(text, "\"prompt_tokens\":3");
    CHECK_HAS(joined("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\ndata: [DONE]"),
              "\"content\":\"a\"");
    CHECK_HAS(joined("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choi"),
              "\"content\":\"a\"");
    CHECK_EQ_STR(joined("data: {\"error\":{\"code\":1}}\n\ndata: {}\n\n"),
                 "{\"error\":{\"code\":1}}");
    CHECK(fl_client_is_stream(FL_LIT("\n: PROCESSING")));
    CHECK(!fl_client_is_stream(FL_LIT("{\"data\": 1}")));
}

TEST(caps_are_written_and_read)
{
    struct fl_client_caps caps = {.guessed = true,
                                  .json = FL_CLIENT_JSON_OBJECT,
                                  .tokens = FL_CLIENT_TOKENS_NEW,
                                  .tokens_changed = true,
                                  .no_system = true};
    struct fl_client_caps back;
    struct fl_buf out;
    fl_buf_init(&out, 4096);
    fl_client_caps_write(&caps, &out);
    fl_client_caps_read(fl_buf_str(&out), &back);
    CHECK(back.guessed && back.json == caps.json && back.tokens == caps.tokens);
    CHECK(back.tokens_changed && back.no_system && !back.no_temperature && !back.stream);
    fl_client_caps_read(FL_LIT("{\"new\":1,\"json\":\"none\",\"tokens\":\"none\"}"), &back);
    CHECK(back.json == FL_CLIENT_JSON_NONE && back.tokens == FL_CLIENT_TOKENS_NONE);
    static const char *const damaged[] = {
        "", "{", "[]", "null", "{\"json\":\"x\"}", "{\"json\":\"schema\",\"tokens\":7}"};
    for (size_t i = 0; i < COUNT(damaged); i++) {
        fl_client_caps_read(fl_str_of(damaged[i]), &back);
        CHECK(!back.guessed && back.json == FL_CLIENT_JSON_SCHEMA);
    }
    fl_buf_free(&out);
}

/* ---- a pretended endpoint ---- */

static struct fake {
    pid_t pid;
    int port;
} plain, tls;

static char certificate[] = "/tmp/fl-client-XXXXXX";

/* port stays 0 where it cannot be started */
static void start(struct fake *fake, char *file)
{
    char script[4096];
    char text[16] = "";
    const char *source = getenv("FL_SOURCE");
    int out[2];
    posix_spawn_file_actions_t actions;
    snprintf(script, sizeof script, "%s/tests/fakes/fake_llm.py", source ? source : ".");
    char *const args[] = {(char[]){"python3"},
                          script,
                          (char[]){"--needle=NEEDLE"},
                          file ? (char[]){"--tls"} : NULL,
                          file,
                          NULL};
    if (pipe(out) != 0) {
        return;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    if (posix_spawnp(&fake->pid, "python3", &actions, NULL, args, environ) != 0) {
        fake->pid = 0;
    }
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    if (fake->pid && lines && fgets(text, sizeof text, lines)) {
        fake->port = (int)strtol(text, NULL, 10);
    }
    if (lines) {
        fclose(lines);
    }
    posix_spawn_file_actions_destroy(&actions);
}

static void stop(struct fake *fake)
{
    if (fake->pid) {
        kill(fake->pid, SIGKILL);
        waitpid(fake->pid, NULL, 0);
    }
}

static const struct fl_client_message question[] = {{"system", {"Answer.", 7}},
                                                    {"user", {"L1 a NEEDLE in hay", 18}}};

/* A request to a mode of the fake; the count of its requests begins anew with each turn. */
static struct fl_client_request request_to(const char *mode, const struct fake *fake)
{
    static int turn = 0;
    struct fl_buf url;
    fl_buf_init(&url, 4096);
    fl_buf_addf(&url, "http%s://127.0.0.1:%d/mode/%s/t%d/v1", fake == &tls ? "s" : "", fake->port,
                mode, turn++);
    err = (struct fl_err){.status = FL_OK};
    return (struct fl_client_request){.to = {.base_url = kept(&url),
                                             .api_key = "sk-unitSECRETkey0123456789",
                                             .model = "fake-model"},
                                      .messages = question,
                                      .messages_n = COUNT(question),
                                      .deadline_ms = fl_clock_mono_ms() + 8000};
}

static enum fl_status ask(const struct fl_client_request *request, struct fl_client_reply *reply)
{
    struct fl_client_caps caps = {.guessed = false};
    *reply = (struct fl_client_reply){.calls = 0};
    return fl_client_chat(request, &caps, &arena, reply, &err);
}

TEST(refusals_have_their_status)
{
    static const struct {
        const char *mode, *says;
        enum fl_status status;
        bool too_long;
        long tokens;
    } cases[] = {
        {"context", "[request req_42]", FL_LIMIT, true, 4096},
        {"context-size", "context size", FL_LIMIT, true, 2048},
        {"error413", "413", FL_LIMIT, true, 0},
        {"huge", "over", FL_LIMIT, false, 0},
        {"error401", "repeats the API key", FL_DENIED, false, 0},
        {"error404", "model_not_found", FL_NOTFOUND, false, 0},
        {"error429-hour", "3600 s", FL_UNAVAILABLE, false, 0},
        {"stream-error", "who are you", FL_DENIED, false, 0},
        {"declined", "declined", FL_UNAVAILABLE, false, 0},
        {"html", "not a chat completion", FL_SYNTAX, false, 0},
        {"key-in-answer", "repeats", FL_SYNTAX, false, 0},
    };
    for (size_t i = 0; plain.port && i < COUNT(cases); i++) {
        struct fl_client_reply reply;
        struct fl_client_request request = request_to(cases[i].mode, &plain);
        CHECK_EQ_INT(ask(&request, &reply), (long long)cases[i].status);
        CHECK_HAS(err.msg, cases[i].says);
        CHECK(!strstr(err.msg, request.to.api_key));
        CHECK(reply.too_long == cases[i].too_long && reply.text.n == 0);
        CHECK_EQ_INT(reply.context_tokens, cases[i].tokens);
    }
}

TEST(what_did_not_help_is_forgotten)
{
    struct fl_client_request request = request_to("error422", &plain);
    struct fl_client_caps caps = {.guessed = false};
    struct fl_client_reply reply = {.calls = 0};
    request.schema = FL_LIT("{}");
    request.schema_name = "s";
    CHECK(!plain.port || fl_client_chat(&request, &caps, &arena, &reply, &err) != FL_OK);
    CHECK_EQ_INT(caps.json, FL_CLIENT_JSON_SCHEMA);
}

TEST(certificates_are_checked)
{
    struct fl_client_reply reply;
    struct fl_client_request request = request_to("good", &tls);
    if (tls.port) {
        CHECK_EQ_INT(ask(&request, &reply), FL_UNAVAILABLE);
        err = (struct fl_err){.status = FL_OK};
        request.to.ca_file = certificate;
        CHECK_EQ_INT(ask(&request, &reply), FL_OK);
        CHECK_HAS(reply.text.p, "NEEDLE");
        request.to.ca_file = "/nowhere/ca.pem";
        CHECK_EQ_INT(ask(&request, &reply), FL_UNAVAILABLE);
        CHECK_HAS(err.msg, "/nowhere/ca.pem");
    }
}

TEST(a_certificate_is_shown)
{
    struct fl_client_reply reply;
    struct fl_client_request request = request_to("certified", &tls);
    request.to.ca_file = certificate;
    if (tls.port) {
        CHECK_EQ_INT(ask(&request, &reply), FL_DENIED);
        err = (struct fl_err){.status = FL_OK};
        request.to.cert_file = certificate;
        CHECK_EQ_INT(ask(&request, &reply), FL_OK);
    }
}

TEST(headers_are_sent_and_checked)
{
    struct fl_client_reply reply;
    struct fl_client_request request = request_to("headers", &plain);
    static const char *const good[] = {"X-Title: unit", "authorization: Basic eA==", NULL};
    static const char *const bad[] = {"X-Title", "X Y: z", ": z", "X: a\r\nY: b", ""};
    request.to.headers = good;
    if (plain.port) {
        CHECK_EQ_INT(ask(&request, &reply), FL_OK);
        CHECK_HAS(reply.text.p, "X-Title: unit");
        CHECK_HAS(reply.text.p, "Basic eA==");
        CHECK(reply.text.p && !strstr(reply.text.p, "Bearer"));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        const char *const one[] = {bad[i], NULL};
        err = (struct fl_err){.status = FL_OK};
        request.to.headers = one;
        CHECK_EQ_INT(ask(&request, &reply), FL_USAGE);
    }
}

/* ---- embeddings ---- */

enum { TEXTS = 150 };

static enum fl_status embed(const char *mode, struct fl_client_vectors *out)
{
    struct fl_str texts[TEXTS];
    struct fl_client_request request = request_to(mode, &plain);
    static const char many[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (size_t i = 0; i < TEXTS; i++) {
        texts[i] = i % 10 == 3 ? FL_LIT(" \n") : (struct fl_str){many, i + 1};
    }
    return fl_client_embed(&request, texts, TEXTS, &arena, out, &err);
}

static void check_rows(const struct fl_client_vectors *v)
{
    CHECK_EQ_INT(v->n, TEXTS);
    CHECK_EQ_INT(v->dim, 8);
    CHECK_EQ_STR(v->model.p, "fake-embed");
    CHECK_EQ_INT(v->calls, 3);
    for (size_t i = 0; i < v->n && v->dim == 8; i++) {
        double raw[8];
        double sum = 0;
        for (size_t k = 0; k < 8; k++) {
            raw[k] = k < 7 ? (double)(((i + 1) * 7 + k * k) % 13) - 6 : 1.5;
            sum += raw[k] * raw[k];
        }
        for (size_t k = 0; k < 8; k++) {
            double want = i % 10 == 3 ? 0 : raw[k] / sqrt(sum);
            CHECK(fabs((double)v->rows[i * 8 + k] - want) < 1e-6);
        }
    }
}

TEST(texts_become_vectors)
{
    static const char *const good[] = {"good", "base64", "backwards", "no-format"};
    struct fl_client_vectors out;
    for (size_t i = 0; plain.port && i < COUNT(good); i++) {
        CHECK_EQ_INT(embed(good[i], &out), FL_OK);
        check_rows(&out);
    }
}

TEST(bad_vectors_are_refused)
{
    static const char *const bad[] = {"ragged", "few", "twice", "infinite", "zero", "nested"};
    struct fl_client_vectors out;
    for (size_t i = 0; plain.port && i < COUNT(bad); i++) {
        CHECK_EQ_INT(embed(bad[i], &out), FL_SYNTAX);
        CHECK(out.rows == NULL && out.dim == 0 && out.calls == 1);
    }
}

TEST(blank_texts_are_not_sent)
{
    const struct fl_str texts[] = {FL_LIT(""), FL_LIT("  ")};
    struct fl_client_vectors out;
    struct fl_client_request request = {.to = {.base_url = "http://127.0.0.1:1/v1", .model = "m"},
                                        .deadline_ms = fl_clock_mono_ms() + 1000};
    CHECK_EQ_INT(fl_client_embed(&request, texts, COUNT(texts), &arena, &out, &err), FL_OK);
    CHECK_EQ_INT(out.dim, 0);
    CHECK_EQ_INT(out.calls, 0);
}

int main(void)
{
    fl_arena_init(&arena, 64 << 20);
    int file = mkstemp(certificate);
    start(&plain, NULL);
    start(&tls, certificate);
    RUN(a_question_too_long_is_told);
    RUN(complaints_leave_out_echoes);
    RUN(words_begin_where_no_letter_precedes);
    RUN(errors_hide_in_answers);
    RUN(streams_are_joined);
    RUN(caps_are_written_and_read);
    RUN(refusals_have_their_status);
    RUN(what_did_not_help_is_forgotten);
    RUN(certificates_are_checked);
    RUN(a_certificate_is_shown);
    RUN(headers_are_sent_and_checked);
    RUN(texts_become_vectors);
    RUN(bad_vectors_are_refused);
    RUN(blank_texts_are_not_sent);
    stop(&plain);
    stop(&tls);
    close(file);
    unlink(certificate);
    fl_arena_free(&arena);
    return test_result();
}
