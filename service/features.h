/* SPDX-License-Identifier: Apache-2.0 */
/* The columns of tables, and the metrics of logs, by their own names: counts of all rows, and a
 * sample of the values in bounded memory. Which rows are in the sample follows from their numbers
 * alone, so that two runs of one job are sampled at the same steps. Owns its memory, until
 * fl_features_free. */
#pragma once
#include "rules/signals/drift.h"
#include "service/config.h"
#include "service/rulebook.h"

#include <stdint.h>

enum {
    FL_FEATURES_MAX = 256,
    FL_FEATURE_NAME = 80,
    FL_FEATURE_SAMPLE = 4096,
    FL_FEATURE_CATEGORIES = 64
};

struct fl_feature_value {
    long row; /* by which it is sampled */
    struct fl_at_step at;
};

struct fl_feature {
    char name[FL_FEATURE_NAME];
    int metric;                      /* that its name stands for, -1: none */
    struct fl_feature_value *sample; /* finite */
    size_t n;
    size_t size;
    uint64_t limit; /* rows whose hash is below it are in the sample */
    long rows;
    long numbers;
    long not_finite;
    long texts; /* values that are no number, by what they are: */
    struct {
        uint64_t hash;
        long count;
    } category[FL_FEATURE_CATEGORIES];
    size_t categories; /* FL_FEATURE_CATEGORIES + 1: more than can be told apart */
    bool counts_up;    /* each number is above the one before: a step, a time, an id */
    double last;
};

struct fl_features {
    struct fl_feature *list[FL_FEATURES_MAX];
    size_t n;
    bool full;   /* there was no room for some column */
    bool course; /* rows follow the steps of a run */
};

/* Reads files as one. Tables (.csv, .tsv with a head; .jsonl, .ndjson with an object a line) give
 * all their columns, other files and folders the metrics of the logs in them. Free it in either
 * case. */
enum fl_status fl_features_read(const struct fl_rulebook *book, const struct fl_config *config,
                                const char *const *paths, size_t n, struct fl_features *out,
                                struct fl_err *err) FL_MUST_USE;
void fl_features_free(struct fl_features *features);

/* NULL: it has none of that name. */
const struct fl_feature *fl_features_find(const struct fl_features *features, const char *name);

/* For reading. */

/* hint: where it may be. NULL when there is no room or no memory. */
struct fl_feature *fl_features_column(struct fl_features *features, struct fl_str name,
                                      const struct fl_metrics *metrics, size_t hint);
/* A finite value of one row. */
enum fl_status fl_feature_number(struct fl_feature *feature, long row, struct fl_at_step at,
                                 struct fl_err *err) FL_MUST_USE;
/* As it stands in a table; what says "nothing" (empty, null, NA) is passed over. */
enum fl_status fl_feature_text(struct fl_feature *feature, long row, long step, struct fl_str text,
                               struct fl_err *err) FL_MUST_USE;
