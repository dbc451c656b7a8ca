/* SPDX-License-Identifier: Apache-2.0 */
/* Learned rules from the proposal to the end: steps and their journal, counting in shadow, proof,
 * alarm, two processes at once, and that a revoked rule was never there (P3). */
#include "tests/unit/test.h"

#include "rag/store.h"
#include "service/base/fsio.h"
#include "service/life.h"

#include <sys/wait.h>
#include <unistd.h>

static struct fl_config config;
static struct fl_rulebook shipped;
static char state[128];
static char id[64];
static char why[1024];

static const char *path_of(const char *name)
{
    static char path[4][512];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", state, name);
    return path[next];
}

static enum fl_status remove_one(void *ctx, const char *path, struct fl_err *err)
{
    (void)ctx;
    (void)err;
    if (!strstr(path, "/cache/")) { /* it makes the next opening of the rules quick */
        unlink(path);
    }
    return FL_OK;
}

static void fresh(void)
{
    if (fl_fsio_is_dir(state)) {
        CHECK_EQ_INT(fl_fsio_walk(state, remove_one, NULL, NULL), FL_OK);
    }
    rmdir(path_of("rules"));
    CHECK_EQ_INT(fl_fsio_mkdirs(state, NULL), FL_OK);
    config = (struct fl_config){.offline = true};
    config.value[FL_SET_STATE] = state;
}

static struct fl_proposal widget(const char *kind, char pattern[128], char sample[128])
{
    snprintf(pattern, 128, "^widget press %s ticked \\d+ times$", kind);
    snprintf(sample, 128, "widget press %s ticked 40 times", kind);
    return (struct fl_proposal){.is_filter = true, .pattern = fl_str_of(pattern),
                                .sample = fl_str_of(sample), .kind = "learned",
                                .job = FL_LIT("slurm-1.out"), .time = "2031-04-02T10:00:00Z"};
}

static enum fl_status propose(const char *kind)
{
    char pattern[128];
    char sample[128];
    struct fl_err err = {0};
    struct fl_proposal p = widget(kind, pattern, sample);
    enum fl_status status = fl_life_propose(&config, shipped.set, &p, id, &err);
    memcpy(why, err.msg, sizeof why);
    return status;
}

static enum fl_status change(const char *rule, enum fl_life_verb verb)
{
    struct fl_err err = {0};
    enum fl_status status =
        fl_life_change(&config, shipped.set, rule, verb, "user tester", "because", NULL, &err);
    memcpy(why, err.msg, sizeof why);
    return status;
}

/* The rule's state by name, "none" when it is not there. */
static const char *state_of(const char *rule)
{
    struct fl_rulebook book;
    CHECK_EQ_INT(fl_rulebook_open(state, &book, NULL), FL_OK);
    const struct fl_rule *found = fl_ruleset_find(book.set, fl_str_of(rule));
    const char *name = found ? fl_state_name(found->state) : "none";
    fl_rulebook_close(&book);
    return name;
}

static enum fl_status add_change(void *ctx, const struct fl_rule_change *c, struct fl_err *err)
{
    (void)err;
    fl_buf_addf(ctx, "%.*s>%.*s by %.*s; ", (int)c->was.n, c->was.p, (int)c->now.n, c->now.p,
                (int)c->actor.n, c->actor.p);
    return FL_OK;
}

static void history(const char *rule, struct fl_buf *out)
{
    struct fl_incidents *store = NULL;
    fl_buf_init(out, 1 << 20);
    CHECK_EQ_INT(fl_incidents_open(state, NULL, true, &store, NULL), FL_OK);
    CHECK_EQ_INT(fl_rulelog_history(store, fl_str_of(rule), add_change, out, NULL), FL_OK);
    fl_incidents_close(store);
}

static struct fl_rule_record record(const char *rule)
{
    struct fl_incidents *store = NULL;
    struct fl_rule_record r = {0};
    CHECK_EQ_INT(fl_incidents_open(state, NULL, true, &store, NULL), FL_OK);
    CHECK_EQ_INT(fl_rulelog_record(store, fl_str_of(rule), FL_LIT(""), FL_LIT(""), &r, NULL), FL_OK);
    fl_incidents_close(store);
    return r;
}

