/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/unpack.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <snappy-c.h>
#include <stdlib.h>
#include <strings.h>
#include <zstd.h>

enum {
    STEP = 64 * 1024,
    ENCODINGS_MAX = 2,
    ZSTD_WINDOW_LOG = 23, /* what HTTP allows (RFC 9659) */
    SNAPPY_RATIO = 32,    /* no block says more with less: a copy of 64 bytes takes three */
    SNAPPY_CHUNK = 1 << 16,
};

#define SNAPPY_MAGIC FL_LIT("\xff\x06\0\0sNaPpY")

typedef enum fl_status (*unpacker)(struct fl_str packed, struct fl_buf *out, struct fl_err *err);

static enum fl_status too_much(const struct fl_buf *out, struct fl_err *err)
{
    return out->failed == FL_NOMEM
               ? fl_fail(err, FL_NOMEM, "no memory to unpack into")
               : fl_fail(err, FL_LIMIT, "the body unpacks to more than %zu bytes", out->cap);
}

static enum fl_status broken(const char *what, struct fl_err *err)
{
    return fl_fail(err, FL_SYNTAX, "broken %s data", what);
}

/* Free bytes to unpack into: a step, or what is left to the cap and one byte more, which a body
 * that goes on will ask for. */
static char *room(struct fl_buf *out, size_t *n_r)
{
    size_t left = out->cap - out->n;
    *n_r = left < STEP ? left : STEP;
    return *n_r ? fl_buf_room(out, *n_r) : NULL;
}

/* ---- gzip, deflate ---- */

static enum fl_status inflate_member(struct inflate_state *z, struct fl_buf *out,
                                     struct fl_err *err)
{
    while (z->block_state != ISAL_BLOCK_FINISH) {
        uint8_t spare;
        size_t n;
        char *p = room(out, &n);
        if (out->failed) {
            return too_much(out, err);
        }
        z->next_out = p ? (uint8_t *)p : &spare;
        z->avail_out = p ? (uint32_t)n : 1;
        uint32_t offered = z->avail_out;
        uint32_t before = z->avail_in;
        int result = isal_inflate(z);
        size_t got = offered - z->avail_out;
        if (!p && got) {
            return too_much(out, err);
        }
        out->n += got;
        bool stuck = got == 0 && z->avail_in == before && z->block_state != ISAL_BLOCK_FINISH;
        if (result < 0 || stuck) {
            return broken("gzip or deflate", err);
        }
    }
    return FL_OK;
}

static enum fl_status inflate_all(struct fl_str packed, uint32_t wrapper, struct fl_buf *out,
                                  struct fl_err *err)
{
    struct inflate_state *z = packed.n < UINT32_MAX ? malloc(sizeof *z) : NULL;
    if (!z) {
        return fl_fail(err, FL_NOMEM, "no memory to unpack with");
    }
    enum fl_status status = FL_OK;
    do {
        isal_inflate_init(z);
        z->crc_flag = wrapper;
        z->next_in = (uint8_t *)(uintptr_t)packed.p;
        z->avail_in = (uint32_t)packed.n;
        status = inflate_member(z, out, err);
        packed = fl_str_skip(packed, packed.n - z->avail_in);
    } while (status == FL_OK && packed.n && wrapper == ISAL_GZIP);
    free(z);
    return status;
}

static enum fl_status gzip(struct fl_str packed, struct fl_buf *out, struct fl_err *err)
{
    return inflate_all(packed, ISAL_GZIP, out, err);
}

/* By the book `deflate` is zlib's format; some clients send it bare. */
static enum fl_status deflate(struct fl_str packed, struct fl_buf *out, struct fl_err *err)
{
    unsigned head =
        packed.n > 1 ? (unsigned)(unsigned char)packed.p[0] << 8 | (unsigned char)packed.p[1] : 0;
    bool zlib = (head >> 8 & 0xf) == 8 && head % 31 == 0;
    return inflate_all(packed, zlib ? ISAL_ZLIB : ISAL_DEFLATE, out, err);
}

/* ---- zstd ---- */

static enum fl_status zstd_all(ZSTD_DCtx *z, struct fl_str packed, struct fl_buf *out,
                               struct fl_err *err)
{
    ZSTD_inBuffer in = {packed.p, packed.n, 0};
    for (size_t left = 1; left || in.pos < in.size;) {
        char spare;
        size_t n;
        char *p = room(out, &n);
        if (out->failed) {
            return too_much(out, err);
        }
        ZSTD_outBuffer into = {p ? p : &spare, p ? n : 1, 0};
        size_t before = in.pos;
        left = ZSTD_decompressStream(z, &into, &in);
        if (!p && into.pos) {
            return too_much(out, err);
        }
        if (ZSTD_isError(left) || (left && into.pos == 0 && in.pos == before)) {
            return broken("zstd", err);
        }
        out->n += into.pos;
    }
    return FL_OK;
}

static enum fl_status zstd(struct fl_str packed, struct fl_buf *out, struct fl_err *err)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    if (!z || ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))) {
        ZSTD_freeDCtx(z);
        return fl_fail(err, FL_NOMEM, "no memory to unpack with");
    }
    enum fl_status status = zstd_all(z, packed, out, err);
    ZSTD_freeDCtx(z);
    return status;
}

