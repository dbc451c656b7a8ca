/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of incidents that an embedding model made, beside the built-in ones (embed.h): one for each
 * incident, with its model. When the model changes, or the incident's text, the vector is missing again;
 * who has an endpoint makes the missing ones a batch at a time. Vectors have length one.
 * Limits: FL_DENSE_DIM numbers. */
#pragma once
#include "rag/retrieve.h"

enum { FL_DENSE_DIM = 16384 };

struct fl_dense_text {
    int64_t row;
    struct fl_str text;
};

/* Incidents without a vector of the model, newest first, at most `most`; texts end in the arena. */
enum fl_status fl_dense_missing(struct fl_incidents *store, struct fl_str model, size_t most,
                                struct fl_arena *arena, struct fl_dense_text *out, size_t *n_r,
                                struct fl_err *err) FL_MUST_USE;

/* Keeps vectors (n times dim numbers) of texts that were missing. All or none. */
enum fl_status fl_dense_keep(struct fl_incidents *store, struct fl_str model, size_t dim,
                             const struct fl_dense_text *texts, const float *vectors, size_t n,
                             struct fl_err *err) FL_MUST_USE;

/* The nearest to a vector among those of the model with as many numbers, best first. */
enum fl_status fl_dense_near(struct fl_incidents *store, struct fl_str model, const float *vector,
                             size_t dim, size_t k, struct fl_near *out, size_t *n_r,
                             struct fl_err *err) FL_MUST_USE;
