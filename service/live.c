/* SPDX-License-Identifier: Apache-2.0 */
#include "service/live.h"

#include "service/pace.h"

#include <stdio.h>
#include <stdlib.h>

enum { STEADY = 2, STEADY_SIGNAL = 5, QUIET_DOUBLINGS = 6, ARENA_CAP = 1 << 20 };

static const int64_t second_us = 1000000;
static const int64_t quiet_us = 300 * 1000000LL;

/* A matter that was found at some check. */
struct held {
    struct fl_live_matter matter; /* as found last */
    bool found;                   /* at this check */
    bool before;                  /* at the last one */
    int same;                     /* checks in a row with the same answer */
    bool told;
    int withdrawn;
    int64_t quiet_until_us;
};

struct rank {
    long rank;
    bool here; /* in the run in hand */
    struct fl_pace pace;
    const struct fl_series *series; /* its last */
};

struct fl_live {
    struct fl_live_teller teller;
    struct held held[FL_LIVE_MATTERS];
    size_t held_n;
    struct fl_live_matter found[FL_SIGNALS_MAX + 1]; /* by the lines so far */
    size_t found_n;
    long lines;
    bool failed;
    bool caught_up;
    bool done; /* the job said so */
    long last_step;
    struct fl_pace steps;
    struct rank ranks[FL_SERIES_MAX];
    size_t ranks_n;
};

enum fl_status fl_live_new(const struct fl_live_teller *teller, struct fl_live **out,
                           struct fl_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out) {
        return fl_fail(err, FL_NOMEM, "no memory for looking on");
    }
    (*out)->teller = *teller;
    return FL_OK;
}

void fl_live_free(struct fl_live *live)
{
    free(live);
}

void fl_live_caught_up(struct fl_live *live)
{
    live->caught_up = true;
}

/* ---- what is told, once ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* Ranks of a signal come and go as more of them show it. */
static bool same_matter(const struct fl_live_matter *a, const struct fl_live_matter *b)
{
    return strcmp(a->signal.kind, b->signal.kind) == 0 &&
           same_text(a->signal.metric, b->signal.metric) && same_text(a->cause, b->cause) &&
           (a->signal.metric || a->cause || a->signal.rank == b->signal.rank);
}

static struct held *find(struct fl_live *live, const struct fl_live_matter *matter)
{
    for (size_t i = 0; i < live->held_n; i++) {
        if (same_matter(&live->held[i].matter, matter)) {
            return &live->held[i];
        }
    }
    return NULL;
}

static bool was_told(struct fl_live *live, const struct fl_live_matter *matter)
{
    const struct held *h = find(live, matter);
    return h && h->told;
}

/* A free place, or that of one which is over. */
static struct held *place_for(struct fl_live *live)
{
    if (live->held_n < FL_LIVE_MATTERS) {
        return &live->held[live->held_n++];
    }
    for (size_t i = 0; i < live->held_n; i++) {
        struct held *h = &live->held[i];
        if (!h->found && !h->before && !h->told) {
            return h;
        }
    }
    return NULL;
}

static void take(struct fl_live *live, const struct fl_live_matter *matter)
{
    struct held *h = find(live, matter);
    if (!h) {
        h = place_for(live);
        if (!h) {
            return;
        }
        *h = (struct held){.told = false};
    }
    h->matter = *matter;
    h->found = true;
}

static void settle(struct fl_live *live, struct held *h, bool fresh, int64_t now_us)
{
    bool of_metric = h->matter.signal.metric != NULL;
    if (of_metric && !fresh) {
        return;
    }
    h->same = h->found == h->before ? h->same + 1 : 1;
    h->before = h->found;
    bool steady = h->same >= (of_metric ? STEADY_SIGNAL : STEADY);
    if (!steady || h->found == h->told || (h->found && now_us < h->quiet_until_us)) {
        return;
    }
    h->told = h->found;
    if (!h->told) {
        h->quiet_until_us = now_us + (quiet_us << h->withdrawn);
        h->withdrawn += h->withdrawn < QUIET_DOUBLINGS;
    }
    live->teller.tell(live->teller.ctx, !h->told, &h->matter);
}

