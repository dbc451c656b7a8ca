/* SPDX-License-Identifier: Apache-2.0 */
/* What people say of incidents as wholes: these two are one failure (merged, until they are split), and this
 * one wants to be looked at (flagged, until somebody has). Nothing of an incident is changed by it. */
#pragma once
#include "rag/incidents.h"

/* SQL: the id of an incident ?1 and those of all that are merged into it. */
#define FL_GROUPS_MEMBERS "(SELECT ?1 UNION SELECT id FROM merges WHERE into_id = ?1)"

/* What is merged into `id` follows it. FL_NOTFOUND: one of them is not there; FL_CONFLICT: they are one
 * already. */
enum fl_status fl_groups_merge(struct fl_incidents *store, struct fl_str id, struct fl_str into,
                               struct fl_err *err) FL_MUST_USE;
/* FL_NOTFOUND: it is merged into nothing. */
enum fl_status fl_groups_split(struct fl_incidents *store, struct fl_str id,
                               struct fl_err *err) FL_MUST_USE;

/* The one that it is merged into, or its own id. */
enum fl_status fl_groups_root(struct fl_incidents *store, struct fl_str id, struct fl_arena *arena,
                              struct fl_str *root_r, struct fl_err *err) FL_MUST_USE;

/* Its own id first, then those that are merged into it. */
typedef enum fl_status (*fl_groups_visit)(void *ctx, struct fl_str id, struct fl_err *err);
enum fl_status fl_groups_members(struct fl_incidents *store, struct fl_str id, fl_groups_visit visit,
                                 void *ctx, struct fl_err *err) FL_MUST_USE;

/* note: why, "" allowed. Flagging again changes the note; what is not flagged may be unflagged. */
enum fl_status fl_flags_set(struct fl_incidents *store, struct fl_str id, bool flagged,
                            struct fl_str note, struct fl_err *err) FL_MUST_USE;

struct fl_flag {
    struct fl_str id;
    struct fl_str note;
    struct fl_str time; /* UTC */
};
/* The oldest first. */
typedef enum fl_status (*fl_flags_visit)(void *ctx, const struct fl_flag *flag, struct fl_err *err);
enum fl_status fl_flags_list(struct fl_incidents *store, fl_flags_visit visit, void *ctx,
                             struct fl_err *err) FL_MUST_USE;
