/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "service/ingest/event.h"

/* Events as "key{first line number}: text", one behind the other. */
static struct fl_buf seen;
static int count;

static void take(void *ctx, const struct fl_event *event)
{
    (void)ctx;
    count++;
    CHECK(event->n > 0 && event->n <= FL_EVENT_LINES && event->text.n <= FL_EVENT_BYTES);
    CHECK_EQ_INT(event->lines[0].at, 0);
    for (size_t i = 1; i < event->n; i++) { /* each line begins behind a line end */
        CHECK(event->lines[i].at > event->lines[i - 1].at);
        CHECK_EQ_INT(event->text.p[event->lines[i].at - 1], '\n');
    }
    fl_buf_addf(&seen, "%ld{%ld}: ", event->key, event->lines[0].number);
    fl_buf_add_str(&seen, fl_buf_str(&event->text));
    fl_buf_add_text(&seen, "\n--\n");
}

/* Feeds lines given as "KEY TEXT", the key one digit, in the order of the text. */
static const char *joined(const char *text)
{
    struct fl_events events;
    long number = 0;
    fl_buf_free(&seen);
    fl_buf_init(&seen, 1 << 20);
    count = 0;
    CHECK_EQ_INT(fl_events_init(&events, take, NULL, NULL), FL_OK);
    while (*text) {
        size_t n = strcspn(text, "\n");
        struct fl_str line = {text + 2, n - 2};
        number++;
        fl_events_feed(&events, text[0] - '0', line, number, (uint64_t)number * 100,
                       fl_str_find(line, FL_LIT("Traceback (most recent call last)")) ||
                           fl_str_starts(line, FL_LIT("  File \"")));
        text += n + (text[n] == '\n');
    }
    fl_events_end(&events);
    CHECK_EQ_INT((long long)events.open_n, 0);
    fl_events_fini(&events);
    return fl_buf_text(&seen);
}

#define TB "Traceback (most recent call last):"

TEST(joins_a_traceback)
{
    CHECK_EQ_STR(joined("1 before\n1 " TB "\n1   File \"a.py\", line 3, in f\n1     g()\n"
                        "1 ValueError: x\n1 [2031-04-02 10:00:00] next record\n"),
                 "1{2}: " TB "\n  File \"a.py\", line 3, in f\n    g()\nValueError: x\n--\n");
}

TEST(keeps_printers_apart)
{
    CHECK_EQ_STR(joined("1 " TB "\n2 " TB "\n1   File \"a.py\"\n2   File \"b.py\"\n2 KeyError: 'k'\n"
                        "1 ValueError: x\n3 stray\n"),
                 "1{1}: " TB "\n  File \"a.py\"\nValueError: x\n--\n"
                 "2{2}: " TB "\n  File \"b.py\"\nKeyError: 'k'\n--\n");
}

TEST(keeps_a_chain_together)
{
    const char *got =
        joined("1 " TB "\n1   File \"a.py\"\n1 KeyError: 'k'\n1 \n1 During handling of the above "
               "exception, another exception occurred:\n1 \n1 " TB "\n1   File \"b.py\"\n"
               "1 ValueError: x\n");
    CHECK_EQ_INT(count, 1);
    CHECK_HAS(got, "KeyError: 'k'\n");
    CHECK_HAS(got, "ValueError: x\n--");
}

/* As `kubectl logs --tail` and truncated files begin. */
TEST(a_traceback_without_its_head)
{
    CHECK_EQ_STR(joined("1   File \"a.py\", line 3, in f\n1     g()\n1   File \"b.py\", line 9, in g\n"
                        "1 pkg.ValueError: x\n1 [2031-04-02 10:00:00] next record\n"),
                 "1{1}:   File \"a.py\", line 3, in f\n    g()\n  File \"b.py\", line 9, in g\n"
                 "pkg.ValueError: x\n--\n");
    CHECK_EQ_STR(joined("1   File \"a.py\", line 3, in f\n1     g()\n1 INFO: all is well: 3\n"), "");
    CHECK_EQ_STR(joined("1   File \"a.py\", line 3, in f\n1     g()\n1 step 3 loss: 2.5\n"), "");
}

TEST(two_in_a_row_are_two)
{
    joined("1 " TB "\n1   File \"a.py\"\n1 KeyError: 'k'\n1 " TB "\n1   File \"b.py\"\n"
           "1 ValueError: x\n");
    CHECK_EQ_INT(count, 2);
}

