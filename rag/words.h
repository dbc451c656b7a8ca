/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a text, how much each tells, and how like two texts are by them: the cosine over words
 * weighed by how rare they are among the incidents (idf) and by the line they stand in.
 * Words are runs of ASCII letters and digits, as FTS5's unicode61 cuts them, in lower case; numbers,
 * hashes and the folders of paths are none.
 * Limits: FL_WORDS_MOST different words, of FL_WORD_MIN to FL_WORD_MOST bytes. */
#pragma once
#include "service/base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { FL_WORDS_MOST = 384, FL_WORD_MIN = 3, FL_WORD_MOST = 40, FL_WORDS_SLOTS = 1024 };

struct fl_word {
    char text[FL_WORD_MOST];
    size_t n;
    double line;       /* weight of the line it stands in, of several the largest */
    double idf;        /* 0 until known */
    int64_t documents; /* incidents that hold it */
};

struct fl_words {
    struct fl_word list[FL_WORDS_MOST];
    size_t n;
    uint16_t slots[FL_WORDS_SLOTS]; /* index + 1 */
};

/* ranked: the lines stand in the order of how telling they are; the first counts most. */
void fl_words_read(struct fl_words *words, struct fl_str text, bool ranked);

/* idf of the words from their documents, of so many incidents. */
void fl_words_weigh(struct fl_words *words, int64_t incidents);

/* 0 to 1. query is weighed; a word of the other that the query lacks counts as one of few documents. */
double fl_words_likeness(const struct fl_words *query, const struct fl_words *other,
                         int64_t incidents);
