/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a job while it still runs. Whoever feeds the job asks for a check about once a
 * second, also when no lines came. A matter is told once, when two checks in a row found it, and
 * withdrawn when two in a row did not. For what a metric does it takes five, each after new lines: a
 * young series looks odd now and then. A matter that comes back is told again only after five minutes,
 * then ten, twenty ... five hours.
 *
 * Matters are, by the kind of their signal:
 *   failure   the verdict on the lines so far blames a cause by a rule, with a score of FL_LIVE_SURE at
 *             least (its confidence is that of a job that has ended)
 *   (others)  signals of that verdict: what a metric does
 *   hang      no step for longer than the steps' own pace allows (see pace.h)
 *   silence   one rank prints no values for longer than its pace allows, while most others do
 * The last two rest on when lines arrive, so they are looked for once fl_live_caught_up was said; not
 * after the job said that it was done, and no new one once a failure is known.
 *
 * Limits: FL_LIVE_MATTERS matters; more are not told until one is over. No input, no output, no clock.
 * Threads: that of the job. */
#pragma once
#include "rules/attribute/calibration.h"
#include "service/job.h"

#define FL_LIVE_SURE 0.75

enum { FL_LIVE_MATTERS = 64 };

struct fl_live_matter {
    struct fl_signal signal; /* of a failure, hang or silence its metric is NULL */
    const char *cause;       /* of a failure its slug, else NULL */
    const char *file;        /* of the signal's line; NULL: no line shows it */
};

/* The matter lasts as long as the call; what it points to lasts as long as the job and its rules. */
struct fl_live_teller {
    void (*tell)(void *ctx, bool withdrawn, const struct fl_live_matter *matter);
    void *ctx;
};

struct fl_live;

enum fl_status fl_live_new(const struct fl_live_teller *teller, struct fl_live **out,
                           struct fl_err *err) FL_MUST_USE;
void fl_live_free(struct fl_live *live);

/* From now on lines come as they are printed: what had been printed before is read. */
void fl_live_caught_up(struct fl_live *live);

/* Always of the same job. now_us: above 0, of a clock that does not go back. */
void fl_live_check(struct fl_live *live, struct fl_job *job,
                   const struct fl_calibration *calibration, int64_t now_us);
