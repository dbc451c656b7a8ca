/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/push_key.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/base/hash.h"
#include "service/http/push.h"
#include "service/ingest/timestamp.h"

/* ---- keys ---- */

struct known {
    const char *text;
    size_t n;
    struct fl_push_key key;
};

#define KEY(text, role, weight)                                                                    \
    {                                                                                              \
        (text), sizeof(text) - 1,                                                                  \
        {                                                                                          \
            FL_PUSH_IS_##role, (weight)                                                            \
        }                                                                                          \
    }

/* What shippers, launchers, log libraries and OpenTelemetry's conventions set, most telling first
 * by weight; shorter ones first, those of a length in the order of their bytes. */
static const struct known known[] = {
    KEY("ts", TIME, 4),
    KEY("app", JOB, 8),
    KEY("err", TRACE, 1),
    KEY("job", JOB, 6),
    KEY("k8s", PARENT, 0),
    KEY("log", TEXT, 0),
    KEY("lvl", LEVEL, 0),
    KEY("msg", TEXT, 2),
    KEY("pid", PASSING, 0),
    KEY("pod", POD, 0),
    KEY("body", TEXT, 3),
    KEY("date", TIME, 0),
    KEY("file", FILE, 0),
    KEY("host", NODE, 4),
    KEY("line", TEXT, 4),
    KEY("node", NODE, 1),
    KEY("path", FILE, 0),
    KEY("rank", RANK, 1),
    KEY("text", TEXT, 7),
    KEY("time", TIME, 1),
    KEY("unit", PROGRAM, 2),
    KEY("error", TRACE, 1),
    KEY("event", TEXT, 6),
    KEY("extra", BAG, 0),
    KEY("flags", PASSING, 0),
    KEY("ident", PROGRAM, 1),
    KEY("jobid", JOB, 2),
    KEY("level", LEVEL, 0),
    KEY("stack", TRACE, 0),
    KEY("docker", PARENT, 0),
    KEY("fields", BAG, 0),
    KEY("job_id", JOB, 2),
    KEY("labels", BAG, 0),
    KEY("run_id", JOB, 5),
    KEY("spanid", PASSING, 0),
    KEY("stream", PASSING, 0),
    KEY("thread", PASSING, 0),
    KEY("appname", PROGRAM, 1),
    KEY("asctime", TIME, 8),
    KEY("context", BAG, 0),
    KEY("isodate", TIME, 5),
    KEY("message", TEXT, 1),
    KEY("program", PROGRAM, 1),
    KEY("service", PARENT, 0),
    KEY("span_id", PASSING, 0),
    KEY("traceid", PASSING, 0),
    KEY("app_name", PROGRAM, 1),
    KEY("exc_info", TRACE, 0),
    KEY("exc_text", TRACE, 0),
    KEY("filename", FILE, 0),
    KEY("hostname", NODE, 3),
    KEY("instance", NODE, 5),
    KEY("job_name", JOB, 4),
    KEY("log_file", PARENT, 0),
    KEY("loglevel", PASSING, 0),
    KEY("metadata", BAG, 0),
    KEY("nodename", NODE, 1),
    KEY("pod_name", POD, 0),
    KEY("severity", LEVEL, 0),
    KEY("trace_id", PASSING, 0),
    KEY("_hostname", NODE, 4),
    KEY("container", CONTAINER, 0),
    KEY("err_stack", TRACE, 0),
    KEY("exception", TRACE, 0),
    KEY("file_path", FILE, 0),
    KEY("host_name", NODE, 3),
    KEY("levelname", PASSING, 0),
    KEY("log_level", PASSING, 0),
    KEY("logstream", PASSING, 0),
    KEY("node_name", NODE, 1),
    KEY("timestamp", TIME, 2),
    KEY("traceback", TRACE, 0),
    KEY("_timestamp", TIME, 3),
    KEY("attributes", BAG, 0),
    KEY("kubernetes", PARENT, 0),
    KEY("level_name", PASSING, 0),
    KEY("local_rank", LOCAL_RANK, 0),
    KEY("stacktrace", TRACE, 0),
    KEY("syslog_tag", PROGRAM, 1),
    KEY("world_rank", RANK, 1),
    KEY("application", JOB, 9),
    KEY("err_message", TRACE, 1),
    KEY("error_stack", TRACE, 0),
    KEY("global_rank", RANK, 1),
    KEY("process_pid", PASSING, 0),
    KEY("programname", PROGRAM, 1),
    KEY("slurm_jobid", JOB, FL_PUSH_SLURM),
    KEY("stack_trace", TRACE, 0),
    KEY("full_message", TRACE, 0),
    KEY("k8s_job_name", JOB, 4),
    KEY("k8s_pod_name", POD, 0),
    KEY("log_iostream", PASSING, 0),
    KEY("mpi_job_name", JOB, 3),
    KEY("process_rank", RANK, 2),
    KEY("service_name", JOB, 7),
    KEY("slurm_job_id", JOB, FL_PUSH_SLURM),
    KEY("slurm_procid", RANK, 2),
    KEY("systemd_unit", PROGRAM, 2),
    KEY("_systemd_unit", PROGRAM, 2),
    KEY("error_message", TRACE, 1),
    KEY("faultline_job", JOB, 0),
    KEY("host_hostname", NODE, 4),
    KEY("k8s_node_name", NODE, 2),
    KEY("log_file_name", FILE, 0),
    KEY("log_file_path", FILE, 0),
    KEY("process_index", RANK, 2),
    KEY("severity_text", PASSING, 0),
    KEY("short_message", TEXT, 5),
    KEY("slurm_localid", LOCAL_RANK, 0),
    KEY("agent_hostname", NODE, 4),
    KEY("container_name", CONTAINER, 0),
    KEY("detected_level", PASSING, 0),
    KEY("faultline_node", NODE, 0),
    KEY("faultline_rank", RANK, 0),
    KEY("ray_io_cluster", JOB, 3),
    KEY("kubernetes_host", NODE, 2),
    KEY("severity_number", PASSING, 0),
    KEY("slurmd_nodename", NODE, 2),
    KEY("syslog_hostname", NODE, 4),
    KEY("pytorch_job_name", JOB, 3),
    KEY("error_stack_trace", TRACE, 0),
    KEY("exception_message", TRACE, 1),
    KEY("kubernetes_labels", BAG, 0),
    KEY("syslog_identifier", PROGRAM, 0),
    KEY("k8s_container_name", CONTAINER, 0),
    KEY("k8s_deployment_name", JOB, 8),
    KEY("kubernetes_job_name", JOB, 4),
    KEY("kubernetes_pod_name", POD, 0),
    KEY("service_instance_id", INSTANCE, 0),
    KEY("torchelastic_run_id", JOB, 5),
    KEY("volcano_sh_job_name", JOB, 3),
    KEY("__realtime_timestamp", TIME, 7),
    KEY("exception_stacktrace", TRACE, 0),
    KEY("k8s_statefulset_name", JOB, 8),
    KEY("kubernetes_node_name", NODE, 2),
    KEY("exception_stack_trace", TRACE, 0),
    KEY("app_kubernetes_io_name", JOB, 9),
    KEY("kubernetes_container_name", CONTAINER, 0),
    KEY("_source_realtime_timestamp", TIME, 6),
    KEY("app_kubernetes_io_instance", JOB, 8),
    KEY("batch_kubernetes_io_job_name", JOB, 4),
    KEY("jobset_sigs_k8s_io_jobset_name", JOB, 3),
    KEY("training_kubeflow_org_job_name", JOB, 3),
    KEY("leaderworkerset_sigs_k8s_io_name", JOB, 3),
};

