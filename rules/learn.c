/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/learn.h"

#include "service/base/fsio.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { PATH_CAP = 4096, FILE_CAP = 32 << 20 };

static const char routine_line[] =
    "2026-01-05 10:00:00 | INFO | step 1200 | loss 2.31 | lr 3.0e-04 | tokens/s 51234";

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

enum fl_status fl_learn_save(const char *state_dir, bool filters, const struct fl_rule *const *rules,
                             size_t n, struct fl_err *err)
{
    char path[PATH_CAP];
    char folder[PATH_CAP];
    struct fl_buf body;
    struct fl_buf text;
    struct fl_jw w;
    if (!file_path(state_dir, filters, path) ||
        snprintf(folder, sizeof folder, "%s/rules", state_dir) >= PATH_CAP) {
        return fl_fail(err, FL_LIMIT, "%s: path too long", state_dir);
    }
    fl_buf_init(&body, FILE_CAP);
    fl_buf_init(&text, FILE_CAP);
    fl_jw_init(&w, &body, true);
    w.depth = 1; /* stands inside the outer object */
    fl_jw_begin(&w, '[');
    for (size_t i = 0; i < n; i++) {
        fl_rule_write(&w, rules[i]);
    }
    fl_jw_end(&w, ']');
    fl_buf_addf(&text, "{\n  \"format\": \"faultline.%s/1\",\n  \"checksum\": \"fnv1a:%016llx\",\n"
                "  \"rules\": ", filters ? "filters" : "diagnosis",
                (unsigned long long)checksum(fl_buf_str(&body)));
    fl_buf_add_str(&text, fl_buf_str(&body));
    fl_buf_add_text(&text, "\n}\n");
    enum fl_status status = body.failed || text.failed
                                ? fl_fail(err, FL_LIMIT, "%s: too many rules to write", path)
                                : fl_fsio_mkdirs(folder, err);
    if (status == FL_OK) {
        status = fl_fsio_replace(path, fl_buf_str(&text), true, err);
    }
    fl_buf_free(&body);
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

/* A matcher that holds one pattern, for trying a proposal. */
struct trial {
    struct fl_matcher *matcher;
    struct fl_match_work *work;
};

static void end_trial(struct trial *t)
{
    fl_match_work_free(t->work);
    fl_matcher_free(t->matcher);
}

static enum fl_status begin_trial(struct trial *t, struct fl_str pattern, struct fl_err *err)
{
    uint32_t number = 0;
    size_t at = 0;
    *t = (struct trial){NULL, NULL};
    enum fl_status status = fl_matcher_new(&t->matcher, err);
    if (status == FL_OK) {
        status = fl_matcher_add(t->matcher, pattern, 0, &number, &at, err);
    }
    if (status == FL_OK) {
        status = fl_matcher_ready(t->matcher, err);
    }
    if (status == FL_OK) {
        status = fl_match_work_new(t->matcher, &t->work, err);
    }
    return status;
}

static enum fl_match try_on(struct trial *t, struct fl_str text)
{
    return fl_matcher_try(t->matcher, t->work, 0, text, NULL);
}

/* Runaway patterns show themselves on long runs of the characters they repeat over; the sample
 * behind the run holds the literals without which the engine would not even begin. */
static bool runs_away(struct trial *t, struct fl_str sample)
{
    char hostile[4096];
    size_t tail = sample.n < sizeof hostile / 4 ? sample.n : sizeof hostile / 4;
    static const char *const seeds[] = {"a", "1", " ", "a ", "1.", "/a", "a=1,"};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        size_t n = strlen(seeds[i]);
        for (size_t k = 0; k < sizeof hostile; k++) {
            hostile[k] = seeds[i][k % n];
        }
        memcpy(hostile + sizeof hostile - tail, sample.p, tail);
        hostile[sizeof hostile - tail - 1] = '\x01';
        if (try_on(t, (struct fl_str){hostile, sizeof hostile}) == FL_MATCH_ERROR) {
            return true;
        }
    }
    return false;
}

static enum fl_status refuse(struct fl_err *err, const char *why)
{
    return fl_fail(err, FL_DENIED, "proposed rule refused: %s", why);
}

/* Each line of text on its own. */
static bool matches_some_line(struct trial *t, struct fl_str text)
{
    while (text.n) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        if (try_on(t, (struct fl_str){text.p, n}) != FL_MATCH_NO) {
            return true;
        }
        text = fl_str_skip(text, nl ? n + 1 : n);
    }
    return false;
}

