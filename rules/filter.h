/* SPDX-License-Identifier: Apache-2.0 */
/* Is this line routine? */
#pragma once
#include "rules/base/ruleset.h"

/* True when an active filter rule among the candidates matches the whole raw line; its index goes
 * to *rule_r. A match that could not be told keeps the line. */
bool fl_filter_drops(const struct fl_ruleset *set, struct fl_match_work *work, struct fl_str raw,
                     const struct fl_candidate *candidates, size_t n, uint32_t *rule_r);
