/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of bytes from a file, standard input, or a gzip or zstd file (told by magic bytes, any
 * number of members), once to its end or followed like `tail -F`.
 * Owns its descriptor and buffers until fl_source_close.
 * Limits: memory is bounded (128 KiB of input; 64 KiB of window; zstd windows up to 128 MiB, as
 * its command line tool has it).
 * Threads: one source belongs to one thread; the stop callback runs on that thread.
 * Failure: after an error from fl_source_read only fl_source_close and the questions may be called.
 * Everything read before stays valid. */
#pragma once
#include "service/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FL_SOURCE_FOLLOW = 1 };

struct fl_source;

/* path "-" is standard input. Folders are refused, pipes are fine. FL_SOURCE_FOLLOW: it will be
 * polled. *src_r is NULL on failure. */
enum fl_status fl_source_open(const char *path, unsigned flags, struct fl_source **src_r,
                              struct fl_err *err) FL_MUST_USE;
void fl_source_close(struct fl_source *src);

/* Reads up to n bytes; *got_r 0 means the end. A broken compressed file gives all that could be
 * unpacked first, and FL_CORRUPT after it. */
enum fl_status fl_source_read(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                              struct fl_err *err) FL_MUST_USE;

/* Of a followed source: what is there now; *got_r 0 when nothing is. At its end it goes on in the new
 * file when the path is rotated or rewritten; *over_r when nothing can follow (a pipe or compressed
 * file is only read to its end). */
enum fl_status fl_source_poll(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                              bool *over_r, struct fl_err *err) FL_MUST_USE;

/* Returns when one of them may have more, at the latest after 250 ms. */
void fl_sources_wait(struct fl_source *const *list, size_t n);

struct fl_lines;
/* Reads all that is left into lines, and ends them: what could be read is delivered even when the
 * reading fails (*read_r, with its message in fault). The status is that of the lines. */
enum fl_status fl_source_pour(struct fl_source *src, struct fl_lines *lines, enum fl_status *read_r,
                              struct fl_err *fault, struct fl_err *err) FL_MUST_USE;

/* True once after the bytes began anew at offset 0 of a truncated, rewritten or rotated file: the
 * bytes of the last read are the first of it. A line begun before it is over. */
bool fl_source_restarted(struct fl_source *src);

/* Bytes handed out since opening, or since the last restart. */
uint64_t fl_source_offset(const struct fl_source *src);

/* Name for messages: the path, or "standard input". */
const char *fl_source_name(const struct fl_source *src);
