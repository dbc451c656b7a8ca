/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of model endpoints and what asking them cost, in faultline.db: a record for each endpoint
 * (what it understands, whether it is worth asking just now), answers by the question's hash, and what
 * was spent each day. */
#pragma once
#include "rag/incidents.h"

enum { FL_ASKED_ANSWERS = 5000, FL_ASKED_TEXT = 64 * 1024 };

/* name: address and model. */
struct fl_endpoint {
    struct fl_str caps;   /* JSON; "" when nothing is known */
    long faults;          /* in a row */
    int64_t closed_until; /* s since 1970; not asked before */
    struct fl_str fault;  /* what the last one was */
};
enum fl_status fl_asked_endpoint(struct fl_incidents *store, struct fl_str name,
                                 struct fl_arena *arena, struct fl_endpoint *out,
                                 struct fl_err *err) FL_MUST_USE;
enum fl_status fl_asked_endpoint_keep(struct fl_incidents *store, struct fl_str name,
                                      const struct fl_endpoint *endpoint,
                                      struct fl_err *err) FL_MUST_USE;

/* FL_NOTFOUND, without a message: this was never asked, or too long ago. */
enum fl_status fl_asked_answer(struct fl_incidents *store, struct fl_str key,
                               struct fl_arena *arena, struct fl_str *text_r, struct fl_str *model_r,
                               struct fl_err *err) FL_MUST_USE;
/* The newest FL_ASKED_ANSWERS are kept. FL_LIMIT: text over FL_ASKED_TEXT bytes. */
enum fl_status fl_asked_answer_keep(struct fl_incidents *store, struct fl_str key,
                                    struct fl_str text, struct fl_str model,
                                    struct fl_err *err) FL_MUST_USE;

struct fl_spending {
    struct fl_str day;   /* UTC, 2026-11-21 */
    struct fl_str model; /* "" in sums */
    long calls;
    long asked; /* tokens sent ... */
    long answered;
    double seconds;
};
/* Adds to the day's sums; an empty day is today. */
enum fl_status fl_asked_spend(struct fl_incidents *store, const struct fl_spending *spending,
                              struct fl_err *err) FL_MUST_USE;
/* Today's, over all models. */
enum fl_status fl_asked_today(struct fl_incidents *store, struct fl_spending *out,
                              struct fl_err *err) FL_MUST_USE;
/* By day and model, newest first, at most limit. */
typedef enum fl_status (*fl_asked_visit)(void *ctx, const struct fl_spending *spending,
                                         struct fl_err *err);
enum fl_status fl_asked_days(struct fl_incidents *store, size_t limit, fl_asked_visit visit,
                             void *ctx, struct fl_err *err) FL_MUST_USE;
