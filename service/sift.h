/* SPDX-License-Identifier: Apache-2.0 */
/* The filter stage by itself: lines in, to standard output those that are not routine, bytes unchanged.
 * Judges look at batches, each in a thread of its own if need be; one sift passes on what they leave,
 * batch by batch in order. */
#pragma once
#include "rules/base/ruleset.h"
#include "service/base/buf.h"
#include "service/ingest/lines.h"

enum { FL_SIFT_TAIL = 20 };

/* What one thread judges with. guards: lines that a diagnosis rule knows stay. */
struct fl_judge {
    const struct fl_ruleset *set;
    struct fl_match_work *work;
    bool guards;
    uint32_t *rule; /* for each line of the batch the one that drops it, or FL_KEEP */
    size_t size;
};

#define FL_KEEP UINT32_MAX

enum fl_status fl_judge_init(struct fl_judge *judge, const struct fl_ruleset *set, bool guards,
                             struct fl_err *err) FL_MUST_USE;
void fl_judge_fini(struct fl_judge *judge);

/* A part of a line that was cut cannot be told: it is kept. */
enum fl_status fl_judge_batch(void *judge, const struct fl_batch *batch,
                              struct fl_err *err) FL_MUST_USE;

struct fl_sifted {
    struct fl_str bytes;
    bool ended; /* by a newline */
    uint32_t rule;
};

struct fl_sift {
    const struct fl_ruleset *set;
    size_t tail; /* the last lines of a stream stay: so many are held until more follow, 0 to
                    FL_SIFT_TAIL */
    bool explains;
    struct fl_buf out;
    long *drops; /* per rule */
    long lines;
    long dropped;
    struct fl_sifted held[FL_SIFT_TAIL]; /* oldest first; bytes are copies */
    size_t held_n;
};

enum fl_status fl_sift_init(struct fl_sift *sift, const struct fl_ruleset *set, size_t tail,
                            bool explains, struct fl_err *err) FL_MUST_USE;
void fl_sift_fini(struct fl_sift *sift);

/* Other rules from the next batch on; between streams, or where no tail is held. */
enum fl_status fl_sift_change(struct fl_sift *sift, const struct fl_ruleset *set,
                              struct fl_err *err) FL_MUST_USE;

/* A batch that `judge` has looked at. */
enum fl_status fl_sift_batch(void *sift, void *judge, const struct fl_batch *batch,
                             struct fl_err *err) FL_MUST_USE;

/* Bytes of our own between lines. */
enum fl_status fl_sift_say(struct fl_sift *sift, struct fl_str bytes, struct fl_err *err) FL_MUST_USE;

/* The stream is over: what is held is kept. */
enum fl_status fl_sift_end_stream(struct fl_sift *sift, struct fl_err *err) FL_MUST_USE;
enum fl_status fl_sift_flush(struct fl_sift *sift, struct fl_err *err) FL_MUST_USE;

/* How many lines were kept and dropped; when it explains, by which rules. */
void fl_sift_report(const struct fl_sift *sift);
