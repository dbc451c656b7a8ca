/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/template/template.h"
#include "rules/template/template_rule.h"
#include "rules/match/matcher.h"
#include "rules/match/shape.h"
#include "service/base/hash.h"
#include "service/mine.h"
#include "tests/unit/test.h"

enum { MANY = 40000 };

static enum fl_line_kind kind_of(void *ctx, struct fl_str line)
{
    (void)ctx;
    return fl_str_find(line, FL_LIT("rror")) ? FL_LINE_ALARMING
           : fl_str_find(line, FL_LIT("step")) ? FL_LINE_PROGRESS
                                               : FL_LINE_PLAIN;
}

static void place(const void *batch, size_t i, long *number_r, uint64_t *offset_r)
{
    (void)batch;
    *number_r = (long)i + 1;
    *offset_r = i * 100;
}

/* The form as it is shown; lasts until the next call. */
static const char *form(const char *line)
{
    static char text[8192];
    struct fl_form f;
    struct fl_buf out;
    fl_buf_init(&out, sizeof text);
    fl_form_of(&fl_mine_prefixes, fl_str_of(line), &f);
    fl_form_show((struct fl_str){f.text, f.n}, &out);
    snprintf(text, sizeof text, "%s", fl_buf_text(&out));
    fl_buf_free(&out);
    return text;
}

static const char *head(const char *line)
{
    static char text[1024];
    struct fl_form f;
    fl_form_of(&fl_mine_prefixes, fl_str_of(line), &f);
    snprintf(text, sizeof text, "%.*s", (int)f.head_n, f.head);
    return text;
}

static struct fl_templates *new_templates(void)
{
    struct fl_templates *t = NULL;
    const struct fl_template_ask ask = {fl_mine_prefixes, kind_of, NULL};
    if (fl_templates_new(&ask, &t, NULL) != FL_OK) {
        abort();
    }
    fl_templates_stream(t, 0, 0, -1);
    return t;
}

static void feed(struct fl_templates *t, const struct fl_str *lines, size_t n, size_t batch)
{
    for (size_t i = 0; i < n; i += batch) {
        struct fl_template_lines part = {lines + i, n - i < batch ? n - i : batch, place, NULL};
        CHECK_EQ_INT(fl_templates_feed(t, &part, NULL), FL_OK);
    }
}

static void feed_text(struct fl_templates *t, const char *line, size_t times)
{
    struct fl_str one = fl_str_of(line);
    for (size_t i = 0; i < times; i++) {
        feed(t, &one, 1, 1);
    }
}

static const struct fl_template *settle(struct fl_templates *t, size_t *n)
{
    const struct fl_template *list = NULL;
    CHECK_EQ_INT(fl_templates_settle(t, &list, n, NULL), FL_OK);
    return list;
}

static const char *shown(const struct fl_template *t)
{
    static char text[8192];
    struct fl_buf out;
    fl_buf_init(&out, sizeof text);
    fl_form_show(t->form, &out);
    snprintf(text, sizeof text, "%s", fl_buf_text(&out));
    fl_buf_free(&out);
    return text;
}

TEST(fields_have_types)
{
    CHECK_EQ_STR(form("loss 3.25 lr 1.5e-04 delta -7"), "loss <num> lr <num> delta <num>");
    CHECK_EQ_STR(form("used 12.5GiB of 80 GiB in 300ms"), "used <num> of <num> GiB in <num>");
    CHECK_EQ_STR(form("comm 0x7f3a00 id 9f86d081884c"), "comm <hex> id <hex>");
    CHECK_EQ_STR(form("token 123e4567-e89b-12d3-a456-426614174000 ok"), "token <hex> ok");
    CHECK_EQ_STR(form("read /data/a/part-00.bin then s3://bucket/key"), "read <path> then <path>");
    CHECK_EQ_STR(form("see /opt/app/run.py:42: slow"), "see <path>:<num>: slow");
    CHECK_EQ_STR(form("peer 10.0.3.17:29500 joined"), "peer <host> joined");
    CHECK_EQ_STR(form("took 1:02:03, ends 2031-03-14 11:12:13"), "took <time>, ends <time>");
    CHECK_EQ_STR(form("said \"one two three four five\" twice"), "said \"<text>\" twice");
    CHECK_EQ_STR(form("layer12 on cuda:3 and mlx5_0"), "layer<num> on cuda:<num> and mlx<num>_<num>");
    CHECK_EQ_STR(form("ring 0 1 2 3 4 5 6 7"), "ring <nums>");
    CHECK_EQ_STR(form(" 45%|####      | 45/100 [00:12<00:15,  3.5it/s]"),
                 " <num>%<bar> <num>/<num> [<time><<time>,<num>it/s]");
}

