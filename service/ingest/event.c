/* SPDX-License-Identifier: Apache-2.0 */
#include "service/ingest/event.h"

#include <stdlib.h>

enum phase { FRAMES, MESSAGE };
enum { MESSAGE_LINES = 24, BOX_LINES = 120 };

enum fl_status fl_events_init(struct fl_events *events, fl_event_sink sink, void *ctx,
                              struct fl_err *err)
{
    *events = (struct fl_events){.sink = sink, .ctx = ctx};
    events->slots = calloc(FL_EVENTS_OPEN, sizeof *events->slots);
    if (!events->slots) {
        return fl_fail(err, FL_NOMEM, "no memory for joining lines");
    }
    for (size_t i = 0; i < FL_EVENTS_OPEN; i++) {
        fl_buf_init(&events->slots[i].text, FL_EVENT_BYTES);
    }
    return FL_OK;
}

void fl_events_fini(struct fl_events *events)
{
    for (size_t i = 0; events->slots && i < FL_EVENTS_OPEN; i++) {
        fl_buf_free(&events->slots[i].text);
    }
    free(events->slots);
    events->slots = NULL;
}

static void drop_event(struct fl_events *events, struct fl_event *e)
{
    fl_buf_clear(&e->text);
    e->n = 0;
    e->open = false;
    events->open_n--;
}

static void close_event(struct fl_events *events, struct fl_event *e)
{
    events->sink(events->ctx, e);
    drop_event(events, e);
}

static struct fl_event *find(struct fl_events *events, long key)
{
    for (size_t i = 0; i < FL_EVENTS_OPEN; i++) {
        if (events->slots[i].open && events->slots[i].key == key) {
            return &events->slots[i];
        }
    }
    return NULL;
}

static struct fl_event *oldest(struct fl_events *events)
{
    struct fl_event *found = NULL;
    for (size_t i = 0; i < FL_EVENTS_OPEN; i++) {
        struct fl_event *e = &events->slots[i];
        if (e->open && (!found || e->born < found->born)) {
            found = e;
        }
    }
    return found;
}

static struct fl_event *open_event(struct fl_events *events, long key)
{
    if (events->open_n == FL_EVENTS_OPEN) {
        close_event(events, oldest(events));
    }
    struct fl_event *e = events->slots;
    while (e->open) {
        e++;
    }
    e->open = true;
    e->key = key;
    e->phase = FRAMES;
    e->boxes = e->after = 0;
    e->born = events->clock++;
    events->open_n++;
    return e;
}

/* The older half of the lines goes. */
static void make_room(struct fl_event *e)
{
    size_t half = e->n / 2;
    uint32_t cut = e->lines[half].at;
    fl_buf_shift(&e->text, cut);
    memmove(e->lines, e->lines + half, (e->n - half) * sizeof *e->lines);
    e->n -= half;
    for (size_t i = 0; i < e->n; i++) {
        e->lines[i].at -= cut;
    }
}

static void add(struct fl_event *e, struct fl_str text, long number, uint64_t offset)
{
    enum { LINE_CAP = 4096 };
    text.n = text.n > LINE_CAP ? LINE_CAP : text.n;
    while (e->n == FL_EVENT_LINES || (e->n > 1 && e->text.n + text.n + 1 > FL_EVENT_BYTES)) {
        make_room(e);
    }
    if (e->n) {
        fl_buf_add_text(&e->text, "\n");
    }
    e->lines[e->n++] = (struct fl_event_line){(uint32_t)e->text.n, number, offset};
    fl_buf_add_str(&e->text, text);
}

static bool is_ruler(struct fl_str text)
{
    struct fl_str s = fl_str_trim(text);
    return s.n >= 20 && (*s.p == '=' || *s.p == '-') &&
           memcmp(s.p, s.p + 1, s.n - 1) == 0;
}

static bool links_chain(struct fl_str text)
{
    return fl_str_find(text, FL_LIT("During handling of the above exception")) ||
           fl_str_find(text, FL_LIT("The above exception was the direct cause"));
}

static bool is_frame(struct fl_str text)
{
    return fl_str_starts(fl_str_trim(text), FL_LIT("File \""));
}

