/* SPDX-License-Identifier: Apache-2.0 */
/* Nearest vectors by inner product: an exact (flat) FAISS index behind its C API, in memory only.
 * Ids are the row numbers of the store, never positions. The index holds copies of the vectors.
 * Threads: one at a time. After a failed add only fl_index_free may be called. */
#pragma once
#include "service/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct fl_index;

enum fl_status fl_index_new(size_t dim, struct fl_index **index_r, struct fl_err *err) FL_MUST_USE;
void fl_index_free(struct fl_index *index);

/* Copies n vectors (n times dim floats, one after another) in, with their ids (0 and up). */
enum fl_status fl_index_add(struct fl_index *index, size_t n, const float *vectors,
                            const int64_t *ids, struct fl_err *err) FL_MUST_USE;

size_t fl_index_count(const struct fl_index *index);

/* The k nearest to one vector, best first; *n_r may be less than k. */
enum fl_status fl_index_search(const struct fl_index *index, const float *vector, size_t k,
                               int64_t *ids, float *scores, size_t *n_r,
                               struct fl_err *err) FL_MUST_USE;
