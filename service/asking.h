/* SPDX-License-Identifier: Apache-2.0 */
/* Around a question to a model: may it be asked at all (the day's budget, an endpoint that kept
 * failing), is somebody asking the same just now, what was answered before, and what it cost. All of
 * it is kept in the state folder; without one nothing is known, and nothing is refused.
 * Threads: one question, one thread; processes: any number. */
#pragma once
#include "rag/asked.h"
#include "service/config.h"
#include "service/llm/ask.h"
#include "service/llm/client.h"

/* FL_ASKING_FAULTS in a row close an endpoint for FL_ASKING_CLOSED_S seconds, doubled with each
 * further one up to FL_ASKING_CLOSED_MOST_S. */
enum { FL_ASKING_FAULTS = 3, FL_ASKING_CLOSED_S = 60, FL_ASKING_CLOSED_MOST_S = 3600 };

struct fl_asking {
    struct fl_incidents *store; /* borrowed; NULL: no memory */
    struct fl_arena *arena;
    char name[640]; /* of the endpoint */
    struct fl_endpoint endpoint;
    struct fl_client_caps caps;
    struct fl_ask_memory memory;
    struct fl_ask_config how; /* until the deadline of the settings, or `seconds`, from the begin */
    int lock;
    int64_t began_us;
};

/* What the tokens cost by the settings price_in and price_out; below 0: they are not set. */
double fl_asking_money(const struct fl_config *config, long sent, long received);

/* The endpoint of the settings, with the model that the setting `model` names. */
struct fl_client_endpoint fl_asking_endpoint(const struct fl_config *config, enum fl_setting model);

/* Waits for the process that asks about the same fingerprint ("": nobody does), until the deadline at
 * most. */
void fl_asking_begin(struct fl_asking *asking, const struct fl_config *config, int seconds,
                     struct fl_incidents *store, const char *fingerprint, struct fl_arena *arena);

/* FL_DENIED: not now, err says why. */
enum fl_status fl_asking_allowed(struct fl_asking *asking, const struct fl_config *config,
                                 struct fl_err *err) FL_MUST_USE;

/* FL_DENIED: the day's calls or tokens are used up. */
enum fl_status fl_asking_budget(const struct fl_config *config, struct fl_incidents *store,
                                struct fl_err *err) FL_MUST_USE;

/* Keeps what was found out and spent (model, calls and tokens; the rest is filled in). status and err: of
 * the question. */
void fl_asking_note(struct fl_asking *asking, enum fl_status status, const struct fl_err *err,
                    struct fl_spending spent);
void fl_asking_end(struct fl_asking *asking);
