/* SPDX-License-Identifier: Apache-2.0 */
/* What endpoints say when they refuse: eight shapes of body in, words out. */
#pragma once
#include "service/base/buf.h"

#include <stdbool.h>

enum { FL_CLIENT_COMPLAINT_CAP = 8 * 1024 };

/* Appends the message of an error body (any of the shapes in use, JSON or not) as one line of at
 * most 300 bytes, redacted and safe to show. A code that is a word stands behind it. */
void fl_client_error_text(struct fl_str body, struct fl_buf *out);

/* Appends what decides how to go on: message, code, type, param and places, separated by blanks.
 * What servers echo of the question is left out, for it names every field there is. */
void fl_client_complaint(struct fl_str body, struct fl_buf *out);

/* The status that an error inside a 200 claims, 400 when it claims none; 0: no error in there. */
long fl_client_hidden_error(struct fl_str body);

/* One of the words (up to NULL) begins somewhere in the text, where no letter precedes it. */
bool fl_client_mentions(struct fl_str text, const char *const *words);

/* The complaint is that the question exceeds the context; *tokens_r is its size, 0 when unsaid. */
bool fl_client_too_long(struct fl_str complaint, long *tokens_r);
