/* SPDX-License-Identifier: Apache-2.0 */
/* Folders whose logs are copied as they grow: all are looked through once a pass, and only files whose size,
 * time or number changed are opened. A file that was rotated away is read to its end under its new name
 * (NAME.1, NAME.2026...), if that is in the same folder. Links are not followed; hidden and packed files
 * are left alone, and so are files that were old when the watch began, until they grow.
 * Threads: one. Limits: FL_FOLDERS_FILES, FL_FOLDERS_DEPTH. */
#pragma once
#include "service/jobs/copy.h"
#include "service/jobs/roots.h"

#include <stdatomic.h>

enum {
    FL_FOLDERS_FILES = 50000,
    FL_FOLDERS_DEPTH = 10,
    FL_FOLDERS_OLD_S = 24 * 3600, /* since the last byte, when the watch begins */
};

struct fl_folders;

/* All must outlive it. */
enum fl_status fl_folders_new(const struct fl_roots *roots, struct fl_copier *copier, struct fl_folders **out,
                            struct fl_err *err) FL_MUST_USE;
void fl_folders_free(struct fl_folders *watch);

/* Looks through the folders and copies what is new, until that is done, it has been long, or *stop. *rest_ms_r:
 * when the next look is due. */
enum fl_status fl_folders_pass(struct fl_folders *watch, const atomic_bool *stop, int64_t *rest_ms_r,
                               struct fl_err *err) FL_MUST_USE;
size_t fl_folders_files(const struct fl_folders *watch);
