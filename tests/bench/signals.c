/* SPDX-License-Identifier: Apache-2.0 */
/* How well the detectors do: bench_signals [N [SEED]] makes N series with a fault (10,000) and N without one,
 * half of these made to look like a fault, holds the detectors against each, and prints for each fault how
 * many were found, how many steps after it began, how far off its first step is told, and how often a
 * healthy series was blamed for it. Run it in the source folder (or set FL_SOURCE). With --check before N it
 * also fails when a rate is below what is written beside its fault. */
#include "rules/signals/detect.h"
#include "service/base/fsio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { RANKS = 4, STEPS_LEAST = 200, STEPS_MOST = 1000, LINE = 400, FAULTS_MAX = 32 };

static const double none = -1e300; /* a metric that is not printed */
static const double not_a_number = (double)NAN;
static const double infinite = (double)INFINITY;

/* One line of progress. */
struct said {
    double loss, grad, rate, tps, time, memory, scale, acc, wer, spread, reward, workers, skipped;
};

struct run {
    uint64_t seed;
    long n;
    long at;   /* where the fault begins */
    long back; /* steps that a restart at `at` does again */
    double a, b, c; /* what a fault or a look makes of these is its matter */
    double begin, floor, tau, noise, tps, memory;
    bool decays;
    double state;
    long rank;
};

static double uniform(struct run *r)
{
    r->seed = r->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(r->seed >> 11) + 0.5) / 9007199254740992.0;
}

static double between(struct run *r, double low, double high)
{
    return low + (high - low) * uniform(r);
}

static double normal(struct run *r)
{
    double u = uniform(r);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * uniform(r));
}

static double times(struct run *r, double share)
{
    return exp(share * normal(r));
}

/* Since the fault: 0 before it, 1 on its first step. */
static double since(const struct run *r, long i)
{
    return i < r->at ? 0 : (double)(i - r->at + 1);
}

/* ---- what a healthy job prints ---- */

static double rate_of(const struct run *r, long i)
{
    double warm = 0.03 * (double)r->n + 1;
    double part = (double)i / (double)r->n;
    double up = (double)(i + 1) < warm ? (double)(i + 1) / warm : 1;
    return 3e-4 * up * (r->decays ? 0.5 * (1 + cos(3.14159265 * part)) : 1);
}

static struct said usual(struct run *r, long i)
{
    double t = (double)i / r->tau;
    double loss = (r->floor + (r->begin - r->floor) * exp(-t)) * times(r, r->noise);
    return (struct said){
        .loss = loss, .grad = (0.4 + 3 * exp(-t)) * times(r, 0.2), .rate = rate_of(r, i),
        .tps = r->tps * (1 + 0.02 * normal(r)), .time = none,
        .memory = r->memory * (1 - 0.4 * exp(-(double)i / 5)), .scale = none, .acc = none, .wer = none,
        .spread = none, .reward = none, .workers = none, .skipped = none};
}

static struct run run_of(uint64_t seed)
{
    struct run r = {.seed = seed * UINT64_C(0x9e3779b97f4a7c15)};
    uniform(&r);
    r.n = (long)between(&r, STEPS_LEAST, STEPS_MOST);
    r.at = (long)(between(&r, 0.4, 0.7) * (double)r.n);
    r.floor = between(&r, 0.1, 3);
    r.begin = r.floor + between(&r, 1, 9);
    r.tau = (double)r.n * between(&r, 0.03, 0.3);
    r.noise = between(&r, 0.005, 0.08);
    r.tps = between(&r, 1000, 90000);
    r.memory = between(&r, 10, 78);
    r.decays = uniform(&r) < 0.7;
    r.a = uniform(&r);
    r.b = uniform(&r);
    r.c = uniform(&r);
    return r;
}

/* ---- faults ---- */

static void loss_nan(struct run *r, long i, struct said *s)
{
    s->loss = since(r, i) > 0 ? not_a_number : s->loss;
}

static void gradient_inf(struct run *r, long i, struct said *s)
{
    s->grad = since(r, i) > 0 ? infinite : s->grad;
}

static void gradient_jumps(struct run *r, long i, struct said *s)
{
    s->grad = i == r->at ? s->grad * pow(10, 2.5 + 2 * r->a) : s->grad;
}

