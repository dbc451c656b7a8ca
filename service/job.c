/* SPDX-License-Identifier: Apache-2.0 */
/* Most lines end at the literal scan: no rule proposed, nothing more is done. Only a proposed line,
 * or one that may belong to an open event, has its prefix peeled and its time read. */
#include "service/job.h"

#include "rules/filter.h"
#include "service/habits.h"
#include "service/ingest/event.h"
#include "service/ingest/lines.h"
#include "service/ingest/prefix.h"
#include "service/ingest/timestamp.h"

#include <stdlib.h>

enum {
    NO_RANK_KEYS = 1000000, /* keys of events below this are ranks */
    AHEAD = 4               /* lines whose habits are fetched */
};

struct fl_job {
    const struct fl_ruleset *set;
    struct fl_match_work *work; /* the diagnosis owns it */
    struct fl_diagnosis *diagnosis;
    struct fl_view *view;
    struct fl_habits *habits;
    const struct fl_watch *watch;
    struct fl_tally *tally; /* NULL: nothing to count */
};

/* A stream that is being read. */
struct fl_feed {
    struct fl_job *job;
    struct fl_lines *lines;
    struct fl_events events;
    struct fl_view_stream *view;
    uint32_t stream;
    uint64_t order;   /* lines of it so far */
    int64_t time_ms;  /* last time stamp seen in it */
    bool has_time;
    char stamp[160]; /* head of the last routine line, whose time is not read yet */
    size_t stamp_n;
    struct fl_place event_place; /* printer of the events, by key, is asked anew */
};

static enum fl_status on_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err);
static void on_event(void *ctx, const struct fl_event *event);

enum fl_status fl_job_new(const struct fl_ruleset *set, struct fl_job **out, struct fl_err *err)
{
    struct fl_job *job = calloc(1, sizeof *job);
    *out = job;
    if (!job) {
        return fl_fail(err, FL_NOMEM, "no memory for the job");
    }
    job->set = set;
    enum fl_status status = fl_diagnosis_new(set, &job->diagnosis, err);
    if (status == FL_OK) {
        status = fl_view_new(&job->view, err);
    }
    if (status == FL_OK) {
        job->work = fl_diagnosis_work(job->diagnosis);
        status = fl_tally_new(set, &job->tally, err);
    }
    if (status == FL_OK) {
        status = fl_habits_new(&job->habits, err);
    }
    if (status != FL_OK) {
        fl_job_free(job);
        *out = NULL;
    }
    return status;
}

void fl_job_free(struct fl_job *job)
{
    if (job) {
        fl_diagnosis_free(job->diagnosis);
        fl_view_free(job->view);
        fl_tally_free(job->tally);
        fl_habits_free(job->habits);
        free(job);
    }
}

void fl_job_watch(struct fl_job *job, const struct fl_watch *watch)
{
    job->watch = watch;
    fl_diagnosis_watch(job->diagnosis, watch);
}

struct fl_diagnosis *fl_job_diagnosis(struct fl_job *job)
{
    return job->diagnosis;
}

const struct fl_tally *fl_job_tally(const struct fl_job *job)
{
    return job->tally;
}

const struct fl_view *fl_job_view(const struct fl_job *job)
{
    return job->view;
}

static void free_feed(struct fl_feed *feed)
{
    fl_lines_free(feed->lines);
    fl_events_fini(&feed->events);
    fl_view_drop(feed->view);
    free(feed);
}

static struct fl_stream *stream_of(struct fl_feed *feed)
{
    uint32_t n = 0;
    return &fl_diagnosis_streams(feed->job->diagnosis, &n)[feed->stream];
}

static long event_key(const struct fl_prefix *p)
{
    if (p->rank >= 0) {
        return p->rank;
    }
    unsigned long hash = 5381;
    for (size_t i = 0; i < p->node.n; i++) {
        hash = hash * 33 + (unsigned char)p->node.p[i];
    }
    return NO_RANK_KEYS + (p->local_rank + 1) + (long)(hash % 1000003) * 1024;
}

