/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/buf.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

void fl_buf_init(struct fl_buf *buf, size_t cap)
{
    *buf = (struct fl_buf){.cap = cap};
}

void fl_buf_free(struct fl_buf *buf)
{
    if (buf) {
        free(buf->p);
        fl_buf_init(buf, buf->cap);
    }
}

void fl_buf_clear(struct fl_buf *buf)
{
    buf->n = 0;
    buf->failed = FL_OK;
    if (buf->p) {
        buf->p[0] = '\0';
    }
}

static enum fl_status reserve(struct fl_buf *buf, size_t more)
{
    if (more > buf->cap - buf->n) {
        return buf->failed = FL_LIMIT;
    }
    size_t need = buf->n + more + 1;
    if (need <= buf->size) {
        return FL_OK;
    }
    size_t size = buf->size ? buf->size : 64;
    while (size < need) {
        size *= 2;
    }
    char *p = realloc(buf->p, size);
    if (!p) {
        return buf->failed = FL_NOMEM;
    }
    buf->p = p;
    buf->size = size;
    return FL_OK;
}

enum fl_status fl_buf_add(struct fl_buf *buf, const void *bytes, size_t n)
{
    enum fl_status status = reserve(buf, n);
    if (status != FL_OK) {
        return status;
    }
    if (n) {
        memcpy(buf->p + buf->n, bytes, n);
    }
    buf->n += n;
    buf->p[buf->n] = '\0';
    return FL_OK;
}

char *fl_buf_room(struct fl_buf *buf, size_t n)
{
    return reserve(buf, n) == FL_OK ? buf->p + buf->n : NULL;
}

enum fl_status fl_buf_add_str(struct fl_buf *buf, struct fl_str s)
{
    return fl_buf_add(buf, s.p, s.n);
}

enum fl_status fl_buf_add_text(struct fl_buf *buf, const char *text)
{
    return fl_buf_add(buf, text, strlen(text));
}

enum fl_status fl_buf_vaddf(struct fl_buf *buf, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int need = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (need < 0) {
        return buf->failed = FL_INTERNAL;
    }
    enum fl_status status = reserve(buf, (size_t)need);
    if (status != FL_OK) {
        return status;
    }
    vsnprintf(buf->p + buf->n, (size_t)need + 1, fmt, ap);
    buf->n += (size_t)need;
    return FL_OK;
}

enum fl_status fl_buf_addf(struct fl_buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum fl_status status = fl_buf_vaddf(buf, fmt, ap);
    va_end(ap);
    return status;
}

void fl_buf_shift(struct fl_buf *buf, size_t n)
{
    if (n) {
        memmove(buf->p, buf->p + n, buf->n - n);
        buf->n -= n;
        buf->p[buf->n] = '\0';
    }
}

size_t fl_utf8_take(struct fl_str s, uint32_t *point_r)
{
    if (s.n == 0) {
        return 0;
    }
    const unsigned char *b = (const unsigned char *)s.p;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = b[0] < 0x80 ? 1 : b[0] >= 0xf0 && b[0] < 0xf5 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (n == 1) {
        *point_r = b[0];
        return 1;
    }
    if (b[0] < 0xc2 || b[0] > 0xf4 || s.n < n) {
        return 0;
    }
    uint32_t point = b[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
        point = point << 6 | (b[i] & 0x3f);
    }
    if (point < least[n] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) {
        return 0;
    }
    *point_r = point;
    return n;
}

static bool is_trick(uint32_t point)
{
    return (point < 0x20 && point != '\t') || (point >= 0x7f && point < 0xa0) ||
           (point >= 0x200b && point <= 0x200f) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
}

enum fl_status fl_buf_add_safe(struct fl_buf *buf, struct fl_str s)
{
    while (s.n) {
        uint32_t point = 0;
        size_t n = fl_utf8_take(s, &point);
        enum fl_status status;
        if (n == 0) {
            n = 1;
            status = fl_buf_addf(buf, "\\x%02x", (unsigned char)*s.p);
        } else if (is_trick(point)) {
            status = fl_buf_addf(buf, point < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned)point);
        } else {
            status = fl_buf_add(buf, s.p, n);
        }
        if (status != FL_OK) {
            return status;
        }
        s = fl_str_skip(s, n);
    }
    return FL_OK;
}
