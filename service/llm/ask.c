/* SPDX-License-Identifier: Apache-2.0 */
/* One question, and one more when the answer does not hold: most faulty answers are slips of form
 * (a cause spelled freely, a quote tidied up) that the same model mends when told. A third turn
 * was never worth its time; the deterministic verdict stands then. */
#include "service/llm/ask.h"

#include "service/base/buf.h"
#include "service/base/clock.h"
#include "service/base/hash.h"
#include "service/llm/client.h"

#include <stdio.h>

enum { DEADLINE_S = 60, MAX_TOKENS = 1500, ANSWER_SHOWN = 4000, LINES_MAX = 4096, WARM = 7 };

/* What stays the same between the turns. */
struct turns {
    const struct fl_ask *ask;
    const struct fl_ask_memory *memory;
    struct fl_client_request request;
    struct fl_client_caps *caps;
    struct fl_client_reply reply;
    struct fl_ask_prompt prompt;
    struct fl_arena *arena;
};

static enum fl_status take_turn(struct turns *turns, struct fl_ask_answer *out, bool *answered_r,
                                struct fl_err *err)
{
    *answered_r = false;
    enum fl_status status =
        fl_client_chat(&turns->request, turns->caps, turns->arena, &turns->reply, err);
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

/* What the question is known by: all that is sent, and which of the votes it is. */
static struct fl_str key_of(const struct turns *turns, int vote, char out[static 40])
{
    uint64_t hash[2] = {(uint64_t)vote, (uint64_t)vote + 1000};
    const struct fl_str parts[] = {fl_str_of(turns->request.to.base_url),
                                   fl_str_of(turns->request.to.model), turns->prompt.system,
                                   turns->prompt.user, turns->prompt.schema};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        hash[0] = fl_hash(parts[i], hash[0]);
        hash[1] = fl_hash(parts[i], hash[1] + parts[i].n);
    }
    int n = snprintf(out, 40, "%016llx%016llx", (unsigned long long)hash[0],
                     (unsigned long long)hash[1]);
    return (struct fl_str){out, (size_t)n};
}

/* Asks, and when the answer does not hold, once more. */
static enum fl_status ask_now(struct turns *turns, struct fl_ask_answer *out, struct fl_err *err)
{
    struct fl_client_message messages[4] = {{"system", turns->prompt.system},
                                            {"user", turns->prompt.user}};
    struct fl_err local = {.status = FL_OK};
    bool answered = false;
    turns->request.messages = messages;
    turns->request.messages_n = 2;
    enum fl_status status = take_turn(turns, out, &answered, &local);
    if (answered && (status == FL_SYNTAX || status == FL_NOTFOUND)) {
        status = repair(turns, messages, out, &local);
    }
    return status == FL_OK ? FL_OK : fl_fail(err, status, "%s", local.msg);
}

static enum fl_status one_answer(struct turns *turns, int vote, struct fl_ask_answer *out,
                                 struct fl_err *err)
{
    char text[40];
    struct fl_err stale = {.status = FL_OK};
    struct fl_str answer = {NULL, 0};
    struct fl_str key = key_of(turns, vote, text);
    if (turns->memory && turns->memory->recall &&
        turns->memory->recall(turns->memory->ctx, key, &answer, &turns->reply.model) &&
        fl_ask_parse_answer(answer, turns->ask, turns->prompt.shown, turns->arena, out, &stale) ==
            FL_OK) {
        return FL_OK;
    }
    enum fl_status status = ask_now(turns, out, err);
    if (status == FL_OK && turns->memory && turns->memory->keep) {
        turns->memory->keep(turns->memory->ctx, key, turns->reply.text, turns->reply.model);
    }
    return status;
}

/* Do two answers name one cause, and a line in common? */
static bool agree(const struct fl_ask_answer *a, const struct fl_ask_answer *b)
{
    bool line = a->evidence_n == 0 && b->evidence_n == 0;
    for (size_t i = 0; i < a->evidence_n; i++) {
        for (size_t k = 0; k < b->evidence_n; k++) {
            line |= a->evidence[i].line_index == b->evidence[k].line_index;
        }
    }
    return line && fl_str_eq(a->cause, b->cause);
}

/* The answer that most others agree with; without more than half of them it is "unknown". */
static void elect(const struct fl_ask_answer *heard, int n, struct fl_ask_answer *out)
{
    int most = 0;
    for (int i = 0; i < n; i++) {
        int votes = 0;
        double confidence = 0;
        for (int k = 0; k < n; k++) {
            bool same = agree(&heard[i], &heard[k]);
            votes += same;
            confidence += same ? heard[k].confidence : 0;
        }
        if (votes > most) {
            most = votes;
            *out = heard[i];
            out->confidence = confidence / n; /* who disagrees counts as 0 */
        }
    }
    if (2 * most <= n) {
        *out = (struct fl_ask_answer){.cause = FL_LIT("unknown"),
                                      .summary = FL_LIT("the answers disagree"),
                                      .action = FL_LIT("escalate")};
    }
    out->votes = n;
    out->agreed = most;
}

