/* SPDX-License-Identifier: Apache-2.0 */
/* What a pushed body says, whatever its protocol: lines of streams of jobs. A decoder (push_*.c)
 * reads the body and tells what is said about each line, then the line; here that becomes job,
 * stream, rank and node, and the lines become text as it is kept. Nothing of a body counts when a
 * part of it is malformed: the caller then drops all of it. Owns: all texts. Limits: FL_PUSH_*.
 * Threads: one. */
#pragma once
#include "service/base/buf.h"
#include "service/base/status.h"

#include <stdint.h>

enum {
    FL_PUSH_STREAMS = 2048,   /* of a body */
    FL_PUSH_TEXT = 128 << 20, /* bytes of all lines of a body, times put before them included */
    FL_PUSH_JOB = 128,        /* bytes of a job's name, of A-Z a-z 0-9 . _ - */
    FL_PUSH_NAME = 200,       /* bytes of a stream's name */
    FL_PUSH_NODE = 128,
    FL_PUSH_RANK_MAX = 9999999,
};

struct fl_push_stream {
    char job[FL_PUSH_JOB + 1]; /* "node.HOST" when nothing but the host is known, else "unnamed" */
    char name[FL_PUSH_NAME +
              1]; /* tells streams of a job apart; "rank3", "train-0/main", "kernel" */
    char node[FL_PUSH_NODE + 1]; /* "": not known */
    long rank;                   /* -1: not known */
    long local_rank;             /* -1: not known */
    struct fl_buf text;          /* whole lines, each with \n at its end */
    long lines;
};

/* What the address of the request says (?job= &rank= &node= &stream=); it wins over what the body
 * says. Empty, -1: not said. */
struct fl_push_given {
    struct fl_str job;
    struct fl_str stream;
    struct fl_str node;
    long rank;
};

struct fl_push;

/* Borrows what `given` points to. */
enum fl_status fl_push_new(const struct fl_push_given *given, struct fl_push **out,
                           struct fl_err *err) FL_MUST_USE;
void fl_push_free(struct fl_push *push);

/* The streams that got lines, in the order of their first ones. */
const struct fl_push_stream *fl_push_streams(const struct fl_push *push, size_t *n_r);
long fl_push_lines(const struct fl_push *push);
long fl_push_accepted(
    const struct fl_push *push); /* records that gave lines; of text/plain, lines */
long fl_push_rejected(const struct fl_push *push); /* records without a text that can be used */

/* A decoder of a whole body. FL_SYNTAX names the place in it; FL_LIMIT: too many streams or bytes.
 */
typedef enum fl_status (*fl_push_decode)(struct fl_str body, struct fl_push *push,
                                         struct fl_err *err);
enum fl_status fl_push_loki_json(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_loki_proto(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_otlp_json(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_otlp_proto(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_bulk(struct fl_str body, struct fl_push *push, struct fl_err *err);
/* NDJSON, an array, one object, objects one behind the other. */
enum fl_status fl_push_records(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_text(struct fl_str body, struct fl_push *push, struct fl_err *err);
enum fl_status fl_push_journal(struct fl_str body, struct fl_push *push, struct fl_err *err);
/* One message of RFC 5424 or 3164, without its framing. */
enum fl_status fl_push_syslog(struct fl_str body, struct fl_push *push, struct fl_err *err);

/* Where a body was sent to. */
enum fl_push_path {
    FL_PUSH_AT_INGEST,
    FL_PUSH_AT_LOKI,
    FL_PUSH_AT_OTLP,
    FL_PUSH_AT_BULK,
    FL_PUSH_AT_JOURNAL,
};

/* The decoder for what is sent there with this Content-Type ("": none), unpacked; NULL: no such
 * type is taken (415). What says text is text, even if JSON is in it; what says nothing is looked
 * at. */
fl_push_decode fl_push_choose(enum fl_push_path path, struct fl_str content_type,
                              struct fl_str body);

/* Is the body a snappy block that no Content-Encoding tells of? (Loki's protobuf is.) */
bool fl_push_is_snappy(enum fl_push_path path, struct fl_str content_type, struct fl_str body);
