/* SPDX-License-Identifier: Apache-2.0 */
/* No file is ever written: rebuilding 10 000 vectors takes about 0.1 s, and a file could be
 * damaged or belong to another database. One query at a time also keeps FAISS in its plain loop,
 * which needs neither BLAS nor threads; it would start the threads all the same, and they would
 * spin for milliseconds at the end of a short run. */
#include "rag/index.h"

#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/MetaIndexes_c.h>
#include <faiss/c_api/error_c.h>
#include <omp.h>

static enum fl_status fail(struct fl_err *err, const char *what)
{
    const char *why = faiss_get_last_error();
    return fl_fail(err, FL_INTERNAL, "index of incidents: cannot %s: %s", what,
                   why ? why : "no reason given");
}

/* The handle is the FAISS object itself: nothing else needs to be kept. */
static FaissIndex *inner(const struct fl_index *index)
{
    return (FaissIndex *)(uintptr_t)index;
}

enum fl_status fl_index_new(size_t dim, struct fl_index **index_r, struct fl_err *err)
{
    FaissIndexFlatIP *flat = NULL;
    FaissIndexIDMap *map = NULL;
    *index_r = NULL;
    if (faiss_IndexFlatIP_new_with(&flat, (idx_t)dim) != 0) {
        return fail(err, "make it");
    }
    if (faiss_IndexIDMap_new(&map, flat) != 0) {
        faiss_Index_free(flat);
        return fail(err, "make it");
    }
    faiss_IndexIDMap_set_own_fields(map, 1);
    *index_r = (struct fl_index *)map;
    return FL_OK;
}

void fl_index_free(struct fl_index *index)
{
    if (index) {
        faiss_Index_free(inner(index));
    }
}

enum fl_status fl_index_add(struct fl_index *index, size_t n, const float *vectors,
                            const int64_t *ids, struct fl_err *err)
{
    if (n > 0 && faiss_Index_add_with_ids(inner(index), (idx_t)n, vectors, ids) != 0) {
        return fail(err, "add to it");
    }
    return FL_OK;
}

size_t fl_index_count(const struct fl_index *index)
{
    return index ? (size_t)faiss_Index_ntotal(inner(index)) : 0;
}

enum fl_status fl_index_search(const struct fl_index *index, const float *vector, size_t k,
                               int64_t *ids, float *scores, size_t *n_r, struct fl_err *err)
{
    size_t total = fl_index_count(index);
    k = k < total ? k : total;
    *n_r = 0;
    if (k == 0) {
        return FL_OK;
    }
    omp_set_num_threads(1); /* of parallel loops that this thread begins */
    if (faiss_Index_search(inner(index), 1, vector, (idx_t)k, scores, ids) != 0) {
        return fail(err, "search it");
    }
    while (*n_r < k && ids[*n_r] >= 0) {
        ++*n_r;
    }
    return FL_OK;
}
