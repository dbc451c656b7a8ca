/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/attribute/runs.h"

#include <stdlib.h>

static struct fl_run *add_run(struct fl_stream *s, struct fl_arena *arena, uint64_t order)
{
    if (!s->runs) {
        s->runs = fl_arena_alloc(arena, FL_RUNS_MAX * sizeof *s->runs);
    }
    if (!s->runs || s->runs_n == FL_RUNS_MAX) {
        return NULL;
    }
    struct fl_run *run = &s->runs[s->runs_n++];
    *run = (struct fl_run){.first_step = -1, .last_step = -1, .checkpoint = -1,
                           .begin_order = order};
    return run;
}

enum fl_status fl_streams_add(struct fl_streams *streams, const char *name, const char *path,
                              uint32_t *stream_r, struct fl_err *err)
{
    if (streams->n == FL_STREAMS_MAX) {
        return fl_fail(err, FL_LIMIT, "more than %d streams in one job", FL_STREAMS_MAX);
    }
    if (streams->n == streams->size) {
        uint32_t size = streams->size ? streams->size * 2 : 16;
        struct fl_stream *more = realloc(streams->list, size * sizeof *more);
        if (!more) {
            return fl_fail(err, FL_NOMEM, "no memory for a stream");
        }
        streams->list = more;
        streams->size = size;
    }
    struct fl_stream *s = &streams->list[streams->n];
    *s = (struct fl_stream){.name = fl_arena_text(streams->arena, fl_str_of(name)),
                            .path = fl_arena_text(streams->arena, fl_str_of(path)),
                            .origin = {.rank = -1, .local_rank = -1, .gpu = -1}};
    if (!s->name || !s->path || !add_run(s, streams->arena, 0)) {
        return fl_fail(err, FL_NOMEM, "no memory for a stream");
    }
    *stream_r = streams->n++;
    return FL_OK;
}

void fl_streams_fini(struct fl_streams *streams)
{
    free(streams->list);
}

struct fl_run *fl_stream_run(const struct fl_stream *stream)
{
    return &stream->runs[stream->runs_n - 1];
}

/* Something that was done, or went wrong, in it. */
static bool shows_work(const struct fl_run *run)
{
    return run->steps > 0 || run->failures > 0 || run->success;
}

void fl_stream_started(struct fl_stream *stream, struct fl_arena *arena, uint64_t order)
{
    if (shows_work(fl_stream_run(stream))) {
        add_run(stream, arena, order);
    }
}

void fl_run_stepped(struct fl_run *run, long step)
{
    run->steps++;
    run->trouble = 0;
    if (step >= 0) {
        run->first_step = run->first_step < 0 ? step : run->first_step;
        run->last_step = step;
    }
}

void fl_run_saved(struct fl_run *run, long step)
{
    long saved = step >= 0 ? step : run->last_step;
    run->checkpoint = saved > run->checkpoint ? saved : run->checkpoint;
}

void fl_run_succeeded(struct fl_run *run, uint64_t order)
{
    if (!run->success) {
        run->success = true;
        run->success_order = order;
    }
}

uint32_t fl_stream_last_run(const struct fl_stream *s)
{
    uint32_t run = s->runs_n - 1;
    while (run > 0 && !shows_work(&s->runs[run]) && !s->runs[run].milestone) {
        run--;
    }
    return run;
}
