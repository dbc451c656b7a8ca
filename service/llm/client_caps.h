/* SPDX-License-Identifier: Apache-2.0 */
/* What an endpoint is believed to understand: guessed from its host, corrected by its refusals, and
 * kept by the caller, between questions and (as text) between runs. */
#pragma once
#include "service/base/buf.h"

#include <stdbool.h>

enum fl_client_json { FL_CLIENT_JSON_SCHEMA, FL_CLIENT_JSON_OBJECT, FL_CLIENT_JSON_NONE };
enum fl_client_tokens { FL_CLIENT_TOKENS_OLD, FL_CLIENT_TOKENS_NEW, FL_CLIENT_TOKENS_NONE };

/* Start with {0}. */
struct fl_client_caps {
    bool guessed; /* from the host name */
    enum fl_client_json json;
    enum fl_client_tokens tokens; /* max_tokens, max_completion_tokens, neither */
    bool tokens_changed;
    bool no_temperature;
    bool no_system; /* the system text goes in front of the user's */
    bool stream;    /* the endpoint answers in streams only */
};

/* The first guess; does nothing when there is one. */
void fl_client_caps_guess(struct fl_client_caps *caps, bool new_names);

/* Changes the one thing that a complaint (client_error.h) is about; false when there is nothing
 * (more) to change. Each change goes one way only, so a series of them ends. has_schema: an answer
 * format was asked for; may_guess: a complaint that names nothing is blamed on that format. */
bool fl_client_caps_change(struct fl_client_caps *caps, struct fl_str complaint, bool has_schema,
                           bool may_guess);

/* The record as one JSON object, {"json":"schema","tokens":"max_tokens",...}; failures collect in
 * out->failed. */
void fl_client_caps_write(const struct fl_client_caps *caps, struct fl_buf *out);

/* The record from its text; unknown fields are passed over, and a text that is damaged or names
 * what we do not know makes *caps {0}, which starts afresh. */
void fl_client_caps_read(struct fl_str json, struct fl_client_caps *caps);
