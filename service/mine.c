/* SPDX-License-Identifier: Apache-2.0 */
#include "service/mine.h"

#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/ingest/lines.h"
#include "service/ingest/prefix.h"
#include "service/ingest/source.h"
#include "service/job.h"

#include <stdlib.h>

struct fl_mine {
    const struct fl_ruleset *set;
    struct fl_match_work *work;
    struct fl_templates *templates;
    bool raw;
    char **names;
    uint32_t streams;
    int group;
    size_t read;
};

static size_t peel(struct fl_str line, long *rank_r, struct fl_str *node_r)
{
    struct fl_prefix prefix;
    size_t n = fl_prefix_peel(line, &prefix);
    *rank_r = prefix.rank >= 0 ? prefix.rank : prefix.local_rank;
    *node_r = prefix.node;
    return n;
}

static size_t host(struct fl_str message)
{
    struct fl_prefix said;
    bool first = fl_prefix_from_message(message, &said, NULL) && said.node.p == message.p;
    return first ? said.node.n : 0;
}

const struct fl_form_peel fl_mine_prefixes = {peel, host};

/* Roles whose lines are routine: the diagnosis reads them whether they are filtered or not, and
 * nobody looks for them in what is left. */
static bool is_routine(const struct fl_rule *rule)
{
    return rule->role == FL_ROLE_PROGRESS || rule->role == FL_ROLE_METRIC ||
           rule->role == FL_ROLE_ROLL || rule->role == FL_ROLE_BENIGN;
}

static enum fl_line_kind judge(struct fl_mine *m, struct fl_str line, const struct fl_candidate *c,
                               size_t n)
{
    struct fl_prefix prefix;
    struct fl_str message = fl_str_skip(line, fl_prefix_peel(line, &prefix));
    enum fl_line_kind kind = FL_LINE_PLAIN;
    for (size_t i = 0; i < n; i++) {
        struct fl_pattern_owner owner = m->set->line_owner[c[i].pattern];
        const struct fl_rule *rule = owner.rule == UINT32_MAX ? NULL : &m->set->rules[owner.rule];
        bool counts = rule ? !rule->is_filter && !rule->broken && owner.kind == 0
                           : c[i].pattern == m->set->attention;
        if (!counts || (kind == FL_LINE_PROGRESS && rule && is_routine(rule)) ||
            fl_matcher_try(m->work, c[i].pattern, rule ? message : line, NULL) ==
                FL_MATCH_NO) {
            continue;
        }
        if (!rule || !is_routine(rule)) {
            return FL_LINE_ALARMING;
        }
        kind = rule->role == FL_ROLE_PROGRESS ? FL_LINE_PROGRESS : kind;
    }
    return kind;
}

static enum fl_line_kind kind_of(void *ctx, struct fl_str line)
{
    struct fl_mine *m = ctx;
    const struct fl_candidate *c = NULL;
    size_t n = 0;
    if (fl_matcher_propose(m->work, line, &c, &n) != FL_OK) {
        return FL_LINE_ALARMING; /* it cannot be told */
    }
    return judge(m, line, c, n);
}

enum fl_status fl_mine_new(const struct fl_ruleset *set, bool raw, struct fl_mine **out,
                           struct fl_err *err)
{
    struct fl_mine *m = calloc(1, sizeof *m);
    *out = m;
    if (!m) {
        return fl_fail(err, FL_NOMEM, "no memory for templates");
    }
    struct fl_template_ask ask = {.prefixes = fl_mine_prefixes, .kind = set ? kind_of : NULL, .ctx = m};
    m->set = set;
    m->raw = raw;
    enum fl_status status = fl_templates_new(&ask, &m->templates, err);
    if (status == FL_OK && set) {
        status = fl_match_work_new(set->lines, &m->work, err);
    }
    if (status != FL_OK) {
        fl_mine_free(m);
        *out = NULL;
    }
    return status;
}

void fl_mine_free(struct fl_mine *mine)
{
    if (mine) {
        for (uint32_t i = 0; i < mine->streams; i++) {
            free(mine->names[i]);
        }
        free(mine->names);
        fl_templates_free(mine->templates);
        fl_match_work_free(mine->work);
        free(mine);
    }
}

static void place(const void *batch, size_t i, long *number_r, uint64_t *offset_r)
{
    const struct fl_batch *b = batch;
    *number_r = b->at[i].number;
    *offset_r = b->at[i].offset;
}

static enum fl_status on_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct fl_mine *m = ctx;
    struct fl_template_lines lines = {batch->texts, batch->n, place, batch};
    return fl_templates_feed(m->templates, &lines, err);
}

static enum fl_status begin_stream(struct fl_mine *m, const char *path, struct fl_err *err)
{
    struct fl_prefix origin;
    char **more = realloc(m->names, (m->streams + 1U) * sizeof *more);
    char *name = strdup(strcmp(path, "-") == 0 ? "stdin" : path);
    m->names = more ? more : m->names;
    if (!more || !name) {
        free(name);
        return fl_fail(err, FL_NOMEM, "no memory for the streams");
    }
    m->names[m->streams] = name;
    bool known = fl_prefix_from_path(fl_str_of(path), &origin);
    fl_templates_stream(m->templates, m->streams++, m->group, known ? origin.rank : -1);
    return FL_OK;
}

static enum fl_status read_file(struct fl_mine *m, const char *path, struct fl_err *err)
{
    struct fl_source *src = NULL;
    struct fl_lines *lines = NULL;
    struct fl_err fault = {0};
    enum fl_status status = fl_source_open(path, 0, &src, &fault);
    if (status != FL_OK) {
        fl_log(FL_LOG_WARN, "%s", fault.msg);
        return FL_OK;
    }
    status = begin_stream(m, path, err);
    if (status == FL_OK) {
        status = fl_lines_new(m->raw ? 0 : FL_LINES_BARS, on_batch, m, &lines, err);
    }
    enum fl_status read = FL_OK;
    if (status == FL_OK) {
        status = fl_source_pour(src, lines, &read, &fault, err);
    }
    if (read != FL_OK) {
        fl_log(FL_LOG_WARN, "%s", fault.msg);
    }
    m->read += read == FL_OK;
    fl_lines_free(lines);
    fl_source_close(src);
    return status;
}

static enum fl_status read_one_of_folder(void *ctx, const char *path, struct fl_err *err)
{
    return fl_job_takes(path) ? read_file(ctx, path, err) : FL_OK;
}

enum fl_status fl_mine_read(struct fl_mine *mine, const char *path, int group, struct fl_err *err)
{
    size_t before = mine->read;
    mine->group = group;
    enum fl_status status = fl_fsio_is_dir(path)
                                ? fl_fsio_walk(path, read_one_of_folder, mine, err)
                                : read_file(mine, path, err);
    return status == FL_OK && mine->read == before
               ? fl_fail(err, FL_NOTFOUND, "%s: no log could be read", path)
               : status;
}

struct fl_templates *fl_mine_templates(struct fl_mine *mine)
{
    return mine->templates;
}

const char *fl_mine_stream_name(const struct fl_mine *mine, uint32_t stream)
{
    return mine->names[stream];
}
