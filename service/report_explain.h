/* SPDX-License-Identifier: Apache-2.0 */
/* What speaks for and against each hypothesis, in words: struct fl_reasons for a person who was
 * just woken. The words may quote bytes of a log; who prints them makes them safe. */
#pragma once
#include "service/pipeline.h"

enum fl_reason { FL_REASON_FOR, FL_REASON_EXPLAINS, FL_REASON_AGAINST };

/* Tells the reasons of hypothesis number `at` of the verdict, each kind in order of weight. */
typedef void (*fl_reason_sink)(void *ctx, enum fl_reason kind, struct fl_str words);
void fl_explain(const struct fl_result *result, size_t at, fl_reason_sink tell, void *ctx);

/* Appends all hypotheses with their reasons, as the text report has them. */
void fl_explain_text(const struct fl_result *result, struct fl_buf *out);
