/* SPDX-License-Identifier: Apache-2.0 */
#include "service/ingest/follow.h"

#include <stdlib.h>

/* The bytes in the room are the first of a file that began anew. */
static enum fl_status begin_anew(struct fl_lines *lines, const char *bytes, size_t n,
                                 struct fl_err *err)
{
    char *kept = malloc(n);
    if (!kept) {
        return fl_fail(err, FL_NOMEM, "no memory for following");
    }
    memcpy(kept, bytes, n);
    enum fl_status status = fl_lines_end(lines, err);
    fl_lines_restart(lines);
    if (status == FL_OK) {
        status = fl_lines_push(lines, (struct fl_str){kept, n}, err);
    }
    free(kept);
    return status;
}

/* At most one block of the file; *got_r: there was something. */
static enum fl_status take_turn(struct fl_followed *file, bool *got_r, struct fl_err *err)
{
    size_t room = 0;
    size_t n = 0;
    char *p = fl_lines_room(file->lines, &room);
    bool over = false;
    enum fl_status read = fl_source_poll(file->source, p, room, &n, &over, &file->fault);
    file->over = over || read != FL_OK;
    if (n == 0) {
        return FL_OK;
    }
    *got_r = true;
    enum fl_status status = fl_source_restarted(file->source)
                                ? begin_anew(file->lines, p, n, err)
                                : fl_lines_filled(file->lines, n, err);
    return status == FL_OK && n < room ? fl_lines_flush(file->lines, err) : status;
}

static void wait_for_more(const struct fl_followed *files, size_t n)
{
    struct fl_source *open[FL_FOLLOWED_MAX];
    size_t open_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!files[i].over) {
            open[open_n++] = files[i].source;
        }
    }
    fl_sources_wait(open, open_n);
}

enum fl_status fl_follow_files(struct fl_followed *files, size_t n, const struct fl_follow *follow,
                               struct fl_err *err)
{
    enum fl_status status = FL_OK;
    bool ending = false;
    for (bool got = true; status == FL_OK && (got || !ending);) {
        size_t open = 0;
        got = false;
        ending = follow->stop(follow->ctx);
        for (size_t i = 0; status == FL_OK && i < n; i++) {
            if (!files[i].over) {
                status = take_turn(&files[i], &got, err);
                open += !files[i].over;
            }
        }
        ending |= open == 0;
        if (follow->turn && !ending && status == FL_OK) {
            follow->turn(follow->ctx, !got);
        }
        if (!got && !ending && status == FL_OK) {
            wait_for_more(files, n);
        }
    }
    for (size_t i = 0; i < n; i++) {
        enum fl_status last = fl_lines_end(files[i].lines, status == FL_OK ? err : NULL);
        status = status == FL_OK ? last : status;
    }
    return status;
}
