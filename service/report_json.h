/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "service/pipeline.h"

/* Appends the document faultline.verdict/1; with explain, each hypothesis has "reasons". */
void fl_report_json(const struct fl_result *result, bool explain, struct fl_buf *out);
