/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind of prefix has one small parser that either steps over it and notes what it says, or
 * leaves the cursor alone. The first byte decides which parsers are asked, so that most lines cost
 * one comparison. Prefixes nest (kubectl around srun around torchrun around c10d): the inner one
 * knows more about the process and wins. The vague ones, `3: ` and `host: `, count only outside of
 * the others, because messages contain such things too. */
#include "service/ingest/prefix.h"

#include "service/ingest/host_name.h"

enum {
    SEEN_OUTER = 1, /* CRI or kubectl: anything may follow */
    SEEN_HOST = 2,
    SEEN_TASK = 4,
    SEEN_ROLE = 8,
    SEEN_RANK = 16,
    SEEN_OTHER = 32,
};

enum { PREFIXES_MAX = 8, TASK_WIDTH = 4, TASK_DIGITS = 6, ACTOR_MAX_N = 160, LOCAL_DIGITS = 3 };

struct peel {
    struct fl_str rest;
    struct fl_prefix *out;
    unsigned seen;
};

static size_t blanks(struct fl_str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] == ' ') {
        n++;
    }
    return n;
}

/* Python indents by even numbers: an odd run holds the blank of a launcher that prints one. */
static void take_odd_blank(struct fl_str *s)
{
    if (blanks(*s) % 2 == 1) {
        *s = fl_str_skip(*s, 1);
    }
}

static bool done(struct peel *p, struct fl_str rest, unsigned kind)
{
    p->rest = rest;
    p->seen |= kind;
    return true;
}

/* `[rank3]:`, c10d's own. Torch prints a blank before text and none before a glog header. */
static bool peel_rank(struct peel *p)
{
    struct fl_str s = p->rest;
    long rank;
    if (!fl_str_take(&s, FL_LIT("[rank")) || !fl_str_take_number(&s, &rank) ||
        !fl_str_take(&s, FL_LIT("]:"))) {
        return false;
    }
    fl_str_take_char(&s, ' ');
    p->out->rank = rank;
    return done(p, s, SEEN_RANK);
}

static bool is_role(struct fl_str role)
{
    static const struct fl_str no[] = {
        {"step", 4},  {"epoch", 5}, {"iter", 4},  {"stage", 5}, {"layer", 5},
        {"gpu", 3},   {"cuda", 4},  {"phase", 5}, {"round", 5}, {"batch", 5},
        {"trial", 5}, {"node", 4},  {"E", 1},     {"W", 1},     {"I", 1},
        {"F", 1},     {"GPU", 3},   {"Epoch", 5}, {"Step", 4},
    };
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        if (fl_str_eq(role, no[i])) {
            return false;
        }
    }
    return role.n > 0 && (fl_is_alpha(*role.p) || *role.p == '_');
}

/* `[default7]:`, torchrun's role and local rank. No blank belongs to it. */
static bool peel_role(struct peel *p)
{
    size_t n = 1;
    while (n < p->rest.n && n < 48 && (fl_is_host_char(p->rest.p[n]) || p->rest.p[n] == '_')) {
        n++;
    }
    size_t digits = n;
    while (digits > 1 && fl_is_digit(p->rest.p[digits - 1])) {
        digits--;
    }
    struct fl_str role = {p->rest.p + 1, digits - 1};
    struct fl_str s = fl_str_skip(p->rest, digits);
    long local_rank;
    if (!is_role(role) || n - digits > LOCAL_DIGITS || !fl_str_take_number(&s, &local_rank) ||
        !fl_str_take(&s, FL_LIT("]:"))) {
        return false;
    }
    p->out->local_rank = local_rank;
    if (!fl_str_eq(role, FL_LIT("default"))) {
        p->out->stream = role;
    }
    if (p->seen & SEEN_TASK) {
        p->out->rank = -1; /* srun started one launcher per node: its label counts nodes */
    }
    return done(p, s, SEEN_ROLE);
}

/* `[1,3]<stderr>:` of mpirun (job, rank), `[prterun-host-7@1,3]<stdout>:`, `[3]<stderr>:` of
 * horovodrun. */
