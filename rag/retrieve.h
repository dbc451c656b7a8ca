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

/* The same as if the incident of that id, which the text is of, were not there. */
enum fl_status fl_retrieve_others(struct fl_incidents *store, struct fl_str text, struct fl_str but,
                                  size_t k, struct fl_arena *arena, struct fl_hits *hits_r,
                                  struct fl_err *err) FL_MUST_USE;

/* For a person's few words, which cannot come close to a whole incident: what the words found is a
 * hit, however small its similarity. */
enum fl_status fl_retrieve_loose(struct fl_incidents *store, struct fl_str text, size_t k,
                                 struct fl_arena *arena, struct fl_hits *hits_r,
                                 struct fl_err *err) FL_MUST_USE;
