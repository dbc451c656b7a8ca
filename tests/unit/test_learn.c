/* SPDX-License-Identifier: Apache-2.0 */
/* What may be learned, what is refused, and that the files survive damage. */
#include "tests/unit/test.h"

#include "rules/learn/derive.h"
#include "rules/learn/learn.h"
#include "service/base/fsio.h"
#include "service/mine.h"
#include "service/rulebook.h"

#include <unistd.h>

static struct fl_rulebook book;
static char state[64];
static char complaint[16384];
static int complaints;

static void complain(void *ctx, const char *message)
{
    (void)ctx;
    complaints++;
    snprintf(complaint, sizeof complaint, "%s", message);
}

static const char *path_of(const char *name)
{
    static char path[2][256];
    static int next;
    next = 1 - next;
    snprintf(path[next], sizeof path[next], "%s/rules/%s", state, name);
    return path[next];
}

static void fresh(void)
{
    static const char *const names[] = {"learned_filters.json", "learned_filters.json.prev",
                                        "learned_filters.json.bad",
                                        "learned_diagnosis.json", "learned_diagnosis.json.prev"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        unlink(path_of(names[i]));
    }
    complaints = 0;
    complaint[0] = '\0';
}

static struct fl_proposal filter(const char *pattern, const char *sample)
{
    return (struct fl_proposal){.is_filter = true, .pattern = fl_str_of(pattern),
                                .sample = fl_str_of(sample), .kind = "learned",
                                .model = FL_LIT("m-1"), .prompt = FL_LIT("diagnose/1-abc"),
                                .time = "2031-04-02T10:00:00Z"};
}

static struct fl_proposal diagnosis(const char *pattern, const char *sample)
{
    struct fl_proposal p = filter(pattern, sample);
    p.is_filter = false;
    p.cause = fl_taxonomy_find(&book.taxonomy, FL_LIT("config_error"));
    p.summary = FL_LIT("the widget has no teeth");
    p.incident = FL_LIT("inc-7");
    return p;
}

static char id[64];
static char why[1024];

static enum fl_status propose(const struct fl_proposal *p)
{
    struct fl_err err = {0};
    enum fl_status status = fl_learn_propose(book.set, state, p, id, &err);
    memcpy(why, err.msg, sizeof why);
    return status;
}

/* Loads the learned files into a set of their own. */
static struct fl_ruleset *load(void)
{
    struct fl_ruleset *set = NULL;
    struct fl_err err = {0};
    CHECK_EQ_INT(fl_ruleset_new(&book.taxonomy, &set, &err), FL_OK);
    CHECK_EQ_INT(fl_learn_load(set, state, complain, NULL, NULL, &err), FL_OK);
    CHECK_EQ_STR(err.msg, "");
    return set;
}

TEST(a_good_filter_is_kept_as_proposed)
{
    fresh();
    struct fl_proposal p = filter("widget ticked \\d+ times$", "widget ticked 40 times");
    CHECK_EQ_INT(propose(&p), FL_OK);
    struct fl_ruleset *set = load();
    CHECK_EQ_INT(set->rules_n, 1);
    const struct fl_rule *rule = fl_ruleset_find(set, fl_str_of(id));
    CHECK(rule && rule->is_filter && rule->state == FL_STATE_PROPOSED);
    CHECK(rule && rule->origin_json && strstr(rule->origin_json, "diagnose/1-abc"));
    CHECK(rule && fl_str_eq(rule->any.text[0], p.pattern));
    fl_ruleset_free(set);
    CHECK_EQ_INT(propose(&p), FL_CONFLICT);
    CHECK_EQ_INT(complaints, 0);
}

TEST(a_good_diagnosis_is_kept_as_proposed)
{
    fresh();
    struct fl_proposal p = diagnosis("widget (?:lost|has no) teeth", "E widget has no teeth");
    CHECK_EQ_INT(propose(&p), FL_OK);
    struct fl_ruleset *set = load();
    const struct fl_rule *rule = fl_ruleset_find(set, fl_str_of(id));
    CHECK(rule && !rule->is_filter && rule->state == FL_STATE_PROPOSED && rule->cause == p.cause);
    CHECK(rule && rule->summary && strstr(rule->summary, "no teeth"));
    fl_ruleset_free(set);
}

TEST(more_than_one)
{
    fresh();
    static const char *const patterns[] = {"widget alpha went \\d+$", "widget beta went \\d+$",
                                           "widget gamma went \\d+$"};
    static const char *const samples[] = {"widget alpha went 1", "widget beta went 2", "widget gamma went 3"};
    for (size_t i = 0; i < 3; i++) {
        struct fl_proposal p = filter(patterns[i], samples[i]);
        CHECK_EQ_INT(propose(&p), FL_OK);
    }
    struct fl_ruleset *set = load();
    CHECK_EQ_INT(set->rules_n, 3);
    fl_ruleset_free(set);
    CHECK(fl_fsio_exists(path_of("learned_filters.json.prev")));
}

