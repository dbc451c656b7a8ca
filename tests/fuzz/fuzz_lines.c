/* SPDX-License-Identifier: Apache-2.0 */
/* Lines do not depend on how the bytes were cut. The first byte seeds the cutting and chooses the
 * flags, with the second it may ask for the data many times over; the rest is the data. */
#include "service/base/buf.h"
#include "service/ingest/lines.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taken {
    uint64_t sum; /* over all that was delivered */
    uint64_t lines;
    uint64_t bytes;
};

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static void mix(struct taken *t, uint64_t value)
{
    t->sum = (t->sum ^ value) * 1099511628211U;
    t->sum ^= t->sum >> 29;
}

static enum fl_status take(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct taken *t = ctx;
    (void)err;
    for (size_t i = 0; i < batch->n; i++) {
        struct fl_str s = batch->texts[i];
        must(s.n <= FL_LINES_BLOCK);
        must(s.n == 0 || (s.p >= batch->block.p && s.p + s.n <= batch->block.p + batch->block.n));
        mix(t, (uint64_t)batch->at[i].number);
        mix(t, batch->at[i].offset);
        mix(t, batch->at[i].flags);
        mix(t, s.n);
        for (size_t k = 0; k < s.n; k++) {
            mix(t, (unsigned char)s.p[k]);
        }
        t->bytes += s.n;
        t->lines++;
    }
    return FL_OK;
}

static void run(struct fl_str all, unsigned flags, unsigned seed, struct taken *out)
{
    struct fl_lines *lines = NULL;
    struct fl_err err = {0};
    uint32_t dice = seed * 2654435761U + 1;
    size_t few = all.n > 9999 ? 999 : 5;
    *out = (struct taken){.sum = 14695981039346656037U};
    must(fl_lines_new(flags, take, out, &lines, &err) == FL_OK);
    while (all.n) {
        dice = dice * 1664525U + 1013904223U;
        size_t n = seed == 0 ? all.n : (dice >> 12) % ((dice >> 8) % 3 ? few : 70000) + 1;
        n = n < all.n ? n : all.n;
        must(fl_lines_push(lines, (struct fl_str){all.p, n}, &err) == FL_OK);
        all = fl_str_skip(all, n);
    }
    must(fl_lines_end(lines, &err) == FL_OK);
    mix(out, (uint64_t)fl_lines_count(lines));
    mix(out, fl_lines_bytes(lines));
    fl_lines_free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct fl_str body = {(const char *)data + 2, size - 2};
    bool many = data[0] >= 0xe0 && data[1] >= 0xf0 && body.n;
    size_t times = many ? 300000 / body.n + 1 : 1;
    struct fl_buf all;
    fl_buf_init(&all, 8 << 20);
    for (size_t i = 0; i < times; i++) {
        fl_buf_add_str(&all, body);
    }
    struct taken whole;
    struct taken cut;
    unsigned flags = data[0] & 1 ? FL_LINES_BARS : 0;
    run(fl_buf_str(&all), flags, 0, &whole);
    run(fl_buf_str(&all), flags, data[0] | 256U, &cut);
    must(whole.sum == cut.sum && whole.lines == cut.lines && whole.bytes == cut.bytes);
    must(whole.bytes <= all.n);
    fl_buf_free(&all);
    return 0;
}
