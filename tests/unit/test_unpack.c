/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <snappy-c.h>
#include <stdint.h>
#include <zlib.h>
#include <zstd.h>

#include "service/http/unpack.h"

enum { CAP = 1 << 20 };

/* A line of a log over and over, with numbers. */
static struct fl_str sample(size_t n)
{
    static char out[1 << 21];
    for (size_t at = 0, i = 0; at < n; i++) {
        char line[64];
        int k = snprintf(line, sizeof line, "[rank%zu]: step %zu loss 2.5\n", i % 8, i);
        size_t m = (size_t)k < n - at ? (size_t)k : n - at;
        memcpy(out + at, line, m);
        at += m;
    }
    return (struct fl_str){out, n};
}

static struct fl_str deflated(struct fl_str s, int window, char *out, size_t size)
{
    z_stream z = {0};
    CHECK(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    z.next_in = (Bytef *)(uintptr_t)s.p;
    z.avail_in = (uInt)s.n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)size;
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    size_t n = size - z.avail_out;
    deflateEnd(&z);
    return (struct fl_str){out, n};
}

static struct fl_str snapped(struct fl_str s, char *out, size_t size)
{
    CHECK(snappy_compress(s.p, s.n, out, &size) == SNAPPY_OK);
    return (struct fl_str){out, size};
}

/* One chunk of each kind: packed, as it is, padding. CRC-32C bit by bit. */
static struct fl_str framed(struct fl_str s, char *out)
{
    char packed[1 << 17];
    struct fl_str half[2] = {fl_str_head(s, s.n / 2), fl_str_skip(s, s.n / 2)};
    size_t n = 10;
    memcpy(out, "\xff\x06\0\0sNaPpY", n);
    memcpy(out + n, "\xfe\x03\0\0abc", 7);
    n += 7;
    for (int kind = 0; kind < 2; kind++) {
        struct fl_str data = kind ? half[1] : snapped(half[0], packed, sizeof packed);
        uint32_t crc = UINT32_MAX;
        for (size_t i = 0; i < half[kind].n; i++) {
            crc ^= (unsigned char)half[kind].p[i];
            for (int bit = 0; bit < 8; bit++) {
                crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
            }
        }
        crc = ~crc;
        crc = (crc >> 15 | crc << 17) + 0xa282ead8U;
        uint32_t head = (uint32_t)(data.n + 4) << 8 | (uint32_t)kind;
        memcpy(out + n, &head, 4);
        memcpy(out + n + 4, &crc, 4);
        memcpy(out + n + 8, data.p, data.n);
        n += 8 + data.n;
    }
    return (struct fl_str){out, n};
}

static enum fl_status unpacked(struct fl_str packed, const char *encodings, size_t cap,
                               struct fl_str want)
{
    struct fl_buf out;
    struct fl_str body;
    struct fl_err err = {0};
    char *exact = malloc(packed.n ? packed.n : 1);
    memcpy(exact, packed.p, packed.n);
    fl_buf_init(&out, cap);
    enum fl_status status =
        fl_unpack((struct fl_str){exact, packed.n}, fl_str_of(encodings), &out, &body, &err);
    CHECK(out.n <= cap);
    if (status == FL_OK && want.p) {
        CHECK(fl_str_eq(body, want));
    }
    fl_buf_free(&out);
    free(exact);
    return status;
}

static char a[1 << 22], b[1 << 20];

/* The whole; the cap to the byte; every beginning (of a small one); a wrong byte. */
static void holds(const char *encoding, struct fl_str packed, struct fl_str plain)
{
    CHECK_EQ_INT(unpacked(packed, encoding, CAP, plain), FL_OK);
    CHECK_EQ_INT(unpacked(packed, encoding, plain.n, plain), FL_OK);
    CHECK_EQ_INT(unpacked(packed, encoding, plain.n - 1, plain), FL_LIMIT);
    for (size_t n = 0; n < packed.n && packed.n < 2000; n++) {
        enum fl_status status = unpacked(fl_str_head(packed, n), encoding, CAP, (struct fl_str){0});
        CHECK(status == FL_SYNTAX || (status == FL_OK && packed.p[0] == '\xff'));
    }
}

