/* SPDX-License-Identifier: Apache-2.0 */
/* Where the bytes of a job's streams come from: files, folders, pipes, once or as they grow. */
#include "service/job.h"

#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/ingest/source.h"
#include "service/job_history.h"
#include "service/job_table.h"

#include <stdlib.h>

/* Control bytes weigh four times as much as bytes that are not UTF-8: logs in old encodings are
 * text, too. */
static bool looks_binary(struct fl_str head)
{
    size_t odd = 0;
    for (struct fl_str s = head; s.n;) {
        uint32_t point = 0;
        size_t n = fl_utf8_take(s, &point);
        odd += n == 0;
        odd += n == 1 && point < ' ' && !memchr("\t\n\r\x1b\b\f", (int)point, 6) ? 4 : 0;
        s = fl_str_skip(s, n ? n : 1);
    }
    return head.n >= 64 && odd > head.n / 2;
}

/* Moves bytes from the source to the lines. */
static enum fl_status pump(struct fl_feed *feed, struct fl_source *src, struct fl_err *err)
{
    bool first = true;
    for (;;) {
        size_t room = 0;
        size_t got = 0;
        char *p = fl_lines_room(fl_feed_lines(feed), &room);
        enum fl_status status = fl_source_read(src, p, room, &got, err);
        if (status != FL_OK || got == 0) {
            return status;
        }
        if (first && looks_binary((struct fl_str){p, got < 4096 ? got : 4096})) {
            return fl_fail(err, FL_SYNTAX, "%s: looks like a binary file, not a log",
                           fl_source_name(src));
        }
        first = false;
        status = fl_lines_filled(fl_feed_lines(feed), got, err);
        if (status != FL_OK) {
            return status;
        }
    }
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* named: bytes of a folder's path that stream names leave out. */
static const char *name_of(struct fl_job *job, const char *path, size_t named)
{
    const char *name = named ? path + named : base_name(path);
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(job), &n);
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(streams[i].name, name) == 0) {
            return path;
        }
    }
    return strcmp(path, "-") == 0 ? "stdin" : name;
}

static enum fl_status read_file(struct fl_job *job, const char *path, size_t named,
                                struct fl_err *err)
{
    struct fl_source *src = NULL;
    struct fl_feed *feed = NULL;
    struct fl_err fault = {0};
    enum fl_status status = fl_source_open(path, 0, &src, err);
    if (status == FL_OK) {
        status = fl_feed_open(job, name_of(job, path, named), path, &feed, err);
    }
    if (status == FL_OK) {
        enum fl_status pumped = pump(feed, src, &fault);
        status = fl_feed_close(feed, pumped == FL_OK ? NULL : fault.msg, err);
        if (status == FL_OK && pumped != FL_OK) {
            status = fl_fail(err, pumped, "%s", fault.msg);
        }
    }
    fl_source_close(src);
    return status;
}

enum fl_status fl_job_follow(struct fl_job *job, const char *const *paths, size_t n,
                             const struct fl_follow *follow, struct fl_err *err)
{
    struct fl_followed *files = calloc(n, sizeof *files);
    struct fl_feed **feeds = calloc(n, sizeof *feeds);
    enum fl_status status = files && feeds ? FL_OK : fl_fail(err, FL_NOMEM, "no memory to follow");
    for (size_t i = 0; status == FL_OK && i < n; i++) {
        status = fl_source_open(paths[i], FL_SOURCE_FOLLOW, &files[i].source, err);
        if (status == FL_OK) {
            status = fl_feed_open(job, name_of(job, paths[i], 0), paths[i], &feeds[i], err);
        }
        if (status == FL_OK) {
            files[i].lines = fl_feed_lines(feeds[i]);
        }
    }
    if (status == FL_OK) {
        status = fl_follow_files(files, n, follow, err);
    }
    for (size_t i = 0; files && feeds && i < n; i++) {
        const char *fault = files[i].fault.status == FL_OK ? NULL : files[i].fault.msg;
        enum fl_status closed =
            feeds[i] ? fl_feed_close(feeds[i], fault, status == FL_OK ? err : NULL) : FL_OK;
        status = status == FL_OK ? closed : status;
        if (fault) {
            fl_log(FL_LOG_WARN, "%s", fault);
        }
        fl_source_close(files[i].source);
    }
    free(files);
    free(feeds);
    return status;
}

struct folder_read {
    struct fl_job *job;
    size_t named;
    size_t *read_r;
};

bool fl_job_takes(const char *path)
{
    static const char *const endings[] = {".json", ".md",  ".py",   ".yaml", ".yml", ".toml",
                                          ".pt",   ".bin", ".ckpt", ".npy",  ".npz", ".png",
                                          ".jpg",  ".csv", ".tsv", ".sh",   ".cfg",  ".ini", ".html",
                                          ".safetensors", ".pdf", ".pkl"};
    struct fl_str name = fl_str_of(base_name(path));
    if (fl_str_eq(name, FL_LIT("error.json"))) {
        return true;
    }
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (fl_str_ends(name, fl_str_of(endings[i]))) {
            return false;
        }
    }
    return true;
}

/* *read_r: it was a log, or a table of metrics. */
static enum fl_status read_path(struct fl_job *job, const char *path, size_t named, bool *read_r,
                                struct fl_err *err)
{
    if (fl_job_history_name(path)) {
        return fl_job_history(job, name_of(job, path, named), path, read_r, err);
    }
    if (fl_job_table_name(path)) {
        return fl_job_table(job, name_of(job, path, named), path, read_r, err);
    }
    *read_r = true;
    return read_file(job, path, named, err);
}

static enum fl_status read_one_of_folder(void *ctx, const char *path, struct fl_err *err)
{
    struct folder_read *r = ctx;
    struct fl_err fault = {0};
    bool read = false;
    if (!fl_job_takes(path) && !fl_job_table_name(path) && !fl_job_history_name(path)) {
        return FL_OK;
    }
    enum fl_status status = read_path(r->job, path, r->named, &read, &fault);
    if (status == FL_NOMEM || status == FL_LIMIT) {
        return fl_fail(err, status, "%s", fault.msg);
    }
    *r->read_r += status == FL_OK && read;
    if (status != FL_OK) {
        fl_log(FL_LOG_WARN, "%s", fault.msg);
    }
    return FL_OK;
}

enum fl_status fl_job_read(struct fl_job *job, const char *path, size_t *read_r,
                           struct fl_err *err)
{
    if (!fl_fsio_is_dir(path)) {
        bool read = false;
        enum fl_status status = read_path(job, path, 0, &read, err);
        *read_r += status == FL_OK && read;
        if (status == FL_OK && !read) {
            status = fl_fail(err, FL_SYNTAX, fl_job_history_name(path)
                             ? "%s: there is no \"log_history\" with metrics in it"
                             : "%s: no table of metrics: its first line must name a step or epoch, and a"
                               " metric", path);
        }
        return status;
    }
    struct folder_read r = {job, strlen(path), read_r};
    size_t before = *read_r;
    while (r.named > 1 && path[r.named - 1] == '/') {
        r.named--;
    }
    r.named++;
    enum fl_status status = fl_fsio_walk(path, read_one_of_folder, &r, err);
    if (status == FL_OK && *read_r == before) {
        status = fl_fail(err, FL_NOTFOUND, "%s: no log files in this folder", path);
    }
    return status;
}
