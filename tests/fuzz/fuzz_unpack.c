/* SPDX-License-Identifier: Apache-2.0 */
/* Packed bodies of any bytes: never more than the cap comes out. The first byte chooses the
 * encoding. */
#include "service/http/unpack.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const encodings[] = {"gzip", "deflate", "zstd", "snappy", "gzip, zstd"};
    if (size == 0) {
        return 0;
    }
    char *packed = malloc(size);
    must(packed != NULL);
    memcpy(packed, data + 1, size - 1);
    struct fl_buf out;
    struct fl_str body;
    struct fl_err err = {0};
    fl_buf_init(&out, 1 << 16);
    enum fl_status status =
        fl_unpack((struct fl_str){packed, size - 1}, fl_str_of(encodings[(data[0] - '0') % 5U]),
                  &out, &body, &err);
    must(out.n <= out.cap && (status == FL_OK) == (err.msg[0] == '\0'));
    must(status == FL_OK || status == FL_SYNTAX || status == FL_LIMIT);
    fl_buf_free(&out);
    free(packed);
    return 0;
}
