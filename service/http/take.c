/* SPDX-License-Identifier: Apache-2.0 */
/* What is pushed: unpacked and decoded in the server's thread, written by the writer, and answered when it
 * is on disk, in the words of its protocol. */
#include "service/base/hash.h"
#include "service/http/push.h"
#include "service/http/serving.h"
#include "service/http/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { RECEIPT = 256, BULK_ITEMS = 200000, UNPACKED = 64 << 20 };

struct taking {
    struct fl_write write;
    struct fl_serve *serve;
    struct fl_http_request *request;
    enum fl_push_path path;
    struct fl_push *push;
    struct fl_buf unpacked;
    struct fl_jobs_part *parts;
    size_t parts_n;
    char receipt[RECEIPT];
    bool ends;
    bool placed; /* its one part is the body as it is */
    size_t bytes;
};

static const char *const protocols[] = {"ingest", "loki", "otlp", "bulk", "journal"};

static void free_taking(struct taking *t)
{
    if (t) {
        fl_push_free(t->push);
        fl_buf_free(&t->unpacked);
        free(t->parts);
        free(t);
    }
}

static bool is_proto(const struct fl_http_request *r)
{
    const char *type = fl_http_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    return type && strncasecmp(type, "application/x-protobuf", 22) == 0;
}

/* google.rpc.Status, in the request's own form. */
static void fail_otlp(struct fl_http_request *r, unsigned status, const char *why)
{
    struct fl_jw w;
    int code = status == 400 ? 3 : status == 413 || status == 429 ? 8 : 14;
    size_t n = strnlen(why, 120);
    fl_reply_json(r, status, &w);
    if (is_proto(r)) {
        const char head[] = {0x08, (char)code, 0x12, (char)n};
        r->type = "application/x-protobuf";
        fl_buf_add(&r->answer, head, sizeof head);
        fl_buf_add(&r->answer, why, n);
    } else {
        fl_jw_begin(&w, '{');
        fl_jw_key_int(&w, "code", code);
        fl_jw_key_text(&w, "message", why);
        fl_jw_end(&w, '}');
    }
    if (status == 503 || status == 507) {
        fl_http_set(r, "Retry-After", "1");
    }
}

static void fail(struct taking *t, enum fl_status status, const struct fl_err *err)
{
    unsigned code = fl_reply_status(status);
    code = code == 507 && t->path != FL_PUSH_AT_INGEST ? 503 : code; /* shippers know 503 */
    code = code == 500 ? 503 : code;
    if (t->path == FL_PUSH_AT_OTLP) {
        fail_otlp(t->request, code, err->msg);
    } else {
        fl_reply_problem(t->request, code, err->msg);
    }
}

static void acknowledge(struct taking *t)
{
    struct fl_http_request *r = t->request;
    struct fl_jw w;
    switch (t->path) {
    case FL_PUSH_AT_LOKI:
        fl_reply_empty(r, MHD_HTTP_NO_CONTENT);
        return;
    case FL_PUSH_AT_JOURNAL:
        fl_reply_text(r, MHD_HTTP_ACCEPTED, "OK.\n");
        return;
    case FL_PUSH_AT_OTLP:
        fl_reply_json(r, MHD_HTTP_OK, &w);
        if (is_proto(r)) {
            r->type = "application/x-protobuf"; /* an empty message */
        } else {
            fl_buf_add_text(&r->answer, "{}");
        }
        return;
    case FL_PUSH_AT_BULK:
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_http_set(r, "X-Elastic-Product", "Elasticsearch");
        fl_buf_add_text(&r->answer, "{\"took\":1,\"errors\":false,\"items\":[");
        long items = fl_push_accepted(t->push) + fl_push_rejected(t->push);
        for (long i = 0; items <= BULK_ITEMS && i < items; i++) { /* no shipper sends more at once */
            fl_buf_add_text(&r->answer, i ? ",{\"index\":{\"status\":201}}" : "{\"index\":{\"status\":201}}");
        }
        fl_buf_add_text(&r->answer, "]}");
        return;
    case FL_PUSH_AT_INGEST:
        fl_reply_json(r, MHD_HTTP_OK, &w);
        fl_jw_begin(&w, '{');
        fl_jw_key_int(&w, "accepted", t->placed ? t->parts[0].lines : fl_push_accepted(t->push));
        fl_jw_key_int(&w, "rejected", fl_push_rejected(t->push));
        fl_jw_key(&w, "jobs");
        fl_jw_begin(&w, '[');
        for (size_t i = 0; i < t->parts_n && i < 16; i++) {
            if (i == 0 || !fl_str_eq(t->parts[i].job, t->parts[i - 1].job)) {
                fl_jw_str(&w, t->parts[i].job);
            }
        }
        fl_jw_end(&w, ']');
        fl_jw_end(&w, '}');
        return;
    }
}

