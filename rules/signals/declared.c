/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/signals/declared.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const statistics[FL_STATISTICS_N] = {
    "mean", "min", "max", "std", "slope", "ratio_to_first", "ratio_to_median", "count_not_finite"};
static const char *const kinds[] = {"spike",     "divergence", "nan",
                                    "explosion", "vanishing",  "plateau",
                                    "scale_collapse", "straggler", "memory_growth",
                                    "leakage", "collapse", "frozen", "desync",
                                    "silence", "fewer_workers", "skipping"};
static const char *const comparisons[] = {"above", "below"};
static const char *const keys[] = {"id",         "metric", "window",   "statistic",
                                   "comparison", "value",  "duration", "kind",
                                   "severity",   "cause",  "confidence", "text"};
static const char *const placeholders[] = {"{value}", "{step}"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

bool fl_declared_is(const fl_json *root)
{
    return fl_str_eq(fl_json_get_str(root, "format"), FL_LIT("faultline.detectors/1"));
}

/* Its place in the list, or n. */
static size_t place_of(struct fl_str word, const char *const *list, size_t n)
{
    size_t i = 0;
    while (i < n && !fl_str_eq(word, fl_str_of(list[i]))) {
        i++;
    }
    return i;
}

static enum fl_status choose(const fl_json *entry, const char *key, const char *const *list,
                             size_t n, size_t *place_r, struct fl_err *err)
{
    *place_r = place_of(fl_json_get_str(entry, key), list, n);
    if (*place_r < n) {
        return FL_OK;
    }
    struct fl_buf all;
    fl_buf_init(&all, 512);
    for (size_t i = 0; i < n; i++) {
        fl_buf_addf(&all, "%s%s", i ? ", " : "", list[i]);
    }
    enum fl_status status =
        fl_fail(err, FL_SYNTAX, "\"%s\" must be one of %s", key, fl_buf_text(&all));
    fl_buf_free(&all);
    return status;
}

static enum fl_status take_count(const fl_json *entry, const char *key, long *out,
                                 struct fl_err *err)
{
    const fl_json *node = fl_json_get(entry, key);
    double n = node ? fl_json_num(node, 0) : 1;
    if (n < 1 || n > FL_DECLARED_WINDOW_MAX || n != floor(n)) {
        return fl_fail(err, FL_SYNTAX, "\"%s\" must be a whole number from 1 to %d (of values)",
                       key, FL_DECLARED_WINDOW_MAX);
    }
    *out = (long)n;
    return FL_OK;
}

static enum fl_status take_text(const fl_json *entry, const char *key, size_t longest,
                                struct fl_arena *arena, const char **out, struct fl_err *err)
{
    struct fl_str text = fl_json_get_str(entry, key);
    if (text.n == 0 || text.n > longest) {
        return fl_fail(err, FL_SYNTAX, "\"%s\" must be a text of 1 to %zu bytes", key, longest);
    }
    *out = fl_arena_text(arena, text);
    return *out ? FL_OK : fl_fail(err, FL_NOMEM, "no memory");
}

static enum fl_status check_keys(const fl_json *entry, struct fl_err *err)
{
    for (const fl_json *e = fl_json_first(entry); e; e = fl_json_next(e)) {
        struct fl_str key = fl_str_of(fl_json_key(e));
        if (!key.n || place_of(key, keys, COUNT(keys)) == COUNT(keys)) {
            return fl_fail(err, FL_SYNTAX, "there is no key \"%.40s\"", key.n ? key.p : "");
        }
    }
    return FL_OK;
}

static enum fl_status check_text(const char *text, struct fl_err *err)
{
    for (const char *p = strchr(text, '{'); p; p = strchr(p + 1, '{')) {
        bool known = false;
        for (size_t i = 0; i < COUNT(placeholders); i++) {
            known |= strncmp(p, placeholders[i], strlen(placeholders[i])) == 0;
        }
        if (!known) {
            return fl_fail(err, FL_SYNTAX, "\"text\" knows {value} and {step}, not \"%.20s\"", p);
        }
    }
    return FL_OK;
}

static enum fl_status take_cause(const fl_json *entry, const struct fl_taxonomy *taxonomy,
                                 struct fl_declared_one *out, struct fl_err *err)
{
    const fl_json *cause = fl_json_get(entry, "cause");
    out->confidence = fl_json_get_num(entry, "confidence", 0.5);
    if (!(out->confidence > 0 && out->confidence <= 1)) {
        return fl_fail(err, FL_SYNTAX, "\"confidence\" must be above 0 and at most 1");
    }
    if (!cause || fl_json_is_null(cause)) {
        return FL_OK;
    }
    const struct fl_cause *known = fl_taxonomy_find(taxonomy, fl_json_str(cause));
    if (!known) {
        return fl_fail(err, FL_SYNTAX, "\"cause\" is none of data/taxonomy.json");
    }
    out->cause = known->slug;
    return FL_OK;
}

/* A window of one value has neither. */
static bool needs_two(enum fl_statistic statistic)
{
    return statistic == FL_STATISTIC_SLOPE || statistic == FL_STATISTIC_STD;
}

static enum fl_status read_rest(const fl_json *entry, const struct fl_taxonomy *taxonomy,
                                struct fl_declared_one *out, struct fl_err *err)
{
    size_t statistic = 0;
    size_t below = 0;
    size_t kind = 0;
    const fl_json *value = fl_json_get(entry, "value");
    enum fl_status status = choose(entry, "statistic", statistics, COUNT(statistics), &statistic, err);
    if (status == FL_OK) {
        status = choose(entry, "comparison", comparisons, COUNT(comparisons), &below, err);
    }
    if (status == FL_OK) {
        status = choose(entry, "kind", kinds, COUNT(kinds), &kind, err);
    }
    if (status == FL_OK && !fl_severity_parse(fl_json_get_str(entry, "severity"), &out->severity)) {
        status = fl_fail(err, FL_SYNTAX, "\"severity\" must be one of low, medium, high, critical");
    }
    if (status == FL_OK && (!fl_json_is_number(value) || !isfinite(fl_json_num(value, NAN)))) {
        status = fl_fail(err, FL_SYNTAX, "\"value\" must be a number");
    }
    if (status == FL_OK) {
        status = take_cause(entry, taxonomy, out, err);
    }
    if (status != FL_OK) {
        return status;
    }
    out->statistic = (enum fl_statistic)statistic;
    out->below = below == 1;
    out->kind = kinds[kind];
    out->value = fl_json_num(value, 0);
    return needs_two(out->statistic) && out->window < 2
               ? fl_fail(err, FL_SYNTAX, "\"%s\" needs a \"window\" of 2 or more",
                         statistics[statistic])
               : FL_OK;
}

static enum fl_status read_one(const fl_json *entry, const struct fl_taxonomy *taxonomy,
                               struct fl_arena *arena, struct fl_declared_one *out,
                               struct fl_err *err)
{
    enum fl_status status = fl_json_is_object(entry)
                                ? take_text(entry, "id", 60, arena, &out->id, err)
                                : fl_fail(err, FL_SYNTAX, "must be an object");
    if (status == FL_OK) {
        status = check_keys(entry, err);
    }
    if (status == FL_OK) {
        status = take_text(entry, "metric", FL_METRIC_NAME - 1, arena, &out->metric_name, err);
    }
    if (status == FL_OK) {
        status = take_text(entry, "text", FL_DECLARED_TEXT, arena, &out->text, err);
    }
    if (status == FL_OK) {
        status = check_text(out->text, err);
    }
    if (status == FL_OK) {
        status = take_count(entry, "window", &out->window, err);
    }
    if (status == FL_OK) {
        status = take_count(entry, "duration", &out->duration, err);
    }
    return status == FL_OK ? read_rest(entry, taxonomy, out, err) : status;
}

static bool is_known(const struct fl_declared *d, const char *id)
{
    bool known = false;
    for (size_t i = 0; i < d->n; i++) {
        known |= strcmp(d->list[i].id, id) == 0;
    }
    return known;
}

static void tell(const char *file, const char *id, const char *what, fl_declared_complain complain,
                 void *ctx, size_t *bad_r)
{
    struct fl_buf text;
    fl_buf_init(&text, 16 * 1024);
    fl_buf_addf(&text, "%s: detector %s: %s (detector left out)", file, id, what);
    if (complain) {
        complain(ctx, fl_buf_text(&text));
    }
    fl_buf_free(&text);
    ++*bad_r;
}

enum fl_status fl_declared_extend(struct fl_declared **declared, const fl_json *root,
                                  const char *path, const struct fl_taxonomy *taxonomy,
                                  struct fl_arena *arena, fl_declared_complain complain, void *ctx,
                                  size_t *bad_r, struct fl_err *err)
{
    const fl_json *list = fl_json_get(root, "detectors");
    const char *file = fl_arena_text(arena, fl_str_of(path));
    size_t number = 0;
    if (!fl_json_is_array(list)) {
        return fl_fail(err, FL_SYNTAX, "%s: needs a list \"detectors\"", path);
    }
    if (!*declared) {
        *declared = calloc(1, sizeof **declared);
    }
    if (!*declared || !file) {
        return fl_fail(err, FL_NOMEM, "%s: no memory", path);
    }
    for (const fl_json *e = fl_json_first(list); e; e = fl_json_next(e)) {
        struct fl_declared_one one = {.file = file, .metric = -1};
        struct fl_err fault = {0};
        char place[32];
        snprintf(place, sizeof place, "%zu", ++number);
        enum fl_status status = read_one(e, taxonomy, arena, &one, &fault);
        if (status == FL_OK && is_known(*declared, one.id)) {
            status = fl_fail(&fault, FL_SYNTAX, "another detector has this id");
        } else if (status == FL_OK && (*declared)->n == FL_DECLARED_MAX) {
            status = fl_fail(&fault, FL_SYNTAX, "there are %d already, the most that can be",
                             FL_DECLARED_MAX);
        }
        if (status == FL_OK) {
            (*declared)->list[(*declared)->n++] = one;
        } else if (status == FL_NOMEM) {
            return fl_fail(err, FL_NOMEM, "%s: no memory", path);
        } else {
            tell(file, one.id ? one.id : place, fault.msg, complain, ctx, bad_r);
        }
    }
    return FL_OK;
}

void fl_declared_settle(struct fl_declared *declared, const struct fl_metrics *metrics,
                        fl_declared_complain complain, void *ctx, size_t *bad_r)
{
    size_t kept = 0;
    for (size_t i = 0; declared && i < declared->n; i++) {
        struct fl_declared_one *one = &declared->list[i];
        one->metric = fl_metrics_find(metrics, fl_str_of(one->metric_name));
        if (one->metric < 0) {
            char what[120];
            snprintf(what, sizeof what, "no file of format faultline.metrics/1 names a metric %s",
                     one->metric_name);
            tell(one->file, one->id, what, complain, ctx, bad_r);
        } else {
            declared->list[kept++] = *one;
        }
    }
    if (declared) {
        declared->n = kept;
    }
}

void fl_declared_free(struct fl_declared *declared)
{
    free(declared);
}