static bool peel_mpi(struct peel *p, struct fl_str s)
{
    const char *close = memchr(s.p, ']', fl_str_head(s, 80).n);
    if (!close || s.n == 0 || *s.p != '[') {
        return false;
    }
    struct fl_str inside = {s.p + 1, (size_t)(close - s.p) - 1};
    s = fl_str_skip(s, inside.n + 2);
    const char *cut = inside.n ? memrchr(inside.p, ',', inside.n) : NULL;
    if (cut) {
        inside = fl_str_skip(inside, (size_t)(cut - inside.p) + 1);
    }
    long rank;
    if (!fl_str_take_number(&inside, &rank) || inside.n) {
        return false;
    }
    const char *mark = s.p;
    if (!fl_str_take(&s, FL_LIT("<stderr>:")) && !fl_str_take(&s, FL_LIT("<stdout>:"))) {
        return false;
    }
    take_odd_blank(&s);
    p->out->rank = rank;
    p->out->stream = (struct fl_str){mark + 1, 6};
    return done(p, s, SEEN_OTHER);
}

/* The same with a date before it: `Fri Sep 25 16:52:53 2020[0]<stderr>:`. */
static bool peel_dated_mpi(struct peel *p)
{
    struct fl_str s = fl_str_head(p->rest, 64);
    bool dated = s.n > 24 && ((s.p[3] == ' ' && s.p[7] == ' ') || (s.p[4] == '-' && s.p[7] == '-'));
    const char *mark = dated ? fl_str_find(s, FL_LIT("]<std")) : NULL;
    const char *open = mark ? memrchr(s.p, '[', (size_t)(mark - s.p)) : NULL;
    return open && peel_mpi(p, fl_str_skip(p->rest, (size_t)(open - s.p)));
}

/* `[pod/name/container] ` of kubectl logs --prefix. */
static bool peel_pod(struct peel *p)
{
    struct fl_str s = p->rest;
    if (!fl_str_take(&s, FL_LIT("[pod/"))) {
        return false;
    }
    struct fl_str window = fl_str_head(s, 400);
    const char *close = fl_str_find(window, FL_LIT("]"));
    const char *slash = close ? memchr(s.p, '/', (size_t)(close - s.p)) : NULL;
    if (!slash || slash == s.p) {
        return false;
    }
    p->out->node = (struct fl_str){s.p, (size_t)(slash - s.p)};
    s = fl_str_skip(s, (size_t)(close - s.p) + 1);
    fl_str_take_char(&s, ' ');
    return done(p, s, SEEN_OUTER);
}

/* What torch's process groups print behind `[Rank 1] `: rules know these lines with the rank. */
static bool is_watchdog(struct fl_str s)
{
    static const struct fl_str heads[] = {
        {"Watchdog", 8},  {"NCCL", 4},          {"Timeout", 7},   {"Process group", 13},
        {"Some NCCL", 9}, {"some NCCL", 9},     {"Found key", 9}, {"Received", 8},
        {"First PG", 8},  {"ProcessGroup", 12}, {"Heartbeat", 9}, {"To avoid data", 13},
        {"Caught", 6},    {"Collective", 10},
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (fl_str_starts(s, heads[i])) {
            return true;
        }
    }
    return false;
}

/* `[RANK 1] text`, `[Rank 0] text`. Lightning's `[rank: 1] text` and `[rank1] text` tell the rank
 * but stay. */
static bool peel_rank_word(struct peel *p)
{
    struct fl_str s = p->rest;
    long rank;
    bool word = fl_str_take(&s, FL_LIT("[RANK ")) || fl_str_take(&s, FL_LIT("[Rank "));
    bool stays = !word && (fl_str_take(&s, FL_LIT("[rank: ")) || fl_str_take(&s, FL_LIT("[rank")));
    if ((!word && !stays) || !fl_str_take_number(&s, &rank) || !fl_str_take_char(&s, ']')) {
        return false;
    }
    p->out->rank = rank;
    if (stays || !fl_str_take_char(&s, ' ') || is_watchdog(s)) {
        return false;
    }
    return done(p, s, SEEN_RANK);
}

static bool peel_bracket(struct peel *p)
{
    if (p->rest.n < 4) {
        return false;
    }
    char c = p->rest.p[1];
    if (fl_is_digit(c)) {
        return peel_mpi(p, p->rest);
    }
    if (!fl_is_alpha(c) && c != '_') {
        return false;
    }
    return peel_rank(p) || peel_pod(p) || peel_role(p) || peel_rank_word(p) ||
           (c == 'p' && peel_mpi(p, p->rest));
}