/* Who printed the line, from its prefix, its own words, and its stream. */
static struct fl_place place_of(struct fl_feed *feed, const struct fl_line_at *at,
                                const struct fl_prefix *prefix, struct fl_str message)
{
    const struct fl_stream *s = stream_of(feed);
    struct fl_place p = {.stream = feed->stream, .line = at->number, .offset = at->offset,
                         .rank = prefix->rank, .local_rank = prefix->local_rank, .gpu = -1,
                         .node = prefix->node};
    struct fl_prefix said;
    if (fl_prefix_from_message(message, &said, &p.gpu)) {
        p.rank = p.rank >= 0 ? p.rank : said.rank;
        p.local_rank = p.local_rank >= 0 ? p.local_rank : said.local_rank;
        p.node = p.node.n ? p.node : said.node;
    }
    p.rank = p.rank >= 0 ? p.rank : s->origin.rank;
    p.local_rank = p.local_rank >= 0 ? p.local_rank : s->origin.local_rank;
    p.node = p.node.n ? p.node : s->origin.node;
    return p;
}

static bool read_time(struct fl_feed *feed, struct fl_str text)
{
    struct fl_timestamp time;
    if (!fl_timestamp_find(text, 0, &time) || !time.has_date || !time.has_year) {
        return false;
    }
    feed->time_ms = time.ms;
    feed->has_time = true;
    return true;
}

/* Where the time of a line stands: collectors stamp all of a stream's lines, in UTC. */
static struct fl_str dated(const struct fl_prefix *prefix, struct fl_str message)
{
    return prefix->time.n ? prefix->time : message;
}

/* Most lines with a time are routine, and few lines need theirs: of one by habit the text is kept, to
 * be read when a line without a time of its own needs the last one. */
static void keep_time(struct fl_feed *feed, struct fl_str message)
{
    feed->stamp_n = message.n < sizeof feed->stamp ? message.n : sizeof feed->stamp;
    memcpy(feed->stamp, message.p, feed->stamp_n);
}

static void tell_time(struct fl_feed *feed, struct fl_str message, struct fl_place *place)
{
    if (feed->stamp_n) {
        read_time(feed, (struct fl_str){feed->stamp, feed->stamp_n});
        feed->stamp_n = 0;
    }
    int64_t before = feed->time_ms;
    bool had = feed->has_time;
    place->own_time = read_time(feed, message);
    place->time_ms = feed->time_ms;
    place->has_time = feed->has_time;
    feed->time_ms = before; /* it counts for later lines when it proves to be of use itself */
    feed->has_time = had;
}

/* What the literal scan proposed for one line. */
struct proposed {
    const struct fl_candidate *c;
    size_t n;
    bool trouble; /* words that failures use */
    bool opens;   /* a traceback begins */
    bool unsure;  /* of one of the two; other lines of the shape may be told otherwise */
    bool rules;   /* some diagnosis rule */
    bool blames;  /* one that a verdict may rest on */
    bool timed;   /* a routine line with a time */
};

static struct proposed sort_out(struct fl_feed *feed, const struct fl_candidate *c, size_t n,
                                struct fl_str text)
{
    struct proposed p = {.c = c, .n = n};
    for (size_t i = 0; i < n; i++) {
        uint32_t pattern = c[i].pattern;
        uint32_t owner = feed->job->set->line_owner[pattern].rule;
        if (owner != UINT32_MAX) {
            const struct fl_rule *rule = &feed->job->set->rules[owner];
            bool diagnoses = !rule->is_filter && rule->state != FL_STATE_SHADOW;
            p.rules |= diagnoses;
            p.blames |= diagnoses && rule->role <= FL_ROLE_CONFIRMATION;
        } else if (pattern == feed->job->set->attention) {
            p.unsure |= !c[i].always;
            p.trouble = c[i].sure || fl_matcher_try(feed->job->work, pattern, text,
                                                    NULL) != FL_MATCH_NO;
        } else if (pattern == feed->job->set->traceback) {
            p.opens = p.unsure = true;
        }
    }
    return p;
}