TEST(step_by_step)
{
    struct fl_buf text;
    fresh();
    CHECK_EQ_INT(propose("a"), FL_OK);
    CHECK_EQ_STR(why, "");
    CHECK_EQ_STR(state_of(id), "proposed");
    CHECK_EQ_INT(change(id, FL_LIFE_RETIRE), FL_CONFLICT);
    CHECK_EQ_INT(change(id, FL_LIFE_APPROVE), FL_OK);
    CHECK_EQ_STR(state_of(id), "shadow");
    CHECK_EQ_INT(change(id, FL_LIFE_APPROVE), FL_CONFLICT);
    CHECK_HAS(why, "--active");
    CHECK_EQ_INT(change(id, FL_LIFE_ACTIVATE), FL_OK);
    CHECK_EQ_STR(state_of(id), "active");
    CHECK_EQ_INT(change(id, FL_LIFE_REJECT), FL_CONFLICT);
    CHECK_EQ_INT(change(id, FL_LIFE_RETIRE), FL_OK);
    CHECK_EQ_STR(state_of(id), "retired");
    CHECK_EQ_INT(propose("a"), FL_CONFLICT); /* it has been judged */
    CHECK_EQ_INT(change(id, FL_LIFE_REVOKE), FL_OK);
    CHECK_EQ_STR(state_of(id), "none");
    CHECK_EQ_INT(change(id, FL_LIFE_REVOKE), FL_NOTFOUND);
    CHECK_EQ_INT(change("gpu-oom-torch", FL_LIFE_RETIRE), FL_NOTFOUND);
    CHECK_HAS(why, "not a learned");
    history(id, &text);
    CHECK_EQ_STR(fl_buf_text(&text), ">proposed by learned; proposed>shadow by user tester; "
                 "shadow>active by user tester; active>retired by user tester; "
                 "retired>revoked by user tester; ");
    fl_buf_free(&text);
    CHECK_EQ_INT(propose("b"), FL_OK);
    CHECK_EQ_INT(change(id, FL_LIFE_REJECT), FL_OK);
    CHECK_EQ_STR(state_of(id), "retired");
}

TEST(the_journal_is_only_added_to)
{
    struct fl_incidents *store = NULL;
    fresh();
    CHECK_EQ_INT(propose("a"), FL_OK);
    CHECK_EQ_INT(fl_incidents_open(state, NULL, false, &store, NULL), FL_OK);
    static const char *const bad[] = {"DELETE FROM rule_journal",
                                      "UPDATE rule_journal SET actor = 'nobody'"};
    for (size_t i = 0; i < 2; i++) {
        CHECK(fl_db_exec(&store->db, bad[i], NULL) != FL_OK);
    }
    fl_incidents_close(store);
    struct fl_buf text;
    history("", &text);
    CHECK_EQ_STR(fl_buf_text(&text), ">proposed by learned; ");
    fl_buf_free(&text);
}

/* What cannot be written is not journalled either. */
static enum fl_status fails(void *ctx, struct fl_err *err)
{
    (void)ctx;
    return fl_fail(err, FL_FULL, "no space");
}

TEST(no_entry_for_what_did_not_happen)
{
    struct fl_incidents *store = NULL;
    fresh();
    CHECK_EQ_INT(fl_incidents_open(state, NULL, false, &store, NULL), FL_OK);
    const struct fl_rule_change c = {.actor = FL_LIT("x"), .rule = FL_LIT("r"), .now = FL_LIT("y")};
    CHECK_EQ_INT(fl_rulelog_change(store, &c, false, fails, NULL, NULL), FL_FULL);
    CHECK_EQ_INT(fl_rulelog_change(store, &c, false, NULL, NULL, NULL), FL_OK);
    fl_incidents_close(store);
    struct fl_buf text;
    history("r", &text);
    CHECK_EQ_STR(fl_buf_text(&text), ">y by x; ");
    fl_buf_free(&text);
}

