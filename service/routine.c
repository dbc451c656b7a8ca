/* SPDX-License-Identifier: Apache-2.0 */
#include "service/routine.h"

#include "rules/template/template_rule.h"
#include "service/asking.h"
#include "service/base/clock.h"
#include "service/life.h"
#include "service/llm/sort.h"
#include "service/mine.h"

#include <stdio.h>

enum { OFTEN_HEALTHY = 2, OFTEN = 8, MOMENTS = 3, DEADLINE_S = 120 };

static void refuse(struct fl_routine_result *r, const struct fl_template *t, const char *why)
{
    size_t i = 0;
    while (i < r->refused_n && strncmp(r->refused[i].why, why, sizeof r->refused[i].why - 1) != 0) {
        i++;
    }
    if (i == FL_ROUTINE_REASONS) {
        i--; /* the last place counts all that found none */
        why = "other reasons";
    }
    r->refused_n += i == r->refused_n;
    snprintf(r->refused[i].why, sizeof r->refused[i].why, "%s", why);
    r->refused[i].n++;
    r->refused[i].lines += t->count[0];
}

/* Why the template has not been seen enough to be routine, or NULL. */
static const char *too_new(const struct fl_templates *all, const struct fl_template *t,
                           bool healthy)
{
    if (healthy) {
        return t->count[0] < OFTEN_HEALTHY ? "came once" : NULL;
    }
    if (t->count[0] - t->guarded < OFTEN) {
        return "came less than 8 times before the end";
    }
    if (t->moments < MOMENTS) {
        return "does not recur over time";
    }
    return t->ranks < 2 && fl_templates_ranks(all) > 1 ? "does not recur over ranks" : NULL;
}

/* What the model said of a template, with its weight; NULL where it was not asked. */
struct said {
    const struct fl_sort_kind *kind;
    unsigned votes; /* in all */
    struct fl_str model;
};

static bool all_agree(const struct said *said)
{
    return said->kind && said->kind->votes == said->votes;
}

static enum fl_status propose(const struct fl_template *t, struct fl_str pattern,
                              const struct said *said, const struct fl_routine_request *request,
                              struct fl_routine_result *r, struct fl_err *err)
{
    char id[64];
    char time[21];
    char job[400];
    struct fl_err fault = {0};
    fl_clock_format(fl_clock_wall_s(), time);
    snprintf(job, sizeof job, "%.200s (%llu of %llu lines, %u ranks or streams, %s)", request->job,
             (unsigned long long)t->count[0], (unsigned long long)r->lines, t->ranks,
             request->healthy ? "healthy" : "diagnosed");
    if (said->kind && said->kind->votes) {
        size_t n = strlen(job);
        snprintf(job + n, sizeof job - n, "; \"%s\", routine by %u of %u answers of %.*s",
                 said->kind->name, said->kind->votes, said->votes,
                 (int)(said->model.n < 60 ? said->model.n : 60), said->model.p);
    }
    struct fl_proposal p = {.is_filter = true, .pattern = pattern, .sample = t->first.text,
                            .protects = request->protects,
                            .guard = request->guard, .kind = "learned",
                            .job = fl_str_of(job), .time = time};
    enum fl_status status = fl_life_propose(request->config, request->set, &p, id, &fault);
    r->proposed += status == FL_OK;
    r->known += status == FL_CONFLICT;
    r->covered += status == FL_OK || status == FL_CONFLICT ? t->count[0] : 0;
    if (status == FL_DENIED || status == FL_SYNTAX || status == FL_LIMIT) {
        const char *why = strstr(fault.msg, "refused: ");
        refuse(r, t, why ? why + 9 : fault.msg);
    } else if (status != FL_OK && status != FL_CONFLICT) {
        return fl_fail(err, status, "%s", fault.msg);
    }
    return FL_OK;
}

