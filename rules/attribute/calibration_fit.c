/* SPDX-License-Identifier: Apache-2.0 */
/* How often is a verdict of this basis and score right? Labelled logs are few, and rules are written
 * with them in view, so three things are done against believing them too much:
 *
 * - few parameters: the verdicts of a basis, sorted by score, are cut into bins of BIN_LEAST at
 *   least, and neighbours that do not rise are pooled (pool adjacent violators);
 * - a prior: to each bin prior_cases are added that are right as often as their raw scores say, so
 *   that no bin can say 0 or 1;
 * - a discount for logs nobody has seen: a rule may be right only where it was written. So to the
 *   repositories in which a rule has decided `unseen` more are added, where no more is known of it
 *   than its score: of r repositories, a right verdict counts r parts as right and `unseen` parts
 *   as its score says. A wrong verdict counts in full. Healthy verdicts hang on no rule of a cause;
 *   they count as if theirs had one repository.
 *
 * With `unseen` at 0.5 confidences fit a share of wrong verdicts up to a tenth, with 1 up to an
 * eighth, the latter at the price of saying too little on logs that are all known. */
#include "rules/attribute/calibration.h"

#include <stdlib.h>

enum { BIN_LEAST = 40 };

static const double prior_cases = 2;
static const double unseen = 0.5;

uint32_t fl_text_hash(struct fl_str text)
{
    uint32_t hash = 2166136261U; /* FNV-1a, letters as lower case */
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32U : c)) * 16777619U;
    }
    return hash;
}

static size_t name_length(struct fl_str s)
{
    size_t n = 0;
    while (n < s.n && (fl_is_alpha(s.p[n]) || fl_is_digit(s.p[n]) || memchr("._-", s.p[n], 3))) {
        n++;
    }
    return n;
}

uint32_t fl_repository_hash(struct fl_str source)
{
    const char *host = fl_str_find(source, FL_LIT("://"));
    struct fl_str s = host ? fl_str_skip(source, (size_t)(host - source.p) + 3) : source;
    const char *slash = memchr(s.p ? s.p : "", '/', s.n);
    s = host && slash ? fl_str_skip(s, (size_t)(slash - s.p) + 1) : s;
    size_t owner = name_length(s);
    struct fl_str rest = owner < s.n && s.p[owner] == '/' ? fl_str_skip(s, owner + 1)
                                                          : (struct fl_str){"", 0};
    size_t name = name_length(rest);
    return fl_text_hash(owner && name ? (struct fl_str){s.p, owner + 1 + name} : source);
}

static int by_basis_and_score(const void *a, const void *b)
{
    const struct fl_judged *x = a;
    const struct fl_judged *y = b;
    if (x->basis != y->basis) {
        return x->basis < y->basis ? -1 : 1;
    }
    return (x->score > y->score) - (x->score < y->score);
}

bool fl_trial_is_in(const struct fl_judged *trial, int fold)
{
    return trial->repository % FL_CALIBRATION_FOLDS == (uint32_t)fold;
}

static int by_decider_and_repository(const void *a, const void *b)
{
    const struct fl_judged *x = a;
    const struct fl_judged *y = b;
    if (x->decider != y->decider) {
        return x->decider < y->decider ? -1 : 1;
    }
    return (x->repository > y->repository) - (x->repository < y->repository);
}

/* In how many repositories each decider has decided. */
static void count_records(struct fl_judged *trials, size_t n, int fold)
{
    qsort(trials, n, sizeof *trials, by_decider_and_repository);
    for (size_t from = 0, to = 0; from < n; from = to) {
        long record = 0;
        for (; to < n && trials[to].decider == trials[from].decider; to++) {
            bool again = to > from && trials[to].repository == trials[to - 1].repository;
            record += !again && !fl_trial_is_in(&trials[to], fold);
        }
        for (size_t i = from; i < to; i++) {
            trials[i].record = trials[i].decider ? record : 1;
        }
    }
}