static enum fl_known judge(struct fl_feed *feed, struct fl_str text, const struct fl_line_at *at,
                  struct proposed *p, struct fl_place *place_r)
{
    struct fl_prefix prefix;
    size_t peeled = fl_prefix_peel(text, &prefix);
    struct fl_str message = fl_str_skip(text, peeled);
    enum fl_known known = FL_KNOWN_NOT;
    long key = event_key(&prefix);
    long before = 0;
    if (prefix.rank < 0 && prefix.local_rank < 0 && message.n && fl_is_alpha(*message.p) &&
        fl_events_continues(&feed->events, at->number, &before) && before < NO_RANK_KEYS) {
        prefix.rank = key = before;
    }
    *place_r = place_of(feed, at, &prefix, message);
    if (p->blames || p->opens || feed->events.open_n) {
        tell_time(feed, dated(&prefix, message), place_r);
    }
    bool code = message.n && message.p[0] == ' ' && fl_events_expects_code(&feed->events, key);
    if (p->rules && !code) {
        known = fl_diagnosis_line(feed->job->diagnosis, place_r, message, text, feed->order, p->c, p->n);
    }
    if (known >= FL_KNOWN_ROUTINE) { /* others may be passed over, see fl_matcher_line */
        p->timed = read_time(feed, dated(&prefix, message));
        feed->stamp_n = p->timed ? 0 : feed->stamp_n;
    }
    if (p->opens || feed->events.open_n) {
        const char *start = p->opens ? fl_str_find(message, FL_LIT("Traceback (most")) : NULL;
        start = p->opens && !start ? fl_str_find(message, FL_LIT("Exception ignored")) : start;
        struct fl_str body = start ? fl_str_skip(message, (size_t)(start - message.p)) : message;
        feed->event_place = *place_r;
        fl_events_feed(&feed->events, key, body, at->number, at->offset, p->opens);
    }
    return known;
}

/* Once more what lines of this shape did before; false when this one is another matter. */
static bool repeat(struct fl_feed *feed, const struct fl_job_habit *habit, struct fl_str text,
                   const struct fl_line_at *at)
{
    struct fl_job *job = feed->job;
    struct fl_stream *stream = stream_of(feed);
    if (habit->depends != UINT32_MAX &&
        fl_matcher_try(job->work, habit->depends, text, NULL) != FL_MATCH_YES) {
        return false;
    }
    if (habit->reports) {
        struct fl_prefix prefix;
        struct fl_str message = fl_str_skip(text, fl_prefix_peel(text, &prefix));
        struct fl_place place = place_of(feed, at, &prefix, message);
        if (!fl_diagnosis_repeat(job->diagnosis, habit->reports, &place, message, text,
                                 feed->order)) {
            return false;
        }
        if (habit->timed) {
            keep_time(feed, dated(&prefix, message));
        }
    }
    if (job->tally && habit->dropped) {
        fl_tally_dropped(job->tally, habit->rule, text);
    }
    stream->dropped += habit->dropped;
    stream->kept += !habit->dropped;
    return true;
}

/* Nobody watches, and nothing but the line's own shape decided. */
static void learn_habit(struct fl_feed *feed, uint64_t shape, const struct proposed *p, bool dropped,
                        uint32_t rule, enum fl_known how)
{
    struct fl_job *job = feed->job;
    const struct fl_habit *habit = fl_diagnosis_habit(job->diagnosis);
    bool quiet = !job->watch && !(job->tally && job->tally->shadows) && !p->unsure &&
                 !(p->trouble && !dropped && how == FL_KNOWN_NOT);
    bool reports = p->rules && (habit->acts_n || habit->noes_n);
    struct fl_job_habit one = {.shape = shape, .dropped = dropped, .rule = rule,
                               .timed = p->timed, .reports = reports ? habit : NULL};
    if (!shape || !quiet || (p->rules && !(habit->holds && how != FL_KNOWN_TELLING)) ||
        !fl_habit_drops(job->set, p->c, p->n, dropped, &one.depends)) {
        return;
    }
    fl_habits_put(job->habits, &one);
}