TEST(the_gate_refuses)
{
    fresh();
    static const struct {
        const char *pattern, *sample, *says;
    } bad[] = {
        {".", "anything", "literal"},
        {"(?s).*", "anything", "literal"},
        {"\\d+ \\w+", "40 times", "literal"},
        {"(unclosed", "(unclosed", ""},
        {"widget ticked", "something else", "sample"},
        {"step|widget", "widget a", "general"},
        {"loss|(?:)widget", "widget a", ""},
        {"(?:a+)+widget", "aaawidget", ""},
        {"widget .*", "widget Error: it broke", "failures"},
        {"CUDA out of memory", "CUDA out of memory", ""},
        {"(?i)error", "an error occurred", ""},
        {"Traceback \\(most recent call last\\)", "Traceback (most recent call last):", ""},
        {"Watchdog caught collective", "Watchdog caught collective", "hide a line"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fl_proposal p = filter(bad[i].pattern, bad[i].sample);
        CHECK(propose(&p) != FL_OK);
        CHECK(why[0] != '\0');
        CHECK_HAS(why, bad[i].says);
        if (!strstr(why, bad[i].says) || !why[0]) {
            fprintf(stderr, "  pattern %s: %s\n", bad[i].pattern, why);
        }
    }
    CHECK(!fl_fsio_exists(path_of("learned_filters.json")));
}

TEST(the_gate_protects_evidence)
{
    fresh();
    struct fl_proposal p = filter("widget \\w+ in its bay \\d$", "widget turned in its bay 3");
    p.protects = FL_LIT("first line\nwidget jammed in its bay 7\nlast line");
    CHECK_EQ_INT(propose(&p), FL_DENIED);
    CHECK_HAS(why, "evidence");
    p.protects = FL_LIT("first line\nlast line");
    CHECK_EQ_INT(propose(&p), FL_OK);
}

TEST(the_gate_of_diagnosis_rules)
{
    fresh();
    static const char *const bad[][2] = {{"INFO \\| step", "INFO | step 3"},
                                         {"(?:)|widget", "widget"},
                                         {"[a-z]+", "widget"},
                                         {"widget", "no such thing"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fl_proposal p = diagnosis(bad[i][0], bad[i][1]);
        CHECK(propose(&p) != FL_OK);
    }
}

static void overwrite(const char *path, struct fl_str bytes)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes.p, 1, bytes.n, f) != bytes.n || fclose(f) != 0) {
        abort();
    }
}

TEST(damage_falls_back_to_the_version_before)
{
    fresh();
    struct fl_proposal p = filter("widget alpha went \\d+$", "widget alpha went 1");
    CHECK_EQ_INT(propose(&p), FL_OK);
    p = filter("widget beta went \\d+$", "widget beta went 1");
    CHECK_EQ_INT(propose(&p), FL_OK);
    const char *path = path_of("learned_filters.json");
    struct fl_buf text;
    fl_buf_init(&text, 1 << 20);
    CHECK_EQ_INT(fl_fsio_read(path, &text, NULL), FL_OK);
    char *beta = text.p ? strstr(text.p, "beta") : NULL;
    CHECK(beta != NULL);
    if (beta) {
        *beta = 'z';
    }
    overwrite(path, fl_buf_str(&text));
    struct fl_ruleset *set = load();
    CHECK_EQ_INT(complaints, 1);
    CHECK_HAS(complaint, "learned_filters.json");
    CHECK_HAS(complaint, "previous version");
    CHECK_EQ_INT(set->rules_n, 2);
    fl_ruleset_free(set);
    struct fl_buf after;
    fl_buf_init(&after, 1 << 20);
    CHECK_EQ_INT(fl_fsio_read(path, &after, NULL), FL_OK);
    CHECK(fl_str_eq(fl_buf_str(&text), fl_buf_str(&after))); /* stays for inspection */
    fl_buf_free(&text);
    fl_buf_free(&after);
}

TEST(any_torn_file_is_survived)
{
    fresh();
    struct fl_proposal p = filter("widget alpha went \\d+$", "widget alpha went 1");
    CHECK_EQ_INT(propose(&p), FL_OK);
    const char *path = path_of("learned_filters.json");
    struct fl_buf text;
    fl_buf_init(&text, 1 << 20);
    CHECK_EQ_INT(fl_fsio_read(path, &text, NULL), FL_OK);
    const char *copy = path_of("learned_filters.json.prev");
    for (size_t n = 0; n < text.n; n += 7) {
        overwrite(path, (struct fl_str){text.p, n});
        struct fl_ruleset *set = load();
        CHECK_EQ_INT(set->rules_n, 1); /* by the copy */
        fl_ruleset_free(set);
        overwrite(copy, (struct fl_str){text.p, n});
        set = load();
        CHECK_EQ_INT(set->rules_n, 0);
        fl_ruleset_free(set);
        overwrite(copy, fl_buf_str(&text));
    }
    CHECK(complaints > 10);
    fl_buf_free(&text);
}