struct bin {
    double n;
    double scores;
    double right;
};

/* Joins neighbours until the shares of right rise; returns how many bins are left. */
static size_t pool(struct bin *bins, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bins[kept++] = bins[i];
        while (kept > 1 && bins[kept - 2].right * bins[kept - 1].n >=
                               bins[kept - 1].right * bins[kept - 2].n) {
            bins[kept - 2].n += bins[kept - 1].n;
            bins[kept - 2].scores += bins[kept - 1].scores;
            bins[kept - 2].right += bins[kept - 1].right;
            kept--;
        }
    }
    return kept;
}

/* The trials of the basis are those from `from` to `to`. */
static void fit_curve(const struct fl_judged *trials, size_t from, size_t to, int fold,
                      struct fl_curve *out)
{
    struct bin bins[FL_CURVE_POINTS];
    size_t bins_n = 0;
    for (size_t i = from; i < to; i++) {
        out->cases += !fl_trial_is_in(&trials[i], fold);
    }
    long left = out->cases;
    long least = left / FL_CURVE_POINTS + 1;
    least = least < BIN_LEAST ? BIN_LEAST : least;
    double last = -1;
    for (size_t i = from; i < to; i++) {
        const struct fl_judged *t = &trials[i];
        if (fl_trial_is_in(t, fold)) {
            continue;
        }
        if (bins_n == 0 ||
            (bins[bins_n - 1].n >= (double)least && left >= least && t->score > last)) {
            bins[bins_n++] = (struct bin){0, 0, 0};
        }
        double record = (double)t->record;
        bins[bins_n - 1].n++;
        bins[bins_n - 1].scores += t->score;
        bins[bins_n - 1].right += t->right ? (record + unseen * t->score) / (record + unseen) : 0;
        last = t->score;
        left--;
    }
    for (size_t i = 0; i < bins_n; i++) {
        double score = bins[i].scores / bins[i].n;
        bins[i].scores += prior_cases * score;
        bins[i].right += prior_cases * score;
        bins[i].n += prior_cases;
    }
    out->n = pool(bins, bins_n);
    for (size_t i = 0; i < out->n; i++) {
        double chance = bins[i].right / bins[i].n;
        out->point[i] = (struct fl_curve_point){
            bins[i].scores / bins[i].n, chance < FL_CHANCE_LEAST  ? FL_CHANCE_LEAST
                                        : chance > FL_CHANCE_MOST ? FL_CHANCE_MOST
                                                                  : chance};
    }
}

void fl_calibration_fit(struct fl_judged *trials, size_t n, int fold, struct fl_calibration *out)
{
    *out = (struct fl_calibration){.curve = {{.n = 0}}};
    if (n > 0) {
        count_records(trials, n, fold);
        qsort(trials, n, sizeof *trials, by_basis_and_score);
    }
    size_t from = 0;
    for (unsigned basis = 0; basis < FL_BASES_N; basis++) {
        size_t to = from;
        while (to < n && trials[to].basis == basis) {
            to++;
        }
        fit_curve(trials, from, to, fold, &out->curve[basis]);
        from = to;
    }
}

void fl_reliability_add(struct fl_reliability *r, double confidence, bool right)
{
    int at = (int)(confidence * FL_RELIABILITY_BINS);
    at = at < 0 ? 0 : at >= FL_RELIABILITY_BINS ? FL_RELIABILITY_BINS - 1 : at;
    r->n++;
    r->bin[at].n++;
    r->bin[at].said += confidence;
    r->bin[at].right += right;
}

double fl_reliability_error(const struct fl_reliability *r)
{
    double error = 0;
    for (size_t i = 0; i < FL_RELIABILITY_BINS && r->n; i++) {
        double gap = r->bin[i].right - r->bin[i].said;
        error += (gap < 0 ? -gap : gap) / (double)r->n;
    }
    return error;
}
