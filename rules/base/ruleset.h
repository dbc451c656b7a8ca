/* SPDX-License-Identifier: Apache-2.0 */
/* Rule files in, one immutable snapshot out. A snapshot holds every rule (also proposed and retired
 * ones, for listing) and the compiled patterns of those that are active, or in shadow: these are
 * proposed and counted, never applied. A rule that names a table
 * of codes (rules/base/table.h) has one variant a row: a rule without patterns of its own.
 *
 * Files: JSON, "format" faultline.diagnosis/1 or faultline.filters/1 (rules/README.md); an array of
 * regex strings is taken for filter rules, an array of {regex, diagnosis} for diagnosis rules.
 * A bad rule is left out and reported with file, rule and place; the others serve.
 * Owns everything it returns; slices live until fl_ruleset_free. Read-only after fl_ruleset_ready:
 * share it between threads. */
#pragma once
#include "rules/match/matcher.h"
#include "rules/signals/declared.h"
#include "rules/signals/metrics.h"
#include "rules/base/taxonomy.h"
#include "service/base/json.h"

enum fl_role {
    FL_ROLE_ROOT,
    FL_ROLE_SYMPTOM,
    FL_ROLE_CONFIRMATION,
    FL_ROLE_BENIGN,
    FL_ROLE_PROGRESS,
    FL_ROLE_CHECKPOINT,
    FL_ROLE_SUCCESS,
    FL_ROLE_START,
    FL_ROLE_ROLL,   /* says which rank runs where, or how far it has come */
    FL_ROLE_METRIC, /* carries metric values, is no step */
    FL_ROLE_MILESTONE, /* got somewhere: is up, wrote its results, went down in good order */
};

enum { FL_ROLES = FL_ROLE_MILESTONE + 1 };

enum fl_scope { FL_SCOPE_LINE, FL_SCOPE_EVENT, FL_SCOPE_STREAM, FL_SCOPE_JOB };

enum fl_rule_state { FL_STATE_PROPOSED, FL_STATE_SHADOW, FL_STATE_ACTIVE, FL_STATE_RETIRED };

enum { FL_RULE_PATTERNS_MAX = 32, FL_SAMPLES_MAX = 32, FL_TABLES_MAX = 64 };

struct fl_table;

struct fl_pattern_set {
    const struct fl_str *text;
    uint32_t *number; /* in the matcher, once compiled */
    size_t n;
};

struct fl_samples {
    const struct fl_str *item;
    size_t n;
};

struct fl_rule {
    const char *id;
    const char *file;  /* where it was read from */
    const char *stack; /* filter rules: which stack prints such lines */
    bool is_filter;
    enum fl_rule_state state;
    bool trusted;  /* taken as checked: neither its patterns nor its samples were tried */
    bool compiled; /* its patterns have numbers in the matcher */
    bool broken;   /* not compiled, or fails its own samples: never applied */
    const char *origin; /* shipped, imported, learned, operator */
    const char *origin_json;
    struct fl_pattern_set any;
    struct fl_samples match;
    struct fl_samples nomatch;
    /* diagnosis rules */
    const struct fl_cause *cause; /* NULL for roles that name none */
    enum fl_role role;
    enum fl_scope scope;
    struct fl_pattern_set all;
    struct fl_pattern_set none;
    double confidence;
    const char *summary;
    enum fl_severity severity;
    bool recoverable;
    const char *action;
    const char *const *recovery;
    size_t recovery_n;
    const char *const *explains;
    size_t explains_n;
    /* rules that look a code up */
    const char *table;            /* its name, or NULL */
    const struct fl_table *rows;  /* from ready on */
    uint32_t variants;            /* index of the first row's variant; the others follow */
    const char *variant_of;       /* in a variant: the id of its rule */
};

/* Whose pattern is it? */
struct fl_pattern_owner {
    uint32_t rule;
    uint8_t kind; /* 0 any, 1 all, 2 none */
    bool drops;   /* from ready on: of an active filter rule */
    bool learned; /* the same: ... that no person wrote */
};

