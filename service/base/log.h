/* SPDX-License-Identifier: Apache-2.0 */
/* Our own messages, on standard error: "faultline: warning: text", or, with $FAULTLINE_LOG set to logfmt or
 * json, one record a line with its time and level. $FAULTLINE_LOG_LEVEL: error, warning, info (default) or
 * debug. Every value passes the terminal gate (fl_buf_add_safe); lines of the diagnosed logs are never
 * logged here. */
#pragma once

enum fl_log_level { FL_LOG_ERROR, FL_LOG_WARN, FL_LOG_INFO, FL_LOG_DEBUG };

void fl_log(enum fl_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
