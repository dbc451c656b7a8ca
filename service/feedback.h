/* SPDX-License-Identifier: Apache-2.0 */
/* A person's word about an incident. It marks the verdicts given for it, makes the incident count (or
 * not) when the next failure like it comes, and decides the rules that were learned from it: right, and
 * they are applied; wrong, and they are revoked, with the verdicts they gave. */
#pragma once
#include "service/config.h"
#include "service/rulebook.h"

struct fl_feedback {
    const char *incident;
    bool right;
    const char *cause; /* the truth, when it is another one or none was given; NULL */
    const char *fix;   /* what helped, or NULL */
    const char *actor;
};

/* What came of it, in words for the person. */
enum fl_status fl_feedback(const struct fl_config *config, const struct fl_rulebook *book,
                           const struct fl_feedback *feedback, struct fl_buf *out,
                           struct fl_err *err) FL_MUST_USE;
