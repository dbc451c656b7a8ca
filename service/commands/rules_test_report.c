/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/rules_test_report.h"

#include "service/base/fsio.h"
#include "service/base/json.h"

#include <stdio.h>
#include <unistd.h>

enum { REPORT_CAP = 64 << 20, BEFORE_MARK = 70, AFTER_MARK = 50 };

static bool same_path(const struct fl_trial_verdict *a, const struct fl_trial_verdict *b)
{
    return a->path && b->path ? strcmp(a->path, b->path) == 0 : a->path == b->path;
}

void fl_trial_add_job(struct fl_trial_report *report, struct fl_trial_job *job)
{
    const struct fl_trial_verdict *a = &job->before;
    const struct fl_trial_verdict *b = &job->after;
    double surer = b->confidence - a->confidence;
    bool other_cause = a->outcome != b->outcome || a->cause != b->cause;
    job->changed = other_cause || surer > 0.005 || surer < -0.005 || a->line != b->line ||
                   !same_path(a, b);
    report->jobs_n++;
    report->matched += job->matched.n;
    report->dangers += job->dangers.n;
    report->changed += job->changed;
    report->causes_changed += other_cause;
    *report->jobs_end = job;
    report->jobs_end = &job->next;
}

static const char *name_of(const struct fl_trial_verdict *v)
{
    return v->cause ? v->cause->slug : fl_outcome_name(v->outcome);
}

static const char *what_of(const struct fl_trial_fault *f)
{
    return f->got == FL_MATCH_ERROR ? "hits the match limit (pattern too slow)"
           : f->want                ? "is not matched"
                                    : "is matched";
}

/* ---- text ---- */

/* Columns that s takes when it is shown. */
static size_t width(struct fl_str s)
{
    struct fl_buf safe;
    size_t n = 0;
    fl_buf_init(&safe, 64 * 1024);
    fl_buf_add_safe(&safe, s);
    for (size_t i = 0; i < safe.n; i++) {
        n += ((unsigned char)safe.p[i] & 0xc0) != 0x80;
    }
    fl_buf_free(&safe);
    return n;
}

static void add_times(struct fl_buf *out, char c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fl_buf_add(out, &c, 1);
    }
}

/* The text, and under text[from, to) a row of marks (one at `from` when that is empty). */
static void add_marked(struct fl_buf *out, const char *label, struct fl_str text, size_t from,
                       size_t to, char mark, const char *words)
{
    size_t skip = from > BEFORE_MARK ? from - BEFORE_MARK : 0;
    struct fl_str shown = fl_str_skip(text, skip);
    bool cut = shown.n > BEFORE_MARK + AFTER_MARK;
    shown.n = cut ? BEFORE_MARK + AFTER_MARK : shown.n;
    to = to > skip + shown.n ? skip + shown.n : to;
    size_t columns = width((struct fl_str){shown.p + (from - skip), to - from});
    fl_buf_addf(out, "    %-8s %s", label, skip ? "... " : "");
    fl_buf_add_safe(out, shown);
    fl_buf_addf(out, "%s\n             %s", cut ? " ..." : "", skip ? "    " : "");
    add_times(out, ' ', width((struct fl_str){shown.p, from - skip}));
    add_times(out, mark, columns ? columns : 1);
    fl_buf_addf(out, "%s\n", words);
}

static void add_fault(struct fl_buf *out, const struct fl_trial_fault *f)
{
    const struct fl_blame *b = &f->blame;
    const struct fl_reach *r = &b->reach;
    char label[32];
    char words[120];
    bool whole = r->at == b->pattern.n;
    bool one_of = f->rule->any.n > 1 && strcmp(b->list, "any") == 0;
    fl_buf_addf(out, "%s: rule %s: sample %s[%zu] %s\n", f->rule->file, f->rule->id,
                f->want ? "match" : "nomatch", f->number, what_of(f));
    snprintf(label, sizeof label, "%s[%zu]", f->rule->is_filter ? "pattern" : b->list,
             f->rule->is_filter ? 0 : b->number);
    snprintf(words, sizeof words, " no match from here on%s%s",
             one_of ? " (of all in \"any\" this one gets furthest)" : "",
             b->caseless ? "; with (?i) in front it would match" : "");
    add_marked(out, f->rule->is_filter ? "pattern" : label, b->pattern, whole ? 0 : r->at,
               whole ? b->pattern.n : r->at, whole ? '~' : '^', whole ? " matches" : words);
    add_marked(out, "sample", b->text, r->start, r->end, '~', whole ? " matched" : " so far");
}

static void add_line(struct fl_buf *out, const struct fl_trial_line *l)
{
    fl_buf_add_text(out, "  ");
    fl_buf_add_safe(out, fl_str_of(l->path));
    fl_buf_addf(out, ":%ld: %s%s%s: %s", l->number, l->rule, l->known_by ? " drops what is known to " : "",
                l->known_by ? l->known_by : "", l->cut_front ? "... " : "");
    fl_buf_add_safe(out, l->text);
    fl_buf_add_text(out, l->cut_back ? " ..." : "");
    for (size_t i = 0; i < l->captures_n; i++) {
        fl_buf_addf(out, "%s%s=", i ? ", " : "  {", l->capture[i].name);
        fl_buf_add_safe(out, l->capture[i].text);
    }
    fl_buf_add_text(out, l->captures_n ? "}" : "");
    fl_buf_add_text(out, l->counts ? "\n"
                                   : "  (does not count: a benign or surer rule knows the line)\n");
}

