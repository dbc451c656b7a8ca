/* SPDX-License-Identifier: Apache-2.0 */
/* The line is walked for numbers; the words before a number are compared from their end with the
 * names of the table. That needs no pattern a dialect, and costs one pass. */
#include "rules/signals/metrics.h"

#include <stdlib.h>

enum { NAMES_MAX = 512, SEPARATORS_MAX = 12, UNIT_MAX = 16,
       ENDS = 1024 };

struct name {
    char text[FL_METRIC_NAME]; /* plain form, see plain() */
    uint8_t n;
    uint8_t metric;
    uint16_t next; /* other names with the same end, longest first; 0: none */
};

struct fl_metrics {
    char metric[FL_METRICS_MAX][FL_METRIC_NAME];
    size_t n;
    struct name names[NAMES_MAX];
    size_t names_n;
    uint16_t by_end[ENDS]; /* by the last two characters */
    uint16_t digital[NAMES_MAX]; /* names with digits: lines of one shape may differ in them */
    size_t digital_n;
};

static char plain(char c)
{
    if (c == ' ' || c == '-' || c == '/' || c == '.') {
        return '_';
    }
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Where names that end like this are filed. A name of one letter has no letter before it. */
static unsigned end_of(struct fl_str key)
{
    unsigned last = (unsigned char)plain(key.p[key.n - 1]);
    unsigned before = key.n > 1 ? (unsigned char)plain(key.p[key.n - 2]) : 0;
    return (last * 31 + before) % ENDS;
}

static void file_name(struct fl_metrics *m, struct name *one)
{
    one->next = 0;
    uint16_t *link = &m->by_end[end_of((struct fl_str){one->text, one->n})];
    while (*link && m->names[*link].n >= one->n) {
        link = &m->names[*link].next;
    }
    one->next = *link;
    *link = (uint16_t)(one - m->names);
}

/* The first file that has the name is heard. */
static bool is_filed(const struct fl_metrics *m, const struct name *one)
{
    uint16_t i = m->by_end[end_of((struct fl_str){one->text, one->n})];
    while (i && !(m->names[i].n == one->n && memcmp(m->names[i].text, one->text, one->n) == 0)) {
        i = m->names[i].next;
    }
    return i != 0;
}

static enum fl_status add_names(struct fl_metrics *m, size_t metric, const fl_json *list,
                                const char *path, struct fl_err *err)
{
    for (const fl_json *e = fl_json_first(list); e; e = fl_json_next(e)) {
        struct fl_str text = fl_json_str(e);
        if (text.n == 0 || text.n >= FL_METRIC_NAME || m->names_n == NAMES_MAX) {
            return fl_fail(err, FL_SYNTAX,
                           "%s: metric %s: names must be 1 to %d bytes, at most %d in all", path,
                           m->metric[metric], FL_METRIC_NAME - 1, NAMES_MAX - 1);
        }
        struct name *one = &m->names[m->names_n];
        bool digital = false;
        for (size_t i = 0; i < text.n; i++) {
            one->text[i] = text.n == 1 ? text.p[i] : plain(text.p[i]);
            digital |= fl_is_digit(text.p[i]);
        }
        one->n = (uint8_t)text.n;
        one->metric = (uint8_t)metric;
        if (is_filed(m, one)) {
            continue;
        }
        m->names_n++;
        file_name(m, one);
        if (digital) {
            m->digital[m->digital_n++] = (uint16_t)(one - m->names);
        }
    }
    return FL_OK;
}

static enum fl_status add_metric(struct fl_metrics *m, const fl_json *entry, const char *path,
                                 struct fl_err *err)
{
    struct fl_str name = fl_json_get_str(entry, "name");
    int known = fl_metrics_find(m, name);
    if (name.n == 0 || name.n >= FL_METRIC_NAME || (known < 0 && m->n == FL_METRICS_MAX)) {
        return fl_fail(err, FL_SYNTAX,
                       "%s: metric %zu: needs a \"name\" of 1 to %d bytes; at most %d metrics", path,
                       m->n + 1, FL_METRIC_NAME - 1, FL_METRICS_MAX);
    }
    if (known < 0) {
        known = (int)m->n++;
        memcpy(m->metric[known], name.p, name.n);
    }
    return add_names(m, (size_t)known, fl_json_get(entry, "names"), path, err);
}

bool fl_metrics_is(const fl_json *root)
{
    return fl_str_eq(fl_json_get_str(root, "format"), FL_LIT("faultline.metrics/1"));
}

enum fl_status fl_metrics_extend(struct fl_metrics **metrics, const fl_json *root, const char *path,
                                 struct fl_err *err)
{
    if (!*metrics) {
        *metrics = calloc(1, sizeof **metrics);
        if (!*metrics) {
            return fl_fail(err, FL_NOMEM, "%s: no memory", path);
        }
        (*metrics)->names_n = 1; /* 0 ends a chain */
    }
    enum fl_status status = FL_OK;
    for (const fl_json *e = fl_json_first(fl_json_get(root, "metrics")); e && status == FL_OK;
         e = fl_json_next(e)) {
        status = add_metric(*metrics, e, path, err);
    }
    return status;
}

void fl_metrics_free(struct fl_metrics *metrics)
{
    free(metrics);
}

int fl_metrics_find(const struct fl_metrics *metrics, struct fl_str name)
{
    for (size_t i = 0; metrics && i < metrics->n; i++) {
        if (fl_str_eq(fl_str_of(metrics->metric[i]), name)) {
            return (int)i;
        }
    }
    return -1;
}

const char *fl_metrics_name(const struct fl_metrics *metrics, int metric)
{
    return metrics->metric[metric];
}

static bool is_word(char c)
{
    return fl_is_alpha(c) || fl_is_digit(c) || c == '_';
}

/* blurred: any digit stands for any other. */
static bool ends_with(struct fl_str key, const struct name *one, bool blurred)
{
    if (key.n < one->n) {
        return false;
    }
    const char *from = key.p + key.n - one->n;
    for (size_t i = 0; i < one->n; i++) {
        char c = one->n == 1 ? from[i] : plain(from[i]);
        if (c != one->text[i] && !(blurred && fl_is_digit(c) && fl_is_digit(one->text[i]))) {
            return false;
        }
    }
    return from == key.p ||
           !(is_word(from[-1]) || from[-1] == '/' || from[-1] == '.' || from[-1] == '-');
}

/* The metric whose name ends `key`, the longest one; -1: none. */
static int named(const struct fl_metrics *m, struct fl_str key)
{
    for (uint16_t i = m->by_end[end_of(key)]; i; i = m->names[i].next) {
        if (ends_with(key, &m->names[i], false)) {
            return m->names[i].metric;
        }
    }
    if (key.n > 1 && !is_word(key.p[key.n - 2])) { /* a single letter */
        struct fl_str letter = {key.p + key.n - 1, 1};
        for (uint16_t i = m->by_end[end_of(letter)]; i; i = m->names[i].next) {
            if (m->names[i].n == 1 && ends_with(key, &m->names[i], false)) {
                return m->names[i].metric;
            }
        }
    }
    return -1;
}

/* Might a line with other digits name another metric here? */
static bool tells_digits_apart(const struct fl_metrics *m, struct fl_str key)
{
    for (size_t i = 0; i < m->digital_n; i++) {
        if (ends_with(key, &m->names[m->digital[i]], true)) {
            return true;
        }
    }
    return false;
}

/* Length of a number at the front of s, in the forms that logs print; 0: none. */
static size_t number_length(struct fl_str s)
{
    size_t i = s.n && (*s.p == '-' || *s.p == '+');
    struct fl_str word = fl_str_skip(s, i);
    if (word.n >= 3 && ((word.p[0] | 32) == 'n' || (word.p[0] | 32) == 'i')) {
        bool odd = (((word.p[0] | 32) == 'n' && (word.p[1] | 32) == 'a' && (word.p[2] | 32) == 'n') ||
                    ((word.p[0] | 32) == 'i' && (word.p[1] | 32) == 'n' && (word.p[2] | 32) == 'f'));
        if (odd && word.n >= 8 && strncasecmp(word.p, "infinity", 8) == 0) {
            return i + 8;
        }
        return odd && !(word.n > 3 && is_word(word.p[3])) ? i + 3 : 0;
    }
    size_t begin = i;
    while (i < s.n && (fl_is_digit(s.p[i]) ||
                       (s.p[i] == ',' && i > begin && i + 3 < s.n && fl_is_digit(s.p[i + 1]) &&
                        fl_is_digit(s.p[i + 2]) && fl_is_digit(s.p[i + 3]) &&
                        !(i + 4 < s.n && fl_is_digit(s.p[i + 4]))))) {
        i++;
    }
    size_t whole = i - begin;
    if (i < s.n && s.p[i] == '.') {
        i++;
        while (i < s.n && fl_is_digit(s.p[i])) {
            i++;
            whole++;
        }
    }
    if (whole == 0) {
        return 0;
    }
    if (i + 1 < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        size_t e = i + 1 + (s.p[i + 1] == '-' || s.p[i + 1] == '+');
        if (e < s.n && fl_is_digit(s.p[e])) {
            while (e < s.n && fl_is_digit(s.p[e])) {
                e++;
            }
            i = e;
        }
    }
    return i;
}

static void put(struct fl_values *values, int metric, const struct fl_number *number)
{
    values->present |= 1U << metric;
    values->value[metric] = number->value;
    values->digits[metric] = number->digits;
    values->rounds[metric] = number->rounds;
}

void fl_values_put(struct fl_values *values, int metric, struct fl_str number)
{
    struct fl_number read;
    if (metric >= 0 && !fl_values_has(values, metric) && fl_number_read(number, &read)) {
        put(values, metric, &read);
    }
}

static bool is_separator(char c)
{
    return c == ' ' || c == ':' || c == '=' || c == '\'' || c == '"' || c == '\t' || c == '[';
}

/* Does a number with this behind it begin a date, a time of day, an address? */
static bool goes_on(struct fl_str rest)
{
    size_t i = 1;
    if (rest.n < 2 || !fl_is_digit(rest.p[1])) {
        return false;
    }
    while (i < rest.n && fl_is_digit(rest.p[i])) {
        i++;
    }
    return (*rest.p && strchr(":-.", *rest.p)) ||
           (*rest.p == '/' && i + 1 < rest.n && rest.p[i] == '/' && fl_is_digit(rest.p[i + 1]));
}

/* The words that stand before a number: without the quotes, colons, blanks and the bracket of a list
 * between, and without a unit in brackets. Empty: there are none. */
static struct fl_str key_before(struct fl_str text, size_t number)
{
    size_t end = number;
    while (end > 0 && number - end < SEPARATORS_MAX && is_separator(text.p[end - 1])) {
        end--;
    }
    if (end == number) {
        return (struct fl_str){text.p, 0};
    }
    if (end > 3 && memcmp(text.p + end - 3, " is", 3) == 0) { /* "the loss is 3.1" */
        end -= 3;
    }
    if (end > 1 && text.p[end - 1] == ')') {
        size_t open = end - 1;
        while (open > 0 && end - open < UNIT_MAX && text.p[open] != '(') {
            open--;
        }
        if (text.p[open] == '(') {
            end = open;
            while (end > 0 && text.p[end - 1] == ' ') {
                end--;
            }
        }
    }
    bool word = end > 0 && (is_word(text.p[end - 1]) || text.p[end - 1] == '@');
    return (struct fl_str){text.p, word ? end : 0};
}

/* MLPerf logging: {"key": "eval_accuracy", "value": 0.7} (mlcommons/logging, mllog). */
static struct fl_str mllog_key(struct fl_str text)
{
    const char *at = fl_str_find(text, FL_LIT("\"key\": \""));
    if (!at) {
        return (struct fl_str){text.p, 0};
    }
    const char *from = at + 8;
    const char *end = memchr(from, '"', (size_t)(text.p + text.n - from));
    return (struct fl_str){from, end ? (size_t)(end - from) : 0};
}

void fl_spots_add(struct fl_spots *spots, struct fl_str text, struct fl_str part, int metric)
{
    struct fl_spot spot = fl_spot_at(text, part, metric);
    bool known = spot.metric < 0 || spot.n == 0 || spot.n >= FL_NUMBER_MAX;
    for (size_t i = 0; i < spots->n && !known; i++) {
        known = spots->item[i].metric == spot.metric;
    }
    if (!known && spots->n < FL_METRICS_MAX) {
        spot.form = fl_number_form_of(part);
        spots->item[spots->n++] = spot;
    }
}

void fl_metrics_spots(const struct fl_metrics *metrics, struct fl_str text, struct fl_spots *out)
{
    for (size_t i = 0; i < text.n;) {
        char c = text.p[i];
        bool starts = i > 0 && !is_word(text.p[i - 1]) &&
                      (fl_is_digit(c) || c == '-' || c == '+' || c == '.' || (c | 32) == 'n' ||
                       (c | 32) == 'i');
        size_t n = starts ? number_length(fl_str_skip(text, i)) : 0;
        if (n == 0) {
            i++;
            continue;
        }
        size_t after = i + n;
        struct fl_str key = goes_on(fl_str_skip(text, after)) ? (struct fl_str){text.p, 0}
                                                              : key_before(text, i);
        if (key.n >= 5 && fl_str_ends(key, FL_LIT("value")) && text.p[key.n] == '"') {
            key = mllog_key(text);
        }
        if (key.n) {
            struct fl_str number = {text.p + i, n};
            fl_spots_add(out, text, number, named(metrics, key));
            out->holds &= !tells_digits_apart(metrics, key);
        }
        i = after;
    }
}

int fl_metrics_meant(const struct fl_metrics *metrics, struct fl_str name)
{
    char text[2 * FL_METRIC_NAME + 4];
    struct fl_spots spots = {.n = 0};
    if (!metrics || name.n == 0 || name.n > 2 * FL_METRIC_NAME) {
        return -1;
    }
    memcpy(text, name.p, name.n);
    memcpy(text + name.n, ": 1", 3);
    fl_metrics_spots(metrics, (struct fl_str){text, name.n + 3}, &spots);
    return spots.n ? spots.item[0].metric : -1;
}

void fl_spots_read(const struct fl_spots *spots, struct fl_str text, struct fl_values *out)
{
    for (size_t i = 0; i < spots->n; i++) {
        struct fl_spot spot = spots->item[i];
        struct fl_number number;
        if (fl_values_has(out, spot.metric)) {
            continue;
        }
        if (fl_number_follow(text, spot.at, spot.form, &number) ||
            fl_number_read(fl_spot_text(spot, text), &number)) {
            put(out, spot.metric, &number);
        }
    }
}

void fl_metrics_read(const struct fl_metrics *metrics, struct fl_str text, struct fl_values *out)
{
    struct fl_spots spots = {.n = 0};
    fl_metrics_spots(metrics, text, &spots);
    fl_spots_read(&spots, text, out);
}
