/* SPDX-License-Identifier: Apache-2.0 */
/* Which job is it, and of which kind? A job is known by where its logs are: one that is read again, or
 * has grown, is the same job. Jobs whose paths differ in numbers only are of one kind. */
#pragma once
#include "service/job.h"

enum { FL_IDENTITY_NAME = 160 };

struct fl_identity {
    char job[32];
    char name[FL_IDENTITY_NAME];
    long lines; /* of all its streams */
};

/* given: what it is called, NULL when only its logs tell. */
void fl_identity_of(struct fl_job *job, const char *given, struct fl_identity *out);