TEST(words_are_not_fields)
{
    CHECK_EQ_STR(form("don't split it's words"), "don't split it's words");
    CHECK_EQ_STR(form("decade added feed face"), "decade added feed face");
    CHECK_EQ_STR(form("E0314 is no hex"), "E<num> is no hex");
    CHECK_EQ_STR(form("and/or tokens/s"), "and/or tokens/s");
    CHECK_EQ_STR(form(""), "");
}

TEST(padding_and_colour_do_not_show)
{
    CHECK_EQ_STR(form("step=    7 of 10"), form("step=12345 of 10"));
    CHECK_EQ_STR(form("a    b\tc  \r"), "a b c");
    CHECK_EQ_STR(form("\x1b[0;36m(Server pid=77)\x1b[0m ready to serve"), "ready to serve");
}

TEST(prefix_and_stamp_are_taken_off)
{
    CHECK_EQ_STR(form("[rank3]:[2031-03-14 11:12:13,456] [INFO] saved"), "[INFO] saved");
    CHECK_EQ_STR(form("  7: 2031-03-14T11:12:13Z saved"), "saved");
    CHECK_EQ_STR(form("[default0]:Mar 14 11:12:13 saved"), "saved");
    CHECK_EQ_STR(form("(Worker pid=12, ip=10.0.0.4) [11:12:13] saved"), "saved");
    CHECK_EQ_STR(form("gn07:123:456 [3] NCCL INFO ready"), "<host>:<num>:<num> [<num>] NCCL INFO ready");
    CHECK_EQ_STR(head("[rank3]: saved"), "\\[rank\\d+\\]:\\s*");
    CHECK_EQ_STR(head("2031-03-14 11:12:13,456 saved"), "\\d+-\\d+-\\d+\\s*\\d+:\\d+:\\d+,\\d+\\s*");
    CHECK_EQ_STR(head("saved"), "");
}

/* No digit's value shows, and none is left. */
TEST(forms_depend_on_shapes_only)
{
    static const char *const lines[] = {
        "[rank3]: step 12 loss 3.4e-05 0x1f 10.2.3.4:80 /a/b1/c.py:12 11:12:13 2031-03-14",
        "[default7]:iteration 5/ 10 | 3 MiB | 12ab34 | 1c000 | \"a b c d 5\"",
        "99: gn12:1:2 [3] NCCL INFO Channel 00/32 : 0 1 2 3", "[1,3]<stderr>: x1y2z3 4x5 6e7 8.9.",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char other[256];
        struct fl_form a;
        struct fl_form b;
        snprintf(other, sizeof other, "%s", lines[i]);
        for (char *c = other; *c; c++) {
            *c = fl_is_digit(*c) ? "3141592653"[(size_t)(*c + (c - other)) % 10] : *c;
        }
        fl_form_of(&fl_mine_prefixes, fl_str_of(lines[i]), &a);
        fl_form_of(&fl_mine_prefixes, fl_str_of(other), &b);
        CHECK(a.n == b.n && memcmp(a.text, b.text, a.n) == 0);
        CHECK(a.rank_at == b.rank_at && a.rank_n == b.rank_n);
        for (size_t k = 0; k < a.n; k++) {
            CHECK(!fl_is_digit(a.text[k]));
        }
    }
}

TEST(forms_that_differ_in_a_word_are_one_template)
{
    struct fl_templates *t = new_templates();
    feed_text(t, "worker alpha took shard 3 of 10", 5);
    feed_text(t, "worker beta took shard 4 of 10", 3);
    feed_text(t, "worker gamma took shard 11 of 10", 2);
    feed_text(t, "nothing like the others here", 1);
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    CHECK_EQ_INT(n, 2);
    CHECK_EQ_STR(shown(&list[0]), "worker <*> took shard <num> of <num>");
    CHECK_EQ_INT(list[0].count[0], 10);
    CHECK_EQ_INT(list[0].forms, 3);
    CHECK_EQ_INT(list[0].first.order, 0);
    CHECK_EQ_INT(list[0].last.order, 9);
    CHECK_EQ_INT(list[1].count[0], 1);
    fl_templates_free(t);
}

