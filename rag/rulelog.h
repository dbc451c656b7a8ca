/* SPDX-License-Identifier: Apache-2.0 */
/* What became of learned rules, in faultline.db beside the incidents: a journal of every change,
 * which is only ever added to (triggers of the schema refuse anything else), and what each rule did
 * to each job, in shadow or active.
 *
 * A use counts for the spell of its state: `since` is the journal's last entry about the rule when
 * the job was read. The same job read again replaces its use. Of a rule the last FL_USES_KEPT jobs
 * are kept; totals go on. Texts that come out live until the visit returns, or in the arena. */
#pragma once
#include "rag/incidents.h"

enum { FL_USES_KEPT = 100 };

struct fl_rule_change {
    struct fl_str time; /* empty: now */
    struct fl_str actor;
    struct fl_str rule;
    struct fl_str was; /* a state, or "" */
    struct fl_str now; /* a state, "revoked", or "rejected" */
    struct fl_str reason;
};

struct fl_rule_use {
    struct fl_str rule;
    struct fl_str job;  /* tells jobs apart */
    struct fl_str name; /* tells kinds of jobs apart */
    struct fl_str state;
    long lines;
    long telling;
    long total; /* lines of the job */
    struct fl_str sample;
    struct fl_str seen; /* time; empty: now */
};

/* Sums over the uses that are kept. */
struct fl_rule_record {
    long all_jobs; /* ever ... */
    long all_lines;
    long jobs; /* in this spell of its state */
    long names;
    long lines;
    long telling;
    long others;      /* kept jobs apart from the one given; of its name when these are three ... */
    double most;      /* ... and the largest share of lines in them */
    char last_seen[24]; /* "" never */
};

/* Journals the change, then lets apply (NULL: nothing) do it; when that fails nothing is journalled.
 * With forget the rule's uses and totals go. One transaction. */
typedef enum fl_status (*fl_rulelog_apply)(void *ctx, struct fl_err *err);
enum fl_status fl_rulelog_change(struct fl_incidents *store, const struct fl_rule_change *change,
                                 bool forget, fl_rulelog_apply apply, void *ctx,
                                 struct fl_err *err) FL_MUST_USE;

/* Oldest first; rule empty: of all. */
typedef enum fl_status (*fl_rulelog_visit)(void *ctx, const struct fl_rule_change *change,
                                           struct fl_err *err);
enum fl_status fl_rulelog_history(struct fl_incidents *store, struct fl_str rule,
                                  fl_rulelog_visit visit, void *ctx,
                                  struct fl_err *err) FL_MUST_USE;

/* Notes what rules did to one job; one transaction. */
enum fl_status fl_rulelog_use(struct fl_incidents *store, const struct fl_rule_use *uses, size_t n,
                              struct fl_err *err) FL_MUST_USE;

/* The last uses of a rule, newest first. */
typedef enum fl_status (*fl_rulelog_use_visit)(void *ctx, const struct fl_rule_use *use,
                                               struct fl_err *err);
enum fl_status fl_rulelog_uses(struct fl_incidents *store, struct fl_str rule, size_t limit,
                               fl_rulelog_use_visit visit, void *ctx,
                               struct fl_err *err) FL_MUST_USE;

/* job and name: the job in hand, whose own use does not count for `others` and `most`. */
enum fl_status fl_rulelog_record(struct fl_incidents *store, struct fl_str rule, struct fl_str job,
                                 struct fl_str name, struct fl_rule_record *record_r,
                                 struct fl_err *err) FL_MUST_USE;

/* Days since anything was heard of a rule: a verdict it gave, a job it was seen in, a change of it; -1:
 * never. */
enum fl_status fl_rulelog_idle(struct fl_incidents *store, struct fl_str rule, long *days_r,
                               struct fl_err *err) FL_MUST_USE;
