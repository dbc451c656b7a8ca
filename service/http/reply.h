/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: JSON, plain text, problems (RFC 9457). */
#pragma once
#include "service/base/json.h"
#include "service/http/server.h"

/* Begins a JSON answer: write the value, nothing else is to be done. */
void fl_reply_json(struct fl_http_request *request, unsigned status, struct fl_jw *w);
void fl_reply_text(struct fl_http_request *request, unsigned status, const char *text);
void fl_reply_empty(struct fl_http_request *request, unsigned status);

/* {"type": "about:blank", "title": ..., "status": ..., "detail": ..., "request": ...} */
void fl_reply_problem(struct fl_http_request *request, unsigned status, const char *detail);

/* The problem that a failure is: 400, 404, 409, 413, 503 (with Retry-After), 507 or 500. */
void fl_reply_failed(struct fl_http_request *request, enum fl_status status, const struct fl_err *err);
unsigned fl_reply_status(enum fl_status status);
