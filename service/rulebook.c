/* SPDX-License-Identifier: Apache-2.0 */
#include "service/rulebook.h"

#include "rules/learn.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/paths.h"

#include <stdio.h>

static void warn(void *ctx, const char *message)
{
    (void)ctx;
    fl_log(FL_LOG_WARN, "%s", message);
}

static enum fl_status load_state(struct fl_rulebook *b, const char *state_dir, struct fl_err *err)
{
    char operator_rules[4096];
    enum fl_status status = fl_learn_load(b->set, state_dir, warn, NULL, &b->bad, err);
    if (status == FL_OK &&
        snprintf(operator_rules, sizeof operator_rules, "%s/rules/operator", state_dir) <
            (int)sizeof operator_rules &&
        fl_fsio_is_dir(operator_rules)) {
        status = fl_ruleset_load_dir(b->set, operator_rules, "operator", warn, NULL, &b->bad, err);
    }
    return status;
}

enum fl_status fl_rulebook_open(const char *state_dir, struct fl_rulebook *out, struct fl_err *err)
{
    char path[FL_PATHS_BYTES];
    *out = (struct fl_rulebook){.set = NULL};
    enum fl_status status =
        fl_taxonomy_load(fl_paths_data("data/taxonomy.json", path), &out->taxonomy, err);
    if (status == FL_OK) {
        status = fl_ruleset_new(&out->taxonomy, &out->set, err);
    }
    static const char *const shipped[] = {"rules/tables", "rules/diagnosis", "rules/filters"};
    for (size_t i = 0; status == FL_OK && i < 3; i++) {
        status = fl_ruleset_load_dir(out->set, fl_paths_data(shipped[i], path), "shipped", warn, NULL,
                                     &out->bad, err);
    }
    if (status == FL_OK && state_dir) {
        struct fl_err fault = {0};
        if (load_state(out, state_dir, &fault) != FL_OK) {
            fl_log(FL_LOG_WARN, "%s (going on without these rules)", fault.msg);
        }
    }
    if (status == FL_OK) {
        status = fl_ruleset_ready(out->set, warn, NULL, &out->bad, err);
    }
    if (status != FL_OK) {
        fl_rulebook_close(out);
    }
    return status;
}

void fl_rulebook_close(struct fl_rulebook *book)
{
    fl_ruleset_free(book->set);
    fl_taxonomy_free(&book->taxonomy);
    book->set = NULL;
}