static void add_lines(struct fl_buf *out, const struct fl_trial_lines *lines)
{
    for (size_t i = 0; i < lines->first_n; i++) {
        add_line(out, &lines->first[i]);
    }
    if (lines->n > (long)lines->first_n) {
        fl_buf_addf(out, "  ... and %ld more\n", lines->n - (long)lines->first_n);
    }
}

static void add_evidence(struct fl_buf *out, const char *job, const struct fl_trial_verdict *v)
{
    struct fl_str path = fl_str_of(v->path);
    struct fl_str folder = fl_str_of(job);
    if (v->path) {
        bool inside = fl_str_starts(path, folder) && path.n > folder.n && path.p[folder.n] == '/';
        fl_buf_add_safe(out, inside ? fl_str_skip(path, folder.n + 1) : path);
        fl_buf_addf(out, ":%ld", v->line);
    } else {
        fl_buf_add_text(out, "none");
    }
}

static void add_change(struct fl_buf *out, const struct fl_trial_job *j)
{
    const struct fl_trial_verdict *a = &j->before;
    const struct fl_trial_verdict *b = &j->after;
    fl_buf_add_text(out, "  ");
    fl_buf_add_safe(out, fl_str_of(j->path));
    fl_buf_addf(out, ": %s %.2f -> %s %.2f, proof ", name_of(a), a->confidence, name_of(b),
                b->confidence);
    if (a->line != b->line || !same_path(a, b)) {
        add_evidence(out, j->path, a);
        fl_buf_add_text(out, " -> ");
    }
    add_evidence(out, j->path, b);
    fl_buf_add_text(out, "\n");
}

static void add_jobs(struct fl_buf *out, const struct fl_trial_report *r)
{
    if (r->dangers) {
        fl_buf_add_text(out, "DANGER: filters drop lines that a diagnosis rule knows\n");
    }
    for (const struct fl_trial_job *j = r->jobs; j; j = j->next) {
        add_lines(out, &j->dangers);
    }
    for (const struct fl_trial_job *j = r->jobs; j; j = j->next) {
        if (j->matched.n) {
            fl_buf_add_safe(out, fl_str_of(j->path));
            fl_buf_addf(out, ": %ld line%s\n", j->matched.n, j->matched.n == 1 ? "" : "s");
            add_lines(out, &j->matched);
        }
    }
    fl_buf_add_text(out, r->changed ? "verdicts that change:\n" : "");
    for (const struct fl_trial_job *j = r->jobs; j; j = j->next) {
        if (j->changed) {
            add_change(out, j);
        }
    }
}

static const char *ending(long n)
{
    return n == 1 ? "" : "s";
}

static void print_text(const struct fl_trial_report *r, struct fl_buf *out)
{
    const struct fl_rules_test *t = r->test;
    for (uint32_t i = 0; i < t->n; i++) {
        if (!t->rules[i].compiled) {
            fl_buf_addf(out, "%s: rule %s: does not compile\n", t->rules[i].file, t->rules[i].id);
        }
    }
    for (const struct fl_trial_fault *f = r->faults; f; f = f->next) {
        add_fault(out, f);
    }
    add_jobs(out, r);
    fl_buf_addf(out, "%u rule%s, %ld sample%s, %ld fail%s", t->n, ending((long)t->n), r->samples,
                ending(r->samples), r->faults_n, r->faults_n == 1 ? "s" : "");
    if (t->bad) {
        fl_buf_addf(out, ", %zu bad rule%s left out", t->bad, ending((long)t->bad));
    }
    if (t->paths_n) {
        fl_buf_addf(out, "; %ld job%s read, %ld line%s matched, %ld verdict%s changed (%ld in "
                    "cause)", r->jobs_n, ending(r->jobs_n), r->matched, ending(r->matched),
                    r->changed, ending(r->changed), r->causes_changed);
    }
    if (r->dangers) {
        fl_buf_addf(out, ", %ld DANGEROUS", r->dangers);
    }
    fl_buf_add_text(out, "\n");
}

/* ---- JSON ---- */

