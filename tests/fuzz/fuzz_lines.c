/* SPDX-License-Identifier: Apache-2.0 */
/* Lines do not depend on how the bytes were cut. The first byte seeds the cutting and chooses the
 * flags; the rest is the data, made longer when its second byte says so. */
#include "service/base/buf.h"
#include "service/ingest/lines.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct taken {
    struct fl_buf text;
    uint64_t bytes;
};

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static enum fl_status take(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct taken *t = ctx;
    (void)err;
    for (size_t i = 0; i < batch->n; i++) {
        struct fl_str s = batch->texts[i];
        must(s.n <= FL_LINES_BLOCK);
        must(s.n == 0 || (s.p >= batch->block.p && s.p + s.n <= batch->block.p + batch->block.n));
        fl_buf_addf(&t->text, "%ld %llu %u ", batch->at[i].number,
                    (unsigned long long)batch->at[i].offset, batch->at[i].flags);
        fl_buf_add_str(&t->text, s);
        fl_buf_add_text(&t->text, "\n");
        t->bytes += s.n;
    }
    return FL_OK;
}

static void run(struct fl_str all, unsigned flags, unsigned seed, struct taken *out)
{
    struct fl_lines *lines = NULL;
    struct fl_err err = {0};
    uint32_t dice = seed * 2654435761U + 1;
    fl_buf_init(&out->text, 64 << 20);
    out->bytes = 0;
    must(fl_lines_new(flags, take, out, &lines, &err) == FL_OK);
    while (all.n) {
        dice = dice * 1664525U + 1013904223U;
        size_t most = seed == 0 ? all.n : (dice >> 8) % 3 ? 5 : 70000;
        size_t n = seed == 0 ? all.n : (dice >> 12) % most + 1;
        n = n < all.n ? n : all.n;
        must(fl_lines_push(lines, (struct fl_str){all.p, n}, &err) == FL_OK);
        all = fl_str_skip(all, n);
    }
    must(fl_lines_end(lines, &err) == FL_OK);
    fl_buf_addf(&out->text, "%ld %llu", fl_lines_count(lines),
                (unsigned long long)fl_lines_bytes(lines));
    must(out->text.failed == FL_OK);
    fl_lines_free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct fl_str body = {(const char *)data + 2, size - 2};
    size_t times = data[1] >= 0xf0 && body.n ? (size_t)(data[1] - 0xef) * 40000 / body.n + 1 : 1;
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
    must(fl_str_eq(fl_buf_str(&whole.text), fl_buf_str(&cut.text)));
    must(whole.bytes <= all.n);
    fl_buf_free(&whole.text);
    fl_buf_free(&cut.text);
    fl_buf_free(&all);
    return 0;
}
