/* SPDX-License-Identifier: Apache-2.0 */
/* Nearly all bytes of such texts stand in strings, which are scanned eight at a time for what may
 * not go on: quote, backslash, control byte. Escapes are checked there, so that unescaping cannot
 * fail. */
#include "service/base/json_pull.h"

#include <stdint.h>

enum { REPLACEMENT = 0xfffd };

void fl_jp_init(struct fl_jp *jp, struct fl_str text)
{
    *jp = (struct fl_jp){.text = text.n ? text : FL_LIT("")};
    if (fl_str_starts(text, FL_LIT("\xef\xbb\xbf"))) {
        jp->at = 3;
    }
}

bool fl_jp_fault(struct fl_jp *jp, const char *what)
{
    if (!jp->fault) {
        jp->fault = what;
    }
    return false;
}

enum fl_status fl_jp_status(const struct fl_jp *jp, struct fl_err *err)
{
    return jp->fault ? fl_fail(err, FL_SYNTAX, "JSON: byte %zu: %s", jp->at, jp->fault) : FL_OK;
}

/* The next byte that is no blank, or NUL (which JSON has not) at the end. */
static char look(struct fl_jp *jp)
{
    for (; jp->at < jp->text.n; jp->at++) {
        char c = jp->text.p[jp->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
            return c;
        }
    }
    return '\0';
}

bool fl_jp_more(struct fl_jp *jp)
{
    return !jp->fault && (look(jp) != '\0' || jp->at < jp->text.n);
}

enum fl_jp_kind fl_jp_kind(struct fl_jp *jp)
{
    char c = jp->fault ? '\0' : look(jp);
    switch (c) {
    case '{':
        return FL_JP_OBJECT;
    case '[':
        return FL_JP_ARRAY;
    case '"':
        return FL_JP_STRING;
    case 't':
    case 'f':
    case 'n':
        return FL_JP_WORD;
    default:
        return c == '-' || fl_is_digit(c) ? FL_JP_NUMBER : FL_JP_NONE;
    }
}

bool fl_jp_enter(struct fl_jp *jp, enum fl_jp_kind kind)
{
    if (fl_jp_kind(jp) != kind) {
        return fl_jp_fault(jp,
                           kind == FL_JP_OBJECT ? "an object is expected" : "an array is expected");
    }
    if (jp->depth == FL_JP_DEPTH) {
        return fl_jp_fault(jp, "nested too deep");
    }
    jp->at++;
    jp->depth++;
    return jp->fresh = true;
}

static bool next(struct fl_jp *jp, char close)
{
    if (jp->fault) {
        return false;
    }
    bool fresh = jp->fresh;
    char c = look(jp);
    jp->fresh = false;
    if (c == close) {
        jp->at++;
        jp->depth--;
        return false;
    }
    if (!fresh && c != ',') {
        return fl_jp_fault(jp, "a comma or the end of an object or array is expected");
    }
    jp->at += !fresh;
    return true;
}

bool fl_jp_item(struct fl_jp *jp)
{
    return next(jp, ']');
}

bool fl_jp_key(struct fl_jp *jp, struct fl_jp_text *key_r)
{
    if (!next(jp, '}') || !fl_jp_string(jp, key_r)) {
        return false;
    }
    if (look(jp) != ':') {
        return fl_jp_fault(jp, "a colon is expected");
    }
    jp->at++;
    return true;
}

/* ---- strings ---- */

static bool ends_run(unsigned char c)
{
    return c < 0x20 || c == '"' || c == '\\';
}

/* Bytes at the front of s that simply go on. */
static size_t run(struct fl_str s)
{
    static const uint64_t ones = UINT64_C(0x0101010101010101);
    static const uint64_t high = UINT64_C(0x8080808080808080);
    size_t n = 0;
    for (uint64_t word; s.n - n >= sizeof word; n += sizeof word) {
        memcpy(&word, s.p + n, sizeof word);
        uint64_t quote = word ^ ones * '"';
        uint64_t slash = word ^ ones * '\\';
        uint64_t hit =
            ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((word - ones * 0x20) & ~word);
        if (hit & high) {
            break;
        }
    }
    while (n < s.n && !ends_run((unsigned char)s.p[n])) {
        n++;
    }
    return n;
}

static int hex(char c)
{
    return fl_is_digit(c)         ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool take_hex4(struct fl_str s, uint32_t *value_r)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = i < s.n ? hex(s.p[i]) : -1;
        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint32_t)digit;
    }
    *value_r = value;
    return true;
}

/* Bytes of the escape at the front of s (a backslash and what it says), or 0. */
static size_t escape_n(struct fl_str s)
{
    uint32_t point;
    if (s.n < 2) {
        return 0;
    }
    if (s.p[1] == 'u') {
        return take_hex4(fl_str_skip(s, 2), &point) ? 6 : 0;
    }
    return memchr("\"\\/bfnrt", s.p[1], 8) ? 2 : 0;
}

