/* SPDX-License-Identifier: Apache-2.0 */
/* What was decided of one line holds for the next of the same shape (rules/shape.h), so nearly all
 * routine lines are neither scanned nor matched. A line is recalled only when the same rules would
 * give the same answers: patterns that tell digits apart are asked again.
 * Use: propose and judge between fl_shortcut_watch and fl_shortcut_learn. Threads: one. */
#pragma once
#include "rules/ruleset.h"

enum fl_fate { FL_FATE_UNKNOWN, FL_FATE_KEEP, FL_FATE_DROP };

struct fl_shortcut {
    const struct fl_ruleset *set;
    struct fl_match_work *work; /* borrowed */
    struct fl_shapes *shapes;
    struct fl_trace trace;
};

enum fl_status fl_shortcut_init(struct fl_shortcut *s, const struct fl_ruleset *set,
                                struct fl_match_work *work, struct fl_err *err) FL_MUST_USE;
void fl_shortcut_fini(struct fl_shortcut *s);

/* The fate of a line by what is known of its shape; with FL_FATE_DROP also the rule's index. */
enum fl_fate fl_shortcut_recall(struct fl_shortcut *s, struct fl_str raw, uint64_t shape,
                                uint32_t *rule_r);

/* From now on the matcher's answers are noted. */
void fl_shortcut_watch(struct fl_shortcut *s);

/* Ends watching. fate: what was decided of the line, with nothing else noted of it; UNKNOWN: not to
 * be kept. */
void fl_shortcut_learn(struct fl_shortcut *s, uint64_t shape, enum fl_fate fate, uint32_t rule);
