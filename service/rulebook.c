/* SPDX-License-Identifier: Apache-2.0 */
#include "service/rulebook.h"

#include "rules/learn/learn.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/paths.h"

#include <stdio.h>

static void warn(void *ctx, const char *message)
{
    (void)ctx;
    fl_log(FL_LOG_WARN, "%s", message);
}

enum what { LEARNED = 1, CHECKED = 2 };

static enum fl_status load_state(struct fl_rulebook *b, const char *state_dir, unsigned what,
                                 fl_ruleset_complain complain, struct fl_err *err)
{
    char operator_rules[4096];
    enum fl_status status = what & LEARNED ? fl_learn_load(b->set, state_dir, complain, NULL,
                                                           &b->bad, err)
                                           : FL_OK;
    if (status == FL_OK &&
        snprintf(operator_rules, sizeof operator_rules, "%s/rules/operator", state_dir) <
            (int)sizeof operator_rules &&
        fl_fsio_is_dir(operator_rules)) {
        status =
            fl_ruleset_load_dir(b->set, operator_rules, "operator", complain, NULL, &b->bad, err);
    }
    return status;
}

static void load_calibration(struct fl_calibration *c)
{
    char path[FL_PATHS_BYTES];
    struct fl_err fault = {0};
    if (fl_calibration_load(fl_paths_data("data/calibration.json", path), c, &fault) != FL_OK) {
        fl_log(FL_LOG_WARN, "%s (going on with scores as confidences)", fault.msg);
    }
}

static enum fl_status open_book(const char *state_dir, unsigned what, const char *without,
                                const struct fl_trial *trial, struct fl_checked *checked,
                                struct fl_rulebook *out, struct fl_err *err)
{
    fl_ruleset_complain complain = trial ? NULL : warn;
    char path[FL_PATHS_BYTES];
    char cache[FL_PATHS_BYTES];
    *out = (struct fl_rulebook){.set = NULL};
    enum fl_status status =
        fl_taxonomy_load(fl_paths_data("data/taxonomy.json", path), &out->taxonomy, err);
    load_calibration(&out->calibration);
    if (status == FL_OK) {
        status = fl_ruleset_new(&out->taxonomy, &out->set, err);
    }
    if (status == FL_OK) {
        bool fits = state_dir && snprintf(cache, sizeof cache, "%s/cache", state_dir) <
                                     (int)sizeof cache;
        out->set->trusts_shipped = !(what & CHECKED);
        out->set->cache = fits && !trial ? cache : NULL;
        out->set->without = without;
        out->set->checked = checked;
        out->set->left_out = trial ? trial->rules : NULL;
        out->set->left_out_n = trial ? trial->n : 0;
    }
    static const char *const shipped[] = {"rules/tables", "rules/signals", "rules/diagnosis",
                                          "rules/filters"};
    for (size_t i = 0; status == FL_OK && i < 4; i++) {
        status = fl_ruleset_load_dir(out->set, fl_paths_data(shipped[i], path), "shipped", complain,
                                     NULL, &out->bad, err);
    }
    if (status == FL_OK && state_dir) {
        struct fl_err fault = {0};
        if (load_state(out, state_dir, what, complain, &fault) != FL_OK && complain) {
            fl_log(FL_LOG_WARN, "%s (going on without these rules)", fault.msg);
        }
    }
    for (uint32_t i = 0; status == FL_OK && trial && trial->with && i < trial->n; i++) {
        status = fl_ruleset_add(out->set, &trial->rules[i], err);
    }
    if (status == FL_OK) {
        status = fl_ruleset_ready(out->set, complain, NULL, &out->bad, err);
        out->set->cache = out->set->without = NULL;
        out->set->checked = NULL;
    }
    if (status != FL_OK) {
        fl_rulebook_close(out);
    }
    return status;
}

enum fl_status fl_rulebook_open(const char *state_dir, struct fl_rulebook *out, struct fl_err *err)
{
    return open_book(state_dir, LEARNED, NULL, NULL, NULL, out, err);
}

enum fl_status fl_rulebook_open_part(const char *state_dir, bool learned, const char *without,
                                     struct fl_checked *checked, struct fl_rulebook *out,
                                     struct fl_err *err)
{
    return open_book(state_dir, learned ? LEARNED : 0, without, NULL, checked, out, err);
}

enum fl_status fl_rulebook_check(const char *state_dir, struct fl_rulebook *out, struct fl_err *err)
{
    return open_book(state_dir, LEARNED | CHECKED, NULL, NULL, NULL, out, err);
}

enum fl_status fl_rulebook_open_trial(const char *state_dir, const struct fl_trial *trial,
                                      struct fl_rulebook *out, struct fl_err *err)
{
    return open_book(state_dir, LEARNED, NULL, trial, NULL, out, err);
}

void fl_rulebook_close(struct fl_rulebook *book)
{
    fl_ruleset_free(book->set);
    fl_taxonomy_free(&book->taxonomy);
    book->set = NULL;
}
