/* SPDX-License-Identifier: Apache-2.0 */
/* Floats are asked for by name, since some clients' default is base64 and some servers know nothing
 * else; both are read. The number of dimensions is what the first vector has. */
#include "service/llm/client_embed.h"

#include "service/base/json.h"
#include "service/llm/client_error.h"
#include "service/llm/client_wire.h"

#include <math.h>

enum {
    RESPONSE_CAP = 16 << 20,
    BATCH_TEXTS = 64,
    BATCH_TOKENS = 8000,
    TOKEN_BYTES = 3, /* rather too few, so that no request is too large */
    TEXT_BYTES = BATCH_TOKENS * TOKEN_BYTES
};

/* A request under way and what is known of its texts. */
struct batch {
    struct fl_client_wire wire;
    struct fl_client_vectors *out;
    struct fl_arena *arena;
    struct fl_err *err;
    const struct fl_str *texts;
    size_t text[BATCH_TEXTS]; /* which texts it holds */
    size_t n;
    bool no_format; /* the endpoint knows no encoding_format */
    float scratch[FL_CLIENT_EMBED_DIM];
};

static bool is_blank(struct fl_str text)
{
    return fl_str_trim(text).n == 0;
}

/* The text without what is over the limit, cut between two characters. */
static struct fl_str bounded(struct fl_str text)
{
    size_t n = text.n < TEXT_BYTES ? text.n : TEXT_BYTES;
    while (n && n < text.n && ((unsigned char)text.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return fl_str_head(text, n);
}

/* Fills the batch from text number `from`; returns the number of the text behind it. */
static size_t fill(struct batch *batch, size_t from)
{
    size_t bytes = 0;
    size_t i = from;
    batch->n = 0;
    for (; i < batch->out->n && batch->n < BATCH_TEXTS; i++) {
        struct fl_str text = bounded(batch->texts[i]);
        if (is_blank(text)) {
            continue;
        }
        bytes += text.n;
        if (batch->n && bytes > TEXT_BYTES) {
            break;
        }
        batch->text[batch->n++] = i;
    }
    return i;
}

static enum fl_status write_body(struct batch *batch)
{
    struct fl_buf *body = &batch->wire.body;
    struct fl_jw w;
    fl_buf_clear(body);
    fl_jw_init(&w, body, false);
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "model", batch->wire.request->to.model);
    fl_jw_key(&w, "input");
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < batch->n; i++) {
        fl_jw_str(&w, bounded(batch->texts[batch->text[i]]));
    }
    fl_jw_end(&w, ']');
    if (!batch->no_format) {
        fl_jw_key_text(&w, "encoding_format", "float");
    }
    fl_jw_end(&w, '}');
    return body->failed == FL_OK ? FL_OK
                                 : fl_fail(batch->err, body->failed, "texts to embed: %s",
                                           fl_status_text(body->failed));
}

/* ---- vectors ---- */

static int digit_of(char c)
{
    if (fl_is_alpha(c)) {
        return c <= 'Z' ? c - 'A' : c - 'a' + 26;
    }
    return fl_is_digit(c)         ? c - '0' + 52
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : -1;
}

/* Little-endian floats in base64; their number, 0 when the text is something else or holds more
 * than max. */
static size_t decode(struct fl_str text, float *out, size_t max)
{
    uint32_t bits = 0;
    unsigned bits_n = 0;
    uint32_t word = 0;
    size_t bytes = 0;
    while (fl_str_ends(text, FL_LIT("="))) {
        text.n--;
    }
    for (size_t i = 0; i < text.n; i++) {
        int digit = digit_of(text.p[i]);
        if (digit < 0 || bytes == max * 4) {
            return 0;
        }
        bits = bits << 6 | (uint32_t)digit;
        bits_n += 6;
        if (bits_n >= 8) {
            bits_n -= 8;
            word = word >> 8 | (bits >> bits_n & 0xff) << 24;
            if (++bytes % 4 == 0) {
                memcpy(&out[bytes / 4 - 1], &word, sizeof word);
            }
        }
    }
    return bytes % 4 ? 0 : bytes / 4;
}

static size_t read_numbers(const fl_json *array, float *out, size_t max)
{
    size_t n = 0;
    for (const fl_json *e = fl_json_first(array); e; e = fl_json_next(e), n++) {
        if (n == max || !fl_json_is_number(e)) {
            return 0;
        }
        out[n] = (float)fl_json_num(e, 0);
    }
    return n;
}

/* Gives the vector length 1; false when it has none. */
static bool normalise(float *row, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)row[i] * (double)row[i];
    }
    if (!isfinite(sum) || sum <= 0) {
        return false;
    }
    double scale = 1 / sqrt(sum);
    for (size_t i = 0; i < n; i++) {
        row[i] = (float)((double)row[i] * scale);
    }
    return true;
}

static enum fl_status bad_response(struct batch *batch, const char *what)
{
    return fl_fail(batch->err, FL_SYNTAX, "%s: the response to %zu texts is unusable: %s",
                   batch->wire.address.shown, batch->n, what);
}

