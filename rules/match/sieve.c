/* SPDX-License-Identifier: Apache-2.0 */
/* hs_deserialize_database believes its input, so nothing reaches it that this program did not write
 * itself: who owns the file says that, the checksum says that it is whole. The key is compared byte
 * for byte, not by its hash: a sieve for other patterns would miss failures in silence. */
#include "rules/match/sieve.h"

#include "service/base/fsio.h"
#include "service/base/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum { CACHE_CAP = 64 << 20, PATH_CAP = 4096, LATE = 32 /* patterns that a kept sieve may lack */ };

static const char magic[8] = {'F', 'L', 'S', 'I', 'E', 'V', 'E', '1'};

struct head {
    char magic[sizeof magic];
    uint64_t sum; /* of what follows */
    uint64_t key_n;
};

/* Before each pattern in a key. */
struct mark {
    uint32_t number;
    uint32_t n;
};

struct counts {
    uint32_t needles;
    uint32_t users;
    uint32_t always;
};

static uint64_t sum_of(struct fl_str file)
{
    size_t skip = offsetof(struct head, key_n);
    return fl_hash(fl_str_skip(file, skip), 0);
}

static bool is_in(const struct fl_sieve_made_of *of, uint32_t i)
{
    unsigned flags = of->patterns[i].flags;
    return !(flags & FL_PATTERN_SILENT) && !!(flags & FL_PATTERN_TRUSTED) == of->trusted;
}

