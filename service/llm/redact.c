/* SPDX-License-Identifier: Apache-2.0 */
/* One pass from left to right: at each word and mark a few matchers, chosen by what is found there,
 * may claim a stretch. A hit keeps its first bytes (a key name, "://") and replaces the rest. What one
 * replacement uncovers (a word boundary that was not there) is caught by passing again until
 * nothing changes. Hand-written rather than regular expressions: linear, no stack, no limits. */
#include "service/llm/redact.h"

#include "service/llm/redact_match.h"

#include <stdlib.h>

const char *fl_redact_kind_name(enum fl_redact_kind kind)
{
    static const char *const names[FL_REDACT_KINDS] = {"secret", "user", "ip", "email"};
    return names[kind];
}

size_t fl_redact_placeholder(struct fl_str s)
{
    for (size_t k = 0; k < FL_REDACT_KINDS && s.n && *s.p == '<'; k++) {
        struct fl_str name = fl_str_of(fl_redact_kind_name((enum fl_redact_kind)k));
        if (!fl_str_starts(fl_str_skip(s, 1), name)) {
            continue;
        }
        size_t n = 1 + name.n;
        if (n < s.n && s.p[n] == ':') {
            size_t digits = run(fl_str_skip(s, n + 1), fl_is_digit);
            n += digits ? 1 + digits : 0;
        }
        return n < s.n && s.p[n] == '>' ? n + 1 : 0;
    }
    return 0;
}

/* ---- the pass ---- */

/* At a byte that is no part of a word; c is what it spells. */
static bool match_mark(struct fl_redact *redact, const struct fl_redact_spot *spot, char c,
                       struct fl_redact_hit *hit)
{
    switch (c) {
    case '-':
        return fl_redact_match_block(redact, spot, hit) ||
               ((fl_is_space(spot->prev) || is_quote(spot->prev)) &&
                fl_redact_match_option(spot, hit));
    case ':':
        return fl_redact_match_userinfo(spot, hit);
    case '/':
    case '\\':
        return fl_redact_match_home(spot, hit);
    default:
        return false;
    }
}

/* At the beginning of a word. */
static bool match_word(struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str rest = rest_of(spot);
    spot->ident = fl_str_head(rest, run(fl_str_head(rest, FL_REDACT_IDENT), is_ident));
    return fl_redact_match_token(spot, hit) || fl_redact_match_value(spot, hit) ||
           (*rest.p == 'p' && fl_is_space(spot->prev) && fl_redact_match_option(spot, hit)) ||
           fl_redact_match_address(spot, hit);
}

static uint64_t hash_of(enum fl_redact_kind kind, struct fl_str value)
{
    uint64_t hash = 0xcbf29ce484222325U ^ (uint64_t)kind;
    for (size_t i = 0; i < value.n; i++) {
        hash = (hash ^ (unsigned char)value.p[i]) * 0x100000001b3U;
    }
    return hash;
}

/* The number of a value, 0 when there are too many. */
static uint32_t number_of(struct fl_redact *redact, enum fl_redact_kind kind, struct fl_str value)
{
    uint64_t hash = hash_of(kind, value);
    for (size_t i = 0; i < redact->values_n; i++) {
        if (redact->values[i].hash == hash && redact->values[i].kind == (uint32_t)kind) {
            return redact->values[i].number;
        }
    }
    if (redact->values_n == FL_REDACT_VALUES) {
        return 0;
    }
    size_t n = redact->values_n++;
    redact->values[n].hash = hash;
    redact->values[n].kind = (uint32_t)kind;
    redact->values[n].number = ++redact->last[kind];
    return redact->values[n].number;
}

/* The numbered form only where the output stays within twice what it stands for. */
static void add_placeholder(struct fl_redact *redact, const struct fl_redact_hit *hit,
                            struct fl_str value, struct fl_buf *out)
{
    uint32_t number = number_of(redact, hit->kind, value);
    redact->count[hit->kind]++;
    size_t begin = out->n;
    fl_buf_addf(out, "<%s:%u>", fl_redact_kind_name(hit->kind), number);
    if (number == 0 || out->n - begin > hit->keep + 2 * hit->drop) {
        if (out->failed == FL_OK) {
            out->n = begin;
            fl_buf_addf(out, "<%s>", fl_redact_kind_name(hit->kind));
        }
    }
}

static bool is_worth_it(const struct fl_redact_hit *hit)
{
    return strlen(fl_redact_kind_name(hit->kind)) + 2 <= hit->keep + 2 * hit->drop;
}

/* Steps over n bytes that end in, or spell, the character c. */
static void step(struct fl_redact_spot *spot, char c, size_t n)
{
    spot->at += n;
    spot->prev = c;
    if (c != '-') {
        spot->opener = c;
        spot->opener_n = n;
    }
}

