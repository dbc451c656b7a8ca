/* SPDX-License-Identifier: Apache-2.0 */
#include "service/llm/sort.h"

#include "service/base/clock.h"
#include "service/llm/client.h"
#include "service/llm/talk.h"

#include <stdio.h>

enum { DEADLINE_S = 120, MAX_TOKENS = 2000, KINDS_CAP = 64 * 1024, HEAD = 300, TAIL = 60,
       WARM = 7 /* tenths: answers that vote must not be copies of one */ };

/* One question about kinds[0 .. n). */
struct question {
    const struct fl_ask_config *config;
    struct fl_sort_kind *kinds;
    size_t n;
    struct fl_str system, user, schema;
    struct fl_client_caps *caps;
    struct fl_client_reply reply;
    int64_t deadline_ms;
    int warmth;
    struct fl_arena *arena;
};

static enum fl_status write_kinds(struct fl_talk *talk, const struct question *q,
                                  struct fl_buf *out)
{
    enum fl_status status = FL_OK;
    for (size_t i = 0; status == FL_OK && i < q->n; i++) {
        fl_buf_addf(out, "K%zu (%llu times): ", i + 1, (unsigned long long)q->kinds[i].count);
        status = fl_talk_line(talk, q->kinds[i].sample, HEAD, TAIL, out);
        fl_buf_add_text(out, "\n");
    }
    return status == FL_OK ? out->failed : status;
}

static enum fl_status fill(struct fl_talk *talk, struct question *q, struct fl_err *err)
{
    struct fl_buf kinds;
    char fence[32];
    fl_buf_init(&kinds, KINDS_CAP);
    enum fl_status status = write_kinds(talk, q, &kinds);
    struct fl_str text = fl_buf_str(&kinds);
    fl_talk_fence(&text, 1, fence);
    const struct fl_talk_slot slots[] = {{"kinds", text}, {"fence", fl_str_of(fence)}};
    if (status != FL_OK) {
        status = fl_fail(err, status, "prompt: %s", fl_status_text(status));
    } else {
        status = fl_talk_fill(talk, "\n## system\n", slots, 2, q->arena, &q->system, err);
    }
    if (status == FL_OK) {
        status = fl_talk_fill(talk, "\n## user\n", slots, 2, q->arena, &q->user, err);
    }
    if (status == FL_OK) {
        status = fl_talk_fill(talk, NULL, slots, 0, q->arena, &q->schema, err);
    }
    fl_buf_free(&kinds);
    return status;
}

/* "K12" -> 11; n when it is no label. */
static size_t index_of(struct fl_str label, size_t n)
{
    long number = 0;
    struct fl_str digits = fl_str_skip(label, 1);
    bool good = label.n > 1 && label.n < 6 && (*label.p | 32) == 'k' &&
                fl_str_take_number(&digits, &number) && digits.n == 0 && number >= 1;
    return good && (size_t)number <= n ? (size_t)number - 1 : n;
}

static void keep_name(struct fl_str name, char out[static FL_SORT_NAME])
{
    size_t n = 0;
    for (size_t i = 0; i < name.n && n + 1 < FL_SORT_NAME; i++) {
        char c = name.p[i];
        bool plain = fl_is_alpha(c) || fl_is_digit(c) || (c && strchr(" -_/.:+", c));
        out[n++] = plain ? c : '?';
    }
    out[n] = '\0';
}

/* One vote, each kind once. */
static enum fl_status count_vote(struct question *q, struct fl_str answer, struct fl_err *err)
{
    fl_json *root = NULL;
    bool named[FL_SORT_KINDS] = {false};
    enum fl_status status = fl_talk_object(answer, "routine", &root, err);
    for (const fl_json *e = fl_json_first(fl_json_get(root, "routine")); status == FL_OK && e;
         e = fl_json_next(e)) {
        size_t i = index_of(fl_json_get_str(e, "kind"), q->n);
        if (i < q->n && !named[i]) {
            named[i] = true;
            q->kinds[i].votes++;
            keep_name(fl_json_get_str(e, "name"), q->kinds[i].name);
        }
    }
    fl_json_free(root);
    return status;
}

static enum fl_status vote(struct question *q, struct fl_err *err)
{
    const struct fl_client_message messages[] = {{"system", q->system}, {"user", q->user}};
    struct fl_client_request request = {.to = q->config->to,
                                        .messages = messages,
                                        .messages_n = 2,
                                        .schema_name = "routine",
                                        .schema = q->schema,
                                        .deadline_ms = q->deadline_ms,
                                        .max_tokens = MAX_TOKENS,
                                        .warmth = q->warmth};
    enum fl_status status = fl_client_chat(&request, q->caps, q->arena, &q->reply, err);
    return status == FL_OK ? count_vote(q, q->reply.text, err) : status;
}

enum fl_status fl_sort(const struct fl_ask_config *config, struct fl_sort_kind *kinds, size_t n,
                       unsigned votes, struct fl_arena *arena, struct fl_sort_report *out,
                       struct fl_err *err)
{
    struct fl_talk talk;
    struct fl_client_caps none = {.guessed = false};
    struct question q = {.config = config, .caps = config->caps ? config->caps : &none, .arena = arena,
                         .deadline_ms = config->deadline_ms ? config->deadline_ms
                                                            : fl_clock_mono_ms() + DEADLINE_S * 1000,
                         .warmth = votes > 1 ? WARM : 0};
    *out = (struct fl_sort_report){.calls = 0};
    enum fl_status status = fl_talk_open(&talk, config->prompts_dir, "routine", err);
    if (status == FL_OK) {
        status = fl_talk_id(&talk, "routine", arena, &out->prompt_id);
    }
    for (size_t i = 0; status == FL_OK && i < n; i += FL_SORT_KINDS) {
        q.kinds = kinds + i;
        q.n = n - i < FL_SORT_KINDS ? n - i : FL_SORT_KINDS;
        status = fill(&talk, &q, err);
        for (unsigned k = 0; status == FL_OK && k < votes; k++) {
            status = vote(&q, err);
        }
    }
    fl_talk_close(&talk);
    out->calls = q.reply.calls;
    out->sent = q.reply.prompt_tokens;
    out->received = q.reply.completion_tokens;
    out->model = q.reply.model;
    for (size_t i = 0; status != FL_OK && i < n; i++) {
        kinds[i].votes = 0;
    }
    return status;
}
