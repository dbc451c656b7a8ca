/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as lines of a log: counts add up, no form holds a digit, forms do not depend on digits'
 * values, and a rule made of a template matches the lines it was made of. */
#include "rules/match/matcher.h"
#include "rules/template/template_rule.h"
#include "service/mine.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES = 256 };

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static void place(const void *batch, size_t i, long *number_r, uint64_t *offset_r)
{
    (void)batch;
    *number_r = (long)i;
    *offset_r = i;
}

static void check_form(struct fl_str line)
{
    char other[4096];
    struct fl_form a;
    struct fl_form b;
    size_t n = line.n < sizeof other ? line.n : sizeof other;
    for (size_t i = 0; i < n; i++) {
        other[i] = fl_is_digit(line.p[i]) ? (char)("3141592653"[((size_t)line.p[i] + i) % 10]) : line.p[i];
    }
    fl_form_of(&fl_mine_prefixes, (struct fl_str){line.p, n}, &a);
    fl_form_of(&fl_mine_prefixes, (struct fl_str){other, n}, &b);
    must(a.n <= sizeof a.text && a.n == b.n && memcmp(a.text, b.text, a.n) == 0);
    must(a.head_n == b.head_n && memcmp(a.head, b.head, a.head_n) == 0);
    must(a.rank_at == b.rank_at && a.rank_n == b.rank_n);
    must((size_t)a.rank_at + a.rank_n <= n);
    for (size_t i = 0; i < a.n; i++) {
        must(!fl_is_digit(a.text[i]));
    }
}

static void check_rule(const struct fl_templates *t, const struct fl_template *of)
{
    struct fl_buf pattern;
    struct fl_matcher *m = NULL;
    struct fl_match_work *work = NULL;
    struct fl_err err = {0};
    const char *why = NULL;
    uint32_t number = 0;
    size_t at = 0;
    fl_buf_init(&pattern, 2 * FL_TEMPLATE_RULE_BYTES);
    if (fl_template_rule(t, of, &pattern, &why) == FL_OK) {
        must(pattern.n <= FL_TEMPLATE_RULE_BYTES + 64);
        must(fl_matcher_new(&m, &err) == FL_OK);
        must(fl_matcher_add(m, fl_buf_str(&pattern), 0, &number, &at, &err) == FL_OK);
        must(fl_matcher_ready(m, &err) == FL_OK);
        must(fl_match_work_new(m, &work, &err) == FL_OK);
        must(of->first.cut ||
             fl_matcher_try(work, number, of->first.text, NULL) != FL_MATCH_NO);
        must(of->last.cut || fl_matcher_try(work, number, of->last.text, NULL) != FL_MATCH_NO);
    }
    fl_match_work_free(work);
    fl_matcher_free(m);
    fl_buf_free(&pattern);
}

static enum fl_line_kind kind_of(void *ctx, struct fl_str line)
{
    (void)ctx;
    return memmem(line.p, line.n, "rr", 2) || memmem(line.p, line.n, "ail", 3) ||
                   memmem(line.p, line.n, "RR", 2) || memmem(line.p, line.n, "AIL", 3)
               ? FL_LINE_ALARMING : FL_LINE_PLAIN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_str lines[LINES];
    struct fl_templates *t = NULL;
    const struct fl_template_ask ask = {fl_mine_prefixes, kind_of, NULL};
    const struct fl_template *list = NULL;
    size_t n = 0;
    size_t found = 0;
    struct fl_str rest = {(const char *)data, size};
    while (n < LINES && rest.n) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t length = end ? (size_t)(end - rest.p) : rest.n;
        lines[n++] = (struct fl_str){rest.p, length};
        rest = fl_str_skip(rest, end ? length + 1 : length);
    }
    must(fl_templates_new(&ask, &t, NULL) == FL_OK);
    fl_templates_stream(t, 0, 0, -1);
    for (size_t i = 0; i < n; i++) {
        check_form(lines[i]);
    }
    struct fl_template_lines batch = {lines, n, place, NULL};
    must(fl_templates_feed(t, &batch, NULL) == FL_OK);
    must(fl_templates_settle(t, &list, &found, NULL) == FL_OK);
    uint64_t sum = fl_templates_other(t);
    for (size_t i = 0; i < found; i++) {
        sum += list[i].count[0];
        check_rule(t, &list[i]);
    }
    must(sum == n);
    fl_templates_free(t);
    return 0;
}
