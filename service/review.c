/* SPDX-License-Identifier: Apache-2.0 */
#include "service/review.h"

enum { SHOWN = 20, IDS_CAP = 1 << 20, TEXT = 60 };

struct gathering {
    struct fl_arena *arena;
    struct fl_review *review;
    struct fl_jw ids; /* of the incidents and of all that is merged into them */
};

static enum fl_status add_flag(void *ctx, const struct fl_flag *flag, struct fl_err *err)
{
    struct gathering *g = ctx;
    if (g->review->n == FL_REVIEW_MOST) {
        return FL_OK;
    }
    struct fl_reviewed *r = &g->review->list[g->review->n++];
    *r = (struct fl_reviewed){.incident = {.id = fl_arena_str(g->arena, flag->id)},
                              .note = fl_arena_str(g->arena, flag->note),
                              .flagged = fl_arena_str(g->arena, flag->time)};
    return r->incident.id.p && r->note.p && r->flagged.p ? FL_OK : fl_fail(err, FL_NOMEM, "no memory");
}

static enum fl_status add_member(void *ctx, struct fl_str id, struct fl_err *err)
{
    struct gathering *g = ctx;
    (void)err;
    fl_jw_str(&g->ids, id);
    return FL_OK;
}

/* The incidents themselves, and the ids that count as theirs. */
static enum fl_status fill(struct gathering *g, struct fl_incidents *store, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    fl_jw_begin(&g->ids, '[');
    for (size_t i = 0; status == FL_OK && i < g->review->n; i++) {
        struct fl_incident *in = &g->review->list[i].incident;
        struct fl_str id = in->id;
        status = fl_incidents_get(store, id, g->arena, in, err);
        if (status == FL_OK) {
            status = fl_groups_members(store, id, add_member, g, err);
        }
    }
    fl_jw_end(&g->ids, ']');
    return status;
}

enum fl_status fl_review_of(struct fl_incidents *store, struct fl_jobs *jobs, const char *const *ids,
                            size_t n, struct fl_arena *arena, struct fl_review *out, struct fl_err *err)
{
    struct fl_buf text;
    struct gathering g = {.arena = arena, .review = out};
    *out = (struct fl_review){.list = fl_arena_alloc(arena, FL_REVIEW_MOST * sizeof *out->list)};
    if (!out->list) {
        return fl_fail(err, FL_NOMEM, "no memory for a review");
    }
    fl_buf_init(&text, IDS_CAP);
    fl_jw_init(&g.ids, &text, false);
    for (size_t i = 0; i < n && out->n < FL_REVIEW_MOST; i++) {
        out->list[out->n++] = (struct fl_reviewed){.incident = {.id = fl_str_of(ids[i])},
                                                   .note = {"", 0}, .flagged = {"", 0}};
    }
    enum fl_status status = n ? FL_OK : fl_flags_list(store, add_flag, &g, err);
    if (status == FL_OK) {
        status = fill(&g, store, err);
    }
    if (status == FL_OK && jobs) {
        status = fl_jobs_coverage(jobs, fl_buf_str(&text), arena, &out->coverage, err);
    }
    fl_buf_free(&text);
    return status;
}

void fl_review_write(const struct fl_review *review, struct fl_jw *w)
{
    const struct fl_coverage *c = &review->coverage;
    fl_jw_begin(w, '{');
    fl_jw_key(w, "incidents");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < review->n; i++) {
        const struct fl_reviewed *r = &review->list[i];
        fl_jw_begin(w, '{');
        fl_jw_key_str(w, "id", r->incident.id);
        fl_jw_key_str(w, "cause", r->incident.cause);
        fl_jw_key_str(w, "title", r->incident.title);
        fl_jw_key_str(w, "outcome", r->incident.outcome);
        fl_jw_key_str(w, "flagged", r->flagged);
        fl_jw_key_str(w, "note", r->note);
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
    fl_jw_key_int(w, "jobs", c->selected);
    fl_jw_key_int(w, "jobs_compared", c->all);
    fl_jw_key(w, "in_common");
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < c->n; i++) {
        fl_jw_begin(w, '{');
        fl_jw_key_str(w, "key", c->list[i].key);
        fl_jw_key_str(w, "value", c->list[i].value);
        fl_jw_key_int(w, "jobs", c->list[i].in);
        fl_jw_key_int(w, "jobs_compared", c->list[i].among_all);
        fl_jw_key(w, "lift");
        fl_jw_num(w, c->list[i].lift);
        fl_jw_key(w, "chance");
        fl_jw_num(w, c->list[i].chance);
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
    fl_jw_end(w, '}');
}

static void add_incident(struct fl_buf *out, const struct fl_reviewed *r)
{
    fl_buf_add_safe(out, r->incident.id);
    fl_buf_add_text(out, "  ");
    fl_buf_add_safe(out, r->incident.cause.n ? r->incident.cause : FL_LIT("(unknown)"));
    fl_buf_add_text(out, "  ");
    fl_buf_add_safe(out, fl_str_head(r->incident.title, 2 * TEXT));
    if (r->note.n) {
        fl_buf_add_text(out, "\n    ");
        fl_buf_add_safe(out, r->note);
    }
    fl_buf_add_text(out, "\n");
}

static void add_common(struct fl_buf *out, const struct fl_coverage *c)
{
    fl_buf_addf(out, "\n%ld job%s, of %ld that are known\n", c->selected, c->selected == 1 ? "" : "s",
                c->all);
    for (size_t i = 0; i < c->n && i < SHOWN; i++) {
        const struct fl_common *x = &c->list[i];
        struct fl_buf what;
        fl_buf_init(&what, 4096);
        fl_buf_add_safe(&what, fl_str_head(x->key, TEXT));
        fl_buf_add_text(&what, " ");
        fl_buf_add_safe(&what, fl_str_head(x->value, TEXT));
        fl_buf_addf(out, "  %-32s in %ld of %ld (all: %ld of %ld), %.1f times as often, by chance %.2g\n",
                    fl_buf_text(&what), x->in, c->selected, x->among_all, c->all, x->lift, x->chance);
        fl_buf_free(&what);
    }
    if (c->selected && c->n == 0) {
        fl_buf_add_text(out, "  they have nothing in common that is known\n");
    }
}

void fl_review_report(const struct fl_review *review, bool json, struct fl_buf *out)
{
    struct fl_jw w;
    if (json) {
        fl_jw_init(&w, out, true);
        fl_review_write(review, &w);
        fl_buf_add_text(out, "\n");
        return;
    }
    for (size_t i = 0; i < review->n; i++) {
        add_incident(out, &review->list[i]);
    }
    if (review->n == 0) {
        fl_buf_add_text(out, "nothing is flagged (faultline incidents flag ID [NOTE])\n");
    } else {
        add_common(out, &review->coverage);
    }
}
