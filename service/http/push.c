/* SPDX-License-Identifier: Apache-2.0 */
/* Of each role the weightiest value said is kept, of the sender and of the next line apart, so that
 * a stream's labels are looked at once, not with every line. Which stream that is comes out of
 * these values alone: the same in the next request. Streams are found by a hash of job and name. */
#include "service/http/push_tell.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "service/base/hash.h"
#include "service/http/push_key.h"
#include "service/ingest/prefix.h"
#include "service/ingest/timestamp.h"

enum {
    SLOTS = 2 * FL_PUSH_STREAMS,
    VALUE = 256,     /* bytes kept of a value; of a path the last ones */
    TRACE = 1 << 20, /* of a traceback beside the text */
    STAMP_N = 31,    /* 2026-11-22T01:02:03.123456789Z and a blank */
    FRONT = 16, /* where the line's own time begins at the latest, behind a level and brackets */
    FRONT_WINDOW = 48, /* enough to hold it; all but bare numbers hold a colon */
    PATH_TAIL = 120,
};

struct value {
    int weight; /* INT_MAX: not said */
    size_t n;
    char text[VALUE];
};

struct said {
    struct value of[FL_PUSH_SAID];
    uint64_t others; /* of all else that tells senders apart */
};

struct fl_push {
    struct fl_push_given given;
    struct said sender;
    struct said line;
    bool of_line;              /* something was said about the next line */
    struct fl_push_stream *at; /* of the sender alone; NULL: not looked for yet */
    struct fl_buf trace;
    int trace_weight;
    struct fl_buf meant;
    struct fl_push_stream *streams;
    size_t streams_n;
    uint16_t slots[SLOTS]; /* number of a stream + 1; 0: free */
    size_t text_n;
    long accepted, rejected, lines;
    int64_t second; /* whose RFC 3339 is in stamp */
    char stamp[STAMP_N + 1];
    enum fl_status failed;
};

static void forget(struct said *said)
{
    for (size_t i = 0; i < FL_PUSH_SAID; i++) {
        said->of[i].weight = INT32_MAX;
        said->of[i].n = 0;
    }
    said->others = 0;
}

void fl_push_begin(struct fl_push *push)
{
    forget(&push->sender);
    push->at = NULL;
}

static void forget_line(struct fl_push *push)
{
    if (push->of_line) {
        forget(&push->line);
        fl_buf_clear(&push->trace);
        push->trace_weight = INT32_MAX;
        push->of_line = false;
    }
}

enum fl_status fl_push_new(const struct fl_push_given *given, struct fl_push **out,
                           struct fl_err *err)
{
    struct fl_push *push = calloc(1, sizeof *push);
    struct fl_push_stream *streams = calloc(FL_PUSH_STREAMS, sizeof *streams);
    *out = push;
    if (!push || !streams) {
        free(push);
        free(streams);
        *out = NULL;
        return fl_fail(err, FL_NOMEM, "no memory for a pushed body");
    }
    push->given = *given;
    push->streams = streams;
    push->second = -1;
    push->of_line = true;
    fl_buf_init(&push->trace, TRACE);
    fl_buf_init(&push->meant, FL_PUSH_TEXT);
    fl_push_begin(push);
    forget_line(push);
    return FL_OK;
}

void fl_push_free(struct fl_push *push)
{
    if (!push) {
        return;
    }
    for (size_t i = 0; i < push->streams_n; i++) {
        fl_buf_free(&push->streams[i].text);
    }
    free(push->streams);
    fl_buf_free(&push->trace);
    fl_buf_free(&push->meant);
    free(push);
}

/* ---- what is said ---- */

/* Some values are there only because their key must have one. */
static bool is_void(enum fl_push_role role, struct fl_str value)
{
    switch ((int)role) {
    case FL_PUSH_IS_JOB:
        return fl_str_starts(value, FL_LIT("unknown_service"));
    case FL_PUSH_IS_RANK:
    case FL_PUSH_IS_LOCAL_RANK:
        return fl_push_rank(value) < 0;
    case FL_PUSH_IS_FILE: /* `filename` of a log library is the source file */
        return !fl_str_find(value, FL_LIT(".log")) && !fl_str_find(value, FL_LIT(".out")) &&
               !fl_str_find(value, FL_LIT(".err")) && !fl_str_find(value, FL_LIT(".txt")) &&
               !fl_str_find(value, FL_LIT("/log")) && !fl_str_find(value, FL_LIT("std"));
    default:
        return false;
    }
}

static void note(struct said *said, struct fl_push_key key, struct fl_str value)
{
    struct value *v = key.role < FL_PUSH_SAID ? &said->of[key.role] : NULL;
    bool tail = key.role == FL_PUSH_IS_FILE && value.n > VALUE;
    value = tail ? fl_str_skip(value, value.n - VALUE) : fl_str_head(value, VALUE);
    if (!v || key.weight >= v->weight || value.n == 0 || is_void(key.role, value)) {
        return;
    }
    v->weight = key.weight;
    v->n = value.n;
    memcpy(v->text, value.p, value.n);
}

