/* SPDX-License-Identifier: Apache-2.0 */
/* The weaker signs of where a line comes from: the name of its file, and what the message itself
 * begins with. Both are read only after the launcher prefixes, which know better. */
#include "service/ingest/host_name.h"
#include "service/ingest/prefix.h"

enum { FRONT = 240, PATH_LEVELS = 6, UUID_N = 36, CONTAINER_ID_MIN = 12 };

/* ---- file names ---- */

static bool is_joint(char c)
{
    return c == '-' || c == '_' || c == '.' || c == '=';
}

static bool is_number(struct fl_str s, long *value_r)
{
    return fl_str_take_number(&s, value_r) && s.n == 0;
}

/* Cuts the last component off *path ("" when none is left). */
static struct fl_str pop(struct fl_str *path)
{
    while (path->n && path->p[path->n - 1] == '/') {
        path->n--;
    }
    const char *slash = path->n ? memrchr(path->p, '/', path->n) : NULL;
    size_t from = slash ? (size_t)(slash - path->p) + 1 : 0;
    struct fl_str last = {path->p + from, path->n - from};
    path->n = from;
    return last;
}

/* Without .log, .txt, .out, .err, .gz, .zst, .1 and the like. */
static struct fl_str without_suffix(struct fl_str name)
{
    static const struct fl_str suffixes[] = {
        {".gz", 3},  {".zst", 4},    {".log", 4},    {".txt", 4},   {".out", 4},
        {".err", 4}, {".stdout", 7}, {".stderr", 7}, {".dmesg", 6},
    };
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (fl_str_ends(name, suffixes[i])) {
            name.n -= suffixes[i].n;
            i = (size_t)-1; /* once more from the first */
        }
    }
    return name;
}

/* rank3, rank_3, rank-3, rank.3, globalrank-3; local_rank3 and localrank-3 are local, and the
 * ranks of parallel groups (mp_rank_00, node_rank_1) are none. */
static void ranks_in(struct fl_str name, struct fl_prefix *out)
{
    struct fl_str s = name;
    for (const char *at; (at = fl_str_find(s, FL_LIT("rank"))) != NULL;) {
        struct fl_str before = {name.p, (size_t)(at - name.p)};
        s = fl_str_skip(s, (size_t)(at - s.p) + 4);
        struct fl_str number = s;
        if (number.n && is_joint(*number.p)) {
            number = fl_str_skip(number, 1);
        }
        long value;
        if (!fl_str_take_number(&number, &value)) {
            continue;
        }
        if (before.n && is_joint(before.p[before.n - 1])) {
            before.n--;
        }
        if (fl_str_ends(before, FL_LIT("local"))) {
            out->local_rank = value;
        } else if (fl_str_ends(before, FL_LIT("global"))) {
            out->rank = value;
        } else if (!fl_str_ends(before, FL_LIT("mp")) && !fl_str_ends(before, FL_LIT("tp")) &&
                   !fl_str_ends(before, FL_LIT("pp")) && !fl_str_ends(before, FL_LIT("dp")) &&
                   !fl_str_ends(before, FL_LIT("node")) && !fl_str_ends(before, FL_LIT("group")) &&
                   out->rank < 0 && (at == name.p || !fl_is_alpha(at[-1]))) {
            out->rank = value;
        }
    }
}

/* submitit's JOB_TASK_log.out and ARRAY_INDEX_TASK_log.err. */
static bool submitit(struct fl_str name, struct fl_prefix *out)
{
    bool is_out = fl_str_ends(name, FL_LIT("_log.out"));
    if (!is_out && !fl_str_ends(name, FL_LIT("_log.err"))) {
        return false;
    }
    name.n -= 8;
    const char *cut = name.n ? memrchr(name.p, '_', name.n) : NULL;
    return cut && fl_is_digit(*name.p) &&
           is_number(fl_str_skip(name, (size_t)(cut - name.p) + 1), &out->rank);
}

static bool is_hex(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!fl_is_digit(s.p[i]) && !(s.p[i] >= 'a' && s.p[i] <= 'f')) {
            return false;
        }
    }
    return true;
}

/* POD_NAMESPACE_CONTAINER-ID.log of /var/log/containers. */
static bool container_file(struct fl_str name, struct fl_prefix *out)
{
    const char *first = fl_str_find(name, FL_LIT("_"));
    const char *dash = name.n ? memrchr(name.p, '-', name.n) : NULL;
    if (!first || !dash || !fl_str_ends(name, FL_LIT(".log")) || dash < first) {
        return false;
    }
    struct fl_str id = {dash + 1, (size_t)(name.p + name.n - 4 - (dash + 1))};
    struct fl_str middle = {first + 1, (size_t)(dash - first) - 1};
    if (id.n < CONTAINER_ID_MIN || !is_hex(id) || !fl_str_find(middle, FL_LIT("_"))) {
        return false;
    }
    out->node = (struct fl_str){name.p, (size_t)(first - name.p)};
    return out->node.n > 0;
}

