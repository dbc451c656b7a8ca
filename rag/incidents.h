/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of failed jobs: one SQLite file, faultline.db in the state folder, the only
 * truth about incidents. The shipped incidents (seeds) are imported into it once for each new
 * content of the seed file; a seed that the user changed or forgot stays as the user left it.
 *
 * Owns / borrows: a store owns its database; incidents given to a call are copied; incidents that
 * come out live in the caller's arena, or (in a visit) until the visit returns.
 * Limits: text FL_INCIDENT_TEXT bytes, every other part FL_INCIDENT_PART, an id
 * FL_INCIDENT_ID printable ASCII bytes. Broken UTF-8 and NUL are replaced by U+FFFD on the way in.
 * Threads: calls on one store take turns. Processes: any number; writers take turns too.
 * Failure: a call that fails has changed nothing. */
#pragma once
#include "service/base/arena.h"
#include "service/base/json.h"
#include "service/base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    FL_INCIDENT_TEXT = 32 * 1024,
    FL_INCIDENT_PART = 4 * 1024,
    FL_INCIDENT_ID = 128,
    FL_INCIDENTS_IMPORT = 64 << 20, /* bytes of one import */
};

/* Every part is UTF-8 and may be empty. */
struct fl_incident {
    struct fl_str id;
    struct fl_str cause; /* slug of data/taxonomy.json */
    struct fl_str stack;
    struct fl_str title;
    struct fl_str summary;
    struct fl_str text; /* what the log said */
    struct fl_str resolution;
    struct fl_str action;
    struct fl_str outcome; /* resolved, confirmed, unconfirmed, wrong ... */
    struct fl_str origin; /* shipped, imported, operator, learned ... */
    struct fl_str job;
    struct fl_str created; /* UTC, 2026-11-21T14:03:09Z */
    struct fl_str fingerprint; /* equal for equal failures, with the version of its making in front */
};

struct fl_incidents;

/* Opens the store in state_dir, which is made when missing. seed_path names the shipped incidents
 * (NULL: none; a seed file that cannot be read is a warning, not a failure). With readonly nothing
 * is made or written; FL_NOTFOUND when there is no store yet. state_dir NULL gives a store in
 * memory that holds the seeds and is lost at close.
 * FL_CONFLICT: written by a newer version. FL_CORRUPT: damaged, left as it is. */
enum fl_status fl_incidents_open(const char *state_dir, const char *seed_path, bool readonly,
                                 struct fl_incidents **store_r, struct fl_err *err) FL_MUST_USE;
void fl_incidents_close(struct fl_incidents *store);

/* Adds one. An empty id is made up (inc-<12 hex>), an empty origin is "operator", an empty created
 * is now. The id is copied into arena unless id_r is NULL. FL_CONFLICT: the id is taken. */
enum fl_status fl_incidents_add(struct fl_incidents *store, const struct fl_incident *incident,
                                struct fl_arena *arena, struct fl_str *id_r,
                                struct fl_err *err) FL_MUST_USE;

/* Puts it in the place of the one with its id, or adds it. */
enum fl_status fl_incidents_put(struct fl_incidents *store, const struct fl_incident *incident,
                                struct fl_err *err) FL_MUST_USE;

/* The incident of that fingerprint, a confirmed one before others. FL_NOTFOUND, without a message:
 * there is none. */
enum fl_status fl_incidents_alike(struct fl_incidents *store, struct fl_str fingerprint,
                                  struct fl_arena *arena, struct fl_incident *incident_r,
                                  struct fl_err *err) FL_MUST_USE;

/* Did a person say that its cause is right, or bring it along? */
bool fl_incident_is_confirmed(const struct fl_incident *incident);

/* FL_NOTFOUND when there is none. */
enum fl_status fl_incidents_get(struct fl_incidents *store, struct fl_str id,
                                struct fl_arena *arena, struct fl_incident *incident_r,
                                struct fl_err *err) FL_MUST_USE;

/* Visits incidents, newest first: those of one cause (empty: all), at most limit (0: all). A
 * status other than FL_OK from visit ends the walk and is returned. */
typedef enum fl_status (*fl_incidents_visit)(void *ctx, const struct fl_incident *incident,
                                             struct fl_err *err);
enum fl_status fl_incidents_list(struct fl_incidents *store, struct fl_str cause, size_t limit,
                                 fl_incidents_visit visit, void *ctx,
                                 struct fl_err *err) FL_MUST_USE;

enum fl_status fl_incidents_count(struct fl_incidents *store, size_t *n_r,
                                  struct fl_err *err) FL_MUST_USE;

/* Deletes one for good, from the search tables and the file's free pages too. Only the id of a
 * shipped incident is kept, so that it does not come back. FL_NOTFOUND when there is none. */
enum fl_status fl_incidents_forget(struct fl_incidents *store, struct fl_str id,
                                   struct fl_err *err) FL_MUST_USE;

/* Takes in lines of JSON, one incident a line (blank lines are skipped), all or none. `name` is
 * what messages call the text; they give the line. An id that is there already is replaced; what
 * differs from a shipped incident counts as the user's from then on. *n_r: lines taken. */
enum fl_status fl_incidents_import(struct fl_incidents *store, struct fl_str text, const char *name,
                                   size_t *n_r, struct fl_err *err) FL_MUST_USE;

/* Writes all incidents to fd, oldest first, in the form that import takes. */
enum fl_status fl_incidents_export(struct fl_incidents *store, int fd, const char *name,
                                   struct fl_err *err) FL_MUST_USE;

/* One JSON object <-> one incident. Parsing checks keys, types and sizes; the parts point into
 * text's tree or the arena, so keep both. */
void fl_incident_write(struct fl_jw *w, const struct fl_incident *incident);
enum fl_status fl_incident_read(const fl_json *object, const char *name, struct fl_arena *arena,
                                struct fl_incident *incident_r, struct fl_err *err) FL_MUST_USE;
