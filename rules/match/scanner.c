/* SPDX-License-Identifier: Apache-2.0 */
/* hs_deserialize_database believes its input, so nothing reaches it that this program did not write
 * itself: who owns the file says that, the checksum says that it is whole. The key is compared byte
 * for byte, not by its hash: a scanner for other literals would miss failures in silence. */
#include "rules/match/scanner.h"

#include "service/base/fsio.h"
#include "service/base/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum { CACHE_CAP = 64 << 20, PATH_CAP = 4096 };

static const char magic[8] = {'F', 'L', 'S', 'C', 'A', 'N', '1', '\n'};

struct head {
    char magic[sizeof magic];
    uint64_t sum; /* of what follows */
    uint64_t key_n;
};

static uint64_t sum_of(struct fl_str file)
{
    size_t skip = offsetof(struct head, key_n);
    return fl_hash(fl_str_skip(file, skip), 0);
}

static enum fl_status compile(const struct fl_literal *texts, size_t n, hs_database_t **out,
                              struct fl_err *err)
{
    const char **bytes = calloc(n, sizeof *bytes);
    unsigned *flags = calloc(n, sizeof *flags);
    unsigned *ids = calloc(n, sizeof *ids);
    size_t *lengths = calloc(n, sizeof *lengths);
    enum fl_status status = FL_OK;
    if (!bytes || !flags || !ids || !lengths) {
        status = fl_fail(err, FL_NOMEM, "no memory for the literal scanner");
    } else {
        hs_compile_error_t *why = NULL;
        for (size_t i = 0; i < n; i++) {
            bytes[i] = texts[i].bytes;
            lengths[i] = texts[i].n;
            flags[i] = texts[i].caseless ? HS_FLAG_CASELESS : 0;
            ids[i] = (unsigned)i;
        }
        if (hs_compile_lit_multi(bytes, flags, ids, lengths, (unsigned)n, HS_MODE_BLOCK, NULL, out,
                                 &why) != HS_SUCCESS) {
            status = fl_fail(err, FL_INTERNAL, "literal scanner: %s", why ? why->message : "?");
            hs_free_compile_error(why);
        }
    }
    free(bytes);
    free(flags);
    free(ids);
    free(lengths);
    return status;
}

/* What a database is compiled by. */
static struct fl_str engine_of(char out[static 200])
{
    hs_platform_info_t cpu = {0};
    (void)hs_populate_platform(&cpu);
    int n = snprintf(out, 200, "faultline " FL_VERSION ", vectorscan %.60s, tune %u, cpu %llx",
                     hs_version(), cpu.tune, cpu.cpu_features);
    return (struct fl_str){out, (size_t)n};
}

/* The head with an empty checksum, and the key. */
static enum fl_status write_key(struct fl_str engine, const struct fl_literal *texts, size_t n,
                                struct fl_buf *out)
{
    struct head head = {.sum = 0};
    memcpy(head.magic, magic, sizeof magic);
    fl_buf_add(out, &head, sizeof head);
    fl_buf_add_str(out, engine);
    for (size_t i = 0; i < n; i++) {
        char mark[2] = {(char)texts[i].n, texts[i].caseless ? 'i' : 'c'};
        fl_buf_add(out, mark, sizeof mark);
        fl_buf_add(out, texts[i].bytes, texts[i].n);
    }
    if (out->failed == FL_OK) {
        head.key_n = out->n - sizeof head;
        memcpy(out->p, &head, sizeof head);
    }
    return out->failed;
}

/* The database in the file, or NULL. key: head and key as they must be. */
static hs_database_t *load(const char *path, struct fl_str key)
{
    struct fl_buf file;
    struct head head;
    hs_database_t *database = NULL;
    fl_buf_init(&file, CACHE_CAP);
    if (fl_fsio_read_own(path, &file, NULL) == FL_OK && file.n > key.n) {
        struct fl_str text = fl_buf_str(&file);
        size_t fixed = offsetof(struct head, sum);
        size_t rest = offsetof(struct head, key_n);
        memcpy(&head, text.p, sizeof head);
        if (memcmp(text.p, key.p, fixed) == 0 &&
            memcmp(text.p + rest, key.p + rest, key.n - rest) == 0 && head.sum == sum_of(text) &&
            hs_deserialize_database(text.p + key.n, text.n - key.n, &database) != HS_SUCCESS) {
            database = NULL;
        }
    }
    fl_buf_free(&file);
    return database;
}

/* Best effort. key: head and key, which are completed here. */
static void store(const char *folder, const char *path, struct fl_buf *key,
                  const hs_database_t *database)
{
    char *bytes = NULL;
    size_t n = 0;
    if (hs_serialize_database(database, &bytes, &n) == HS_SUCCESS &&
        fl_buf_add(key, bytes, n) == FL_OK) {
        uint64_t sum = sum_of(fl_buf_str(key));
        memcpy(key->p + offsetof(struct head, sum), &sum, sizeof sum);
        if (fl_fsio_mkdirs(folder, NULL) == FL_OK) {
            (void)!fl_fsio_replace(path, fl_buf_str(key), false, NULL);
        }
    }
    free(bytes);
}

enum fl_status fl_scanner_open(const struct fl_literal *texts, size_t n, const char *folder,
                               const char *name, hs_database_t **out, struct fl_err *err)
{
    char text[200];
    char path[PATH_CAP];
    struct fl_buf key;
    struct fl_str engine = engine_of(text);
    enum fl_status status = FL_OK;
    fl_buf_init(&key, CACHE_CAP);
    bool caches = folder &&
                  snprintf(path, sizeof path, "%s/scanner-%s-%016llx.bin", folder, name,
                           (unsigned long long)fl_hash(engine, 0)) < PATH_CAP &&
                  write_key(engine, texts, n, &key) == FL_OK;
    *out = caches ? load(path, fl_buf_str(&key)) : NULL;
    if (!*out) {
        status = compile(texts, n, out, err);
        if (status == FL_OK && caches) {
            store(folder, path, &key, *out);
        }
    }
    fl_buf_free(&key);
    return status;
}