static void count(struct taking *t)
{
    const struct fl_counter_label label = {"protocol", protocols[t->path]};
    struct fl_counters *m = t->serve->counters;
    fl_counters_add(m, "faultline_ingest_bytes_total", &label, 1, (double)t->bytes);
    fl_counters_add(m, "faultline_ingest_lines_total", &label, 1, (double)(t->placed ? t->parts[0].lines : fl_push_lines(t->push)));
    fl_counters_add(m, "faultline_ingest_rejected_total", &label, 1, (double)fl_push_rejected(t->push));
}

static struct taking *taking_of(struct fl_write *write)
{
    return FL_WRITE_OF(write, struct taking, write);
}

static enum fl_status run(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct taking *t = taking_of(write);
    char trace[96];
    enum fl_status status =
        fl_jobs_add(jobs, t->parts, t->parts_n, fl_str_of(t->receipt), err);
    struct fl_str facts = fl_serve_trace(t->request, trace);
    for (size_t i = 0; status == FL_OK && (t->ends || facts.n) && i < t->parts_n; i++) {
        status = fl_jobs_note(jobs, t->parts[i].job, facts, t->ends, err);
    }
    return status;
}

static void done(struct fl_write *write, enum fl_status status, const struct fl_err *err)
{
    struct taking *t = taking_of(write);
    struct fl_http_request *r = t->request;
    if (status != FL_OK) {
        fail(t, status, err);
    } else {
        acknowledge(t);
        count(t);
        for (size_t i = 0; i < t->parts_n; i++) {
            if (t->parts[i].row) {
                fl_triage_grown(t->serve->triage, t->parts[i].row);
            }
            if (t->parts[i].row && t->ends) {
                fl_triage_over(t->serve->triage, t->parts[i].row);
            }
        }
    }
    free_taking(t);
    fl_http_wake(r);
}

static struct fl_push_given given_of(const struct fl_http_request *r)
{
    const char *job = fl_http_arg(r, "job");
    const char *node = fl_http_arg(r, "node");
    const char *stream = fl_http_arg(r, "stream");
    struct fl_str rank = fl_str_of(fl_http_arg(r, "rank"));
    struct fl_push_given given = {.job = fl_str_of(job ? job : ""),
                                  .stream = fl_str_of(stream ? stream : ""),
                                  .node = fl_str_of(node ? node : ""),
                                  .rank = -1};
    long n = -1;
    if (rank.n && fl_str_take_number(&rank, &n) && rank.n == 0) {
        given.rank = n;
    }
    return given;
}

/* The same key or body for another job or stream is another push. */
static uint64_t hash_given(const struct fl_http_request *r)
{
    static const char *const names[] = {"job", "stream", "rank", "node"};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = fl_http_arg(r, names[i]);
        hash = fl_hash(fl_str_of(text ? text : ""), hash + i + 1);
    }
    return hash;
}

/* A client that did not see the answer sends the same again. Where it names its push, or each line has its
 * own time, it is known by that. A key that comes with another body names another push: nothing is lost. */
static void set_receipt(struct taking *t, struct fl_str body)
{
    const char *key = fl_http_header(t->request, "Idempotency-Key");
    bool named = key && *key;
    bool timed = t->path == FL_PUSH_AT_LOKI || t->path == FL_PUSH_AT_OTLP || t->path == FL_PUSH_AT_JOURNAL;
    uint64_t whose = fl_hash(fl_str_of(named ? key : ""), hash_given(t->request));
    if (named || timed) {
        snprintf(t->receipt, sizeof t->receipt, "%s %s %016llx %zx %016llx%016llx", named ? "key" : "body",
                 named ? t->request->token : protocols[t->path], (unsigned long long)whose, body.n,
                 (unsigned long long)fl_hash(body, 1), (unsigned long long)fl_hash(body, 2));
    }
}

static enum fl_status make_parts(struct taking *t, struct fl_err *err)
{
    size_t n = 0;
    const struct fl_push_stream *streams = fl_push_streams(t->push, &n);
    t->parts = calloc(n + 1, sizeof *t->parts);
    if (!t->parts) {
        return fl_fail(err, FL_NOMEM, "no memory for a push");
    }
    for (size_t i = 0; i < n; i++) {
        struct fl_str text = fl_buf_str(&streams[i].text);
        t->parts[i] = (struct fl_jobs_part){.job = fl_str_of(streams[i].job),
                                            .stream = fl_str_of(streams[i].name),
                                            .node = fl_str_of(streams[i].node),
                                            .rank = streams[i].rank,
                                            .text = text,
                                            .lines = streams[i].lines,
                                            .offset = -1};
        t->bytes += text.n;
    }
    t->parts_n = n;
    return FL_OK;
}

