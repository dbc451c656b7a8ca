/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks are gathered into one block and cut at its last line end, so the sink sees few large
 * batches (the literal scan wants them large) and its results never depend on the reader. When a
 * block fills up without a line end, its head becomes a cut line and `skipping` eats the rest. */
#include "service/ingest/lines.h"

#include <stdlib.h>

struct fl_lines {
    unsigned flags;
    fl_lines_sink sink;
    void *ctx;
    char *block;
    size_t n;
    size_t given; /* bytes at its head that were delivered; they go with the next call */
    char *clean; /* the block without escape sequences, when it has any */
    struct fl_str *texts;
    struct fl_line_at *at;
    size_t size;
    uint64_t offset; /* of block[0] */
    uint64_t end_offset;
    long number; /* of the line at block[0] */
    bool skipping;
    bool after_cr; /* the last line ended with \r: a \n at block[0] belongs to it */
};

enum fl_status fl_lines_new(unsigned flags, fl_lines_sink sink, void *ctx, struct fl_lines **out,
                            struct fl_err *err)
{
    struct fl_lines *l = calloc(1, sizeof *l);
    *out = l;
    if (l) {
        *l = (struct fl_lines){.flags = flags, .sink = sink, .ctx = ctx, .number = 1};
        l->block = malloc(FL_LINES_BLOCK);
    }
    if (!l || !l->block) {
        fl_lines_free(l);
        *out = NULL;
        return fl_fail(err, FL_NOMEM, "no memory for reading lines");
    }
    return FL_OK;
}

void fl_lines_free(struct fl_lines *lines)
{
    if (lines) {
        free(lines->block);
        free(lines->clean);
        free(lines->texts);
        free(lines->at);
        free(lines);
    }
}

static enum fl_status add_line(struct fl_lines *l, size_t i, struct fl_str text, uint64_t offset,
                               unsigned flags)
{
    if (i == l->size) {
        size_t size = l->size ? l->size * 2 : 4096;
        struct fl_str *texts = realloc(l->texts, size * sizeof *texts);
        if (texts) {
            l->texts = texts;
        }
        struct fl_line_at *at = realloc(l->at, size * sizeof *at);
        if (at) {
            l->at = at;
        }
        if (!texts || !at) {
            return FL_NOMEM;
        }
        l->size = size;
    }
    l->texts[i] = text;
    l->at[i] = (struct fl_line_at){offset, l->number, flags};
    return FL_OK;
}

/* Copies s without ANSI escape sequences (CSI, OSC, two-byte) to out; how many bytes. */
static size_t strip(struct fl_str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\x1b') {
            out[n++] = s.p[i];
            continue;
        }
        char kind = i + 1 < s.n ? s.p[i + 1] : '\0';
        size_t k = i + 2;
        if (kind == '[') {
            while (k < s.n && (s.p[k] < '@' || s.p[k] > '~')) {
                k++;
            }
        } else if (kind == ']') {
            while (k < s.n && s.p[k] != '\a' && s.p[k] != '\x1b') {
                k++;
            }
            k += k + 1 < s.n && s.p[k] == '\x1b' && s.p[k + 1] == '\\';
        } else {
            k--;
        }
        i = k;
    }
    return n;
}

/* Moves the texts into the clean block; the batch's block becomes that one. */
static enum fl_status clean_texts(struct fl_lines *l, size_t n, struct fl_str *block)
{
    if (!l->clean) {
        l->clean = malloc(FL_LINES_BLOCK);
    }
    if (!l->clean) {
        return FL_NOMEM;
    }
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strip(l->texts[i], l->clean + used);
        l->texts[i] = (struct fl_str){l->clean + used, len};
        used += len;
        if (i + 1 < n) {
            l->clean[used++] = '\n'; /* literals must not grow together over a line end */
        }
    }
    *block = (struct fl_str){l->clean, used};
    return FL_OK;
}

static enum fl_status deliver(struct fl_lines *l, size_t used, size_t n, struct fl_err *err)
{
    struct fl_str block = {l->block, used};
    if (n && l->flags & FL_LINES_BARS && memchr(l->block, '\x1b', used)) {
        if (clean_texts(l, n, &block) != FL_OK) {
            return fl_fail(err, FL_NOMEM, "no memory for reading lines");
        }
    }
    struct fl_batch batch = {block, l->texts, l->at, n};
    l->given = used;
    return n ? l->sink(l->ctx, &batch, err) : FL_OK;
}

static void drop_given(struct fl_lines *l)
{
    memmove(l->block, l->block + l->given, l->n - l->given);
    l->n -= l->given;
    l->offset += l->given;
    l->given = 0;
}

/* The next line end in block[from .. to), or NULL. */
static const char *find_end(const struct fl_lines *l, size_t from, const char **next_cr)
{
    const char *p = l->block + from;
    size_t n = l->n - from;
    const char *nl = memchr(p, '\n', n);
    if (!(l->flags & FL_LINES_BARS)) {
        return nl;
    }
    if (*next_cr && *next_cr < p) {
        *next_cr = memchr(p, '\r', n);
    }
    return *next_cr && (!nl || *next_cr < nl) ? *next_cr : nl;
}

