/* SPDX-License-Identifier: Apache-2.0 */
/* Incidents near to an unknown failure by an embedding model at the endpoint, when the setting
 * `embed_model` names one. The same request carries up to FL_EMBEDDING_MISSING incidents whose vectors
 * are missing, so that a new store or a new model is caught up with while it is used. */
#pragma once
#include "rag/dense.h"
#include "service/pipeline.h"

enum { FL_EMBEDDING_NEAR = 20, FL_EMBEDDING_MISSING = 60, FL_EMBEDDING_DEADLINE_S = 10 };

/* Returns how many are near, best first: none without a model, without a state folder, offline, and when
 * anything goes wrong (a warning of the log). What is sent is redacted. */
size_t fl_embedding_near(const struct fl_config *config, struct fl_result *result,
                         struct fl_str text, struct fl_near near[static FL_EMBEDDING_NEAR]);