static enum fl_status hear(struct turns *turns, int votes, struct fl_ask_answer *out,
                           struct fl_err *err)
{
    struct fl_ask_answer heard[FL_ASK_VOTES];
    struct fl_err first = {.status = FL_OK};
    int n = 0;
    enum fl_status status = FL_OK;
    turns->request.schema = turns->prompt.schema;
    turns->request.schema_name = "diagnosis";
    turns->request.warmth = votes > 1 ? WARM : 0;
    for (int i = 0; i < votes; i++) {
        enum fl_status one = one_answer(turns, i, &heard[n], &first);
        if (one == FL_OK) {
            n++;
        } else if (status == FL_OK) {
            status = one;
            *out = heard[n];
        }
        if (one != FL_OK && one != FL_SYNTAX && one != FL_NOTFOUND) {
            break; /* the endpoint, not the answer */
        }
    }
    if (2 * n <= votes) { /* too few to tell; the first fault says why */
        return fl_fail(err, status, "%s", first.msg);
    }
    elect(heard, n, out);
    return FL_OK;
}

/* The endpoint takes less than was sent: as much of the log as it has room for, half if it does not say. */
static enum fl_status ask_shorter(struct turns *turns, const struct fl_ask_config *config, int votes,
                                  struct fl_ask_answer *out, struct fl_err *err)
{
    const struct fl_ask *all = turns->ask;
    struct fl_ask shorter = *all;
    size_t whole = shorter.budget ? shorter.budget : FL_ASK_TOKENS;
    size_t fixed = turns->prompt.tokens > whole ? turns->prompt.tokens - whole : 0;
    size_t takes = turns->reply.context_tokens > 0 ? (size_t)turns->reply.context_tokens : 0;
    size_t answer = (size_t)turns->request.max_tokens;
    size_t room = takes > fixed + answer ? takes - fixed - answer : 0;
    shorter.budget = takes == 0 || room > whole / 2 ? whole / 2 : room;
    if (shorter.budget < FL_ASK_LEAST) {
        return fl_fail(err, FL_LIMIT, "the endpoint takes %ld tokens, too few for a question",
                       turns->reply.context_tokens);
    }
    turns->ask = &shorter;
    enum fl_status status =
        fl_ask_render(config->prompts_dir, turns->ask, turns->arena, &turns->prompt, err);
    status = status == FL_OK ? hear(turns, votes, out, err) : status;
    turns->ask = all;
    return status;
}

enum fl_status fl_ask(const struct fl_ask_config *config, const struct fl_ask *ask,
                      struct fl_arena *arena, struct fl_ask_answer *out, struct fl_err *err)
{
    int votes = config->votes > 0 && config->votes <= FL_ASK_VOTES ? config->votes : 1;
    struct fl_client_caps none = {.guessed = false};
    struct turns turns = {
        .ask = ask,
        .arena = arena,
        .memory = config->memory,
        .caps = config->caps ? config->caps : &none,
        .request = {.to = config->to,
                    .deadline_ms = config->deadline_ms ? config->deadline_ms
                                                       : fl_clock_mono_ms() + DEADLINE_S * 1000,
                    .max_tokens = config->max_tokens > 0 ? config->max_tokens : MAX_TOKENS}};
    *out = (struct fl_ask_answer){.confidence = 0};
    if (ask->lines_n == 0 || ask->lines_n > LINES_MAX) {
        return fl_fail(err, FL_USAGE, "no lines to ask the model about, or more than %d",
                       LINES_MAX);
    }
    enum fl_status status = fl_ask_render(config->prompts_dir, ask, arena, &turns.prompt, err);
    if (status == FL_OK) {
        struct fl_err first = {.status = FL_OK};
        status = hear(&turns, votes, out, &first);
        if (status == FL_LIMIT && turns.reply.too_long) {
            first = (struct fl_err){.status = FL_OK};
            status = ask_shorter(&turns, config, votes, out, &first);
        }
        if (status != FL_OK) {
            fl_fail(err, status, "%s", first.msg);
        }
    }
    if (status != FL_OK && status != FL_NOTFOUND) {
        *out = (struct fl_ask_answer){.confidence = 0};
    }
    out->calls = turns.reply.calls;
    out->prompt_tokens = turns.reply.prompt_tokens;
    out->completion_tokens = turns.reply.completion_tokens;
    out->prompt_id = turns.prompt.id;
    out->model = status == FL_OK ? turns.reply.model : (struct fl_str){NULL, 0};
    return status;
}
