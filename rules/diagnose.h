/* SPDX-License-Identifier: Apache-2.0 */
/* Lines in, findings out: which known signatures a job's streams carry, where, how often, and what
 * happened around them (steps made before and after, success, a new run).
 * Owns the findings and all text in them, until fl_diagnosis_free.
 * Limits: FL_FINDINGS_MAX different findings (equal ones are counted; of each the first and the
 * last are kept), text of a line up to FL_SIGHTING_TEXT bytes. Threads: one. */
#pragma once
#include "rules/attribute/place.h"
#include "rules/attribute/roll.h"
#include "rules/attribute/sighting.h"
#include "rules/base/ruleset.h"
#include "rules/habit.h"
#include "rules/attribute/runs.h"
#include "rules/signals/series.h"

/* Steps made after an error that show the job went on; fewer may be buffered output. */
enum { FL_EPISODE_STEPS = 3 };
enum { FL_FINDINGS_MAX = 2048 };

struct fl_finding {
    uint32_t rule; /* index in the rule set */
    uint32_t run;  /* of its stream: append-mode files hold several */
    long count;
    struct fl_sighting first;
    struct fl_sighting last;
    char *room; /* for the texts of the last one, once there were many */
    struct fl_str summary; /* filled from captures of the first sighting */
};

struct fl_diagnosis;

/* A rule said yes to a line. `part` is what it matched of `text`, the whole line. A filter rule has
 * no captures; it is told of after the diagnosis rules of its line. A match that does not count is
 * one on a line that a benign or a much surer rule knows. Rules of stream or job scope are told of
 * before it is known whether the rest of them holds. */
struct fl_notice {
    const struct fl_rule *rule;
    struct fl_place place;
    struct fl_str text;
    struct fl_str part;
    const struct fl_captures *captures;
    bool counts;
};

/* One who looks on. */
struct fl_watch {
    void (*notice)(void *ctx, const struct fl_notice *notice);
    void *ctx;
};

enum fl_status fl_diagnosis_new(const struct fl_ruleset *set, struct fl_diagnosis **out,
                                struct fl_err *err) FL_MUST_USE;
void fl_diagnosis_free(struct fl_diagnosis *d);

/* A new stream; its number goes to *stream_r. Lines that follow are of it. */
enum fl_status fl_diagnosis_stream(struct fl_diagnosis *d, const char *name, const char *path,
                                   uint32_t *stream_r, struct fl_err *err) FL_MUST_USE;
void fl_diagnosis_watch(struct fl_diagnosis *d, const struct fl_watch *watch); /* NULL: nobody */

struct fl_stream *fl_diagnosis_streams(struct fl_diagnosis *d, uint32_t *n_r);

/* One line that has candidates. `candidates` are patterns of set->lines. message: peeled text; raw:
 * the whole segment. order: its position in the stream. A telling line must not be filtered. */
enum fl_known {
    FL_KNOWN_NOT,
    FL_KNOWN_HARMLESS, /* by a benign rule, or quoted code */
    FL_KNOWN_ROUTINE,  /* progress and the like was noted */
    FL_KNOWN_TELLING,
};
enum fl_known fl_diagnosis_line(struct fl_diagnosis *d, const struct fl_place *place, struct fl_str message,
                       struct fl_str raw, uint64_t order, const struct fl_candidate *candidates,
                       size_t candidates_n);

/* Of the line that fl_diagnosis_line was last asked for. It holds only if its candidates were settled
 * (see fl_matcher_settled). */
const struct fl_habit *fl_diagnosis_habit(const struct fl_diagnosis *d);

/* The same again, for a line of its shape. False, and nothing done: a pattern says yes now. */
bool fl_diagnosis_repeat(struct fl_diagnosis *d, const struct fl_habit *habit,
                         const struct fl_place *place, struct fl_str message, struct fl_str raw,
                         uint64_t order);

/* Values that come from elsewhere than a line of progress: a row of a table of metrics. */
void fl_diagnosis_values(struct fl_diagnosis *d, const struct fl_place *place,
                         const struct fl_values *values, struct fl_str raw, uint64_t order);

/* A line of the stream in hand that looks like trouble and that no rule knows. */
void fl_diagnosis_trouble(struct fl_diagnosis *d, uint32_t stream);

/* One joined event. place: of its first line, with the printer; lines: its lines. True: it is known
 * to be harmless. */
struct fl_event_place {
    uint32_t at;
    long line;
    uint64_t offset;
};
bool fl_diagnosis_event(struct fl_diagnosis *d, const struct fl_place *place, struct fl_str text,
                        const struct fl_event_place *lines, size_t lines_n, uint64_t order);

/* By the lines so far: were the other patterns of its rule seen where the rule's scope wants them? */
bool fl_diagnosis_holds(const struct fl_diagnosis *d, const struct fl_finding *finding);

/* After the last line of all streams: settles rules of stream and job scope. */
void fl_diagnosis_end(struct fl_diagnosis *d);

const struct fl_finding *fl_diagnosis_findings(const struct fl_diagnosis *d, size_t *n_r);
/* What single lines are matched with; the caller may use it for set->lines between two lines. */
struct fl_match_work *fl_diagnosis_work(struct fl_diagnosis *d);
const struct fl_roll *fl_diagnosis_roll(const struct fl_diagnosis *d);
const struct fl_series_set *fl_diagnosis_series(const struct fl_diagnosis *d);
const struct fl_ruleset *fl_diagnosis_rules(const struct fl_diagnosis *d);
struct fl_arena *fl_diagnosis_arena(struct fl_diagnosis *d);
long fl_diagnosis_errors(const struct fl_diagnosis *d); /* matches that could not be told */
