/* SPDX-License-Identifier: Apache-2.0 */
/* `faultline eval --calibrate`: fits on the trials (at least one; they are sorted), prints the new
 * data/calibration.json on standard output and the table of reliability on standard error. */
#pragma once
#include "rules/attribute/calibration.h"

void fl_calibrate_print(struct fl_judged *trials, size_t n);