/* The first vector tells how many dimensions there are, and the rows are made. */
static enum fl_status make_rows(struct batch *batch, size_t dim)
{
    struct fl_client_vectors *out = batch->out;
    size_t bytes = 0;
    if (__builtin_mul_overflow(out->n * sizeof *out->rows, dim, &bytes)) {
        bytes = SIZE_MAX;
    }
    out->rows = bytes < SIZE_MAX ? fl_arena_alloc(batch->arena, bytes) : NULL;
    out->dim = dim;
    return out->rows ? FL_OK
                     : fl_fail(batch->err, FL_NOMEM, "%s: out of memory for %zu vectors of %zu",
                               batch->wire.address.shown, out->n, dim);
}

static enum fl_status take_vector(struct batch *batch, const fl_json *value, size_t text)
{
    struct fl_client_vectors *out = batch->out;
    float *scratch = batch->scratch;
    size_t dim = fl_json_is_string(value) ? decode(fl_json_str(value), scratch, FL_CLIENT_EMBED_DIM)
                                          : read_numbers(value, scratch, FL_CLIENT_EMBED_DIM);
    if (dim == 0) {
        return bad_response(batch, "a vector that is no list of numbers");
    }
    enum fl_status status = out->rows ? FL_OK : make_rows(batch, dim);
    if (status != FL_OK) {
        return status;
    }
    if (dim != out->dim) {
        return bad_response(batch, "vectors of different lengths");
    }
    if (!normalise(scratch, dim)) {
        return bad_response(batch, "a vector without direction");
    }
    memcpy(out->rows + text * dim, scratch, dim * sizeof *scratch);
    return FL_OK;
}

static enum fl_status take_data(struct batch *batch, const fl_json *data)
{
    bool seen[BATCH_TEXTS] = {false};
    size_t i = 0;
    if (!fl_json_is_array(data) || fl_json_count(data) != batch->n) {
        return bad_response(batch, "not one vector for each");
    }
    for (const fl_json *e = fl_json_first(data); e; e = fl_json_next(e), i++) {
        double place = fl_json_get_num(e, "index", (double)i);
        if (!(place >= 0 && place < (double)batch->n) || seen[(size_t)place]) {
            return bad_response(batch, "an index that is not one of them");
        }
        seen[(size_t)place] = true;
        enum fl_status status =
            take_vector(batch, fl_json_get(e, "embedding"), batch->text[(size_t)place]);
        if (status != FL_OK) {
            return status;
        }
    }
    return FL_OK;
}

static enum fl_status read_response(struct batch *batch)
{
    fl_json *root = NULL;
    struct fl_err syntax = {.status = FL_OK};
    if (fl_json_parse(fl_client_wire_text(&batch->wire), "response", &root, &syntax) != FL_OK) {
        return bad_response(batch, syntax.msg);
    }
    struct fl_client_vectors *out = batch->out;
    out->calls++;
    double tokens = fl_json_get_num(fl_json_get(root, "usage"), "prompt_tokens", 0);
    out->prompt_tokens += tokens > 0 && tokens < 1e9 ? (long)tokens : 0;
    enum fl_status status = take_data(batch, fl_json_get(root, "data"));
    struct fl_str model = fl_json_get_str(root, "model");
    if (status == FL_OK && !out->model.p) {
        out->model =
            fl_arena_str(batch->arena, model.n ? model : fl_str_of(batch->wire.request->to.model));
    }
    fl_json_free(root);
    return status;
}

static enum fl_status send_batch(struct batch *batch)
{
    static const char *const format[] = {"encoding_format", NULL};
    for (;;) {
        enum fl_status status = write_body(batch);
        if (status == FL_OK) {
            status = fl_client_wire_post(&batch->wire);
        }
        if (status != FL_OK) {
            return status;
        }
        if (!batch->wire.refused) {
            return read_response(batch);
        }
        if (batch->no_format || !fl_client_mentions(fl_buf_str(&batch->wire.complaint), format)) {
            return fl_client_wire_refusal(&batch->wire);
        }
        batch->no_format = true;
    }
}

enum fl_status fl_client_embed(const struct fl_client_request *request, const struct fl_str *texts,
                               size_t n, struct fl_arena *arena, struct fl_client_vectors *out,
                               struct fl_err *err)
{
    struct batch batch = {.out = out, .arena = arena, .err = err, .texts = texts};
    *out = (struct fl_client_vectors){.n = n};
    enum fl_status status =
        fl_client_wire_open(&batch.wire, request, "/embeddings", RESPONSE_CAP, err);
    for (size_t next = 0; status == FL_OK && next < n;) {
        next = fill(&batch, next);
        status = batch.n ? send_batch(&batch) : FL_OK;
    }
    if (status != FL_OK) {
        *out = (struct fl_client_vectors){.calls = out->calls, .prompt_tokens = out->prompt_tokens};
    }
    fl_client_wire_close(&batch.wire);
    return status;
}