/* NAMESPACE_POD_UID, a folder of /var/log/pods. */
static bool pod_folder(struct fl_str name, struct fl_prefix *out)
{
    const char *last = name.n ? memrchr(name.p, '_', name.n) : NULL;
    const char *first = fl_str_find(name, FL_LIT("_"));
    if (!last || first == last) {
        return false;
    }
    size_t uid_n = name.n - (size_t)(last - name.p) - 1;
    if (uid_n != UUID_N && uid_n != 32) {
        return false;
    }
    out->node = (struct fl_str){first + 1, (size_t)(last - first) - 1};
    return out->node.n > 0;
}

/* dmesg-gpu-042.log, syslog.node3, kern_HOST.log, HOST.dmesg. */
static bool system_log(struct fl_str name, struct fl_prefix *out)
{
    static const struct fl_str kinds[] = {
        {"kernel", 6}, {"kern", 4}, {"dmesg", 5}, {"syslog", 6}, {"messages", 8}, {"journal", 7},
    };
    struct fl_str stem = without_suffix(name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct fl_str s = stem;
        if (fl_str_take(&s, kinds[i]) && s.n > 1 && is_joint(*s.p)) {
            s = fl_str_skip(s, 1);
        } else if (s = stem, fl_str_ends(s, kinds[i]) && s.n > kinds[i].n + 1 &&
                                 is_joint(s.p[s.n - kinds[i].n - 1])) {
            s.n -= kinds[i].n + 1;
        } else {
            s.n = fl_str_ends(name, FL_LIT(".dmesg")) ? s.n : 0;
        }
        if (fl_host_name_looks(s) || fl_host_name_is_common(s)) {
            out->node = s;
            return true;
        }
    }
    return false;
}

/* gpu-042, node_17, worker-2 as the name itself or as one of the parts between _ and dots. */
static void host_in(struct fl_str name, struct fl_prefix *out)
{
    if (!fl_str_find(name, FL_LIT("_")) && fl_host_name_is_common(name)) {
        out->node = name;
        return;
    }
    for (size_t i = 0, from = 0; i <= name.n; i++) {
        if (i < name.n && name.p[i] != '_' && name.p[i] != '.') {
            continue;
        }
        struct fl_str part = {name.p + from, i - from};
        long number;
        size_t next = i + 1;
        while (next < name.n && fl_is_digit(name.p[next])) {
            next++;
        }
        if (fl_str_eq(part, FL_LIT("node")) && next > i + 1 && next - i < 6) {
            part.n = next - from; /* node_17 */
        }
        if (part.n > 2 && !is_number(part, &number) && fl_host_name_is_common(part)) {
            out->node = part;
            return;
        }
        from = i + 1;
    }
}

static void stream_in(struct fl_str name, struct fl_prefix *out)
{
    struct fl_str kind = fl_str_head(name, 6);
    if (fl_str_eq(kind, FL_LIT("stderr")) || fl_str_eq(kind, FL_LIT("stdout"))) {
        out->stream = kind;
    }
}

static void file_name(struct fl_str name, struct fl_prefix *out)
{
    stream_in(name, out);
    if (submitit(name, out) || container_file(name, out) || system_log(name, out)) {
        return;
    }
    struct fl_str stem = without_suffix(name);
    struct fl_str s = name;
    if (fl_str_take(&s, FL_LIT("workerlog.")) && fl_str_take_number(&s, &out->local_rank)) {
        return; /* PaddlePaddle: one file per device of this node */
    }
    ranks_in(stem, out);
    host_in(stem, out);
}

/* Folders are often named after experiments, so the whole name must be rank_3, rank.03, node17. */
static void folder_name(struct fl_str name, struct fl_prefix *out)
{
    struct fl_str s = name;
    bool local = fl_str_take(&s, FL_LIT("local_"));
    long number;
    if (fl_str_take(&s, FL_LIT("rank"))) {
        if (s.n && is_joint(*s.p)) {
            s = fl_str_skip(s, 1);
        }
        if (is_number(s, &number)) {
            *(local ? &out->local_rank : &out->rank) = number;
        }
    } else {
        host_in(name, out);
        if (out->node.n != name.n) {
            out->node.n = 0;
        }
    }
}

