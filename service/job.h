/* SPDX-License-Identifier: Apache-2.0 */
/* One job being read: the first half of the walk. Bytes of a stream go in; lines are cut, judged
 * by the filter rules, matched against the diagnosis rules, joined into events, and condensed.
 * Owns all of it. Threads: one job, one thread. */
#pragma once
#include "rules/attribute/attribute.h"
#include "service/tally.h"
#include "service/view.h"

struct fl_job;

enum fl_status fl_job_new(const struct fl_ruleset *set, struct fl_job **out, struct fl_err *err)
    FL_MUST_USE;
void fl_job_free(struct fl_job *job);

/* Someone looks on from now: told of lines that filter rules drop, too. NULL: nobody. */
void fl_job_watch(struct fl_job *job, const struct fl_watch *watch);

/* A stream begins (one at a time), its bytes come in any cutting, it ends. */
enum fl_status fl_job_begin(struct fl_job *job, const char *name, const char *path,
                            struct fl_err *err) FL_MUST_USE;
enum fl_status fl_job_bytes(struct fl_job *job, struct fl_str bytes, struct fl_err *err)
    FL_MUST_USE;
enum fl_status fl_job_end(struct fl_job *job, const char *fault, struct fl_err *err) FL_MUST_USE;

/* Reads a whole file, folder of files, or "-". An unreadable file of several is noted on its
 * stream; *read_r counts those that gave bytes. */
enum fl_status fl_job_read(struct fl_job *job, const char *path, size_t *read_r,
                           struct fl_err *err) FL_MUST_USE;

/* Does a folder's file of that name count as a log? (Pictures, scripts, weights do not.) */
bool fl_job_takes(const char *path);

/* Follows one file until stop(ctx); pause(ctx) is called when it rests. */
struct fl_follow {
    bool (*stop)(void *ctx);
    void *ctx;
};
enum fl_status fl_job_follow(struct fl_job *job, const char *path, const struct fl_follow *follow,
                             struct fl_err *err) FL_MUST_USE;

struct fl_diagnosis *fl_job_diagnosis(struct fl_job *job);
const struct fl_view *fl_job_view(const struct fl_job *job);
const struct fl_tally *fl_job_tally(const struct fl_job *job); /* NULL: nothing was counted */
