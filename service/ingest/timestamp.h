/* SPDX-License-Identifier: Apache-2.0 */
/* Time stamps of log lines, in the formats that ML frameworks, schedulers and kernels print.
 * Limits: looks at the first FL_TIMESTAMP_WINDOW bytes of a line, and behind `CANCELLED AT `.
 * No allocation, nothing read past the end. Threads: no state, safe anywhere. */
#pragma once
#include "service/base/str.h"

#include <stdint.h>

enum { FL_TIMESTAMP_WINDOW = 80 };

struct fl_timestamp {
    int64_t ms;    /* since 1970 UTC; local time is taken for UTC unless has_zone; without a date:
                      since midnight */
    bool has_date; /* day and month were printed */
    bool has_year; /* else the year is year_hint */
    bool has_zone; /* Z, UTC, GMT, an offset such as +02:00, or an epoch number */
    size_t at;     /* where the time stamp begins in the line */
    size_t n;      /* its length, brackets and the letter of a glog level left out */
};

/* The first time stamp near the front of a line (prefixes may be there or peeled). year_hint is
 * the year of stamps that print none; 0 means 1970. False, *out untouched, when there is none. */
bool fl_timestamp_find(struct fl_str line, int year_hint, struct fl_timestamp *out);

/* Milliseconds since 1970 UTC; month and day from 1. */
int64_t fl_timestamp_ms(int year, int month, int day, int hour, int minute, int second, int ms);
