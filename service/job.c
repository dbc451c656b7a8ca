/* SPDX-License-Identifier: Apache-2.0 */
/* Most lines end at the literal scan: no rule proposed, nothing more is done. Only a proposed line,
 * or one that may belong to an open event, has its prefix peeled and its time read. */
#include "service/job.h"

#include "rules/filter.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/habits.h"
#include "service/ingest/event.h"
#include "service/ingest/lines.h"
#include "service/ingest/prefix.h"
#include "service/ingest/source.h"
#include "service/ingest/timestamp.h"

#include <stdlib.h>

/* Keys of events below this are ranks. */
enum { NO_RANK_KEYS = 1000000 };

struct fl_job {
    const struct fl_ruleset *set;
    struct fl_match_work *work; /* the diagnosis owns it */
    struct fl_diagnosis *diagnosis;
    struct fl_view *view;
    struct fl_lines *lines;
    struct fl_events events;
    struct fl_habits *habits;
    uint32_t stream;  /* the one in hand */
    uint64_t order;   /* lines of it so far */
    int64_t time_ms;  /* last time stamp seen in it */
    bool has_time;
    char stamp[160]; /* head of the last routine line, whose time is not read yet */
    size_t stamp_n;
    struct fl_place event_place; /* printer of the events, by key, is asked anew */
    const struct fl_watch *watch;
    struct fl_tally *tally;      /* NULL: nothing to count */
    size_t named;                /* bytes of a folder's path that stream names leave out */
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
        status = fl_events_init(&job->events, on_event, job, err);
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
        fl_lines_free(job->lines);
        fl_events_fini(&job->events);
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

static struct fl_stream *stream_of(struct fl_job *job)
{
    uint32_t n = 0;
    return &fl_diagnosis_streams(job->diagnosis, &n)[job->stream];
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
static struct fl_place place_of(struct fl_job *job, const struct fl_line_at *at,
                                const struct fl_prefix *prefix, struct fl_str message)
{
    const struct fl_stream *s = stream_of(job);
    struct fl_place p = {.stream = job->stream, .line = at->number, .offset = at->offset,
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

static bool read_time(struct fl_job *job, struct fl_str text)
{
    struct fl_timestamp time;
    if (!fl_timestamp_find(text, 0, &time) || !time.has_date || !time.has_year) {
        return false;
    }
    job->time_ms = time.ms;
    job->has_time = true;
    return true;
}

/* Most lines with a time are routine, and few lines need theirs: of one by habit the text is kept, to
 * be read when a line without a time of its own needs the last one. */
static void keep_time(struct fl_job *job, struct fl_str message)
{
    job->stamp_n = message.n < sizeof job->stamp ? message.n : sizeof job->stamp;
    memcpy(job->stamp, message.p, job->stamp_n);
}

static void tell_time(struct fl_job *job, struct fl_str message, struct fl_place *place)
{
    if (job->stamp_n) {
        read_time(job, (struct fl_str){job->stamp, job->stamp_n});
        job->stamp_n = 0;
    }
    int64_t before = job->time_ms;
    bool had = job->has_time;
    place->own_time = read_time(job, message);
    place->time_ms = job->time_ms;
    place->has_time = job->has_time;
    job->time_ms = before; /* it counts for later lines when it proves to be of use itself */
    job->has_time = had;
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

static struct proposed sort_out(struct fl_job *job, const struct fl_candidate *c, size_t n,
                                struct fl_str text)
{
    struct proposed p = {.c = c, .n = n};
    for (size_t i = 0; i < n; i++) {
        uint32_t pattern = c[i].pattern;
        uint32_t owner = job->set->line_owner[pattern].rule;
        if (owner != UINT32_MAX) {
            const struct fl_rule *rule = &job->set->rules[owner];
            bool diagnoses = !rule->is_filter && rule->state != FL_STATE_SHADOW;
            p.rules |= diagnoses;
            p.blames |= diagnoses && rule->role <= FL_ROLE_CONFIRMATION;
        } else if (pattern == job->set->attention) {
            p.unsure |= !c[i].always;
            p.trouble = c[i].sure || fl_matcher_try(job->work, pattern, text,
                                                    NULL) != FL_MATCH_NO;
        } else if (pattern == job->set->traceback) {
            p.opens = p.unsure = true;
        }
    }
    return p;
}

static enum fl_known judge(struct fl_job *job, struct fl_str text, const struct fl_line_at *at,
                  struct proposed *p, struct fl_place *place_r)
{
    struct fl_prefix prefix;
    size_t peeled = fl_prefix_peel(text, &prefix);
    struct fl_str message = fl_str_skip(text, peeled);
    enum fl_known known = FL_KNOWN_NOT;
    long key = event_key(&prefix);
    long before = 0;
    if (prefix.rank < 0 && prefix.local_rank < 0 && message.n && fl_is_alpha(*message.p) &&
        fl_events_continues(&job->events, at->number, &before) && before < NO_RANK_KEYS) {
        prefix.rank = key = before;
    }
    *place_r = place_of(job, at, &prefix, message);
    if (p->blames || p->opens || job->events.open_n) {
        tell_time(job, message, place_r);
    }
    bool code = message.n && message.p[0] == ' ' && fl_events_expects_code(&job->events, key);
    if (p->rules && !code) {
        known = fl_diagnosis_line(job->diagnosis, place_r, message, text, job->order, p->c, p->n);
    }
    if (known >= FL_KNOWN_ROUTINE) { /* others may be passed over, see fl_matcher_line */
        p->timed = read_time(job, message);
        job->stamp_n = p->timed ? 0 : job->stamp_n;
    }
    if (p->opens || job->events.open_n) {
        const char *start = p->opens ? fl_str_find(message, FL_LIT("Traceback (most")) : NULL;
        start = p->opens && !start ? fl_str_find(message, FL_LIT("Exception ignored")) : start;
        struct fl_str body = start ? fl_str_skip(message, (size_t)(start - message.p)) : message;
        job->event_place = *place_r;
        fl_events_feed(&job->events, key, body, at->number, at->offset, p->opens);
    }
    return known;
}

/* Once more what lines of this shape did before; false when this one is another matter. */
static bool repeat(struct fl_job *job, const struct fl_job_habit *habit, struct fl_str text,
                   const struct fl_line_at *at)
{
    struct fl_stream *stream = stream_of(job);
    if (habit->depends != UINT32_MAX &&
        fl_matcher_try(job->work, habit->depends, text, NULL) != FL_MATCH_YES) {
        return false;
    }
    if (habit->reports) {
        struct fl_prefix prefix;
        struct fl_str message = fl_str_skip(text, fl_prefix_peel(text, &prefix));
        struct fl_place place = place_of(job, at, &prefix, message);
        if (!fl_diagnosis_repeat(job->diagnosis, &habit->habit, &place, message, text,
                                 job->order)) {
            return false;
        }
        if (habit->timed) {
            keep_time(job, message);
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
static void learn_habit(struct fl_job *job, uint64_t shape, const struct proposed *p, bool dropped,
                        uint32_t rule, enum fl_known how)
{
    const struct fl_habit *habit = fl_diagnosis_habit(job->diagnosis);
    bool quiet = !job->watch && !(job->tally && job->tally->shadows) && !p->unsure &&
                 !(p->trouble && !dropped && how == FL_KNOWN_NOT);
    struct fl_job_habit one = {.shape = shape, .dropped = dropped, .rule = rule,
                               .reports = p->rules && (habit->acts_n || habit->noes_n),
                               .timed = p->timed};
    if (!shape || !quiet || (p->rules && !(habit->holds && how != FL_KNOWN_TELLING)) ||
        !fl_habit_drops(job->set, p->c, p->n, dropped, &one.depends)) {
        return;
    }
    if (one.reports) {
        one.habit = *habit;
    }
    fl_habits_put(job->habits, &one);
}

static void on_line(struct fl_job *job, struct fl_str text, const struct fl_line_at *at,
                    const struct fl_candidate *c, size_t n, uint64_t shape)
{
    struct fl_stream *stream = stream_of(job);
    struct proposed p = sort_out(job, c, n, text);
    struct fl_place place = {.rank = -1};
    uint32_t rule = 0;
    bool whole = !(at->flags & FL_LINE_CUT);
    bool dropped = n && whole && fl_filter_drops(job->set, job->work, text, c, n, &rule);
    enum fl_known how = FL_KNOWN_NOT;
    if (p.rules || p.opens || job->events.open_n) {
        how = judge(job, text, at, &p, &place);
    }
    bool known = how == FL_KNOWN_TELLING;
    if (dropped && job->watch) {
        struct fl_notice notice = {.rule = &job->set->rules[rule], .text = text, .counts = true,
                                   .place = {.stream = job->stream, .line = at->number,
                                             .offset = at->offset, .rank = -1}};
        job->watch->notice(job->watch->ctx, &notice);
    }
    bool alone = !p.opens && !job->events.open_n; /* else the event decides, see on_event */
    if (p.trouble && !dropped && how == FL_KNOWN_NOT && alone) {
        fl_diagnosis_trouble(job->diagnosis, job->stream);
    }
    if (job->tally && dropped && !known) {
        fl_tally_dropped(job->tally, rule, text);
    }
    if (job->tally && job->tally->shadows && n && whole) {
        fl_tally_shadows(job->tally, job->work, text, c, n, known || p.trouble);
    }
    stream->dropped += dropped && !known;
    stream->kept += !dropped || known;
    learn_habit(job, alone && whole ? shape : 0, &p, dropped, rule, how);
    if (known || (p.trouble && !dropped && how == FL_KNOWN_NOT)) {
        struct fl_view_line line = {job->stream, at->number, at->offset,
                                    job->order, place.rank,  text};
        fl_view_offer(job->view, &line, true);
    }
}

static enum fl_status on_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct fl_job *job = ctx;
    enum fl_status status = fl_matcher_batch(job->work, batch->texts, batch->n);
    for (size_t i = 0; status == FL_OK && i < batch->n; i++) {
        const struct fl_candidate *c = NULL;
        size_t n = 0;
        uint64_t shape = fl_matcher_shape(job->work, i);
        bool same = !job->events.open_n && !(batch->at[i].flags & FL_LINE_CUT);
        const struct fl_job_habit *habit = same ? fl_habits_find(job->habits, shape) : NULL;
        if (!habit || !repeat(job, habit, batch->texts[i], &batch->at[i])) {
            status = fl_matcher_line(job->work, i, &c, &n);
            if (n || job->events.open_n) {
                on_line(job, batch->texts[i], &batch->at[i], c, n,
                        fl_matcher_settled(job->work) ? shape : 0);
            } else {
                stream_of(job)->kept++;
            }
        }
        if (i + FL_VIEW_TAIL >= batch->n && batch->texts[i].n) {
            struct fl_view_line line = {job->stream, batch->at[i].number, batch->at[i].offset,
                                        job->order, -1, batch->texts[i]};
            fl_view_offer(job->view, &line, false);
        }
        job->order++;
    }
    return status == FL_OK ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for matching");
}

static void on_event(void *ctx, const struct fl_event *event)
{
    struct fl_job *job = ctx;
    struct fl_event_place lines[FL_EVENT_LINES];
    struct fl_place place = job->event_place;
    for (size_t i = 0; i < event->n; i++) {
        lines[i] = (struct fl_event_place){event->lines[i].at, event->lines[i].number,
                                           event->lines[i].offset};
    }
    if (event->key < NO_RANK_KEYS) {
        place.rank = event->key;
    }
    place.own_time = false; /* it is that of the line that ended the event */
    if (!fl_diagnosis_event(job->diagnosis, &place, fl_buf_str(&event->text), lines, event->n,
                            job->order)) {
        fl_diagnosis_trouble(job->diagnosis, job->stream);
    }
}

enum fl_status fl_job_begin(struct fl_job *job, const char *name, const char *path,
                            struct fl_err *err)
{
    enum fl_status status = fl_diagnosis_stream(job->diagnosis, name, path, &job->stream, err);
    if (status != FL_OK) {
        return status;
    }
    struct fl_prefix origin;
    if (fl_prefix_from_path(fl_str_of(path), &origin)) {
        struct fl_stream *s = stream_of(job);
        s->origin.rank = origin.rank;
        s->origin.local_rank = origin.local_rank;
        s->origin.node = fl_arena_str(fl_diagnosis_arena(job->diagnosis), origin.node);
    }
    job->order = 0;
    job->has_time = false;
    job->stamp_n = 0;
    fl_lines_free(job->lines);
    return fl_lines_new(FL_LINES_BARS, on_batch, job, &job->lines, err);
}

enum fl_status fl_job_bytes(struct fl_job *job, struct fl_str bytes, struct fl_err *err)
{
    return fl_lines_push(job->lines, bytes, err);
}

enum fl_status fl_job_end(struct fl_job *job, const char *fault, struct fl_err *err)
{
    enum fl_status status = fl_lines_end(job->lines, err);
    struct fl_stream *s = stream_of(job);
    fl_events_end(&job->events);
    fl_view_end_stream(job->view);
    s->lines = s->dropped + s->kept;
    s->bytes = fl_lines_bytes(job->lines);
    s->fault = fault ? fl_arena_text(fl_diagnosis_arena(job->diagnosis), fl_str_of(fault)) : NULL;
    return status;
}

/* Control bytes weigh four times as much as bytes that are not UTF-8: logs in old encodings are
 * text, too. */
static bool looks_binary(struct fl_str head)
{
    size_t odd = 0;
    for (struct fl_str s = head; s.n;) {
        uint32_t point = 0;
        size_t n = fl_utf8_take(s, &point);
        odd += n == 0;
        odd += n == 1 && point < ' ' && !memchr("\t\n\r\x1b\b\f", (int)point, 6) ? 4 : 0;
        s = fl_str_skip(s, n ? n : 1);
    }
    return head.n >= 64 && odd > head.n / 2;
}

/* Moves bytes from the source to the lines; in follow mode flushes at each rest. */
static enum fl_status pump(struct fl_job *job, struct fl_source *src, bool follow,
                           struct fl_err *err)
{
    bool first = true;
    for (;;) {
        size_t room = 0;
        size_t got = 0;
        char *p = fl_lines_room(job->lines, &room);
        enum fl_status status = fl_source_read(src, p, room, &got, err);
        if (status != FL_OK) {
            return status;
        }
        if (got == 0) {
            return FL_OK;
        }
        if (first && looks_binary((struct fl_str){p, got < 4096 ? got : 4096})) {
            return fl_fail(err, FL_SYNTAX, "%s: looks like a binary file, not a log",
                           fl_source_name(src));
        }
        first = false;
        if (fl_source_restarted(src)) {
            char *kept = malloc(got);
            if (!kept) {
                return fl_fail(err, FL_NOMEM, "no memory");
            }
            memcpy(kept, p, got);
            status = fl_lines_end(job->lines, err);
            fl_lines_restart(job->lines);
            if (status == FL_OK) {
                status = fl_lines_push(job->lines, (struct fl_str){kept, got}, err);
            }
            free(kept);
        } else {
            status = fl_lines_filled(job->lines, got, err);
        }
        if (status == FL_OK && follow && got < room) {
            status = fl_lines_flush(job->lines, err);
        }
        if (status != FL_OK) {
            return status;
        }
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static const char *name_of(struct fl_job *job, const char *path)
{
    const char *name = job->named ? path + job->named : base_name(path);
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(job->diagnosis, &n);
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(streams[i].name, name) == 0) {
            return path;
        }
    }
    return strcmp(path, "-") == 0 ? "stdin" : name;
}

static enum fl_status read_file(struct fl_job *job, const char *path, const struct fl_follow *follow,
                                struct fl_err *err)
{
    struct fl_source *src = NULL;
    struct fl_err fault = {0};
    enum fl_status status = fl_source_open(path, follow ? FL_SOURCE_FOLLOW : 0, &src, err);
    if (status != FL_OK) {
        return status;
    }
    if (follow) {
        fl_source_on_stop(src, follow->stop, follow->ctx);
    }
    status = fl_job_begin(job, name_of(job, path), path, err);
    if (status == FL_OK) {
        enum fl_status pumped = pump(job, src, follow != NULL, &fault);
        status = fl_job_end(job, pumped == FL_OK ? NULL : fault.msg, err);
        if (status == FL_OK && pumped != FL_OK) {
            status = fl_fail(err, pumped, "%s", fault.msg);
        }
    }
    fl_source_close(src);
    return status;
}

enum fl_status fl_job_follow(struct fl_job *job, const char *path, const struct fl_follow *follow,
                             struct fl_err *err)
{
    return read_file(job, path, follow, err);
}

struct folder_read {
    struct fl_job *job;
    size_t *read_r;
};

bool fl_job_takes(const char *path)
{
    static const char *const endings[] = {".json", ".md",  ".py",   ".yaml", ".yml", ".toml",
                                          ".pt",   ".bin", ".ckpt", ".npy",  ".npz", ".png",
                                          ".jpg",  ".csv", ".sh",   ".cfg",  ".ini", ".html",
                                          ".safetensors", ".pdf", ".pkl"};
    struct fl_str name = fl_str_of(base_name(path));
    if (fl_str_eq(name, FL_LIT("error.json"))) {
        return true;
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (fl_str_ends(name, fl_str_of(endings[i]))) {
            return false;
        }
    }
    return true;
}

static enum fl_status read_one_of_folder(void *ctx, const char *path, struct fl_err *err)
{
    struct folder_read *r = ctx;
    struct fl_err fault = {0};
    if (!fl_job_takes(path)) {
        return FL_OK;
    }
    enum fl_status status = read_file(r->job, path, NULL, &fault);
    if (status == FL_NOMEM || status == FL_LIMIT) {
        return fl_fail(err, status, "%s", fault.msg);
    }
    *r->read_r += status == FL_OK;
    if (status != FL_OK) {
        fl_log(FL_LOG_WARN, "%s", fault.msg);
    }
    return FL_OK;
}

enum fl_status fl_job_read(struct fl_job *job, const char *path, size_t *read_r,
                           struct fl_err *err)
{
    if (!fl_fsio_is_dir(path)) {
        enum fl_status status = read_file(job, path, NULL, err);
        *read_r += status == FL_OK;
        return status;
    }
    struct folder_read r = {job, read_r};
    size_t before = *read_r;
    job->named = strlen(path);
    while (job->named > 1 && path[job->named - 1] == '/') {
        job->named--;
    }
    job->named++;
    enum fl_status status = fl_fsio_walk(path, read_one_of_folder, &r, err);
    job->named = 0;
    if (status == FL_OK && *read_r == before) {
        status = fl_fail(err, FL_NOTFOUND, "%s: no log files in this folder", path);
    }
    return status;
}
