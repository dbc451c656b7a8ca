/* SPDX-License-Identifier: Apache-2.0 */
#include "service/shortcut.h"

#include "service/ingest/prefix.h"

enum fl_status fl_shortcut_init(struct fl_shortcut *s, const struct fl_ruleset *set,
                                struct fl_match_work *work, struct fl_err *err)
{
    *s = (struct fl_shortcut){.set = set, .work = work};
    return fl_shapes_new(&s->shapes, err);
}

void fl_shortcut_fini(struct fl_shortcut *s)
{
    fl_shapes_free(s->shapes);
    s->shapes = NULL;
}

/* Filter rules and the built-in patterns look at the whole line, diagnosis rules behind the
 * launcher's prefix. */
static enum fl_match ask(const struct fl_shortcut *s, uint32_t pattern, struct fl_str raw)
{
    uint32_t rule = s->set->line_owner[pattern].rule;
    struct fl_prefix prefix;
    struct fl_str subject = rule == UINT32_MAX || s->set->rules[rule].is_filter
                                ? raw
                                : fl_str_skip(raw, fl_prefix_peel(raw, &prefix));
    return fl_matcher_try(s->set->lines, s->work, pattern, subject, NULL);
}

enum fl_fate fl_shortcut_recall(struct fl_shortcut *s, struct fl_str raw, uint64_t shape,
                                uint32_t *rule_r)
{
    const struct fl_shape *known = fl_shapes_find(s->shapes, shape);
    if (!known) {
        return FL_FATE_UNKNOWN;
    }
    for (size_t i = 0; i < known->asks_n; i++) {
        if (ask(s, known->ask[i], raw) != FL_MATCH_NO) {
            return FL_FATE_UNKNOWN;
        }
    }
    if (known->must && ask(s, known->must - 1, raw) != FL_MATCH_YES) {
        return FL_FATE_UNKNOWN;
    }
    *rule_r = known->rule;
    return (enum fl_fate)known->verdict;
}

void fl_shortcut_watch(struct fl_shortcut *s)
{
    fl_match_trace(s->work, &s->trace);
}

void fl_shortcut_learn(struct fl_shortcut *s, uint64_t shape, enum fl_fate fate, uint32_t rule)
{
    fl_match_trace(s->work, NULL);
    if (fate == FL_FATE_UNKNOWN || s->trace.unsure) {
        return;
    }
    struct fl_shape one = {.hash = shape, .verdict = (uint16_t)fate, .rule = rule,
                           .asks_n = (uint16_t)s->trace.asks_n, .must = s->trace.must};
    memcpy(one.ask, s->trace.ask, sizeof one.ask);
    fl_shapes_put(s->shapes, &one);
}
