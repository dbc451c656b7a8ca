/* SPDX-License-Identifier: Apache-2.0 */
/* Lines that form one event: a Python traceback with its chain and its message, also when several
 * ranks print theirs into one stream in turn.
 * An event opens with the line "Traceback (most recent call last)", with the "Exception ignored" that
 * stands before it, or, where the log's beginning or that line is missing, with a frame; it ends with
 * the exception line and the lines that continue its message (among them the box of a ChildFailedError).
 * Limits: FL_EVENTS_OPEN at once (the oldest is closed for a new one), FL_EVENT_BYTES and
 * FL_EVENT_LINES each (the older half makes room: the end of a traceback says most).
 * Threads: one. */
#pragma once
#include "service/base/buf.h"

#include <stdint.h>

enum { FL_EVENTS_OPEN = 16, FL_EVENT_BYTES = 32 * 1024, FL_EVENT_LINES = 400 };

struct fl_event_line {
    uint32_t at; /* where the line begins in the event's text */
    long number;
    uint64_t offset;
};

struct fl_event {
    bool open;
    long key; /* rank, or what else tells apart who prints */
    struct fl_buf text; /* lines joined by \n, prefixes peeled */
    struct fl_event_line lines[FL_EVENT_LINES];
    size_t n;
    int phase;
    bool headless; /* it began with a frame */
    int boxes; /* rulers of a boxed message seen */
    int after; /* lines since the exception line */
    uint64_t born;
};

/* The event is complete; it is gone after the call. */
typedef void (*fl_event_sink)(void *ctx, const struct fl_event *event);

struct fl_events {
    struct fl_event *slots; /* FL_EVENTS_OPEN */
    size_t open_n;
    uint64_t clock;
    fl_event_sink sink;
    void *ctx;
};

enum fl_status fl_events_init(struct fl_events *events, fl_event_sink sink, void *ctx,
                              struct fl_err *err) FL_MUST_USE;
void fl_events_fini(struct fl_events *events); /* open events are dropped */

/* Offers a peeled line. `opens`: it holds a traceback's first line, or a frame. */
void fl_events_feed(struct fl_events *events, long key, struct fl_str text, long number,
                    uint64_t offset, bool opens);

/* Would the next line of this printer be code that a traceback quotes? */
bool fl_events_expects_code(const struct fl_events *events, long key);

/* Does line `number` follow directly on the frames of the one traceback whose last line was just
 * read? Then its printer's key goes to *key_r: a wrapped console may lose the prefix of the last
 * line, which tells the exception. */
bool fl_events_continues(const struct fl_events *events, long number, long *key_r);

/* Closes all that are open, oldest first. */
void fl_events_end(struct fl_events *events);
