/* SPDX-License-Identifier: Apache-2.0 */
/* Forms are taken most frequent first, so that a group is founded by its commonest form whatever
 * came first in the log. A form is held against the groups with as many words and the same first or
 * last word only; that is what keeps joining near linear. */
#include "rules/template/template_join.h"

#include "service/base/hash.h"

#include <stdlib.h>

enum {
    WORDS = 192,
    BUCKETS = 1 << 15,
    ASKED = 128,      /* groups of a bucket that a form is held against */
    TAIL_FORMS = 128, /* so many ways to go on make a beginning a form of its own */
    TAIL_BYTES = 10,  /* that stand for themselves in it */
    SAYS_ANYTHING = 8 /* different words make a place one where anything may stand */
};

struct word {
    uint32_t at;
    uint32_t n;
    uint64_t hash;
    bool literal; /* it holds letters of its own */
};

struct words {
    struct word item[WORDS];
    size_t n;
};

struct group {
    uint32_t next[2]; /* in its buckets; index + 1 */
    uint32_t founder;
    uint32_t last; /* member; a list backwards through `before` */
    uint32_t members_n;
    uint8_t wild[WORDS / 8];
};

struct join {
    const struct fl_counted *forms;
    uint32_t *order;
    uint32_t *before; /* per form: the member before it in its group; index + 1 */
    uint32_t *buckets[2];
    struct group *groups;
    uint32_t groups_n;
};

static bool split(struct fl_str form, struct words *w)
{
    w->n = 0;
    for (size_t i = 0; i <= form.n;) {
        size_t from = i;
        bool literal = false;
        while (i < form.n && form.p[i] != ' ') {
            literal |= fl_is_alpha(form.p[i]) || (signed char)form.p[i] < 0;
            i++;
        }
        if (w->n == WORDS) {
            return false;
        }
        struct fl_str text = {form.p + from, i - from};
        w->item[w->n++] =
            (struct word){(uint32_t)from, (uint32_t)text.n, fl_hash(text, 0), literal};
        i++;
    }
    return true;
}

static struct fl_str text_of(const struct fl_counted *f)
{
    return (struct fl_str){f->text, f->n};
}