/* A rule that came by before an incident was stored must not be applied over its evidence. */
TEST(each_step_passes_the_gate_anew)
{
    struct fl_incidents *store = NULL;
    struct fl_arena arena;
    fresh();
    CHECK_EQ_INT(propose("a"), FL_OK);
    CHECK_EQ_INT(fl_incidents_open(state, NULL, false, &store, NULL), FL_OK);
    fl_arena_init(&arena, 1 << 20);
    const struct fl_incident in = {.id = FL_LIT("inc-7"), .cause = FL_LIT("config_error"),
                                   .stack = FL_LIT(""), .title = FL_LIT("t"), .summary = FL_LIT("s"),
                                   .text = FL_LIT("first\nwidget press a ticked 0 times\nlast"),
                                   .resolution = FL_LIT(""), .action = FL_LIT(""),
                                   .outcome = FL_LIT(""), .job = FL_LIT("")};
    CHECK_EQ_INT(fl_incidents_add(store, &in, &arena, NULL, NULL), FL_OK);
    fl_incidents_close(store);
    fl_arena_free(&arena);
    CHECK_EQ_INT(change(id, FL_LIFE_APPROVE), FL_DENIED);
    CHECK_HAS(why, "inc-7");
    CHECK_EQ_STR(state_of(id), "proposed");
    char protect[512];
    snprintf(protect, sizeof protect, "%s/protect.txt", state);
    CHECK_EQ_INT(fl_fsio_replace(protect, FL_LIT("x\nwidget press b ticked 9 times\n"), false, NULL),
                 FL_OK);
    config.value[FL_SET_PROTECT] = protect;
    CHECK_EQ_INT(propose("b"), FL_DENIED);
    CHECK_HAS(why, "protect.txt");
    CHECK_EQ_INT(propose("c"), FL_OK);
}

/* All bytes of the learned files, by name. */
static enum fl_status add_file(void *ctx, const char *path, struct fl_err *err)
{
    fl_buf_addf(ctx, "== %s\n", path + strlen(state));
    return fl_fsio_read(path, ctx, err);
}

static void snapshot(struct fl_buf *out)
{
    fl_buf_init(out, 4 << 20);
    if (fl_fsio_is_dir(path_of("rules"))) {
        CHECK_EQ_INT(fl_fsio_walk(path_of("rules"), add_file, out, NULL), FL_OK);
    }
}

/* The same rules with one more that comes and goes, at each place, in each state it can be in. */
TEST(revoked_it_was_never_there)
{
    static const char *const kinds[] = {"a", "b", "c"};
    for (size_t others = 0; others <= 3; others++) {
        struct fl_buf never;
        fresh();
        for (size_t i = 0; i < others; i++) {
            CHECK_EQ_INT(propose(kinds[i]), FL_OK);
            CHECK_EQ_INT(i == 1 ? change(id, FL_LIFE_APPROVE) : FL_OK, FL_OK);
        }
        snapshot(&never);
        CHECK((never.n == 0) == (others == 0));
        for (size_t place = 0; place <= others; place++) {
            for (int steps = 0; steps < 4; steps++) {
                char gone[64] = "";
                struct fl_buf after;
                fresh();
                for (size_t i = 0; i <= others; i++) {
                    if (i == place) {
                        CHECK_EQ_INT(propose("x"), FL_OK);
                        memcpy(gone, id, sizeof gone);
                        CHECK_EQ_INT(steps > 0 ? change(gone, FL_LIFE_APPROVE) : FL_OK, FL_OK);
                    }
                    if (i < others) {
                        CHECK_EQ_INT(propose(kinds[i]), FL_OK);
                        CHECK_EQ_INT(i == 1 ? change(id, FL_LIFE_APPROVE) : FL_OK, FL_OK);
                    }
                }
                CHECK_EQ_INT(steps > 1 ? change(gone, FL_LIFE_ACTIVATE) : FL_OK, FL_OK);
                CHECK_EQ_INT(steps > 2 ? change(gone, FL_LIFE_RETIRE) : FL_OK, FL_OK);
                snapshot(&after);
                CHECK(!fl_str_eq(fl_buf_str(&never), fl_buf_str(&after)));
                fl_buf_free(&after);
                CHECK_EQ_INT(change(gone, FL_LIFE_REVOKE), FL_OK);
                snapshot(&after);
                CHECK(fl_str_eq(fl_buf_str(&never), fl_buf_str(&after)));
                fl_buf_free(&after);
            }
        }
        fl_buf_free(&never);
    }
}

