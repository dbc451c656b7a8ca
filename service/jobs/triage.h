/* SPDX-License-Identifier: Apache-2.0 */
/* Who judges the jobs of the service, and when. A job is judged soon after it has gone quiet, now and then
 * while it talks, at once when it is over or somebody asks; for good when it is over or has rested. The
 * verdict of the rules is told first; a model, if one is set, is asked afterwards by a second thread, and
 * makes a revision.
 * Threads: two of its own; any may tell. */
#pragma once
#include "service/config.h"
#include "service/jobs/books.h"
#include "service/jobs/writer.h"

struct fl_incidents;

enum {
    FL_TRIAGE_QUIET_MS = 2000,  /* without a new byte: judged */
    FL_TRIAGE_BUSY_MS = 10000,  /* judged so often while it talks ... */
    FL_TRIAGE_SHARE = 20,       /* ... and no more than this part (1 / n) of the time */
    FL_TRIAGE_REST_S = 60,      /* without a new byte: judged for good, until some come */
};

struct fl_told {
    const struct fl_jobs_row *job; /* with the verdict */
    bool changed;                  /* it says something else than the one before */
    struct fl_str document;
};

struct fl_triage_options {
    const struct fl_config *config;
    struct fl_books *books;
    struct fl_incidents *incidents;
    struct fl_writer *writer;
    int rest_s;
    /* A verdict is on disk. Called in a thread of the triage; may be NULL. */
    void (*told)(void *ctx, const struct fl_told *told);
    void *ctx;
};

struct fl_triage;

/* Options must outlive it. Jobs that wait from before are judged, too. */
enum fl_status fl_triage_start(const struct fl_triage_options *options, struct fl_triage **out,
                               struct fl_err *err) FL_MUST_USE;
void fl_triage_stop(struct fl_triage *triage); /* after the verdict in hand; may still be told */
void fl_triage_free(struct fl_triage *triage); /* stopped, and nobody will tell it anything */

void fl_triage_grown(struct fl_triage *triage, int64_t job);  /* bytes came */
void fl_triage_over(struct fl_triage *triage, int64_t job);   /* it has ended */
void fl_triage_wanted(struct fl_triage *triage, int64_t job); /* somebody waits for it */

struct fl_triage_state {
    size_t waiting; /* jobs with bytes that no verdict has seen */
    long verdicts;
    double seconds; /* spent on them */
    int64_t behind_ms; /* the one that should have been judged longest ago */
};
void fl_triage_look(struct fl_triage *triage, struct fl_triage_state *out);
