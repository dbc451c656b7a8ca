/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys are written as blocks of lines between BEGIN and END. Here they come line by line,
 * perhaps each behind a time and a rank, and lines of other ranks may stand between them. */
#include "service/llm/redact_match.h"

enum { FOREIGN_LINES = 32 /* in a row, then the block is over */ };

/* "-----BEGIN RSA PRIVATE KEY-----" and "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----". */
static bool is_begin(struct fl_str s)
{
    struct fl_str title = fl_str_head(s, 80);
    return (fl_str_starts(s, FL_LIT("-----BEGIN")) || fl_str_starts(s, FL_LIT("---- BEGIN"))) &&
           fl_str_find(title, FL_LIT("PRIVATE")) && fl_str_find(title, FL_LIT("KEY"));
}

/* Where the END line of a block begins, or NULL. */
static const char *find_end(struct fl_str s)
{
    while (s.n) {
        const char *dash = memmem(s.p, s.n, "----", 4);
        if (!dash) {
            return NULL;
        }
        s = fl_str_skip(s, (size_t)(dash - s.p));
        if (fl_str_starts(s, FL_LIT("-----END")) || fl_str_starts(s, FL_LIT("---- END"))) {
            return s.p;
        }
        s = fl_str_skip(s, 1);
    }
    return NULL;
}

/* Its length, dashes and all. */
static size_t end_length(struct fl_str s)
{
    struct fl_str title = fl_str_skip(fl_str_head(s, 88), 8);
    const char *dashes = fl_str_find(title, FL_LIT("----"));
    size_t n = dashes ? (size_t)(dashes - s.p) : s.n;
    while (n < s.n && s.p[n] == '-') {
        n++;
    }
    return n;
}

/* What stands before the lines of one key is alike, but for its digits. 0 when nothing does. */
static uint64_t prefix_mark(struct fl_str head)
{
    uint64_t mark = 0;
    head = fl_str_trim(head);
    while (head.n && is_quote(head.p[head.n - 1])) {
        head = fl_str_trim(fl_str_head(head, head.n - 1));
    }
    for (size_t i = 0; i < head.n; i++) {
        unsigned char c = (unsigned char)(fl_is_digit(head.p[i]) ? '0' : head.p[i]);
        mark = (mark + c + 1) * 0x100000001b3U;
    }
    return mark;
}

bool fl_redact_match_block(struct fl_redact *redact, const struct fl_redact_spot *spot,
                           struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    if (!is_begin(s)) {
        return false;
    }
    const char *end = find_end(s);
    size_t n = s.n;
    if (end) {
        n = (size_t)(end - s.p);
        n += end_length(fl_str_skip(s, n));
    } else {
        redact->in_key_block = true;
        redact->key_prefix = prefix_mark(before(spot, spot->at));
        redact->foreign_lines = 0;
    }
    *hit = (struct fl_redact_hit){0, n, FL_REDACT_SECRET};
    return true;
}

/* The last word of a line, and what stands before it. Quotes and commas around it, and a written
 * line end behind it, are how a program's source or JSON holds it. */
static struct fl_str last_word(struct fl_str line, struct fl_str *head_r)
{
    line = fl_str_trim(line);
    while (line.n && is_among(line.p[line.n - 1], "\"',\\")) {
        line.n--;
    }
    if (fl_str_ends(line, FL_LIT("\\n"))) {
        line.n -= 2;
    }
    size_t at = line.n;
    while (at > 0 && is_base64(line.p[at - 1])) {
        at--;
    }
    *head_r = fl_str_head(line, at);
    bool apart = at == 0 || is_among(line.p[at - 1], " \t\"'|>+");
    return apart ? fl_str_skip(line, at) : FL_LIT("");
}

static bool is_body(const struct fl_redact *redact, struct fl_str word, struct fl_str head)
{
    if (word.n == 0) {
        return false;
    }
    if (!redact->in_key_block) {
        bool width = word.n == 64 || word.n == 70 || word.n == 76; /* nobody showed us its BEGIN */
        return width && looks_dense(word);
    }
    uint64_t mark = prefix_mark(head);
    if (mark != 0 && mark != redact->key_prefix) {
        return word.n >= 40 && looks_dense(word);
    }
    return redact->foreign_lines == 0 || (word.n >= 8 && looks_random(word));
}

static bool is_header(struct fl_str line)
{
    return find_fold(line, "Proc-Type:") || find_fold(line, "DEK-Info:");
}

bool fl_redact_block_line(struct fl_redact *redact, struct fl_str text, size_t *from_r, size_t *to_r)
{
    const char *end = redact->in_key_block ? find_end(text) : NULL;
    struct fl_str line = end ? fl_str_head(text, (size_t)(end - text.p)) : text;
    struct fl_str head;
    struct fl_str word = last_word(line, &head);
    bool body = is_body(redact, word, head);
    *from_r = body ? (size_t)(word.p - text.p) : line.n;
    *to_r = *from_r + word.n;
    if (end) {
        *from_r = redact->key_prefix ? *from_r : 0;
        *to_r = line.n + end_length(fl_str_skip(text, line.n));
        redact->in_key_block = false;
        return true;
    }
    if (redact->in_key_block && is_header(line)) {
        *from_r = 0;
        *to_r = text.n;
        return true;
    }
    if (body) {
        redact->foreign_lines = 0;
        redact->key_prefix = prefix_mark(head);
        return true;
    }
    redact->foreign_lines += redact->in_key_block && fl_str_trim(line).n > 0;
    redact->in_key_block = redact->in_key_block && redact->foreign_lines < FOREIGN_LINES;
    return false;
}
