/* SPDX-License-Identifier: Apache-2.0 */
/* A verdict for a reader: text for a person at night, JSON for a program (the contract
 * faultline.verdict/1), Markdown for a ticket, or what a CI system shows (report_ci.h). Appends to out. */
#pragma once
#include "service/pipeline.h"

enum fl_format { FL_FORMAT_TEXT, FL_FORMAT_JSON, FL_FORMAT_MARKDOWN, FL_FORMAT_JUNIT, FL_FORMAT_GITHUB };

struct fl_report_options {
    enum fl_format format;
    bool colour;
    bool explain; /* with what speaks for and against each hypothesis */
};

enum fl_status fl_report(const struct fl_result *result, const struct fl_report_options *options,
                         struct fl_buf *out, struct fl_err *err) FL_MUST_USE;