static enum fl_status check_filter(const struct fl_ruleset *set, struct trial *t,
                                   const struct fl_proposal *p, struct fl_err *err)
{
    struct fl_match_work *work = NULL;
    enum fl_status status = fl_match_work_new(set->lines, &work, err);
    if (status != FL_OK) {
        return status;
    }
    bool alarming =
        set->attention != UINT32_MAX &&
        fl_matcher_try(set->lines, work, set->attention, p->sample, NULL) != FL_MATCH_NO;
    fl_match_work_free(work);
    if (alarming) {
        return refuse(err, "its sample holds words that failures use");
    }
    if (matches_some_line(t, p->protects)) {
        return refuse(err, "it would hide a line of evidence");
    }
    for (uint32_t i = 0; i < set->rules_n; i++) {
        const struct fl_rule *rule = &set->rules[i];
        bool guards = !rule->is_filter && rule->role <= FL_ROLE_CONFIRMATION;
        for (size_t k = 0; guards && k < rule->match.n; k++) {
            if (matches_some_line(t, rule->match.item[k])) {
                return fl_fail(err, FL_DENIED, "proposed rule refused: it would hide a line that "
                               "rule %s knows", rule->id);
            }
        }
    }
    return FL_OK;
}

static enum fl_status gate(const struct fl_ruleset *set, const struct fl_proposal *p,
                           struct fl_err *err)
{
    struct trial t;
    enum fl_status status = begin_trial(&t, p->pattern, err);
    if (status == FL_OK && fl_matcher_lacks_literal(t.matcher, 0)) {
        status = refuse(err, "the pattern has no literal of three or more characters");
    }
    if (status == FL_OK && try_on(&t, p->sample) != FL_MATCH_YES) {
        status = refuse(err, "it does not match its own sample");
    }
    if (status == FL_OK && (try_on(&t, FL_LIT("")) != FL_MATCH_NO ||
                            try_on(&t, fl_str_of(routine_line)) != FL_MATCH_NO)) {
        status = refuse(err, "the pattern is too general");
    }
    if (status == FL_OK && runs_away(&t, p->sample)) {
        status = refuse(err, "the pattern runs away on long lines");
    }
    if (status == FL_OK && p->is_filter) {
        status = check_filter(set, &t, p, err);
    }
    end_trial(&t);
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

static void describe(const struct fl_proposal *p, const char *id, const char *origin,
                     struct fl_rule *rule)
{
    const struct fl_cause *c = p->cause;
    *rule = (struct fl_rule){.id = id, .is_filter = p->is_filter, .state = FL_STATE_PROPOSED,
                             .origin = p->kind, .origin_json = origin};
    rule->any.text[0] = p->pattern;
    rule->any.n = 1;
    rule->match.item[0] = p->sample;
    rule->match.n = 1;
    rule->nomatch.item[0] = fl_str_of(routine_line);
    rule->nomatch.n = 1;
    if (!p->is_filter) {
        rule->cause = c;
        rule->role = FL_ROLE_ROOT;
        rule->confidence = 0.7;
        rule->summary = p->summary.p;
        rule->severity = c->severity;
        rule->recoverable = c->recoverable;
        rule->action = c->action;
        rule->recovery_n = c->recovery_n;
        memcpy(rule->recovery, c->recovery, sizeof rule->recovery);
    }
}

/* Reads what is there anew (another process may have added), appends, writes. */
static enum fl_status append(const struct fl_ruleset *set, const char *state_dir,
                             const struct fl_proposal *p, const char *id, struct fl_err *err)
{
    struct fl_ruleset *now = NULL;
    struct fl_buf origin;
    struct fl_rule rule;
    fl_buf_init(&origin, 8192);
    write_origin(&origin, p);
    describe(p, id, fl_buf_text(&origin), &rule);
    enum fl_status status = fl_ruleset_new(set->taxonomy, &now, err);
    if (status == FL_OK) {
        status = fl_learn_load(now, state_dir, NULL, NULL, NULL, err);
    }
    const struct fl_rule **list =
        status == FL_OK ? calloc(now->rules_n + 1U, sizeof *list) : NULL;
    size_t n = 0;
    for (uint32_t i = 0; list && i < now->rules_n; i++) {
        const struct fl_rule *old = &now->rules[i];
        if (old->is_filter != p->is_filter) {
            continue;
        }
        if (old->any.n == 1 && fl_str_eq(old->any.text[0], p->pattern)) {
            status = fl_fail(err, FL_CONFLICT, "the same pattern is there already as rule %s",
                             old->id);
        }
        list[n++] = old;
    }
    if (status == FL_OK && list) {
        list[n++] = &rule;
        status = fl_learn_save(state_dir, p->is_filter, list, n, err);
    } else if (status == FL_OK) {
        status = fl_fail(err, FL_NOMEM, "no memory for the learned rules");
    }
    free(list);
    fl_ruleset_free(now);
    fl_buf_free(&origin);
    return status;
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

enum fl_status fl_learn_propose(const struct fl_ruleset *set, const char *state_dir,
                                const struct fl_proposal *proposal, char id[64],
                                struct fl_err *err)
{
    enum fl_status status = gate(set, proposal, err);
    if (status != FL_OK) {
        return status;
    }
    snprintf(id, 64, "learned-%.24s-%08x", proposal->is_filter ? "filter" : proposal->cause->slug,
             (unsigned)checksum(proposal->pattern));
    for (char *c = id; *c; c++) {
        *c = *c == '_' ? '-' : *c;
    }
    int lock = lock_state(state_dir, err);
    if (lock < 0) {
        return err ? err->status : FL_IO;
    }
    status = append(set, state_dir, proposal, id, err);
    close(lock);
    return status;
}
