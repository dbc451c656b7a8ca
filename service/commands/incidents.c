/* SPDX-License-Identifier: Apache-2.0 */
/* faultline incidents: look at, search and keep the memory of past failures. */
#include "rag/groups.h"
#include "rag/incidents.h"
#include "rag/retrieve.h"
#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/paths.h"

#include <stdio.h>
#include <unistd.h>

int fl_cmd_incidents(int argc, char **argv);

enum { EXIT_OK = 0, EXIT_USAGE = 2, EXIT_UNREADABLE = 3 };
enum { OUT_CAP = 64 << 20, QUERY_CAP = 1 << 20, ARENA_CAP = 64 << 20 };

/* What every subcommand works with. */
struct work {
    struct fl_incidents *store;
    struct fl_arena arena;
    struct fl_buf out;
    struct fl_jw json;
    bool is_json;
    const char *cause;
    int limit;
    int n; /* operands */
    char **operands;
};

static void add_line(struct fl_buf *out, const char *label, struct fl_str s)
{
    if (!s.n) {
        return;
    }
    fl_buf_addf(out, "%-11s", label);
    while (s.n) { /* further lines keep the margin */
        const char *end = memchr(s.p, '\n', s.n);
        size_t n = end ? (size_t)(end - s.p) : s.n;
        fl_buf_add_safe(out, (struct fl_str){s.p, n});
        fl_buf_add_text(out, "\n");
        s = fl_str_skip(s, n + (end != NULL));
        if (s.n) {
            fl_buf_addf(out, "%11s", "");
        }
    }
}

static void add_whole(struct fl_buf *out, const struct fl_incident *i)
{
    add_line(out, "id", i->id);
    add_line(out, "cause", i->cause);
    add_line(out, "stack", i->stack);
    add_line(out, "title", i->title);
    add_line(out, "summary", i->summary);
    add_line(out, "log", i->text);
    add_line(out, "resolution", i->resolution);
    add_line(out, "action", i->action);
    add_line(out, "outcome", i->outcome);
    add_line(out, "origin", i->origin);
    add_line(out, "job", i->job);
    add_line(out, "created", i->created);
}

/* One line: id, cause, what it was. */
static void add_short(struct fl_buf *out, const struct fl_incident *i)
{
    struct fl_str what = i->title.n ? i->title : i->summary.n ? i->summary : i->text;
    const char *end = memchr(what.p, '\n', what.n);
    what.n = end ? (size_t)(end - what.p) : what.n;
    fl_buf_add_safe(out, i->id);
    fl_buf_addf(out, "%*s", i->id.n < 24 ? (int)(24 - i->id.n) + 1 : 1, "");
    fl_buf_add_safe(out, i->cause);
    fl_buf_addf(out, "%*s", i->cause.n < 26 ? (int)(26 - i->cause.n) + 1 : 1, "");
    fl_buf_add_safe(out, what);
    fl_buf_add_text(out, "\n");
}

static enum fl_status list_one(void *ctx, const struct fl_incident *incident, struct fl_err *err)
{
    struct work *work = ctx;
    if (work->is_json) {
        fl_incident_write(&work->json, incident);
    } else {
        add_short(&work->out, incident);
    }
    return work->out.failed == FL_OK
               ? FL_OK
               : fl_fail(err, work->out.failed, "too much to list; give a smaller --limit");
}

static void begin_list(struct work *work)
{
    if (work->is_json) {
        fl_jw_begin(&work->json, '{');
        fl_jw_key(&work->json, "incidents");
        fl_jw_begin(&work->json, '[');
    }
}

static void end_list(struct work *work)
{
    if (work->is_json) {
        fl_jw_end(&work->json, ']');
        fl_jw_end(&work->json, '}');
        fl_buf_add_text(&work->out, "\n");
    }
}

