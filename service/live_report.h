/* SPDX-License-Identifier: Apache-2.0 */
/* One line for each thing told of a job that still runs. For a person:
 *   2031-04-02T10:00:12Z detected: CUDA out of memory on rank 3 (gpu_oom), rank3.log:881
 * and for a program:
 *   {"schema":"faultline.live/1","event":"detected","time":"2031-04-02T10:00:12Z","signal":{...}}
 * with event "withdrawn" when it is over. signal has the keys of a verdict's signals (of failure, hang
 * and silence the metric is null), and cause, file, line and summary. */
#pragma once
#include "service/live.h"

void fl_live_report(const struct fl_live_matter *matter, bool withdrawn, int64_t wall_s, bool json,
                    struct fl_buf *out);
