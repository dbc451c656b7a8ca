/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "rules/attribute/roll.h"

static const struct fl_str nowhere = {NULL, 0};

static void note(struct fl_roll *roll, const char *ranks, const char *node, long enqueued)
{
    fl_roll_note(roll, fl_str_of(ranks), fl_str_of(node), enqueued, -1);
}

static struct fl_roll begin(struct fl_arena *arena)
{
    fl_arena_init(arena, 16 << 20);
    return (struct fl_roll){.arena = arena};
}

static const char *node_of(const struct fl_roll *roll, long rank)
{
    static char text[64];
    struct fl_str node = fl_roll_node_of(roll, rank);
    snprintf(text, sizeof text, "%.*s", (int)node.n, node.n ? node.p : "");
    return text;
}

TEST(nobody)
{
    struct fl_arena arena;
    struct fl_roll roll = begin(&arena);
    CHECK_EQ_INT(fl_roll_laggard(&roll), -1);
    CHECK_EQ_STR(node_of(&roll, 0), "");
    note(&roll, "", "", 5);
    note(&roll, "all", "", 5);
    CHECK_EQ_INT(roll.n, 0);
    fl_arena_free(&arena);
}

TEST(lists_of_ranks)
{
    struct fl_arena arena;
    struct fl_roll roll = begin(&arena);
    note(&roll, "0-3,7", "gn-1", -1);
    note(&roll, "12", "gn-2", -1);
    note(&roll, "4-6,8-11", "gn-3", -1);
    CHECK_EQ_INT(roll.n, 13);
    static const char *const want[] = {"gn-1", "gn-1", "gn-1", "gn-1", "gn-3", "gn-3", "gn-3",
                                       "gn-1", "gn-3", "gn-3", "gn-3", "gn-3", "gn-2", ""};
    for (long rank = 0; rank < 14; rank++) {
        CHECK_EQ_STR(node_of(&roll, rank), want[rank]);
    }
    fl_arena_free(&arena);
}

TEST(lists_that_are_none)
{
    struct fl_arena arena;
    struct fl_roll roll = begin(&arena);
    note(&roll, "5-", "gn-1", -1);
    note(&roll, "9-7", "gn-1", -1); /* backwards: nobody */
    note(&roll, "3,", "gn-1", -1);
    note(&roll, "2;4", "gn-1", -1);
    CHECK_EQ_INT(roll.n, 3);
    CHECK_EQ_STR(node_of(&roll, 5), "gn-1");
    CHECK_EQ_STR(node_of(&roll, 3), "gn-1");
    CHECK_EQ_STR(node_of(&roll, 2), "gn-1");
    CHECK_EQ_STR(node_of(&roll, 4), "");
    fl_arena_free(&arena);
}

TEST(a_list_too_long)
{
    struct fl_arena arena;
    struct fl_roll roll = begin(&arena);
    note(&roll, "0-999999999", "gn-1", 4);
    CHECK_EQ_INT(roll.n, FL_ROLL_MAX);
    note(&roll, "20000", "gn-2", 3);
    CHECK_EQ_INT(roll.n, FL_ROLL_MAX);
    CHECK_EQ_STR(node_of(&roll, 20000), "");
    note(&roll, "8", "gn-2", 3); /* known ranks go on to be told of */
    CHECK_EQ_INT(fl_roll_laggard(&roll), 8);
    fl_arena_free(&arena);
}

TEST(who_lags)
{
    static const struct {
        const char *what;
        long enqueued[4]; /* -2: does not tell */
        long laggard;
    } all[] = {
        {"alone behind", {190, 187, 190, 190}, 1},
        {"the last one", {190, 190, 190, 12}, 3},
        {"others differ, too", {190, 191, 180, 185}, 2},
        {"two tied", {187, 190, 187, 190}, -1},
        {"all the same", {190, 190, 190, 190}, -1},
        {"only one tells", {-2, 187, -2, -2}, -1},
        {"two tell", {-2, 187, -2, 188}, 1},
        {"never launched any", {0, 5, 5, 5}, 0},
        {"tied, then one lower", {190, 190, 190, 189}, 3},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct fl_arena arena;
        struct fl_roll roll = begin(&arena);
        for (long rank = 0; rank < 4; rank++) {
            char name[24];
            snprintf(name, sizeof name, "%ld", rank);
            note(&roll, name, "", all[i].enqueued[rank] == -2 ? -1 : all[i].enqueued[rank]);
        }
        CHECK_EQ_INT(fl_roll_laggard(&roll), all[i].laggard);
        if (fl_roll_laggard(&roll) != all[i].laggard) {
            fprintf(stderr, "  %s\n", all[i].what);
        }
        fl_arena_free(&arena);
    }
}

