/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "service/base/buf.h"
#include "service/ingest/lines.h"

/* Lines as "number@offset:flags text|", so that a test reads like what it says. */
static struct fl_buf seen;
static int batches;

static enum fl_status take(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    (void)ctx;
    (void)err;
    batches++;
    for (size_t i = 0; i < batch->n; i++) {
        struct fl_str s = batch->texts[i];
        fl_buf_addf(&seen, "%ld@%llu:%u ", batch->at[i].number,
                    (unsigned long long)batch->at[i].offset, batch->at[i].flags);
        if (s.n > 40) {
            fl_buf_addf(&seen, "(%zu)", s.n);
        } else {
            fl_buf_add_safe(&seen, s);
        }
        fl_buf_add_text(&seen, "|");
    }
    return FL_OK;
}

static struct fl_lines *begin(unsigned flags)
{
    struct fl_lines *lines = NULL;
    fl_buf_free(&seen);
    fl_buf_init(&seen, 32 << 20);
    batches = 0;
    CHECK_EQ_INT(fl_lines_new(flags, take, NULL, &lines, NULL), FL_OK);
    return lines;
}

static void push(struct fl_lines *lines, struct fl_str bytes)
{
    CHECK_EQ_INT(fl_lines_push(lines, bytes, NULL), FL_OK);
}

static const char *end(struct fl_lines *lines)
{
    CHECK_EQ_INT(fl_lines_end(lines, NULL), FL_OK);
    fl_lines_free(lines);
    return fl_buf_text(&seen);
}

static const char *whole(unsigned flags, struct fl_str bytes)
{
    struct fl_lines *lines = begin(flags);
    push(lines, bytes);
    return end(lines);
}

TEST(cuts_at_newlines)
{
    CHECK_EQ_STR(whole(0, FL_LIT("a\nbc\n\nd\n")), "1@0:0 a|2@2:0 bc|3@5:0 |4@6:0 d|");
    CHECK_EQ_STR(whole(0, FL_LIT("a\nb")), "1@0:0 a|2@2:4 b|");
    CHECK_EQ_STR(whole(0, FL_LIT("")), "");
    CHECK_EQ_STR(whole(0, FL_LIT("\n")), "1@0:0 |");
    CHECK_EQ_STR(whole(0, FL_LIT("a\0b\n\xff\xfe\n")), "1@0:0 a\\x00b|2@4:0 \\xff\\xfe|");
}

TEST(leaves_bars_and_colours_without_the_flag)
{
    CHECK_EQ_STR(whole(0, FL_LIT("10%\r20%\r\n")), "1@0:0 10%\\x0d20%\\x0d|");
    CHECK_EQ_STR(whole(0, FL_LIT("\x1b[31mred\n")), "1@0:0 \\x1b[31mred|");
}

TEST(cuts_bars)
{
    CHECK_EQ_STR(whole(FL_LINES_BARS, FL_LIT("10%\r20%\n30%\n")),
                 "1@0:0 10%|1@4:0 20%|2@8:0 30%|");
    CHECK_EQ_STR(whole(FL_LINES_BARS, FL_LIT("a\r\nb\r\n")), "1@0:0 a|2@3:0 b|");
    CHECK_EQ_STR(whole(FL_LINES_BARS, FL_LIT("a\r")), "1@0:0 a|");
    CHECK_EQ_STR(whole(FL_LINES_BARS, FL_LIT("x\r\r\ny")), "1@0:0 x|1@2:0 |2@4:4 y|");
}

TEST(removes_escape_sequences)
{
    CHECK_EQ_STR(whole(FL_LINES_BARS, FL_LIT("\x1b[1;31mred\x1b[0m x\n\x1b[2Kb\n")),
                 "1@0:0 red x|2@17:0 b|");
    CHECK_EQ_STR(whole(FL_LINES_BARS, FL_LIT("\x1b]0;title\aa\x1b]8;;u\x1b\\b\n")), "1@0:0 ab|");
    CHECK_EQ_STR(whole(FL_LINES_BARS, FL_LIT("open\x1b[31\nnext\n")), "1@0:0 open|2@9:0 next|");
    CHECK_EQ_STR(whole(FL_LINES_BARS, FL_LIT("end\x1b")), "1@0:4 end|");
}

TEST(joins_chunks)
{
    struct fl_lines *lines = begin(FL_LINES_BARS);
    push(lines, FL_LIT("ab"));
    push(lines, FL_LIT("c\r"));
    CHECK_EQ_INT(fl_lines_flush(lines, NULL), FL_OK); /* \r may be half of \r\n */
    push(lines, FL_LIT("\nd"));
    CHECK_EQ_INT(fl_lines_flush(lines, NULL), FL_OK);
    push(lines, FL_LIT("e\n"));
    CHECK_EQ_STR(end(lines), "1@0:0 abc|2@5:0 de|");
}

TEST(flush_gives_what_is_complete)
{
    struct fl_lines *lines = begin(0);
    push(lines, FL_LIT("one\ntwo\nthr"));
    CHECK_EQ_STR(fl_buf_text(&seen), "");
    CHECK_EQ_INT(fl_lines_flush(lines, NULL), FL_OK);
    CHECK_EQ_STR(fl_buf_text(&seen), "1@0:0 one|2@4:0 two|");
    push(lines, FL_LIT("ee\n"));
    CHECK_EQ_STR(end(lines), "1@0:0 one|2@4:0 two|3@8:0 three|");
}

TEST(restart_counts_anew)
{
    struct fl_lines *lines = begin(0);
    push(lines, FL_LIT("one\ntw"));
    CHECK_EQ_INT(fl_lines_end(lines, NULL), FL_OK);
    fl_lines_restart(lines);
    push(lines, FL_LIT("new\n"));
    CHECK_EQ_STR(end(lines), "1@0:0 one|2@4:4 tw|1@0:0 new|");
}

TEST(bounds_long_lines)
{
    enum { LONG = 700 * 1024 };
    char *bytes = malloc(LONG + 5);
    if (!bytes) {
        abort();
    }
    memset(bytes, 'x', LONG);
    memcpy(bytes + LONG, "\nend\n", 5);
    CHECK_EQ_STR(whole(FL_LINES_BARS, (struct fl_str){bytes, LONG + 5}),
                 "1@0:5 (65536)|2@716801:0 end|");
    /* without the flag no byte is lost: pieces, of which the last has the line's end */
    CHECK_EQ_STR(whole(0, (struct fl_str){bytes, LONG + 5}),
                 "1@0:5 (65536)|1@65536:6 (196608)|1@262144:6 (262144)|1@524288:2 (192512)|"
                 "2@716801:0 end|");
    free(bytes);
}

TEST(counts)
{
    struct fl_lines *lines = begin(FL_LINES_BARS);
    push(lines, FL_LIT("a\rb\nc\n"));
    CHECK_EQ_INT(fl_lines_end(lines, NULL), FL_OK);
    CHECK_EQ_INT(fl_lines_count(lines), 2);
    CHECK_EQ_INT((long long)fl_lines_bytes(lines), 6);
    CHECK_EQ_INT(batches, 1);
    fl_lines_free(lines);
    fl_lines_free(NULL);
}

int main(void)
{
    RUN(cuts_at_newlines);
    RUN(leaves_bars_and_colours_without_the_flag);
    RUN(cuts_bars);
    RUN(removes_escape_sequences);
    RUN(joins_chunks);
    RUN(flush_gives_what_is_complete);
    RUN(restart_counts_anew);
    RUN(bounds_long_lines);
    RUN(counts);
    fl_buf_free(&seen);
    return test_result();
}