bool fl_jp_string(struct fl_jp *jp, struct fl_jp_text *text_r)
{
    if (fl_jp_kind(jp) != FL_JP_STRING) {
        return fl_jp_fault(jp, "a string is expected");
    }
    size_t from = ++jp->at;
    text_r->escaped = false;
    for (;;) {
        jp->at += run(fl_str_skip(jp->text, jp->at));
        struct fl_str rest = fl_str_skip(jp->text, jp->at);
        if (rest.n == 0) {
            return fl_jp_fault(jp, "the text ends within a string");
        }
        if (*rest.p == '"') {
            break;
        }
        size_t n = *rest.p == '\\' ? escape_n(rest) : 0;
        if (n == 0) {
            return fl_jp_fault(jp, *rest.p == '\\' ? "a bad escape" : "a control byte in a string");
        }
        text_r->escaped = true;
        jp->at += n;
    }
    text_r->raw = (struct fl_str){jp->text.p + from, jp->at - from};
    jp->at++;
    return true;
}

static void add_point(struct fl_buf *out, uint32_t point)
{
    char utf8[4];
    size_t n = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i > 1; i--) {
        utf8[i - 1] = (char)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    utf8[0] = (char)(heads[n] | point);
    fl_buf_add(out, utf8, n);
}

/* Steps over the escape at the front of *s; \ud83d\ude00 is one. */
static void add_escape(struct fl_str *s, struct fl_buf *out)
{
    static const char names[] = "bfnrt";
    static const char bytes[] = "\b\f\n\r\t";
    char c = s->p[1];
    if (c != 'u') {
        const char *name = memchr(names, c, sizeof names - 1);
        fl_buf_add(out, name ? bytes + (name - names) : s->p + 1, 1);
        *s = fl_str_skip(*s, 2);
        return;
    }
    uint32_t point = 0;
    uint32_t low = 0;
    take_hex4(fl_str_skip(*s, 2), &point);
    *s = fl_str_skip(*s, 6);
    if (point >= 0xd800 && point < 0xdc00 && fl_str_starts(*s, FL_LIT("\\u")) &&
        take_hex4(fl_str_skip(*s, 2), &low) && low >= 0xdc00 && low < 0xe000) {
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
        *s = fl_str_skip(*s, 6);
    }
    add_point(out, point >= 0xd800 && point < 0xe000 ? REPLACEMENT : point);
}

enum fl_status fl_jp_unescape(struct fl_jp_text text, struct fl_buf *out)
{
    struct fl_str s = text.raw;
    while (s.n) {
        const char *slash = text.escaped ? memchr(s.p, '\\', s.n) : NULL;
        size_t n = slash ? (size_t)(slash - s.p) : s.n;
        fl_buf_add(out, s.p, n);
        s = fl_str_skip(s, n);
        if (s.n) {
            add_escape(&s, out);
        }
    }
    return out->failed;
}

/* ---- other values ---- */

static bool digits(struct fl_jp *jp)
{
    size_t from = jp->at;
    while (jp->at < jp->text.n && fl_is_digit(jp->text.p[jp->at])) {
        jp->at++;
    }
    return jp->at > from;
}

static bool at(const struct fl_jp *jp, const char *any_of)
{
    return jp->at < jp->text.n && jp->text.p[jp->at] && strchr(any_of, jp->text.p[jp->at]);
}

static bool number(struct fl_jp *jp)
{
    jp->at += at(jp, "-");
    bool zero = at(jp, "0");
    size_t from = jp->at;
    bool good = digits(jp) && (!zero || jp->at == from + 1);
    if (good && at(jp, ".")) {
        jp->at++;
        good = digits(jp);
    }
    if (good && at(jp, "eE")) {
        jp->at++;
        jp->at += at(jp, "+-");
        good = digits(jp);
    }
    return good || fl_jp_fault(jp, "a bad number");
}

static bool word(struct fl_jp *jp)
{
    static const struct fl_str words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
    struct fl_str rest = fl_str_skip(jp->text, jp->at);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (fl_str_starts(rest, words[i])) {
            jp->at += words[i].n;
            return true;
        }
    }
    return fl_jp_fault(jp, "a value is expected");
}

static bool one(struct fl_jp *jp, enum fl_jp_kind kind)
{
    struct fl_jp_text text;
    switch (kind) {
    case FL_JP_OBJECT:
    case FL_JP_ARRAY:
        return fl_jp_enter(jp, kind);
    case FL_JP_STRING:
        return fl_jp_string(jp, &text);
    case FL_JP_NUMBER:
        return number(jp);
    case FL_JP_WORD:
        return word(jp);
    case FL_JP_NONE:
        break;
    }
    return fl_jp_fault(jp, "a value is expected");
}

struct fl_str fl_jp_skip(struct fl_jp *jp)
{
    uint64_t objects =
        0; /* which of the containers entered here are objects, the innermost lowest */
    int outside = jp->depth;
    (void)look(jp);
    size_t from = jp->at;
    do {
        int depth = jp->depth;
        struct fl_jp_text key;
        if (depth > outside && !(objects & 1 ? fl_jp_key(jp, &key) : fl_jp_item(jp))) {
            objects >>= 1;
            continue;
        }
        enum fl_jp_kind kind = fl_jp_kind(jp);
        if (one(jp, kind) && jp->depth > depth) {
            objects = objects << 1 | (kind == FL_JP_OBJECT);
        }
    } while (!jp->fault && jp->depth > outside);
    return (struct fl_str){jp->text.p + from, jp->fault ? 0 : jp->at - from};
}
