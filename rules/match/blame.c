/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern that is a sequence of pieces matches as far as the longest run of its first pieces
 * does, and if a run matches so does a shorter one: bisection finds it. A branch or a group that
 * fails is taken apart in the same way, with what stands before it kept in front. (Not so behind a
 * lookaround or a verb; then less is told.) */
#include "rules/match/blame.h"

#include "rules/match/quantifier.h"

enum { GROUPS_DEEP = 8, TEXT_CAP = 8 * 1024 };

/* Length of a class such as [^]a-z[:digit:]\]], at its bracket. */
static size_t class_length(struct fl_str s)
{
    size_t i = 1;
    i += i < s.n && s.p[i] == '^';
    i += i < s.n && s.p[i] == ']';
    for (; i < s.n && s.p[i] != ']'; i++) {
        if (s.p[i] == '\\') {
            i++;
        } else if (s.p[i] == '[' && i + 1 < s.n && s.p[i + 1] == ':') {
            const char *end = fl_str_find(fl_str_skip(s, i + 2), FL_LIT(":]"));
            i = end ? (size_t)(end - s.p) + 1 : i;
        }
    }
    return i < s.n ? i + 1 : s.n;
}

/* Length of an escape, at its backslash. */
static size_t escape_length(struct fl_str s)
{
    char kind = s.n > 1 ? s.p[1] : '\0';
    size_t i = s.n < 2 ? s.n : 2;
    if (kind == 'Q') {
        const char *end = fl_str_find(s, FL_LIT("\\E"));
        return end ? (size_t)(end - s.p) + 2 : s.n;
    }
    char close = '\0';
    if (i < s.n && memchr("xopPNgk", kind, 7)) {
        close = s.p[i] == '{' ? '}' : s.p[i] == '<' ? '>' : s.p[i] == '\'' ? '\'' : '\0';
    }
    if (close) {
        const char *end = memchr(s.p + i + 1, close, s.n - i - 1);
        return end ? (size_t)(end - s.p) + 1 : s.n;
    }
    for (size_t most = i + 2; kind == 'x' && i < s.n && i < most &&
                              memchr("0123456789abcdefABCDEF", s.p[i], 22); i++) {
    }
    while (fl_is_digit(kind) && i < s.n && fl_is_digit(s.p[i])) {
        i++;
    }
    return kind == 'c' && i < s.n ? i + 1 : i;
}

/* Length of a group, at its parenthesis. */
static size_t group_length(struct fl_str s)
{
    size_t depth = 0;
    for (size_t i = 0; i < s.n;) {
        char c = s.p[i];
        if (c == '\\') {
            i += escape_length(fl_str_skip(s, i));
            continue;
        }
        if (c == '[') {
            i += class_length(fl_str_skip(s, i));
            continue;
        }
        depth += c == '(';
        depth -= c == ')';
        i++;
        if (depth == 0) {
            return i;
        }
    }
    return s.n;
}

static size_t piece_length(struct fl_str s, size_t *bare_r)
{
    *bare_r = *s.p == '\\' ? escape_length(s)
              : *s.p == '[' ? class_length(s)
              : *s.p == '(' ? group_length(s)
                            : 1;
    return *bare_r + fl_quantifier_at(fl_str_skip(s, *bare_r)).n;
}

/* (?i) and the like: holds for what follows in its group, other branches too. */
static bool is_option(struct fl_str piece)
{
    if (!fl_str_starts(piece, FL_LIT("(?")) || piece.n < 4) {
        return false;
    }
    for (size_t i = 2; i + 1 < piece.n; i++) {
        if (!fl_is_alpha(piece.p[i]) && piece.p[i] != '-' && piece.p[i] != '^') {
            return false;
        }
    }
    return true;
}

/* Length of what opens a group that can be looked into: ( (?: (?i: (?<name> (?P<name>; else 0. */
static size_t opener_length(struct fl_str group)
{
    if (group.n < 2 || *group.p != '(' || group.p[1] == '*') {
        return 0;
    }
    if (group.p[1] != '?') {
        return 1;
    }
    size_t i = 2;
    while (i < group.n && (fl_is_alpha(group.p[i]) || group.p[i] == '-')) {
        i++;
    }
    if (i < group.n && group.p[i] == ':') {
        return i + 1;
    }
    bool named = i + 1 < group.n && group.p[i] == '<' && fl_is_alpha(group.p[i + 1]);
    const char *end = named ? memchr(group.p + i, '>', group.n - i) : NULL;
    return end ? (size_t)(end - group.p) + 1 : 0;
}

