/* SPDX-License-Identifier: Apache-2.0 */
/* What learned rules did to one job: lines that active filters dropped, and lines that rules in
 * shadow would have dropped (filters) or claimed (diagnosis rules of scope line). Owned by the job. */
#pragma once
#include "rules/base/ruleset.h"

enum { FL_TALLY_SAMPLE = 240 };

struct fl_tallied {
    long lines;
    long telling; /* of these: a diagnosis rule knows them, or they hold words that failures use */
    size_t sample_n;
    char sample[FL_TALLY_SAMPLE]; /* one of the last lines */
};

struct fl_tally {
    const struct fl_ruleset *set;
    struct fl_tallied *of; /* by rule */
    bool shadows;          /* some rule is in shadow */
};

/* *out is NULL when the set holds no learned rule that is active or in shadow. */
enum fl_status fl_tally_new(const struct fl_ruleset *set, struct fl_tally **out,
                            struct fl_err *err) FL_MUST_USE;
void fl_tally_free(struct fl_tally *tally);

/* A filter dropped the line. */
void fl_tally_dropped(struct fl_tally *tally, uint32_t rule, struct fl_str text);

/* What would rules in shadow have said? */
void fl_tally_shadows(struct fl_tally *tally, struct fl_match_work *work, struct fl_str text,
                      const struct fl_candidate *candidates, size_t n, bool telling);
