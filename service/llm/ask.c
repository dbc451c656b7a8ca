/* SPDX-License-Identifier: Apache-2.0 */
/* One question, and one more when the answer does not hold: most faulty answers are slips of form
 * (a cause spelled freely, a quote tidied up) that the same model mends when told. A third turn
 * was never worth its time; the deterministic verdict stands then. */
#include "service/llm/ask.h"

#include "service/base/buf.h"
#include "service/base/clock.h"
#include "service/llm/client.h"

enum { DEADLINE_S = 60, MAX_TOKENS = 2000, ANSWER_SHOWN = 8000, LINES_MAX = 200 * 1000 };

/* What stays the same between the two turns. */
struct turns {
    const struct fl_ask *ask;
    struct fl_client_request request;
    struct fl_client_caps caps;
    struct fl_client_reply reply;
    struct fl_ask_prompt prompt;
    struct fl_arena *arena;
};

static enum fl_status take_turn(struct turns *turns, struct fl_ask_answer *out, bool *answered_r,
                                struct fl_err *err)
{
    *answered_r = false;
    enum fl_status status =
        fl_client_chat(&turns->request, &turns->caps, turns->arena, &turns->reply, err);
    if (status != FL_OK) {
        return status;
    }
    *answered_r = true;
    return fl_ask_parse_answer(turns->reply.text, turns->ask, turns->prompt.shown, turns->arena,
                               out, err);
}

static void write_complaint(const char *fault, struct fl_buf *out)
{
    fl_buf_add_text(out, "This answer cannot be used: ");
    fl_buf_add_safe(out, fl_str_of(fault));
    fl_buf_add_text(out,
                    ". Copy quotes from the lines named, without changing a character, and take "
                    "\"cause\" and \"action\" from the lists; \"unknown\" is an honest answer. "
                    "Send the whole corrected JSON object and nothing else.");
}

/* The second turn: the same question, the answer given, and what is wrong with it. */
static enum fl_status repair(struct turns *turns, struct fl_client_message *messages,
                             struct fl_ask_answer *out, struct fl_err *err)
{
    struct fl_str given = turns->reply.text;
    given.n = given.n < ANSWER_SHOWN ? given.n : ANSWER_SHOWN;
    struct fl_buf complaint;
    struct fl_err second = {.status = FL_OK};
    fl_buf_init(&complaint, 16 * 1024);
    write_complaint(err->msg, &complaint);
    messages[2] = (struct fl_client_message){"assistant", given};
    messages[3] = (struct fl_client_message){"user", fl_buf_str(&complaint)};
    turns->request.messages_n = 4;
    bool answered = false;
    enum fl_status status = take_turn(turns, out, &answered, &second);
    fl_buf_free(&complaint);
    /* A failed connection tells less than why the answer was refused. */
    if (status != FL_OK && answered) {
        *err = second;
    }
    return status == FL_OK || answered ? status : err->status;
}

static enum fl_status ask_model(struct turns *turns, struct fl_ask_answer *out, struct fl_err *err)
{
    struct fl_client_message messages[4] = {{"system", turns->prompt.system},
                                            {"user", turns->prompt.user}};
    struct fl_err local = {.status = FL_OK};
    bool answered = false;
    turns->request.messages = messages;
    turns->request.messages_n = 2;
    turns->request.schema = turns->prompt.schema;
    turns->request.schema_name = "diagnosis";
    enum fl_status status = take_turn(turns, out, &answered, &local);
    if (answered && (status == FL_SYNTAX || status == FL_NOTFOUND)) {
        status = repair(turns, messages, out, &local);
    }
    return status == FL_OK ? FL_OK : fl_fail(err, status, "%s", local.msg);
}

enum fl_status fl_ask(const struct fl_ask_config *config, const struct fl_ask *ask,
                      struct fl_arena *arena, struct fl_ask_answer *out, struct fl_err *err)
{
    int seconds = config->deadline_s > 0 ? config->deadline_s : DEADLINE_S;
    struct turns turns = {
        .ask = ask,
        .arena = arena,
        .request = {.base_url = config->base_url,
                    .api_key = config->api_key,
                    .model = config->model,
                    .deadline_ms = fl_clock_mono_ms() + (int64_t)seconds * 1000,
                    .max_tokens = config->max_tokens > 0 ? config->max_tokens : MAX_TOKENS}};
    *out = (struct fl_ask_answer){.confidence = 0};
    if (ask->lines_n == 0 || ask->lines_n > LINES_MAX) {
        return fl_fail(err, FL_USAGE, "no lines to ask the model about, or more than %d",
                       LINES_MAX);
    }
    enum fl_status status = fl_ask_render(config->prompts_dir, ask, arena, &turns.prompt, err);
    if (status == FL_OK) {
        status = ask_model(&turns, out, err);
    }
    if (status != FL_OK) {
        *out = (struct fl_ask_answer){.confidence = 0};
    }
    out->calls = turns.reply.calls;
    out->prompt_tokens = turns.reply.prompt_tokens;
    out->completion_tokens = turns.reply.completion_tokens;
    out->prompt_id = turns.prompt.id;
    out->model = status == FL_OK ? turns.reply.model : (struct fl_str){NULL, 0};
    return status;
}
