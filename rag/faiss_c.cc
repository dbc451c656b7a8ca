// SPDX-License-Identifier: Apache-2.0
// The functions of the FAISS C API that index.c calls, over the C++ library. Debian's libfaiss-dev
// ships the headers of the C API but not its object code; where a libfaiss_c exists, the build
// takes that and leaves this file out. The names and contracts are those of the headers.
// No C++ exception leaves a function: -2 FAISS, -4 standard, -1 any other, as upstream.
#include <faiss/IndexFlat.h>
#include <faiss/MetaIndexes.h>
#include <faiss/c_api/IndexFlat_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/MetaIndexes_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/impl/FaissException.h>

#include <cstdio>
#include <exception>

namespace
{
thread_local char last_error[256];

void remember(const char *what) noexcept
{
    std::snprintf(last_error, sizeof last_error, "%s", what);
}

template <typename Work> int guarded(Work work) noexcept
{
    try {
        work();
        return 0;
    } catch (const faiss::FaissException &e) {
        remember(e.what());
        return -2;
    } catch (const std::exception &e) {
        remember(e.what());
        return -4;
    } catch (...) {
        remember("unknown exception");
        return -1;
    }
}

faiss::Index *inner(FaissIndex *index)
{
    return reinterpret_cast<faiss::Index *>(index);
}

const faiss::Index *inner(const FaissIndex *index)
{
    return reinterpret_cast<const faiss::Index *>(index);
}
} // namespace

extern "C" {

const char *faiss_get_last_error()
{
    return last_error[0] ? last_error : nullptr;
}

int faiss_IndexFlatIP_new_with(FaissIndexFlatIP **p_index, idx_t d)
{
    return guarded([=] {
        faiss::Index *index = new faiss::IndexFlatIP(d);
        *p_index = reinterpret_cast<FaissIndexFlatIP *>(index);
    });
}

int faiss_IndexIDMap_new(FaissIndexIDMap **p_index, FaissIndex *index)
{
    return guarded([=] {
        faiss::Index *map = new faiss::IndexIDMap(inner(index));
        *p_index = reinterpret_cast<FaissIndexIDMap *>(map);
    });
}

void faiss_IndexIDMap_set_own_fields(FaissIndexIDMap *index, int own)
{
    auto *map = dynamic_cast<faiss::IndexIDMap *>(inner(index));
    if (map) {
        map->own_fields = own != 0;
    }
}

int faiss_Index_add_with_ids(FaissIndex *index, idx_t n, const float *x, const idx_t *xids)
{
    return guarded([=] { inner(index)->add_with_ids(n, x, xids); });
}

int faiss_Index_search(const FaissIndex *index, idx_t n, const float *x, idx_t k, float *distances,
                       idx_t *labels)
{
    return guarded([=] { inner(index)->search(n, x, k, distances, labels); });
}

idx_t faiss_Index_ntotal(const FaissIndex *index)
{
    return inner(index)->ntotal;
}

void faiss_Index_free(FaissIndex *obj)
{
    delete inner(obj);
}
}