/* ---- what the lines so far say ---- */

static void examine(struct fl_live *live, struct fl_diagnosis *d,
                    const struct fl_calibration *calibration)
{
    struct fl_verdict v;
    struct fl_arena arena;
    uint32_t streams_n = 0;
    fl_arena_init(&arena, ARENA_CAP);
    fl_attribute_so_far(d, &arena, &v);
    fl_calibrate(calibration, &v);
    const struct fl_stream *streams = fl_diagnosis_streams(d, &streams_n);
    live->found_n = 0;
    for (size_t i = 0; i < v.signals_n; i++) {
        live->found[live->found_n++] =
            (struct fl_live_matter){.signal = v.signals[i], .file = streams[v.signals[i].stream].name};
    }
    live->failed = v.outcome == FL_OUTCOME_FAILED && v.basis == FL_BASIS_RULE;
    live->last_step = v.last_step;
    if (live->failed) {
        const struct fl_hypothesis *h = &v.hypotheses[0];
        const struct fl_place *p = &h->evidence[0].place;
        struct fl_live_matter failure = {
            .signal = {.kind = "failure", .from_step = h->why.began.step, .to_step = v.last_step,
                       .rank = v.faulty.rank, .severity = v.severity, .confidence = v.confidence,
                       .stream = p->stream, .line = p->line},
            .cause = v.cause->slug, .file = streams[p->stream].name};
        snprintf(failure.signal.text, sizeof failure.signal.text, "%.*s", (int)v.summary.n, v.summary.p);
        live->failed = v.score >= FL_LIVE_SURE || was_told(live, &failure);
        if (live->failed) {
            live->found[live->found_n++] = failure;
        }
    }
    fl_arena_free(&arena);
}

/* ---- who is silent ---- */

static struct rank *rank_of(struct fl_live *live, long rank)
{
    for (size_t i = 0; i < live->ranks_n; i++) {
        if (live->ranks[i].rank == rank) {
            return &live->ranks[i];
        }
    }
    if (live->ranks_n == FL_SERIES_MAX) {
        return NULL;
    }
    live->ranks[live->ranks_n] = (struct rank){.rank = rank};
    return &live->ranks[live->ranks_n++];
}

static void note_steps(struct fl_live *live, struct fl_diagnosis *d, int64_t now_us)
{
    uint32_t n = 0;
    long steps = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(d, &n);
    live->done = false;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < streams[i].runs_n; k++) {
            steps += streams[i].runs[k].steps;
        }
        live->done |= streams[i].runs[fl_stream_last_run(&streams[i])].success;
    }
    fl_pace_note(&live->steps, steps, now_us);
}

static void note_ranks(struct fl_live *live, struct fl_diagnosis *d, int64_t now_us)
{
    uint32_t n = 0;
    long seen[FL_SERIES_MAX] = {0};
    const struct fl_stream *streams = fl_diagnosis_streams(d, &n);
    const struct fl_series_set *set = fl_diagnosis_series(d);
    for (size_t i = 0; i < live->ranks_n; i++) {
        live->ranks[i].here = false;
    }
    for (size_t i = 0; i < set->n; i++) {
        const struct fl_series *s = set->list[i];
        bool last = s->run == fl_stream_last_run(&streams[s->stream]);
        struct rank *r = s->rank >= 0 && last ? rank_of(live, s->rank) : NULL;
        if (r) {
            r->here = true;
            r->series = s;
            seen[r - live->ranks] += s->seen;
        }
    }
    for (size_t i = 0; i < live->ranks_n; i++) {
        if (live->ranks[i].here) {
            fl_pace_note(&live->ranks[i].pace, seen[i], now_us);
        }
    }
}

