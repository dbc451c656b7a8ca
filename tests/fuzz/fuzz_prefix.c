/* SPDX-License-Identifier: Apache-2.0 */
/* Prefix, path, message and time parsers on any bytes: nothing is read past the end (ASan) and
 * every slice they give lies inside what they got. */
#include "service/ingest/prefix.h"
#include "service/ingest/timestamp.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static void inside(struct fl_str part, struct fl_str whole)
{
    must(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

static void check(const struct fl_prefix *prefix, struct fl_str whole)
{
    inside(prefix->node, whole);
    inside(prefix->stream, whole);
    inside(prefix->time, whole);
    must(prefix->rank >= -1 && prefix->local_rank >= -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* exactly as long as the line */
    must(copy != NULL);
    memcpy(copy, data, size);
    struct fl_str line = {copy, size};
    struct fl_prefix prefix;
    size_t peeled = fl_prefix_peel(line, &prefix);
    must(peeled <= size);
    check(&prefix, line);
    struct fl_str message = fl_str_skip(line, peeled);
    long gpu;
    (void)fl_prefix_from_message(message, &prefix, &gpu);
    check(&prefix, message);
    (void)fl_prefix_from_path(line, &prefix);
    check(&prefix, line);
    struct fl_timestamp stamp;
    if (fl_timestamp_find(line, 2026, &stamp)) {
        must(stamp.n > 0 && stamp.at <= size && stamp.n <= size - stamp.at);
        must(stamp.has_date || (stamp.ms >= 0 && stamp.ms <= 86401000));
        must(!stamp.has_year || stamp.has_date);
    }
    free(copy);
    return 0;
}