/* ?offset=N: these very bytes, from there on (NULL: at the end); what a stream is called is not in them. */
static enum fl_status place_bytes(struct taking *t, const char *offset, struct fl_str body,
                                  struct fl_err *err)
{
    char *end = NULL;
    errno = 0;
    long long at = offset ? strtoll(offset, &end, 10) : -1;
    if (offset && (errno || *end || end == offset || at < 0)) {
        return fl_fail(err, FL_USAGE, "offset=%.40s: give the number of bytes of the stream before these",
                       offset);
    }
    enum fl_status status = fl_push_text(FL_LIT("\n"), t->push, err);
    if (status == FL_OK) {
        free(t->parts);
        status = make_parts(t, err);
    }
    if (status == FL_OK && t->parts_n == 1) {
        t->parts[0].text = body;
        t->parts[0].offset = at;
        t->placed = true;
        t->parts[0].lines = 0;
        for (size_t i = 0; i < body.n; i++) {
            t->parts[0].lines += body.p[i] == '\n';
        }
        t->bytes = body.n;
    }
    return status;
}

static enum fl_status unpack(struct taking *t, struct fl_str *body, struct fl_err *err)
{
    struct fl_http_request *r = t->request;
    const char *encoding = fl_http_header(r, MHD_HTTP_HEADER_CONTENT_ENCODING);
    const char *type = fl_http_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    struct fl_str encodings = fl_str_of(encoding ? encoding : "");
    struct fl_str packed = fl_buf_str(&r->body);
    if (fl_push_is_snappy(t->path, fl_str_of(type ? type : ""), packed) && !encodings.n) {
        encodings = FL_LIT("snappy");
    }
    enum fl_status status = fl_unpack(packed, encodings, &t->unpacked, body, err);
    if (status == FL_OK && t->unpacked.n && !fl_http_hold(r, t->unpacked.n)) {
        status = fl_fail(err, FL_UNAVAILABLE, "busy; try again in a second");
    }
    return status;
}

static enum fl_status decode(struct taking *t, struct fl_err *err)
{
    struct fl_http_request *r = t->request;
    struct fl_str body;
    const char *type = fl_http_header(r, MHD_HTTP_HEADER_CONTENT_TYPE);
    const char *offset = t->path == FL_PUSH_AT_INGEST ? fl_http_arg(r, "offset") : NULL;
    const struct fl_push_given given = given_of(r);
    enum fl_status status = unpack(t, &body, err);
    if (status == FL_OK) {
        status = fl_push_new(&given, &t->push, err);
    }
    if (status != FL_OK) {
        return status;
    }
    set_receipt(t, body);
    if (offset) {
        return place_bytes(t, offset, body, err);
    }
    fl_push_decode how = fl_push_choose(t->path, fl_str_of(type ? type : ""), body);
    if (!how) {
        fl_reply_problem(r, 415, "this type of content is not taken here");
        return FL_USAGE;
    }
    status = how(body, t->push, err);
    if (status == FL_OK) {
        status = make_parts(t, err);
    }
    /* An end without a line is one, too. */
    return status == FL_OK && t->parts_n == 0 && t->ends && given.job.n ? place_bytes(t, NULL, FL_LIT(""), err)
                                                                       : status;
}

static void take(struct fl_serve *s, struct fl_http_request *r, enum fl_push_path path)
{
    struct fl_err err = {0};
    struct taking *t = calloc(1, sizeof *t);
    if (!t) {
        fl_reply_problem(r, 503, "no memory; try again in a second");
        return;
    }
    const char *end = fl_http_arg(r, "end");
    *t = (struct taking){.write = {.run = run, .done = done, .yields = true}, .serve = s, .request = r, .path = path,
                         .ends = end && strcmp(end, "0") != 0};
    fl_buf_init(&t->unpacked, UNPACKED);
    enum fl_status status = decode(t, &err);
    if (!t->placed) { /* the lines are copies */
        fl_buf_free(&r->body);
        fl_buf_free(&t->unpacked);
    }
    if (status == FL_OK && t->parts_n) {
        t->write.bytes = t->bytes + sizeof *t;
        fl_http_later(r);
        status = fl_writer_submit(s->writer, &t->write, &err);
        if (status == FL_OK) {
            return;
        }
        fail(t, status, &err);
        fl_http_wake(r);
    } else if (status == FL_OK) {
        acknowledge(t);
    } else if (r->status == 0) {
        fail(t, status, &err);
    }
    free_taking(t);
}

void fl_take_ingest(struct fl_serve *s, struct fl_http_request *r)
{
    take(s, r, FL_PUSH_AT_INGEST);
}

void fl_take_loki(struct fl_serve *s, struct fl_http_request *r)
{
    take(s, r, FL_PUSH_AT_LOKI);
}

void fl_take_otlp(struct fl_serve *s, struct fl_http_request *r)
{
    take(s, r, FL_PUSH_AT_OTLP);
}

void fl_take_bulk(struct fl_serve *s, struct fl_http_request *r)
{
    take(s, r, FL_PUSH_AT_BULK);
}

void fl_take_journal(struct fl_serve *s, struct fl_http_request *r)
{
    take(s, r, FL_PUSH_AT_JOURNAL);
}