/* A healthy log of n steps with m lines of widget presses and some words of failure. */
static const char *write_log(const char *name, int n, int m, int alarming)
{
    const char *path = path_of(name);
    char *slash = strrchr(path, '/');
    struct fl_buf text;
    fl_buf_init(&text, 8 << 20);
    for (int i = 0; i < n || i < m; i++) {
        if (i < n) {
            fl_buf_addf(&text, "2031-04-02 10:%02d:%02d | INFO | quiet line number %d of the run\n",
                        i / 60 % 60, i % 60, i);
        }
        if (i < m) {
            fl_buf_addf(&text, "widget press a ticked %d times\n", i);
        }
    }
    for (int i = 0; i < alarming; i++) {
        fl_buf_addf(&text, "widget press a ticked 7 times\nwidget press b ticked badly, cannot go on\n");
    }
    *slash = '\0';
    CHECK_EQ_INT(fl_fsio_mkdirs(path, NULL), FL_OK);
    *slash = '/';
    CHECK_EQ_INT(fl_fsio_replace(path, fl_buf_str(&text), false, NULL), FL_OK);
    fl_buf_free(&text);
    return path;
}

/* Diagnoses it; how many lines were dropped, and what the reader is warned of. */
static long diagnose(const char *path, char warning[400])
{
    struct fl_result result;
    struct fl_err err = {0};
    const char *const paths[] = {path};
    const struct fl_request request = {.paths = paths, .paths_n = 1, .config = &config};
    uint32_t n = 0;
    CHECK_EQ_INT(fl_pipeline_run(&request, &result, &err), FL_OK);
    CHECK_EQ_STR(err.msg, "");
    long dropped = fl_diagnosis_streams(fl_job_diagnosis(result.job), &n)->dropped;
    snprintf(warning, 400, "%s", result.warnings_n ? result.warnings[0] : "");
    fl_result_free(&result);
    return dropped;
}

/* The same for diagnosis rules, beside filters that stay. */
TEST(revoked_diagnosis_leaves_nothing)
{
    struct fl_err err = {0};
    struct fl_buf before;
    struct fl_buf after;
    fresh();
    CHECK_EQ_INT(propose("a"), FL_OK);
    for (int k = 0; k < 2; k++) {
        const struct fl_proposal p = {
            .pattern = k ? FL_LIT("widget press lost its \\w+ tooth")
                         : FL_LIT("widget press has no \\w+ \"teeth\""),
            .sample = k ? FL_LIT("E widget press lost its last tooth")
                        : FL_LIT("E widget press has no front \"teeth\""),
            .cause = fl_taxonomy_find(&shipped.taxonomy, FL_LIT("config_error")),
            .summary = FL_LIT("the press <has> \xc3\xa9 no teeth"), .kind = "learned",
            .model = FL_LIT("m-1"), .incident = FL_LIT("inc-7"), .time = "2031-04-02T10:00:00Z"};
        if (k) {
            snapshot(&before);
        }
        CHECK_EQ_INT(fl_life_propose(&config, shipped.set, &p, id, &err), FL_OK);
        CHECK_EQ_STR(err.msg, "");
    }
    CHECK_EQ_INT(change(id, FL_LIFE_APPROVE), FL_OK);
    CHECK_EQ_STR(state_of(id), "shadow");
    char warning[400];
    struct fl_buf log;
    fl_buf_init(&log, 1 << 16);
    fl_buf_add_text(&log, "quiet\n[rank1]: E widget press lost its last tooth\nquiet\n");
    CHECK_EQ_INT(fl_fsio_mkdirs(path_of("jobs"), NULL), FL_OK);
    CHECK_EQ_INT(fl_fsio_replace(path_of("jobs/j.log"), fl_buf_str(&log), false, NULL), FL_OK);
    diagnose(path_of("jobs/j.log"), warning);
    CHECK_EQ_INT(record(id).lines, 1); /* claimed in shadow */
    CHECK_EQ_INT(change(id, FL_LIFE_REVOKE), FL_OK);
    CHECK_EQ_INT(record(id).all_lines, 0);
    snapshot(&after);
    CHECK(before.n > 0 && fl_str_eq(fl_buf_str(&before), fl_buf_str(&after)));
    fl_buf_free(&log);
    fl_buf_free(&before);
    fl_buf_free(&after);
}