/* What is said later counts, but what is not said leaves it as it was. */
TEST(told_again)
{
    struct fl_arena arena;
    struct fl_roll roll = begin(&arena);
    note(&roll, "0", "", 10);
    note(&roll, "1", "", 11);
    CHECK_EQ_INT(fl_roll_laggard(&roll), 0);
    note(&roll, "0", "", 12);
    CHECK_EQ_INT(fl_roll_laggard(&roll), 1);
    note(&roll, "0-1", "gn-4", -1);
    CHECK_EQ_INT(fl_roll_laggard(&roll), 1);
    fl_roll_note(&roll, FL_LIT("1"), nowhere, -1, 9);
    CHECK_EQ_INT(roll.list[1].completed, 9);
    CHECK_EQ_INT(roll.list[1].enqueued, 11);
    note(&roll, "1", "gn-5", -1); /* the first node stays */
    CHECK_EQ_STR(node_of(&roll, 1), "gn-4");
    fl_arena_free(&arena);
}

TEST(one_node_or_many)
{
    struct fl_arena arena;
    struct fl_roll roll = begin(&arena);
    fl_roll_node(&roll, nowhere);
    fl_roll_node(&roll, FL_LIT("localhost"));
    fl_roll_node(&roll, FL_LIT("127.0.0.1"));
    CHECK_EQ_INT(roll.node.n, 0);
    fl_roll_node(&roll, FL_LIT("gn-1"));
    fl_roll_node(&roll, FL_LIT("gn-1"));
    fl_roll_node(&roll, FL_LIT("localhost"));
    CHECK(fl_str_eq(roll.node, FL_LIT("gn-1")) && !roll.many_nodes);
    note(&roll, "3", "localhost", -1);
    CHECK_EQ_STR(node_of(&roll, 3), "");
    note(&roll, "4", "gn-2", -1);
    CHECK(fl_str_eq(roll.node, FL_LIT("gn-1")) && roll.many_nodes);
    fl_arena_free(&arena);
}

TEST(many_nodes)
{
    struct fl_arena arena;
    struct fl_roll roll = begin(&arena);
    char ranks[32];
    char node[32];
    for (int i = 0; i < 512; i++) {
        snprintf(ranks, sizeof ranks, "%d-%d", 8 * i, 8 * i + 7);
        snprintf(node, sizeof node, "rack%d-%d", i / 16, i % 16);
        note(&roll, ranks, node, 90);
    }
    CHECK_EQ_INT(roll.n, 4096);
    CHECK(roll.many_nodes);
    CHECK_EQ_STR(node_of(&roll, 0), "rack0-0");
    CHECK_EQ_STR(node_of(&roll, 8 * 100 + 5), "rack6-4");
    CHECK_EQ_STR(node_of(&roll, 4095), "rack31-15");
    CHECK_EQ_INT(fl_roll_laggard(&roll), -1);
    note(&roll, "3077", "", 80);
    CHECK_EQ_INT(fl_roll_laggard(&roll), 3077);
    fl_arena_free(&arena);
}

TEST(no_memory)
{
    struct fl_arena arena;
    struct fl_roll roll = {.arena = &arena};
    fl_arena_init(&arena, 64);
    note(&roll, "0-7", "gn-1", 3);
    CHECK_EQ_INT(roll.n, 0);
    CHECK_EQ_INT(fl_roll_laggard(&roll), -1);
    fl_arena_free(&arena);
}

int main(void)
{
    RUN(nobody);
    RUN(lists_of_ranks);
    RUN(lists_that_are_none);
    RUN(a_list_too_long);
    RUN(who_lags);
    RUN(told_again);
    RUN(one_node_or_many);
    RUN(many_nodes);
    RUN(no_memory);
    return test_result();
}