TEST(alarming_lines_stay_apart)
{
    struct fl_templates *t = new_templates();
    feed_text(t, "worker alpha ended with state done today", 5);
    feed_text(t, "worker alpha ended with state error today", 1);
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    CHECK_EQ_INT(n, 2);
    CHECK(!list[0].alarming && list[1].alarming);
    fl_templates_free(t);
}

TEST(a_second_group_joins_only_what_says_the_same)
{
    struct fl_templates *t = new_templates();
    feed_text(t, "worker alpha took shard 3 of ten", 5);
    feed_text(t, "worker beta took shard 3 of ten", 5);
    fl_templates_stream(t, 1, 1, -1);
    feed_text(t, "worker alpha took shard 9 of ten", 1);
    feed_text(t, "worker alpha lost shard 9 of ten", 1);
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    CHECK_EQ_INT(n, 2);
    CHECK_EQ_INT(list[0].count[1], 1);
    CHECK_EQ_INT(list[1].count[0], 0);
    CHECK_EQ_STR(shown(&list[1]), "worker alpha lost shard <num> of ten");
    fl_templates_free(t);
}

TEST(ranks_are_counted)
{
    struct fl_templates *t = new_templates();
    for (int i = 0; i < 40; i++) {
        char line[64];
        snprintf(line, sizeof line, "[rank%d]: buffers flushed again", i % 12);
        feed_text(t, line, 1);
    }
    fl_templates_stream(t, 1, 0, 99);
    feed_text(t, "buffers flushed again", 1);
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    CHECK_EQ_INT(n, 1);
    CHECK_EQ_INT(list[0].ranks, 13);
    CHECK_EQ_INT(list[0].rank, 0);
    CHECK_EQ_INT(fl_templates_ranks(t), 13);
    CHECK(list[0].bare && list[0].heads == 1);
    fl_templates_free(t);
}

TEST(the_end_of_a_stream_is_guarded)
{
    struct fl_templates *t = new_templates();
    feed_text(t, "heartbeat of the feeder", 100);
    feed_text(t, "step 12 done", 1);
    feed_text(t, "waiting for the peer", 400);
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    CHECK_EQ_INT(n, 3);
    CHECK_EQ_INT(list[0].guarded, FL_TEMPLATE_TAIL + FL_TEMPLATE_AFTER);
    CHECK_EQ_INT(list[1].guarded, 0);
    fl_templates_free(t);
}

static void make_lines(char (*text)[96], struct fl_str *lines, size_t n, size_t step)
{
    static const char *const verbs[] = {"loaded", "packed", "sorted", "merged", "hashed"};
    for (size_t i = 0; i < n; i++) {
        size_t k = i * step % n;
        switch (k % 5) {
        case 0:
            snprintf(text[i], sizeof *text, "[rank%zu]: step %zu loss %zu.5", k % 8, k, k % 97);
            break;
        case 1:
            snprintf(text[i], sizeof *text, "shard %zu was %s by feeder", k, verbs[k % 7 % 5]);
            break;
        case 2:
            snprintf(text[i], sizeof *text, "2031-03-14 11:12:%02zu [INFO] part %zu of %s at /d/f%zu",
                     k % 60, k % 4, verbs[k % 3], k);
            break;
        case 3:
            snprintf(text[i], sizeof *text, "cache %s for %zu keys", k % 2 ? "warm" : "cold", k);
            break;
        default:
            snprintf(text[i], sizeof *text, "error %zu in unit %s", k % 10, verbs[k % 5]);
            break;
        }
        lines[i] = fl_str_of(text[i]);
    }
}

static char text_a[MANY][96];
static struct fl_str lines_a[MANY];

/* Ids and counts of all templates, and what they look like. */
static uint64_t digest(struct fl_templates *t)
{
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    uint64_t sum = n;
    for (size_t i = 0; i < n; i++) {
        sum = fl_hash(list[i].form, sum) + list[i].count[0] * 31 + list[i].ranks;
    }
    return sum;
}

TEST(order_and_batches_do_not_matter)
{
    enum { N = 5003 };
    uint64_t first = 0;
    static const size_t steps[] = {1, 2, 17, 5002, 1234};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct fl_templates *t = new_templates();
        make_lines(text_a, lines_a, N, steps[i]);
        feed(t, lines_a, N, i ? i * 37 : N);
        uint64_t sum = digest(t);
        first = i ? first : sum;
        CHECK(sum == first);
        fl_templates_free(t);
    }
}

