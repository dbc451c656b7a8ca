/* SPDX-License-Identifier: Apache-2.0 */
/* For rules/template/template.c: counted forms in, groups of forms that differ in a few words out. The
 * result depends on the set of forms and their counts only. */
#pragma once
#include "rules/template/template.h"

/* A form as it is counted. */
struct fl_counted {
    uint64_t hash; /* of its text */
    char *text;
    uint32_t n;
    uint32_t batch;  /* the last one it was in */
    uint32_t last_i; /* its line there */
    uint32_t moment;
    uint32_t moments;
    bool bare;
    bool headless;
    bool alarming;
    bool progress;
    bool tail; /* stands for all forms that begin so */
    uint64_t count[2];
    uint64_t guarded;
    uint64_t heads;
    uint64_t ranks[FL_TEMPLATE_RANKS / 64 + FL_TEMPLATE_STREAMS / 64];
    long rank;
    struct fl_template_line first; /* texts are owned */
    struct fl_template_line last;
    size_t last_size;
};

struct fl_joined {
    char *text; /* owned by the list, as the members are */
    size_t n;
    uint32_t *members; /* most frequent first */
    uint32_t members_n;
};

struct fl_joined_list {
    struct fl_joined *items;
    size_t n;
};

enum fl_status fl_template_join(const struct fl_counted *forms, uint32_t n,
                                struct fl_joined_list *out) FL_MUST_USE;
void fl_joined_free(struct fl_joined_list *list);

/* Beginnings of forms (up to a word's end) that go on in very many ways, each time another one.
 * Calls found for each with the text of a form that stands for all of them. */
enum fl_status fl_template_tails(const struct fl_counted *forms, uint32_t n,
                                 enum fl_status (*found)(void *ctx, struct fl_str form),
                                 void *ctx) FL_MUST_USE;

/* The beginning of so many words, with the blank behind it; empty when there are fewer. */
struct fl_str fl_template_words(struct fl_str form, size_t words);
enum { FL_TEMPLATE_TAIL_WORDS = 6 };
