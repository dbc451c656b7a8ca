/* SPDX-License-Identifier: Apache-2.0 */
/* The protobuf wire format, a field at a time; groups are stepped over. The first fault sticks:
 * after it there are no more fields, and `failed` tells. Borrows: the bytes; slices point into
 * them.
 *
 *     struct fl_wire w = {.rest = message};
 *     for (struct fl_wire_field f; fl_wire_next(&w, &f);) { ... } */
#pragma once
#include "service/base/str.h"

#include <stdint.h>

enum fl_wire_kind { FL_WIRE_VARINT = 0, FL_WIRE_64 = 1, FL_WIRE_BYTES = 2, FL_WIRE_32 = 5 };

struct fl_wire {
    struct fl_str rest; /* where a fault was met, when failed */
    bool failed;
};

struct fl_wire_field {
    uint32_t number;
    enum fl_wire_kind kind;
    uint64_t value;      /* of VARINT, 64 and 32 */
    struct fl_str bytes; /* of BYTES */
};

bool fl_wire_next(struct fl_wire *w, struct fl_wire_field *out);

/* The field is bytes with this number. */
static inline bool fl_wire_is(const struct fl_wire_field *f, uint32_t number)
{
    return f->number == number && f->kind == FL_WIRE_BYTES;
}
