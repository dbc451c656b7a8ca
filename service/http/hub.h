/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for news: streams of server-sent events (HTML standard, 9.2), and requests for a verdict
 * that is about to come. The last FL_HUB_KEPT events are kept for those who come again with Last-Event-ID.
 * Threads: any; one of its own for time. */
#pragma once
#include "service/http/server.h"

#include <stdint.h>

enum { FL_HUB_KEPT = 512, FL_HUB_STREAMS = 256, FL_HUB_PING_MS = 15000 };

struct fl_hub;

enum fl_status fl_hub_start(struct fl_hub **out, struct fl_err *err) FL_MUST_USE;
/* Ends all streams, and lets all who wait go. */
void fl_hub_close(struct fl_hub *hub);
void fl_hub_free(struct fl_hub *hub); /* when the server is stopped */

/* type: a literal word; data: one line of JSON. */
void fl_hub_publish(struct fl_hub *hub, const char *type, struct fl_str data);

/* The answer is the stream of what happens from now on (or from Last-Event-ID on). */
void fl_hub_stream(struct fl_hub *hub, struct fl_http_request *request);

/* Fills in the answer; false: it is not what is waited for, and `last` is false. */
typedef bool (*fl_hub_ready)(void *ctx, struct fl_http_request *request, bool last);

/* `ready` is called when there is news of the job until it says true, and for the last time after wait_ms.
 * false: there was news (of any job) since fl_hub_told said `told`; look again at what you know. */
bool fl_hub_wait(struct fl_hub *hub, struct fl_http_request *request, int64_t job, int64_t wait_ms,
                 uint64_t told, fl_hub_ready ready, void *ctx);
uint64_t fl_hub_told(struct fl_hub *hub);
void fl_hub_news(struct fl_hub *hub, int64_t job);

size_t fl_hub_streams(struct fl_hub *hub);