static int by_text(const struct fl_counted *a, const struct fl_counted *b)
{
    int order = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

static int by_weight(const void *x, const void *y, void *ctx)
{
    const struct fl_counted *forms = ctx;
    const struct fl_counted *a = &forms[*(const uint32_t *)x];
    const struct fl_counted *b = &forms[*(const uint32_t *)y];
    if ((a->count[0] > 0) != (b->count[0] > 0)) {
        return a->count[0] ? -1 : 1;
    }
    uint64_t an = a->count[0] + a->count[1];
    uint64_t bn = b->count[0] + b->count[1];
    return an != bn ? (an > bn ? -1 : 1) : by_text(a, b);
}

static bool is_wild(const struct group *g, size_t i)
{
    return g->wild[i / 8] >> (i % 8) & 1;
}

/* How many literal words agree; 0 when the form does not belong to the group. */
static size_t agreement(const struct join *j, const struct group *g, const struct fl_counted *form,
                        const struct words *w)
{
    const struct fl_counted *founder = &j->forms[g->founder];
    struct words own;
    if (founder->alarming != form->alarming || founder->tail || !split(text_of(founder), &own) ||
        own.n != w->n) {
        return 0;
    }
    size_t literal = 0;
    size_t equal = 0;
    bool news = false; /* something the group never said */
    for (size_t i = 0; i < w->n; i++) {
        bool same = own.item[i].hash == w->item[i].hash;
        news |= !same && !(is_wild(g, i) && g->members_n >= SAYS_ANYTHING);
        literal += own.item[i].literal || w->item[i].literal;
        equal += same && own.item[i].literal;
    }
    bool strange = news && founder->count[0] && !form->count[0];
    return !strange && equal * 5 >= literal * 3 ? equal : 0;
}

static size_t bucket_of(const struct words *w, bool last, bool alarming)
{
    uint64_t hash = w->item[last ? w->n - 1 : 0].hash;
    return (hash ^ (w->n * 2 + alarming) * UINT64_C(0x9e3779b97f4a7c15)) % BUCKETS;
}

static struct group *find_group(struct join *j, const struct fl_counted *form,
                                const struct words *w)
{
    uint32_t best = 0;
    size_t most = 0;
    for (size_t side = 0; side < 2; side++) {
        size_t asked = 0;
        uint32_t i = j->buckets[side][bucket_of(w, side == 1, form->alarming)];
        for (; i && asked < ASKED; i = j->groups[i - 1].next[side], asked++) {
            size_t equal = agreement(j, &j->groups[i - 1], form, w);
            if (equal > most || (equal && equal == most && i < best)) {
                best = i;
                most = equal;
            }
        }
    }
    return best ? &j->groups[best - 1] : NULL;
}

static void found_group(struct join *j, uint32_t form, const struct words *w)
{
    struct group *g = &j->groups[j->groups_n++];
    *g = (struct group){.founder = form, .last = form + 1, .members_n = 1};
    for (size_t side = 0; w && side < 2; side++) {
        uint32_t *bucket =
            &j->buckets[side][bucket_of(w, side == 1, j->forms[form].alarming)];
        g->next[side] = *bucket;
        *bucket = j->groups_n;
    }
}

static void add_member(struct join *j, struct group *g, uint32_t form, const struct words *w)
{
    struct words own;
    (void)split(text_of(&j->forms[g->founder]), &own);
    for (size_t i = 0; i < w->n; i++) {
        g->wild[i / 8] |= (uint8_t)((own.item[i].hash != w->item[i].hash) << (i % 8));
    }
    j->before[form] = g->last;
    g->last = form + 1;
    g->members_n++;
}

static enum fl_status write_group(const struct join *j, const struct group *g,
                                  struct fl_joined *out)
{
    const struct fl_counted *founder = &j->forms[g->founder];
    struct words own;
    bool plain = !split(text_of(founder), &own);
    out->text = malloc((size_t)founder->n + 1);
    out->members = malloc(g->members_n * sizeof *out->members);
    out->members_n = g->members_n;
    if (!out->text || !out->members) {
        return FL_NOMEM;
    }
    for (size_t i = 0; !plain && i < own.n; i++) {
        if (i) {
            out->text[out->n++] = ' ';
        }
        if (is_wild(g, i)) {
            out->text[out->n++] = FL_FIELD_WORD;
            continue;
        }
        memcpy(out->text + out->n, founder->text + own.item[i].at, own.item[i].n);
        out->n += own.item[i].n;
    }
    if (plain) {
        memcpy(out->text, founder->text, founder->n);
        out->n = founder->n;
    }
    uint32_t k = g->members_n;
    for (uint32_t i = g->last; i; i = j->before[i - 1]) {
        out->members[--k] = i - 1;
    }
    return FL_OK;
}

static enum fl_status write_groups(const struct join *j, struct fl_joined_list *out)
{
    out->items = calloc(j->groups_n + 1U, sizeof *out->items);
    if (!out->items) {
        return FL_NOMEM;
    }
    enum fl_status status = FL_OK;
    for (uint32_t i = 0; status == FL_OK && i < j->groups_n; i++) {
        status = write_group(j, &j->groups[i], &out->items[out->n++]);
    }
    return status;
}

static enum fl_status join_all(struct join *j, uint32_t n, struct fl_joined_list *out)
{
    for (uint32_t i = 0; i < n; i++) {
        j->order[i] = i;
    }
    union {
        const struct fl_counted *in;
        void *ctx;
    } forms = {.in = j->forms};
    qsort_r(j->order, n, sizeof *j->order, by_weight, forms.ctx);
    for (uint32_t i = 0; i < n; i++) {
        struct words w;
        const struct fl_counted *form = &j->forms[j->order[i]];
        bool joins = !form->tail && split(text_of(form), &w);
        struct group *g = joins ? find_group(j, form, &w) : NULL;
        if (g) {
            add_member(j, g, j->order[i], &w);
        } else {
            found_group(j, j->order[i], joins ? &w : NULL);
        }
    }
    return write_groups(j, out);
}

enum fl_status fl_template_join(const struct fl_counted *forms, uint32_t n,
                                struct fl_joined_list *out)
{
    struct join j = {.forms = forms,
                     .order = calloc(n + 1U, sizeof *j.order),
                     .before = calloc(n + 1U, sizeof *j.before),
                     .buckets = {calloc(BUCKETS, sizeof **j.buckets),
                                 calloc(BUCKETS, sizeof **j.buckets)},
                     .groups = calloc(n + 1U, sizeof *j.groups)};
    *out = (struct fl_joined_list){0};
    bool room = j.order && j.before && j.buckets[0] && j.buckets[1] && j.groups;
    enum fl_status status = room ? join_all(&j, n, out) : FL_NOMEM;
    free(j.order);
    free(j.before);
    free(j.buckets[0]);
    free(j.buckets[1]);
    free(j.groups);
    if (status != FL_OK) {
        fl_joined_free(out);
    }
    return status;
}

void fl_joined_free(struct fl_joined_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i].text);
        free(list->items[i].members);
    }
    free(list->items);
    *list = (struct fl_joined_list){0};
}