void fl_push_label(struct fl_push *push, struct fl_str key, struct fl_str value)
{
    struct fl_push_key known = fl_push_key_of((struct fl_str){"", 0}, key);
    note(&push->sender, known, value);
    if (known.role == FL_PUSH_IS_OTHER) {
        push->sender.others += fl_hash(key, fl_hash(value, 0)); /* in any order */
    }
    push->at = NULL;
}

void fl_push_said(struct fl_push *push, struct fl_push_key key, struct fl_str value)
{
    if (key.role < FL_PUSH_SAID) {
        push->of_line = true;
        note(&push->line, key, value);
    } else if (key.role == FL_PUSH_IS_TRACE && key.weight < push->trace_weight && value.n) {
        push->of_line = true;
        push->trace_weight = key.weight;
        fl_buf_clear(&push->trace);
        fl_buf_add_str(&push->trace, fl_str_head(value, TRACE));
    }
}

void fl_push_field(struct fl_push *push, struct fl_str key, struct fl_str value)
{
    fl_push_said(push, fl_push_key_of((struct fl_str){"", 0}, key), value);
}

struct fl_str fl_push_meant(struct fl_push *push, struct fl_jp_text text)
{
    if (!text.escaped) {
        return text.raw;
    }
    fl_buf_clear(&push->meant);
    if (fl_jp_unescape(text, &push->meant) != FL_OK) {
        push->failed = push->meant.failed;
    }
    return fl_buf_str(&push->meant);
}

/* ---- whose line it is ---- */

static const struct value *best_value(const struct fl_push *push, enum fl_push_role role)
{
    const struct value *sender = &push->sender.of[role];
    const struct value *line = &push->line.of[role];
    return line->weight <= sender->weight ? line : sender;
}

static struct fl_str best(const struct fl_push *push, enum fl_push_role role)
{
    const struct value *v = best_value(push, role);
    return (struct fl_str){v->text, v->n};
}

struct whose {
    struct fl_str pod, container, file, program;
    struct fl_prefix path; /* what the file's name says */
    struct fl_str node;
    long rank, local_rank;
};

/* 10.0.0.3:9100 of Prometheus is 10.0.0.3. */
static struct fl_str without_port(struct fl_str node)
{
    const char *colon = node.n ? memchr(node.p, ':', node.n) : NULL;
    struct fl_str port = colon ? fl_str_skip(node, (size_t)(colon - node.p) + 1) : node;
    long number;
    bool cut = colon && fl_str_take_number(&port, &number) && port.n == 0;
    return cut ? fl_str_head(node, (size_t)(colon - node.p)) : node;
}

/* `kernel:` and `sshd[123]:` are kernel and sshd. */
static struct fl_str program_name(struct fl_str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] != '[' && s.p[n] != ':') {
        n++;
    }
    return fl_str_head(s, n);
}

static void whose_line(const struct fl_push *push, struct whose *w)
{
    w->pod = best(push, FL_PUSH_IS_POD);
    w->container = best(push, FL_PUSH_IS_CONTAINER);
    w->file = best(push, FL_PUSH_IS_FILE);
    w->program = program_name(best(push, FL_PUSH_IS_PROGRAM));
    w->node = without_port(best(push, FL_PUSH_IS_NODE));
    w->rank = fl_push_rank(best(push, FL_PUSH_IS_RANK));
    w->local_rank = fl_push_rank(best(push, FL_PUSH_IS_LOCAL_RANK));
    fl_prefix_init(&w->path);
    if (w->file.n) {
        (void)fl_prefix_from_path(w->file, &w->path);
    }
    w->rank = push->given.rank >= 0 ? push->given.rank : w->rank >= 0 ? w->rank : w->path.rank;
    w->local_rank = w->local_rank >= 0 ? w->local_rank : w->path.local_rank;
    w->node = push->given.node.n ? push->given.node : w->node.n ? w->node : w->path.node;
}

static void name_job(const struct fl_push *push, const struct whose *w, char *out)
{
    char host[sizeof "node." + VALUE] = "node.";
    struct fl_str job = push->given.job;
    job = job.n ? job : fl_push_slurm_job(w->file);
    const struct value *told = best_value(push, FL_PUSH_IS_JOB);
    if (job.n == 0 && told->n && told->weight == FL_PUSH_SLURM && fl_is_digit(told->text[0])) {
        int n = snprintf(host, sizeof host, "slurm-%.*s", (int)(told->n < FL_PUSH_JOB ? told->n : FL_PUSH_JOB),
                         told->text);
        job = (struct fl_str){host, n > 0 ? (size_t)n : 0};
    }
    job = job.n ? job : best(push, FL_PUSH_IS_JOB);
    job = job.n ? job : fl_push_pod_job(w->pod);
    if (job.n == 0 && w->node.n) {
        struct fl_str node = fl_str_head(w->node, VALUE);
        memcpy(host + 5, node.p, node.n);
        job = (struct fl_str){host, 5 + node.n};
    }
    fl_push_job_name(job, out);
}

