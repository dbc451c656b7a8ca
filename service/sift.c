/* SPDX-License-Identifier: Apache-2.0 */
#include "service/sift.h"

#include "rules/filter.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/ingest/prefix.h"

#include <stdlib.h>
#include <unistd.h>

enum { OUT_BYTES = 256 * 1024, PIPE_BYTES = 64 * 1024 /* what a pipe gives at most */ };

/* Does a line that the pattern matches stay? Benign and routine roles do not protect. */
static bool guards(const struct fl_judge *j, uint32_t pattern)
{
    struct fl_pattern_owner owner = j->set->line_owner[pattern];
    const struct fl_rule *rule = owner.rule == UINT32_MAX ? NULL : &j->set->rules[owner.rule];
    return j->guards && rule && !rule->is_filter && !rule->broken && owner.kind == 0 &&
           (rule->role <= FL_ROLE_CONFIRMATION || rule->role == FL_ROLE_SUCCESS);
}

static void mute_others(struct fl_judge *j)
{
    for (uint32_t i = 0; i < j->set->line_patterns_n; i++) {
        if (!guards(j, i) && !j->set->line_owner[i].drops && i != j->set->attention) {
            fl_match_work_mute(j->work, i);
        }
    }
}

enum fl_status fl_judge_init(struct fl_judge *judge, const struct fl_ruleset *set, bool guards,
                             struct fl_err *err)
{
    *judge = (struct fl_judge){.set = set, .guards = guards};
    enum fl_status status = fl_match_work_new(set->lines, &judge->work, err);
    if (status == FL_OK) {
        mute_others(judge);
    }
    return status;
}

void fl_judge_fini(struct fl_judge *judge)
{
    fl_match_work_free(judge->work);
    free(judge->rule);
    *judge = (struct fl_judge){.set = NULL};
}

/* Does a diagnosis rule know the line? All are asked, also when the answer is plain: what was not
 * asked of one line must be asked of all lines like it. */
static bool is_known(struct fl_judge *j, struct fl_str raw, const struct fl_candidate *c, size_t n)
{
    struct fl_prefix prefix;
    struct fl_str message = {NULL, 0};
    bool known = false;
    for (size_t i = 0; i < n; i++) {
        if (!guards(j, c[i].pattern)) {
            continue;
        }
        if (!message.p) {
            message = fl_str_skip(raw, fl_prefix_peel(raw, &prefix));
        }
        known |= fl_matcher_try(j->work, c[i].pattern, message, NULL) != FL_MATCH_NO;
    }
    return known;
}

enum fl_status fl_judge_batch(void *judge, const struct fl_batch *batch, struct fl_err *err)
{
    struct fl_judge *j = judge;
    if (batch->n > j->size) {
        uint32_t *more = realloc(j->rule, batch->n * sizeof *more);
        if (!more) {
            return fl_fail(err, FL_NOMEM, "no memory for matching");
        }
        j->rule = more;
        j->size = batch->n;
    }
    enum fl_status status = fl_matcher_batch(j->work, batch->texts, batch->n);
    for (size_t i = 0; status == FL_OK && i < batch->n; i++) {
        struct fl_str raw = batch->texts[i];
        const struct fl_candidate *c = NULL;
        size_t n = 0;
        j->rule[i] = FL_KEEP;
        status = fl_matcher_line(j->work, i, &c, &n);
        if (status != FL_OK || n == 0 || batch->at[i].flags & (FL_LINE_CUT | FL_LINE_REST) ||
            (j->guards && is_known(j, raw, c, n)) ||
            !fl_filter_drops(j->set, j->work, raw, c, n, &j->rule[i])) {
            j->rule[i] = FL_KEEP;
        }
    }
    return status == FL_OK ? FL_OK : fl_fail(err, status, "no memory for matching");
}

enum fl_status fl_sift_init(struct fl_sift *sift, const struct fl_ruleset *set, size_t tail,
                            bool explains, struct fl_err *err)
{
    *sift = (struct fl_sift){.tail = tail, .explains = explains};
    fl_buf_init(&sift->out, OUT_BYTES + FL_LINES_BLOCK);
    return fl_sift_change(sift, set, err);
}

void fl_sift_fini(struct fl_sift *sift)
{
    free(sift->drops);
    fl_buf_free(&sift->out);
}

enum fl_status fl_sift_flush(struct fl_sift *f, struct fl_err *err)
{
    enum fl_status status =
        fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&f->out), err);
    fl_buf_clear(&f->out);
    return status;
}