static void on_line(struct fl_feed *feed, struct fl_str text, const struct fl_line_at *at,
                    const struct fl_candidate *c, size_t n, uint64_t shape)
{
    struct fl_job *job = feed->job;
    struct fl_stream *stream = stream_of(feed);
    struct proposed p = sort_out(feed, c, n, text);
    struct fl_place place = {.rank = -1};
    uint32_t rule = 0;
    bool whole = !(at->flags & FL_LINE_CUT);
    bool dropped = n && whole && fl_filter_drops(job->set, job->work, text, c, n, &rule);
    enum fl_known how = FL_KNOWN_NOT;
    if (p.rules || p.opens || feed->events.open_n) {
        how = judge(feed, text, at, &p, &place);
    }
    bool known = how == FL_KNOWN_TELLING;
    if (dropped && job->watch) {
        struct fl_notice notice = {.rule = &job->set->rules[rule], .text = text, .counts = true,
                                   .place = {.stream = feed->stream, .line = at->number,
                                             .offset = at->offset, .rank = -1}};
        job->watch->notice(job->watch->ctx, &notice);
    }
    bool alone = !p.opens && !feed->events.open_n; /* else the event decides, see on_event */
    if (p.trouble && !dropped && how == FL_KNOWN_NOT && alone) {
        fl_diagnosis_trouble(job->diagnosis, feed->stream);
    }
    if (job->tally && dropped && !known) {
        fl_tally_dropped(job->tally, rule, text);
    }
    if (job->tally && job->tally->shadows && n && whole) {
        fl_tally_shadows(job->tally, job->work, text, c, n, known || p.trouble);
    }
    stream->dropped += dropped && !known;
    stream->kept += !dropped || known;
    learn_habit(feed, alone && whole ? shape : 0, &p, dropped, rule, how);
    if (known || (p.trouble && !dropped && how == FL_KNOWN_NOT)) {
        struct fl_view_line line = {feed->stream, at->number, at->offset, place.rank, true, text};
        fl_view_offer(feed->view, &line);
    }
}

static enum fl_status on_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct fl_feed *feed = ctx;
    struct fl_job *job = feed->job;
    enum fl_status status = fl_matcher_batch(job->work, batch->texts, batch->n);
    for (size_t i = 0; status == FL_OK && i < batch->n; i++) {
        const struct fl_candidate *c = NULL;
        size_t n = 0;
        uint64_t shape = fl_matcher_shape(job->work, i);
        bool same = !feed->events.open_n && !(batch->at[i].flags & FL_LINE_CUT);
        if (i + AHEAD < batch->n) {
            fl_habits_fetch(job->habits, fl_matcher_shape(job->work, i + AHEAD));
        }
        const struct fl_job_habit *habit = same ? fl_habits_find(job->habits, shape) : NULL;
        if (!habit || !repeat(feed, habit, batch->texts[i], &batch->at[i])) {
            status = fl_matcher_line(job->work, i, &c, &n);
            if (n || feed->events.open_n) {
                on_line(feed, batch->texts[i], &batch->at[i], c, n,
                        fl_matcher_settled(job->work) ? shape : 0);
            } else {
                stream_of(feed)->kept++;
            }
        }
        if (i + FL_VIEW_TAIL >= batch->n && batch->texts[i].n) {
            struct fl_view_line line = {feed->stream, batch->at[i].number, batch->at[i].offset,
                                        -1, false, batch->texts[i]};
            fl_view_offer(feed->view, &line);
        }
        feed->order++;
    }
    return status == FL_OK ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for matching");
}