TEST(shadow_counts_and_drops_nothing)
{
    char warning[400];
    fresh();
    CHECK_EQ_INT(propose("a"), FL_OK);
    char rule[64];
    memcpy(rule, id, sizeof rule);
    const char *first = write_log("jobs/llama-1/rank0.log", 50, 40, 0);
    long before = diagnose(first, warning);
    CHECK_EQ_INT(record(rule).all_lines, 0); /* proposed: not even tried */
    CHECK_EQ_INT(change(rule, FL_LIFE_APPROVE), FL_OK);
    CHECK_EQ_INT(diagnose(first, warning), before);
    CHECK_EQ_INT(diagnose(first, warning), before); /* the same job again is no second proof */
    struct fl_rule_record r = record(rule);
    CHECK_EQ_INT(r.jobs, 1);
    CHECK_EQ_INT(r.all_jobs, 1);
    CHECK_EQ_INT(r.lines, 40);
    CHECK_EQ_INT(r.all_lines, 40);
    CHECK_EQ_INT(r.telling, 0);
    CHECK(r.last_seen[0] != '\0');
    diagnose(write_log("jobs/llama-2/rank0.log", 50, 40, 0), warning); /* same name: numbers apart */
    diagnose(write_log("jobs/vit-9/rank0.log", 50, 40, 0), warning);
    r = record(rule);
    CHECK_EQ_INT(r.jobs, 3);
    CHECK_EQ_INT(r.names, 2);
    CHECK_EQ_INT(r.lines, 120);
    CHECK_EQ_STR(state_of(rule), "shadow"); /* proved, but by default a person decides */
    struct fl_life_terms terms;
    CHECK_EQ_INT(fl_life_terms_read(&config, &terms, NULL), FL_OK);
    CHECK(!terms.automatic && fl_life_is_proved(&terms, &r));
    CHECK_EQ_INT(change(rule, FL_LIFE_ACTIVATE), FL_OK);
    CHECK_EQ_INT(diagnose(first, warning), before + 40);
    config.no_learned = true;
    CHECK_EQ_INT(diagnose(first, warning), before);
    config.no_learned = false;
    CHECK_EQ_STR(warning, "");
}

/* Of three jobs, 120 lines; `alarming` of the lines it matches in the last hold a word of failure. */
static const char *prove(const char *automatic, const char *pattern)
{
    char warning[400];
    char log[64];
    struct fl_err err = {0};
    fresh();
    config.value[FL_SET_AUTO_ACTIVATE] = automatic;
    const struct fl_proposal p = {.is_filter = true, .pattern = fl_str_of(pattern),
                                  .sample = FL_LIT("widget press a ticked 40 times"),
                                  .kind = "learned", .time = "2031-04-02T10:00:00Z"};
    CHECK_EQ_INT(fl_life_propose(&config, shipped.set, &p, id, &err), FL_OK);
    CHECK_EQ_STR(err.msg, "");
    CHECK_EQ_INT(change(id, FL_LIFE_APPROVE), FL_OK);
    for (int i = 0; i < 3; i++) {
        snprintf(log, sizeof log, "jobs/%s-%d/rank0.log", i ? "llama" : "vit", i);
        diagnose(write_log(log, 50, 40, 2), warning);
    }
    return state_of(id);
}

TEST(proved_it_becomes_active_where_that_is_wanted)
{
    struct fl_buf text;
    CHECK_EQ_STR(prove(NULL, "^widget press \\w ticked \\d+ times$"), "shadow");
    CHECK_EQ_STR(prove("off", "^widget press \\w ticked \\d+ times$"), "shadow");
    CHECK_EQ_STR(prove("4,2,100", "^widget press \\w ticked \\d+ times$"), "shadow");
    CHECK_EQ_STR(prove("3,2,1000", "^widget press \\w ticked \\d+ times$"), "shadow");
    CHECK_EQ_STR(prove("on", "^widget press \\w ticked \\d+ times$"), "active");
    history(id, &text);
    CHECK_HAS(fl_buf_text(&text), "shadow>active by faultline;");
    fl_buf_free(&text);
    CHECK_EQ_STR(prove("on", "^widget press \\w ticked .*"), "shadow"); /* it met a telling line */
    CHECK(record(id).telling > 0);
    struct fl_life_terms terms;
    config.value[FL_SET_AUTO_ACTIVATE] = "3,2";
    CHECK_EQ_INT(fl_life_terms_read(&config, &terms, NULL), FL_USAGE);
}

