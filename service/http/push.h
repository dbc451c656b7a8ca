/* SPDX-License-Identifier: Apache-2.0 */
/* What a pushed body says, whatever its protocol: lines of streams of jobs. A decoder (push_*.c) reads the
 * body and tells of each stream by its labels, then of its lines; here the labels become job, stream,
 * rank and node, and the lines become text as it is kept. Nothing of a body is kept when a part of it
 * is malformed.
 * Owns: all texts. Limits: FL_PUSH_*. Threads: one. */
#pragma once
#include "service/base/buf.h"
#include "service/base/status.h"

#include <stdint.h>

enum {
    FL_PUSH_LABELS = 128,       /* of a stream; more are ignored */
    FL_PUSH_STREAMS = 2048,     /* of a body */
    FL_PUSH_TEXT = 64 << 20,    /* bytes of all lines of a body */
    FL_PUSH_JOB = 128,          /* bytes of a job's name, of A-Z a-z 0-9 . _ - */
    FL_PUSH_NAME = 200,         /* bytes of a stream's name */
    FL_PUSH_NODE = 128,
};

struct fl_push_stream {
    char job[FL_PUSH_JOB + 1];
    char name[FL_PUSH_NAME + 1]; /* tells streams of a job apart; "rank3", "train-0/main", "kernel" */
    char node[FL_PUSH_NODE + 1]; /* "": not known */
    long rank;                   /* -1: not known */
    struct fl_buf text;          /* whole lines, each with \n at its end */
    long lines;
};

/* What the address of the request says (?job= &rank= &node= &stream=); it wins over labels. */
struct fl_push_given {
    struct fl_str job;
    struct fl_str stream;
    struct fl_str node;
    long rank; /* -1: not said */
};

struct fl_push;

enum fl_status fl_push_new(const struct fl_push_given *given, struct fl_push **out,
                           struct fl_err *err) FL_MUST_USE;
void fl_push_free(struct fl_push *push);

/* For decoders. The lines that follow are of the stream with these labels (none: fl_push_begin alone). */
void fl_push_begin(struct fl_push *push);
void fl_push_label(struct fl_push *push, struct fl_str key, struct fl_str value);
/* time_ns: since 1970; 0: not known. It is put before a line that has no time of its own, as RFC 3339
 * in UTC. A \n in the text parts lines. Bytes go through as they are, NUL too. */
enum fl_status fl_push_line(struct fl_push *push, int64_t time_ns, struct fl_str text,
                            struct fl_err *err) FL_MUST_USE;

/* The streams that got lines. */
const struct fl_push_stream *fl_push_streams(const struct fl_push *push, size_t *n_r);
long fl_push_lines(const struct fl_push *push);
long fl_push_rejected(const struct fl_push *push); /* records without a text that can be used */
void fl_push_reject(struct fl_push *push);

/* The decoders. FL_SYNTAX names the place in the body (byte or line). */
typedef enum fl_status (*fl_push_decode)(struct fl_str body, struct fl_push *push,
                                         struct fl_err *err);
enum fl_status fl_push_loki_json(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_loki_proto(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_otlp_json(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_otlp_proto(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_bulk(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_records(struct fl_str body, struct fl_push *push, struct fl_err *err); /* NDJSON, array, object */
enum fl_status fl_push_text(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_journal(struct fl_str body, struct fl_push *push, struct fl_err *err);
/* One message of RFC 5424 or 3164, without its framing. */
enum fl_status fl_push_syslog(struct fl_str body, struct fl_push *push, struct fl_err *err);