/* "-5.4830" or "14.25, 14.25 avg": what is before it counts steps. */
static bool begins_with_value(struct fl_str s)
{
    long number;
    fl_str_take_char(&s, ' ');
    fl_str_take_char(&s, '-');
    if (!fl_str_take_number(&s, &number) || !fl_str_take_char(&s, '.') ||
        !fl_str_take_number(&s, &number)) {
        return false;
    }
    return s.n == 0 || *s.p == ',';
}

/* `  3: ` of srun -l, padded to the width of the largest task number; `0:[rank0]:` without. */
static bool peel_task(struct peel *p)
{
    if (p->seen & ~(unsigned)(SEEN_OUTER | SEEN_HOST)) {
        return false;
    }
    struct fl_str s = fl_str_skip(p->rest, blanks(fl_str_head(p->rest, TASK_WIDTH)));
    size_t padding = p->rest.n - s.n;
    long task;
    if (!fl_str_take_number(&s, &task)) {
        return false;
    }
    size_t width = p->rest.n - s.n;
    if ((padding && width > TASK_WIDTH) || width - padding > TASK_DIGITS ||
        !fl_str_take_char(&s, ':') || begins_with_value(s)) {
        return false;
    }
    if (s.n && *s.p != ' ') {
        struct fl_prefix scratch = *p->out;
        struct peel inner = {s, &scratch, SEEN_TASK};
        if (*s.p != '[' || !peel_bracket(&inner)) {
            return false;
        }
    }
    fl_str_take_char(&s, ' ');
    p->out->rank = task;
    return done(p, s, SEEN_TASK);
}

/* `2026-01-02T03:04:05.123456789Z text`: all nine digits, as Go prints a time of fixed width. */
static bool peel_stamp(struct peel *p)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddddddddZ ";
    enum { FORM_N = sizeof form - 1 };
    if (p->rest.n < FORM_N) {
        return false;
    }
    for (size_t i = 0; i < FORM_N; i++) {
        if (form[i] == 'd' ? !fl_is_digit(p->rest.p[i]) : p->rest.p[i] != form[i]) {
            return false;
        }
    }
    p->out->time = fl_str_head(p->rest, FORM_N - 1);
    return done(p, fl_str_skip(p->rest, FORM_N), SEEN_OUTER);
}

/* `2026-01-02T03:04:05.123456789Z stderr F text` of containerd and CRI-O. */
static bool peel_cri(struct peel *p)
{
    struct fl_str s = p->rest;
    if (s.n < 28 || s.p[4] != '-' || s.p[10] != 'T') {
        return false;
    }
    const char *blank = memchr(s.p, ' ', fl_str_head(s, 40).n);
    if (!blank) {
        return false;
    }
    s = fl_str_skip(s, (size_t)(blank - s.p) + 1);
    struct fl_str stream = fl_str_head(s, 6);
    if (!fl_str_take(&s, FL_LIT("stdout ")) && !fl_str_take(&s, FL_LIT("stderr "))) {
        return false;
    }
    bool partial = s.n && *s.p == 'P';
    if ((!fl_str_take_char(&s, 'F') && !fl_str_take_char(&s, 'P')) ||
        (s.n && *s.p != ' ' && *s.p != ':')) {
        return false;
    }
    blank = s.n ? memchr(s.p, ' ', s.n) : NULL;
    s = fl_str_skip(s, blank ? (size_t)(blank - s.p) + 1 : s.n);
    p->out->time = fl_str_head(p->rest, (size_t)(stream.p - p->rest.p) - 1);
    p->out->stream = stream;
    p->out->partial = partial;
    return done(p, s, SEEN_OUTER);
}

