/* SPDX-License-Identifier: Apache-2.0 */
/* A one-pass reader of the pattern text. A sequence is a run of elements; each element is a plain
 * byte, a group (whose own set is found by the same reader, one level down) or something opaque.
 * The best set of a sequence is the best of its runs of plain bytes and of its groups; an
 * alternation has a set only when each branch has one. Anything unusual (conditionals, verbs,
 * recursion, \Q, x-mode) gives up: the answer is then "none". */
#include "rules/match/literals.h"

#include "rules/match/quantifier.h"

#include <limits.h>

enum { DEPTH_MAX = 12 };

struct reader {
    const char *p;
    const char *end;
    bool caseless;
    const struct fl_grams *grams;
    bool unsure; /* met something it does not know: no literals at all */
};

static void take_set(struct reader *r, int depth, struct fl_literals *out);

static unsigned gram(const char *p)
{
    uint32_t word = 0;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        c = fl_is_digit((char)c) ? '0' : c;
        word = word << 8 | (c >= 'A' && c <= 'Z' ? c + 32U : c);
    }
    return (word * 2654435761U) >> 17;
}

void fl_grams_add(struct fl_grams *grams, struct fl_str text)
{
    for (size_t i = 0; i + 4 <= text.n; i++) {
        uint16_t *count = &grams->count[gram(text.p + i)];
        *count = (uint16_t)(*count + (*count < UINT16_MAX));
    }
}

/* At most so often does the literal occur in routine text. */
static int frequency(const struct fl_grams *grams, const struct fl_literal *lit)
{
    int least = 40;
    for (size_t i = 0; grams && i + 4 <= lit->n; i++) {
        int count = grams->count[gram(lit->bytes + i)];
        least = count < least ? count : least;
    }
    return grams ? least : 0;
}

/* Rare in routine text first; then long, of bytes that say much. */
static int worth(const struct fl_grams *grams, const struct fl_literal *lit)
{
    static const bool common[UCHAR_MAX + 1] = {
        ['e'] = true, ['t'] = true, ['a'] = true, ['o'] = true, ['i'] = true, ['n'] = true,
        ['s'] = true, ['r'] = true, [' '] = true, ['.'] = true, ['/'] = true, ['='] = true,
        [':'] = true, ['-'] = true, ['_'] = true, ['0'] = true};
    int sum = 0;
    for (size_t i = 0; i < lit->n; i++) {
        char c = lit->bytes[i];
        bool upper = c >= 'A' && c <= 'Z';
        sum += common[(unsigned char)c] ? 2 : upper && !lit->caseless ? 4 : 3;
    }
    return 1000 * (41 - frequency(grams, lit)) + sum;
}

static void add_all(struct fl_literals *to, const struct fl_literals *from)
{
    memcpy(to->item + to->n, from->item, from->n * sizeof *from->item);
    to->worth = to->n && to->worth < from->worth ? to->worth : from->worth;
    to->n += from->n;
}

static void keep_better(struct fl_literals *best, const struct fl_literals *other)
{
    if (other->worth > best->worth) {
        best->n = 0;
        add_all(best, other);
    }
}

static void keep_run(const struct reader *r, struct fl_literals *best, struct fl_literal *run)
{
    int value = run->n >= FL_LITERAL_MIN ? worth(r->grams, run) : 0;
    if (value > best->worth) {
        best->item[0] = *run;
        best->n = 1;
        best->worth = value;
    }
    run->n = 0;
}

/* Steps over a quantifier, or several (a{2}{3}); must the element occur? */
static bool take_quantifier(struct reader *r, bool *repeats_r)
{
    bool needed = true;
    struct fl_quantifier q;
    *repeats_r = false;
    do { /* behind a broken piece the cursor may stand past the end */
        q = fl_quantifier_at((struct fl_str){r->p, r->p < r->end ? (size_t)(r->end - r->p) : 0});
        r->p += q.n;
        r->unsure |= q.unsure;
        *repeats_r |= q.n > 0;
        needed &= q.needed;
    } while (q.n);
    return needed;
}

static void skip_class(struct reader *r)
{
    r->p++; /* [ */
    if (r->p < r->end && *r->p == '^') {
        r->p++;
    }
    if (r->p < r->end && *r->p == ']') {
        r->p++;
    }
    while (r->p < r->end && *r->p != ']') {
        if (*r->p == '\\') {
            r->p++;
        } else if (*r->p == '[' && r->p + 1 < r->end && r->p[1] == ':') {
            const char *close = memmem(r->p, (size_t)(r->end - r->p), ":]", 2);
            r->p = close ? close + 1 : r->end - 1;
        }
        r->p++;
    }
    r->p++;
}

/* The head of a group, from '(' on: steps over it. False for groups whose content says nothing
 * about the text at this place (look-around) or that this reader does not know. */
