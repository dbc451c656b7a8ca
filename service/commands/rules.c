/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "rules/base/table.h"
#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/commands/rules_life.h"
#include "service/commands/rules_test.h"
#include "service/config.h"
#include "service/paths.h"
#include "service/rulebook.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rules_options {
    const char *state;
    int format;
    bool active;
    const char *reason;
    const char *protect;
};

static void complain(void *ctx, const char *message)
{
    (void)ctx;
    fl_log(FL_LOG_ERROR, "%s", message);
}

static enum fl_status print(const struct fl_buf *text, struct fl_err *err)
{
    return text->failed ? fl_fail(err, text->failed, "too much to print")
                        : fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(text), err);
}

static void list_one(const struct fl_rule *r, const struct rules_options *o, struct fl_jw *w)
{
    if (o->format == 1) {
        fl_rule_write(w, r);
        return;
    }
    fl_buf_addf(w->out, "%s%-*s %-9s %-9s %-12s %s%s\n", r->variant_of ? "  " : "",
                r->variant_of ? 42 : 44, r->id, r->broken ? "broken" : fl_state_name(r->state),
                r->origin, r->is_filter ? "filter" : fl_role_name(r->role),
                r->is_filter ? r->stack
                : r->cause   ? r->cause->slug
                : r->table   ? "by table "
                             : "",
                r->table && !r->cause ? r->table : "");
}

static enum fl_status list(const struct fl_ruleset *set, const struct rules_options *o,
                           struct fl_err *err)
{
    struct fl_buf out;
    struct fl_jw w;
    fl_buf_init(&out, 64 << 20);
    fl_jw_init(&w, &out, true);
    if (o->format == 1) {
        fl_jw_begin(&w, '[');
    }
    for (uint32_t i = 0; i < set->read_n; i++) {
        const struct fl_rule *r = &set->rules[i];
        list_one(r, o, &w);
        for (uint32_t k = 0; r->rows && k < r->rows->rows_n; k++) {
            list_one(&set->rules[r->variants + k], o, &w);
        }
    }
    for (size_t i = 0; o->format == 0 && set->declared && i < set->declared->n; i++) {
        const struct fl_declared_one *one = &set->declared->list[i];
        fl_buf_addf(&out, "%-44s %-9s %-9s %-12s %s %s\n", one->id, "active", "operator",
                    "detector", one->metric_name, one->kind);
    }
    if (o->format == 1) {
        fl_jw_end(&w, ']');
        fl_buf_add_text(&out, "\n");
    }
    enum fl_status status = print(&out, err);
    fl_buf_free(&out);
    return status;
}

static enum fl_status pending(const struct fl_rules_life *life, struct fl_err *err)
{
    struct fl_buf out;
    fl_buf_init(&out, 64 << 20);
    enum fl_status status = fl_rules_life_pending(life, &out, err);
    if (status == FL_OK) {
        status = print(&out, err);
    }
    fl_buf_free(&out);
    return status;
}

/* The rule as JSON; of a learned one also what it did. */
static enum fl_status show(const struct fl_rules_life *life, const char *id, struct fl_err *err)
{
    const struct fl_rule *rule = fl_ruleset_find(life->set, fl_str_of(id));
    enum fl_status status = FL_OK;
    struct fl_buf out;
    struct fl_jw w;
    if (!rule) {
        return fl_fail(err, FL_NOTFOUND, "no rule %s (see: faultline rules list)", id);
    }
    fl_buf_init(&out, 1 << 20);
    fl_jw_init(&w, &out, true);
    bool learned = fl_rule_is_learned(rule);
    if (!learned || !life->json) {
        fl_rule_write(&w, rule);
        fl_buf_add_text(&out, "\n");
    }
    fl_log(FL_LOG_INFO, "from %s", rule->file);
    if (learned) {
        status = fl_rules_life_show(life, rule, &out, err);
    }
    if (status == FL_OK) {
        status = print(&out, err);
    }
    fl_buf_free(&out);
    return status;
}

/* Loads files, or folders of them, apart from the shipped rules. *unread_r counts the rules that
 * are no rules; bad ones are these and those that fail their samples, which samples_fault hears. */
