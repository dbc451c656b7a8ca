/* SPDX-License-Identifier: Apache-2.0 */
#include "service/tally.h"

#include "service/ingest/prefix.h"

#include <stdlib.h>

enum fl_status fl_tally_new(const struct fl_ruleset *set, struct fl_tally **out,
                            struct fl_err *err)
{
    bool shadows = false;
    bool active = false;
    *out = NULL;
    for (uint32_t i = 0; i < set->read_n; i++) {
        const struct fl_rule *rule = &set->rules[i];
        shadows |= rule->state == FL_STATE_SHADOW && !rule->broken;
        active |= rule->state == FL_STATE_ACTIVE && rule->is_filter && fl_rule_is_learned(rule);
    }
    if (!shadows && !active) {
        return FL_OK;
    }
    struct fl_tally *tally = calloc(1, sizeof *tally);
    struct fl_tallied *of = calloc(set->rules_n, sizeof *of);
    if (!tally || !of) {
        free(tally);
        free(of);
        return fl_fail(err, FL_NOMEM, "no memory to count what learned rules do");
    }
    *tally = (struct fl_tally){set, of, shadows};
    *out = tally;
    return FL_OK;
}

void fl_tally_free(struct fl_tally *tally)
{
    if (tally) {
        free(tally->of);
        free(tally);
    }
}

/* A copy now and then is one of the last lines all the same, and costs nothing. */
static void count(struct fl_tallied *t, struct fl_str text)
{
    long every = t->lines < 64 ? 1 : 64;
    if (t->lines++ % every == 0) {
        t->sample_n = text.n < FL_TALLY_SAMPLE ? text.n : FL_TALLY_SAMPLE;
        memcpy(t->sample, text.p, t->sample_n);
    }
}

void fl_tally_dropped(struct fl_tally *tally, uint32_t rule, struct fl_str text)
{
    if (fl_rule_is_learned(&tally->set->rules[rule])) {
        count(&tally->of[rule], text);
    }
}

void fl_tally_shadows(struct fl_tally *tally, struct fl_match_work *work, struct fl_str text,
                      const struct fl_candidate *candidates, size_t n, bool telling)
{
    for (size_t i = 0; i < n; i++) {
        struct fl_pattern_owner owner = tally->set->line_owner[candidates[i].pattern];
        const struct fl_rule *rule =
            owner.rule == UINT32_MAX ? NULL : &tally->set->rules[owner.rule];
        if (!rule || rule->state != FL_STATE_SHADOW || rule->broken || owner.kind != 0) {
            continue;
        }
        struct fl_prefix prefix;
        struct fl_str seen =
            rule->is_filter ? text : fl_str_skip(text, fl_prefix_peel(text, &prefix));
        if (candidates[i].sure || fl_matcher_try(work, candidates[i].pattern,
                                                 seen, NULL) == FL_MATCH_YES) {
            count(&tally->of[owner.rule], text);
            tally->of[owner.rule].telling += telling;
        }
    }
}
