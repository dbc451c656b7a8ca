/* SPDX-License-Identifier: Apache-2.0 */
/* Detectors of files. */
#include "tests/unit/signals_job.h"

struct told {
    char text[4096];
    size_t n;
};

static void hear(void *ctx, const char *message)
{
    struct told *told = ctx;
    snprintf(told->text, sizeof told->text, "%s", message);
    told->n++;
}

static struct fl_declared *declare(const char *json, struct fl_arena *arena, struct told *told,
                                   size_t *bad_r)
{
    fl_json *root = NULL;
    struct fl_err err = {0};
    struct fl_taxonomy taxonomy;
    struct fl_declared *d = NULL;
    char path[4096];
    snprintf(path, sizeof path, "%s/data/taxonomy.json", getenv("FL_SOURCE"));
    *told = (struct told){.n = 0};
    *bad_r = 0;
    CHECK_EQ_INT(fl_taxonomy_load(path, &taxonomy, &err), FL_OK);
    CHECK_EQ_INT(fl_json_parse(fl_str_of(json), "own.json", &root, &err), FL_OK);
    CHECK_EQ_INT(fl_declared_extend(&d, root, "own.json", &taxonomy, arena, hear, told, bad_r, &err),
                 FL_OK);
    fl_declared_settle(d, metrics, hear, told, bad_r);
    for (size_t i = 0; d && i < d->n; i++) { /* the taxonomy goes */
        d->list[i].cause =
            d->list[i].cause ? fl_arena_text(arena, fl_str_of(d->list[i].cause)) : NULL;
    }
    fl_taxonomy_free(&taxonomy);
    fl_json_free(root);
    return d;
}

#define DETECTOR(rest)                                                                             \
    "{\"format\": \"faultline.detectors/1\", \"detectors\": [{\"id\": \"own\", \"kind\": \"spike\", "    \
    "\"severity\": \"low\", \"text\": \"{value} at {step}\", " rest "}]}"

/* What the detector alone finds in the job; *out is empty when it finds nothing. */
static size_t find(struct job *j, const char *json, struct fl_detection *out)
{
    struct told told;
    size_t bad = 0;
    size_t n = 0;
    struct fl_declared *d = declare(json, &j->arena, &told, &bad);
    CHECK_EQ_INT(bad, 0);
    if (bad) {
        fprintf(stderr, "  %s\n", told.text);
    }
    *out = (struct fl_detection){.kind = ""};
    j->found_n = fl_detect(&j->set, d, j->found);
    for (size_t i = 0; i < j->found_n; i++) {
        if (j->found[i].detector) {
            *out = j->found[i];
            n++;
        }
    }
    fl_declared_free(d);
    return n;
}

TEST(declared_statistics)
{
    static const struct {
        const char *json;
        long from;
        long to;
        const char *text;
        bool lasts;
    } cases[] = {
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"min\", \"comparison\": \"below\", "
                  "\"value\": 150"), 61, 70, "100 at 61", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"mean\", \"window\": 10, "
                  "\"comparison\": \"below\", \"value\": 101"), 70, 70, "100 at 70", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"max\", \"comparison\": \"below\", "
                  "\"value\": 150, \"duration\": 11"), -1, -1, "", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"ratio_to_first\", \"window\": 5, "
                  "\"comparison\": \"below\", \"value\": 0.6"), 65, 70, "0.5 at 65", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"ratio_to_median\", "
                  "\"comparison\": \"below\", \"value\": 0.6"), 61, 70, "0.5 at 61", false},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"std\", \"window\": 4, "
                  "\"comparison\": \"above\", \"value\": 49"), 62, 62, "50 at 62", false},
        {DETECTOR("\"metric\": \"memory\", \"statistic\": \"slope\", \"window\": 20, "
                  "\"comparison\": \"above\", \"value\": 0.24, \"duration\": 30, "
                  "\"cause\": \"host_oom\""), 20, 100, "0.25 at 20", true},
        {DETECTOR("\"metric\": \"grad_norm\", \"statistic\": \"count_not_finite\", \"window\": 10, "
                  "\"comparison\": \"above\", \"value\": 4, \"cause\": \"numerical_instability\""),
         89, 100, "5 at 89", true},
        {DETECTOR("\"metric\": \"grad_norm\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": 0.5, \"duration\": 3"), 1, 80, "1 at 1", false}, /* then nan lies between */
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"mean\", \"comparison\": \"above\", "
                  "\"value\": 0"), -1, -1, "", false}, /* nobody prints it */
    };
    struct job *j = begin();
    for (long i = 1; i <= 100; i++) {
        say(j, i > 80 && i % 2 ? "step %ld tps: %d mem %.2f grad_norm nan"
                               : "step %ld tps: %d mem %.2f grad_norm 1.0", i,
            i > 60 && i <= 70 ? 100 : 200, 40 + (double)i / 4);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fl_detection d;
        CHECK_EQ_INT(find(j, cases[i].json, &d), cases[i].from >= 0);
        if (cases[i].from >= 0) {
            CHECK_EQ_INT(d.from_step, cases[i].from);
            CHECK_EQ_INT(d.to_step, cases[i].to);
            CHECK_EQ_STR(d.text, cases[i].text);
            CHECK_EQ_STR(d.kind, "spike");
            CHECK_EQ_INT(d.row ? d.row->place.line : 0, cases[i].from);
            CHECK(cases[i].lasts ? d.cause && d.weight == 0.5 : !d.cause);
        } else {
            CHECK_EQ_STR(d.kind, "");
        }
    }
    end(j);
}