static enum fl_status run_list(struct work *work, struct fl_err *err)
{
    begin_list(work);
    enum fl_status status = fl_incidents_list(work->store, fl_str_of(work->cause),
                                              (size_t)work->limit, list_one, work, err);
    end_list(work);
    return status;
}

static enum fl_status run_show(struct work *work, struct fl_err *err)
{
    struct fl_incident incident;
    enum fl_status status =
        fl_incidents_get(work->store, fl_str_of(work->operands[0]), &work->arena, &incident, err);
    if (status == FL_OK && work->is_json) {
        fl_incident_write(&work->json, &incident);
        fl_buf_add_text(&work->out, "\n");
    } else if (status == FL_OK) {
        add_whole(&work->out, &incident);
    }
    return status;
}

/* A file, or standard input for "-". */
static enum fl_status read_operand(const char *path, struct fl_buf *text, struct fl_err *err)
{
    return fl_fsio_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, text, err);
}

static enum fl_status read_query(struct work *work, struct fl_buf *query, struct fl_err *err)
{
    if (work->n == 1 && strcmp(work->operands[0], "-") == 0) {
        return read_operand("-", query, err);
    }
    for (int i = 0; i < work->n; i++) {
        fl_buf_addf(query, "%s%s", i ? " " : "", work->operands[i]);
    }
    return query->failed == FL_OK ? FL_OK
                                  : fl_fail(err, FL_LIMIT, "the text to search is too long");
}

static void write_hit(struct work *work, const struct fl_hit *hit)
{
    if (work->is_json) {
        fl_jw_begin(&work->json, '{');
        fl_jw_key(&work->json, "similarity");
        fl_jw_num(&work->json, hit->similarity);
        fl_jw_key(&work->json, "incident");
        fl_incident_write(&work->json, &hit->incident);
        fl_jw_end(&work->json, '}');
        return;
    }
    fl_buf_addf(&work->out, "%.2f  ", hit->similarity);
    add_short(&work->out, &hit->incident);
    if (hit->incident.resolution.n) {
        fl_buf_addf(&work->out, "%6s", "");
        fl_buf_add_safe(&work->out, hit->incident.resolution);
        fl_buf_add_text(&work->out, "\n");
    }
}

static enum fl_status run_search(struct work *work, struct fl_err *err)
{
    struct fl_buf query;
    struct fl_hits hits = {0};
    size_t k = work->limit ? (size_t)work->limit : FL_RETRIEVE_MOST;
    fl_buf_init(&query, QUERY_CAP);
    enum fl_status status = read_query(work, &query, err);
    if (status == FL_OK) {
        status = fl_retrieve_loose(work->store, fl_buf_str(&query), k, &work->arena, &hits, err);
    }
    fl_buf_free(&query);
    begin_list(work);
    for (size_t i = 0; i < hits.n; i++) {
        write_hit(work, &hits.list[i]);
    }
    end_list(work);
    if (status == FL_OK && hits.n == 0 && !work->is_json) {
        fl_buf_add_text(&work->out, "nothing similar is known\n");
    }
    return status;
}

static enum fl_status run_add(struct work *work, struct fl_err *err)
{
    const char *path = work->operands[0];
    struct fl_buf text;
    struct fl_incident incident;
    struct fl_str id = {NULL, 0};
    fl_json *root = NULL;
    fl_buf_init(&text, QUERY_CAP);
    enum fl_status status = read_operand(path, &text, err);
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), path, &root, err);
    }
    if (status == FL_OK) {
        status = fl_incident_read(root, path, &work->arena, &incident, err);
    }
    if (status == FL_OK) {
        status = fl_incidents_add(work->store, &incident, &work->arena, &id, err);
    }
    if (status == FL_OK && work->is_json) {
        fl_jw_begin(&work->json, '{');
        fl_jw_key(&work->json, "id");
        fl_jw_str(&work->json, id);
        fl_jw_end(&work->json, '}');
        fl_buf_add_text(&work->out, "\n");
    } else if (status == FL_OK) {
        fl_buf_add_safe(&work->out, id);
        fl_buf_add_text(&work->out, "\n");
    }
    fl_json_free(root);
    fl_buf_free(&text);
    return status;
}