/* "RuntimeError: ...", "pkg.mod.Error"; not "INFO: ...". */
static bool names_exception(struct fl_str text)
{
    size_t i = 0;
    bool lower = false;
    while (i < text.n && (fl_is_alpha(text.p[i]) || text.p[i] == '_' || text.p[i] == '.' ||
                          (i > 0 && fl_is_digit(text.p[i])))) {
        lower |= text.p[i] >= 'a' && text.p[i] <= 'z';
        i++;
    }
    return lower && i > 3 && (i == text.n || text.p[i] == ':');
}

/* A line in the message part: does the event go on with it? */
static bool goes_on(struct fl_event *e, struct fl_str text)
{
    if (is_ruler(text)) {
        e->boxes++;
        return e->boxes <= 4;
    }
    if (e->boxes > 0) {
        return e->boxes < 4 && e->after < BOX_LINES && e->text.n < FL_EVENT_BYTES;
    }
    if (e->after >= MESSAGE_LINES) {
        return false;
    }
    if (links_chain(text) || fl_str_trim(text).n == 0) {
        return true;
    }
    /* A new record begins with a bracket, a date, or a glog letter; a message goes on otherwise. */
    char c = text.p[0];
    bool glog = strchr("IWEF", c) && text.n > 4 && fl_is_digit(text.p[1]) && fl_is_digit(text.p[4]);
    return c != '[' && !(fl_is_digit(c) && text.n > 4 && fl_is_digit(text.p[3])) && !glog;
}

static void take(struct fl_events *events, struct fl_event *e, struct fl_str text, long number,
                 uint64_t offset)
{
    bool indented = text.n && fl_is_space(text.p[0]);
    bool blank = fl_str_trim(text).n == 0;
    if (e->phase == FRAMES) {
        if (e->headless && !indented && !blank && !is_frame(text) && !names_exception(text)) {
            drop_event(events, e); /* a stack that was shown, no more */
            return;
        }
        add(e, text, number, offset);
        /* The first line that is neither a frame nor its code ends the frames. */
        if (!indented && !blank && e->n > 1) {
            e->phase = MESSAGE;
            e->after = 0;
        }
        return;
    }
    e->after++;
    if (!goes_on(e, text)) {
        close_event(events, e);
        return;
    }
    add(e, text, number, offset);
}

void fl_events_feed(struct fl_events *events, long key, struct fl_str text, long number,
                    uint64_t offset, bool opens)
{
    struct fl_event *e = find(events, key);
    if (opens && !(e && is_frame(text))) {
        bool chained = false;
        for (size_t i = e ? e->n : 0; e && i > 0 && i + 4 > e->n; i--) {
            uint32_t at = e->lines[i - 1].at;
            chained |= links_chain(fl_str_skip(fl_buf_str(&e->text), at));
        }
        bool ignored = e && e->n == 1 &&
                       fl_str_starts(fl_buf_str(&e->text), FL_LIT("Exception ignored"));
        if (e && (chained || ignored)) {
            e->phase = FRAMES;
            add(e, text, number, offset);
            return;
        }
        if (e) {
            close_event(events, e);
        }
        e = open_event(events, key);
        e->headless = is_frame(text);
        add(e, text, number, offset);
    } else if (e) {
        take(events, e, text, number, offset);
    }
}

bool fl_events_expects_code(const struct fl_events *events, long key)
{
    for (size_t i = 0; events->open_n && i < FL_EVENTS_OPEN; i++) {
        const struct fl_event *e = &events->slots[i];
        if (e->open && e->key == key && e->phase == FRAMES && e->n) {
            struct fl_str last = fl_str_skip(fl_buf_str(&e->text), e->lines[e->n - 1].at);
            return fl_str_starts(last, FL_LIT("  File \""));
        }
    }
    return false;
}

bool fl_events_continues(const struct fl_events *events, long number, long *key_r)
{
    for (size_t i = 0; events->open_n && i < FL_EVENTS_OPEN; i++) {
        const struct fl_event *e = &events->slots[i];
        if (e->open && e->phase == FRAMES && e->n && e->lines[e->n - 1].number == number - 1) {
            *key_r = e->key;
            return true;
        }
    }
    return false;
}

void fl_events_end(struct fl_events *events)
{
    while (events->open_n) {
        close_event(events, oldest(events));
    }
}
