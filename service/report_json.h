/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "service/pipeline.h"

/* Appends the document faultline.verdict/1; with explain, each hypothesis has "reasons". */
/* The keys of a signal and their values, into the object that is open. */
void fl_report_json_signal(struct fl_jw *w, const struct fl_signal *signal);
void fl_report_json(const struct fl_result *result, bool explain, struct fl_buf *out);
