/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the memory of incidents is: bench_memory [N] makes N incidents (100,000) out of made-up lines
 * in a state folder of its own, opens it anew, and prints how long until the first answer (the index is
 * read from the database), the median of 200 searches on one thread, and the peak memory. */
#include "rag/retrieve.h"
#include "service/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { LINES = 6, WORDS = 12, VOCABULARY = 20000, AT_ONCE = 10000, SEARCHES = 200, TEXT = 2048 };

static unsigned below(unsigned *seed, unsigned n)
{
    *seed = *seed * 1664525U + 1013904223U;
    return (unsigned)((uint64_t)(*seed >> 8) * n >> 24);
}

/* Words are as skewed as those of logs: few are in most texts, most in few. */
static void word(unsigned *seed, struct fl_buf *out)
{
    unsigned k = below(seed, VOCABULARY);
    k = (unsigned)((uint64_t)k * k / VOCABULARY);
    for (unsigned i = 0; i < 4 + k % 5; i++) {
        char c = (char)('a' + (k * 7 + i * (k % 23 + 3)) % 26);
        fl_buf_add(out, &c, 1);
    }
}

static void text_of(unsigned number, const char *end, struct fl_buf *out)
{
    unsigned seed = number * 2654435761U + 1;
    for (int line = 0; line < LINES; line++) {
        for (int i = 0; i < WORDS; i++) {
            word(&seed, out);
            fl_buf_add_text(out, i + 1 < WORDS ? " " : line + 1 < LINES ? end : "");
        }
    }
}

static enum fl_status fill(struct fl_incidents *store, unsigned n, struct fl_err *err)
{
    struct fl_buf lines;
    size_t taken = 0;
    enum fl_status status = FL_OK;
    fl_buf_init(&lines, FL_INCIDENTS_IMPORT);
    for (unsigned i = 0; status == FL_OK && i < n;) {
        fl_buf_clear(&lines);
        for (unsigned end = i + AT_ONCE; i < end && i < n; i++) {
            fl_buf_addf(&lines, "{\"id\": \"b%u\", \"cause\": \"gpu_oom\", \"outcome\": \"confirmed\","
                        " \"fingerprint\": \"1-%016x\", \"text\": \"", i, i);
            text_of(i, "\\n", &lines);
            fl_buf_add_text(&lines, "\"}\n");
        }
        status = fl_incidents_import(store, fl_buf_str(&lines), "made-up incidents", &taken, err);
    }
    fl_buf_free(&lines);
    return status;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static enum fl_status measure(const char *folder, unsigned n, struct fl_err *err)
{
    struct fl_incidents *store = NULL;
    int64_t took[SEARCHES];
    int64_t start = fl_clock_mono_us();
    enum fl_status status = fl_incidents_open(folder, NULL, false, &store, err);
    for (unsigned i = 0; status == FL_OK && i < SEARCHES; i++) {
        struct fl_arena arena;
        struct fl_buf query;
        struct fl_hits hits;
        fl_arena_init(&arena, 16 << 20);
        fl_buf_init(&query, TEXT);
        text_of(i * (n / SEARCHES), "\n", &query);
        int64_t began = i ? fl_clock_mono_us() : start;
        status = fl_retrieve(store, fl_buf_str(&query), 5, &arena, &hits, err);
        took[i] = fl_clock_mono_us() - began;
        if (status == FL_OK && (hits.n == 0 || hits.list[0].similarity < 0.99)) {
            status = fl_fail(err, FL_INTERNAL, "incident b%u does not find itself", i * (n / SEARCHES));
        }
        fl_buf_free(&query);
        fl_arena_free(&arena);
    }
    fl_incidents_close(store);
    if (status == FL_OK) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        qsort(took + 1, SEARCHES - 1, sizeof *took, by_value);
        printf("%u incidents: first answer after %.2f s; a search: median %.1f ms, longest %.1f ms;"
               " peak memory %ld MiB\n", n, (double)took[0] / 1e6, (double)took[SEARCHES / 2] / 1e3,
               (double)took[SEARCHES - 1] / 1e3, usage.ru_maxrss / 1024);
    }
    return status;
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/fl-memory-XXXXXX";
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    struct fl_incidents *store = NULL;
    struct fl_err err = {0};
    if (n < SEARCHES || n > 10000000 || !mkdtemp(folder)) {
        fprintf(stderr, "bench_memory [N], N from %d\n", SEARCHES);
        return 2;
    }
    enum fl_status status = fl_incidents_open(folder, NULL, false, &store, &err);
    if (status == FL_OK) {
        status = fill(store, (unsigned)n, &err);
    }
    fl_incidents_close(store);
    if (status == FL_OK) {
        status = measure(folder, (unsigned)n, &err);
    }
    if (status != FL_OK) {
        fprintf(stderr, "%s\n", err.msg);
    }
    printf("made in %s, which may be removed\n", folder);
    return status != FL_OK;
}