/* At once or slowly, by half of the loss or far more. */
static void loss_diverges(struct run *r, long i, struct said *s)
{
    double slow = 1 + r->a * 0.2 * (double)r->n;
    double up = since(r, i) / slow;
    s->loss += (0.5 + 4 * r->b) * (r->floor + 0.3) * (up < 1 ? up : 1);
}

static void rate_diverges(struct run *r, long i, struct said *s)
{
    double t = (double)i / r->tau;
    s->wer = (0.06 + 0.9 * exp(-t)) * times(r, 0.03) + (since(r, i) > 0 ? 0.3 + 0.6 * r->a : 0);
}

static void score_is_lost(struct run *r, long i, struct said *s)
{
    s->acc = (since(r, i) > 0 ? 0.001 : (1 - exp(-(double)i / r->tau))) * 0.8 * times(r, 0.02);
}

static void gradient_vanishes(struct run *r, long i, struct said *s)
{
    s->grad *= since(r, i) > 0 ? pow(10, -3.5 - 4 * r->a) : 1;
}

static void rate_is_zero(struct run *r, long i, struct said *s)
{
    s->rate = since(r, i) > 0 ? 0 : s->rate;
}

static void scale_falls(struct run *r, long i, struct said *s)
{
    double halved = floor(since(r, i) / (1 + floor(3 * r->a)));
    s->scale = fmax(65536 / exp2(halved), 1);
}

static void slows_down(struct run *r, long i, struct said *s)
{
    s->tps /= since(r, i) > 0 ? 1.4 + 2 * r->a : 1;
}

static void one_rank_slow(struct run *r, long i, struct said *s)
{
    bool slow = r->rank == (long)(r->b * RANKS) && since(r, i) > 0;
    s->tps = none;
    s->time = (slow ? 1.3 + r->a : 1) * (1 + 0.03 * normal(r));
}

static void memory_leaks(struct run *r, long i, struct said *s)
{
    s->memory += r->memory * (0.4 + 2 * r->a) * since(r, i) / (double)(r->n - r->at);
}

static void label_leaks(struct run *r, long i, struct said *s)
{
    s->acc = i < (long)(0.03 * r->a * (double)r->n) ? 0.5 * uniform(r) : 1 - 0.001 * uniform(r);
    r->at = (long)(0.03 * r->a * (double)r->n);
}

static void loss_leaks(struct run *r, long i, struct said *s)
{
    r->at = 1 + (long)(0.03 * r->a * (double)r->n);
    s->loss = since(r, i) > 0 ? 5e-6 * r->b * times(r, 0.3) : s->loss + 1;
}

static void features_collapse(struct run *r, long i, struct said *s)
{
    s->spread = between(r, 0.7, 0.9) * (since(r, i) > 0 ? exp(-since(r, i) / (2 + 10 * r->a)) : 1);
}

static void loss_freezes(struct run *r, long i, struct said *s)
{
    r->state = i <= r->at ? round(s->loss * 1e4) / 1e4 + 3e-5 : r->state;
    s->loss = since(r, i) > 0 ? r->state : s->loss;
}

static void ranks_part(struct run *r, long i, struct said *s)
{
    bool odd = r->rank == (long)(r->b * RANKS) && since(r, i) > 0;
    s->loss *= odd ? 1 + pow(10, -4 + 3 * r->a) * normal(r) : 1;
}

static void rank_stops(struct run *r, long i, struct said *s)
{
    if (r->rank == (long)(r->b * RANKS) && since(r, i) > 0) {
        s->loss = s->grad = s->rate = s->tps = s->memory = none;
    }
}

static void workers_leave(struct run *r, long i, struct said *s)
{
    double all = 8 + floor(500 * r->a);
    s->workers = since(r, i) > 0 ? floor(all * (0.5 + 0.49 * r->b)) : all;
}

static void samples_skipped(struct run *r, long i, struct said *s)
{
    bool skips = uniform(r) < (since(r, i) > 0 ? 0.6 + 0.4 * r->a : 0.01);
    r->state += skips ? floor(1 + 30 * r->b) : 0;
    s->skipped = r->state;
}

static void evaluation_stuck(struct run *r, long i, struct said *s)
{
    s->acc = since(r, i) > 0 ? 0.1 : 0.3 * uniform(r);
}

