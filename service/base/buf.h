/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer with a hard cap from birth (after curl's dynbuf).
 * Owns its bytes. After a failed add the buffer keeps what it had and remembers the failure:
 * `failed` stays set, so a run of adds may be checked once at its end. */
#pragma once
#include "service/base/status.h"
#include "service/base/str.h"

#include <stdarg.h>
#include <stdint.h>

struct fl_buf {
    char *p;    /* always NUL-terminated once something was added */
    size_t n;   /* bytes used */
    size_t size;
    size_t cap; /* never grows past this */
    enum fl_status failed;
};

void fl_buf_init(struct fl_buf *buf, size_t cap);
void fl_buf_free(struct fl_buf *buf);
void fl_buf_clear(struct fl_buf *buf); /* keeps the memory, forgets the failure */

/* Each returns FL_OK, FL_LIMIT (cap) or FL_NOMEM, and leaves the content unchanged on failure. */
enum fl_status fl_buf_add(struct fl_buf *buf, const void *bytes, size_t n);
enum fl_status fl_buf_add_str(struct fl_buf *buf, struct fl_str s);
enum fl_status fl_buf_add_text(struct fl_buf *buf, const char *text);
enum fl_status fl_buf_addf(struct fl_buf *buf, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
enum fl_status fl_buf_vaddf(struct fl_buf *buf, const char *fmt, va_list ap);

/* Room for n more bytes behind the content, for the caller to fill and then add to buf->n; NULL when
 * there is none (buf->failed says why). */
char *fl_buf_room(struct fl_buf *buf, size_t n);

/* Drops the first n bytes. */
void fl_buf_shift(struct fl_buf *buf, size_t n);

static inline struct fl_str fl_buf_str(const struct fl_buf *buf)
{
    return (struct fl_str){buf->p ? buf->p : "", buf->n};
}

/* The content as a C string ("" when empty); valid until the next add. */
static inline const char *fl_buf_text(const struct fl_buf *buf)
{
    return buf->p ? buf->p : "";
}

/* Appends s as it may be shown on a terminal or in our own log: control bytes, DEL and broken
 * UTF-8 as \xNN, bidirectional and zero-width marks as \uNNNN, a tab kept (CWE-150). */
enum fl_status fl_buf_add_safe(struct fl_buf *buf, struct fl_str s);

/* Length of the well-formed UTF-8 sequence at the front of s (1 to 4), or 0; the code point goes
 * to *point_r. (RFC 3629: no surrogates, no overlong forms.) */
size_t fl_utf8_take(struct fl_str s, uint32_t *point_r);