/* One template, or one form of it; *why_r: why there is no proposal. */
static enum fl_status consider(struct fl_mine *mine, const struct fl_template *t,
                               const struct said *said, const struct fl_routine_request *request,
                               struct fl_routine_result *r, const char **why_r, struct fl_err *err)
{
    struct fl_templates *all = fl_mine_templates(mine);
    struct fl_buf pattern;
    const char *why = t->form.n == 0     ? "is empty"
                      : all_agree(said)  ? too_new(all, t, true)
                                         : too_new(all, t, request->healthy);
    if (said->kind && said->kind->votes == 0) {
        why = "no answer of the model calls it routine";
    }
    fl_buf_init(&pattern, 2 * FL_TEMPLATE_RULE_BYTES);
    enum fl_status status = FL_OK;
    if (!why && t->first.cut) {
        why = "has lines that are too long";
    }
    if (!why) {
        status = fl_template_rule(all, t, &pattern, &why);
    }
    if (!why && r->proposed + r->known >= FL_ROUTINE_MAX) {
        why = "there are more frequent ones";
    }
    *why_r = why;
    if (why) {
        status = FL_OK;
    } else if (status == FL_OK) {
        status = propose(t, fl_buf_str(&pattern), said, request, r, err);
    } else {
        status = fl_fail(err, status, "no memory for a pattern");
    }
    fl_buf_free(&pattern);
    return status;
}

static enum fl_status consider_all(struct fl_mine *mine, const struct fl_template *t,
                                   const struct said *said,
                                   const struct fl_routine_request *request,
                                   struct fl_routine_result *r, struct fl_err *err)
{
    const char *why = NULL;
    enum fl_status status = consider(mine, t, said, request, r, &why, err);
    if (why != fl_template_rule_too_little || t->forms == 1) {
        if (why) {
            refuse(r, t, why);
        }
        return status;
    }
    for (uint32_t i = 0; status == FL_OK && i < t->forms; i++) {
        struct fl_template one;
        fl_templates_member(fl_mine_templates(mine), &t->members[i], &one);
        status = consider(mine, &one, said, request, r, &why, err);
        if (why) {
            refuse(r, &one, why);
        }
    }
    return status;
}

/* As any question to a model: within the day's budget, and with what it cost on record. */
static enum fl_status sort_kinds(const struct fl_routine_request *request,
                                 struct fl_sort_kind *kinds, size_t n, struct fl_arena *arena,
                                 struct fl_sort_report *report, struct fl_err *err)
{
    struct fl_asking asking;
    struct fl_incidents *store = NULL;
    const struct fl_config *config = request->config;
    enum fl_status status = fl_incidents_open(config->value[FL_SET_STATE], NULL, false, &store, err);
    if (status != FL_OK) {
        return status;
    }
    fl_asking_begin(&asking, config, DEADLINE_S, store, "", arena);
    status = fl_asking_allowed(&asking, config, err);
    if (status == FL_OK) {
        status = fl_sort(&asking.how, kinds, n, request->votes, arena, report, err);
        fl_asking_note(&asking, status, err,
                       (struct fl_spending){.model = report->model, .calls = report->calls,
                                            .asked = report->sent, .answered = report->received});
    }
    fl_asking_end(&asking);
    fl_incidents_close(store);
    return status;
}

/* The most frequent kinds that nothing speaks against; whatever goes wrong, learning goes on without
 * the model. of[i]: the kind that template i is, or -1. */
