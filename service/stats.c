/* SPDX-License-Identifier: Apache-2.0 */
#include "service/stats.h"

#include "rag/asked.h"
#include "rag/verdicts.h"
#include "service/asking.h"
#include "service/base/json.h"

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

enum fl_status fl_stats_report(struct fl_incidents *store, const struct fl_config *config, int days,
                               bool json, struct fl_buf *out, struct fl_err *err)
{
    struct stats stats = {.out = out, .json = json, .config = config};
    struct stats *s = &stats;
    fl_jw_init(&s->w, out, true);
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
