/* SPDX-License-Identifier: Apache-2.0 */
/* `rules test`: rules held against their samples, then tried on jobs, with and without them. */
#pragma once
#include "rules/base/ruleset.h"

struct fl_rules_test {
    const struct fl_ruleset *set; /* where the rules under test were read into */
    const struct fl_rule *rules;  /* n in a row of that set, of any state */
    uint32_t n;
    size_t bad;        /* rules of the file that could not even be read */
    const char *state; /* state folder, or NULL */
    char **paths;      /* logs; none: samples only */
    int paths_n;
    bool json;
};

/* Prints the report; *code is the exit status when all could be read. */
enum fl_status fl_rules_test(const struct fl_rules_test *test, int *code, struct fl_err *err)
    FL_MUST_USE;
