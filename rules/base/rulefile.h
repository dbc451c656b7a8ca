/* SPDX-License-Identifier: Apache-2.0 */
/* The text form of rules: JSON rule files and the two array forms of older tools, read one rule at
 * a time. What is read is checked against closed lists; nothing is compiled here. */
#pragma once
#include "rules/base/ruleset.h"

struct fl_rulefile {
    const fl_json *next;
    size_t n; /* rules in the file */
    const char *path;
    const char *origin;
    const char *stack;
    bool filters;
    bool plain; /* array of strings, or of {regex, diagnosis} */
    size_t index;
    const struct fl_taxonomy *taxonomy;
    struct fl_arena *arena;
};

/* root must outlive the reading; texts are copied into the arena. */
enum fl_status fl_rulefile_open(const fl_json *root, const char *path, const char *origin,
                                const struct fl_taxonomy *taxonomy, struct fl_arena *arena,
                                struct fl_rulefile *out, struct fl_err *err) FL_MUST_USE;

/* The next rule; FL_SYNTAX with a message when it is a bad one (reading may go on). */
enum fl_status fl_rulefile_next(struct fl_rulefile *file, struct fl_rule *rule,
                                struct fl_err *err) FL_MUST_USE;
