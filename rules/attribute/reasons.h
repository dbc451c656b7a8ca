/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "rules/attribute/attribute.h"

/* Fills h->why from the findings. surest: the finding that gave the hypothesis its weight; earliest:
 * its first sighting that the job did not get over, or NULL. */
void fl_reasons_tell(struct fl_diagnosis *diagnosis, const struct fl_finding *surest,
                     const struct fl_sighting *earliest, struct fl_hypothesis *h);

/* Is it known that a came before b? Stricter than what decides the lead: a time taken over from an
 * earlier line is only the least it can be. */
bool fl_surely_before(const struct fl_sighting *a, const struct fl_sighting *b);