static enum fl_status load_apart(char *const *paths, int n, fl_ruleset_complain samples_fault,
                                 struct fl_rulebook *b, size_t *unread_r, struct fl_err *err)
{
    char shipped[FL_PATHS_BYTES];
    *b = (struct fl_rulebook){.set = NULL};
    enum fl_status status =
        fl_taxonomy_load(fl_paths_data("data/taxonomy.json", shipped), &b->taxonomy, err);
    if (status == FL_OK) {
        status = fl_ruleset_new(&b->taxonomy, &b->set, err);
    }
    for (int i = 0; status == FL_OK && i < n; i++) {
        status = fl_fsio_is_dir(paths[i])
                     ? fl_ruleset_load_dir(b->set, paths[i], "imported", complain, NULL, &b->bad, err)
                     : fl_ruleset_load(b->set, paths[i], "imported", complain, NULL, &b->bad, err);
    }
    *unread_r = b->bad;
    static const char *const besides[] = {"rules/tables", "rules/signals"};
    for (size_t i = 0; status == FL_OK && i < 2; i++) { /* what the file brings goes first */
        status = fl_ruleset_load_dir(b->set, fl_paths_data(besides[i], shipped), "shipped", NULL,
                                     NULL, NULL, err);
    }
    return status == FL_OK ? fl_ruleset_ready(b->set, samples_fault, NULL, &b->bad, err) : status;
}

static const char *pattern_text(const struct fl_ruleset *set, uint32_t pattern, bool event)
{
    struct fl_pattern_owner owner = event ? set->event_owner[pattern] : set->line_owner[pattern];
    if (owner.rule == UINT32_MAX) {
        return NULL;
    }
    const struct fl_rule *rule = &set->rules[owner.rule];
    for (size_t i = 0; i < rule->any.n; i++) {
        if (rule->any.number[i] == pattern && (rule->scope == FL_SCOPE_EVENT) == event) {
            return rule->any.text[i].p;
        }
    }
    return NULL;
}

/* Faults are complained of while loading; what remains is advice. */
static long advise(const struct fl_ruleset *set)
{
    long n = 0;
    for (int event = 0; event < 2; event++) {
        uint32_t patterns = event ? set->event_patterns_n : set->line_patterns_n;
        const struct fl_matcher *m = event ? set->events : set->lines;
        for (uint32_t i = 0; i < patterns; i++) {
            const char *text = pattern_text(set, i, event);
            if (text && fl_matcher_lacks_literal(m, i)) {
                uint32_t owner = event ? set->event_owner[i].rule : set->line_owner[i].rule;
                fl_log(FL_LOG_WARN, "%s: rule %s: no literal of three or more characters must "
                       "occur, so this pattern is tried on every line:\n  %s",
                       set->rules[owner].file, set->rules[owner].id, text);
                n++;
            }
        }
    }
    for (uint32_t i = 0; i < set->read_n; i++) {
        const struct fl_rule *r = &set->rules[i];
        if (!r->broken && strcmp(r->origin, "imported") != 0 &&
            (r->match.n == 0 || r->nomatch.n == 0)) {
            fl_log(FL_LOG_WARN, "%s: rule %s: has no %s sample", r->file, r->id,
                   r->match.n ? "nomatch" : "match");
            n++;
        }
    }
    return n;
}

static enum fl_status lint(const struct fl_rulebook *b, int *code)
{
    long advice = advise(b->set);
    size_t detectors = b->set->declared ? b->set->declared->n : 0;
    printf("%u rules, %zu bad, %ld to improve; %u codes by tables, %zu detectors of files\n",
           b->set->read_n, b->bad, advice, b->set->rules_n - b->set->read_n, detectors);
    *code = b->bad ? FL_EXIT_REACHED : FL_EXIT_OK;
    return FL_OK;
}

/* Every rule of a file being written, or an installed one, or all of them. */
static enum fl_status test(const struct fl_rulebook *b, const char *id, struct fl_rules_test *test,
                           int *code, struct fl_err *err)
{
    const struct fl_rule *only = id ? fl_ruleset_find(b->set, fl_str_of(id)) : NULL;
    if (id && !only) {
        return fl_fail(err, FL_NOTFOUND, "no rule %s (see: faultline rules list)", id);
    }
    if (only && only->variant_of) {
        only = fl_ruleset_find(b->set, fl_str_of(only->variant_of));
    }
    test->set = b->set;
    test->rules = only ? only : b->set->rules;
    test->n = only ? 1 : b->set->read_n; /* variants go with their rules */
    return fl_rules_test(test, code, err);
}