struct search {
    struct fl_str text;
    unsigned flags;
    struct fl_buf head; /* pattern text that stands before the part in hand */
    size_t open;        /* groups of it still open */
    size_t start;       /* of the last match */
    size_t end;
    enum fl_status status;
    struct fl_err *err;
};

/* Does head, options, part, with all groups closed, match? */
static bool holds(struct search *s, struct fl_str options, struct fl_str part)
{
    struct fl_programs *programs = NULL;
    struct fl_captures c = {.n = 0};
    struct fl_buf pattern;
    enum fl_match answer = FL_MATCH_NO;
    fl_buf_init(&pattern, TEXT_CAP);
    fl_buf_add_str(&pattern, fl_buf_str(&s->head));
    fl_buf_add_str(&pattern, options);
    fl_buf_add_str(&pattern, part);
    for (size_t i = 0; i < s->open; i++) {
        fl_buf_add_text(&pattern, ")");
    }
    struct fl_pattern one = {fl_buf_str(&pattern), s->flags};
    s->status = pattern.failed ? fl_fail(s->err, pattern.failed, "pattern too long to look into")
                               : fl_programs_new(&one, 1, &programs, s->err);
    if (s->status == FL_OK) {
        answer = fl_program_try(programs, 0, s->text, &c);
    }
    if (answer == FL_MATCH_YES) {
        s->start = c.start;
        s->end = c.end;
    }
    fl_programs_free(programs);
    fl_buf_free(&pattern);
    return answer == FL_MATCH_YES;
}

/* A branch: its text, the pieces' ends, and how many of them hold. */
struct branch {
    size_t from;
    size_t n;
    size_t ends[FL_PATTERN_BYTES + 1]; /* ends[0] is where it begins */
    size_t bare;                       /* of the piece that fails, without its quantifier */
    size_t reached;
};

/* Reads the branch at the front of body[from..]; options met are added to *options. */
static void read_branch(struct fl_str body, struct branch *b, struct fl_buf *options)
{
    size_t at = b->from;
    size_t bare = 0;
    b->n = 0;
    b->ends[0] = at;
    while (at < body.n && body.p[at] != '|' && b->n < FL_PATTERN_BYTES) {
        struct fl_str piece = fl_str_skip(body, at);
        piece.n = piece_length(piece, &bare);
        if (is_option(piece)) {
            fl_buf_add_str(options, piece);
        }
        at += piece.n;
        b->ends[++b->n] = at;
    }
}

