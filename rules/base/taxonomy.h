/* SPDX-License-Identifier: Apache-2.0 */
/* The closed list of causes (data/taxonomy.json): what each means, how grave it is, what to do,
 * and which other causes are usually its consequences. */
#pragma once
#include "service/base/arena.h"
#include "service/base/status.h"

enum fl_severity { FL_SEVERITY_LOW, FL_SEVERITY_MEDIUM, FL_SEVERITY_HIGH, FL_SEVERITY_CRITICAL };

enum { FL_STEPS_MAX = 8, FL_EXPLAINS_MAX = 40, FL_CAUSES_MAX = 128 };

struct fl_cause {
    const char *slug;
    const char *category;
    const char *title;
    enum fl_severity severity;
    bool recoverable;
    const char *action;
    const char *const *recovery;
    size_t recovery_n;
    const char *const *explains;
    size_t explains_n;
    bool job_wide; /* no rank or node of it began it */
};

struct fl_taxonomy {
    struct fl_arena arena;
    struct fl_cause *causes;
    size_t n;
};

enum fl_status fl_taxonomy_load(const char *path, struct fl_taxonomy *out, struct fl_err *err)
    FL_MUST_USE;
void fl_taxonomy_free(struct fl_taxonomy *taxonomy);

/* The cause of that slug, or NULL. */
const struct fl_cause *fl_taxonomy_find(const struct fl_taxonomy *taxonomy, struct fl_str slug);

/* Closed enums of the contract. */
const char *fl_severity_name(enum fl_severity severity);
bool fl_severity_parse(struct fl_str name, enum fl_severity *out);
/* The action's own constant text when name is one of the contract's actions, else NULL. */
const char *fl_action_known(struct fl_str name);
extern const char *const fl_actions[];
extern const size_t fl_actions_n;