static int by_text(const void *a, const void *b)
{
    const struct known *x = a;
    const struct known *y = b;
    return x->n == y->n ? memcmp(x->text, y->text, x->n) : x->n < y->n ? -1 : 1;
}

static void add_folded(struct fl_str s, char *out, size_t *n)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool upper = c >= 'A' && c <= 'Z';
        bool joint = c == '.' || c == '-' || c == '/' || c == '@';
        out[(*n)++] = (char)(upper ? c + ('a' - 'A') : joint ? '_' : c);
    }
}

struct fl_push_key fl_push_key_of(struct fl_str parent, struct fl_str key)
{
    char folded[FL_PUSH_KEY];
    struct known sought = {.text = folded};
    const struct known *found = NULL;
    if (parent.n + 1 + key.n <= sizeof folded) {
        add_folded(parent, folded, &sought.n);
        add_folded(FL_LIT("_"), folded, parent.n ? &sought.n : &(size_t){0});
        add_folded(key, folded, &sought.n);
        found = bsearch(&sought, known, sizeof known / sizeof *known, sizeof *known, by_text);
    }
    return found ? found->key : (struct fl_push_key){FL_PUSH_IS_OTHER, 0};
}

/* ---- numbers ---- */

long fl_push_rank(struct fl_str text)
{
    long rank = -1;
    text = fl_str_trim(text);
    bool whole = fl_str_take_number(&text, &rank) && text.n == 0;
    return whole && rank <= FL_PUSH_RANK_MAX ? rank : -1;
}