/* The head and the deepest frames of a traceback that no rule knows. */
static void show_event(struct fl_feed *feed, const struct fl_event *event)
{
    enum { HEAD = 1, DEEPEST = 10 };
    long rank = event->key < NO_RANK_KEYS ? event->key : -1;
    struct fl_str text = fl_buf_str(&event->text);
    for (size_t i = 0; i < event->n; i++) {
        if (i >= HEAD && i + DEEPEST < event->n) {
            continue;
        }
        struct fl_str line = fl_str_skip(text, event->lines[i].at);
        line.n = i + 1 < event->n ? event->lines[i + 1].at - event->lines[i].at - 1 : line.n;
        struct fl_view_line shown = {feed->stream, event->lines[i].number, event->lines[i].offset,
                                     rank, true, line};
        fl_view_offer(feed->view, &shown);
    }
}

static void on_event(void *ctx, const struct fl_event *event)
{
    struct fl_feed *feed = ctx;
    struct fl_event_place lines[FL_EVENT_LINES];
    struct fl_place place = feed->event_place;
    for (size_t i = 0; i < event->n; i++) {
        lines[i] = (struct fl_event_place){event->lines[i].at, event->lines[i].number,
                                           event->lines[i].offset};
    }
    if (event->key < NO_RANK_KEYS) {
        place.rank = event->key;
    }
    place.own_time = false; /* it is that of the line that ended the event */
    if (!fl_diagnosis_event(feed->job->diagnosis, &place, fl_buf_str(&event->text), lines, event->n,
                            feed->order)) {
        fl_diagnosis_trouble(feed->job->diagnosis, feed->stream);
        show_event(feed, event);
    }
}

enum fl_status fl_feed_open(struct fl_job *job, const char *name, const char *path,
                            struct fl_feed **out, struct fl_err *err)
{
    struct fl_feed *feed = calloc(1, sizeof *feed);
    *out = feed;
    if (!feed) {
        return fl_fail(err, FL_NOMEM, "no memory for reading a log");
    }
    feed->job = job;
    enum fl_status status = fl_diagnosis_stream(job->diagnosis, name, path, &feed->stream, err);
    if (status == FL_OK) {
        status = fl_events_init(&feed->events, on_event, feed, err);
    }
    if (status == FL_OK) {
        status = fl_lines_new(FL_LINES_BARS, on_batch, feed, &feed->lines, err);
    }
    if (status == FL_OK) {
        status = fl_view_begin(&feed->view, err);
    }
    if (status != FL_OK) {
        free_feed(feed);
        *out = NULL;
        return status;
    }
    struct fl_prefix origin;
    if (fl_prefix_from_path(fl_str_of(path), &origin)) {
        struct fl_stream *s = stream_of(feed);
        s->origin.rank = origin.rank;
        s->origin.local_rank = origin.local_rank;
        s->origin.node = fl_arena_str(fl_diagnosis_arena(job->diagnosis), origin.node);
    }
    return FL_OK;
}

struct fl_lines *fl_feed_lines(struct fl_feed *feed)
{
    return feed->lines;
}

enum fl_status fl_feed_close(struct fl_feed *feed, const char *fault, struct fl_err *err)
{
    struct fl_job *job = feed->job;
    enum fl_status status = fl_lines_end(feed->lines, err);
    struct fl_stream *s = stream_of(feed);
    fl_events_end(&feed->events);
    fl_view_end(job->view, feed->view);
    feed->view = NULL;
    s->lines = s->dropped + s->kept;
    s->bytes = fl_lines_bytes(feed->lines);
    s->fault = fault ? fl_arena_text(fl_diagnosis_arena(job->diagnosis), fl_str_of(fault)) : NULL;
    free_feed(feed);
    return status;
}
