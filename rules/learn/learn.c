/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/learn/learn.h"

#include "service/base/fsio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { PATH_CAP = 4096, FILE_CAP = 32 << 20 };

/* FNV-1a over the bytes of the rules as they are written. */
static uint64_t checksum(struct fl_str bytes)
{
    uint64_t sum = 14695981039346656037ULL;
    for (size_t i = 0; i < bytes.n; i++) {
        sum = (sum ^ (unsigned char)bytes.p[i]) * 1099511628211ULL;
    }
    return sum;
}

static bool file_path(const char *state_dir, bool filters, char out[PATH_CAP])
{
    return snprintf(out, PATH_CAP, "%s/rules/learned_%s.json", state_dir,
                    filters ? "filters" : "diagnosis") < PATH_CAP;
}

static enum fl_status remove_file(const char *path, struct fl_err *err)
{
    return unlink(path) == 0 || errno == ENOENT ? FL_OK : fl_fail_errno(err, "%s: cannot remove",
                                                                        path);
}

/* No rule, no file: as if none had ever been learned. */
static enum fl_status remove_kind(const char *path, const char *copy, struct fl_err *err)
{
    char folder[PATH_CAP];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    enum fl_status status = remove_file(path, err);
    if (status == FL_OK) {
        status = remove_file(copy, err);
    }
    int fd = status == FL_OK ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        if (fsync(fd) != 0) {
            status = fl_fail_errno(err, "%s: cannot make the change durable", folder);
        }
        close(fd);
    }
    if (status == FL_OK) {
        rmdir(folder); /* fails when something else is in it */
    }
    return status;
}

static void write_rules(bool filters, const struct fl_rule *const *rules, size_t n,
                        struct fl_buf *text)
{
    struct fl_buf body;
    struct fl_jw w;
    fl_buf_init(&body, FILE_CAP);
    fl_jw_init(&w, &body, true);
    w.depth = 1; /* stands inside the outer object */
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < n; i++) {
        fl_rule_write(&w, rules[i]);
    }
    fl_jw_end(&w, ']');
    fl_buf_addf(text, "{\n  \"format\": \"faultline.%s/1\",\n  \"checksum\": \"fnv1a:%016llx\",\n"
                "  \"rules\": ", filters ? "filters" : "diagnosis",
                (unsigned long long)checksum(fl_buf_str(&body)));
    fl_buf_add_str(text, fl_buf_str(&body));
    fl_buf_add_text(text, "\n}\n");
    text->failed = body.failed ? body.failed : text->failed;
    fl_buf_free(&body);
}

static bool reads_sound(const char *path);

/* A damaged file is put aside for inspection. The copy follows the file: until it does it is the
 * version before, and never is there a moment without a sound one. */
static enum fl_status replace_both(const char *path, const char *copy, struct fl_str text,
                                   struct fl_err *err)
{
    char aside[PATH_CAP + 8];
    snprintf(aside, sizeof aside, "%s.bad", path);
    if (fl_fsio_exists(path) && !reads_sound(path) && rename(path, aside) != 0) {
        return fl_fail_errno(err, "%s: damaged, and cannot be put aside", path);
    }
    enum fl_status status = fl_fsio_replace(path, text, false, err);
    return status == FL_OK ? fl_fsio_replace(copy, text, false, err) : status;
}

enum fl_status fl_learn_save(const char *state_dir, bool filters, const struct fl_rule *const *rules,
                             size_t n, struct fl_err *err)
{
    char path[PATH_CAP];
    char copy[PATH_CAP + 8];
    char folder[PATH_CAP];
    struct fl_buf text;
    if (!file_path(state_dir, filters, path) ||
        snprintf(folder, sizeof folder, "%s/rules", state_dir) >= PATH_CAP) {
        return fl_fail(err, FL_LIMIT, "%s: path too long", state_dir);
    }
    snprintf(copy, sizeof copy, "%s.prev", path);
    if (n == 0) {
        return remove_kind(path, copy, err);
    }
    fl_buf_init(&text, FILE_CAP);
    write_rules(filters, rules, n, &text);
    enum fl_status status = text.failed ? fl_fail(err, FL_LIMIT, "%s: too many rules to write", path)
                                        : fl_fsio_mkdirs(folder, err);
    if (status == FL_OK) {
        status = replace_both(path, copy, fl_buf_str(&text), err);
    }
    fl_buf_free(&text);
    return status;
}

/* The bytes between "rules": and the closing brace must have the checksum that stands above. */
static bool is_sound(struct fl_str text)
{
    static const struct fl_str sum_key = {"\"checksum\": \"fnv1a:", 19};
    static const struct fl_str rules_key = {"\"rules\": ", 9};
    const char *sum = fl_str_find(text, sum_key);
    const char *rules = fl_str_find(text, rules_key);
    if (!sum || !rules || text.n < 3 || !fl_str_ends(text, FL_LIT("\n}\n"))) {
        return false;
    }
    rules += rules_key.n;
    struct fl_str body = {rules, (size_t)(text.p + text.n - 3 - rules)};
    return strtoull(sum + sum_key.n, NULL, 16) == checksum(body);
}

