/* SPDX-License-Identifier: Apache-2.0 */
/* Our own messages, on standard error: "faultline: warning: text". Every value passes the terminal
 * gate (fl_buf_add_safe); lines of the diagnosed logs are never logged here. */
#pragma once

enum fl_log_level { FL_LOG_ERROR, FL_LOG_WARN, FL_LOG_INFO };

void fl_log(enum fl_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