/* A lone value behind `name: ` makes the name a key. */
static bool is_value(struct fl_str s)
{
    s = fl_str_trim(s);
    if (s.n == 0) {
        return false;
    }
    if (s.n < 8 && (fl_str_eq(s, FL_LIT("true")) || fl_str_eq(s, FL_LIT("false")) ||
                    fl_str_eq(s, FL_LIT("True")) || fl_str_eq(s, FL_LIT("False")) ||
                    fl_str_eq(s, FL_LIT("null")) || fl_str_eq(s, FL_LIT("None")) ||
                    fl_str_eq(s, FL_LIT("nan")) || fl_str_eq(s, FL_LIT("inf")))) {
        return true;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!fl_is_digit(s.p[i]) && !memchr("+-.,eE%", s.p[i], 7)) {
            return false;
        }
    }
    return true;
}

/* `worker-1: `, `10.0.0.4: ` of pdsh, clush and the DeepSpeed launcher. */
static bool peel_host(struct peel *p)
{
    if (p->seen & ~(unsigned)SEEN_OUTER) {
        return false;
    }
    struct fl_str s = p->rest;
    size_t n = 0;
    while (n < s.n && n < 65 && fl_is_host_char(s.p[n])) {
        n++;
    }
    struct fl_str name = {s.p, n};
    s = fl_str_skip(s, n);
    if (n < 2 || !fl_str_take_char(&s, ':') || (s.n && *s.p != ' ') || !fl_host_name_looks(name)) {
        return false;
    }
    bool address = fl_is_digit(*name.p);
    if (!fl_str_take_char(&s, ' ') ? !address : !address && is_value(s)) {
        return false;
    }
    p->out->node = name;
    return done(p, s, SEEN_HOST);
}

/* `i.pretrain/0 [default2]:...` of torchx and nemo_run: job, role, replica. */
static bool peel_replica(struct peel *p, size_t word_n)
{
    struct fl_str s = fl_str_skip(p->rest, word_n);
    long replica;
    if (!fl_str_take_char(&s, '/') || !fl_str_take_number(&s, &replica) ||
        !fl_str_take_char(&s, ' ')) {
        return false;
    }
    if (!fl_str_starts(p->rest, FL_LIT("i."))) {
        struct fl_prefix scratch = *p->out;
        struct peel inner = {s, &scratch, SEEN_OTHER};
        if (s.n == 0 || *s.p != '[' || !peel_bracket(&inner)) {
            return false;
        }
    }
    return done(p, s, SEEN_OTHER);
}

/* `bench.node.tag [stderr] ` of milabench. */
static bool peel_bench(struct peel *p, size_t word_n)
{
    struct fl_str word = {p->rest.p, word_n};
    struct fl_str s = fl_str_skip(p->rest, word_n);
    const char *mark = s.p;
    const char *dot = fl_str_find(word, FL_LIT("."));
    if (!dot || (!fl_str_take(&s, FL_LIT(" [stderr]")) && !fl_str_take(&s, FL_LIT(" [stdout]")))) {
        return false;
    }
    struct fl_str node = fl_str_skip(word, (size_t)(dot - word.p) + 1);
    dot = fl_str_find(node, FL_LIT("."));
    node.n = dot ? (size_t)(dot - node.p) : 0;
    if (fl_host_name_looks(node)) {
        p->out->node = node;
    }
    fl_str_take_char(&s, ' ');
    p->out->stream = (struct fl_str){mark + 2, 6};
    return done(p, s, SEEN_OTHER);
}

static bool peel_word(struct peel *p)
{
    struct fl_str s = p->rest;
    size_t n = 0;
    while (n < s.n && n < 128 && (fl_is_host_char(s.p[n]) || s.p[n] == '_')) {
        n++;
    }
    if (n == s.n || n == 128) {
        return false;
    }
    switch (s.p[n]) {
    case ':':
        return peel_host(p);
    case '/':
        return peel_replica(p, n);
    case ' ':
        return n == 3 ? peel_dated_mpi(p) : s.n - n > 9 && s.p[n + 1] == '[' && peel_bench(p, n);
    default:
        return false;
    }
}

/* `Worker_TP3` and `VllmWorker rank=3` know more than a name. */
static void note_actor(struct fl_str name, struct fl_prefix *out)
{
    long number;
    const char *rank = fl_str_find(name, FL_LIT(" rank="));
    if (rank) {
        struct fl_str s = fl_str_skip(name, (size_t)(rank - name.p) + 6);
        out->rank = fl_str_take_number(&s, &number) ? number : out->rank;
        name.n = (size_t)(rank - name.p);
    }
    struct fl_str s = name;
    if ((fl_str_take(&s, FL_LIT("Worker_TP")) || fl_str_take(&s, FL_LIT("VllmWorker TP"))) &&
        fl_str_take_number(&s, &number) && s.n == 0) {
        out->local_rank = number;
    }
    out->stream = name;
}