struct fl_ruleset {
    struct fl_arena arena;
    const struct fl_taxonomy *taxonomy;
    struct fl_metrics *metrics; /* owned; NULL: metric values are not read */
    struct fl_declared *declared; /* owned; detectors over metrics, NULL: there are none */
    struct fl_rule *rules;
    uint32_t rules_n;
    uint32_t rules_size;
    uint32_t *by_id; /* hash table of 2 * rules_size places: index + 1, 0 is free */
    uint32_t read_n; /* from ready on: so many were read from files, their variants follow */
    struct fl_table *tables;
    size_t tables_n;
    struct fl_matcher *lines;  /* patterns tried on single lines */
    struct fl_matcher *events; /* patterns tried on joined events */
    struct fl_pattern_owner *line_owner;
    struct fl_pattern_owner *event_owner;
    uint32_t line_patterns_n;
    uint32_t event_patterns_n;
    bool trusts_shipped; /* set before loading: files of origin "shipped" are as they were tested */
    const char *cache;   /* set before fl_ruleset_ready: folder for the compiled scanner, or NULL */
    struct fl_checked *checked; /* set before loading: what need not be checked again, or NULL */
    uint32_t attention; /* pattern of words that failures use (the lexicon) */
    uint32_t traceback; /* pattern of a Python traceback's first line, or of a frame */
    const struct fl_rule *left_out; /* loading leaves out rules with the ids of these */
    uint32_t left_out_n;
    /* set before loading: shell patterns, parted by commas, of ids or causes; rules that name a
     * cause, were not learned and fit one are left out, so that what they know is unknown. NULL: none */
    const char *without;
};

/* Called for each fault found in a rule file: whole message, ready to print. */
typedef void (*fl_ruleset_complain)(void *ctx, const char *message);

/* Complains of a rule that is left out: "FILE: rule ID: WHAT", with the pattern (NULL: none) and a
 * caret under the fault. */
void fl_rule_complain(const struct fl_rule *rule, const char *what, const struct fl_str *pattern,
                      size_t at, fl_ruleset_complain complain, void *ctx);

enum fl_status fl_ruleset_new(const struct fl_taxonomy *taxonomy, struct fl_ruleset **out,
                              struct fl_err *err) FL_MUST_USE;
void fl_ruleset_free(struct fl_ruleset *set);

/* Reads one file of rules, a table, metrics or detectors. A file that is neither is an error; bad rules and rows are
 * complained of; so is a second table of a name: the first one serves.
 * *bad_r (NULL allowed) counts them. origin is given to rules that do not say theirs. */
enum fl_status fl_ruleset_load(struct fl_ruleset *set, const char *path, const char *origin,
                               fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                               struct fl_err *err) FL_MUST_USE;

/* Every *.json below a folder. */
enum fl_status fl_ruleset_load_dir(struct fl_ruleset *set, const char *path, const char *origin,
                                   fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                                   struct fl_err *err) FL_MUST_USE;

/* Adds a copy of a rule of another set, which must outlive this one: active, whatever its state and
 * samples. One that does not compile is added broken. For trying rules out. */
enum fl_status fl_ruleset_add(struct fl_ruleset *set, const struct fl_rule *rule,
                              struct fl_err *err) FL_MUST_USE;

/* Ends loading: makes the variants of table rules, builds the scanners, then holds what is not
 * trusted against its samples (samples.h). */
enum fl_status fl_ruleset_ready(struct fl_ruleset *set, fl_ruleset_complain complain, void *ctx,
                                size_t *bad_r, struct fl_err *err) FL_MUST_USE;

/* Which rule a match of a rule's pattern stands for: the variant of the captured key. A key that no
 * row has is the rule itself, or UINT32_MAX (no match) when it names no cause. */
uint32_t fl_ruleset_resolve(const struct fl_ruleset *set, uint32_t rule,
                            const struct fl_captures *captures);

const struct fl_rule *fl_ruleset_find(const struct fl_ruleset *set, struct fl_str id);

const char *fl_role_name(enum fl_role role);
const char *fl_state_name(enum fl_rule_state state);

/* Made by learning, not by a person. */
static inline bool fl_rule_is_learned(const struct fl_rule *rule)
{
    return rule->origin[0] == 'l' && strcmp(rule->origin, "learned") == 0;
}

/* Writes one rule as JSON, as rule files have it. */
void fl_rule_write(struct fl_jw *w, const struct fl_rule *rule);