static bool reads_sound(const char *path)
{
    struct fl_buf text;
    fl_buf_init(&text, FILE_CAP);
    bool sound = fl_fsio_read(path, &text, NULL) == FL_OK && is_sound(fl_buf_str(&text));
    fl_buf_free(&text);
    return sound;
}

static enum fl_status load_kind(struct fl_ruleset *set, const char *path,
                                fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                                struct fl_err *err)
{
    char other[PATH_CAP + 8];
    char message[2 * PATH_CAP + 200];
    if (!fl_fsio_exists(path)) {
        return FL_OK;
    }
    if (reads_sound(path)) {
        return fl_ruleset_load(set, path, "learned", complain, ctx, bad_r, err);
    }
    snprintf(other, sizeof other, "%s.prev", path);
    bool previous = reads_sound(other);
    snprintf(message, sizeof message,
             "%s: damaged or changed by hand (its checksum does not match); %s. It stays as it is; "
             "to keep hand-made rules, put them in a file of their own and use "
             "`faultline rules import FILE`", path,
             previous ? "the previous version is used" : "no learned rules are used");
    if (complain) {
        complain(ctx, message);
    }
    if (bad_r) {
        ++*bad_r;
    }
    return previous ? fl_ruleset_load(set, other, "learned", complain, ctx, bad_r, err) : FL_OK;
}

enum fl_status fl_learn_load(struct fl_ruleset *set, const char *state_dir,
                             fl_ruleset_complain complain, void *ctx, size_t *bad_r,
                             struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (int filters = 0; status == FL_OK && filters < 2; filters++) {
        char path[PATH_CAP];
        status = file_path(state_dir, filters, path)
                     ? load_kind(set, path, complain, ctx, bad_r, err)
                     : fl_fail(err, FL_LIMIT, "%s: path too long", state_dir);
    }
    return status;
}

static void write_origin(struct fl_buf *out, const struct fl_proposal *p)
{
    struct fl_jw w;
    fl_jw_init(&w, out, false);
    fl_jw_begin(&w, '{');
    fl_jw_key(&w, "kind");
    fl_jw_text(&w, p->kind);
    const struct {
        const char *key;
        struct fl_str value;
    } parts[] = {{"job", p->job},       {"incident", p->incident}, {"model", p->model},
                 {"prompt", p->prompt}, {"time", fl_str_of(p->time)}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].value.n) {
            fl_jw_key(&w, parts[i].key);
            fl_jw_str(&w, parts[i].value);
        }
    }
    fl_jw_end(&w, '}');
}

/* What a rule made of a proposal points into. */
struct described {
    struct fl_str match[FL_SAMPLES_MAX];
    struct fl_str nomatch;
};

static void describe(const struct fl_proposal *p, const char *id, const char *origin,
                     struct described *texts, struct fl_rule *rule)
{
    const struct fl_cause *c = p->cause;
    size_t n = 0;
    texts->match[n++] = p->sample;
    for (struct fl_str more = p->samples; more.n && n < FL_SAMPLES_MAX;) {
        const char *nl = memchr(more.p, '\n', more.n);
        size_t length = nl ? (size_t)(nl - more.p) : more.n;
        texts->match[n++] = (struct fl_str){more.p, length};
        more = fl_str_skip(more, nl ? length + 1 : length);
    }
    texts->nomatch = fl_str_of(fl_gate_routine);
    *rule = (struct fl_rule){.id = id,
                             .is_filter = p->is_filter,
                             .state = FL_STATE_PROPOSED,
                             .origin = p->kind,
                             .origin_json = origin,
                             .any = {.text = &p->pattern, .n = 1},
                             .match = {texts->match, n},
                             .nomatch = {&texts->nomatch, 1}};
    if (!p->is_filter) {
        rule->cause = c;
        rule->role = FL_ROLE_ROOT;
        rule->confidence = 0.7;
        rule->summary = p->summary.p;
        rule->severity = c->severity;
        rule->recoverable = c->recoverable;
        rule->action = c->action;
        rule->recovery = c->recovery;
        rule->recovery_n = c->recovery_n;
    }
}

