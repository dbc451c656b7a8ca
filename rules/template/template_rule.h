/* SPDX-License-Identifier: Apache-2.0 */
/* A template in, the pattern of a filter rule out: literals kept, fields by their type, words that
 * vary by what they were seen to be, anchored at both ends, with the prefixes and time stamps that
 * its lines had as an optional head. No digit stands for itself in it (rules/match/shape.h: such a pattern
 * is asked once a shape). Where anything may stand, no word of failure may. */
#pragma once
#include "rules/template/template.h"

enum { FL_TEMPLATE_RULE_BYTES = 1900, FL_TEMPLATE_RULE_LITERAL = 12, FL_TEMPLATE_RULE_HEADS = 8 };

/* Why there is no rule when words vary that would tell: its forms, each alone, may do better. */
extern const char fl_template_rule_too_little[];

/* FL_DENIED: there can be no rule; *why_r says so in a few words. Words of failure inside a field
 * are not looked for: a learned rule never drops a line that holds one (filter.c). */
enum fl_status fl_template_rule(const struct fl_templates *t, const struct fl_template *of,
                                struct fl_buf *out, const char **why_r) FL_MUST_USE;
