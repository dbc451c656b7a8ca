/* SPDX-License-Identifier: Apache-2.0 */
/* What endpoints say, as text: the message of an error, the answer of a completion. */
#pragma once
#include "service/base/buf.h"
#include "service/base/json.h"

/* text without a reasoning part: what follows the last </think>, what precedes an open <think>. */
struct fl_str fl_client_strip_reasoning(struct fl_str text);

/* Appends the answer held by `message`: content as a string or as parts, or what a server that
 * splits off reasoning has put into the reasoning field alone. */
void fl_client_message_text(const fl_json *message, struct fl_buf *out);

/* Appends the message of an error body (any of the shapes in use, JSON or not) as one line of at
 * most 300 bytes, redacted. */
void fl_client_error_text(struct fl_str body, struct fl_buf *out);