bool fl_prefix_from_path(struct fl_str path, struct fl_prefix *out)
{
    fl_prefix_init(out);
    struct fl_str rest = path;
    file_name(pop(&rest), out);
    struct fl_str below = {"", 0};
    for (int level = 0; level < PATH_LEVELS && rest.n; level++) {
        struct fl_prefix more;
        fl_prefix_init(&more);
        struct fl_str folder = pop(&rest);
        if (fl_str_starts(folder, FL_LIT("attempt_"))) {
            (void)is_number(below, &more.local_rank);
        }
        if (!pod_folder(folder, &more)) {
            folder_name(folder, &more);
        }
        fl_prefix_merge(out, &more);
        below = folder;
    }
    return out->rank >= 0 || out->local_rank >= 0 || out->node.n || out->stream.n;
}

/* ---- messages ---- */

static struct fl_str word(struct fl_str s)
{
    size_t n = 0;
    while (n < s.n && n < FRONT && !fl_is_space(s.p[n])) {
        n++;
    }
    return (struct fl_str){s.p, n};
}

static bool is_name(struct fl_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!fl_is_host_char(s.p[i]) && s.p[i] != '_') {
            return false;
        }
    }
    return s.n > 0;
}

/* `host:pid:tid [dev] NCCL WARN ...`; newer versions put the time or the source file between. */
static bool nccl_header(struct fl_str s, struct fl_prefix *out, long *gpu_r)
{
    struct fl_str header = word(s);
    const char *colon = header.n ? memchr(header.p, ':', header.n) : NULL;
    if (!colon) {
        return false;
    }
    struct fl_str node = {header.p, (size_t)(colon - header.p)};
    struct fl_str ids = fl_str_skip(header, node.n + 1);
    long number;
    if (!fl_str_take_number(&ids, &number) || !fl_str_take_char(&ids, ':') ||
        !fl_str_take_number(&ids, &number) || ids.n || !is_name(node) ||
        (!fl_is_alpha(*node.p) && !fl_host_name_is_ipv4(node) && node.n < 3)) {
        return false;
    }
    s = fl_str_skip(s, header.n);
    if (!fl_str_take(&s, FL_LIT(" [")) || !fl_str_take_number(&s, &number) ||
        !fl_str_take_char(&s, ']')) {
        return false;
    }
    if (!fl_str_find(fl_str_head(s, FRONT), FL_LIT("NCCL"))) {
        return false;
    }
    out->node = node;
    *gpu_r = number;
    return true;
}

static size_t month_name(struct fl_str s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (size_t i = 0; s.n >= 3 && i < 36; i += 3) {
        if (memcmp(months + i, s.p, 3) == 0) {
            return 3;
        }
    }
    return 0;
}

/* `Oct 14 11:37:48 ` or `2026-01-02T03:04:05.123456+00:00 `, stepped over. */
static bool take_syslog_time(struct fl_str *s)
{
    long number;
    struct fl_str t = *s;
    if (month_name(t)) {
        t = fl_str_skip(t, 3);
        fl_str_take_char(&t, ' ');
        fl_str_take_char(&t, ' ');
        if (!fl_str_take_number(&t, &number) || !fl_str_take_char(&t, ' ')) {
            return false;
        }
        struct fl_str clock = word(t);
        if (clock.n < 8 || clock.p[2] != ':' || clock.p[5] != ':') {
            return false;
        }
        t = fl_str_skip(t, clock.n);
    } else {
        struct fl_str stamp = word(t);
        if (stamp.n < 19 || stamp.p[4] != '-' || stamp.p[10] != 'T') {
            return false;
        }
        t = fl_str_skip(t, stamp.n);
    }
    if (!fl_str_take_char(&t, ' ')) {
        return false;
    }
    *s = t;
    return true;
}

/* `TIME host kernel: ...`, `TIME host name[pid]: ...`. */
static bool syslog_header(struct fl_str s, struct fl_prefix *out)
{
    bool iso = s.n && fl_is_digit(*s.p);
    if (!take_syslog_time(&s)) {
        return false;
    }
    struct fl_str node = word(s);
    s = fl_str_skip(s, node.n);
    if (!fl_str_take_char(&s, ' ') || !is_name(node) ||
        (!fl_is_alpha(*node.p) && !fl_host_name_is_ipv4(node))) {
        return false;
    }
    struct fl_str tag = word(s);
    if (tag.n < 2 || tag.p[tag.n - 1] != ':') {
        return false;
    }
    bool service = tag.p[tag.n - 2] == ']' || fl_str_eq(tag, FL_LIT("kernel:"));
    if (!service && (iso || !fl_is_alpha(*tag.p))) {
        return false;
    }
    out->node = node;
    return true;
}