static void measure(struct search *s, struct fl_str body, struct fl_str options, struct branch *b)
{
    size_t low = 0; /* holds */
    size_t high = b->n + 1;
    while (s->status == FL_OK && high - low > 1) {
        size_t middle = low + (high - low) / 2;
        struct fl_str part = {body.p + b->from, b->ends[middle] - b->from};
        if (middle <= b->n && holds(s, options, part)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    b->reached = low;
}

/* Of the branches of body, the one that gets furthest; where it fails goes to out. Gives the piece
 * that fails. */
static struct fl_str furthest(struct search *s, struct fl_str body, struct fl_reach *out,
                              struct branch *b)
{
    struct fl_buf options;
    struct fl_str best = {body.p, 0};
    size_t most = 0;
    bool any = false;
    fl_buf_init(&options, TEXT_CAP);
    for (b->from = 0; s->status == FL_OK && b->from <= body.n; b->from = b->ends[b->n] + 1) {
        struct fl_str before = {NULL, options.n};
        read_branch(body, b, &options);
        before.p = fl_buf_text(&options);
        measure(s, body, before, b);
        size_t length = b->ends[b->reached] - b->from;
        if (any && length <= most) {
            continue;
        }
        any = true;
        most = length;
        out->at = b->ends[b->reached];
        best = fl_str_skip(body, out->at);
        best.n = b->reached < b->n ? b->ends[b->reached + 1] - out->at : 0;
        holds(s, before, (struct fl_str){body.p + b->from, length});
        out->start = s->start;
        out->end = s->end;
    }
    fl_buf_free(&options);
    return best;
}

enum fl_status fl_pattern_reach(struct fl_str pattern, unsigned flags, struct fl_str text,
                                struct fl_reach *out, struct fl_err *err)
{
    struct search s = {.text = text, .flags = flags, .err = err};
    struct branch b;
    struct fl_str body = pattern;
    *out = (struct fl_reach){.at = 0};
    fl_buf_init(&s.head, TEXT_CAP);
    while (s.open <= GROUPS_DEEP) {
        struct fl_reach reach = {.at = 0};
        struct fl_str piece = furthest(&s, body, &reach, &b);
        if (s.status != FL_OK) {
            break;
        }
        *out = reach;
        out->at += (size_t)(body.p - pattern.p);
        out->piece = piece.n;
        size_t bare = 0;
        size_t opener = opener_length(piece);
        if (!opener || piece_length(piece, &bare) != bare) {
            break;
        }
        /* the branch's own beginning is what must stand before the group */
        const char *from = body.p;
        for (size_t at = 0; at < (size_t)(piece.p - body.p);) {
            struct fl_str one = fl_str_skip(body, at);
            bool bar = *one.p == '|';
            one.n = bar ? 1 : piece_length(one, &bare);
            at += one.n;
            from = bar ? body.p + at : from;
            if (is_option(one)) {
                fl_buf_add_str(&s.head, one);
            }
        }
        fl_buf_add(&s.head, from, (size_t)(piece.p - from) + opener);
        s.open++;
        body = (struct fl_str){piece.p + opener, piece.n - opener - 1};
    }
    fl_buf_free(&s.head);
    return s.status;
}

struct judge {
    struct fl_match_work *work;
    unsigned flags;
    bool by_line;
    struct fl_str text;
};

/* The next line of *rest, or all of it at once. */
static struct fl_str next_text(const struct judge *j, struct fl_str *rest)
{
    const char *nl = j->by_line ? memchr(rest->p, '\n', rest->n) : NULL;
    struct fl_str one = {rest->p, nl ? (size_t)(nl - rest->p) : rest->n};
    *rest = fl_str_skip(*rest, nl ? one.n + 1 : one.n);
    return one;
}

/* Would the pattern match if letter case did not count? */
static bool would_match(const struct judge *j, const struct fl_blame *b)
{
    struct search s = {.text = b->text, .flags = j->flags};
    fl_buf_init(&s.head, TEXT_CAP);
    return holds(&s, FL_LIT("(?i)"), b->pattern);
}

/* Does the pattern match? Then where; else how far it gets on the best line. */
static bool look(const struct judge *j, const char *list, const struct fl_pattern_set *set,
                 size_t i, struct fl_blame *out, struct fl_err *err, enum fl_status *status)
{
    struct fl_str rest = j->text;
    *out = (struct fl_blame){list, i, set->text[i], j->text, {.at = 0}, false};
    do {
        struct fl_captures c = {.n = 0};
        struct fl_str one = next_text(j, &rest);
        if (fl_matcher_try(j->work, set->number[i], one, &c) == FL_MATCH_YES) {
            out->text = one;
            out->reach = (struct fl_reach){set->text[i].n, 0, c.start, c.end};
            return true;
        }
    } while (rest.n);
    rest = j->text;
    do {
        struct fl_str one = next_text(j, &rest);
        struct fl_reach reach;
        *status = fl_pattern_reach(set->text[i], j->flags, one, &reach, err);
        if (*status == FL_OK && (reach.at > out->reach.at || out->reach.piece == 0)) {
            out->text = one;
            out->reach = reach;
            out->caseless = would_match(j, out);
        }
    } while (*status == FL_OK && rest.n);
    return false;
}

static double share(const struct fl_blame *b)
{
    return b->caseless ? 1 : (double)b->reach.at / (double)b->pattern.n;
}

static enum fl_status find(const struct judge *j, const struct fl_rule *rule, bool said_yes,
                           struct fl_blame *out, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    struct fl_blame one;
    bool any = false;
    for (size_t i = 0; status == FL_OK && !any && i < rule->any.n; i++) {
        any = look(j, "any", &rule->any, i, &one, err, &status);
        if (i == 0 || any || share(&one) > share(out)) {
            *out = one;
        }
    }
    for (size_t i = 0; status == FL_OK && any && !said_yes && i < rule->all.n; i++) {
        if (!look(j, "all", &rule->all, i, &one, err, &status)) {
            *out = one;
            return status;
        }
    }
    for (size_t i = 0; status == FL_OK && any && !said_yes && i < rule->none.n; i++) {
        if (look(j, "none", &rule->none, i, &one, err, &status)) {
            *out = one;
            return status;
        }
    }
    return status;
}

enum fl_status fl_rule_blame(const struct fl_ruleset *set, const struct fl_rule *rule,
                             struct fl_str text, enum fl_match got, struct fl_blame *out,
                             struct fl_err *err)
{
    bool event = rule->scope == FL_SCOPE_EVENT;
    struct judge j = {.flags = event ? FL_PATTERN_LINES : 0,
                      .by_line = rule->scope == FL_SCOPE_STREAM || rule->scope == FL_SCOPE_JOB,
                      .text = text};
    enum fl_status status = fl_match_work_new(event ? set->events : set->lines, &j.work, err);
    if (status == FL_OK) {
        status = find(&j, rule, got == FL_MATCH_YES, out, err);
    }
    fl_match_work_free(j.work);
    return status;
}