/* Lines of known shapes go to their form unread: counts must be as if each had been read. */
TEST(shapes_give_what_reading_gives)
{
    enum { N = 5003, FORMS = 64 };
    struct {
        struct fl_form form;
        uint64_t n;
    } *seen = calloc(FORMS, sizeof *seen);
    size_t seen_n = 0;
    struct fl_templates *t = new_templates();
    make_lines(text_a, lines_a, N, 1);
    feed(t, lines_a, N, 512);
    for (size_t i = 0; i < N; i++) {
        struct fl_form f;
        size_t k = 0;
        fl_form_of(&fl_mine_prefixes, lines_a[i], &f);
        while (k < seen_n && (seen[k].form.n != f.n || memcmp(seen[k].form.text, f.text, f.n) != 0)) {
            k++;
        }
        CHECK(k < FORMS);
        seen[k].form = f;
        seen[k].n++;
        seen_n += k == seen_n;
    }
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    size_t members = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t count = 0;
        for (uint32_t m = 0; m < list[i].forms; m++) {
            struct fl_str text = fl_templates_form(t, list[i].members[m]);
            for (size_t k = 0; k < seen_n; k++) {
                bool same = fl_str_eq(text, (struct fl_str){seen[k].form.text, seen[k].form.n});
                count += same ? seen[k].n : 0;
                members += same;
            }
        }
        CHECK_EQ_INT(list[i].count[0], (long long)count);
    }
    CHECK_EQ_INT(members, (long long)seen_n);
    free(seen);
    fl_templates_free(t);
}

/* Words made of a number, so that no two lines have one form. */
static void unlike(char *out, size_t size, size_t i, const char *before, bool more)
{
    char word[4][8];
    for (size_t w = 0; w < 4; w++) {
        for (size_t k = 0; k < 6; k++) {
            word[w][k] = (char)('g' + (fl_hash((struct fl_str){(const char *)&i, sizeof i}, w) >> (k * 5)) % 20);
        }
        word[w][6] = '\0';
    }
    snprintf(out, size, "%s%s %s %s %s", before, word[0], word[1], word[2], more ? word[3] : "");
}

TEST(memory_is_bounded)
{
    struct fl_templates *t = new_templates();
    for (size_t i = 0; i < MANY; i++) {
        unlike(text_a[i], sizeof *text_a, i, "", i % 2);
        lines_a[i] = fl_str_of(text_a[i]);
    }
    feed_text(t, "what comes often stays in the table", 500);
    feed(t, lines_a, MANY, 1000);
    feed_text(t, "what comes often stays in the table", 500);
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    uint64_t sum = fl_templates_other(t);
    for (size_t i = 0; i < n; i++) {
        sum += list[i].count[0];
    }
    CHECK(n <= FL_TEMPLATES);
    CHECK(fl_templates_other(t) > 0);
    CHECK_EQ_INT(sum, MANY + 1000);
    CHECK_EQ_INT(list[0].count[0], 1000);
    fl_templates_free(t);
}

TEST(a_beginning_that_goes_on_in_any_way_is_one_template)
{
    struct fl_templates *t = new_templates();
    for (size_t i = 0; i < 3000; i++) {
        unlike(text_a[i], sizeof *text_a, i, "[transcript] heard: ", i % 3);
        lines_a[i] = fl_str_of(text_a[i]);
    }
    feed(t, lines_a, 3000, 256);
    feed_text(t, "[transcript] heard: error in the line", 1);
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    CHECK_EQ_INT(n, 2);
    CHECK_EQ_STR(shown(&list[0]), "[transcript] heard: <...>");
    CHECK_EQ_INT(list[0].count[0], 3000);
    CHECK(list[1].alarming);
    fl_templates_free(t);
}

/* ---- rules ---- */

struct pattern {
    char text[4096];
    const char *why;
};

static const struct pattern *rule_of(struct fl_templates *t)
{
    static struct pattern p;
    struct fl_buf out;
    size_t n = 0;
    const struct fl_template *list = settle(t, &n);
    fl_buf_init(&out, sizeof p.text);
    enum fl_status status = fl_template_rule(t, &list[0], &out, &p.why);
    CHECK((status == FL_OK) == (p.why == NULL));
    snprintf(p.text, sizeof p.text, "%s", fl_buf_text(&out));
    fl_buf_free(&out);
    return &p;
}