struct fault {
    const char *name;
    const char *metric, *kind;
    void (*make)(struct run *r, long i, struct said *s);
    int ranks;
    double least; /* share that must be found */
};

static const struct fault faults[] = {
    {"loss is nan", "loss", "nan", loss_nan, 1, 0.99},
    {"gradient is inf", "grad_norm", "explosion", gradient_inf, 1, 0.99},
    {"gradient jumps once", "grad_norm", "explosion", gradient_jumps, 1, 0.4},
    {"loss diverges", "loss", "divergence", loss_diverges, 1, 0.75},
    {"error rate diverges", "error_rate", "divergence", rate_diverges, 1, 0.9},
    {"accuracy is lost", "accuracy", "divergence", score_is_lost, 1, 0.95},
    {"gradient vanishes", "grad_norm", "vanishing", gradient_vanishes, 1, 0.85},
    {"learning rate is zero", "learning_rate", "vanishing", rate_is_zero, 1, 0.99},
    {"loss scale collapses", "loss_scale", "scale_collapse", scale_falls, 1, 0.95},
    {"throughput falls", "throughput", "straggler", slows_down, 1, 0.8},
    {"one rank is slow", "step_time", "straggler", one_rank_slow, RANKS, 0.85},
    {"memory leaks", "memory", "memory_growth", memory_leaks, 1, 0.9},
    {"accuracy too good", "accuracy", "leakage", label_leaks, 1, 0.95},
    {"loss too good", "loss", "leakage", loss_leaks, 1, 0.95},
    {"features collapse", "feature_spread", "collapse", features_collapse, 1, 0.95},
    {"loss is frozen", "loss", "frozen", loss_freezes, 1, 0.85},
    {"replicas part", "loss", "desync", ranks_part, RANKS, 0.95},
    {"one rank stops", "loss", "silence", rank_stops, RANKS, 0.99},
    {"workers leave", "workers", "fewer_workers", workers_leave, 1, 0.99},
    {"samples are skipped", "skipped", "skipping", samples_skipped, 1, 0.95},
    {"evaluation stands still", "accuracy", "plateau", evaluation_stuck, 1, 0.8},
};
enum { FAULTS = sizeof faults / sizeof *faults };

/* ---- looks of healthy jobs ---- */

static void plain(struct run *r, long i, struct said *s)
{
    (void)r, (void)i, (void)s;
}

static void noisy(struct run *r, long i, struct said *s)
{
    (void)i;
    s->loss *= times(r, 0.1 + 0.2 * r->a);
}

static void spikes(struct run *r, long i, struct said *s)
{
    double down = since(r, i) > 0 ? exp(-since(r, i) / (2 + 8 * r->b)) : 0;
    s->loss *= 1 + 5 * r->a * down;
    s->grad *= 1 + 30 * r->a * down;
}

static void restarts(struct run *r, long i, struct said *s)
{
    (void)i, (void)s;
    r->back = (long)(0.2 * r->a * (double)r->n) + 1;
}

static void oscillates(struct run *r, long i, struct said *s)
{
    s->loss = (1 + 0.5 * sin((double)i / (3 + 40 * r->a))) * times(r, 0.2);
}

static void tiny(struct run *r, long i, struct said *s)
{
    (void)i;
    s->loss *= pow(10, -3 - 4 * r->a);
    s->grad *= pow(10, -2 * r->b);
}

static void warm_restarts(struct run *r, long i, struct said *s)
{
    double part = fmod((double)i / (double)r->n * (2 + floor(3 * r->a)), 1);
    s->rate = 3e-4 * (0.51 + 0.49 * cos(3.14159265 * part));
    s->loss *= 1 + 0.15 * r->b * (1 - part) * (i > r->n / 4);
}

static void harder_data(struct run *r, long i, struct said *s)
{
    s->loss *= since(r, i) > 0 ? 1 + 0.25 * r->a : 1;
}

static void policy(struct run *r, long i, struct said *s)
{
    s->reward = (double)i / (double)r->n + 0.1 * normal(r);
    s->loss = 1e-4 * (double)i / (double)r->n + 1e-5 * fabs(normal(r));
}

