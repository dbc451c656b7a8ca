/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "service/base/json_pull.h"

static enum fl_status reads(struct fl_str text, struct fl_err *err)
{
    struct fl_jp jp;
    fl_jp_init(&jp, text);
    while (fl_jp_more(&jp)) {
        (void)fl_jp_skip(&jp);
    }
    return fl_jp_status(&jp, err);
}

TEST(takes_values)
{
    static const char *const good[] = {
        "",
        "  \n",
        "{}",
        "[]",
        "0",
        "-0.5e+10",
        "true false null",
        "\"\"",
        "{\"a\":{\"b\":[1,[2,{}]]}}",
        "{\"a\":1}\n{\"a\":2}\r\n\n[3]",
        "{}{}",
        "[\"\\u00e9\\\\\\\"\\/\\b\\f\\n\\r\\t\"]",
        "\xef\xbb\xbf{}",
        "[\"\xff\xc3\"]",
        "[ 1 , 2 ]",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        test_eq_int(__FILE__, __LINE__, good[i], reads(fl_str_of(good[i]), NULL), FL_OK);
    }
}

TEST(refuses_what_is_no_json)
{
    static const char *const bad[] = {
        "{",           "[",         "[1,]",
        "{\"a\":1,}",  "{,}",       "[,1]",
        "{'a':1}",     "{\"a\" 1}", "{\"a\":}",
        "{a:1}",       "]",         "[}",
        "{]",          "[1 2]",     "01",
        "-",           "1.",        ".5",
        "1e",          "+1",        "tru",
        "nul",         "NaN",       "\"open",
        "\"a\nb\"",    "\"a\tb\"",  "\"\\x\"",
        "\"\\u12g4\"", "\"\\u12",   "\"\\",
        "[1,,2]",      "// c",      "{\"a\":1 \"b\":2}",
        ",",           ":",         "{1:2}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        test_eq_int(__FILE__, __LINE__, bad[i], reads(fl_str_of(bad[i]), NULL), FL_SYNTAX);
    }
    CHECK_EQ_INT(reads(FL_LIT("[1]\0"), NULL), FL_SYNTAX);
    CHECK_EQ_INT(reads(FL_LIT("\"a\0b\""), NULL), FL_SYNTAX);
    struct fl_err err = {0};
    CHECK_EQ_INT(reads(FL_LIT("{\"a\": [1, x]}"), &err), FL_SYNTAX);
    CHECK_EQ_STR(err.msg, "JSON: byte 10: a value is expected");
}

TEST(nests_only_so_deep)
{
    char deep[FL_JP_DEPTH + 2];
    memset(deep, '[', sizeof deep);
    struct fl_err err = {0};
    CHECK_EQ_INT(reads((struct fl_str){deep, sizeof deep}, &err), FL_SYNTAX);
    CHECK_HAS(err.msg, "nested too deep");
}

static const char *meant(struct fl_str text)
{
    static char out[256];
    struct fl_jp jp;
    struct fl_jp_text string = {{"", 0}, false};
    struct fl_buf buf;
    fl_jp_init(&jp, text);
    fl_buf_init(&buf, sizeof out - 1);
    CHECK(fl_jp_string(&jp, &string));
    CHECK_EQ_INT(fl_jp_unescape(string, &buf), FL_OK);
    memcpy(out, fl_buf_text(&buf), buf.n + 1);
    fl_buf_free(&buf);
    return out;
}

TEST(unescapes)
{
    CHECK_EQ_STR(meant(FL_LIT("\"plain \xff bytes\"")), "plain \xff bytes");
    CHECK_EQ_STR(meant(FL_LIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t.\"")), "\"\\/\b\f\n\r\t.");
    CHECK_EQ_STR(meant(FL_LIT("\"\\u0041\\u00e9\\u20AC\"")), "A\xc3\xa9\xe2\x82\xac");
    CHECK_EQ_STR(meant(FL_LIT("\"\\ud83d\\ude00\"")), "\xf0\x9f\x98\x80");
    CHECK_EQ_STR(meant(FL_LIT("\"\\ud83d\\u0041\"")), "\xef\xbf\xbd"
                                                      "A");
    CHECK_EQ_STR(meant(FL_LIT("\"\\ude00\\ud83d\"")), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(strings_end_at_any_place)
{
    char text[64];
    for (size_t n = 0; n < 40; n++) { /* the quote, and what may not be, in all places of a word */
        memset(text, 'x', sizeof text);
        text[0] = '"';
        text[n + 1] = '"';
        CHECK_EQ_INT(reads((struct fl_str){text, n + 2}, NULL), FL_OK);
        text[n + 1] = '\x1f';
        CHECK_EQ_INT(reads((struct fl_str){text, sizeof text}, NULL), FL_SYNTAX);
        text[n + 1] = '\x80';
        text[63] = '"';
        CHECK_EQ_INT(reads((struct fl_str){text, sizeof text}, NULL), FL_OK);
    }
}

TEST(steps_through_members)
{
    struct fl_jp jp;
    fl_jp_init(&jp, FL_LIT("{\"a\": [1, {\"x\": []}, \"s\"], \"b\": {\"c\": 2}, \"d\": true} [4]"));
    char keys[8] = "";
    int items = 0;
    CHECK(fl_jp_enter(&jp, FL_JP_OBJECT));
    for (struct fl_jp_text key; fl_jp_key(&jp, &key);) {
        strncat(keys, key.raw.p, key.raw.n);
        if (!fl_jp_is(key, FL_LIT("a"))) {
            (void)fl_jp_skip(&jp);
            continue;
        }
        CHECK(fl_jp_enter(&jp, FL_JP_ARRAY));
        for (; fl_jp_item(&jp); items++) {
            struct fl_str raw = fl_jp_skip(&jp);
            CHECK(items != 1 || fl_str_eq(raw, FL_LIT("{\"x\": []}")));
        }
    }
    CHECK_EQ_STR(keys, "abd");
    CHECK_EQ_INT(items, 3);
    CHECK(fl_jp_more(&jp) && fl_jp_kind(&jp) == FL_JP_ARRAY);
    CHECK(!fl_jp_enter(&jp, FL_JP_OBJECT) && fl_jp_kind(&jp) == FL_JP_NONE);
    CHECK(!fl_jp_more(&jp) && !fl_jp_item(&jp) && fl_jp_skip(&jp).n == 0);
}

int main(void)
{
    RUN(takes_values);
    RUN(refuses_what_is_no_json);
    RUN(nests_only_so_deep);
    RUN(unescapes);
    RUN(strings_end_at_any_place);
    RUN(steps_through_members);
    return test_result();
}
