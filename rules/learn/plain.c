/* SPDX-License-Identifier: Apache-2.0 */
/* A recursive reader that sums up each part: the fewest literal bytes on any way through it, and how
 * much text of any kind (blanks and letters both) may come before the first and after the last of
 * them. Alternatives are as weak as their weakest. */
#include "rules/learn/plain.h"

enum { DEPTH_MAX = 12, MANY = 1 << 20 };

struct part {
    long literals;
    long head; /* bytes of any text before the first literal; all of it when there is none */
    long tail;
    bool starts; /* anchored */
    bool ends;
    bool consumes; /* more than the empty text */
    bool blank;    /* may hold a blank ... */
    bool alpha;    /* ... a letter */
};

struct reader {
    const char *p;
    const char *end;
    char last; /* the literal before, and how often: a line of dashes is not 80 literals */
    int runs;
    const char *fault;
};

static long most(long a, long b)
{
    return a > b ? a : b;
}

static long times(long a, long b)
{
    return a && b > MANY / a ? MANY : a * b;
}

static bool at(const struct reader *r, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(r->end - r->p) >= n && memcmp(r->p, text, n) == 0;
}

static struct part refuse(struct reader *r, const char *why)
{
    r->fault = r->fault ? r->fault : why;
    r->p = r->end;
    return (struct part){.literals = 0};
}

static struct part literal(struct reader *r, char c)
{
    bool blank = fl_is_space(c);
    r->runs = c == r->last ? r->runs + 1 : 1;
    struct part part = {.literals = blank || r->runs > 2 ? 0 : 1, .consumes = true,
                        .blank = blank, .alpha = fl_is_alpha(c)};
    r->last = c;
    return part;
}

static struct part set(bool blank, bool alpha)
{
    long any = blank && alpha;
    return (struct part){.head = any, .tail = any, .consumes = true, .blank = blank,
                         .alpha = alpha};
}