static void write_fault(struct fl_jw *w, const struct fl_trial_fault *f)
{
    const struct fl_reach *r = &f->blame.reach;
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "file", f->rule->file);
    fl_jw_key_text(w, "rule", f->rule->id);
    fl_jw_key_text(w, "kind", f->want ? "match" : "nomatch");
    fl_jw_key_int(w, "number", (long)f->number);
    fl_jw_key_text(w, "problem", what_of(f));
    fl_jw_key_text(w, "list", f->rule->is_filter ? "pattern" : f->blame.list);
    fl_jw_key_int(w, "list_number", (long)f->blame.number);
    fl_jw_key_str(w, "pattern", f->blame.pattern);
    fl_jw_key_str(w, "reached", (struct fl_str){f->blame.pattern.p, r->at});
    fl_jw_key_str(w, "fails", (struct fl_str){f->blame.pattern.p + r->at, r->piece});
    fl_jw_key(w, "caseless_matches");
    fl_jw_bool(w, f->blame.caseless);
    fl_jw_key_str(w, "text", f->blame.text);
    fl_jw_key_str(w, "matched", (struct fl_str){f->blame.text.p + r->start, r->end - r->start});
    fl_jw_end(w, '}');
}

static void write_lines(struct fl_jw *w, const char *key, const struct fl_trial_lines *lines)
{
    fl_jw_key(w, key);
    fl_jw_begin(w, '[');
    for (size_t i = 0; i < lines->first_n; i++) {
        const struct fl_trial_line *l = &lines->first[i];
        fl_jw_begin(w, '{');
        fl_jw_key_text(w, "rule", l->rule);
        if (l->known_by) {
            fl_jw_key_text(w, "known_by", l->known_by);
        }
        fl_jw_key_text(w, "file", l->path);
        fl_jw_key_int(w, "line", l->number);
        fl_jw_key_str(w, "text", l->text);
        fl_jw_key(w, "counts");
        fl_jw_bool(w, l->counts);
        fl_jw_key(w, "captures");
        fl_jw_begin(w, '{');
        for (size_t k = 0; k < l->captures_n; k++) {
            fl_jw_key_str(w, l->capture[k].name, l->capture[k].text);
        }
        fl_jw_end(w, '}');
        fl_jw_end(w, '}');
    }
    fl_jw_end(w, ']');
}

static void write_verdict(struct fl_jw *w, const char *key, const struct fl_trial_verdict *v)
{
    fl_jw_key(w, key);
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "verdict", fl_outcome_name(v->outcome));
    fl_jw_key_text(w, "cause", v->cause ? v->cause->slug : NULL);
    fl_jw_key(w, "confidence");
    fl_jw_num(w, v->confidence);
    fl_jw_key_text(w, "file", v->path);
    fl_jw_key(w, "line");
    if (v->path) {
        fl_jw_int(w, v->line);
    } else {
        fl_jw_null(w);
    }
    fl_jw_end(w, '}');
}

static void write_job(struct fl_jw *w, const struct fl_trial_job *j)
{
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "job", j->path);
    fl_jw_key_int(w, "dangers", j->dangers.n);
    write_lines(w, "dangerous", &j->dangers);
    fl_jw_key_int(w, "lines", j->matched.n);
    write_lines(w, "first", &j->matched);
    fl_jw_key(w, "changed");
    fl_jw_bool(w, j->changed);
    write_verdict(w, "before", &j->before);
    write_verdict(w, "after", &j->after);
    fl_jw_end(w, '}');
}

static void print_json(const struct fl_trial_report *r, struct fl_buf *out)
{
    struct fl_jw w;
    fl_jw_init(&w, out, true);
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "schema", "faultline.rules-test/1");
    fl_jw_key(&w, "failed_samples");
    fl_jw_begin(&w, '[');
    for (const struct fl_trial_fault *f = r->faults; f; f = f->next) {
        write_fault(&w, f);
    }
    fl_jw_end(&w, ']');
    fl_jw_key(&w, "jobs"); /* those that matched or changed */
    fl_jw_begin(&w, '[');
    for (const struct fl_trial_job *j = r->jobs; j; j = j->next) {
        if (j->matched.n || j->dangers.n || j->changed) {
            write_job(&w, j);
        }
    }
    fl_jw_end(&w, ']');
    fl_jw_key(&w, "summary");
    fl_jw_begin(&w, '{');
    fl_jw_key_int(&w, "rules", (long)r->test->n);
    fl_jw_key_int(&w, "bad_rules", (long)r->test->bad);
    fl_jw_key_int(&w, "samples", r->samples);
    fl_jw_key_int(&w, "failed", r->faults_n);
    fl_jw_key_int(&w, "jobs", r->jobs_n);
    fl_jw_key_int(&w, "unreadable", r->unreadable);
    fl_jw_key_int(&w, "lines", r->matched);
    fl_jw_key_int(&w, "dangers", r->dangers);
    fl_jw_key_int(&w, "changed", r->changed);
    fl_jw_key_int(&w, "causes_changed", r->causes_changed);
    fl_jw_end(&w, '}');
    fl_jw_end(&w, '}');
    fl_buf_add_text(out, "\n");
}

enum fl_status fl_trial_print(const struct fl_trial_report *report, struct fl_err *err)
{
    struct fl_buf out;
    fl_buf_init(&out, REPORT_CAP);
    (report->test->json ? print_json : print_text)(report, &out);
    enum fl_status status =
        out.failed ? fl_fail(err, out.failed, "too much to print")
                   : fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&out), err);
    fl_buf_free(&out);
    return status;
}