static void half_precision(struct run *r, long i, struct said *s)
{
    r->state = i == 0 ? 65536 : r->state;
    bool over = uniform(r) < 0.02;
    r->state = over ? fmax(r->state / 2, 2048) : i % 200 == 199 ? r->state * 2 : r->state;
    s->scale = r->state;
    s->grad = over ? infinite : s->grad;
    s->loss = over && uniform(r) < 0.3 ? not_a_number : s->loss;
}

static void coarse(struct run *r, long i, struct said *s)
{
    (void)r, (void)i;
    s->loss = round(s->loss * 64) / 64;
    s->grad = fmin(s->grad, 1);
}

static void pauses(struct run *r, long i, struct said *s)
{
    s->tps /= i % 50 == 49 || i > r->n - 6 ? 3 + 3 * r->a : 1;
}

static void cache_fills(struct run *r, long i, struct said *s)
{
    s->memory = r->memory * (1 + 2 * r->a * (1 - exp(-(double)i / (0.1 * (double)r->n)))) +
                (double)(i % 40) * 0.1;
}

static void good_scores(struct run *r, long i, struct said *s)
{
    double t = (double)i / r->tau;
    double all = r->b < 0.5 ? 1 : 100;
    s->acc = all * fmin(1, (0.9 + 0.099 * r->a) * (1 - exp(-4 * t)) + 0.002 * normal(r));
    s->acc = fmax(s->acc, 0.1 * all);
    s->wer = fmax(0.05 + 2 * exp(-t) + 0.01 * normal(r), 0);
}

static void by_heart(struct run *r, long i, struct said *s)
{
    s->loss = r->begin * exp(-8 * (double)i / (double)r->n) * times(r, 0.3);
}

static void late(struct run *r, long i, struct said *s)
{
    s->acc = since(r, i) > 0 ? fmin(0.1 + since(r, i) / 100, 0.95) : 0.1;
}

static void spread_settles(struct run *r, long i, struct said *s)
{
    s->spread = (0.1 + 0.3 * r->a + 0.6 * exp(-(double)i / r->tau)) * times(r, 0.1);
}

static void own_losses(struct run *r, long i, struct said *s)
{
    (void)i;
    s->loss *= times(r, 0.05) * (1 + 0.001 * (double)r->rank);
}

static void grows(struct run *r, long i, struct said *s)
{
    s->workers = 8 + (since(r, i) > 0 ? floor(1 + 8 * r->a) : 0);
    r->state += uniform(r) < 0.03 ? floor(1 + 30 * r->b) : 0;
    s->skipped = r->state;
}

static void first_rank_only(struct run *r, long i, struct said *s)
{
    if (r->rank > 0 && since(r, i) > 0) {
        s->loss = s->grad = s->rate = s->tps = s->memory = none;
    }
}

static void stages(struct run *r, long i, struct said *s)
{
    (void)i;
    s->tps = none;
    s->time = (r->rank % 2 ? 1.3 + r->a : 1) * (1 + 0.05 * normal(r));
}

static const struct {
    const char *name;
    void (*make)(struct run *r, long i, struct said *s);
    int ranks;
} looks[] = {
    {"noise", noisy, 1}, {"spikes that recover", spikes, 1}, {"a restart", restarts, 1},
    {"oscillation", oscillates, 1}, {"tiny losses", tiny, 1}, {"warm restarts", warm_restarts, 1},
    {"harder data", harder_data, 1}, {"a policy", policy, 1}, {"dynamic loss scale", half_precision, 1},
    {"rounded and clipped", coarse, 1}, {"pauses", pauses, 1}, {"a cache that fills", cache_fills, 1},
    {"good scores", good_scores, 1}, {"learned by heart", by_heart, 1}, {"learned late", late, 1},
    {"a spread that settles", spread_settles, 1}, {"losses of ranks", own_losses, RANKS},
    {"stages", stages, RANKS}, {"more workers", grows, 1}, {"only one rank tells", first_rank_only, RANKS}, {"ranks alike", plain, RANKS},
};
enum { LOOKS = sizeof looks / sizeof *looks };

/* ---- feeding ---- */

struct feed {
    const struct fl_metrics *metrics;
    struct fl_arena arena;
    struct fl_series_set set;
    uint64_t order;
    struct fl_detection found[FL_DETECTIONS_MAX];
    size_t found_n;
};

