/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that look codes up: which row a match stands for, what it takes from where, and what is said
 * of bad tables. */
#include "tests/unit/test.h"

#include "rules/base/table.h"
#include "service/base/fsio.h"
#include "service/paths.h"

#include <unistd.h>

static struct fl_taxonomy taxonomy;
static struct fl_ruleset *set;
static char folder[] = "/tmp/faultline-table-XXXXXX";
static char complaints[16384];
static size_t bad;

static void complain(void *ctx, const char *message)
{
    size_t n = strlen(complaints);
    (void)ctx;
    snprintf(complaints + n, sizeof complaints - n, "%s\n", message);
}

static void load(const char *name, const char *text)
{
    char path[256];
    struct fl_err err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK_EQ_INT(fl_fsio_replace(path, fl_str_of(text), false, &err), FL_OK);
    if (fl_ruleset_load(set, path, "shipped", complain, NULL, &bad, &err) != FL_OK) {
        complain(NULL, err.msg);
    }
    unlink(path);
}

static void begin(void)
{
    fl_ruleset_free(set);
    complaints[0] = '\0';
    bad = 0;
    CHECK_EQ_INT(fl_ruleset_new(&taxonomy, &set, NULL), FL_OK);
}

static void ready(void)
{
    CHECK_EQ_INT(fl_ruleset_ready(set, complain, NULL, &bad, NULL), FL_OK);
}

/* The id of the rule that a line stands for, "" for none. */
static const char *meant(const char *rule_id, const char *line)
{
    const struct fl_rule *rule = fl_ruleset_find(set, fl_str_of(rule_id));
    struct fl_match_work *work = NULL;
    struct fl_captures c;
    uint32_t index = UINT32_MAX;
    CHECK_EQ_INT(fl_match_work_new(set->lines, &work, NULL), FL_OK);
    if (rule && fl_matcher_try(work, rule->any.number[0], fl_str_of(line), &c) ==
                    FL_MATCH_YES) {
        index = fl_ruleset_resolve(set, (uint32_t)(rule - set->rules), &c);
    }
    fl_match_work_free(work);
    return index == UINT32_MAX ? "" : set->rules[index].id;
}

static const char fan_table[] =
    "{\"format\": \"faultline.table/1\", \"name\": \"fan\", \"rows\": ["
    "{\"key\": \"7\", \"name\": \"too slow\", \"aliases\": [\"FAN_SLOW\", \"slow fan\"],"
    " \"cause\": \"straggler\", \"confidence\": 0.9, \"sample\": \"fan code 7 seen\"},"
    "{\"key\": \"8\", \"name\": \"gone\", \"role\": \"symptom\", \"action\": \"drain_node\"}]}";
static const char fan_rule[] =
    "{\"format\": \"faultline.diagnosis/1\", \"rules\": [{\"id\": \"fan\", \"table\": \"fan\","
    "\"cause\": \"node_failure\", \"confidence\": 0.6, \"severity\": \"low\","
    "\"any\": [\"fan code (?<key>[\\\\w ]+?)(?: seen|$)\"],"
    "\"summary\": \"fan {key} is {name}[[ on {node}]]\","
    "\"samples\": {\"match\": [\"fan code 8\"], \"nomatch\": [\"fan is fine\"]}}]}";

TEST(a_key_or_alias_finds_its_row)
{
    begin();
    load("rule.json", fan_rule); /* before its table: the order does not matter */
    load("table.json", fan_table);
    ready();
    CHECK_EQ_STR(complaints, "");
    CHECK_EQ_INT(set->read_n, 1);
    CHECK_EQ_INT(set->rules_n, 3);
    CHECK_EQ_STR(meant("fan", "fan code 7"), "fan.7");
    CHECK_EQ_STR(meant("fan", "fan code 007"), "fan.7");
    CHECK_EQ_STR(meant("fan", "fan code Slow Fan seen"), "fan.7");
    CHECK_EQ_STR(meant("fan", "fan code fan_slow"), "fan.7");
    CHECK_EQ_STR(meant("fan", "fan code 8"), "fan.8");
    CHECK_EQ_STR(meant("fan", "fan code 70"), "fan");
    CHECK_EQ_STR(meant("fan", "fan 7"), "");
}

TEST(a_row_falls_back_to_the_rule_then_to_the_cause)
{
    begin();
    load("table.json", fan_table);
    load("rule.json", fan_rule);
    ready();
    const struct fl_rule *own = fl_ruleset_find(set, FL_LIT("fan.7"));
    const struct fl_rule *same = fl_ruleset_find(set, FL_LIT("fan.8"));
    const struct fl_cause *straggler = fl_taxonomy_find(&taxonomy, FL_LIT("straggler"));
    CHECK(own && same && straggler);
    if (!own || !same) {
        return;
    }
    CHECK(own->cause == straggler && own->severity == straggler->severity);
    CHECK_EQ_STR(own->action, straggler->action);
    CHECK_EQ_INT((long long)(own->confidence * 100), 90);
    CHECK_EQ_STR(own->summary, "fan 7 is too slow[[ on {node}]]");
    CHECK_EQ_STR(same->cause->slug, "node_failure");
    CHECK_EQ_INT(same->severity, FL_SEVERITY_LOW);
    CHECK_EQ_STR(same->action, "drain_node");
    CHECK_EQ_INT(same->role, FL_ROLE_SYMPTOM);
    CHECK_EQ_INT((long long)(same->confidence * 100), 60);
}