static bool scans(void)
{
    return hs_valid_platform() == HS_SUCCESS && !getenv("FAULTLINE_NO_VECTORSCAN");
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

static enum fl_status make(const struct fl_sieve_made_of *of, struct fl_sieve *out,
                           struct fl_err *err)
{
    struct fl_literals set;
    bool literally = scans();
    enum fl_status status = FL_OK;
    for (uint32_t i = of->from; status == FL_OK && i < of->to; i++) {
        if (is_in(of, i)) {
            fl_literals_of(of->patterns[i].text, of->grams, &set);
            set.n = literally ? set.n : 0;
            status = fl_needles_add(&out->needles, &set, i);
        }
    }
    status = status == FL_OK ? fl_needles_sort(&out->needles) : status;
    if (status != FL_OK) {
        return fl_fail(err, status, "no memory for the literal scanner");
    }
    return out->needles.n ? compile(out->needles.list, out->needles.n, &out->scanner, err) : FL_OK;
}

/* What a sieve is made by. */
static struct fl_str engine_of(char out[static 200])
{
    hs_platform_info_t cpu = {0};
    (void)hs_populate_platform(&cpu);
    int n = snprintf(out, 200, "faultline " FL_VERSION ", vectorscan %.60s, tune %u, cpu %llx",
                     hs_version(), cpu.tune, cpu.cpu_features);
    return (struct fl_str){out, (size_t)n};
}

/* The head with an empty checksum, and the key. Other grams would do as well, so of them the hash is
 * enough. */
static enum fl_status write_key(struct fl_str engine, const struct fl_sieve_made_of *of,
                                struct fl_buf *out)
{
    struct head head = {.sum = 0};
    struct fl_str grams = {(const char *)of->grams, of->grams ? sizeof *of->grams : 0};
    uint64_t routine = fl_hash(grams, 0);
    memcpy(head.magic, magic, sizeof magic);
    fl_buf_add(out, &head, sizeof head);
    fl_buf_add_str(out, engine);
    fl_buf_add(out, &routine, sizeof routine);
    for (uint32_t i = of->from; i < of->to; i++) {
        struct mark mark = {i, (uint32_t)of->patterns[i].text.n};
        if (is_in(of, i)) {
            fl_buf_add(out, &mark, sizeof mark);
            fl_buf_add_str(out, of->patterns[i].text);
        }
    }
    if (out->failed == FL_OK) {
        head.key_n = out->n - sizeof head;
        memcpy(out->p, &head, sizeof head);
    }
    return out->failed;
}

/* Takes n numbers off the front, none above most. */
static uint32_t *take_list(struct fl_str *from, size_t n, uint32_t most)
{
    size_t bytes = n * sizeof(uint32_t);
    uint32_t *list = from->n >= bytes ? malloc(bytes + sizeof *list) : NULL;
    if (list) {
        memcpy(list, from->p, bytes);
        *from = fl_str_skip(*from, bytes);
    }
    for (size_t i = 0; list && i < n; i++) {
        if (list[i] > most) {
            free(list);
            return NULL;
        }
    }
    return list;
}

static bool read_lists(struct fl_str *from, uint32_t patterns, struct fl_needles *out)
{
    struct counts n;
    if (from->n < sizeof n || patterns == 0) {
        return false;
    }
    memcpy(&n, from->p, sizeof n);
    *from = fl_str_skip(*from, sizeof n);
    out->n = n.needles;
    out->always_n = n.always;
    out->first = take_list(from, n.needles + (size_t)1, n.users);
    out->users = out->first ? take_list(from, n.users, patterns - 1) : NULL;
    out->always = out->users ? take_list(from, n.always, patterns - 1) : NULL;
    return out->always != NULL;
}

/* A key of n bytes is the beginning of ours: where do the patterns end that are in it? 0: it is none. */
static uint32_t end_of(const struct fl_sieve_made_of *of, struct fl_str key, size_t n)
{
    uint32_t late = 0;
    uint32_t end = of->to;
    while (end > of->from && key.n > n && late < LATE) {
        end--;
        bool in = is_in(of, end);
        late += in;
        key.n -= in ? sizeof(struct mark) + of->patterns[end].text.n : 0;
    }
    return key.n == n ? end : 0;
}

/* Takes what the file holds; false: nothing of use. key: head and key as they should be. */
static bool load(const char *path, struct fl_str key, struct fl_sieve_made_of *of,
                 struct fl_sieve *out)
{
    struct fl_buf file;
    struct head head;
    uint32_t end = 0;
    fl_buf_init(&file, CACHE_CAP);
    if (fl_fsio_read_own(path, &file, NULL) == FL_OK && file.n > sizeof head) {
        struct fl_str text = fl_buf_str(&file);
        memcpy(&head, text.p, sizeof head);
        bool whole = memcmp(head.magic, magic, sizeof magic) == 0 && head.sum == sum_of(text) &&
                     head.key_n <= text.n - sizeof head && head.key_n <= key.n - sizeof head;
        end = whole && memcmp(text.p + sizeof head, key.p + sizeof head, head.key_n) == 0
                  ? end_of(of, key, sizeof head + head.key_n) : 0;
        struct fl_str rest = fl_str_skip(text, sizeof head + (end ? head.key_n : 0));
        if (end && !(read_lists(&rest, end, &out->needles) &&
                     hs_deserialize_database(rest.p, rest.n, &out->scanner) == HS_SUCCESS)) {
            fl_sieve_fini(out);
            end = 0;
        }
    }
    fl_buf_free(&file);
    of->to = end ? end : of->to;
    return end != 0;
}

/* Best effort. key: head and key, which are completed here. */
static void store(const char *folder, const char *path, struct fl_buf *key,
                  const struct fl_sieve *sieve)
{
    const struct fl_needles *needles = &sieve->needles;
    struct counts n = {needles->n, needles->first[needles->n], needles->always_n};
    char *bytes = NULL;
    size_t size = 0;
    if (hs_serialize_database(sieve->scanner, &bytes, &size) != HS_SUCCESS) {
        return;
    }
    fl_buf_add(key, &n, sizeof n);
    fl_buf_add(key, needles->first, (n.needles + (size_t)1) * sizeof *needles->first);
    fl_buf_add(key, needles->users, n.users * sizeof *needles->users);
    fl_buf_add(key, needles->always, n.always * sizeof *needles->always);
    fl_buf_add(key, bytes, size);
    if (key->failed == FL_OK && fl_fsio_mkdirs(folder, NULL) == FL_OK) {
        uint64_t sum = sum_of(fl_buf_str(key));
        memcpy(key->p + offsetof(struct head, sum), &sum, sizeof sum);
        (void)!fl_fsio_replace(path, fl_buf_str(key), false, NULL);
    }
    free(bytes);
}

enum fl_status fl_sieve_open(struct fl_sieve_made_of *of, const char *folder, const char *name,
                             struct fl_sieve *out, struct fl_err *err)
{
    char path[PATH_CAP];
    struct fl_buf key;
    bool caches = folder && of->from < of->to && scans();
    enum fl_status status = FL_OK;
    *out = (struct fl_sieve){.scanner = NULL};
    fl_buf_init(&key, CACHE_CAP);
    if (caches) {
        char text[200];
        struct fl_str engine = engine_of(text);
        caches = snprintf(path, sizeof path, "%s/sieve-%s-%016llx.bin", folder, name,
                          (unsigned long long)fl_hash(engine, 0)) < PATH_CAP &&
                 write_key(engine, of, &key) == FL_OK;
    }
    if (!caches || !load(path, fl_buf_str(&key), of, out)) {
        status = make(of, out, err);
        if (status == FL_OK && caches && out->scanner) {
            store(folder, path, &key, out);
        }
    }
    fl_buf_free(&key);
    return status;
}

void fl_sieve_fini(struct fl_sieve *sieve)
{
    hs_free_database(sieve->scanner);
    fl_needles_fini(&sieve->needles);
    *sieve = (struct fl_sieve){.scanner = NULL};
}
