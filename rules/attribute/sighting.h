/* SPDX-License-Identifier: Apache-2.0 */
/* One time that a known line was seen: where, when, by whom, and its text. Texts live in the arena that
 * was given. */
#pragma once
#include "rules/attribute/place.h"
#include "rules/attribute/runs.h"
#include "rules/match/captures.h"

enum { FL_SIGHTING_TEXT = 2048, FL_SIGHTING_NODE = 256 }; /* bytes that are kept */

struct fl_sighting {
    struct fl_place place;
    struct fl_str text; /* the line, verbatim but for ANSI codes */
    uint64_t order;     /* position among all lines of the stream */
    long steps;         /* progress lines of the run before it */
    long step;          /* the last step number before it, or -1 */
    bool after_success;
    bool names_rank; /* the line's own words, not its prefix, name the rank */
};

/* c says who it was where the line's own words do (rank, local_rank, gpu, node, peer), else the place.
 * room: FL_SIGHTING_TEXT + FL_SIGHTING_NODE bytes for its texts, so that a flood takes no more memory;
 * NULL: new ones. */
struct fl_sighting fl_sighting_of(const struct fl_run *run, const struct fl_place *place,
                                  const struct fl_captures *c, struct fl_str text, uint64_t order,
                                  struct fl_arena *arena, char *room);

/* By position within a stream, by time between streams, else by the order of the streams. */
bool fl_sighting_before(const struct fl_sighting *a, const struct fl_sighting *b);

/* Is it the last line of a traceback, "pkg.SomeError: text"? */
bool fl_tells_exception(struct fl_str text);
