/* SPDX-License-Identifier: Apache-2.0 */
/* A streamed answer (text/event-stream) made into the one that the endpoint was asked for. */
#pragma once
#include "service/base/buf.h"

/* The body begins as a stream of events does. */
bool fl_client_is_stream(struct fl_str body);

/* Appends the completion that the events of the body add up to, as the JSON object of an answer
 * that was not streamed, or the event that holds an error as it stands. Comments, events that are
 * not JSON and a last one that was cut off are passed over; [DONE] may be missing. Failures collect
 * in out->failed. */
void fl_client_join_stream(struct fl_str body, struct fl_buf *out);