/* The ends of paths tell more than their beginnings. */
static struct fl_str path_end(struct fl_str path)
{
    struct fl_str end = path.n > PATH_TAIL ? fl_str_skip(path, path.n - PATH_TAIL) : path;
    const char *slash = end.n < path.n ? memchr(end.p, '/', end.n) : NULL;
    return slash ? fl_str_skip(end, (size_t)(slash - end.p) + 1) : end;
}

/* A name as it grows; what does not fit is left out. */
struct name {
    size_t n;
    char text[2 * VALUE];
};

static void add(struct name *name, const char *between, struct fl_str part)
{
    size_t gap = name->n ? strlen(between) : 0;
    if (part.n && gap + part.n <= sizeof name->text - name->n) {
        memcpy(name->text + name->n, between, gap);
        memcpy(name->text + name->n + gap, part.p, part.n);
        name->n += gap + part.n;
    }
}

static void add_number(struct name *name, const char *between, const char *what,
                       unsigned long value, unsigned base)
{
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    add(name, between, fl_str_of(what));
    add(name, "", (struct fl_str){digits + at, sizeof digits - at});
}

static void name_stream(const struct fl_push *push, const struct whose *w, char *out)
{
    struct name name = {.n = 0};
    if (push->given.stream.n) {
        add(&name, "", push->given.stream);
    } else if (w->rank >= 0) {
        add_number(&name, "", "rank", (unsigned long)w->rank, 10);
        add(&name, "/", w->container);
    } else {
        add(&name, "",
            w->pod.n       ? w->pod
            : w->file.n    ? path_end(w->file)
            : w->program.n ? w->program
            : w->node.n    ? w->node
                           : best(push, FL_PUSH_IS_INSTANCE));
        if (w->local_rank >= 0 && w->file.n == 0) {
            add_number(&name, "/", "local", (unsigned long)w->local_rank, 10);
        }
        add(&name, "/", w->container);
    }
    if (name.n == 0 && push->sender.others) {
        add_number(&name, "", "stream-", push->sender.others & UINT32_MAX, 16);
    }
    add(&name, "", name.n ? (struct fl_str){"", 0} : FL_LIT("log"));
    fl_push_name((struct fl_str){name.text, name.n}, FL_PUSH_NAME, out);
}

static struct fl_push_stream *stream_called(struct fl_push *push, const char *job, const char *name)
{
    uint64_t hash = fl_hash(fl_str_of(job), fl_hash(fl_str_of(name), 0));
    size_t slot = hash % SLOTS;
    for (; push->slots[slot]; slot = (slot + 1) % SLOTS) {
        struct fl_push_stream *s = &push->streams[push->slots[slot] - 1];
        if (strcmp(s->name, name) == 0 && strcmp(s->job, job) == 0) {
            return s;
        }
    }
    if (push->streams_n == FL_PUSH_STREAMS) {
        push->failed = FL_LIMIT;
        return NULL;
    }
    struct fl_push_stream *s = &push->streams[push->streams_n++];
    push->slots[slot] = (uint16_t)push->streams_n;
    memcpy(s->job, job, sizeof s->job);
    memcpy(s->name, name, sizeof s->name);
    s->rank = s->local_rank = -1;
    fl_buf_init(&s->text, FL_PUSH_TEXT);
    return s;
}

static struct fl_push_stream *find_stream(struct fl_push *push)
{
    if (push->at && !push->of_line) {
        return push->at;
    }
    struct whose w;
    char job[FL_PUSH_JOB + 1] = "";
    char name[FL_PUSH_NAME + 1] = "";
    whose_line(push, &w);
    name_job(push, &w, job);
    name_stream(push, &w, name);
    struct fl_push_stream *s = stream_called(push, job, name);
    if (s) {
        s->rank = s->rank >= 0 ? s->rank : w.rank;
        s->local_rank = s->local_rank >= 0 ? s->local_rank : w.local_rank;
        if (!s->node[0]) {
            fl_push_name(w.node, FL_PUSH_NODE, s->node);
        }
    }
    push->at = push->of_line ? NULL : s;
    return s;
}

/* ---- lines ---- */