TEST(without_a_cause_an_unknown_key_is_no_match)
{
    begin();
    load("table.json", fan_table);
    load("rule.json", "{\"format\": \"faultline.diagnosis/1\", \"rules\": [{\"id\": \"fan\","
                      "\"table\": \"fan\", \"any\": [\"fan code (?<key>\\\\d+)\"],"
                      "\"samples\": {\"match\": [\"fan code 7\"], \"nomatch\": [\"fan code 9\"]}}]}");
    ready();
    CHECK_EQ_STR(meant("fan", "fan code 7"), "fan.7");
    CHECK_EQ_STR(meant("fan", "fan code 9"), "");
    CHECK_EQ_STR(meant("fan", "fan code 8"), ""); /* a symptom needs a cause, and no one names it */
    CHECK_HAS(complaints, "row 8 of table fan");
    CHECK_HAS(complaints, "names no cause, nor does the rule");
    CHECK_EQ_INT(bad, 1);
}

TEST(bad_rows_are_named)
{
    static const struct {
        const char *row;
        const char *says;
    } cases[] = {
        {"{\"name\": \"x\"}", "row 2 (key \"\"): needs a \"key\""},
        {"{\"key\": \"5 6\", \"name\": \"x\"}", "row 2 (key \"5 6\"): needs a \"key\""},
        {"{\"key\": \"5\"}", "and a \"name\""},
        {"{\"key\": \"07\", \"name\": \"x\"}", "\"7\" stands in another row"},
        {"{\"key\": \"5\", \"name\": \"x\", \"aliases\": [\"Seven\"]}", "\"seven\" stands in another"},
        {"{\"key\": \"5\", \"name\": \"x\", \"aliases\": \"y\"}", "\"aliases\" must be a list"},
        {"{\"key\": \"5\", \"name\": \"x\", \"cause\": \"fate\"}", "\"cause\" fate is not a cause"},
        {"{\"key\": \"5\", \"name\": \"x\", \"role\": \"lead\"}", "\"role\" lead is not"},
        {"{\"key\": \"5\", \"name\": \"x\", \"action\": \"pray\"}", "\"action\" pray is not"},
        {"{\"key\": \"5\", \"name\": \"x\", \"severity\": \"dire\"}", "\"severity\" must be"},
        {"{\"key\": \"5\", \"name\": \"x\", \"confidence\": 3}", "\"confidence\" must lie"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        begin();
        snprintf(text, sizeof text, "{\"format\": \"faultline.table/1\", \"name\": \"t\", \"rows\": "
                 "[{\"key\": \"7\", \"name\": \"good\", \"aliases\": [\"seven\"]}, %s]}",
                 cases[i].row);
        load("bad.json", text);
        CHECK_HAS(complaints, "bad.json: table t: row 2");
        CHECK_HAS(complaints, cases[i].says);
        CHECK_EQ_INT(bad, 1);
        CHECK(set->tables_n == 1 && fl_table_find(&set->tables[0], FL_LIT(" SEVEN ")) == 0);
        CHECK(set->tables_n == 1 && fl_table_find(&set->tables[0], FL_LIT("5")) == UINT32_MAX);
    }
}

TEST(what_does_not_fit_together_is_said)
{
    begin();
    load("a.json", fan_table);
    load("b.json", fan_table);
    CHECK_HAS(complaints, "b.json: there is another table fan");
    load("none.json", "{\"format\": \"faultline.table/1\", \"name\": \"t\", \"rows\": []}");
    CHECK_HAS(complaints, "none.json: a table needs a \"name\"");
    load("rules.json",
         "{\"format\": \"faultline.diagnosis/1\", \"rules\": [{\"id\": \"lost\", \"table\": \"lift\","
         "\"any\": [\"lift (?<key>\\\\d)\"]}, {\"id\": \"keyless\", \"table\": \"fan\","
         "\"any\": [\"fan code (?<kay>\\\\d)\"]}, {\"id\": \"deaf\", \"table\": \"fan\","
         "\"cause\": \"straggler\", \"any\": [\"ventilator (?<key>\\\\d)\"]}]}");
    ready();
    CHECK_HAS(complaints, "rule lost: there is no table lift");
    CHECK_HAS(complaints, "rule keyless: \"table\" wants a capture (?<key>...)");
    CHECK_HAS(complaints, "table fan: row 7: no rule with this table takes its sample");
}

int main(void)
{
    char path[FL_PATHS_BYTES];
    CHECK(mkdtemp(folder) != NULL);
    CHECK_EQ_INT(fl_taxonomy_load(fl_paths_data("data/taxonomy.json", path), &taxonomy, NULL), FL_OK);
    RUN(a_key_or_alias_finds_its_row);
    RUN(a_row_falls_back_to_the_rule_then_to_the_cause);
    RUN(without_a_cause_an_unknown_key_is_no_match);
    RUN(bad_rows_are_named);
    RUN(what_does_not_fit_together_is_said);
    fl_ruleset_free(set);
    fl_taxonomy_free(&taxonomy);
    rmdir(folder);
    return test_result();
}
