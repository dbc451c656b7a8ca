/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer's place without clang: gives a fuzz target each file of a corpus, then RUNS inputs that
 * are mutations of them, the same ones every time. An input that ends in abort() is left in the
 * file `crash-input` (ASAN_OPTIONS=abort_on_error=1 makes sanitizers end so too).
 *   fuzz_NAME RUNS CORPUS_DIR [FILE...] */
#include "service/base/fsio.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEEDS_MAX = 256, INPUT_MAX = 4096 };

struct seeds {
    struct fl_buf list[SEEDS_MAX];
    size_t n;
};

static uint64_t state = 88172645463325252U;
static const char *in_hand;
static size_t in_hand_n;

static void on_abort(int number)
{
    (void)number;
    int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, in_hand, in_hand_n) >= 0) {
        close(fd);
    }
}

static void try_input(const char *p, size_t n)
{
    in_hand = p;
    in_hand_n = n;
    LLVMFuzzerTestOneInput((const uint8_t *)p, n);
}

static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return n ? (size_t)(state % n) : 0;
}

static enum fl_status add_seed(void *ctx, const char *path, struct fl_err *err)
{
    struct seeds *s = ctx;
    if (s->n == SEEDS_MAX) {
        return FL_OK;
    }
    struct fl_buf *buf = &s->list[s->n++];
    fl_buf_init(buf, 1 << 20);
    return fl_fsio_read(path, buf, err);
}

static size_t mutate(char *p, size_t n, const struct seeds *s)
{
    static const char odd[] = "\0\n\r\x1b\xff\"\\{}[]()<>:|?*+^$%,.0/- ";
    size_t at = below(n + 1);
    size_t len = below(16) + 1;
    switch (below(6)) {
    case 0: /* another byte */
        if (at < n) {
            p[at] = below(2) ? odd[below(sizeof odd - 1)] : (char)below(256);
        }
        break;
    case 1: /* bytes away */
        len = len > n - at ? n - at : len;
        memmove(p + at, p + at + len, n - at - len);
        return n - len;
    case 2: /* bytes in */
        if (n + len <= INPUT_MAX) {
            memmove(p + at + len, p + at, n - at);
            for (size_t i = 0; i < len; i++) {
                p[at + i] = below(3) ? odd[below(sizeof odd - 1)] : (char)below(256);
            }
            return n + len;
        }
        break;
    case 3: /* a part of another seed */
        if (s->n) {
            const struct fl_buf *other = &s->list[below(s->n)];
            size_t from = below(other->n + 1);
            len = below(other->n - from + 1);
            len = len > INPUT_MAX - at ? INPUT_MAX - at : len;
            if (len) {
                memcpy(p + at, other->p + from, len);
            }
            return at + len > n ? at + len : n;
        }
        break;
    case 4: /* a part again */
        len = len > n - at ? n - at : len;
        if (len && n + len <= INPUT_MAX) {
            memmove(p + at + len, p + at, n - at);
            return n + len;
        }
        break;
    default: /* an early end */
        return below(8) ? n : at;
    }
    return n;
}

int main(int argc, char **argv)
{
    static struct seeds seeds;
    static char input[INPUT_MAX];
    struct fl_err err = {0};
    signal(SIGABRT, on_abort);
    long runs = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    for (int i = 2; i < argc; i++) {
        enum fl_status status = fl_fsio_is_dir(argv[i])
                                    ? fl_fsio_walk(argv[i], add_seed, &seeds, &err)
                                    : add_seed(&seeds, argv[i], &err);
        if (status != FL_OK) {
            fprintf(stderr, "%s\n", err.msg);
            return EXIT_FAILURE;
        }
    }
    for (size_t i = 0; i < seeds.n; i++) {
        try_input(fl_buf_text(&seeds.list[i]), seeds.list[i].n);
    }
    for (long i = 0; i < runs; i++) {
        size_t n = 0;
        if (seeds.n) {
            const struct fl_buf *seed = &seeds.list[below(seeds.n)];
            n = seed->n < INPUT_MAX ? seed->n : INPUT_MAX;
            memcpy(input, fl_buf_text(seed), n);
        }
        for (size_t k = below(8) + 1; k > 0; k--) {
            n = mutate(input, n, &seeds);
        }
        try_input(input, n);
    }
    printf("%zu seeds, %ld mutations\n", seeds.n, runs);
    for (size_t i = 0; i < seeds.n; i++) {
        fl_buf_free(&seeds.list[i]);
    }
    return EXIT_SUCCESS;
}
