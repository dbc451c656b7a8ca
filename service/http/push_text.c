/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/push_tell.h"

enum fl_status fl_push_text(struct fl_str body, struct fl_push *push, struct fl_err *err)
{
    while (body.n) {
        const char *end = memchr(body.p, '\n', body.n);
        size_t n = end ? (size_t)(end - body.p) : body.n;
        fl_push_line(push, 0, fl_str_head(body, n));
        body = fl_str_skip(body, end ? n + 1 : n);
    }
    return fl_push_end(push, err);
}
