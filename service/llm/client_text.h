/* SPDX-License-Identifier: Apache-2.0 */
/* The answer inside a completion, as text. */
#pragma once
#include "service/base/buf.h"
#include "service/base/json.h"

/* text without a reasoning part: what follows the last </think>, what precedes an open <think>. */
struct fl_str fl_client_strip_reasoning(struct fl_str text);

/* Appends content given as a string, or as parts of which the text ones count. */
void fl_client_content(const fl_json *content, struct fl_buf *out);

/* Puts into the empty `out` the answer held by `message`: its content, else the arguments of a tool
 * call, else what a server that splits off reasoning has put into the reasoning field alone. */
void fl_client_message_text(const fl_json *message, struct fl_buf *out);
