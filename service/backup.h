/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of the state folder, whole, while others write to it; and back. */
#pragma once
#include "service/base/status.h"

/* Makes the folder `to`, which must not be there yet: databases as they were at one moment each, checked, and
 * the files of learned and imported rules and of tokens. Nothing is left behind when it fails. */
enum fl_status fl_backup(const char *state_dir, const char *to, struct fl_err *err) FL_MUST_USE;

/* Makes the state folder, which must not hold a database, of a backup. */
enum fl_status fl_restore(const char *from, const char *state_dir, struct fl_err *err) FL_MUST_USE;
