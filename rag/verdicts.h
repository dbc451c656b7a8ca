/* SPDX-License-Identifier: Apache-2.0 */
/* What was said of each job, what it cost, and what people made of it, in faultline.db beside the
 * incidents. A job that is read again replaces its verdict; what people said of it stays. */
#pragma once
#include "rag/incidents.h"

struct fl_given {
    struct fl_str job;  /* tells jobs apart */
    struct fl_str name; /* tells kinds of jobs apart */
    struct fl_str incident;
    struct fl_str cause; /* "": unknown */
    struct fl_str method;
    struct fl_str rule; /* that decided it, or "" */
    struct fl_str model;
    double confidence;
    long calls;
    long asked;    /* tokens sent ... */
    long answered; /* ... and received */
    double seconds;
};

enum fl_status fl_verdicts_keep(struct fl_incidents *store, const struct fl_given *given,
                                struct fl_err *err) FL_MUST_USE;

/* How many jobs but this one ended in the incident, and when first; first is "" when none did. */
struct fl_seen {
    long jobs;
    char first[24];
    int64_t modelled; /* when a model last gave a verdict on it, s since 1970; 0: never ... */
    double confidence; /* ... and how sure it was */
    int64_t untold;    /* when a model was last asked about another job of it and could not tell; 0: never */
};
enum fl_status fl_verdicts_seen(struct fl_incidents *store, struct fl_str incident,
                                struct fl_str but, struct fl_seen *out, struct fl_err *err) FL_MUST_USE;

/* A person says whether the verdicts of an incident were right, and what the truth is (wrong ones;
 * "": not said). *n_r: verdicts marked. */
enum fl_status fl_verdicts_judge(struct fl_incidents *store, struct fl_str incident, bool right,
                                 struct fl_str truth, long *n_r, struct fl_err *err) FL_MUST_USE;

/* The rules that gave an incident's verdicts, each once; ids end in the arena. At most `most`; returns
 * how many in *n_r. */
enum fl_status fl_verdicts_rules(struct fl_incidents *store, struct fl_str incident,
                                 struct fl_arena *arena, struct fl_str *rules, size_t most,
                                 size_t *n_r, struct fl_err *err) FL_MUST_USE;

/* Marks the verdicts that a rule gave: it was taken back. */
enum fl_status fl_verdicts_retract(struct fl_incidents *store, struct fl_str rule, long *n_r,
                                   struct fl_err *err) FL_MUST_USE;

/* Counts of verdicts of one cause and method, by cause. */
struct fl_verdict_count {
    struct fl_str cause;
    struct fl_str method;
    long n;
    long right;
    long wrong;
    long retracted;
};
typedef enum fl_status (*fl_verdicts_visit)(void *ctx, const struct fl_verdict_count *count,
                                            struct fl_err *err);
enum fl_status fl_verdicts_count(struct fl_incidents *store, fl_verdicts_visit visit, void *ctx,
                                 struct fl_err *err) FL_MUST_USE;
