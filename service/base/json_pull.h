/* SPDX-License-Identifier: Apache-2.0 */
/* JSON read front to back, a value at a time, without a tree: for bodies of many megabytes. Strict
 * (RFC 8259), but bytes that are no UTF-8 go through, and \ud800 without its partner becomes
 * U+FFFD. Several values may follow one another (NDJSON). The first fault sticks: all calls after
 * it say "nothing more", so that loops end and fl_jp_status is asked once. A copy of struct fl_jp
 * is a place to come back to. Borrows: the text; slices point into it. Limit: FL_JP_DEPTH levels.
 * Threads: no state of its own.
 *
 *     for (struct fl_jp_text key; fl_jp_key(&jp, &key);) {
 *         if (fl_jp_is(key, FL_LIT("log"))) { fl_jp_string(&jp, &log); } else { fl_jp_skip(&jp); }
 *     } */
#pragma once
#include "service/base/buf.h"

enum { FL_JP_DEPTH = 64 };

enum fl_jp_kind {
    FL_JP_NONE, /* the text ends here, or something that begins no value */
    FL_JP_OBJECT,
    FL_JP_ARRAY,
    FL_JP_STRING,
    FL_JP_NUMBER,
    FL_JP_WORD, /* true, false, null */
};

struct fl_jp {
    struct fl_str text;
    size_t at;
    int depth;
    bool fresh;        /* a container was entered, no member read yet */
    const char *fault; /* what is wrong at `at` */
};

/* What stands between the quotes. */
struct fl_jp_text {
    struct fl_str raw;
    bool escaped; /* holds backslashes: fl_jp_unescape gives what is meant */
};

void fl_jp_init(struct fl_jp *jp, struct fl_str text);

/* FL_OK, or FL_SYNTAX with the byte. */
enum fl_status fl_jp_status(const struct fl_jp *jp, struct fl_err *err);

/* Calls what comes next wrong, unless something is wrong already. False, for the caller's return.
 */
bool fl_jp_fault(struct fl_jp *jp, const char *what);

/* Does another value follow, outside of all containers? */
bool fl_jp_more(struct fl_jp *jp);

/* What kind of value comes next. */
enum fl_jp_kind fl_jp_kind(struct fl_jp *jp);

/* Steps into the object or array that comes next; anything else is a fault. */
bool fl_jp_enter(struct fl_jp *jp, enum fl_jp_kind kind);

/* To the next member of the object (its value comes next) or the next element of the array that was
 * entered last. False behind the last one: the container is left. */
bool fl_jp_key(struct fl_jp *jp, struct fl_jp_text *key_r);
bool fl_jp_item(struct fl_jp *jp);

/* The string that comes next; anything else is a fault. */
bool fl_jp_string(struct fl_jp *jp, struct fl_jp_text *text_r);

/* Steps over a value of any kind; its bytes. */
struct fl_str fl_jp_skip(struct fl_jp *jp);

/* A key written with escapes equals no literal. */
static inline bool fl_jp_is(struct fl_jp_text text, struct fl_str literal)
{
    return fl_str_eq(text.raw, literal);
}

/* Appends what is meant. FL_OK, FL_LIMIT or FL_NOMEM. */
enum fl_status fl_jp_unescape(struct fl_jp_text text, struct fl_buf *out);