enum { NS_DIGITS = 9, NUMBER_MAX_N = 40, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

/* The digits behind the point as nanoseconds. */
static int64_t fraction_ns(struct fl_str s)
{
    int64_t ns = 0;
    for (size_t i = 0; i < NS_DIGITS; i++) {
        ns = ns * 10 + (i < s.n && fl_is_digit(s.p[i]) ? s.p[i] - '0' : 0);
        s.n = i < s.n && fl_is_digit(s.p[i]) ? s.n : i;
    }
    return ns;
}

/* 1.7e9 and the like; doubles hold microseconds of our days. */
static int64_t exponent_ns(struct fl_str s)
{
    char text[NUMBER_MAX_N + 1];
    if (s.n > NUMBER_MAX_N) {
        return 0;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double seconds = strtod(text, NULL);
    return seconds > 1e8 && seconds < 9e9 ? (int64_t)(seconds * 1e6) * 1000 : 0;
}

/* The size tells the unit; what is none of a day from 1973 to 2255 is a duration, or nothing. */
static int64_t epoch_ns(struct fl_str s)
{
    long value;
    if (!fl_str_take_number(&s, &value)) {
        return 0;
    }
    long ticks = value < 10000000000 ? 1 : value < 10000000000000 ? 1000 : 1000000;
    if (s.n == 1 && value >= 100000000000000000) { /* the 19th digit of nanoseconds */
        return fl_is_digit(*s.p) && value < 900000000000000000 ? value * 10 + (*s.p - '0') : 0;
    }
    if (value / ticks < 100000000 || value / ticks >= 9000000000 || (s.n && *s.p != '.')) {
        return 0;
    }
    struct fl_str fraction = fl_str_skip(s, s.n ? 1 : 0);
    return value * (NS_PER_S / ticks) + fraction_ns(fraction) / ticks;
}

int64_t fl_push_time(struct fl_str text)
{
    text = fl_str_trim(text);
    if (text.n == 0 || !fl_is_digit(*text.p)) {
        return 0;
    }
    if (memchr(text.p, 'e', text.n) || memchr(text.p, 'E', text.n)) {
        return exponent_ns(text);
    }
    struct fl_timestamp stamp;
    if (!memchr(text.p, ':', text.n)) {
        return epoch_ns(text);
    }
    if (!fl_timestamp_find(text, 0, &stamp) || stamp.at || !stamp.has_year || stamp.ms < 0) {
        return 0;
    }
    struct fl_str printed = fl_str_head(text, stamp.n);
    const char *point = memchr(printed.p, '.', printed.n);
    struct fl_str digits =
        point ? fl_str_skip(printed, (size_t)(point - printed.p) + 1) : fl_str_head(printed, 0);
    return stamp.ms * NS_PER_MS + fraction_ns(digits) % NS_PER_MS;
}

/* ---- names ---- */

static bool is_plain(char c)
{
    return fl_is_alpha(c) || fl_is_digit(c) || c == '.' || c == '_' || c == '-';
}

/* Cuts "-LAST" off when LAST is made of n to m of these bytes. */
static bool cut_last(struct fl_str *s, size_t min, size_t max, const char *bytes)
{
    const char *dash = s->n ? memrchr(s->p, '-', s->n) : NULL;
    if (!dash || dash == s->p) {
        return false;
    }
    size_t head = (size_t)(dash - s->p);
    size_t n = s->n - head - 1;
    for (size_t i = 0; i < n; i++) {
        if (!dash[1 + i] || !strchr(bytes, dash[1 + i])) {
            return false;
        }
    }
    s->n = n >= min && n <= max ? head : s->n;
    return n >= min && n <= max;
}

struct fl_str fl_push_pod_job(struct fl_str pod)
{
    static const char random[] = "bcdfghjklmnpqrstvwxz2456789"; /* what Kubernetes draws from */
    static const struct fl_str roles[] = {
        {"-worker", 7},   {"-workers", 8}, {"-master", 7},
        {"-launcher", 9}, {"-chief", 6},   {"-ps", 3},
    };
    if (cut_last(&pod, 5, 5, random)) {
        (void)cut_last(&pod, 8, 10, random); /* of a Deployment's ReplicaSet */
    }
    while (cut_last(&pod, 1, 5, "0123456789")) {
    }
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (pod.n > roles[i].n && fl_str_ends(pod, roles[i])) {
            pod.n -= roles[i].n;
        }
    }
    return pod;
}

struct fl_str fl_push_slurm_job(struct fl_str path)
{
    const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;
    struct fl_str s = slash ? fl_str_skip(path, (size_t)(slash - path.p) + 1) : path;
    long number;
    if (!fl_str_take(&s, FL_LIT("slurm-"))) {
        return (struct fl_str){"", 0};
    }
    struct fl_str from = {s.p - 6, s.n + 6};
    if (!fl_str_take_number(&s, &number)) {
        return (struct fl_str){"", 0};
    }
    struct fl_str index = s;
    if (fl_str_take_char(&index, '_') && fl_str_take_number(&index, &number)) {
        s = index;
    }
    return (struct fl_str){from.p, from.n - s.n};
}

static void put(struct fl_str text, size_t most, bool narrow, char *out)
{
    size_t n = text.n <= most ? text.n : most - 9;
    for (size_t i = 0; i < n; i++) {
        char c = text.p[i];
        bool goes = narrow ? is_plain(c) : (unsigned char)c >= 0x20 && c != 0x7f;
        out[i] = goes ? c : '-';
    }
    out[n] = '\0';
    if (text.n > most) {
        (void)snprintf(out + n, 10, "-%08x", (unsigned)fl_hash(text, 0));
    }
}

void fl_push_name(struct fl_str text, size_t most, char *out)
{
    put(text, most, false, out);
}

void fl_push_job_name(struct fl_str text, char *out)
{
    bool dots = fl_str_eq(text, FL_LIT(".")) || fl_str_eq(text, FL_LIT(".."));
    put(text.n == 0 || dots ? FL_LIT("unnamed") : text, FL_PUSH_JOB, true, out);
}
