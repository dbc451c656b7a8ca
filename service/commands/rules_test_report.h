/* SPDX-License-Identifier: Apache-2.0 */
/* What `rules test` found, and its words: text for a person, JSON faultline.rules-test/1. */
#pragma once
#include "rules/attribute/attribute.h"
#include "rules/match/blame.h"
#include "service/commands/rules_test.h"

enum { FL_TRIAL_SHOWN = 3, FL_TRIAL_TEXT = 200, FL_TRIAL_CAPTURES = 8 };

/* A sample that fails. */
struct fl_trial_fault {
    const struct fl_rule *rule;
    bool want; /* it must match */
    size_t number;
    enum fl_match got;
    struct fl_blame blame;
    struct fl_trial_fault *next;
};

struct fl_trial_line {
    const char *rule;
    const char *known_by; /* the diagnosis rule whose line a filter drops, or NULL */
    const char *path;
    long number;
    struct fl_str text;
    bool cut_front;
    bool cut_back;
    bool counts;
    struct fl_capture capture[FL_TRIAL_CAPTURES];
    size_t captures_n;
};

struct fl_trial_lines {
    long n;
    struct fl_trial_line first[FL_TRIAL_SHOWN];
    size_t first_n;
};

struct fl_trial_verdict {
    enum fl_outcome outcome;
    const struct fl_cause *cause;
    double confidence;
    const char *path; /* of the line that proves it, or NULL */
    long line;
};

struct fl_trial_job {
    const char *path;
    struct fl_trial_lines matched;
    struct fl_trial_lines dangers;
    struct fl_trial_verdict before;
    struct fl_trial_verdict after;
    bool changed;
    struct fl_trial_job *next;
};

struct fl_trial_report {
    const struct fl_rules_test *test;
    struct fl_arena arena;
    long samples;
    long faults_n;
    struct fl_trial_fault *faults;
    struct fl_trial_fault **faults_end;
    struct fl_trial_job *jobs;
    struct fl_trial_job **jobs_end;
    long jobs_n;
    long unreadable;
    long matched;
    long dangers;
    long changed;
    long causes_changed;
};

/* Appends a job, sees whether its verdict changed, counts. */
void fl_trial_add_job(struct fl_trial_report *report, struct fl_trial_job *job);

enum fl_status fl_trial_print(const struct fl_trial_report *report, struct fl_err *err) FL_MUST_USE;
