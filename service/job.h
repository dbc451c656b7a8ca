/* SPDX-License-Identifier: Apache-2.0 */
/* One job being read: the first half of the walk. Bytes of a stream go in; lines are cut, judged
 * by the filter rules, matched against the diagnosis rules, joined into events, and condensed.
 * Owns all of it. Threads: one job, one thread. */
#pragma once
#include "rules/attribute/attribute.h"
#include "service/ingest/follow.h"
#include "service/tally.h"
#include "service/view.h"

struct fl_job;

enum fl_status fl_job_new(const struct fl_ruleset *set, struct fl_job **out, struct fl_err *err)
    FL_MUST_USE;
void fl_job_free(struct fl_job *job);

/* Someone looks on from now: told of lines that filter rules drop, too. NULL: nobody. */
void fl_job_watch(struct fl_job *job, const struct fl_watch *watch);

/* A stream begins, its bytes go into its lines in any cutting, it ends. Several may be open; each
 * must be closed before the job is judged. */
struct fl_feed;
enum fl_status fl_feed_open(struct fl_job *job, const char *name, const char *path,
                            struct fl_feed **out, struct fl_err *err) FL_MUST_USE;
struct fl_lines *fl_feed_lines(struct fl_feed *feed);
enum fl_status fl_feed_close(struct fl_feed *feed, const char *fault,
                             struct fl_err *err) FL_MUST_USE;

/* Reads a whole file, folder of files, or "-". An unreadable file of several is noted on its
 * stream; *read_r counts those that gave bytes. */
enum fl_status fl_job_read(struct fl_job *job, const char *path, size_t *read_r,
                           struct fl_err *err) FL_MUST_USE;

/* Does a folder's file of that name count as a log? (Pictures, scripts, weights do not.) */
bool fl_job_takes(const char *path);

/* Follows files, each a stream, until follow->stop says so (see ingest/follow.h). A file that cannot
 * be opened is an error before anything is read; one that breaks later is noted on its stream. */
enum fl_status fl_job_follow(struct fl_job *job, const char *const *paths, size_t n,
                             const struct fl_follow *follow, struct fl_err *err) FL_MUST_USE;

struct fl_diagnosis *fl_job_diagnosis(struct fl_job *job);
const struct fl_view *fl_job_view(const struct fl_job *job);
const struct fl_tally *fl_job_tally(const struct fl_job *job); /* NULL: nothing was counted */
