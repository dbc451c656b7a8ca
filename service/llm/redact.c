/* SPDX-License-Identifier: Apache-2.0 */
/* One pass from left to right: at each place a few matchers, chosen by the byte found there, may
 * claim a stretch. A hit keeps its first bytes (a key name, "://") and replaces the rest. What one
 * replacement uncovers (a word boundary that was not there) is caught by passing again until
 * nothing changes. Hand-written rather than regular expressions: linear, no stack, no limits. */
#include "service/llm/redact.h"

#include "service/llm/redact_match.h"

static const char *const kind_names[FL_REDACT_KINDS] = {"secret", "user", "ip", "email"};

size_t fl_redact_placeholder(struct fl_str s)
{
    for (size_t k = 0; k < FL_REDACT_KINDS && s.n && *s.p == '<'; k++) {
        struct fl_str name = fl_str_of(kind_names[k]);
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

static bool match_key_block(struct fl_redact *redact, const struct fl_redact_spot *spot,
                            struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    struct fl_str title = front(s, 64);
    if (!fl_str_starts(s, FL_LIT("-----BEGIN ")) || !fl_str_find(title, FL_LIT("PRIVATE KEY"))) {
        return false;
    }
    const char *end = fl_str_find(s, FL_LIT("-----END "));
    size_t n = s.n;
    if (end) {
        struct fl_str tail = fl_str_skip(s, (size_t)(end - s.p) + 9);
        const char *dashes = fl_str_find(front(tail, 64), FL_LIT("-----"));
        n = dashes ? (size_t)(dashes - s.p) + 5 : s.n;
    } else {
        redact->in_key_block = true;
    }
    *hit = (struct fl_redact_hit){0, n, FL_REDACT_SECRET};
    return true;
}

/* ---- the pass ---- */

static bool find_hit(struct fl_redact *redact, const struct fl_redact_spot *spot,
                     struct fl_redact_hit *hit)
{
    char c = spot->all.p[spot->at];
    switch (c) {
    case '-':
        return match_key_block(redact, spot, hit);
    case ':':
        return fl_redact_match_userinfo(spot, hit);
    case '/':
    case '\\':
        return fl_redact_match_home(spot, hit);
    default:
        break;
    }
    if (!is_word(c) || is_word(spot->prev)) {
        return false;
    }
    return fl_redact_match_secret(spot, hit) || fl_redact_match_address(spot, hit);
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
    size_t begin = out->n;
    fl_buf_addf(out, "<%s:%u>", kind_names[hit->kind], number);
    if (number == 0 || out->n - begin > hit->keep + 2 * hit->drop) {
        if (out->failed == FL_OK) {
            out->n = begin;
            fl_buf_addf(out, "<%s>", kind_names[hit->kind]);
        }
    }
}

static bool is_worth_it(const struct fl_redact_hit *hit)
{
    return strlen(kind_names[hit->kind]) + 2 <= hit->keep + 2 * hit->drop;
}

static void pass(struct fl_redact *redact, struct fl_str in, struct fl_buf *out)
{
    size_t copied = 0;
    struct fl_redact_spot spot = {in, 0, ' '};
    while (spot.at < in.n) {
        struct fl_redact_hit hit;
        size_t own = fl_redact_placeholder(rest_of(&spot));
        if (own) {
            spot.at += own;
            spot.prev = '>';
        } else if (find_hit(redact, &spot, &hit) && is_worth_it(&hit)) {
            fl_buf_add(out, in.p + copied, spot.at + hit.keep - copied);
            add_placeholder(redact, &hit, (struct fl_str){in.p + spot.at + hit.keep, hit.drop},
                            out);
            spot.at += hit.keep + hit.drop;
            copied = spot.at;
            spot.prev = '>';
        } else {
            char before = spot.prev;
            spot.prev = in.p[spot.at++];
            if (before == '\\' && strchr("nrt", spot.prev)) {
                spot.prev = ' '; /* an escaped line end or tab is no part of a word */
            }
        }
    }
    fl_buf_add(out, in.p + copied, in.n - copied);
}

/* A line of a key block whose beginning was fed before, or was not shown to us at all. */
static bool is_key_line(const struct fl_redact *redact, struct fl_str text)
{
    struct fl_str line = fl_str_trim(text);
    bool body = line.n > 0 && run(line, is_base64) == line.n;
    if (redact->in_key_block) {
        return body || fl_str_starts(line, FL_LIT("Proc-Type:")) ||
               fl_str_starts(line, FL_LIT("DEK-Info:"));
    }
    bool hex = run(line, is_hex) == line.n;
    return body && !hex && (line.n == 64 || line.n == 70 || line.n == 76) && looks_random(line) &&
           has_digit(line);
}

/* Takes what belongs to a key block off the front of *text; true when there was something. */
static bool take_key_part(struct fl_redact *redact, struct fl_str *text)
{
    if (redact->in_key_block) {
        const char *end = fl_str_find(*text, FL_LIT("-----END "));
        if (end) {
            struct fl_str tail = fl_str_skip(*text, (size_t)(end - text->p) + 9);
            const char *dashes = fl_str_find(tail, FL_LIT("-----"));
            *text = dashes ? fl_str_skip(tail, (size_t)(dashes - tail.p) + 5)
                           : fl_str_skip(tail, tail.n);
            redact->in_key_block = false;
            return true;
        }
    }
    if (is_key_line(redact, *text)) {
        *text = fl_str_skip(*text, text->n);
        return true;
    }
    redact->in_key_block = redact->in_key_block && fl_str_trim(*text).n == 0;
    return false;
}

void fl_redact_init(struct fl_redact *redact)
{
    *redact = (struct fl_redact){.values_n = 0};
}

enum fl_status fl_redact_add(struct fl_redact *redact, struct fl_str text, struct fl_buf *out)
{
    enum { PASSES = 8 };
    if (text.n == 0) {
        return FL_OK;
    }
    struct fl_buf now;
    struct fl_buf next;
    fl_buf_init(&now, 2 * text.n + 4096);
    fl_buf_init(&next, 2 * text.n + 4096);
    struct fl_str rest = text;
    if (take_key_part(redact, &rest)) {
        struct fl_redact_hit hit = {0, text.n - rest.n, FL_REDACT_SECRET};
        add_placeholder(redact, &hit, FL_LIT("key block"), &now);
    }
    pass(redact, rest, &now);
    for (int i = 0; i < PASSES; i++) {
        fl_buf_clear(&next);
        pass(redact, fl_buf_str(&now), &next);
        bool same = fl_str_eq(fl_buf_str(&now), fl_buf_str(&next));
        struct fl_buf swap = now;
        now = next;
        next = swap;
        if (same || now.failed != FL_OK || next.failed != FL_OK) {
            break;
        }
    }
    enum fl_status status = now.failed != FL_OK ? now.failed : next.failed;
    if (status == FL_OK) {
        status = fl_buf_add_str(out, fl_buf_str(&now));
    }
    fl_buf_free(&now);
    fl_buf_free(&next);
    return status;
}
