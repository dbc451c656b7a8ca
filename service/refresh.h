/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that change while the program runs: when a file of theirs does, the rulebook is built anew
 * aside, in a thread of its own, and handed over whole. Whoever takes it chooses the moment, so no line
 * is judged by half a rule set. Rules that cannot be built leave the old ones in force, with a
 * warning.
 * Change is noticed at once where the file system tells of it (inotify), else within a second. */
#pragma once
#include "service/rulebook.h"

struct fl_refresh;

/* checked: the patterns that were checked when it was last built. */
typedef enum fl_status (*fl_refresh_build)(void *ctx, struct fl_checked *checked,
                                           struct fl_rulebook *out, struct fl_err *err);

/* path: a file or folder to watch; it and ctx must outlive the refresh. */
enum fl_status fl_refresh_start(const char *path, fl_refresh_build build, void *ctx,
                                struct fl_refresh **out, struct fl_err *err) FL_MUST_USE;
void fl_refresh_stop(struct fl_refresh *refresh);

/* True, once, when there are new rules; *out is the caller's then. */
bool fl_refresh_take(struct fl_refresh *refresh, struct fl_rulebook *out);
