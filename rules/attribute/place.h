/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "service/base/str.h"

#include <stdint.h>

/* Where a line stands and who printed it. -1 and empty: not known. */
struct fl_place {
    uint32_t stream;
    long line;
    uint64_t offset;
    long rank;
    long local_rank;
    long gpu;
    struct fl_str node;
    int64_t time_ms;
    bool has_time; /* with a date */
    bool own_time; /* it stands in this very line, not in one before it */
};