/* `, ip=10.0.0.3)` or `)` and the blank behind. */
static bool peel_actor_end(struct peel *p, struct fl_str s, struct fl_str name)
{
    struct fl_str node = {0};
    if (fl_str_take(&s, FL_LIT(", ip="))) {
        node.p = s.p;
        while (node.n < s.n && (fl_is_host_char(s.p[node.n]) || s.p[node.n] == ':')) {
            node.n++;
        }
        s = fl_str_skip(s, node.n);
    }
    if (!fl_str_take_char(&s, ')') || (s.n && !fl_str_take_char(&s, ' '))) {
        return false;
    }
    note_actor(name, p->out);
    if (node.n) {
        p->out->node = node;
    }
    return done(p, s, SEEN_OTHER);
}

/* `(RayTrainWorker pid=123, ip=10.0.0.3) `, `(raylet) `, `(autoscaler +1m2s) `; of SkyPilot
 * `(train, pid=123) `, `(worker1, rank=1, pid=123, ip=10.0.0.3) `, whose rank is that of the node. */
static bool peel_actor(struct peel *p)
{
    static const struct fl_str services[] = {
        {"raylet", 6}, {"gcs_server", 10}, {"autoscaler", 10}, {"scheduler", 9}, {"dashboard", 9},
    };
    struct fl_str inside = fl_str_skip(p->rest, 1);
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        struct fl_str s = inside;
        if (fl_str_take(&s, services[i])) {
            if (s.n > 2 && s.p[0] == ' ' && s.p[1] == '+') {
                const char *close = memchr(s.p, ')', fl_str_head(s, 32).n);
                s = fl_str_skip(s, close ? (size_t)(close - s.p) : 0);
            }
            return peel_actor_end(p, s, fl_str_head(inside, services[i].n));
        }
    }
    const char *pid = fl_str_find(fl_str_head(inside, ACTOR_MAX_N), FL_LIT(" pid="));
    if (!pid || pid == inside.p) {
        return false;
    }
    struct fl_str name = {inside.p, (size_t)(pid - inside.p)};
    struct fl_str s = fl_str_skip(inside, name.n + 5);
    const char *comma = memchr(name.p, ',', name.n);
    name.n = comma ? (size_t)(comma - name.p) : name.n;
    long number;
    return fl_str_take_number(&s, &number) && peel_actor_end(p, s, name);
}

static bool peel_one(struct peel *p)
{
    char c = *p->rest.p;
    if (c == '[') {
        return peel_bracket(p);
    }
    if (c == '(') {
        return peel_actor(p);
    }
    if (c == ' ') {
        return peel_task(p);
    }
    if (fl_is_digit(c)) {
        return peel_task(p) || peel_cri(p) || peel_stamp(p) || peel_host(p) || peel_dated_mpi(p);
    }
    return fl_is_alpha(c) && peel_word(p);
}

void fl_prefix_init(struct fl_prefix *prefix)
{
    *prefix = (struct fl_prefix){.rank = -1, .local_rank = -1, .node = {"", 0}, .stream = {"", 0},
                                .time = {"", 0}};
}

size_t fl_prefix_peel(struct fl_str line, struct fl_prefix *out)
{
    fl_prefix_init(out);
    struct peel p = {line, out, 0};
    for (int i = 0; i < PREFIXES_MAX && p.rest.n && peel_one(&p); i++) {
    }
    return line.n - p.rest.n;
}

void fl_prefix_merge(struct fl_prefix *into, const struct fl_prefix *from)
{
    if (into->rank < 0) {
        into->rank = from->rank;
    }
    if (into->local_rank < 0) {
        into->local_rank = from->local_rank;
    }
    if (into->node.n == 0) {
        into->node = from->node;
    }
    if (into->stream.n == 0) {
        into->stream = from->stream;
    }
    if (into->time.n == 0) {
        into->time = from->time;
    }
    into->partial = into->partial || from->partial;
}