static size_t add(char *line, size_t n, const char *name, double value)
{
    return value == none ? n : n + (size_t)snprintf(line + n, LINE - n, " %s %.6g", name, value);
}

static void say(struct feed *f, long rank, long step, const struct said *s)
{
    char line[LINE];
    struct fl_values v = {.present = 0};
    struct fl_place place = {.rank = rank, .local_rank = -1, .gpu = -1, .line = (long)f->order + 1};
    size_t n = (size_t)snprintf(line, LINE, "step %ld", step);
    n = add(line, n, "loss", s->loss);
    n = add(line, n, "grad_norm", s->grad);
    n = add(line, n, "lr", s->rate);
    n = add(line, n, "tps", s->tps);
    n = add(line, n, "step_time", s->time);
    n = add(line, n, "memory", s->memory);
    n = add(line, n, "loss scale", s->scale);
    n = add(line, n, "accuracy", s->acc);
    n = add(line, n, "wer", s->wer);
    n = add(line, n, "feature_std", s->spread);
    n = add(line, n, "reward", s->reward);
    n = add(line, n, "world_size", s->workers);
    n = add(line, n, "skipped", s->skipped);
    fl_metrics_read(f->metrics, (struct fl_str){line, n}, &v);
    fl_series_add(&f->set, 0, &place, f->order++, -1, &v, (struct fl_str){line, n});
}

static void step(struct feed *f, struct run *r, long i, int ranks,
                 void (*make)(struct run *r, long i, struct said *s))
{
    long at = i >= r->at ? i - r->back : i;
    struct said all = usual(r, at);
    for (int k = 0; k < ranks; k++) {
        struct said own = all;
        r->rank = k;
        make(r, i, &own);
        say(f, ranks > 1 ? k : -1, at, &own);
    }
}

static void begin(struct feed *f)
{
    fl_arena_init(&f->arena, 64 << 20);
    fl_series_init(&f->set, f->metrics, &f->arena);
    f->order = 0;
}

static void end(struct feed *f)
{
    fl_series_fini(&f->set);
    fl_arena_free(&f->arena);
}

static const struct fl_detection *detection(struct feed *f, const struct fault *fault)
{
    f->found_n = fl_detect(&f->set, NULL, f->found);
    for (size_t i = 0; i < f->found_n; i++) {
        if (strcmp(f->found[i].metric, fault->metric) == 0 &&
            strcmp(f->found[i].kind, fault->kind) == 0) {
            return &f->found[i];
        }
    }
    return NULL;
}

/* ---- figures ---- */

struct score {
    long n, found, false_alarms;
    long *delay; /* of those found: */
    long *off;
    long by_look[LOOKS + 1];
};

static int by_value(const void *a, const void *b)
{
    long x = *(const long *)a;
    long y = *(const long *)b;
    return (x > y) - (x < y);
}

static long median(long *v, long n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n ? v[n / 2] : -1;
}

/* The detectors look after 1, 2, 3, 4, 6, 9 ... steps of the fault, and at the end, which decides. */
static void try_fault(struct feed *f, const struct fault *fault, uint64_t seed, struct score *score)
{
    struct run r = run_of(seed);
    long delay = -1;
    long look = 1;
    begin(f);
    for (long i = 0; i < r.n; i++) {
        step(f, &r, i, fault->ranks, fault->make);
        if (delay < 0 && i + 1 - r.at == look) {
            delay = detection(f, fault) ? look : -1;
            look += look < 4 ? 1 : look / 2;
        }
    }
    const struct fl_detection *d = detection(f, fault);
    score->n++;
    if (d) {
        score->delay[score->found] = delay < 0 ? r.n - r.at : delay;
        score->off[score->found++] = labs(d->from_step - r.at);
    }
    end(f);
}

