/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/attribute/where.h"

static bool is_cause(const struct fl_cause *cause, const char *slug)
{
    return strcmp(cause->slug, slug) == 0;
}

/* Was this printer told to stop after the finding? Then it did not begin it. */
static bool was_stopped(struct fl_diagnosis *d, const struct fl_finding *f)
{
    size_t n = 0;
    const struct fl_finding *all = fl_diagnosis_findings(d, &n);
    for (size_t i = 0; i < n; i++) {
        const struct fl_rule *rule = &fl_diagnosis_rules(d)->rules[all[i].rule];
        if (all[i].first.place.stream == f->first.place.stream && all[i].run == f->run &&
            all[i].first.order > f->first.order && rule->cause &&
            strcmp(rule->cause->slug, "preempted") == 0) {
            return true;
        }
    }
    return false;
}

/* Of several ranks that say the same: the earliest by time; by files alone, one that was not told
 * to stop. */
static const struct fl_finding *first_to_say(struct fl_diagnosis *d,
                                             const struct fl_finding *const *findings, size_t n)
{
    const struct fl_finding *first = findings[0];
    for (size_t i = 1; i < n; i++) {
        const struct fl_finding *f = findings[i];
        bool other = f->rule == first->rule && f->first.place.stream != first->first.place.stream;
        bool timed = f->first.place.has_time && first->first.place.has_time;
        if (other && !timed && was_stopped(d, first) && !was_stopped(d, f)) {
            first = f;
        }
    }
    return first;
}

static void take_place(struct fl_place *faulty, const struct fl_place *p)
{
    bool same = (faulty->rank < 0 || p->rank < 0 || faulty->rank == p->rank) &&
                (faulty->local_rank < 0 || p->local_rank < 0 || faulty->local_rank == p->local_rank);
    if (!same) {
        return;
    }
    faulty->rank = faulty->rank < 0 ? p->rank : faulty->rank;
    faulty->local_rank = faulty->local_rank < 0 ? p->local_rank : faulty->local_rank;
    faulty->gpu = faulty->gpu < 0 ? p->gpu : faulty->gpu;
    faulty->node = faulty->node.n ? faulty->node : p->node;
}

/* A launcher names the process that failed, best by its rank, when the failure does not say who
 * printed it. What the other ranks say of a time-out, and who was stopped, names a victim. */
static void ask_launcher(struct fl_diagnosis *d, struct fl_place *faulty)
{
    size_t n = 0;
    const struct fl_finding *f = fl_diagnosis_findings(d, &n);
    const struct fl_finding *first = NULL;
    uint32_t streams_n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(d, &streams_n);
    for (size_t i = 0; i < n; i++) {
        const struct fl_rule *rule = &fl_diagnosis_rules(d)->rules[f[i].rule];
        const struct fl_run *run = &streams[f[i].first.place.stream].runs[f[i].run];
        bool names = rule->role == FL_ROLE_SYMPTOM && f[i].first.names_rank && rule->cause &&
                     strcmp(rule->cause->slug, "preempted") != 0 &&
                     strncmp(rule->cause->slug, "nccl", 4) != 0;
        bool counts = f[i].run == fl_stream_last_run(&streams[f[i].first.place.stream]) &&
                      run->steps - f[i].first.steps < FL_EPISODE_STEPS;
        bool more = first && f[i].first.place.rank >= 0 && first->first.place.rank < 0;
        bool less = first && f[i].first.place.rank < 0 && first->first.place.rank >= 0;
        bool better = !first || more || (!less && fl_sighting_before(&f[i].first, &first->first));
        if (names && counts && better) {
            first = &f[i];
        }
    }
    if (first) {
        take_place(faulty, &first->first.place);
    }
}

void fl_where(struct fl_diagnosis *d, const struct fl_cause *cause,
              const struct fl_finding *const *findings, size_t n, struct fl_place *faulty)
{
    const struct fl_roll *roll = fl_diagnosis_roll(d);
    if (is_cause(cause, "nccl_timeout") || is_cause(cause, "collective_mismatch")) {
        faulty->rank = fl_roll_laggard(roll);
    }
    take_place(faulty, &first_to_say(d, findings, n)->first.place);
    for (size_t i = 0; i < n; i++) {
        take_place(faulty, &findings[i]->first.place);
    }
    if (faulty->rank < 0 && !cause->job_wide) {
        ask_launcher(d, faulty);
    }
    if (!faulty->node.n && faulty->rank >= 0) {
        faulty->node = fl_roll_node_of(roll, faulty->rank);
    }
    if (!faulty->node.n && !roll->many_nodes) {
        faulty->node = roll->node;
    }
    if (faulty->rank < 0 && faulty->local_rank < 0 && faulty->gpu > 0 && !roll->many_nodes) {
        faulty->rank = faulty->local_rank = faulty->gpu; /* one node: devices count as ranks do */
    }
}