static long seconds(int64_t us)
{
    return (long)((us + second_us / 2) / second_us);
}

/* For how long, when that is too long; else 0. */
static int64_t silent_us(const struct fl_pace *pace, int64_t now_us)
{
    int64_t since = now_us - pace->last_us;
    return since > fl_pace_patience(pace) ? since : 0;
}

static void find_hang(struct fl_live *live, int64_t now_us)
{
    int64_t silent = silent_us(&live->steps, now_us);
    struct fl_live_matter m = {.signal = {.kind = "hang", .from_step = live->last_step,
                                          .to_step = live->last_step, .rank = -1, .line = -1,
                                          .severity = FL_SEVERITY_HIGH, .confidence = -1}};
    if (!silent || (live->failed && !was_told(live, &m))) {
        return;
    }
    snprintf(m.signal.text, sizeof m.signal.text,
             "no step for %ld seconds; before, one line of progress in %ld", seconds(silent),
             seconds(fl_pace_median(&live->steps)));
    take(live, &m);
}

/* Of the other ranks, those that printed in the later half of that time. */
static size_t others_on(const struct fl_live *live, const struct rank *r, int64_t silent,
                        int64_t now_us, size_t *all_r)
{
    size_t on = 0;
    *all_r = 0;
    for (size_t i = 0; i < live->ranks_n; i++) {
        const struct rank *other = &live->ranks[i];
        *all_r += other != r && other->here;
        on += other != r && other->here && now_us - other->pace.last_us < silent / 2;
    }
    return on;
}

static void find_silence(struct fl_live *live, const struct rank *r, const struct fl_stream *streams,
                         int64_t now_us)
{
    size_t all = 0;
    int64_t silent = r->here ? silent_us(&r->pace, now_us) : 0;
    size_t on = silent ? others_on(live, r, silent, now_us, &all) : 0;
    struct fl_live_matter m = {.signal = {.kind = "silence", .rank = r->rank,
                                          .severity = FL_SEVERITY_MEDIUM, .confidence = -1}};
    if (!silent || ((live->failed || on * 2 <= all) && !was_told(live, &m))) {
        return;
    }
    const struct fl_row *row = &r->series->last;
    m.signal.from_step = m.signal.to_step = row->step;
    m.signal.stream = row->place.stream;
    m.signal.line = row->place.line;
    m.file = streams[row->place.stream].name;
    snprintf(m.signal.text, sizeof m.signal.text,
             "rank %ld is silent for %ld seconds, while %zu of %zu others go on", r->rank,
             seconds(silent), on, all);
    take(live, &m);
}

static long lines_of(const struct fl_stream *streams, uint32_t n)
{
    long lines = 0;
    for (uint32_t i = 0; i < n; i++) {
        lines += streams[i].kept + streams[i].dropped;
    }
    return lines;
}

void fl_live_check(struct fl_live *live, struct fl_job *job,
                   const struct fl_calibration *calibration, int64_t now_us)
{
    uint32_t streams_n = 0;
    struct fl_diagnosis *d = fl_job_diagnosis(job);
    const struct fl_stream *streams = fl_diagnosis_streams(d, &streams_n);
    long lines = lines_of(streams, streams_n);
    bool fresh = lines != live->lines;
    if (fresh) {
        live->lines = lines;
        examine(live, d, calibration);
    }
    for (size_t i = 0; i < live->held_n; i++) {
        live->held[i].found = false;
    }
    for (size_t i = 0; i < live->found_n; i++) {
        take(live, &live->found[i]);
    }
    if (live->caught_up) {
        note_steps(live, d, now_us);
        note_ranks(live, d, now_us);
    }
    if (!live->done) {
        find_hang(live, now_us);
        for (size_t i = 0; i < live->ranks_n; i++) {
            find_silence(live, &live->ranks[i], streams, now_us);
        }
    }
    for (size_t i = 0; i < live->held_n; i++) {
        settle(live, &live->held[i], fresh, now_us);
    }
}