/* Writers of the state folder take turns. */
static int lock_state(const char *state_dir, struct fl_err *err)
{
    char path[PATH_CAP];
    if (fl_fsio_mkdirs(state_dir, err) != FL_OK ||
        snprintf(path, sizeof path, "%s/lock", state_dir) >= PATH_CAP) {
        return -1;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        fl_fail_errno(err, "%s: cannot lock", path);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

enum fl_status fl_learn_begin(const struct fl_taxonomy *taxonomy, const char *state_dir,
                              struct fl_learn_edit *edit, struct fl_err *err)
{
    *edit = (struct fl_learn_edit){.lock = -1};
    struct fl_err fault = {FL_IO, ""};
    edit->state_dir = state_dir;
    edit->lock = lock_state(state_dir, &fault);
    if (edit->lock < 0) {
        return fl_fail(err, fault.status, "%s", fault.msg);
    }
    enum fl_status status = fl_ruleset_new(taxonomy, &edit->set, err);
    if (status == FL_OK) {
        status = fl_learn_load(edit->set, state_dir, NULL, NULL, NULL, err);
    }
    edit->gone = status == FL_OK ? calloc(edit->set->rules_n + 1U, sizeof *edit->gone) : NULL;
    if (status == FL_OK && !edit->gone) {
        status = fl_fail(err, FL_NOMEM, "no memory for the learned rules");
    }
    if (status != FL_OK) {
        fl_learn_end(edit);
    }
    return status;
}

struct fl_rule *fl_learn_find(const struct fl_learn_edit *edit, struct fl_str id)
{
    const struct fl_rule *rule = fl_ruleset_find(edit->set, id);
    return rule ? &edit->set->rules[rule - edit->set->rules] : NULL;
}

void fl_learn_set_state(struct fl_learn_edit *edit, struct fl_rule *rule, enum fl_rule_state state)
{
    rule->state = state;
    edit->touched[rule->is_filter] = true;
}

void fl_learn_remove(struct fl_learn_edit *edit, const struct fl_rule *rule)
{
    edit->gone[rule - edit->set->rules] = true;
    edit->touched[rule->is_filter] = true;
}

static enum fl_status save_kind(const struct fl_learn_edit *edit, bool filters,
                                const struct fl_rule *added, struct fl_err *err)
{
    const struct fl_ruleset *set = edit->set;
    const struct fl_rule **list = calloc(set->rules_n + 1U, sizeof *list);
    size_t n = 0;
    if (!list) {
        return fl_fail(err, FL_NOMEM, "no memory for the learned rules");
    }
    for (uint32_t i = 0; i < set->rules_n; i++) {
        if (set->rules[i].is_filter == filters && !edit->gone[i]) {
            list[n++] = &set->rules[i];
        }
    }
    if (added) {
        list[n++] = added;
    }
    enum fl_status status = fl_learn_save(edit->state_dir, filters, list, n, err);
    free(list);
    return status;
}

enum fl_status fl_learn_commit(struct fl_learn_edit *edit, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    for (int filters = 0; status == FL_OK && filters < 2; filters++) {
        if (edit->touched[filters]) {
            status = save_kind(edit, filters, NULL, err);
            edit->touched[filters] = status != FL_OK;
        }
    }
    return status;
}

void fl_learn_end(struct fl_learn_edit *edit)
{
    fl_ruleset_free(edit->set);
    free(edit->gone);
    if (edit->lock >= 0) {
        close(edit->lock);
    }
    *edit = (struct fl_learn_edit){.lock = -1};
}

/* The same pattern under whatever name, be it one that was retired: a person has judged it. */
static enum fl_status check_new(const struct fl_learn_edit *edit, const struct fl_proposal *p,
                                const char *id, struct fl_err *err)
{
    for (uint32_t i = 0; i < edit->set->rules_n; i++) {
        const struct fl_rule *old = &edit->set->rules[i];
        bool same = old->is_filter == p->is_filter && old->any.n == 1 &&
                    fl_str_eq(old->any.text[0], p->pattern);
        if (same || strcmp(old->id, id) == 0) {
            return fl_fail(err, FL_CONFLICT, "the same pattern is there already as rule %s (%s)",
                           old->id, fl_state_name(old->state));
        }
    }
    return FL_OK;
}

enum fl_status fl_learn_propose(const struct fl_ruleset *set, const char *state_dir,
                                const struct fl_proposal *proposal, char id[64],
                                struct fl_err *err)
{
    struct fl_learn_edit edit;
    struct fl_buf origin;
    struct fl_rule rule;
    struct described texts;
    enum fl_status status = fl_gate(set, proposal, err);
    if (status != FL_OK) {
        return status;
    }
    snprintf(id, 64, "learned-%.24s-%08x", proposal->is_filter ? "filter" : proposal->cause->slug,
             (unsigned)checksum(proposal->pattern));
    for (char *c = id; *c; c++) {
        *c = *c == '_' ? '-' : *c;
    }
    status = fl_learn_begin(set->taxonomy, state_dir, &edit, err);
    if (status != FL_OK) {
        return status;
    }
    fl_buf_init(&origin, 8192);
    write_origin(&origin, proposal);
    describe(proposal, id, fl_buf_text(&origin), &texts, &rule);
    status = check_new(&edit, proposal, id, err);
    if (status == FL_OK) {
        status = save_kind(&edit, proposal->is_filter, &rule, err);
    }
    fl_learn_end(&edit);
    fl_buf_free(&origin);
    return status;
}
