/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/slurm.h"

#include "service/http/push_key.h"

#include <stdio.h>

enum { FACTS = 32 << 10, FACT = 512, ARRAY_NONE = -2 /* Slurm prints it as 4294967294 */ };

/* ---- paths ---- */

/* The first host of gpu[01-04,7],login: gpu01; without its domain. */
static struct fl_str first_host(struct fl_str nodes, char out[static 256])
{
    size_t n = 0;
    size_t i = 0;
    for (; i < nodes.n && n < 255 && !memchr(",[", nodes.p[i], 2); i++) {
        out[n++] = nodes.p[i];
    }
    if (i < nodes.n && nodes.p[i] == '[') {
        for (i++; i < nodes.n && n < 255 && !memchr(",-]", nodes.p[i], 3); i++) {
            out[n++] = nodes.p[i];
        }
    }
    struct fl_str host = {out, n};
    const char *dot = n ? memchr(out, '.', n) : NULL;
    return dot ? fl_str_head(host, (size_t)(dot - out)) : host;
}

static void add_number(struct fl_buf *out, long width, long number)
{
    fl_buf_addf(out, "%0*ld", (int)(width < 10 ? width : 10), number);
}

/* One symbol, behind the %. */
static void add_symbol(struct fl_buf *out, char symbol, long width, const struct fl_slurm_names *names)
{
    char room[256];
    bool array = names->array_task >= 0;
    switch (symbol) {
    case 'j':
    case 'J': /* of a batch step */
        add_number(out, width, names->job);
        return;
    case 'A':
        add_number(out, width, names->array_job);
        return;
    case 'a':
        if (array) {
            add_number(out, width, names->array_task);
        } else {
            fl_buf_addf(out, "%u", (unsigned)ARRAY_NONE);
        }
        return;
    case 'b':
        add_number(out, width, array ? names->array_task % 10 : 0);
        return;
    case 'n':
    case 't':
        add_number(out, width, 0);
        return;
    case 's':
        fl_buf_add_text(out, "batch");
        return;
    case 'x':
        fl_buf_add_str(out, names->name);
        return;
    case 'u':
        fl_buf_add_str(out, names->user);
        return;
    case 'N':
        fl_buf_add_str(out, first_host(names->nodes, room));
        return;
    case '%':
        fl_buf_add_text(out, "%");
        return;
    default:
        fl_buf_addf(out, "%%%c", symbol);
        return;
    }
}

bool fl_slurm_path(struct fl_str pattern, const struct fl_slurm_names *names, char out[static FL_SLURM_PATH])
{
    struct fl_buf path;
    bool plain = memchr(pattern.p, '\\', pattern.n) != NULL; /* one of them turns all symbols off */
    bool relative = pattern.n == 0 || *pattern.p != '/';
    fl_buf_init(&path, FL_SLURM_PATH);
    if (relative) {
        fl_buf_addf(&path, "%.*s/", (int)names->folder.n, names->folder.p);
    }
    for (struct fl_str s = pattern; s.n;) {
        char c = *s.p;
        s = fl_str_skip(s, 1);
        if (plain ? c == '\\' : c == '%' && s.n) {
            long width = 0;
            (void)(plain || (fl_is_digit(*s.p) && fl_str_take_number(&s, &width)));
            if (!plain && s.n) {
                add_symbol(&path, *s.p, width, names);
                s = fl_str_skip(s, 1);
            }
        } else {
            fl_buf_add(&path, &c, 1);
        }
    }
    bool good = !path.failed && path.n < FL_SLURM_PATH && !(relative && !names->folder.n) &&
                !memchr(fl_buf_text(&path), '\0', path.n);
    memcpy(out, good ? fl_buf_text(&path) : "", good ? path.n + 1 : 1);
    fl_buf_free(&path);
    return good;
}

/* ---- the record ---- */

/* Numbers come as numbers, and from some versions as texts. */
static long number_of(const fl_json *record, const char *key, long missing)
{
    struct fl_str text = fl_json_get_str(record, key);
    long number = missing;
    if (text.n) {
        return fl_str_take_number(&text, &number) && text.n == 0 ? number : missing;
    }
    double value = fl_json_get_num(record, key, -1);
    return value >= 0 && value < 1e15 ? (long)value : missing;
}

