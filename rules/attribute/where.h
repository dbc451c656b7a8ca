/* SPDX-License-Identifier: Apache-2.0 */
/* Where it began. A line of the cause may say who printed it; of a collective that timed out it is
 * the rank that never joined, not the one that complained; else whom the launcher names. The node
 * follows from the roll of ranks. Stateless. */
#pragma once
#include "rules/diagnose.h"

/* findings: those of the cause, the most telling first, n > 0. *faulty comes with nothing known. */
void fl_where(struct fl_diagnosis *diagnosis, const struct fl_cause *cause,
              const struct fl_finding *const *findings, size_t n, struct fl_place *faulty);
