/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/wire.h"

enum { VARINT_MAX_N = 10, KIND_GROUP = 3, KIND_GROUP_END = 4, GROUPS_MAX = 64 };

static bool take_varint(struct fl_str *s, uint64_t *value_r)
{
    uint64_t value = 0;
    for (size_t i = 0; i < s->n && i < VARINT_MAX_N; i++) {
        uint64_t byte = (unsigned char)s->p[i];
        value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *s = fl_str_skip(*s, i + 1);
            *value_r = value;
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct fl_str *s, size_t n, uint64_t *value_r)
{
    *value_r = 0;
    if (s->n < n) {
        return false;
    }
    memcpy(value_r, s->p, n); /* little-endian, as every machine this runs on */
    *s = fl_str_skip(*s, n);
    return true;
}

/* One field, or the begin or end of a group: *kind_r has one of six values. */
static bool take(struct fl_str *s, struct fl_wire_field *out, unsigned *kind_r)
{
    uint64_t tag;
    uint64_t n;
    if (!take_varint(s, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3) {
        return false;
    }
    *out = (struct fl_wire_field){.number = (uint32_t)(tag >> 3)};
    *kind_r = tag & 7;
    switch (*kind_r) {
    case FL_WIRE_VARINT:
        return take_varint(s, &out->value);
    case FL_WIRE_64:
        return take_fixed(s, 8, &out->value);
    case FL_WIRE_32:
        return take_fixed(s, 4, &out->value);
    case FL_WIRE_BYTES:
        if (!take_varint(s, &n) || n > s->n) {
            return false;
        }
        out->bytes = fl_str_head(*s, n);
        *s = fl_str_skip(*s, n);
        return true;
    default:
        return *kind_r == KIND_GROUP || *kind_r == KIND_GROUP_END;
    }
}

bool fl_wire_next(struct fl_wire *w, struct fl_wire_field *out)
{
    int groups = 0;
    while (!w->failed && (w->rest.n || groups)) {
        unsigned kind = 0;
        w->failed = !take(&w->rest, out, &kind);
        groups += (kind == KIND_GROUP) - (kind == KIND_GROUP_END);
        w->failed |= groups < 0 || groups > GROUPS_MAX;
        if (!w->failed && groups == 0 && kind != KIND_GROUP_END) {
            out->kind = (enum fl_wire_kind)kind;
            return true;
        }
    }
    return false;
}
