/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a model what rules could not tell: excerpt of a log in, checked diagnosis out.
 *
 * What is sent: the prompt of PROMPTS_DIR/diagnose.md with the lines given, each redacted and at
 * most about 600 bytes; when they are more than the budget of tokens allows, the most telling ones
 * (ask_choose.h), with gaps marked. What comes back is believed only where it can be checked: cause and action are members
 * of closed lists, every quote occurs in the line it names as that line was sent. A faulty answer
 * is sent back once with the reason. Several answers (votes) are asked for one by one; what more
 * than half of them say, by cause and by a line they cite, is the answer, else it is "unknown".
 *
 * Owns nothing: all of the answer lies in the caller's arena. Threads: any, with their own arena.
 * Failure: err says what happened, and of *out only calls, tokens and prompt_id are set; with
 * FL_NOTFOUND also cause and summary, which nothing supports. */
#pragma once
#include "service/base/arena.h"
#include "service/base/status.h"
#include "service/base/str.h"
#include "service/llm/client.h"

#include <stdbool.h>
#include <stdint.h>

/* FL_ASK_TOKENS of log at most, and no question with less than FL_ASK_LEAST. */
enum { FL_ASK_TOKENS = 2400, FL_ASK_LEAST = 200 };
enum { FL_ASK_EVIDENCE = 8, FL_ASK_STEPS = 8, FL_ASK_VOTES = 9 };

struct fl_ask_line {
    struct fl_str file;
    long line;
    long rank; /* -1 unknown */
    struct fl_str text;
    bool gap_before; /* lines of the log between the previous one and this are not given */
    uint64_t kind;   /* equal for lines that differ only in what varies: numbers, paths ... */
    bool trouble;    /* it looks like trouble */
    unsigned finding; /* a rule knows it: 2 for the cause that comes first, 1 for others */
};

struct fl_ask_incident {
    struct fl_str id, cause, summary, resolution;
    double similarity;
};

struct fl_ask {
    const struct fl_ask_line *lines; /* in the order of the log, the error region */
    size_t lines_n;
    const struct fl_ask_incident *similar;
    size_t similar_n;
    const char *findings;      /* deterministic findings in words, or NULL */
    const char *const *causes; /* the slugs allowed; "unknown" is always allowed */
    size_t causes_n;
    const char *const *actions; /* the actions allowed */
    size_t actions_n;
    size_t budget; /* tokens for the lines; 0: FL_ASK_TOKENS */
};

/* Answers of before, by question: what is recalled is checked like any answer. */
struct fl_ask_memory {
    void *ctx;
    bool (*recall)(void *ctx, struct fl_str key, struct fl_str *text_r, struct fl_str *model_r);
    void (*keep)(void *ctx, struct fl_str key, struct fl_str text, struct fl_str model);
};

struct fl_ask_config {
    struct fl_client_endpoint to;
    const char *prompts_dir;
    int64_t deadline_ms; /* for everything, on the clock of fl_clock_mono_ms(); 0: in 60 s */
    int max_tokens; /* of an answer; 0: 2000 */
    int votes;      /* answers to hear, 1 to FL_ASK_VOTES; 0: 1 */
    const struct fl_ask_memory *memory; /* or NULL */
    struct fl_client_caps *caps; /* what is known of the endpoint, and what is found out; or NULL */
};

struct fl_ask_evidence {
    size_t line_index;   /* into fl_ask.lines */
    struct fl_str quote; /* as it stands in the line that was sent (redacted, blanks as there) */
};

struct fl_ask_answer {
    struct fl_str cause; /* of fl_ask.causes, or "unknown" (then evidence may be empty) */
    struct fl_str summary;
    double confidence; /* 0 to 1 */
    struct fl_ask_evidence evidence[FL_ASK_EVIDENCE];
    size_t evidence_n;
    struct fl_str action; /* of fl_ask.actions */
    struct fl_str recovery[FL_ASK_STEPS];
    size_t recovery_n;
    bool recoverable;
    int votes, agreed; /* answers that counted, and those that say this */
    long calls, prompt_tokens, completion_tokens;
    struct fl_str model;     /* as the endpoint calls it */
    struct fl_str prompt_id; /* "diagnose/2-<hash of template and schema>" */
};

/* FL_OK, or a failure of the endpoint (client.h), of the answer (FL_SYNTAX), or FL_NOTFOUND: the
 * answer cites nothing that is in the log. A failure of a later vote only costs that vote. */
enum fl_status fl_ask(const struct fl_ask_config *config, const struct fl_ask *ask,
                      struct fl_arena *arena, struct fl_ask_answer *out,
                      struct fl_err *err) FL_MUST_USE;

/* ---- the two halves, for tests and fuzzers ---- */

struct fl_ask_prompt {
    struct fl_str system, user, schema, id;
    size_t tokens; /* of all three, about */
    struct fl_str *shown; /* lines_n texts as sent, without label; {NULL,0} for a line left out */
};

/* Fills the template and the schema. FL_NOTFOUND or FL_SYNTAX when the files are not as they
 * should be. */
enum fl_status fl_ask_render(const char *prompts_dir, const struct fl_ask *ask,
                             struct fl_arena *arena, struct fl_ask_prompt *out,
                             struct fl_err *err) FL_MUST_USE;

/* Reads and checks the text of an answer. `shown` as from fl_ask_render. On failure *out is all
 * zeroes and err says what is wrong in words that may be sent back to the model. */
enum fl_status fl_ask_parse_answer(struct fl_str text, const struct fl_ask *ask,
                                   const struct fl_str *shown, struct fl_arena *arena,
                                   struct fl_ask_answer *out, struct fl_err *err) FL_MUST_USE;
