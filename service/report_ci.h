/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict where a CI system shows it. Appends to out; failures collect in out->failed. */
#pragma once
#include "service/pipeline.h"

/* JUnit XML, as Jenkins, GitLab and the actions of GitHub read it: the job is one test case, which passes when it
 * is healthy, fails with cause and evidence, and is skipped when the verdict is unknown. */
void fl_report_junit(const struct fl_result *result, struct fl_buf *out);

/* Commands of a GitHub workflow: the error at the proving line, a warning when the verdict is unknown. */
void fl_report_github(const struct fl_result *result, struct fl_buf *out);
