/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of the walk: which past failure is this, and what is kept of it for the next time.
 * A job that is not healthy becomes an incident of the state folder, or one more job of an incident
 * with the same fingerprint; a person's word about it (`faultline feedback`) makes it count. */
#pragma once
#include "service/pipeline.h"

/* So like a confirmed incident must be to be the verdict. Over the corpus with all rules off, the
 * nearest other incident had the right cause in 97 of 100 cases from there on (tests/bench/recall.py). */
#define FL_RECALL_CLOSE 0.5

/* So long what a model said of a failure answers the next one with the same fingerprint. */
enum { FL_RECALL_FRESH_S = 7 * 24 * 3600 };

/* Opens the store (its shipped incidents alone when there is no state folder, or a broken one), finds the
 * telling lines, what they are like, and the incident that this failure is. An unknown failure that is
 * close enough to a confirmed incident gets its verdict (method: incident). Never fails. */
void fl_recall(const struct fl_config *config, struct fl_result *result);

/* Looks once more, for what other processes have kept meanwhile: is the failure known now? */
bool fl_recall_again(struct fl_result *result);

/* Keeps incident and verdict, once. Best effort: troubles are warnings of the log. */
void fl_remember(struct fl_result *result);
