/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of codes (errno, Xid, cudaError_t ...) as data: a rule that names a table captures a code
 * as `(?<key>...)`, and the row of that code says what it means.
 *
 * A file: {"format": "faultline.table/1", "name", "source", "rows": [{"key", "name", ...}]}
 * (rules/README.md). Rows and texts live in the arena of the rule set. Read-only once read.
 * Limits: FL_TABLE_ROWS_MAX rows a table, FL_TABLE_ALIASES_MAX aliases a row, FL_TABLE_KEY bytes a
 * key or alias. A bad row is left out and complained of, the others serve. */
#pragma once
#include "rules/base/ruleset.h"

enum { FL_TABLE_ROWS_MAX = 1024, FL_TABLE_ALIASES_MAX = 8, FL_TABLE_KEY = 100 };

/* NULL, -1 and 0 steps: not said here. */
struct fl_table_row {
    const char *key;
    const char *name;
    const struct fl_cause *cause;
    int role;
    int severity;
    int recoverable;
    double confidence;
    const char *action;
    const char *const *recovery;
    size_t recovery_n;
    struct fl_str sample;
};

/* A key or alias in the form in which keys are compared. */
struct fl_table_key {
    const char *text;
    uint32_t row;
};

struct fl_table {
    const char *name;
    const char *file;
    const char *origin;
    struct fl_table_row *rows;
    uint32_t rows_n;
    struct fl_table_key *keys; /* sorted */
    size_t keys_n;
};

bool fl_table_is(const fl_json *root);

enum fl_status fl_table_read(const fl_json *root, const char *path, const char *origin,
                             const struct fl_taxonomy *taxonomy, struct fl_arena *arena,
                             fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                             struct fl_table *out, struct fl_err *err) FL_MUST_USE;

/* The row of a key or alias, UINT32_MAX when there is none. Letter case, blanks around it and
 * leading zeros do not count. */
uint32_t fl_table_find(const struct fl_table *table, struct fl_str key);

/* What the rule becomes for a row: no patterns, the id "RULE.KEY", {key} and {name} of the summary
 * filled in. Severity, action and recovery come from the row, then from the rule when both mean
 * the same cause, then from the cause; role and confidence from the row, then from the rule.
 * FL_SYNTAX: neither names a cause, and the role needs one. */
enum fl_status fl_table_variant(const struct fl_table *table, uint32_t row,
                                const struct fl_rule *rule, struct fl_arena *arena,
                                struct fl_rule *out, struct fl_err *err) FL_MUST_USE;