/* Windows and durations are of values that were printed, not of those kept. */
TEST(declared_for_a_thinned_series)
{
    struct job *j = begin();
    for (long i = 0; i < 40000; i++) {
        say(j, "step %ld tps: %d", i, i >= 30000 && i < 34000 ? 100 : 200);
    }
    static const struct {
        const char *json;
        size_t n;
    } cases[] = {
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"mean\", \"window\": 1000, "
                  "\"comparison\": \"below\", \"value\": 101, \"duration\": 1000"), 1},
        {DETECTOR("\"metric\": \"throughput\", \"statistic\": \"mean\", \"window\": 1, "
                  "\"comparison\": \"below\", \"value\": 101, \"duration\": 1"), 1},
    };
    for (size_t i = 0; i < 2; i++) {
        struct fl_detection d;
        CHECK_EQ_INT(find(j, cases[i].json, &d), (long long)cases[i].n);
        CHECK(d.from_step >= 30000 && d.from_step < (i ? 30100 : 31100));
        CHECK(d.to_step > 33800 && d.to_step < 34100);
    }
    end(j);
}

TEST(declared_beside_the_others)
{
    struct job *j = begin();
    struct fl_detection d;
    for (long i = 1; i <= 120; i++) {
        say(j, i < 97 ? "step %ld loss 2.5" : "step %ld loss nan", i);
    }
    CHECK_EQ_INT(find(j, DETECTOR("\"metric\": \"loss\", \"statistic\": \"mean\", "
                                  "\"comparison\": \"above\", \"value\": 2"), &d), 1);
    CHECK_EQ_INT(j->found_n, 2);
    end(j);
}

TEST(declared_that_are_refused)
{
    static const struct {
        const char *json;
        const char *says;
    } cases[] = {
        {"{\"detectors\": [{\"metric\": \"loss\"}]}", "own.json: detector 1: \"id\" must be"},
        {"{\"detectors\": [3]}", "own.json: detector 1: must be an object"},
        {"{\"detectors\": [{\"id\": \"a\"}]}", "own.json: detector a: \"metric\" must be"},
        {DETECTOR("\"metrik\": \"loss\""), "there is no key \"metrik\""},
        {DETECTOR("\"metric\": \"malus\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": 1"), "own.json: detector own: no file of format faultline.metrics/1 names a metric malus"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"modus\""), "\"statistic\" must be one of mean, min"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\""), "\"comparison\" must be one of above, below"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\", \"comparison\": \"above\""), "\"value\" must be a number"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": \"7\""), "\"value\" must be a number"},
        {DETECTOR("\"metric\": \"loss\", \"window\": 0"), "\"window\" must be a whole number from 1 to 1000"},
        {DETECTOR("\"metric\": \"loss\", \"window\": 2.5"), "\"window\" must be"},
        {DETECTOR("\"metric\": \"loss\", \"duration\": 1e9"), "\"duration\" must be"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"slope\", \"comparison\": \"above\", "
                  "\"value\": 1"), "\"slope\" needs a \"window\" of 2"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": 1, \"cause\": \"bad_luck\""), "\"cause\" is none of"},
        {DETECTOR("\"metric\": \"loss\", \"statistic\": \"max\", \"comparison\": \"above\", "
                  "\"value\": 1, \"confidence\": 7"), "\"confidence\" must be"},
        {"{\"detectors\": [{\"id\": \"a\", \"metric\": \"loss\", \"text\": \"{malus}\"}]}",
         "\"text\" knows {value} and {step}"},
        {"{\"detectors\": [{\"id\": \"a\", \"metric\": \"loss\", \"text\": \"t\", \"statistic\": "
         "\"max\", \"comparison\": \"above\", \"kind\": \"odd\", \"value\": 1}]}",
         "\"kind\" must be one of spike"},
        {"{\"detectors\": [{\"id\": \"a\", \"metric\": \"loss\", \"text\": \"t\", \"statistic\": "
         "\"max\", \"comparison\": \"above\", \"kind\": \"spike\", \"value\": 1}]}",
         "\"severity\" must be one of low"},
    };
    struct fl_arena arena;
    fl_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct told told;
        size_t bad = 0;
        struct fl_declared *d = declare(cases[i].json, &arena, &told, &bad);
        CHECK_EQ_INT(bad, 1);
        CHECK_EQ_INT(told.n, 1);
        CHECK_HAS(told.text, cases[i].says);
        CHECK_EQ_INT(d ? d->n : 1, 0);
        fl_declared_free(d);
    }
    struct told told;
    size_t bad = 0;
    char many[32 << 10] = "{\"detectors\": [";
    for (int i = 0; i < FL_DECLARED_MAX + 2; i++) { /* one too many, and one twice */
        size_t n = strlen(many);
        snprintf(many + n, sizeof many - n, "%s{\"id\": \"d%d\", \"metric\": \"loss\", \"statistic\": "
                 "\"max\", \"comparison\": \"above\", \"value\": 1, \"kind\": \"spike\", \"severity\": "
                 "\"low\", \"text\": \"t\"}", i ? ", " : "", i == 1 ? 0 : i);
    }
    snprintf(many + strlen(many), 3, "]}");
    struct fl_declared *d = declare(many, &arena, &told, &bad);
    CHECK_EQ_INT(d ? d->n : 0, FL_DECLARED_MAX);
    CHECK_EQ_INT(bad, 2);
    CHECK_HAS(told.text, "the most that can be");
    fl_declared_free(d);
    fl_arena_free(&arena);
}

int main(void)
{
    load_metrics();
    RUN(declared_statistics);
    RUN(declared_for_a_thinned_series);
    RUN(declared_beside_the_others);
    RUN(declared_that_are_refused);
    fl_metrics_free(metrics);
    return test_result();
}
