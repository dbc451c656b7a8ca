/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files in, whole files out, folders. Replacing a file is atomic and durable: temporary file
 * in the same folder, fsync, rename, fsync of the folder. */
#pragma once
#include "service/base/buf.h"
#include "service/base/status.h"

#include <stdbool.h>

/* Appends the file's bytes to out (its cap bounds the size). */
enum fl_status fl_fsio_read(const char *path, struct fl_buf *out, struct fl_err *err) FL_MUST_USE;

/* The same for a file whose content must be this user's own: FL_DENIED unless it is a regular file
 * (no link) of the effective user that nobody else may write. */
enum fl_status fl_fsio_read_own(const char *path, struct fl_buf *out,
                                struct fl_err *err) FL_MUST_USE;

/* The same for a file that was put there for this user, as secrets are mounted: it may be root's, and
 * stand behind a link. */
enum fl_status fl_fsio_read_given(const char *path, struct fl_buf *out,
                                  struct fl_err *err) FL_MUST_USE;

/* Puts bytes at path so that a crash leaves the old content or the new, never a mixture. With
 * keep_previous the old file stays as PATH.prev. The file is readable by its owner only. */
enum fl_status fl_fsio_replace(const char *path, struct fl_str bytes, bool keep_previous,
                               struct fl_err *err) FL_MUST_USE;

/* Makes the folder and its parents, mode 0700. */
enum fl_status fl_fsio_mkdirs(const char *path, struct fl_err *err) FL_MUST_USE;

/* Calls visit for each regular file under path, sorted by name, folders descended into (hidden
 * names and symbolic links to folders skipped, 16 levels at most). A status other than FL_OK from
 * visit ends the walk. */
typedef enum fl_status (*fl_fsio_visit)(void *ctx, const char *path, struct fl_err *err);
enum fl_status fl_fsio_walk(const char *path, fl_fsio_visit visit, void *ctx, struct fl_err *err)
    FL_MUST_USE;

bool fl_fsio_is_dir(const char *path);
bool fl_fsio_exists(const char *path);

/* Writes all n bytes to fd, whatever the kernel takes at a time. */
enum fl_status fl_fsio_write_all(int fd, const char *name, struct fl_str bytes, struct fl_err *err)
    FL_MUST_USE;
