/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "service/base/json.h"

#include <math.h>

static char why[1024];

static fl_json *parse(struct fl_str text)
{
    struct fl_err err = {0};
    fl_json *root = NULL;
    enum fl_status status = fl_json_parse(text, "t.json", &root, &err);
    CHECK_EQ_INT(status != FL_OK, root == NULL);
    memcpy(why, err.msg, sizeof why);
    return root;
}

static bool refuses(struct fl_str text)
{
    fl_json *root = parse(text);
    fl_json_free(root);
    return root == NULL && why[0] != '\0';
}

TEST(reads_values)
{
    fl_json *root = parse(FL_LIT(" {\"s\": \"a\\n\\u00e9\", \"n\": -2.5, \"t\": true, \"z\": null,"
                                 " \"l\": [1, \"x\"]} \n"));
    CHECK_EQ_STR(fl_json_get_str(root, "s").p, "a\n\xc3\xa9");
    CHECK(fl_json_get_num(root, "n", 0) == -2.5);
    CHECK(fl_json_get_num(root, "s", 7) == 7);
    CHECK(fl_json_bool(fl_json_get(root, "t"), false));
    CHECK(fl_json_bool(fl_json_get(root, "n"), true));
    CHECK(fl_json_is_null(fl_json_get(root, "z")));
    CHECK_EQ_INT((long long)fl_json_count(fl_json_get(root, "l")), 2);
    const fl_json *first = fl_json_first(fl_json_get(root, "l"));
    CHECK(fl_json_is_number(first) && fl_json_is_string(fl_json_next(first)));
    CHECK(!fl_json_next(fl_json_next(first)));
    CHECK_EQ_STR(fl_json_key(fl_json_first(root)), "s");
    fl_json_free(root);
}

TEST(missing_is_harmless)
{
    fl_json *root = parse(FL_LIT("[]"));
    CHECK(!fl_json_get(root, "x") && !fl_json_get(NULL, "x"));
    CHECK(!fl_json_get_str(root, "x").p && !fl_json_str(NULL).p);
    CHECK_EQ_INT((long long)fl_json_count(NULL), 0);
    CHECK(!fl_json_first(root) && !fl_json_first(NULL) && !fl_json_next(NULL));
    CHECK(!fl_json_is_object(NULL) && fl_json_is_array(root));
    fl_json_free(root);
    fl_json_free(NULL);
}

TEST(keys_mind_their_case)
{
    fl_json *root = parse(FL_LIT("{\"Cause\": 1}"));
    CHECK(!fl_json_get(root, "cause") && fl_json_get(root, "Cause"));
    fl_json_free(root);
}

TEST(refuses_what_is_no_json)
{
    static const char *const bad[] = {"",       "   ",        "{",          "[1,]",  "{\"a\":1,}",
                                      "[1] x",  "{} {}",      "{'a': 1}",   "[1 2]", "{\"a\" 1}",
                                      "tru",    "\"open",     "{\"a\":\"b", "[",     "// c\n1",
                                      "{\"a\":1,\"a\":2}", "[{\"b\":{\"a\":1,\"a\":2}}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK(refuses(fl_str_of(bad[i])));
        CHECK_HAS(why, "t.json");
    }
    CHECK(refuses(FL_LIT("{\"a\": \"x\\u0000y\"}")));
    CHECK(refuses(FL_LIT("{\"a\0\": 1}")));
    CHECK(refuses(FL_LIT("[1]\0")));
    CHECK(refuses((struct fl_str){NULL, 0}));
}

/* cJSON takes \uZZZZ for \u0000 and cuts the string there. */
TEST(refuses_broken_unicode_escapes)
{
    CHECK(refuses(FL_LIT("{\"a\": \"x\\uZZZZy\"}")));
    CHECK(refuses(FL_LIT("{\"a\": \"x\\u00g0y\"}")));
    CHECK(refuses(FL_LIT("{\"a\": \"x\\ud83d\"}")));
}

TEST(refuses_depth)
{
    char text[2 * (FL_JSON_DEPTH + 1) + 1];
    memset(text, '[', FL_JSON_DEPTH + 1);
    memset(text + FL_JSON_DEPTH + 1, ']', FL_JSON_DEPTH + 1);
    CHECK(refuses((struct fl_str){text, 2 * (FL_JSON_DEPTH + 1)}));
    CHECK(!refuses((struct fl_str){text + 1, 2 * FL_JSON_DEPTH}));
    fl_json *root = parse(FL_LIT("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\""));
    CHECK(root != NULL);
    fl_json_free(root);
}

TEST(tells_the_place)
{
    CHECK(refuses(FL_LIT("{\n  \"a\": 1,\n  \"b\": oops\n}")));
    CHECK_HAS(why, "t.json:3:");
}

TEST(writes)
{
    struct fl_buf out;
    struct fl_jw w;
    fl_buf_init(&out, 1 << 16);
    fl_jw_init(&w, &out, false);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "text");
    fl_jw_str(&w, FL_LIT("q\" b\\ \n \x01 < \xff \xc3\xa9"));
    fl_jw_key(&w, "list");
    fl_jw_begin(&w, '[');
    fl_jw_int(&w, -3);
    fl_jw_num(&w, 0.25);
    fl_jw_num(&w, 4);
    fl_jw_num(&w, NAN);
    fl_jw_num(&w, HUGE_VAL);
    fl_jw_bool(&w, true);
    fl_jw_null(&w);
    fl_jw_text(&w, NULL);
    fl_jw_begin(&w, '{');
    fl_jw_end(&w, '}');
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    CHECK_EQ_STR(fl_buf_text(&out),
                 "{\"text\":\"q\\\" b\\\\ \\n \\u0001 \\u003c \\ufffd \xc3\xa9\","
                 "\"list\":[-3,0.25,4,null,null,true,null,null,{}]}");
    fl_buf_free(&out);
}

TEST(writes_pretty_and_reads_back)
{
    static const char text[] =
        "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"c\"\n    },\n    []\n  ],\n  \"d\": {}\n}";
    fl_json *root = parse(fl_str_of(text));
    struct fl_buf out;
    struct fl_jw w;
    fl_buf_init(&out, 1 << 16);
    fl_jw_init(&w, &out, true);
    fl_jw_json(&w, root);
    CHECK_EQ_STR(fl_buf_text(&out), text);
    fl_buf_free(&out);
    fl_json_free(root);
}

TEST(remembers_a_full_buffer)
{
    struct fl_buf out;
    struct fl_jw w;
    fl_buf_init(&out, 64);
    fl_jw_init(&w, &out, false);
    fl_jw_begin(&w, '[');
    for (int i = 0; i < 100; i++) {
        fl_jw_int(&w, i);
    }
    CHECK_EQ_INT(out.failed, FL_LIMIT);
    fl_buf_free(&out);
}

int main(void)
{
    RUN(reads_values);
    RUN(missing_is_harmless);
    RUN(keys_mind_their_case);
    RUN(refuses_what_is_no_json);
    RUN(refuses_broken_unicode_escapes);
    RUN(refuses_depth);
    RUN(tells_the_place);
    RUN(writes);
    RUN(writes_pretty_and_reads_back);
    RUN(remembers_a_full_buffer);
    return test_result();
}