/* Looks at what begins here and steps over it unless it is a hit. */
static bool find_hit(struct fl_redact *redact, struct fl_redact_spot *spot,
                     struct fl_redact_hit *hit)
{
    struct fl_str rest = rest_of(spot);
    char c = *rest.p;
    size_t n = run(rest, is_word);
    if (n) {
        if (!is_word(spot->prev) && match_word(spot, hit) && is_worth_it(hit)) {
            return true;
        }
        step(spot, rest.p[n - 1], n);
        return false;
    }
    n = c == '<' ? fl_redact_placeholder(rest) : 0;
    if (n) {
        step(spot, '>', n);
        return false;
    }
    n = fl_redact_char(rest, &c);
    if (match_mark(redact, spot, c, hit) && is_worth_it(hit)) {
        return true;
    }
    step(spot, c, n);
    return false;
}

/* Copies in to out with hits replaced; false, and nothing in out, when there are none. */
static bool pass(struct fl_redact *redact, struct fl_str in, struct fl_buf *out)
{
    size_t copied = 0;
    struct fl_redact_hit hit;
    struct fl_redact_spot spot = {
        .all = in, .prev = ' ', .opener = ' ', .has_at = in.n && memchr(in.p, '@', in.n)};
    while (spot.at < in.n) {
        if (find_hit(redact, &spot, &hit)) {
            struct fl_str value = {in.p + spot.at + hit.keep, hit.drop};
            fl_buf_add(out, in.p + copied, spot.at + hit.keep - copied);
            add_placeholder(redact, &hit, value, out);
            step(&spot, '>', hit.keep + hit.drop);
            copied = spot.at;
        }
    }
    if (copied) {
        fl_buf_add(out, in.p + copied, in.n - copied);
    }
    return copied > 0;
}

/* Copies in to out without escape sequences; false, and nothing in out, when there are none. */
static bool uncolour(struct fl_str in, struct fl_buf *out)
{
    size_t copied = 0;
    if (!memchr(in.p, '\x1b', in.n) && !memchr(in.p, '\\', in.n) && !memchr(in.p, '^', in.n)) {
        return false;
    }
    for (size_t i = 0; i < in.n;) {
        size_t n = fl_redact_colour(fl_str_skip(in, i));
        if (n) {
            fl_buf_add(out, in.p + copied, i - copied);
            copied = i + n;
        }
        i += n ? n : 1;
    }
    if (copied) {
        fl_buf_add(out, in.p + copied, in.n - copied);
    }
    return copied > 0;
}

/* The part of a key block in a line. */
static bool unkey(struct fl_redact *redact, struct fl_str in, struct fl_buf *out)
{
    size_t from = 0;
    size_t to = 0;
    if (!fl_redact_block_line(redact, in, &from, &to)) {
        return false;
    }
    struct fl_redact_hit hit = {0, to - from, FL_REDACT_SECRET};
    fl_buf_add(out, in.p, from);
    add_placeholder(redact, &hit, FL_LIT("key block"), out);
    fl_buf_add(out, in.p + to, in.n - to);
    return true;
}

void fl_redact_init(struct fl_redact *redact)
{
    *redact = (struct fl_redact){.values_n = 0};
}

/* What a step made of the text becomes the text; the other buffer is free then. */
struct stage {
    struct fl_str text;
    struct fl_buf buf[2];
    int next;
    enum fl_status status;
};

static struct fl_buf *room(struct stage *stage)
{
    fl_buf_clear(&stage->buf[stage->next]);
    return &stage->buf[stage->next];
}

static bool turn(struct stage *stage, bool changed)
{
    if (changed) {
        stage->text = fl_buf_str(&stage->buf[stage->next]);
        stage->status = stage->buf[stage->next].failed;
        stage->next ^= 1;
    }
    return changed && stage->status == FL_OK;
}

enum fl_status fl_redact_add(struct fl_redact *redact, struct fl_str text, struct fl_buf *out)
{
    enum { PASSES = 8 };
    struct stage s = {.text = text};
    for (int i = 0; i < 2; i++) {
        fl_buf_init(&s.buf[i], 2 * text.n + 4096);
    }
    bool more = text.n > 0;
    for (int i = 0; i < PASSES && more; i++) {
        more = turn(&s, uncolour(s.text, room(&s)));
        if (s.status == FL_OK && i == 0) {
            turn(&s, unkey(redact, s.text, room(&s)));
        }
        if (s.status == FL_OK) {
            more |= turn(&s, pass(redact, s.text, room(&s)));
        }
    }
    enum fl_status status = s.status == FL_OK ? fl_buf_add_str(out, s.text) : s.status;
    fl_buf_free(&s.buf[0]);
    fl_buf_free(&s.buf[1]);
    return status;
}

enum fl_status fl_redact_text(struct fl_str text, struct fl_buf *out, uint64_t *secrets_r)
{
    struct fl_redact *redact = malloc(sizeof *redact);
    enum fl_status status = redact ? FL_OK : FL_NOMEM;
    if (redact) {
        fl_redact_init(redact);
    }
    while (status == FL_OK && text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        status = fl_redact_add(redact, (struct fl_str){text.p, n}, out);
        if (status == FL_OK && nl) {
            status = fl_buf_add_text(out, "\n");
        }
        text = fl_str_skip(text, nl ? n + 1 : n);
    }
    if (secrets_r) {
        *secrets_r = redact ? redact->count[FL_REDACT_SECRET] : 0;
    }
    free(redact);
    return status;
}