TEST(every_encoding)
{
    for (size_t n = 500; n <= 100000; n += 99500) {
        struct fl_str plain = sample(n);
        holds("gzip", deflated(plain, 15 + 16, a, sizeof a), plain);
        holds(" X-GZIP ", deflated(plain, 15 + 16, a, sizeof a), plain);
        holds("deflate", deflated(plain, 15, a, sizeof a), plain);
        holds("deflate", deflated(plain, -15, a, sizeof a), plain);
        holds("zstd", (struct fl_str){a, ZSTD_compress(a, sizeof a, plain.p, plain.n, 3)}, plain);
        holds("snappy", snapped(plain, a, sizeof a), plain);
        holds("snappy", framed(plain, a), plain);
    }
    struct fl_str plain = sample(100);
    CHECK_EQ_INT(unpacked(plain, "", 1, plain), FL_OK);
    CHECK_EQ_INT(unpacked(plain, "identity", 1, plain), FL_OK);
}

TEST(members_and_lists)
{
    struct fl_str plain = sample(700);
    struct fl_str first = deflated(fl_str_head(plain, 300), 15 + 16, a, sizeof a);
    struct fl_str second =
        deflated(fl_str_skip(plain, 300), 15 + 16, a + first.n, sizeof a - first.n);
    CHECK_EQ_INT(unpacked((struct fl_str){a, first.n + second.n}, "gzip", CAP, plain), FL_OK);
    struct fl_str inner = deflated(plain, 15 + 16, a, sizeof a);
    struct fl_str outer = {b, ZSTD_compress(b, sizeof b, inner.p, inner.n, 1)};
    CHECK_EQ_INT(unpacked(outer, "gzip, zstd", CAP, plain), FL_OK);
    CHECK_EQ_INT(unpacked(outer, "zstd, gzip", CAP, plain), FL_SYNTAX);
    CHECK_EQ_INT(unpacked(outer, "gzip, gzip, zstd", CAP, plain), FL_USAGE);
    CHECK_EQ_INT(unpacked(outer, "br", CAP, plain), FL_USAGE);
}

TEST(refuses)
{
    struct fl_str plain = sample(700);
    struct fl_str packed = deflated(plain, 15 + 16, a, sizeof a);
    a[packed.n - 6] ^= 1; /* of the checksum */
    CHECK_EQ_INT(unpacked(packed, "gzip", CAP, plain), FL_SYNTAX);
    packed = framed(plain, a);
    a[21] ^= 1;
    CHECK_EQ_INT(unpacked(packed, "snappy", CAP, plain), FL_SYNTAX);
    packed = deflated(plain, 15 + 16, a, sizeof a);
    a[packed.n++] = 'x';
    CHECK_EQ_INT(unpacked(packed, "gzip", CAP, plain), FL_SYNTAX);
    /* a block of seven bytes that promises 4 GiB */
    CHECK_EQ_INT(unpacked(FL_LIT("\xff\xff\xff\xff\x0f\x00x"), "snappy", CAP, plain), FL_SYNTAX);
}

TEST(bombs_stop_early)
{
    static char zeros[1 << 21];
    struct fl_str plain = {zeros, sizeof zeros};
    CHECK_EQ_INT(unpacked(deflated(plain, 15 + 16, a, sizeof a), "gzip", CAP, plain), FL_LIMIT);
    struct fl_str packed = {a, ZSTD_compress(a, sizeof a, plain.p, plain.n, 3)};
    CHECK_EQ_INT(unpacked(packed, "zstd", CAP, plain), FL_LIMIT);
    CHECK_EQ_INT(unpacked(snapped(plain, a, sizeof a), "snappy", CAP, plain), FL_LIMIT);
}

int main(void)
{
    RUN(every_encoding);
    RUN(members_and_lists);
    RUN(refuses);
    RUN(bombs_stop_early);
    return test_result();
}
