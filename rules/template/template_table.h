/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of rules/template/template.h: what they share. */
#pragma once
#include "rules/match/shape.h"
#include "rules/template/template_join.h"

enum {
    FL_TEMPLATE_SHAPES = 1 << 17,
    FL_TEMPLATE_WAYS = 4,
    FL_TEMPLATE_AHEAD = 16,
    FL_TEMPLATE_RANK_WORDS = FL_TEMPLATE_RANKS / 64 + FL_TEMPLATE_STREAMS / 64
};
#define FL_NO_FORM UINT32_MAX

struct fl_template_shape {
    uint64_t hash;
    uint32_t form;
    uint16_t rank_at;
    uint16_t rank_n;
};

struct fl_templates {
    struct fl_template_ask ask;
    struct fl_shapes *hasher;
    struct fl_template_shape *shapes;
    uint8_t *oldest;
    uint32_t *slots; /* by hash of text; index + 1 */
    struct fl_counted *forms;
    uint32_t n;
    size_t bytes;
    bool has_tails;
    char *heads[FL_TEMPLATE_HEADS];
    size_t head_n[FL_TEMPLATE_HEADS];
    unsigned heads_n;
    uint64_t ranks[FL_TEMPLATE_RANK_WORDS];
    uint64_t lines;
    uint64_t other;
    uint64_t hashes[FL_TEMPLATE_AHEAD];
    /* the stream in hand */
    uint32_t stream;
    int group;
    long rank;
    uint64_t stream_lines;
    uint32_t moment;
    uint32_t tail[FL_TEMPLATE_TAIL];
    uint32_t after[FL_TEMPLATE_AFTER];
    uint64_t after_from; /* stream_lines at the last progress */
    /* the batch in hand */
    uint32_t batch;
    uint32_t *touched;
    size_t touched_n;
    size_t touched_size;
    /* after settling */
    struct fl_joined_list joined;
    struct fl_template *templates;
};

/* A form by its text, FL_NO_FORM when it is not there (or, adding, when memory or room ran out). */
uint32_t fl_template_find(const struct fl_templates *t, struct fl_str text);
uint32_t fl_template_add(struct fl_templates *t, struct fl_str text);
/* The form that stands for all that begin like the text. */
uint32_t fl_template_find_tail(const struct fl_templates *t, struct fl_str text);

void fl_template_free_form(struct fl_counted *form);
/* Rare forms that begin alike and go on in very many ways become one. */
enum fl_status fl_template_fold(struct fl_templates *t) FL_MUST_USE;
/* The same, and the rarest forms go if there are still too many. */
enum fl_status fl_template_make_room(struct fl_templates *t) FL_MUST_USE;