static enum fl_status run_forget(struct work *work, struct fl_err *err)
{
    return fl_incidents_forget(work->store, fl_str_of(work->operands[0]), err);
}

static enum fl_status run_merge(struct work *work, struct fl_err *err)
{
    return fl_groups_merge(work->store, fl_str_of(work->operands[0]), fl_str_of(work->operands[1]), err);
}

static enum fl_status run_split(struct work *work, struct fl_err *err)
{
    return fl_groups_split(work->store, fl_str_of(work->operands[0]), err);
}

static enum fl_status run_flag(struct work *work, struct fl_err *err)
{
    const char *note = work->n > 1 ? work->operands[1] : "";
    return fl_flags_set(work->store, fl_str_of(work->operands[0]), true, fl_str_of(note), err);
}

static enum fl_status run_unflag(struct work *work, struct fl_err *err)
{
    return fl_flags_set(work->store, fl_str_of(work->operands[0]), false, (struct fl_str){"", 0}, err);
}

static enum fl_status run_export(struct work *work, struct fl_err *err)
{
    return fl_incidents_export(work->store, STDOUT_FILENO, "standard output", err);
}

static enum fl_status run_import(struct work *work, struct fl_err *err)
{
    struct fl_buf text;
    size_t n = 0;
    fl_buf_init(&text, FL_INCIDENTS_IMPORT);
    enum fl_status status = read_operand(work->operands[0], &text, err);
    if (status == FL_OK) {
        status = fl_incidents_import(work->store, fl_buf_str(&text), work->operands[0], &n, err);
    }
    fl_buf_free(&text);
    if (status == FL_OK && work->is_json) {
        fl_jw_begin(&work->json, '{');
        fl_jw_key(&work->json, "imported");
        fl_jw_int(&work->json, (int64_t)n);
        fl_jw_end(&work->json, '}');
        fl_buf_add_text(&work->out, "\n");
    } else if (status == FL_OK) {
        fl_buf_addf(&work->out, "%zu incidents imported\n", n);
    }
    return status;
}

struct verb {
    const char *name;
    int least; /* operands */
    int most;
    bool writes;
    const char *takes;
    enum fl_status (*run)(struct work *work, struct fl_err *err);
};

static const struct verb verbs[] = {
    {"list", 0, 0, false, "nothing more", run_list},
    {"show", 1, 1, false, "one ID", run_show},
    {"search", 1, 4096, false, "the TEXT to search for, or - for standard input", run_search},
    {"add", 1, 1, true, "one FILE with a JSON object, or - for standard input", run_add},
    {"forget", 1, 1, true, "one ID", run_forget},
    {"merge", 2, 2, true, "two IDs: the first one becomes part of the second", run_merge},
    {"split", 1, 1, true, "one ID", run_split},
    {"flag", 1, 2, true, "one ID, and a NOTE if you like", run_flag},
    {"unflag", 1, 1, true, "one ID", run_unflag},
    {"export", 0, 0, false, "nothing more", run_export},
    {"import", 1, 1, true, "one FILE of JSON lines, or - for standard input", run_import},
};

/* What follows the verb is checked before anything is opened. */
static const struct verb *find_verb(int argc, char **argv, struct fl_err *err)
{
    if (argc < 2) {
        fl_fail(err, FL_USAGE,
                "incidents: say what to do: list, show, search, add, forget, merge, split, flag,"
                " unflag, export or import (see: faultline incidents --help)");
        return NULL;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0) {
            continue;
        }
        if (argc - 2 < verbs[i].least || argc - 2 > verbs[i].most) {
            fl_fail(err, FL_USAGE, "incidents %s takes %s", verbs[i].name, verbs[i].takes);
            return NULL;
        }
        return &verbs[i];
    }
    fl_fail(err, FL_USAGE,
            "incidents: unknown command \"%.60s\"; there are list, show, search, add, forget,"
            " merge, split, flag, unflag, export and import",
            argv[1]);
    return NULL;
}