/* One piece of block[from .. to) as a line, unless it is the rest of one that was cut. */
static enum fl_status take_piece(struct fl_lines *l, size_t from, size_t to, unsigned flags,
                                 size_t *n)
{
    struct fl_str text = {l->block + from, to - from};
    uint64_t offset = l->offset + from;
    if (l->skipping) {
        if (l->flags & FL_LINES_BARS) {
            return FL_OK;
        }
        return add_line(l, (*n)++, text, offset, flags | FL_LINE_REST);
    }
    if (text.n <= FL_LINE_BYTES) {
        return add_line(l, (*n)++, text, offset, flags);
    }
    struct fl_str head = {text.p, FL_LINE_BYTES};
    enum fl_status status = add_line(l, (*n)++, head, offset, flags | FL_LINE_CUT);
    if (status == FL_OK && !(l->flags & FL_LINES_BARS)) {
        status = add_line(l, (*n)++, fl_str_skip(text, FL_LINE_BYTES), offset + FL_LINE_BYTES,
                          flags | FL_LINE_REST);
    }
    return status;
}

/* Delivers what is complete; with `last`, everything. */
static enum fl_status drain(struct fl_lines *l, bool last, struct fl_err *err)
{
    size_t at = 0;
    size_t n = 0;
    enum fl_status status = FL_OK;
    drop_given(l);
    const char *next_cr = l->flags & FL_LINES_BARS ? memchr(l->block, '\r', l->n) : NULL;
    if (l->after_cr && l->n) { /* \r\n, cut between the two */
        at = l->block[0] == '\n';
        l->number += (long)at;
        l->after_cr = false;
    }
    while (status == FL_OK && at < l->n) {
        const char *end = find_end(l, at, &next_cr);
        size_t to = end ? (size_t)(end - l->block) : l->n;
        if (!end && !last) {
            break;
        }
        status = take_piece(l, at, to, end ? 0 : FL_LINE_OPEN, &n);
        l->skipping = false;
        at = to + (end != NULL);
        bool cr = end && *end == '\r';
        if (cr && at < l->n && l->block[at] == '\n') {
            at++;
            cr = false;
        } else if (cr && at == l->n) {
            l->after_cr = true; /* the next byte tells */
        }
        l->number += !cr;
    }
    bool full = status == FL_OK && at == 0 && l->n == FL_LINES_BLOCK;
    if (full) { /* no line end in the whole block */
        status = take_piece(l, 0, l->n, FL_LINE_OPEN, &n);
        l->skipping = true;
        at = l->n;
    }
    if (status != FL_OK) {
        return fl_fail(err, status, "no memory for reading lines");
    }
    return deliver(l, at, n, err);
}

void fl_lines_take_over(struct fl_lines *lines, struct fl_lines *from)
{
    if (!from || from == lines) {
        return;
    }
    drop_given(lines);
    size_t rest = from->n - from->given;
    memcpy(lines->block, from->block + from->given, rest);
    lines->n = rest;
    lines->offset = from->offset + from->given;
    lines->end_offset = from->end_offset;
    lines->number = from->number;
    lines->skipping = from->skipping;
    lines->after_cr = from->after_cr;
    from->n = from->given;
}

char *fl_lines_room(struct fl_lines *lines, size_t *n_r)
{
    drop_given(lines);
    *n_r = FL_LINES_BLOCK - lines->n;
    return lines->block + lines->n;
}

enum fl_status fl_lines_filled(struct fl_lines *lines, size_t n, struct fl_err *err)
{
    lines->n += n;
    lines->end_offset += n;
    return lines->n == FL_LINES_BLOCK ? drain(lines, false, err) : FL_OK;
}

enum fl_status fl_lines_push(struct fl_lines *lines, struct fl_str bytes, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    while (bytes.n && status == FL_OK) {
        size_t room = 0;
        char *p = fl_lines_room(lines, &room);
        size_t n = bytes.n < room ? bytes.n : room;
        memcpy(p, bytes.p, n);
        status = fl_lines_filled(lines, n, err);
        bytes = fl_str_skip(bytes, n);
    }
    return status;
}

enum fl_status fl_lines_flush(struct fl_lines *lines, struct fl_err *err)
{
    return drain(lines, false, err);
}

enum fl_status fl_lines_end(struct fl_lines *lines, struct fl_err *err)
{
    return drain(lines, true, err);
}

void fl_lines_restart(struct fl_lines *lines)
{
    lines->n = lines->given = 0;
    lines->offset = 0;
    lines->number = 1;
    lines->skipping = false;
    lines->after_cr = false;
}

long fl_lines_count(const struct fl_lines *lines)
{
    return lines->number - 1;
}

uint64_t fl_lines_bytes(const struct fl_lines *lines)
{
    return lines->end_offset;
}
