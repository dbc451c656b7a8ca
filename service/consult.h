/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of the walk, for failures that no rule knows: ask the model with the condensed
 * log and similar incidents, hold its answer against the log, and keep what it taught (a proposed
 * diagnosis rule, a proposed filter rule, an incident). */
#pragma once
#include "service/pipeline.h"

/* Is an endpoint set, and is sending allowed? */
bool fl_consult_wanted(const struct fl_config *config);

/* Never fails: on any trouble the verdict stays and model_note says what happened. */
void fl_consult(const struct fl_config *config, struct fl_result *result);