static int hex_digit(char c)
{
    return fl_is_digit(c) ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* Behind "\x": two digits of a byte. */
static bool take_hex(struct reader *r, char *out)
{
    int high = r->end - r->p >= 2 ? hex_digit(r->p[0]) : -1;
    int low = high >= 0 ? hex_digit(r->p[1]) : -1;
    if (low < 0) {
        return false;
    }
    *out = (char)(high * 16 + low);
    r->p += 2;
    return true;
}

/* A byte that is written with a backslash; p is behind it. */
static bool take_escaped_byte(struct reader *r, char *out)
{
    static const char letters[] = "tnrfae";
    static const char bytes[] = "\t\n\r\f\a\x1b";
    char c = r->p < r->end ? *r->p++ : '\0';
    const char *known = c ? strchr(letters, c) : NULL;
    if (c == 'x') {
        return take_hex(r, out);
    }
    *out = known ? bytes[known - letters] : c;
    return known || (c > ' ' && c <= '~' && !fl_is_alpha(c) && !fl_is_digit(c)) || c == ' ';
}

/* \d and its like: may it hold a blank, a letter? False: c names no such class. */
static bool class_of(char c, bool *blank_r, bool *alpha_r)
{
    const char *kinds = "dDwWsShH";
    const char *kind = c ? strchr(kinds, c) : NULL;
    *blank_r = kind && strchr("DWsh", c);
    *alpha_r = kind && strchr("DwSH", c);
    return kind != NULL;
}

static struct part take_escape(struct reader *r)
{
    bool blank = false;
    bool alpha = false;
    char c = ++r->p < r->end ? *r->p : '\0';
    if (class_of(c, &blank, &alpha)) {
        r->p++;
        r->last = '\0';
        return set(blank, alpha);
    }
    if (c == 'b' || c == 'B') {
        r->p++;
        return (struct part){.literals = 0};
    }
    if (c == 'A' || c == 'z' || c == 'Z') {
        r->p++;
        return (struct part){.starts = c == 'A', .ends = c != 'A'};
    }
    return take_escaped_byte(r, &c) ? literal(r, c)
                                    : refuse(r, "it holds an escape that filters may not use");
}

struct class {
    bool byte[256];
    bool negated;
};

static bool class_take(struct reader *r, struct class *class, unsigned char *out, bool *single_r)
{
    bool blank = false;
    bool alpha = false;
    *single_r = true;
    if (*r->p != '\\') {
        *out = (unsigned char)*r->p++;
        return true;
    }
    if (++r->p < r->end && class_of(*r->p, &blank, &alpha)) {
        r->p++;
        *single_r = false;
        class->byte[' '] |= blank;
        class->byte['a'] |= alpha;
        class->byte['0'] = class->byte['1'] = true; /* more than one byte, whatever it is */
        return true;
    }
    char c = '\0';
    if (!take_escaped_byte(r, &c)) {
        return false;
    }
    *out = (unsigned char)c;
    return true;
}

/* A class of one byte, or of the two cases of a letter, is a literal. */
static struct part class_part(struct reader *r, const struct class *class)
{
    int n = 0;
    int one = 0;
    bool blank = false;
    bool alpha = false;
    for (int c = 0; c < 256; c++) {
        if (class->byte[c] != class->negated) {
            n++;
            one = c;
            blank |= c == ' '; /* other blanks hold no sentence together */
            alpha |= fl_is_alpha((char)c);
        }
    }
    bool pair = n == 2 && fl_is_alpha((char)one) && class->byte[one ^ 32] && !class->negated;
    if (n == 1 || pair) {
        return literal(r, (char)one);
    }
    r->last = '\0';
    return set(blank, alpha);
}

static struct part take_class(struct reader *r)
{
    struct class class = {.negated = false};
    bool first = true;
    r->p++;
    if (at(r, "^")) {
        class.negated = true;
        r->p++;
    }
    for (; r->p < r->end && (*r->p != ']' || first); first = false) {
        unsigned char from = 0;
        unsigned char to = 0;
        bool single = true;
        if (at(r, "[:") || at(r, "[.") || at(r, "[=") || !class_take(r, &class, &from, &single)) {
            return refuse(r, "it holds a class that filters may not use");
        }
        to = from;
        if (single && at(r, "-") && r->p + 1 < r->end && r->p[1] != ']') {
            r->p++;
            if (!class_take(r, &class, &to, &single) || !single) {
                return refuse(r, "it holds a class that filters may not use");
            }
        }
        for (unsigned c = from; single && c <= to; c++) {
            class.byte[c] = true;
        }
    }
    if (r->p == r->end) {
        return refuse(r, "it holds a class without an end");
    }
    r->p++;
    return class_part(r, &class);
}

static struct part take_alternatives(struct reader *r, int depth);

static struct part take_group(struct reader *r, int depth)
{
    static const char *const heads[] = {"(?:", "(?i:", "(?>", "(?!"};
    const char *before = r->p;
    bool narrows = at(r, "(?!");
    if (at(r, "(?i)")) {
        r->p += 4;
        return (struct part){.literals = 0};
    }
    for (size_t i = 0; r->p == before && i < sizeof heads / sizeof *heads; i++) {
        r->p += at(r, heads[i]) ? strlen(heads[i]) : 0;
    }
    if (r->p == before && at(r, "(?<") && r->end - r->p > 3 && fl_is_alpha(r->p[3])) {
        const char *name_end = memchr(r->p, '>', (size_t)(r->end - r->p));
        r->p = name_end ? name_end + 1 : r->p;
    }
    if (r->p == before && (at(r, "(?") || at(r, "(*"))) {
        return refuse(r, "it holds a group that filters may not use");
    }
    r->p += r->p == before;
    struct part part = take_alternatives(r, depth + 1);
    if (!at(r, ")")) {
        return refuse(r, "it holds a group without an end");
    }
    r->p++;
    r->last = '\0';
    return narrows ? (struct part){.literals = 0} : part; /* what it forbids only narrows the reach */
}

static struct part take_atom(struct reader *r, int depth)
{
    char c = *r->p;
    if (c == '(') {
        return depth == DEPTH_MAX ? refuse(r, "it is nested too deeply") : take_group(r, depth);
    }
    if (c == '[') {
        return take_class(r);
    }
    if (c == '\\') {
        return take_escape(r);
    }
    r->p++;
    if (c == '^' || c == '$') {
        return (struct part){.starts = c == '^', .ends = c == '$'};
    }
    if (c == '.') {
        r->last = '\0';
        return set(true, true);
    }
    return c == '*' || c == '+' || c == '?' ? refuse(r, "it repeats nothing") : literal(r, c);
}

/* {n}, {n,}, {n,m}: false when the brace is a plain one. */
static bool take_braces(struct reader *r, long *least_r, long *most_r)
{
    struct fl_str s = {r->p + 1, (size_t)(r->end - r->p - 1)};
    if (!fl_str_take_number(&s, least_r)) {
        return false;
    }
    *most_r = *least_r;
    if (s.n && *s.p == ',') {
        s = fl_str_skip(s, 1);
        *most_r = MANY;
        fl_str_take_number(&s, most_r);
    }
    if (!s.n || *s.p != '}') {
        return false;
    }
    r->p = s.p + 1;
    return true;
}

static struct part take_repeated(struct reader *r, int depth)
{
    struct part part = take_atom(r, depth);
    long least = 1;
    long upto = 1;
    bool repeats = true;
    if (at(r, "*") || at(r, "+") || at(r, "?")) {
        least = *r->p == '+';
        upto = *r->p == '?' ? 1 : MANY;
        r->p++;
    } else {
        repeats = at(r, "{") && take_braces(r, &least, &upto);
    }
    if (!repeats) {
        return part;
    }
    r->p += at(r, "?") || at(r, "+");
    r->last = '\0';
    if (!part.consumes) {
        return refuse(r, "it repeats what may be empty");
    }
    if (part.blank && part.alpha && upto > 1) { /* repeated, it may hold words */
        part.head = part.tail = times(most(1, most(part.head, part.tail)), upto);
    }
    part.literals = times(part.literals, least ? 1 : 0);
    part.starts = part.starts && least;
    part.ends = part.ends && least;
    return part;
}

static void append(struct part *all, const struct part *next)
{
    all->starts |= !all->consumes && next->starts;
    all->ends = next->consumes ? next->ends : all->ends || next->ends;
    all->head += all->literals ? 0 : next->head;
    all->tail = next->literals ? next->tail : all->tail + next->tail;
    all->literals += next->literals;
    all->consumes |= next->consumes;
    all->blank |= next->blank;
    all->alpha |= next->alpha;
    all->head = all->head > MANY ? MANY : all->head;
    all->tail = all->tail > MANY ? MANY : all->tail;
}

static struct part take_sequence(struct reader *r, int depth)
{
    struct part all = {.literals = 0};
    while (r->p < r->end && *r->p != '|' && *r->p != ')') {
        struct part next = take_repeated(r, depth);
        append(&all, &next);
    }
    return all;
}

static struct part take_alternatives(struct reader *r, int depth)
{
    struct part all = take_sequence(r, depth);
    while (at(r, "|")) {
        r->p++;
        r->last = '\0';
        struct part next = take_sequence(r, depth);
        all.literals = all.literals < next.literals ? all.literals : next.literals;
        all.head = most(all.head, next.head);
        all.tail = most(all.tail, next.tail);
        all.starts &= next.starts;
        all.ends &= next.ends;
        all.consumes |= next.consumes;
        all.blank |= next.blank;
        all.alpha |= next.alpha;
    }
    return all;
}

enum fl_status fl_plain_read(struct fl_str pattern, struct fl_plain *out, struct fl_err *err)
{
    struct reader r = {.p = pattern.p, .end = pattern.p + pattern.n};
    struct part all = take_alternatives(&r, 0);
    if (!r.fault && r.p < r.end) {
        refuse(&r, "it holds a bracket too many");
    }
    if (r.fault) {
        return fl_fail(err, FL_DENIED, "%s", r.fault);
    }
    *out = (struct fl_plain){all.literals, !all.starts || all.head > FL_PLAIN_SPAN,
                             !all.ends || all.tail > FL_PLAIN_SPAN};
    return FL_OK;
}
