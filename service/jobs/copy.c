/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/copy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct fl_copier {
    struct fl_jobs *jobs;
    struct fl_writer *writer;
    struct fl_triage *triage;
    struct fl_write write;
    struct fl_copy *copies[FL_COPY_PARTS];
    struct fl_jobs_part parts[FL_COPY_PARTS];
    char names[FL_COPY_PARTS][FL_COPY_STREAM + 16];
    size_t n;
    size_t used;
    int64_t bytes;
    char room[FL_COPY_BATCH];
};

enum fl_status fl_copier_new(struct fl_jobs *jobs, struct fl_writer *writer, struct fl_triage *triage,
                             struct fl_copier **out, struct fl_err *err)
{
    struct fl_copier *c = calloc(1, sizeof *c);
    *out = c;
    if (!c) {
        return fl_fail(err, FL_NOMEM, "no memory for copying files");
    }
    c->jobs = jobs;
    c->writer = writer;
    c->triage = triage;
    return FL_OK;
}

void fl_copier_free(struct fl_copier *c)
{
    free(c);
}

static struct fl_str stream_name(const struct fl_copy *copy, int generation, char out[static FL_COPY_STREAM + 16])
{
    int n = generation < 2 ? snprintf(out, FL_COPY_STREAM + 16, "%s", copy->stream)
                           : snprintf(out, FL_COPY_STREAM + 16, "%s (%d)", copy->stream, generation);
    return (struct fl_str){out, (size_t)n};
}

/* ---- how far it is ---- */

static enum fl_status add_mark(void *ctx, struct fl_str bytes, struct fl_err *err)
{
    struct fl_copy *copy = ctx;
    (void)err;
    bytes = fl_str_head(bytes, FL_COPY_MARK - copy->mark_n);
    memcpy(copy->mark + copy->mark_n, bytes.p, bytes.n);
    copy->mark_n += bytes.n;
    return FL_OK;
}

enum fl_status fl_copy_resume(struct fl_copier *c, struct fl_copy *copy, struct fl_err *err)
{
    char name[FL_COPY_STREAM + 16];
    int64_t row = 0;
    enum fl_status status = FL_OK;
    int found = 0;
    if (copy->generation) {
        return FL_OK;
    }
    copy->offset = 0;
    copy->mark_n = 0;
    while (status == FL_OK) {
        struct fl_str stream = stream_name(copy, found + 1, name);
        status = fl_jobs_stream(c->jobs, fl_str_of(copy->job), stream, &row, &copy->offset, err);
        found += status == FL_OK;
    }
    if (status != FL_NOTFOUND) {
        return status;
    }
    copy->generation = found ? found : 1;
    int64_t from = copy->offset > FL_COPY_MARK ? copy->offset - FL_COPY_MARK : 0;
    return found ? fl_jobs_text(c->jobs, row, from, copy->offset, add_mark, copy, err) : FL_OK;
}

void fl_copy_anew(struct fl_copy *copy)
{
    copy->generation++;
    copy->offset = 0;
    copy->mark_n = 0;
}

/* ---- bytes ---- */

static void move_mark(struct fl_copy *copy, struct fl_str text)
{
    size_t keep = text.n < FL_COPY_MARK ? FL_COPY_MARK - text.n : 0;
    keep = keep < copy->mark_n ? keep : copy->mark_n;
    memmove(copy->mark, copy->mark + copy->mark_n - keep, keep);
    struct fl_str tail = text.n > FL_COPY_MARK - keep ? fl_str_skip(text, text.n - (FL_COPY_MARK - keep)) : text;
    memcpy(copy->mark + keep, tail.p, tail.n);
    copy->mark_n = keep + tail.n;
}

static long count_lines(struct fl_str text)
{
    long n = 0;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == '\n';
    }
    return n;
}

enum fl_status fl_copy_turn(struct fl_copier *c, struct fl_copy *copy, int fd, enum fl_copy_step *step_r,
                            struct fl_err *err)
{
    struct stat st;
    char *p = c->room + c->used;
    enum fl_status status = fl_copy_resume(c, copy, err);
    *step_r = FL_COPY_NOTHING;
    if (status != FL_OK) {
        return status;
    }
    ssize_t got = pread(fd, p, copy->mark_n + FL_COPY_TURN, (off_t)copy->offset - (off_t)copy->mark_n);
    if (got < 0 || fstat(fd, &st) != 0) {
        return errno == EINTR ? FL_OK : fl_fail_errno(err, "it cannot be read");
    }
    if ((size_t)got < copy->mark_n || st.st_size < copy->offset || memcmp(p, copy->mark, copy->mark_n) != 0) {
        *step_r = FL_COPY_OTHER;
        return FL_OK;
    }
    struct fl_str text = {p + copy->mark_n, (size_t)got - copy->mark_n};
    if (text.n == 0) {
        return FL_OK;
    }
    c->parts[c->n] = (struct fl_jobs_part){.job = fl_str_of(copy->job),
                                           .stream = stream_name(copy, copy->generation, c->names[c->n]),
                                           .node = fl_str_of(copy->node),
                                           .rank = -1,
                                           .text = text,
                                           .lines = count_lines(text),
                                           .offset = copy->offset};
    c->copies[c->n++] = copy;
    c->used += (size_t)got;
    *step_r = text.n == FL_COPY_TURN ? FL_COPY_MORE : FL_COPY_END;
    return FL_OK;
}

bool fl_copier_full(const struct fl_copier *c)
{
    return c->n == FL_COPY_PARTS || c->used + FL_COPY_TURN + FL_COPY_MARK > sizeof c->room;
}

static enum fl_status write_parts(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct fl_copier *c = FL_WRITE_OF(write, struct fl_copier, write);
    return fl_jobs_add(jobs, c->parts, c->n, (struct fl_str){"", 0}, err);
}

enum fl_status fl_copier_flush(struct fl_copier *c, struct fl_err *err)
{
    if (c->n == 0) {
        return FL_OK;
    }
    c->write = (struct fl_write){.run = write_parts, .bytes = c->used, .yields = true};
    enum fl_status status = fl_writer_do(c->writer, &c->write, err);
    for (size_t i = 0; i < c->n; i++) {
        const struct fl_jobs_part *part = &c->parts[i];
        if (status == FL_OK) {
            move_mark(c->copies[i], part->text);
            c->copies[i]->offset += (int64_t)part->text.n;
            c->bytes += (int64_t)part->text.n;
            fl_triage_grown(c->triage, part->row);
        } else {
            c->copies[i]->generation = 0;
        }
    }
    c->n = 0;
    c->used = 0;
    return status;
}

int64_t fl_copier_bytes(const struct fl_copier *c)
{
    return c->bytes;
}
