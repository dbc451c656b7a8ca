/* SPDX-License-Identifier: Apache-2.0 */
/* One question to an OpenAI-compatible endpoint: POST BASE_URL/chat/completions, answer as text.
 *
 * Bounds: connecting takes at most 10 s, everything (retries, waiting, renegotiation) ends at the
 * given deadline, a response has at most 2 MiB. Only http and https, certificates are checked,
 * redirects are not followed. Connection failures and HTTP 408, 409, 429, 5xx are tried again,
 * twice at most, unless x-should-retry, a used-up quota or a question too long speak against it;
 * the pause is what retry-after-ms or Retry-After say when that is 60 s at most (longer: given up
 * at once), else an increasing one. When a 400 or 422 complains about a field, that field is sent
 * differently and the endpoint is asked again; what led to an answer stays in the struct
 * fl_client_caps, which the caller keeps between questions.
 *
 * The key travels in a header and nowhere else; messages of the endpoint are redacted before they
 * reach err, and an answer that repeats the key is refused. Safe from several threads, each with
 * its own arguments. */
#pragma once
#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/base/status.h"
#include "service/base/str.h"
#include "service/llm/client_caps.h"

#include <stdint.h>

struct fl_client_message {
    const char *role; /* "system", "user", "assistant" */
    struct fl_str text;
};

/* Where a question goes, and how we show who we are. */
struct fl_client_endpoint {
    const char *base_url;       /* "https://host/v1"; a query (?api-version=...) is kept */
    const char *api_key;        /* NULL or "": no Authorization header */
    const char *const *headers; /* more of them, "Name: value", up to NULL; NULL: none */
    const char *ca_file;        /* PEM bundle in place of the system's; NULL: the system's */
    const char *cert_file;      /* our certificate with its key, PEM; NULL: none */
    const char *model;
};

struct fl_client_request {
    struct fl_client_endpoint to;
    const struct fl_client_message *messages;
    size_t messages_n;
    const char *schema_name;
    struct fl_str schema; /* a JSON Schema for the answer, or {NULL,0} */
    int64_t deadline_ms;  /* on the clock of fl_clock_mono_ms() */
    int max_tokens;
    int warmth; /* temperature in tenths */
};

struct fl_client_reply {
    struct fl_str text;  /* reasoning taken off; in the arena */
    struct fl_str model; /* as the endpoint calls it; in the arena */
    long calls;          /* answers received; added to, also when the call fails in the end */
    long prompt_tokens, completion_tokens; /* added to when the endpoint tells */
    bool too_long;       /* FL_LIMIT because of the question: a shorter one may be answered */
    long context_tokens; /* then, how many tokens the endpoint takes in all; 0: it does not say */
};

/* Asks and waits. On failure reply->text is empty and err names the endpoint and the reason:
 * FL_USAGE (configuration), FL_DENIED (401, 403), FL_NOTFOUND (404), FL_TIMEOUT, FL_UNAVAILABLE,
 * FL_LIMIT (too long, either way; see reply->too_long), FL_SYNTAX (the response is not a chat
 * completion). */
enum fl_status fl_client_chat(const struct fl_client_request *request, struct fl_client_caps *caps,
                              struct fl_arena *arena, struct fl_client_reply *reply,
                              struct fl_err *err) FL_MUST_USE;