static enum fl_status run_verb(const struct verb *verb, struct work *work, const char *state,
                               struct fl_err *err)
{
    char state_path[FL_PATHS_BYTES];
    char seeds_path[FL_PATHS_BYTES];
    const char *folder = fl_paths_state(state, state_path);
    const char *seeds = fl_paths_data("data/incidents.jsonl", seeds_path);
    if (!folder && verb->writes) {
        return fl_fail(err, FL_NOTFOUND,
                       "incidents %s: there is no state folder to keep it in: give --state DIR or"
                       " set FAULTLINE_STATE",
                       verb->name);
    }
    enum fl_status status = fl_incidents_open(folder, seeds, false, &work->store, err);
    if (status != FL_OK) {
        return status;
    }
    fl_arena_init(&work->arena, ARENA_CAP);
    fl_buf_init(&work->out, OUT_CAP);
    fl_jw_init(&work->json, &work->out, true);
    status = verb->run(work, err);
    if (status == FL_OK && work->out.failed != FL_OK) {
        status = fl_fail(err, work->out.failed, "no memory for the answer");
    }
    if (status == FL_OK) {
        status = fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&work->out), err);
    }
    fl_buf_free(&work->out);
    fl_arena_free(&work->arena);
    fl_incidents_close(work->store);
    return status;
}

int fl_cmd_incidents(int argc, char **argv)
{
    const char *state = NULL;
    int format = 0;
    bool help = false;
    struct work work = {.cause = "", .limit = 20};
    const struct fl_opt options[] = {
        {"state", 0, FL_OPT_TEXT, "DIR", "the state folder ($FAULTLINE_STATE)", &state},
        {"format", 'f', FL_OPT_CHOICE, "text|json", "form of the answer", &format},
        {"limit", 'n', FL_OPT_INT, "N", "list and search: at most N (0: all; 20)", &work.limit},
        {"cause", 0, FL_OPT_TEXT, "CAUSE", "list: only incidents of this cause", &work.cause},
    };
    const struct fl_cli cli = {
        .usage = "incidents [OPTION ...] list | show ID | search TEXT... | add FILE | forget ID |"
                 " merge ID INTO | split ID | flag ID [NOTE] | unflag ID | export | import FILE",
        .about = "What is remembered of past failures: the shipped incidents and your own.\n"
                 "add takes one JSON object, import and export one object a line, with the keys\n"
                 "id, cause, stack, title, summary, text, resolution, action, outcome.\n"
                 "merge says that two are one failure, until split; flag marks one for `faultline review`.",
        .after = "FILE and TEXT may be - for standard input. Exit status: 0 done, 2 usage, 3 the\n"
                 "input or the state folder could not be used, or there is no such incident.",
        .options = options,
        .options_n = sizeof options / sizeof *options,
    };
    struct fl_err err = {0};
    enum fl_status status = fl_cli_parse(&cli, &argc, argv, &help, &err);
    if (status == FL_OK && help) {
        return EXIT_OK;
    }
    const struct verb *verb = status == FL_OK ? find_verb(argc, argv, &err) : NULL;
    if (!verb) {
        fl_log(FL_LOG_ERROR, "%s", err.msg);
        return EXIT_USAGE;
    }
    work.is_json = format == 1;
    work.n = argc - 2;
    work.operands = argv + 2;
    if (run_verb(verb, &work, state, &err) != FL_OK) {
        fl_log(FL_LOG_ERROR, "%s", err.msg);
        return EXIT_UNREADABLE;
    }
    return EXIT_OK;
}
