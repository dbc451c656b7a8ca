/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a learned rule: proposed -> shadow -> active -> retired. Rules live in the learned
 * files (rules/learn/learn.h), what happened to them and what they did in the database (rag/rulelog.h);
 * every change is made here, under the state folder's lock, and journalled in the same breath.
 *
 * A rule comes nearer to being applied only through the gate, which it passes anew at each step.
 *
 * Proof: seen in shadow in at least 3 jobs of 2 names and on 100 lines, none of them telling. A line
 * is telling when a diagnosis rule knows it or it holds a word of the failure lexicon: such lines are
 * all that a filter could take from a verdict, as rules read what filters drop, and an active learned
 * filter keeps them, too. So a rule with no telling line has changed no verdict and would change
 * none. What is proved becomes active by itself only with the setting `auto_activate`; by default a
 * person decides (`faultline rules pending` says what is proved).
 *
 * Alarm: an active learned filter that drops more than 40 % of a job's lines and half as much again
 * as ever before, or twice as much as ever before and 10 % or more, goes back to shadow. Ever before:
 * in the last jobs of that name, or in all when these are fewer than three; in fewer than three jobs
 * at all nothing is usual yet. Its lines of that job stay dropped, and the report says so. */
#pragma once
#include "rag/rulelog.h"
#include "rag/verdicts.h"
#include "rules/learn/learn.h"
#include "service/identity.h"
#include "service/pipeline.h"

enum fl_life_verb {
    FL_LIFE_APPROVE,  /* proposed or retired -> shadow */
    FL_LIFE_ACTIVATE, /* proposed, shadow or retired -> active */
    FL_LIFE_REJECT,   /* proposed or shadow -> retired, remembered so that it is not proposed again */
    FL_LIFE_RETIRE,   /* shadow or active -> retired */
    FL_LIFE_REVOKE,   /* any -> gone, files as if it had never been; its verdicts are retracted */
    FL_LIFE_SUSPEND,  /* active -> shadow */
};

struct fl_life_terms {
    bool automatic; /* what is proved in shadow */
    bool off;       /* nothing at all */
    long jobs;
    long names;
    long lines;
};

/* `auto_activate`: off, on, or JOBS,NAMES,LINES. */
enum fl_status fl_life_terms_read(const struct fl_config *config, struct fl_life_terms *out,
                                  struct fl_err *err) FL_MUST_USE;
bool fl_life_is_proved(const struct fl_life_terms *terms, const struct fl_rule_record *record);

/* Evidence of the shipped and of the stored incidents, and of what the setting `protect` names: a
 * file of lines, or a folder of labelled logs (the evidence of each label.json). */
enum fl_status fl_life_guard(const struct fl_config *config, struct fl_guard *guard,
                             struct fl_err *err) FL_MUST_USE;

/* fl_learn_propose with the guarded lines (unless the proposal has its own) and a journal entry; secrets
 * of the sample and of the job's name are not kept. */
enum fl_status fl_life_propose(const struct fl_config *config, const struct fl_ruleset *set,
                               const struct fl_proposal *proposal, char id[64],
                               struct fl_err *err) FL_MUST_USE;

/* One step of one learned rule. set: the rules in force, for the gate. The new state's name goes to
 * *now_r (NULL allowed). FL_NOTFOUND: no learned rule of that id; FL_CONFLICT: no such step from
 * its state; FL_DENIED: the gate. */
enum fl_status fl_life_change(const struct fl_config *config, const struct fl_ruleset *set,
                              const char *id, enum fl_life_verb verb, const char *actor,
                              const char *reason, const char **now_r,
                              struct fl_err *err) FL_MUST_USE;

/* One more job of which a model says what the learned diagnosis rule says. When FL_LIFE_AGREED jobs
 * do, the rule becomes active, unless the setting `auto_activate` is off or a person has ever taken it
 * back. Never fails. */
enum { FL_LIFE_AGREED = 3 };
void fl_life_agree(const struct fl_config *config, const struct fl_ruleset *set, const char *id,
                   const struct fl_identity *job);

/* After a job: keeps what learned rules did to it, suspends and, where wanted, activates. What a
 * reader should know goes to result->warnings. Never fails; troubles are warnings of the log. */
void fl_life_count(const struct fl_config *config, struct fl_result *result);