/* `[host:pid]` of Open MPI and PMIx, `[host:227  :0:227]` of UCX. */
static bool bracket_host(struct fl_str s, struct fl_prefix *out)
{
    if (!fl_str_take_char(&s, '[')) {
        return false;
    }
    const char *close = s.n ? memchr(s.p, ']', fl_str_head(s, 100).n) : NULL;
    const char *colon = close ? memchr(s.p, ':', (size_t)(close - s.p)) : NULL;
    if (!colon) {
        return false;
    }
    struct fl_str node = {s.p, (size_t)(colon - s.p)};
    struct fl_str ids = {colon + 1, (size_t)(close - colon) - 1};
    for (size_t i = 0; i < ids.n; i++) {
        if (!fl_is_digit(ids.p[i]) && ids.p[i] != ' ' && ids.p[i] != ':') {
            return false;
        }
    }
    if (ids.n == 0 || !fl_host_name_looks(node)) {
        return false;
    }
    out->node = node;
    return true;
}

/* `slurmstepd-HOST: error: ...` */
static bool stepd_host(struct fl_str s, struct fl_prefix *out)
{
    if (!fl_str_take(&s, FL_LIT("slurmstepd-"))) {
        return false;
    }
    struct fl_str node = word(s);
    if (node.n < 2 || node.p[node.n - 1] != ':') {
        return false;
    }
    node.n--;
    out->node = node;
    return is_name(node);
}

/* `[rank3]`, `[Rank 3]`, `[RANK 3]`, `[rank: 3]`; the rank in `[PG ID 0 PG GUID 0(default_pg) Rank
 * 1]` counts within the group, so only the default group's is used. */
static bool rank_in_bracket(struct fl_str s, long *rank_r, bool *weak_r)
{
    *weak_r = false;
    struct fl_str inside = fl_str_skip(s, 1);
    if (fl_str_take(&inside, FL_LIT("rank: ")) || fl_str_take(&inside, FL_LIT("rank")) ||
        fl_str_take(&inside, FL_LIT("Rank ")) || fl_str_take(&inside, FL_LIT("RANK "))) {
        return fl_str_take_number(&inside, rank_r) && inside.n && *inside.p == ']';
    }
    const char *close = fl_str_take(&inside, FL_LIT("PG "))
                            ? memchr(inside.p, ']', fl_str_head(inside, 90).n)
                            : NULL;
    if (!close) {
        return false;
    }
    inside.n = (size_t)(close - inside.p);
    bool is_default = fl_str_find(inside, FL_LIT("default_pg")) != NULL ||
                      fl_str_starts(inside, FL_LIT("0 Rank"));
    const char *at = fl_str_find(inside, FL_LIT("Rank "));
    if (!is_default || !at) {
        return false;
    }
    inside = fl_str_skip(inside, (size_t)(at - inside.p) + 5);
    *weak_r = true;
    return fl_str_take_number(&inside, rank_r) && inside.n == 0;
}

static bool watchdog_rank(struct fl_str message, struct fl_prefix *out)
{
    struct fl_str s = fl_str_head(message, FRONT);
    for (const char *at; s.n && (at = memchr(s.p, '[', s.n)) != NULL;) {
        s = fl_str_skip(s, (size_t)(at - s.p));
        long rank = -1;
        bool weak = false;
        if (rank_in_bracket(s, &rank, &weak) && (!weak || out->rank < 0)) {
            out->rank = rank;
            if (!weak) {
                return true;
            }
        }
        s = fl_str_skip(s, 1);
    }
    return out->rank >= 0;
}

bool fl_prefix_from_message(struct fl_str message, struct fl_prefix *out, long *gpu_r)
{
    long gpu = -1;
    fl_prefix_init(out);
    struct fl_str s = message;
    if (s.n > 2 && *s.p == '[' && fl_is_digit(s.p[1])) {
        const char *close = memchr(s.p, ']', fl_str_head(s, 48).n);
        if (close) {
            s = fl_str_skip(s, (size_t)(close - s.p) + 1);
            fl_str_take_char(&s, ' ');
        }
    }
    bool found = nccl_header(s, out, &gpu) || bracket_host(s, out) || stepd_host(s, out) ||
                 syslog_header(message, out);
    bool ranked = watchdog_rank(message, out);
    if (gpu_r) {
        *gpu_r = gpu;
    }
    return found || ranked;
}
