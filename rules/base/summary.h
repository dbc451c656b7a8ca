/* SPDX-License-Identifier: Apache-2.0 */
/* A rule's summary sentence, filled from what its pattern captured. */
#pragma once
#include "rules/diagnose.h"

/* "text {name}[[ and {optional}]]": {name} is a capture, or rank, local_rank, gpu, node of the
 * place; a clause in double brackets is dropped when a name in it is not known, elsewhere `?` is
 * written. The text lives in the arena. */
struct fl_str fl_summary_fill(struct fl_arena *arena, const char *summary,
                              const struct fl_captures *captures, const struct fl_place *place);
