/* SPDX-License-Identifier: Apache-2.0 */
/* Texts to vectors: POST BASE_URL/embeddings, on the wire and with the patience of client.h.
 *
 * Texts go out as they are given: redact them first. Blank ones are not sent, for endpoints refuse
 * them; one that is too long is cut. Vectors come back in the order of the texts and have length 1,
 * so that their inner product is the cosine.
 *
 * Limits: 64 texts and about 8,000 tokens (three bytes each) a request, as many requests as it
 * takes before the deadline; 16,384 dimensions; 16 MiB a response. */
#pragma once
#include "service/llm/client.h"

enum { FL_CLIENT_EMBED_DIM = 16384 };

struct fl_client_vectors {
    float *rows;   /* n rows of dim numbers, in the arena; the row of a blank text is all zeroes */
    size_t n, dim; /* dim 0: all texts are blank */
    struct fl_str model; /* as the endpoint calls it */
    long calls, prompt_tokens;
};

/* Of the request, messages, schema, max_tokens and warmth are not used. All or nothing: after a
 * failure only calls and prompt_tokens are set. FL_SYNTAX: the response does not hold one vector
 * for each text, all of one length, of finite numbers; else as fl_client_chat. */
enum fl_status fl_client_embed(const struct fl_client_request *request, const struct fl_str *texts,
                               size_t n, struct fl_arena *arena, struct fl_client_vectors *out,
                               struct fl_err *err) FL_MUST_USE;
