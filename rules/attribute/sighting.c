/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/attribute/sighting.h"

static struct fl_str keep(struct fl_arena *arena, struct fl_str text, size_t most, char *room)
{
    text = fl_str_head(text, most);
    if (!room) {
        return fl_arena_str(arena, text);
    }
    memcpy(room, text.p ? text.p : "", text.n);
    return (struct fl_str){room, text.n};
}

struct fl_sighting fl_sighting_of(const struct fl_run *run, const struct fl_place *place,
                                  const struct fl_captures *c, struct fl_str text, uint64_t order,
                                  struct fl_arena *arena, char *room)
{
    struct fl_sighting s = {.place = *place, .order = order, .steps = run->steps,
                            .step = run->last_step, .after_success = run->success};
    static const char *const names[] = {"rank", "local_rank", "gpu"};
    long *slots[] = {&s.place.rank, &s.place.local_rank, &s.place.gpu};
    for (size_t i = 0; i < 3; i++) {
        long value = fl_captured_number(c, names[i]);
        if (value >= 0) {
            *slots[i] = value;
            s.names_rank |= i < 2;
        }
    }
    const struct fl_str *node = fl_captured(c, "node");
    node = node || place->node.n ? node : fl_captured(c, "peer"); /* the other end of a link */
    s.text = keep(arena, text, FL_SIGHTING_TEXT, room);
    s.place.node = keep(arena, node ? *node : place->node, FL_SIGHTING_NODE,
                        room ? room + FL_SIGHTING_TEXT : NULL);
    return s;
}

bool fl_sighting_before(const struct fl_sighting *a, const struct fl_sighting *b)
{
    if (a->place.stream == b->place.stream) {
        return a->order < b->order;
    }
    if (a->place.has_time && b->place.has_time && a->place.time_ms != b->place.time_ms) {
        return a->place.time_ms < b->place.time_ms;
    }
    return a->place.stream < b->place.stream;
}

bool fl_tells_exception(struct fl_str text)
{
    const char *colon = memchr(text.p, ':', text.n);
    while (colon && colon > text.p && colon + 1 < text.p + text.n && colon[1] != ' ') {
        colon = memchr(colon + 1, ':', (size_t)(text.p + text.n - colon - 1));
    }
    struct fl_str head = {text.p, colon ? (size_t)(colon - text.p) : 0};
    return (fl_str_ends(head, FL_LIT("Error")) || fl_str_ends(head, FL_LIT("Exception"))) &&
           !memchr(head.p, '(', head.n);
}
