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

void fl_identity_of(struct fl_job *job, struct fl_identity *out);