/* ---- snappy ---- */

static enum fl_status snappy_block(struct fl_str packed, struct fl_buf *out, struct fl_err *err)
{
    size_t n = 0;
    if (snappy_uncompressed_length(packed.p, packed.n, &n) != SNAPPY_OK ||
        n / SNAPPY_RATIO > packed.n) {
        return broken("snappy", err);
    }
    char *p = fl_buf_room(out, n);
    if (!p) {
        return too_much(out, err);
    }
    if (snappy_uncompress(packed.p, packed.n, p, &n) != SNAPPY_OK) {
        return broken("snappy", err);
    }
    out->n += n;
    return FL_OK;
}

static uint32_t little_endian(const char *p, size_t n)
{
    uint32_t value = 0;
    memcpy(&value, p, n);
    return value;
}

/* The data of a chunk: its masked CRC-32C, then the bytes, packed (kind 0) or as they are (1). */
static enum fl_status snappy_chunk(unsigned kind, struct fl_str data, struct fl_buf *out,
                                   struct fl_err *err)
{
    size_t from = out->n;
    if (data.n < 4) {
        return broken("snappy", err);
    }
    uint32_t sum = little_endian(data.p, 4);
    data = fl_str_skip(data, 4);
    enum fl_status status = kind ? fl_buf_add_str(out, data) : snappy_block(data, out, err);
    if (status != FL_OK) {
        return kind ? too_much(out, err) : status;
    }
    size_t n = out->n - from;
    uint32_t crc =
        n > SNAPPY_CHUNK ? 0 : ~crc32_iscsi((unsigned char *)out->p + from, (int)n, UINT32_MAX);
    if (n > SNAPPY_CHUNK || sum != (crc >> 15 | crc << 17) + 0xa282ead8U) {
        return broken("snappy", err);
    }
    return FL_OK;
}

static enum fl_status snappy(struct fl_str packed, struct fl_buf *out, struct fl_err *err)
{
    if (!fl_str_starts(packed, SNAPPY_MAGIC)) {
        return snappy_block(packed, out, err);
    }
    enum fl_status status = FL_OK;
    while (status == FL_OK && packed.n) {
        size_t n = packed.n < 4 ? 0 : little_endian(packed.p + 1, 3);
        if (packed.n < n + 4) {
            return broken("snappy", err);
        }
        unsigned kind = (unsigned char)*packed.p;
        struct fl_str data = {packed.p + 4, n};
        if (kind < 2) {
            status = snappy_chunk(kind, data, out, err);
        } else if (kind < 0x80) {
            status = broken("snappy", err); /* of a kind that may not be passed over */
        }
        packed = fl_str_skip(packed, n + 4);
    }
    return status;
}

/* ---- the header ---- */

static bool is(struct fl_str s, const char *name)
{
    return s.n == strlen(name) && strncasecmp(s.p, name, s.n) == 0;
}

static bool find(struct fl_str name, unpacker *out)
{
    static const struct {
        const char *name;
        unpacker run;
    } known[] = {
        {"", NULL},           {"identity", NULL}, {"gzip", gzip},     {"x-gzip", gzip},
        {"deflate", deflate}, {"zstd", zstd},     {"snappy", snappy}, {"x-snappy-framed", snappy},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (is(name, known[i].name)) {
            *out = known[i].run;
            return true;
        }
    }
    return false;
}

/* "gzip, zstd" was packed by gzip first. */
static enum fl_status list(struct fl_str encodings, unpacker run[ENCODINGS_MAX], size_t *n_r,
                           struct fl_err *err)
{
    for (*n_r = 0; encodings.n;) {
        const char *comma = memchr(encodings.p, ',', encodings.n);
        struct fl_str name = {encodings.p, comma ? (size_t)(comma - encodings.p) : encodings.n};
        encodings = fl_str_skip(encodings, name.n + (comma ? 1 : 0));
        unpacker one = NULL;
        name = fl_str_trim(name);
        if (!find(name, &one)) {
            return fl_fail(err, FL_USAGE, "Content-Encoding \"%.*s\" is not known",
                           (int)fl_str_head(name, 40).n, name.p);
        }
        if (one && *n_r == ENCODINGS_MAX) {
            return fl_fail(err, FL_USAGE, "more than two Content-Encodings");
        }
        if (one) {
            run[(*n_r)++] = one;
        }
    }
    return FL_OK;
}

enum fl_status fl_unpack(struct fl_str packed, struct fl_str encodings, struct fl_buf *out,
                         struct fl_str *body_r, struct fl_err *err)
{
    unpacker run[ENCODINGS_MAX];
    size_t n = 0;
    *body_r = packed;
    enum fl_status status = list(encodings, run, &n, err);
    if (status != FL_OK || n == 0) {
        return status;
    }
    struct fl_buf between;
    fl_buf_init(&between, out->cap);
    if (n == 2) {
        status = run[1](packed, &between, err);
        packed = fl_buf_str(&between);
    }
    if (status == FL_OK) {
        status = run[0](packed, out, err);
    }
    fl_buf_free(&between);
    *body_r = fl_buf_str(out);
    return status;
}
