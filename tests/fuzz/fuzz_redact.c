/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as lines of a log: what comes out is at most twice as long and 64 bytes, and redacting
 * it again changes nothing. */
#include "service/llm/redact.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static void add(struct fl_redact *redact, struct fl_str text, struct fl_buf *out)
{
    fl_buf_init(out, 2 * text.n + 64);
    must(fl_redact_add(redact, text, out) == FL_OK);
}

static void check_line(struct fl_redact *stream, struct fl_str line)
{
    struct fl_redact redact;
    struct fl_buf in_stream;
    struct fl_buf once;
    struct fl_buf twice;
    add(stream, line, &in_stream);
    fl_redact_init(&redact);
    add(&redact, line, &once);
    fl_redact_init(&redact);
    add(&redact, fl_buf_str(&once), &twice);
    must(fl_str_eq(fl_buf_str(&once), fl_buf_str(&twice)));
    fl_buf_free(&in_stream);
    fl_buf_free(&once);
    fl_buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_redact stream;
    struct fl_str all = {(const char *)data, size};
    fl_redact_init(&stream);
    while (all.n) {
        const char *end = memchr(all.p, '\n', all.n);
        size_t n = end ? (size_t)(end - all.p) : all.n;
        check_line(&stream, fl_str_head(all, n));
        all = fl_str_skip(all, n + (end != NULL));
    }
    return 0;
}