static enum fl_status export_learned(const struct fl_ruleset *set, struct fl_err *err)
{
    struct fl_buf out;
    struct fl_jw w;
    fl_buf_init(&out, 64 << 20);
    fl_jw_init(&w, &out, true);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "format");
    fl_jw_text(&w, "faultline.diagnosis/1");
    fl_jw_key(&w, "rules");
    fl_jw_begin(&w, '[');
    for (uint32_t i = 0; i < set->read_n; i++) {
        if (strcmp(set->rules[i].origin, "shipped") != 0 && !set->rules[i].is_filter) {
            fl_rule_write(&w, &set->rules[i]);
        }
    }
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    fl_buf_add_text(&out, "\n");
    enum fl_status status = print(&out, err);
    fl_buf_free(&out);
    return status;
}

/* A checked copy goes to STATE/rules/operator, whence every run reads it. */
static enum fl_status import(const char *state, char *path, int *code, struct fl_err *err)
{
    struct fl_rulebook b = {.set = NULL};
    struct fl_buf text;
    char folder[4096];
    char target[8192];
    const char *slash = strrchr(path, '/');
    size_t unread = 0;
    fl_buf_init(&text, FL_JSON_BYTES);
    if (!state) {
        return fl_fail(err, FL_USAGE, "no state folder: give --state DIR");
    }
    enum fl_status status = load_apart(&path, 1, complain, &b, &unread, err);
    if (status == FL_OK && b.bad) {
        status = fl_fail(err, FL_SYNTAX, "%s: %zu bad rule%s; nothing imported", path, b.bad,
                         b.bad == 1 ? "" : "s");
    }
    snprintf(folder, sizeof folder, "%s/rules/operator", state);
    snprintf(target, sizeof target, "%s/%s%s", folder, slash ? slash + 1 : path,
             fl_str_ends(fl_str_of(path), FL_LIT(".json")) ? "" : ".json");
    if (status == FL_OK) {
        status = fl_fsio_mkdirs(folder, err);
    }
    if (status == FL_OK) {
        status = fl_fsio_read(path, &text, err);
    }
    if (status == FL_OK) {
        status = fl_fsio_replace(target, fl_buf_str(&text), true, err);
    }
    if (status == FL_OK) {
        size_t detectors = b.set->declared ? b.set->declared->n : 0;
        printf("%u rules%s imported to %s\n", b.set->read_n,
               detectors == 0   ? ""
               : detectors == 1 ? " and a detector"
                                : " and detectors", target);
    }
    *code = FL_EXIT_OK;
    fl_buf_free(&text);
    fl_rulebook_close(&b);
    return status;
}

static enum fl_status history(const struct fl_rules_life *life, const char *id, struct fl_err *err)
{
    struct fl_buf out;
    fl_buf_init(&out, 16 << 20);
    enum fl_status status = fl_rules_life_history(life, id, &out, err);
    status = status == FL_OK ? print(&out, err) : status;
    fl_buf_free(&out);
    return status;
}

static enum fl_status stale(const struct fl_rules_life *life, const char *text, struct fl_err *err)
{
    struct fl_buf out;
    struct fl_str rest = fl_str_of(text);
    long days = 0;
    if (!fl_str_take_number(&rest, &days) || rest.n || days < 1) {
        return fl_fail(err, FL_USAGE, "rules stale DAYS: a number of days, such as 180");
    }
    fl_buf_init(&out, 1 << 20);
    enum fl_status status = fl_rules_life_stale(life, days, &out, err);
    status = status == FL_OK ? print(&out, err) : status;
    fl_buf_free(&out);
    return status;
}

