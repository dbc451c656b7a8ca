/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of a job in, proposed filter rules in the state folder out (life.h: seen and listed, not
 * applied until someone approves or they have proved themselves). */
#pragma once
#include "rules/learn/gate.h"
#include "service/config.h"

enum { FL_ROUTINE_MAX = 200, FL_ROUTINE_REASONS = 12, FL_ROUTINE_ASKED = 120 };

struct fl_routine_request {
    const struct fl_ruleset *set;
    const struct fl_config *config; /* with a state folder */
    const char *job;         /* for the record */
    bool healthy;            /* the runs went well: all that recurs is routine. Otherwise it must also
                              * recur over time and ranks, away from the end */
    const struct fl_guard *guard; /* set by fl_routine_learn */
    struct fl_str protects;  /* lines that no rule may match, joined by \n */
    unsigned votes; /* answers of a model to ask for; 0: ask none. What all of them call routine need not
                     * recur as often; what none of them does is not proposed. The gate holds for all. */
};

struct fl_routine_result {
    size_t templates;
    size_t proposed;
    size_t known; /* proposed before */
    uint64_t lines;
    uint64_t covered; /* by proposed and known ones */
    struct {
        char why[160];
        size_t n;
        uint64_t lines;
    } refused[FL_ROUTINE_REASONS];
    size_t refused_n;
    size_t asked; /* kinds that a model was asked about */
    size_t agreed; /* all its answers call them routine */
    long calls, tokens;
    char model_note[200]; /* why it could not be asked; "" when nothing went wrong */
};

/* Reads the files and folders, which are one job or runs of one, and proposes. */
enum fl_status fl_routine_learn(const struct fl_routine_request *request, const char *const *paths,
                                size_t n, struct fl_routine_result *out,
                                struct fl_err *err) FL_MUST_USE;

/* A few lines: what was proposed, what was refused and why. */
void fl_routine_report(const struct fl_routine_result *result, struct fl_buf *out);