static void add_facts(const fl_json *record, struct fl_jw *w)
{
    static const struct {
        const char *key;
        const char *as;
    } texts[] = {{"cluster", "cluster"}, {"username", "user"}, {"account", "account"},
                 {"partition", "partition"}, {"qos", "qos"}, {"job_name", "job_name"}, {"state", "state"},
                 {"exit_code", "exit_code"}, {"derived_ec", "derived_exit_code"}, {"nodes", "nodes"},
                 {"failed_node", "failed_node"}, {"excluded_nodes", "excluded_nodes"}, {"@submit", "submitted"},
                 {"@start", "started"}, {"@end", "ended"}, {"work_dir", "work_dir"}, {"tres_alloc", "tres"},
                 {"reservation_name", "reservation"}},
      numbers[] = {{"jobid", "jobid"}, {"array_job_id", "array_job"}, {"array_task_id", "array_task"},
                   {"elapsed", "seconds"}, {"time_limit", "limit_minutes"}, {"total_nodes", "node_count"},
                   {"ntasks", "tasks"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct fl_str s = fl_json_get_str(record, texts[i].key);
        if (s.n) {
            fl_jw_key_str(w, texts[i].as, fl_str_head(s, FACT));
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        long n = number_of(record, numbers[i].key, -1);
        if (n >= 0) {
            fl_jw_key_int(w, numbers[i].as, n);
        }
    }
}

static struct fl_str file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return fl_str_of(slash ? slash + 1 : path);
}

static void add_file(struct fl_jw *w, const char *path)
{
    char stream[201];
    fl_push_name(file_name(path), sizeof stream - 1, stream);
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "path", path);
    fl_jw_key_text(w, "stream", stream);
    fl_jw_end(w, '}');
}

static void add_log(const fl_json *record, const struct fl_slurm_names *names, struct fl_slurm *out,
                    struct fl_jw *w)
{
    char out_path[FL_SLURM_PATH];
    char err_path[FL_SLURM_PATH];
    struct fl_str pattern = fl_json_get_str(record, "std_out");
    struct fl_str errors = fl_json_get_str(record, "std_err");
    struct fl_str usual = names->array_task >= 0 ? FL_LIT("slurm-%A_%a.out") : FL_LIT("slurm-%j.out");
    long uid = number_of(record, "user_id", -1);
    bool has_out = fl_slurm_path(pattern.n ? pattern : usual, names, out_path);
    bool has_err = errors.n && fl_slurm_path(errors, names, err_path) && strcmp(out_path, err_path) != 0;
    out->has_log = has_out || has_err;
    fl_jw_key(w, "log");
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "state", out->has_log ? "waiting" : "Slurm does not say where it is");
    fl_jw_key(w, "files");
    fl_jw_begin(w, '[');
    if (has_out) {
        add_file(w, out_path);
    }
    if (has_err) {
        add_file(w, err_path);
    }
    fl_jw_end(w, ']');
    if (uid >= 0) {
        fl_jw_key_int(w, "uid", uid);
    }
    bool done = fl_str_eq(fl_json_get_str(record, "state"), FL_LIT("COMPLETED"));
    fl_jw_key_int(w, "most", done ? FL_SLURM_HEALTHY_LOG : 0);
    fl_jw_end(w, '}');
}

static void name_job(const fl_json *record, const struct fl_slurm_names *names, char *out)
{
    char text[80];
    long het = number_of(record, "het_job_id", number_of(record, "pack_job_id", 0));
    long part = number_of(record, "het_job_offset", number_of(record, "pack_job_offset", 0));
    if (names->array_task >= 0) {
        snprintf(text, sizeof text, "slurm-%ld_%ld", names->array_job, names->array_task);
    } else if (het > 0 && part > 0) {
        snprintf(text, sizeof text, "slurm-%ld-%ld", het, part);
    } else {
        snprintf(text, sizeof text, "slurm-%ld", names->job);
    }
    fl_push_job_name(fl_str_of(text), out);
}

enum fl_status fl_slurm_read(const fl_json *record, struct fl_slurm *out, struct fl_err *err)
{
    struct fl_jw w;
    *out = (struct fl_slurm){.has_log = false};
    fl_buf_init(&out->facts, FACTS);
    long task = number_of(record, "array_task_id", -1);
    long array = number_of(record, "array_job_id", 0);
    struct fl_slurm_names names = {.job = number_of(record, "jobid", 0),
                                   .array_task = array > 0 && task >= 0 && task < UINT32_MAX - 1 ? task : -1,
                                   .name = fl_json_get_str(record, "job_name"),
                                   .user = fl_json_get_str(record, "username"),
                                   .nodes = fl_json_get_str(record, "nodes"),
                                   .folder = fl_json_get_str(record, "work_dir")};
    names.array_job = array > 0 ? array : names.job;
    if (names.job <= 0 || fl_json_get_str(record, "state").n == 0) {
        return fl_fail(err, FL_SYNTAX, "this is no record of Slurm's jobcomp/elasticsearch: it has no jobid or no"
                                       " state");
    }
    fl_push_job_name(fl_json_get_str(record, "cluster"), out->cluster);
    name_job(record, &names, out->job);
    fl_jw_init(&w, &out->facts, false);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "slurm");
    fl_jw_begin(&w, '{');
    add_facts(record, &w);
    fl_jw_end(&w, '}');
    add_log(record, &names, out, &w);
    fl_jw_end(&w, '}');
    return out->facts.failed ? fl_fail(err, FL_LIMIT, "the record of the job is too long") : FL_OK;
}

void fl_slurm_free(struct fl_slurm *slurm)
{
    fl_buf_free(&slurm->facts);
}