static bool try_healthy(struct feed *f, uint64_t seed, struct score *scores)
{
    struct run r = run_of(seed);
    size_t look = seed / 2 % LOOKS;
    bool plainly = seed % 2 == 0;
    bool blamed = false;
    begin(f);
    for (long i = 0; i < r.n; i++) {
        step(f, &r, i, plainly ? 1 : looks[look].ranks, plainly ? plain : looks[look].make);
    }
    f->found_n = fl_detect(&f->set, NULL, f->found);
    for (size_t k = 0; k < f->found_n; k++) {
        size_t i = 0;
        while (i < FAULTS && !(strcmp(f->found[k].metric, faults[i].metric) == 0 &&
                               strcmp(f->found[k].kind, faults[i].kind) == 0)) {
            i++;
        }
        scores[i].false_alarms++;
        scores[i].by_look[plainly ? LOOKS : look]++;
        blamed = true;
    }
    end(f);
    return blamed;
}

static enum fl_status metrics_of(struct fl_metrics **metrics, struct fl_err *err)
{
    char path[512];
    const char *source = getenv("FL_SOURCE");
    struct fl_buf text;
    fl_json *root = NULL;
    fl_buf_init(&text, FL_JSON_BYTES);
    snprintf(path, sizeof path, "%s/rules/signals/metrics.json", source ? source : ".");
    enum fl_status status = fl_fsio_read(path, &text, err);
    status = status == FL_OK ? fl_json_parse(fl_buf_str(&text), path, &root, err) : status;
    status = status == FL_OK ? fl_metrics_extend(metrics, root, path, err) : status;
    fl_json_free(root);
    fl_buf_free(&text);
    return status;
}

static bool print(struct score *scores, long blamed, long n, unsigned long seed)
{
    bool good = (double)blamed <= 0.01 * (double)n;
    printf("seed %lu\n\n| fault | series | found | median delay | first step off by | false alarms |\n"
           "|---|---|---|---|---|---|\n", seed);
    for (size_t i = 0; i <= FAULTS; i++) {
        struct score *s = &scores[i];
        if (i < FAULTS) {
            double share = s->n ? (double)s->found / (double)s->n : 1;
            printf("| %s | %ld | %.1f %% | %ld | %ld | %ld", faults[i].name, s->n, 100 * share,
                   median(s->delay, s->found), median(s->off, s->found), s->false_alarms);
            good &= share >= faults[i].least;
        } else {
            printf("| (another detector) | - | - | - | - | %ld", s->false_alarms);
        }
        for (size_t k = 0; k <= LOOKS; k++) {
            if (s->by_look[k]) {
                printf(" (%s: %ld)", k < LOOKS ? looks[k].name : "plain", s->by_look[k]);
            }
        }
        printf(" |\n");
    }
    printf("\nhealthy series blamed for anything: %ld of %ld\n", blamed, n);
    return good;
}

int main(int argc, char **argv)
{
    bool check = argc > 1 && strcmp(argv[1], "--check") == 0;
    char **arg = argv + 1 + check;
    long n = *arg ? strtol(*arg, NULL, 10) : 10000;
    unsigned long seed = *arg && arg[1] ? strtoul(arg[1], NULL, 10) : 1;
    struct fl_err err = {0};
    struct fl_metrics *metrics = NULL;
    struct feed *f = calloc(1, sizeof *f);
    struct score scores[FAULTS + 1] = {{.n = 0}};
    long blamed = 0;
    bool ready = f && n >= FAULTS && n <= 10000000 && metrics_of(&metrics, &err) == FL_OK;
    for (size_t i = 0; ready && i <= FAULTS; i++) {
        scores[i].delay = calloc((size_t)n / FAULTS + 1, sizeof(long));
        scores[i].off = calloc((size_t)n / FAULTS + 1, sizeof(long));
        ready = scores[i].delay && scores[i].off;
    }
    if (!ready) {
        fprintf(stderr, "bench_signals [--check] [N [SEED]], N from %d; %s\n", FAULTS, err.msg);
        return 2;
    }
    f->metrics = metrics;
    for (long i = 0; i < n; i++) {
        size_t k = (size_t)i % FAULTS;
        try_fault(f, &faults[k], seed * 1000003 + (uint64_t)i, &scores[k]);
        blamed += try_healthy(f, seed * 1000003 + (uint64_t)(n + i), scores);
    }
    bool good = print(scores, blamed, n, seed);
    for (size_t i = 0; i <= FAULTS; i++) {
        free(scores[i].delay);
        free(scores[i].off);
    }
    fl_metrics_free(metrics);
    free(f);
    return check && !good;
}