TEST(one_that_eats_much_more_is_suspended)
{
    char warning[400];
    char log[64];
    struct fl_buf text;
    fresh();
    CHECK_EQ_INT(propose("a"), FL_OK);
    CHECK_EQ_INT(change(id, FL_LIFE_ACTIVATE), FL_OK);
    for (int i = 0; i < 4; i++) { /* a quarter is usual */
        snprintf(log, sizeof log, "jobs/llama-%d/rank0.log", i);
        diagnose(write_log(log, 600, 200, 0), warning);
        CHECK_EQ_STR(warning, "");
        CHECK_EQ_STR(state_of(id), "active");
    }
    diagnose(write_log("jobs/llama-5/rank0.log", 600, 300, 0), warning); /* a third */
    CHECK_EQ_STR(state_of(id), "active");
    diagnose(write_log("jobs/llama-6/rank0.log", 10, 40, 0), warning); /* too few to tell */
    CHECK_EQ_STR(state_of(id), "active");
    CHECK_EQ_INT(change(id, FL_LIFE_REVOKE), FL_OK);
    CHECK_EQ_INT(propose("a"), FL_OK);
    CHECK_EQ_INT(change(id, FL_LIFE_ACTIVATE), FL_OK);
    for (int i = 0; i < 3; i++) {
        snprintf(log, sizeof log, "jobs/llama-%d/rank0.log", i);
        diagnose(write_log(log, 600, 200, 0), warning);
    }
    long dropped = diagnose(write_log("jobs/llama-7/rank0.log", 200, 600, 0), warning);
    CHECK(dropped >= 600);
    CHECK_HAS(warning, "suspended");
    CHECK_HAS(warning, id);
    CHECK_EQ_STR(state_of(id), "shadow");
    history(id, &text);
    CHECK_HAS(fl_buf_text(&text), "active>shadow by faultline;");
    fl_buf_free(&text);
    CHECK(diagnose(path_of("jobs/llama-7/rank0.log"), warning) < 600);
    CHECK_EQ_INT(record(id).jobs, 1); /* it has to prove itself anew */
}

TEST(a_share_that_doubles_is_an_alarm)
{
    char warning[400];
    char log[64];
    fresh();
    CHECK_EQ_INT(propose("a"), FL_OK);
    CHECK_EQ_INT(change(id, FL_LIFE_ACTIVATE), FL_OK);
    for (int i = 0; i < 3; i++) {
        snprintf(log, sizeof log, "jobs/llama-%d/rank0.log", i);
        diagnose(write_log(log, 900, 100, 0), warning);
    }
    diagnose(write_log("jobs/llama-8/rank0.log", 780, 220, 0), warning);
    CHECK_EQ_STR(state_of(id), "shadow");
}

/* Two processes propose and approve different rules at once: nothing is lost. */
TEST(two_processes_lose_nothing)
{
    enum { EACH = 6 };
    fresh();
    for (int child = 0; child < 2; child++) {
        if (fork() == 0) {
            int bad = test_failures;
            char ids[EACH][64];
            char name[24];
            for (int i = 0; i < EACH; i++) {
                snprintf(name, sizeof name, "%c%d", 'p' + child, i);
                CHECK_EQ_INT(propose(name), FL_OK);
                CHECK_EQ_STR(why, "");
                memcpy(ids[i], id, sizeof id);
            }
            for (int i = 0; i < EACH; i++) {
                CHECK_EQ_INT(change(ids[i], FL_LIFE_APPROVE), FL_OK);
                CHECK_EQ_STR(why, "");
            }
            _exit(test_failures == bad ? 0 : 1);
        }
    }
    for (int child = 0; child < 2; child++) {
        int code = -1;
        wait(&code);
        CHECK_EQ_INT(code, 0);
    }
    struct fl_rulebook book;
    struct fl_buf text;
    int shadows = 0;
    int entries = 0;
    CHECK_EQ_INT(fl_rulebook_open(state, &book, NULL), FL_OK);
    for (uint32_t i = 0; i < book.set->rules_n; i++) {
        shadows += book.set->rules[i].state == FL_STATE_SHADOW;
    }
    CHECK_EQ_INT(shadows, 2 * EACH);
    fl_rulebook_close(&book);
    history("", &text);
    for (const char *p = fl_buf_text(&text); (p = strstr(p, "; ")); p++) {
        entries++;
    }
    CHECK_EQ_INT(entries, 4 * EACH);
    fl_buf_free(&text);
}

