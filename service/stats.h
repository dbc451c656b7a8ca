/* SPDX-License-Identifier: Apache-2.0 */
/* What was said of how many jobs, how much of it people called right, and what asking models cost. */
#pragma once
#include "rag/incidents.h"
#include "service/config.h"

/* days: rows of spending, 0: all. */
enum fl_status fl_stats_report(struct fl_incidents *store, const struct fl_config *config, int days,
                               bool json, struct fl_buf *out, struct fl_err *err) FL_MUST_USE;
