/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/attribute/reasons.h"

enum { NEIGHBOURS = 8 };

bool fl_surely_before(const struct fl_sighting *a, const struct fl_sighting *b)
{
    return a->place.stream == b->place.stream
               ? a->order < b->order
               : a->place.own_time && b->place.has_time && a->place.time_ms < b->place.time_ms;
}

/* Does a finding shortly before this one have the same line? (Rules that know one line are filed
 * one after the other.) */
static bool shares_line(const struct fl_ruleset *set, const struct fl_finding *f, size_t i)
{
    const struct fl_place *p = &f[i].first.place;
    for (size_t k = i; k > 0 && i - k < NEIGHBOURS; k--) {
        const struct fl_place *q = &f[k - 1].first.place;
        if (set->rules[f[k - 1].rule].cause == set->rules[f[i].rule].cause &&
            p->stream == q->stream && p->line == q->line && p->offset == q->offset) {
            return true;
        }
    }
    return false;
}

void fl_reasons_tell(struct fl_diagnosis *diagnosis, const struct fl_finding *surest,
                     const struct fl_sighting *earliest, struct fl_hypothesis *h)
{
    size_t n = 0;
    uint32_t streams_n = 0;
    const struct fl_ruleset *set = fl_diagnosis_rules(diagnosis);
    const struct fl_finding *f = fl_diagnosis_findings(diagnosis, &n);
    const struct fl_stream *streams = fl_diagnosis_streams(diagnosis, &streams_n);
    const struct fl_run *run = &streams[surest->first.place.stream].runs[surest->run];
    bool signal = surest->rule == UINT32_MAX;
    struct fl_reasons *why = &h->why;
    *why = (struct fl_reasons){.count = signal,
                               .symptom = !signal,
                               .has_steps = run->steps > 0,
                               .steps_after = run->steps - surest->last.steps,
                               .after_success = surest->last.after_success,
                               .succeeded = run->success && !surest->last.after_success,
                               .lasts = earliest != NULL,
                               .began = earliest ? *earliest : surest->last};
    for (size_t i = 0; i < n; i++) {
        const struct fl_rule *rule = &set->rules[f[i].rule];
        if (rule->cause != h->cause ||
            f[i].run != fl_stream_last_run(&streams[f[i].first.place.stream])) {
            continue;
        }
        why->count += shares_line(set, f, i) ? 0 : f[i].count;
        why->symptom &= rule->role != FL_ROLE_ROOT;
        if (rule->role == FL_ROLE_CONFIRMATION && !why->confirmation.rule) {
            why->confirmation =
                (struct fl_evidence){f[i].first.place, f[i].first.text, rule->id};
        }
    }
}