enum fl_status fl_sift_say(struct fl_sift *f, struct fl_str bytes, struct fl_err *err)
{
    if (f->out.n + bytes.n > OUT_BYTES) {
        enum fl_status status = fl_sift_flush(f, err);
        if (status != FL_OK) {
            return status;
        }
    }
    if (fl_buf_add_str(&f->out, bytes) != FL_OK) {
        return fl_fail(err, f->out.failed, "no memory for output");
    }
    return FL_OK;
}

static void explain(const struct fl_sift *f, const struct fl_sifted *line)
{
    const struct fl_rule *rule = &f->set->rules[line->rule];
    size_t n = line->bytes.n > 200 ? 200 : line->bytes.n;
    fl_log(FL_LOG_INFO, "dropped by %s: %.*s", rule->id, (int)n, line->bytes.p);
}

static enum fl_status pass(struct fl_sift *f, const struct fl_sifted *line, struct fl_err *err)
{
    if (line->rule == FL_KEEP) {
        enum fl_status status = fl_sift_say(f, line->bytes, err);
        return status == FL_OK && line->ended ? fl_sift_say(f, FL_LIT("\n"), err) : status;
    }
    f->drops[line->rule]++;
    f->dropped++;
    if (f->explains) {
        explain(f, line);
    }
    return FL_OK;
}

static enum fl_status hold(struct fl_sift *f, const struct fl_sifted *line, struct fl_err *err)
{
    char *copy = malloc(line->bytes.n + 1);
    if (!copy) {
        return fl_fail(err, FL_NOMEM, "no memory for the last lines");
    }
    if (line->bytes.n) {
        memcpy(copy, line->bytes.p, line->bytes.n);
    }
    f->held[f->held_n] = *line;
    f->held[f->held_n++].bytes.p = copy;
    return FL_OK;
}

/* Passes the n oldest held lines; at the end of a stream they are kept whatever the rules said. */
static enum fl_status let_go(struct fl_sift *f, size_t n, bool keep, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (size_t i = 0; i < n; i++) {
        f->held[i].rule = keep ? FL_KEEP : f->held[i].rule;
        if (status == FL_OK) {
            status = pass(f, &f->held[i], err);
        }
        free((char *)(uintptr_t)f->held[i].bytes.p);
    }
    memmove(f->held, f->held + n, (f->held_n - n) * sizeof *f->held);
    f->held_n -= n;
    return status;
}

enum fl_status fl_sift_batch(void *sift, void *judge, const struct fl_batch *batch,
                             struct fl_err *err)
{
    struct fl_sift *f = sift;
    const struct fl_judge *j = judge;
    size_t tail = f->tail;
    size_t room = batch->n < tail ? tail - batch->n : 0;
    enum fl_status status = f->held_n > room ? let_go(f, f->held_n - room, false, err) : FL_OK;
    for (size_t i = 0; status == FL_OK && i < batch->n; i++) {
        unsigned flags = batch->at[i].flags;
        struct fl_sifted line = {batch->texts[i], !(flags & (FL_LINE_CUT | FL_LINE_OPEN)), j->rule[i]};
        f->lines += !(flags & FL_LINE_REST);
        status = i + tail < batch->n ? pass(f, &line, err) : hold(f, &line, err);
    }
    bool rests = batch->block.n <= PIPE_BYTES;
    return status == FL_OK && rests ? fl_sift_flush(f, err) : status;
}

enum fl_status fl_sift_end_stream(struct fl_sift *sift, struct fl_err *err)
{
    return let_go(sift, sift->held_n, true, err);
}

static void report_rules(const struct fl_sift *f)
{
    for (uint32_t i = 0; f->explains && f->set && i < f->set->rules_n; i++) {
        if (f->drops[i]) {
            fl_log(FL_LOG_INFO, "%8ld by %s", f->drops[i], f->set->rules[i].id);
        }
    }
}

enum fl_status fl_sift_change(struct fl_sift *f, const struct fl_ruleset *set, struct fl_err *err)
{
    long *drops = calloc(set->rules_n + 1U, sizeof *drops);
    if (!drops) {
        return fl_fail(err, FL_NOMEM, "no memory for counting");
    }
    report_rules(f);
    free(f->drops);
    f->drops = drops;
    f->set = set;
    return FL_OK;
}

void fl_sift_report(const struct fl_sift *f)
{
    fl_log(FL_LOG_INFO, "%ld lines, %ld kept, %ld dropped", f->lines, f->lines - f->dropped,
           f->dropped);
    report_rules(f);
}
