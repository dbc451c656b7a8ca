/* SPDX-License-Identifier: Apache-2.0 */
/* Past incidents that look like a text. Nearest by vector (FAISS) and best by words (FTS5, bm25) are
 * the candidates; the order is by how like their words are (words.h). The index is built at the first
 * search and rebuilt when another process has changed the file.
 * Limits: FL_RETRIEVE_MOST hits; of the text the first FL_EMBED_BYTES bytes are read; hits whose
 * likeness is under FL_RETRIEVE_FLOOR percent are left out. Threads: as incidents.h. */
#pragma once
#include "rag/incidents.h"

enum { FL_RETRIEVE_MOST = 50, FL_RETRIEVE_FLOOR = 5 };

struct fl_hit {
    struct fl_incident incident;
    double similarity; /* likeness, 0 to 1 */
};

struct fl_hits {
    struct fl_hit *list; /* best first; everything lives in the caller's arena */
    size_t n;
};

/* For the telling lines of a log, the most telling first: hits under the floor, with a wrong cause, or that nobody knows
 * anything about are left out. */
enum fl_status fl_retrieve(struct fl_incidents *store, struct fl_str text, size_t k,
                           struct fl_arena *arena, struct fl_hits *hits_r,
                           struct fl_err *err) FL_MUST_USE;

/* Texts that have nothing in common have cosines up to this by models of embeddings. */
#define FL_RETRIEVE_NEAR 0.51

/* What somebody else found near the text: rows of incidents, best first. */
struct fl_near {
    int64_t row;
    double score;
};

/* The same as if the incident of that id (empty: none), which the text is of, were not there. What is in
 * near counts as a ranking beside that of the words, and what its cosine is above FL_RETRIEVE_NEAR as
 * likeness. */
enum fl_status fl_retrieve_others(struct fl_incidents *store, struct fl_str text, struct fl_str but,
                                  const struct fl_near *near, size_t near_n, size_t k,
                                  struct fl_arena *arena, struct fl_hits *hits_r,
                                  struct fl_err *err) FL_MUST_USE;

/* For a person's few words, which cannot come close to a whole incident: what the words found is a
 * hit, however small its similarity. */
enum fl_status fl_retrieve_loose(struct fl_incidents *store, struct fl_str text, size_t k,
                                 struct fl_arena *arena, struct fl_hits *hits_r,
                                 struct fl_err *err) FL_MUST_USE;