static bool matches(const struct pattern *p, const char *line)
{
    struct fl_matcher *m = NULL;
    struct fl_match_work *work = NULL;
    uint32_t number = 0;
    size_t at = 0;
    CHECK_EQ_INT(fl_matcher_new(&m, NULL), FL_OK);
    CHECK_EQ_INT(fl_matcher_add(m, fl_str_of(p->text), 0, &number, &at, NULL), FL_OK);
    CHECK_EQ_INT(fl_matcher_ready(m, NULL), FL_OK);
    CHECK_EQ_INT(fl_match_work_new(m, &work, NULL), FL_OK);
    bool yes = fl_matcher_try(work, number, fl_str_of(line), NULL) == FL_MATCH_YES;
    fl_match_work_free(work);
    fl_matcher_free(m);
    return yes;
}

TEST(rules_match_raw_lines_of_their_kind)
{
    struct fl_templates *t = new_templates();
    feed_text(t, "\x1b[32m[rank3]:[2031-03-14 11:12:13,456]\x1b[0m shard 12 loaded from /d/a.bin in 3ms", 3);
    feed_text(t, "[rank12]: [2031-03-14 11:12:13,456] shard 13 packed from /d/b.bin in 5ms", 3);
    const struct pattern *p = rule_of(t);
    CHECK(p->why == NULL);
    CHECK(fl_pattern_is_blind(fl_str_of(p->text)));
    CHECK(matches(p, "[rank7]: [2032-03-14 01:02:03,001] shard 9 loaded from /other/c.bin in 12.5s\r"));
    CHECK(matches(p, "\x1b[32m[rank3]:[2031-03-14 11:12:13,456]\x1b[0m shard 12 loaded from /d/a.bin in 3ms"));
    CHECK(matches(p, "shard 9 packed from c in 12ms"));
    CHECK(!matches(p, "shard 9 dropped from c in 12ms"));
    CHECK(!matches(p, "shard 9 packed from c in 12ms and failed"));
    CHECK(!matches(p, "fatal: shard 9 packed from c in 12ms"));
    fl_templates_free(t);
}

TEST(rules_need_something_to_go_by)
{
    struct fl_templates *t = new_templates();
    feed_text(t, "[rank3]: 12 of 13 in 4s", 5);
    CHECK(rule_of(t)->why == fl_template_rule_too_little);
    fl_templates_free(t);
    t = new_templates();
    feed_text(t, "an error that comes again and again", 5);
    CHECK_HAS(rule_of(t)->why, "failures");
    fl_templates_free(t);
}

TEST(long_lines_get_rules_that_fit)
{
    struct fl_templates *t = new_templates();
    struct fl_buf line;
    fl_buf_init(&line, 1 << 16);
    for (int i = 0; i < 300; i++) {
        fl_buf_addf(&line, "metric_%c%c: %d.5 ", 'a' + i % 26, 'a' + i / 26, i);
    }
    feed_text(t, fl_buf_text(&line), 2);
    const struct pattern *p = rule_of(t);
    CHECK(p->why == NULL);
    CHECK(strlen(p->text) <= FL_TEMPLATE_RULE_BYTES);
    CHECK(matches(p, fl_buf_text(&line)));
    fl_buf_free(&line);
    fl_templates_free(t);
}

int main(void)
{
    RUN(fields_have_types);
    RUN(words_are_not_fields);
    RUN(padding_and_colour_do_not_show);
    RUN(prefix_and_stamp_are_taken_off);
    RUN(forms_depend_on_shapes_only);
    RUN(forms_that_differ_in_a_word_are_one_template);
    RUN(alarming_lines_stay_apart);
    RUN(a_second_group_joins_only_what_says_the_same);
    RUN(ranks_are_counted);
    RUN(the_end_of_a_stream_is_guarded);
    RUN(order_and_batches_do_not_matter);
    RUN(shapes_give_what_reading_gives);
    RUN(memory_is_bounded);
    RUN(a_beginning_that_goes_on_in_any_way_is_one_template);
    RUN(rules_match_raw_lines_of_their_kind);
    RUN(rules_need_something_to_go_by);
    RUN(long_lines_get_rules_that_fit);
    return test_result();
}
