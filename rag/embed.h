/* SPDX-License-Identifier: Apache-2.0 */
/* Text to vector without a model: words, word pairs and character 3- to 5-grams are hashed into
 * FL_EMBED_DIM buckets. What differs between two runs of one failure (numbers, addresses, paths)
 * is masked first, so cosine compares what the log says, not where and when.
 * The result is the same on every machine: integers up to the last division.
 * Limits: only the first FL_EMBED_BYTES of a text are read. Threads: no shared state. */
#pragma once
#include "service/base/status.h"
#include "service/base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Recorded with each stored vector; raise it whenever the same text would give another vector. */
enum { FL_EMBED_VERSION = 2, FL_EMBED_DIM = 256, FL_EMBED_BYTES = 40 * 1024 };

/* Fills out with a vector of length one; with zeros (and *empty_r set) when the text holds no
 * word. FL_NOMEM is the only failure. */
enum fl_status fl_embed(struct fl_str text, float out[static FL_EMBED_DIM], bool *empty_r,
                        struct fl_err *err) FL_MUST_USE;