static enum fl_status dispatch(int argc, char **argv, const struct rules_options *o,
                               const struct fl_config *config, int *code, struct fl_err *err)
{
    const char *state = config->value[FL_SET_STATE];
    struct fl_str verb = fl_str_of(argv[1]);
    struct fl_rulebook b = {.set = NULL};
    enum fl_status status = FL_OK;
    if (fl_str_eq(verb, FL_LIT("import")) && argc == 3) {
        return import(state, argv[2], code, err);
    }
    bool names_file = argc > 2 && (fl_fsio_exists(argv[2]) || strchr(argv[2], '/') ||
                                   fl_str_ends(fl_str_of(argv[2]), FL_LIT(".json")));
    bool tests = fl_str_eq(verb, FL_LIT("test"));
    bool lints = fl_str_eq(verb, FL_LIT("lint"));
    bool apart = argc > 2 && (lints || (tests && names_file));
    size_t unread = 0;
    status = apart ? load_apart(argv + 2, lints ? argc - 2 : 1, tests ? NULL : complain, &b, &unread, err)
                   : fl_rulebook_check(state, &b, err);
    if (status != FL_OK) {
        fl_rulebook_close(&b);
        return status;
    }
    const struct fl_rules_life life = {config, b.set, o->active, o->reason, o->format == 1};
    if (fl_str_eq(verb, FL_LIT("list")) && argc == 2) {
        status = list(b.set, o, err);
    } else if (fl_str_eq(verb, FL_LIT("show")) && argc == 3) {
        status = show(&life, argv[2], err);
    } else if (fl_str_eq(verb, FL_LIT("pending")) && argc == 2) {
        status = pending(&life, err);
    } else if (fl_str_eq(verb, FL_LIT("history")) && argc <= 3) {
        status = history(&life, argc == 3 ? argv[2] : NULL, err);
    } else if (fl_str_eq(verb, FL_LIT("stale")) && argc == 3) {
        status = stale(&life, argv[2], err);
    } else if (fl_rules_life_has(verb) && argc == 3) {
        status = fl_rules_life_change(&life, verb, argv[2], err);
    } else if (lints) {
        status = lint(&b, code);
    } else if (tests) {
        struct fl_rules_test t = {.bad = unread, .state = state, .paths = argv + 3,
                                  .paths_n = argc > 3 ? argc - 3 : 0, .json = o->format == 1};
        status = test(&b, apart || argc < 3 ? NULL : argv[2], &t, code, err);
    } else if (fl_str_eq(verb, FL_LIT("export")) && argc == 2) {
        status = export_learned(b.set, err);
    } else {
        status = fl_fail(err, FL_USAGE, "rules: cannot make sense of \"%s\" with %d argument%s (see --help)",
                         argv[1], argc - 2, argc == 3 ? "" : "s");
    }
    fl_rulebook_close(&b);
    return status;
}

int fl_cmd_rules(int argc, char **argv)
{
    struct rules_options o = {.format = 0};
    const struct fl_opt options[] = {
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder (learned and operator rules)", &o.state},
        {"format", 'f', FL_OPT_CHOICE, "text|json", "for list, show, pending and test",
         &o.format},
        {"active", 0, FL_OPT_FLAG, NULL, "approve: straight to active, without shadow", &o.active},
        {"reason", 0, FL_OPT_TEXT, "WORDS", "why, for the journal", &o.reason},
        {"protect", 0, FL_OPT_TEXT, "PATH",
         "approve: also leave these lines alone (a file, or a folder of labelled logs)",
         &o.protect},
    };
    const struct fl_cli cli = {
        "rules list|show ID|test [FILE|ID [PATH...]]|lint [FILE...]|import FILE|export\n"
        "       faultline rules pending|approve ID|reject ID|retire ID|revoke ID|history [ID]|stale DAYS",
        "list    every rule with state, origin, role and cause\n"
        "show    one rule as JSON; of a learned one also what it dropped, and its history\n"
        "test    hold the rules of FILE, or an installed one, against their samples and show where\n"
        "        a pattern stops to match; with PATHs (files, folders of jobs) also which lines\n"
        "        they match and which verdicts they change; exit 1 when a sample fails\n"
        "lint    the same for rule files or folders, with advice; exit 1 when a rule is bad\n"
        "import  check a rule file and put it into the state folder\n"
        "export  learned and imported diagnosis rules as one file on standard output\n"
        "pending learned rules that are proposed or in shadow, and what speaks for them\n"
        "approve put a learned rule into shadow (counted, not applied); --active: apply it\n"
        "reject  never propose it again;  retire  no longer apply it\n"
        "revoke  take it out as if it had never been learned; its verdicts are marked as retracted\n"
        "history every change of a learned rule, or of all, with who made it and why\n"
        "stale   retire learned rules in force that were not heard of for DAYS days",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config = {.file = NULL};
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (argc < 2) {
        fl_log(FL_LOG_ERROR, "rules: say what to do (see --help)");
        return FL_EXIT_USAGE;
    }
    enum fl_status status = fl_config_load(&config, &err);
    if (status == FL_OK) {
        fl_config_flag(&config, FL_SET_STATE, o.state);
        fl_config_flag(&config, FL_SET_PROTECT, o.protect);
        status = dispatch(argc, argv, &o, &config, &code, &err);
    }
    fl_config_free(&config);
    return status == FL_OK ? code : fl_cmd_fail(&err);
}
