/* SPDX-License-Identifier: Apache-2.0 */
/* How often something comes (steps of a job, lines of a rank), by the times of its arrival, and how
 * long a silence is then too long. Times are microseconds of any clock that does not go back. */
#pragma once
#include <stdint.h>

enum { FL_PACE_GAPS = 16 };

/* Starts as {0}. */
struct fl_pace {
    long count; /* of what came */
    int64_t last_us;
    int64_t gap_us[FL_PACE_GAPS]; /* the last ones; what comes at once comes without a gap */
    long gaps;
    int64_t longest_us;
};

/* count: how many came until now. */
void fl_pace_note(struct fl_pace *pace, long count, int64_t now_us);
int64_t fl_pace_median(const struct fl_pace *pace); /* 0: there was no gap yet */

/* The longest of a minute, ten times the median gap, and twice the longest gap that there was; INT64_MAX
 * while less than eight gaps are known. (Validation and saving pause a job again and again; output that
 * is buffered comes in bursts, which the gaps between them show.) */
int64_t fl_pace_patience(const struct fl_pace *pace);
