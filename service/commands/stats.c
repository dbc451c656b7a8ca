/* SPDX-License-Identifier: Apache-2.0 */
/* faultline stats: what was said of how many jobs, how much of it was right, and what it cost. */
#include "service/commands/commands.h"

#include "rag/verdicts.h"
#include "service/asking.h"
#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"

#include <stdlib.h>
#include <unistd.h>

struct stats {
    struct fl_buf *out;
    struct fl_jw w;
    bool json;
    const struct fl_config *config;
    struct fl_verdict_count all;
    long days;
};

static void add_share(struct fl_buf *out, const struct fl_verdict_count *c)
{
    long judged = c->right + c->wrong;
    if (judged) {
        fl_buf_addf(out, "%6.0f %% of %ld", 100.0 * (double)c->right / (double)judged, judged);
    }
}

static enum fl_status add_count(void *ctx, const struct fl_verdict_count *c, struct fl_err *err)
{
    struct stats *s = ctx;
    (void)err;
    if (s->json) {
        fl_jw_begin(&s->w, '{');
        fl_jw_key_str(&s->w, "cause", c->cause);
        fl_jw_key_str(&s->w, "method", c->cause.n ? c->method : FL_LIT(""));
        fl_jw_key_int(&s->w, "jobs", c->n);
        fl_jw_key_int(&s->w, "right", c->right);
        fl_jw_key_int(&s->w, "wrong", c->wrong);
        fl_jw_key_int(&s->w, "retracted", c->retracted);
        fl_jw_end(&s->w, '}');
    } else {
        if (s->all.n == 0) {
            fl_buf_add_text(s->out, "cause                     method      jobs  right\n");
        }
        fl_buf_addf(s->out, "%-25.*s %-9.*s %6ld ", c->cause.n ? (int)c->cause.n : 9,
                    c->cause.n ? c->cause.p : "(unknown)", c->cause.n ? (int)c->method.n : 1,
                    c->cause.n ? c->method.p : "-", c->n);
        add_share(s->out, c);
        if (c->retracted) {
            fl_buf_addf(s->out, ", %ld retracted", c->retracted);
        }
        fl_buf_add_text(s->out, "\n");
    }
    s->all.n += c->n;
    s->all.right += c->right;
    s->all.wrong += c->wrong;
    s->all.retracted += c->retracted;
    return FL_OK;
}

static enum fl_status add_day(void *ctx, const struct fl_spending *x, struct fl_err *err)
{
    struct stats *s = ctx;
    (void)err;
    double money = fl_asking_money(s->config, x->asked, x->answered);
    bool priced = money >= 0;
    if (s->json) {
        fl_jw_begin(&s->w, '{');
        fl_jw_key_str(&s->w, "day", x->day);
        fl_jw_key_str(&s->w, "model", x->model);
        fl_jw_key_int(&s->w, "calls", x->calls);
        fl_jw_key_int(&s->w, "tokens_sent", x->asked);
        fl_jw_key_int(&s->w, "tokens_received", x->answered);
        fl_jw_key(&s->w, "seconds");
        fl_jw_num(&s->w, x->seconds);
        if (priced) {
            fl_jw_key(&s->w, "money");
            fl_jw_num(&s->w, money);
        }
        fl_jw_end(&s->w, '}');
    } else {
        if (s->days++ == 0) {
            fl_buf_add_text(s->out, "\nday         model                     calls      sent  received  seconds");
            fl_buf_add_text(s->out, priced ? "  money\n" : "\n");
        }
        fl_buf_addf(s->out, "%-11.*s ", (int)x->day.n, x->day.p);
        fl_buf_addf(s->out, "%-24.*s %6ld %9ld %9ld %8.1f", (int)(x->model.n < 24 ? x->model.n : 24),
                    x->model.p, x->calls, x->asked, x->answered, x->seconds);
        if (priced) {
            fl_buf_addf(s->out, "  %.4f", money);
        }
        fl_buf_add_text(s->out, "\n");
    }
    return FL_OK;
}

static enum fl_status gather(struct stats *s, struct fl_incidents *store, int days,
                             struct fl_err *err)
{
    if (s->json) {
        fl_jw_begin(&s->w, '{');
        fl_jw_key_str(&s->w, "schema", FL_LIT("faultline.stats/1"));
        fl_jw_key(&s->w, "verdicts");
        fl_jw_begin(&s->w, '[');
    }
    enum fl_status status = fl_verdicts_count(store, add_count, s, err);
    if (s->json) {
        fl_jw_end(&s->w, ']');
        fl_jw_key(&s->w, "spending");
        fl_jw_begin(&s->w, '[');
    } else if (s->all.n) {
        fl_buf_addf(s->out, "%-25s %-9s %6ld ", "all", "", s->all.n);
        add_share(s->out, &s->all);
        fl_buf_add_text(s->out, "\n");
    } else {
        fl_buf_add_text(s->out, "no failure has been diagnosed with this state folder yet\n");
    }
    if (status == FL_OK) {
        status = fl_asked_days(store, (size_t)days, add_day, s, err);
    }
    if (s->json) {
        fl_jw_end(&s->w, ']');
        fl_jw_end(&s->w, '}');
        fl_buf_add_text(s->out, "\n");
    }
    return status == FL_OK ? s->out->failed : status;
}

static int run(const struct fl_config *config, bool json, int days)
{
    struct fl_err err = {0};
    struct fl_buf text;
    struct fl_incidents *store = NULL;
    struct stats s = {.out = &text, .json = json, .config = config};
    const char *state = config->value[FL_SET_STATE];
    fl_buf_init(&text, 4 << 20);
    fl_jw_init(&s.w, &text, true);
    enum fl_status status = state ? fl_incidents_open(state, NULL, false, &store, &err)
                                  : fl_fail(&err, FL_USAGE, "no state folder: give --state DIR");
    if (status == FL_OK) {
        status = gather(&s, store, days, &err);
    }
    if (status == FL_OK) {
        status = fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&text), &err);
    }
    fl_incidents_close(store);
    fl_buf_free(&text);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}

int fl_cmd_stats(int argc, char **argv)
{
    const char *state = NULL;
    int format = 0;
    int days = 30;
    const struct fl_opt options[] = {
        {"format", 'f', FL_OPT_CHOICE, "text|json", "form of the answer", &format},
        {"limit", 'n', FL_OPT_INT, "N", "at most N rows of spending (0: all; 30)", &days},
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder", &state},
    };
    const struct fl_cli cli = {
        "stats [OPTION ...]",
        "What was said of how many failed jobs, by cause and method; how much of it people called\n"
        "right (faultline feedback); and what asking models cost, by day.",
        "With the settings price_in and price_out (of a million tokens) costs are given in money,\n"
        "too. Exit status: 0 done, 2 usage, 3 no state folder.",
        options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (argc != 1) {
        fl_log(FL_LOG_ERROR, "stats takes no operands");
        return FL_EXIT_USAGE;
    }
    code = FL_EXIT_USAGE;
    if (fl_config_load(&config, &err) == FL_OK) {
        fl_config_flag(&config, FL_SET_STATE, state);
        code = run(&config, format == 1, days);
    } else {
        code = fl_cmd_fail(&err);
    }
    fl_config_free(&config);
    return code;
}