/* A database of the schema before, with an incident in it. */
TEST(an_older_database_gets_the_tables)
{
    struct fl_incidents *store = NULL;
    size_t n = 0;
    fresh();
    CHECK_EQ_INT(fl_incidents_open(state, NULL, false, &store, NULL), FL_OK);
    CHECK_EQ_INT(fl_incidents_import(store, FL_LIT("{\"id\": \"inc-1\", \"title\": \"t\"}"), "x", &n,
                                     NULL), FL_OK);
    CHECK_EQ_INT(fl_db_exec(&store->db, "DROP TABLE rule_journal; DROP TABLE rule_use;"
                               " DROP TABLE rule_total; DROP INDEX incidents_fingerprint;"
                               " ALTER TABLE incidents DROP COLUMN fingerprint;"
                               " DROP TABLE verdicts; DROP TABLE endpoints; DROP TABLE answers;"
                               " DROP TABLE spending; DROP TRIGGER dense_gone;"
                               " DROP TRIGGER dense_old; DROP TABLE dense; DROP TRIGGER groups_gone;"
                               " DROP TABLE merges; DROP TABLE flags; PRAGMA user_version = 1", NULL), FL_OK);
    fl_incidents_close(store);
    CHECK_EQ_INT(fl_incidents_open(state, NULL, true, &store, NULL), FL_OK);
    struct fl_buf text;
    fl_buf_init(&text, 1024);
    CHECK_EQ_INT(fl_rulelog_history(store, FL_LIT(""), add_change, &text, NULL), FL_OK);
    CHECK_EQ_INT(text.n, 0);
    fl_incidents_close(store);
    CHECK_EQ_INT(propose("a"), FL_OK);
    CHECK_EQ_INT(fl_incidents_open(state, NULL, true, &store, NULL), FL_OK);
    CHECK_EQ_INT(fl_incidents_count(store, &n, NULL), FL_OK);
    CHECK_EQ_INT(n, 1);
    fl_incidents_close(store);
    history("", &text);
    CHECK_EQ_STR(fl_buf_text(&text), ">proposed by learned; ");
    fl_buf_free(&text);
}

static void remove_folder(const char *path)
{
    if (fork() == 0) {
        execlp("rm", "rm", "-rf", path, (char *)NULL);
        _exit(1);
    }
    wait(NULL);
}

int main(void)
{
    snprintf(state, sizeof state, "/tmp/fl-life-XXXXXX");
    struct fl_err err = {0};
    if (!mkdtemp(state) || fl_rulebook_open(NULL, &shipped, &err) != FL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return EXIT_FAILURE;
    }
    RUN(step_by_step);
    RUN(the_journal_is_only_added_to);
    RUN(no_entry_for_what_did_not_happen);
    RUN(each_step_passes_the_gate_anew);
    RUN(revoked_it_was_never_there);
    RUN(revoked_diagnosis_leaves_nothing);
    RUN(shadow_counts_and_drops_nothing);
    RUN(proved_it_becomes_active_where_that_is_wanted);
    RUN(one_that_eats_much_more_is_suspended);
    RUN(a_share_that_doubles_is_an_alarm);
    RUN(two_processes_lose_nothing);
    RUN(an_older_database_gets_the_tables);
    fresh();
    remove_folder(state);
    fl_rulebook_close(&shipped);
    return test_result();
}