static bool has_time(struct fl_str line)
{
    struct fl_prefix prefix;
    struct fl_timestamp stamp;
    size_t peeled = fl_prefix_peel(line, &prefix);
    struct fl_str front = fl_str_head(fl_str_skip(line, peeled), FRONT_WINDOW);
    if (prefix.time.n) {
        return true;
    }
    return front.n && memchr(front.p, ':', front.n) && fl_timestamp_find(front, 0, &stamp) &&
           stamp.has_year && stamp.at <= FRONT;
}

static void write_stamp(struct fl_push *push, int64_t ns)
{
    enum { SECOND_N = 20, DIGITS = 9, NS_PER_S = 1000000000 };
    int64_t second = ns / NS_PER_S;
    int64_t rest = ns % NS_PER_S;
    if (second != push->second) {
        struct tm tm;
        time_t t = (time_t)second;
        char text[SECOND_N + 1] = "";
        gmtime_r(&t, &tm);
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &tm);
        memcpy(push->stamp, text, SECOND_N);
        memcpy(push->stamp + SECOND_N + DIGITS, "Z ", 2);
        push->second = second;
    }
    for (size_t i = DIGITS; i > 0; i--) {
        push->stamp[SECOND_N + i - 1] = (char)('0' + rest % 10);
        rest /= 10;
    }
}

/* Are size more bytes of text within the limit? */
static bool fits(struct fl_push *push, size_t size)
{
    if (size > FL_PUSH_TEXT - push->text_n) {
        push->failed = FL_LIMIT;
    }
    push->text_n += push->failed ? 0 : size;
    return !push->failed;
}

static void add_line(struct fl_push *push, struct fl_push_stream *s, int64_t time_ns,
                     struct fl_str line)
{
    line.n -= line.n && line.p[line.n - 1] == '\r';
    bool stamped = time_ns > 0 && line.n && !has_time(line);
    size_t stamp_n = stamped ? STAMP_N : 0;
    if (!fits(push, stamp_n + line.n + 1)) {
        return;
    }
    char *p = fl_buf_room(&s->text, stamp_n + line.n + 1);
    if (!p) {
        push->failed = s->text.failed;
        return;
    }
    if (stamped) {
        write_stamp(push, time_ns);
        memcpy(p, push->stamp, STAMP_N);
    }
    if (line.n) {
        memcpy(p + stamp_n, line.p, line.n);
    }
    p[stamp_n + line.n] = '\n';
    s->text.n += stamp_n + line.n + 1;
    s->lines++;
    push->lines++;
}

static void add_lines(struct fl_push *push, struct fl_push_stream *s, int64_t time_ns,
                      struct fl_str text)
{
    do {
        const char *end = text.n ? memchr(text.p, '\n', text.n) : NULL;
        size_t n = end ? (size_t)(end - text.p) : text.n;
        add_line(push, s, time_ns, fl_str_head(text, n));
        text = fl_str_skip(text, end ? n + 1 : n);
    } while (text.n && !push->failed);
}

void fl_push_line(struct fl_push *push, int64_t time_ns, struct fl_str text)
{
    struct fl_push_stream *s = push->failed ? NULL : find_stream(push);
    if (s) {
        struct fl_str trace = fl_buf_str(&push->trace);
        if (text.n || !trace.n) {
            add_lines(push, s, time_ns, text);
        }
        if (trace.n && !fl_str_find(text, trace)) {
            add_lines(push, s, time_ns, trace);
        }
        push->accepted++;
    }
    forget_line(push);
}

void fl_push_textless(struct fl_push *push, int64_t time_ns)
{
    if (push->trace.n) {
        fl_push_line(push, time_ns, (struct fl_str){"", 0});
    } else {
        push->rejected++;
        forget_line(push);
    }
}

/* ---- the end ---- */

const struct fl_push_stream *fl_push_streams(const struct fl_push *push, size_t *n_r)
{
    *n_r = push->streams_n;
    return push->streams;
}

long fl_push_lines(const struct fl_push *push)
{
    return push->lines;
}

long fl_push_accepted(const struct fl_push *push)
{
    return push->accepted;
}

long fl_push_rejected(const struct fl_push *push)
{
    return push->rejected;
}

enum fl_status fl_push_end(const struct fl_push *push, struct fl_err *err)
{
    switch ((int)push->failed) {
    case FL_OK:
        return FL_OK;
    case FL_LIMIT:
        return fl_fail(err, FL_LIMIT, "the body holds more than %d streams or %d MiB of lines",
                       FL_PUSH_STREAMS, FL_PUSH_TEXT >> 20);
    default:
        return fl_fail(err, push->failed, "no memory for a pushed body");
    }
}

enum fl_status fl_push_end_json(const struct fl_push *push, const struct fl_jp *jp,
                                struct fl_err *err)
{
    enum fl_status status = fl_jp_status(jp, err);
    return status == FL_OK ? fl_push_end(push, err) : status;
}