static struct fl_sort_kind *ask_model(const struct fl_template *list, size_t n,
                                      const struct fl_routine_request *request,
                                      struct fl_arena *arena, int *of, struct fl_str *model_r,
                                      struct fl_routine_result *r)
{
    struct fl_sort_kind *kinds = fl_arena_alloc(arena, FL_ROUTINE_ASKED * sizeof *kinds);
    struct fl_err err = {0};
    struct fl_sort_report report = {.calls = 0};
    size_t asked = 0;
    for (size_t i = 0; kinds && i < n; i++) {
        bool asks = asked < FL_ROUTINE_ASKED && list[i].form.n && !list[i].first.cut &&
                    !list[i].alarming && list[i].count[0] >= OFTEN_HEALTHY;
        of[i] = asks ? (int)asked : -1;
        if (asks) {
            kinds[asked++] = (struct fl_sort_kind){.sample = list[i].first.text,
                                                   .count = list[i].count[0]};
        }
    }
    enum fl_status status = kinds ? sort_kinds(request, kinds, asked, arena, &report, &err)
                                  : fl_fail(&err, FL_NOMEM, "no memory to ask the model");
    r->calls = report.calls;
    r->tokens = report.sent + report.received;
    *model_r = report.model;
    if (status != FL_OK) {
        snprintf(r->model_note, sizeof r->model_note, "%.190s", err.msg);
        return NULL;
    }
    r->asked = asked;
    for (size_t i = 0; i < asked; i++) {
        r->agreed += kinds[i].votes == request->votes;
    }
    return kinds;
}

static enum fl_status propose_all(struct fl_mine *mine, const struct fl_routine_request *request,
                                  struct fl_routine_result *out, struct fl_err *err)
{
    const struct fl_template *list = NULL;
    enum fl_status status =
        fl_templates_settle(fl_mine_templates(mine), &list, &out->templates, err);
    *out = (struct fl_routine_result){.templates = out->templates,
                                      .lines = fl_templates_lines(fl_mine_templates(mine))};
    struct fl_arena arena;
    fl_arena_init(&arena, 16 << 20);
    struct said said = {.votes = request->votes};
    int *of = fl_arena_alloc(&arena, (out->templates + 1) * sizeof *of);
    const struct fl_sort_kind *kinds = NULL;
    if (status == FL_OK && request->votes && of) {
        kinds = ask_model(list, out->templates, request, &arena, of, &said.model, out);
    }
    for (size_t i = 0; status == FL_OK && i < out->templates; i++) {
        said.kind = kinds && of[i] >= 0 ? &kinds[of[i]] : NULL;
        status = consider_all(mine, &list[i], &said, request, out, err);
    }
    fl_arena_free(&arena);
    return status;
}

enum fl_status fl_routine_learn(const struct fl_routine_request *request, const char *const *paths,
                                size_t n, struct fl_routine_result *out, struct fl_err *err)
{
    struct fl_mine *mine = NULL;
    struct fl_guard guard;
    struct fl_routine_request guarded = *request;
    fl_guard_init(&guard);
    guarded.guard = &guard;
    enum fl_status status = fl_mine_new(request->set, true, &mine, err);
    if (status == FL_OK) {
        status = fl_life_guard(request->config, &guard, err);
    }
    for (size_t i = 0; status == FL_OK && i < n; i++) {
        status = fl_mine_read(mine, paths[i], 0, err);
    }
    if (status == FL_OK) {
        status = propose_all(mine, &guarded, out, err);
    }
    fl_guard_free(&guard);
    fl_mine_free(mine);
    return status;
}

static double share(uint64_t part, uint64_t of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

void fl_routine_report(const struct fl_routine_result *r, struct fl_buf *out)
{
    fl_buf_addf(out, "%llu lines, %zu templates: %zu filter rules proposed, %zu known already; they "
                "cover %.1f %% of the lines\n", (unsigned long long)r->lines, r->templates,
                r->proposed, r->known, share(r->covered, r->lines));
    if (r->model_note[0]) {
        fl_buf_add_text(out, "  the model was not asked: ");
        fl_buf_add_safe(out, fl_str_of(r->model_note));
        fl_buf_add_text(out, "\n");
    } else if (r->asked) {
        fl_buf_addf(out, "  model: %zu kinds asked about, all answers call %zu routine (%ld calls, "
                    "%ld tokens)\n", r->asked, r->agreed, r->calls, r->tokens);
    }
    for (size_t i = 0; i < r->refused_n; i++) {
        fl_buf_addf(out, "  refused %4zu (%4.1f %% of the lines): ", r->refused[i].n,
                    share(r->refused[i].lines, r->lines));
        fl_buf_add_safe(out, fl_str_of(r->refused[i].why));
        fl_buf_add_text(out, "\n");
    }
}
