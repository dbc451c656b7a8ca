/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a rule's patterns is to blame for what the rule says of a text, and how far did it get?
 * For people who write rules; not used while logs are read. Owns nothing. */
#pragma once
#include "rules/base/ruleset.h"

/* How far a pattern gets: pattern[0, at) matches text[start, end), with the piece of `piece` bytes
 * that begins at `at` nothing does. A pattern that matches is all reached: piece 0. */
struct fl_reach {
    size_t at;
    size_t piece;
    size_t start;
    size_t end;
};

/* Pieces are what a pattern is a sequence of: characters, classes, groups, each with its
 * quantifier; of several branches the one that gets furthest is told, and a plain group that fails
 * is looked into. flags: enum fl_pattern_flags. Where it cannot be told it says less, never more. */
enum fl_status fl_pattern_reach(struct fl_str pattern, unsigned flags, struct fl_str text,
                                struct fl_reach *out, struct fl_err *err) FL_MUST_USE;

struct fl_blame {
    const char *list; /* any, all or none */
    size_t number;    /* in that list */
    struct fl_str pattern;
    struct fl_str text; /* what it was held against: the sample, or one line of it */
    struct fl_reach reach;
    bool caseless; /* it does not match, but would if letter case did not count */
};

/* The rule (compiled) judges text as `got`, and should not. A rule that says no: the pattern of
 * `any` that gets furthest, the one of `all` that is missing, or the one of `none` that is there.
 * One that says yes: the first of `any` that matches. */
enum fl_status fl_rule_blame(const struct fl_ruleset *set, const struct fl_rule *rule,
                             struct fl_str text, enum fl_match got, struct fl_blame *out,
                             struct fl_err *err) FL_MUST_USE;