TEST(takes_long_messages)
{
    const char *got = joined("1 " TB "\n1   File \"a.py\"\n1 RuntimeError: Error(s) in loading\n"
                             "1 \tsize mismatch for a\n1 \tsize mismatch for b\n1 \n1 done\n");
    CHECK_HAS(got, "size mismatch for b");
    CHECK_EQ_INT(count, 1);
}

TEST(takes_the_box_of_a_launcher)
{
    const char *rule = "1 ============================================================\n";
    const char *thin = "1 ------------------------------------------------------------\n";
    char text[2048];
    snprintf(text, sizeof text, "1 " TB "\n1   File \"run.py\"\n1 e.ChildFailedError: \n%s1 fit.py "
             "FAILED\n%s1 Failures:\n1 [1]:\n1   rank      : 3\n%s1 Root Cause:\n1 [0]:\n"
             "1   exitcode  : -9\n%s1 [x] outside\n", rule, thin, thin, rule);
    const char *got = joined(text);
    CHECK_HAS(got, "exitcode  : -9");
    CHECK(!strstr(got, "outside"));
}

TEST(bounds_what_it_keeps)
{
    struct fl_events events;
    char line[256];
    fl_buf_free(&seen);
    fl_buf_init(&seen, 1 << 20);
    count = 0;
    CHECK_EQ_INT(fl_events_init(&events, take, NULL, NULL), FL_OK);
    fl_events_feed(&events, 1, FL_LIT(TB), 1, 0, true);
    for (int i = 0; i < 5000; i++) {
        int n = snprintf(line, sizeof line, "  File \"deep.py\", line %d, in again%*s", i, i % 150,
                         "");
        fl_events_feed(&events, 1, (struct fl_str){line, (size_t)n}, i + 2, 0, false);
    }
    fl_events_feed(&events, 1, FL_LIT("RecursionError: too deep"), 6000, 0, false);
    fl_events_end(&events);
    CHECK_EQ_INT(count, 1);
    CHECK_HAS(fl_buf_text(&seen), "line 4999,"); /* the end says most */
    CHECK_HAS(fl_buf_text(&seen), "RecursionError: too deep");
    fl_events_fini(&events);
}

TEST(one_very_long_line)
{
    struct fl_events events;
    char *line = malloc(200000);
    if (!line) {
        abort();
    }
    memset(line, 'x', 200000);
    fl_buf_free(&seen);
    fl_buf_init(&seen, 1 << 20);
    CHECK_EQ_INT(fl_events_init(&events, take, NULL, NULL), FL_OK);
    fl_events_feed(&events, 1, FL_LIT(TB), 1, 0, true);
    for (int i = 0; i < 40; i++) {
        fl_events_feed(&events, 1, (struct fl_str){line, 200000}, 2 + i, 0, false);
    }
    fl_events_end(&events);
    fl_events_fini(&events);
    free(line);
}

TEST(closes_the_oldest_when_full)
{
    struct fl_events events;
    fl_buf_free(&seen);
    fl_buf_init(&seen, 1 << 20);
    count = 0;
    CHECK_EQ_INT(fl_events_init(&events, take, NULL, NULL), FL_OK);
    for (long key = 0; key < FL_EVENTS_OPEN + 3; key++) {
        fl_events_feed(&events, key, FL_LIT(TB), key + 1, 0, true);
    }
    CHECK_EQ_INT(count, 3);
    CHECK_EQ_INT((long long)events.open_n, FL_EVENTS_OPEN);
    CHECK_HAS(fl_buf_text(&seen), "0{1}: ");
    fl_events_fini(&events); /* open ones are dropped */
    CHECK_EQ_INT(count, 3);
}

int main(void)
{
    RUN(joins_a_traceback);
    RUN(keeps_printers_apart);
    RUN(keeps_a_chain_together);
    RUN(a_traceback_without_its_head);
    RUN(two_in_a_row_are_two);
    RUN(takes_long_messages);
    RUN(takes_the_box_of_a_launcher);
    RUN(bounds_what_it_keeps);
    RUN(one_very_long_line);
    RUN(closes_the_oldest_when_full);
    fl_buf_free(&seen);
    return test_result();
}