/* A proposal after the file was damaged must not wipe what the version before still holds. */
TEST(proposing_over_damage_keeps_the_old_rules)
{
    fresh();
    struct fl_proposal p = filter("widget alpha went \\d+$", "widget alpha went 1");
    CHECK_EQ_INT(propose(&p), FL_OK);
    p = filter("widget beta went \\d+$", "widget beta went 1");
    CHECK_EQ_INT(propose(&p), FL_OK);
    overwrite(path_of("learned_filters.json"), FL_LIT("{ torn"));
    p = filter("widget gamma went \\d+$", "widget gamma went 1");
    CHECK_EQ_INT(propose(&p), FL_OK);
    complaints = 0;
    struct fl_ruleset *set = load();
    CHECK_EQ_INT(complaints, 0);
    CHECK_EQ_INT(set->rules_n, 3);
    fl_ruleset_free(set);
    CHECK(fl_fsio_exists(path_of("learned_filters.json.bad"))); /* stays for inspection */
}

TEST(nothing_there_is_fine)
{
    fresh();
    struct fl_ruleset *set = load();
    CHECK_EQ_INT(set->rules_n, 0);
    CHECK_EQ_INT(complaints, 0);
    fl_ruleset_free(set);
}

static bool matches(struct fl_str pattern, const char *text)
{
    const struct fl_pattern one = {pattern, 0};
    struct fl_programs *programs = NULL;
    struct fl_err err = {0};
    CHECK_EQ_INT(fl_programs_new(&one, 1, &programs, &err), FL_OK);
    bool yes = fl_program_try(programs, 0, fl_str_of(text), NULL) == FL_MATCH_YES;
    fl_programs_free(programs);
    return yes;
}

/* The pattern of a rule knows the failure again, and nothing that differs in its words. */
TEST(a_rule_is_made_of_a_line)
{
    static const struct {
        const char *line;
        const char *again; /* NULL: there is no rule in it */
        const char *other;
    } cases[] = {
        {"ERROR:root:Shelf 7 of rack '/srv/a' is full (3 of 3 GiB)",
         "Shelf 12 of rack '/data/x' is full (900 of 901.5 GiB)", "Shelf 12 of rack '/x' is empty"},
        {"[rank3]: WidgetError: bay 0x7ffe12 lost 3.5% of its pressure",
         "WidgetError: bay 0x1 lost 12% of its pressure", "WidgetWarning: bay 0x1 lost 12% of it"},
        {"2031-04-02 10:00:00,123 the conveyor belt *stopped* (again?)",
         "the conveyor belt *stopped* (again?)", "the conveyor belt stopped"},
        {"Killed", NULL, NULL},
        {"12345 67890 0.5 {} [] 17", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_buf pattern;
        struct fl_err err = {0};
        fl_buf_init(&pattern, 4096);
        enum fl_status status = fl_derive(&fl_mine_prefixes, fl_str_of(cases[i].line), &pattern, &err);
        CHECK_EQ_INT(status, cases[i].again ? FL_OK : FL_DENIED);
        CHECK(cases[i].again || err.msg[0]);
        if (status == FL_OK) {
            CHECK(matches(fl_buf_str(&pattern), cases[i].line));
            CHECK(matches(fl_buf_str(&pattern), cases[i].again));
            CHECK(!matches(fl_buf_str(&pattern), cases[i].other));
        }
        fl_buf_free(&pattern);
    }
}

int main(void)
{
    struct fl_err err = {0};
    snprintf(state, sizeof state, "/tmp/fl-learn-XXXXXX");
    if (!mkdtemp(state) || fl_rulebook_open(NULL, &book, &err) != FL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return EXIT_FAILURE;
    }
    RUN(a_rule_is_made_of_a_line);
    RUN(a_good_filter_is_kept_as_proposed);
    RUN(a_good_diagnosis_is_kept_as_proposed);
    RUN(more_than_one);
    RUN(the_gate_refuses);
    RUN(the_gate_protects_evidence);
    RUN(the_gate_of_diagnosis_rules);
    RUN(damage_falls_back_to_the_version_before);
    RUN(any_torn_file_is_survived);
    RUN(proposing_over_damage_keeps_the_old_rules);
    RUN(nothing_there_is_fine);
    fresh();
    fl_rulebook_close(&book);
    char path[128];
    snprintf(path, sizeof path, "%s/lock", state);
    unlink(path);
    snprintf(path, sizeof path, "%s/rules", state);
    rmdir(path);
    rmdir(state);
    return test_result();
}