static bool take_group_head(struct reader *r, bool *options_r)
{
    *options_r = false;
    r->p++; /* ( */
    if (r->p >= r->end || *r->p != '?') {
        if (r->p < r->end && *r->p == '*') {
            r->unsure = true;
        }
        return true;
    }
    r->p++;
    char c = r->p < r->end ? *r->p : '\0';
    char d = r->p + 1 < r->end ? r->p[1] : '\0';
    if (c == ':' || c == '>') {
        r->p++;
        return true;
    }
    if (c == '=' || c == '!' || (c == '<' && (d == '=' || d == '!'))) {
        r->p += c == '<' ? 2 : 1;
        return false;
    }
    if (c == '<' || (c == 'P' && d == '<') || c == '\'') {
        struct fl_str rest = fl_str_skip((struct fl_str){r->p, (size_t)(r->end - r->p)}, 1);
        const char *close =
            rest.n > 1 ? memchr(rest.p + 1, c == '\'' ? '\'' : '>', rest.n - 1) : NULL;
        r->p = close ? close + 1 : r->end;
        r->unsure |= !close;
        return true;
    }
    bool off = false;
    for (; r->p < r->end && *r->p != ')' && *r->p != ':'; r->p++) {
        off |= *r->p == '-';
        if (*r->p == 'i') {
            r->caseless = !off;
        } else if (*r->p != '-' && *r->p != 'm' && *r->p != 's') {
            r->unsure = true;
        }
    }
    *options_r = r->p < r->end && *r->p == ')';
    r->p++;
    return true;
}

/* A backslash escape: true when it is one plain byte. */
static bool take_escape(struct reader *r, char *byte_r)
{
    r->p++;
    char c = r->p < r->end ? *r->p : '\0';
    r->p++;
    if (c == 'Q' || c == 'E' || c == 'c' || c == 'o' || c == 'g' || c == 'k' || c == 'x' ||
        c == 'N' || c == 'p' || c == 'P' || fl_is_digit(c)) {
        r->unsure = true;
        return false;
    }
    if (c == 't') {
        *byte_r = '\t';
        return true;
    }
    *byte_r = c;
    return !fl_is_alpha(c) && c != '\0';
}

static void take_group(struct reader *r, int depth, struct fl_literals *best,
                       struct fl_literal *run)
{
    bool outer = r->caseless;
    bool options = false;
    bool counts = take_group_head(r, &options);
    if (options) { /* (?i) holds for the rest of the enclosing group */
        keep_run(r, best, run);
        return;
    }
    struct fl_literals inner;
    take_set(r, depth + 1, &inner);
    r->caseless = outer;
    if (r->p < r->end) {
        r->p++; /* ) */
    }
    bool repeats = false;
    bool needed = take_quantifier(r, &repeats);
    keep_run(r, best, run);
    if (counts && needed) {
        keep_better(best, &inner);
    }
}

static void take_byte(struct reader *r, char byte, struct fl_literals *best,
                      struct fl_literal *run)
{
    bool repeats = false;
    bool needed = take_quantifier(r, &repeats);
    if (!needed) {
        keep_run(r, best, run);
        return;
    }
    if (run->n == FL_LITERAL_MAX) {
        keep_run(r, best, run);
    }
    run->caseless = run->n ? run->caseless || r->caseless : r->caseless;
    run->bytes[run->n++] = fl_is_digit(byte) ? '0' : byte;
    if (repeats) {
        keep_run(r, best, run);
    }
}

/* One branch of an alternation, up to '|' or ')' or the end. */
static void take_branch(struct reader *r, int depth, struct fl_literals *best)
{
    struct fl_literal run = {.n = 0};
    bool repeats = false;
    char byte = '\0';
    while (r->p < r->end && *r->p != '|' && *r->p != ')' && !r->unsure) {
        switch (*r->p) {
        case '(':
            if (depth >= DEPTH_MAX) {
                r->unsure = true;
                break;
            }
            take_group(r, depth, best, &run);
            break;
        case '[':
            skip_class(r);
            keep_run(r, best, &run);
            take_quantifier(r, &repeats);
            break;
        case '\\':
            if (take_escape(r, &byte)) {
                take_byte(r, byte, best, &run);
            } else {
                keep_run(r, best, &run);
                take_quantifier(r, &repeats);
            }
            break;
        case '.':
        case '^':
        case '$':
            r->p++;
            keep_run(r, best, &run);
            take_quantifier(r, &repeats);
            break;
        default:
            byte = *r->p++;
            take_byte(r, byte, best, &run);
        }
    }
    keep_run(r, best, &run);
}

static void take_set(struct reader *r, int depth, struct fl_literals *out)
{
    bool complete = true;
    struct fl_literals branch;
    out->n = 0;
    out->worth = 0;
    for (;;) {
        branch.n = 0;
        branch.worth = 0;
        take_branch(r, depth, &branch);
        if (branch.n == 0 || out->n + branch.n > FL_LITERALS_MAX) {
            complete = false;
        } else if (complete) {
            add_all(out, &branch);
        }
        if (r->p >= r->end || *r->p != '|' || r->unsure) {
            break;
        }
        r->p++;
    }
    if (!complete) {
        out->n = 0;
        out->worth = 0;
    }
}

void fl_literals_of(struct fl_str pattern, const struct fl_grams *grams, struct fl_literals *out)
{
    struct reader r = {.p = pattern.p, .end = pattern.p + pattern.n, .grams = grams};
    take_set(&r, 0, out);
    if (r.unsure || r.p < r.end) {
        out->n = 0;
        out->worth = 0;
    }
}
