/* SPDX-License-Identifier: Apache-2.0 */
/* One POST to an endpoint, tried again with patience; what chat and embeddings have in common.
 * Owns its buffers; borrows the request. Use: open, then write `body` and post as often as needed,
 * close in any case. */
#pragma once
#include "service/llm/client.h"
#include "service/llm/client_address.h"

enum { FL_CLIENT_BODY_CAP = 1 << 20 };

struct fl_client_wire {
    const struct fl_client_request *request;
    struct fl_err *err;
    struct fl_client_address address;
    struct fl_buf body;      /* what is sent: JSON */
    struct fl_buf response;  /* what came back; a stream is joined */
    struct fl_buf complaint; /* what a refusal is about (client_error.h) */
    long http;
    long refused;     /* HTTP status of a refusal, also of one inside a 200; 0: an answer */
    int64_t wait_ms;  /* the endpoint wants to be left alone so long; 0: it does not say */
    int should_retry; /* as it says: 1 yes, -1 no, 0 nothing */
    size_t headers_n; /* bytes of headers */
    char request_id[80];
    int code;         /* CURLcode */
    char reason[256]; /* CURL_ERROR_SIZE */
};

/* Checks what of the request is for the wire. FL_USAGE names the setting at fault; FL_INTERNAL:
 * there is no libcurl. */
enum fl_status fl_client_wire_open(struct fl_client_wire *wire,
                                   const struct fl_client_request *request, const char *leaf,
                                   size_t response_cap, struct fl_err *err) FL_MUST_USE;
void fl_client_wire_close(struct fl_client_wire *wire);

/* Sends the body until there is an answer, a refusal that more patience will not change, or no
 * time. FL_OK: one of the first two. */
enum fl_status fl_client_wire_post(struct fl_client_wire *wire) FL_MUST_USE;

/* The response without byte order mark and blanks around it. */
struct fl_str fl_client_wire_text(const struct fl_client_wire *wire);

/* The refusal as a status and words. */
enum fl_status fl_client_wire_refusal(struct fl_client_wire *wire) FL_MUST_USE;

/* The response holds the key (one long enough to be a secret). */
bool fl_client_wire_leaks(const struct fl_client_wire *wire);