/* ---- beginnings ---- */

struct fl_str fl_template_words(struct fl_str form, size_t words)
{
    for (size_t i = 0; i < form.n; i++) {
        if (form.p[i] == ' ' && --words == 0) {
            return (struct fl_str){form.p, i + 1};
        }
    }
    return (struct fl_str){form.p, 0};
}

static bool tells_enough(struct fl_str head)
{
    size_t n = 0;
    for (size_t i = 0; i < head.n; i++) {
        n += (unsigned char)head.p[i] > ' ';
    }
    return n >= TAIL_BYTES;
}

static int by_form(const void *x, const void *y, void *ctx)
{
    const struct fl_counted *forms = ctx;
    return by_text(&forms[*(const uint32_t *)x], &forms[*(const uint32_t *)y]);
}

/* Of sorted forms from..to, which begin alike with `words` words: do they go on in many ways? */
static bool fans_out(const struct fl_counted *forms, const uint32_t *order, size_t from, size_t to,
                     size_t words)
{
    size_t ways = 1;
    for (size_t i = from + 1; i < to; i++) {
        struct fl_str a = text_of(&forms[order[i - 1]]);
        struct fl_str b = text_of(&forms[order[i]]);
        struct fl_str more = fl_template_words(a, words + 1);
        more = more.n ? more : a;
        ways += !fl_str_starts(b, more);
    }
    return to - from >= TAIL_FORMS && ways * 4 >= TAIL_FORMS;
}

static enum fl_status tails_of(const struct fl_counted *forms, uint32_t *order, size_t n,
                               size_t words, enum fl_status (*found)(void *ctx, struct fl_str form),
                               void *ctx)
{
    enum fl_status status = FL_OK;
    for (size_t from = 0; status == FL_OK && from < n;) {
        struct fl_str head = fl_template_words(text_of(&forms[order[from]]), words);
        size_t to = from + 1;
        while (head.n && to < n && fl_str_starts(text_of(&forms[order[to]]), head)) {
            to++;
        }
        if (head.n && tells_enough(head) && fans_out(forms, order, from, to, words)) {
            char text[FL_FORM_BYTES + 1];
            memcpy(text, head.p, head.n);
            text[head.n] = FL_FIELD_REST;
            status = found(ctx, (struct fl_str){text, head.n + 1});
        }
        from = to;
    }
    return status;
}

enum fl_status fl_template_tails(const struct fl_counted *forms, uint32_t n,
                                 enum fl_status (*found)(void *ctx, struct fl_str form), void *ctx)
{
    uint32_t *order = calloc(n + 1U, sizeof *order);
    size_t rare = 0;
    if (!order) {
        return FL_NOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct fl_counted *f = &forms[i];
        if (!f->alarming && !f->tail && f->count[0] + f->count[1] <= 3) {
            order[rare++] = i;
        }
    }
    union {
        const struct fl_counted *in;
        void *ctx;
    } arg = {.in = forms};
    qsort_r(order, rare, sizeof *order, by_form, arg.ctx);
    enum fl_status status = FL_OK;
    for (size_t words = 1; status == FL_OK && words <= FL_TEMPLATE_TAIL_WORDS; words++) {
        status = tails_of(forms, order, rare, words, found, ctx);
    }
    free(order);
    return status;
}
