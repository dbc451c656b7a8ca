/* SPDX-License-Identifier: Apache-2.0 */
#include "service/features.h"

#include "service/base/hash.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

enum { NUMBER_MAX = 40 };

static uint64_t hash_of(long row)
{
    return fl_hash((struct fl_str){(const char *)&row, sizeof row}, 0);
}

void fl_features_free(struct fl_features *features)
{
    for (size_t i = 0; i < features->n; i++) {
        free(features->list[i]->sample);
        free(features->list[i]);
    }
    features->n = 0;
}

const struct fl_feature *fl_features_find(const struct fl_features *features, const char *name)
{
    for (size_t i = 0; i < features->n; i++) {
        if (strcmp(features->list[i]->name, name) == 0) {
            return features->list[i];
        }
    }
    return NULL;
}

static bool is_named(const struct fl_feature *feature, struct fl_str name)
{
    return strncmp(feature->name, name.p, name.n) == 0 && feature->name[name.n] == '\0';
}

struct fl_feature *fl_features_column(struct fl_features *features, struct fl_str name,
                                      const struct fl_metrics *metrics, size_t hint)
{
    if (name.n == 0 || name.n >= FL_FEATURE_NAME) {
        features->full = true;
        return NULL;
    }
    if (hint < features->n && is_named(features->list[hint], name)) {
        return features->list[hint];
    }
    for (size_t i = 0; i < features->n; i++) {
        if (is_named(features->list[i], name)) {
            return features->list[i];
        }
    }
    struct fl_feature *made = features->n < FL_FEATURES_MAX ? calloc(1, sizeof *made) : NULL;
    if (!made) {
        features->full = true;
        return NULL;
    }
    memcpy(made->name, name.p, name.n);
    made->metric = fl_metrics_meant(metrics, name);
    made->limit = UINT64_MAX;
    made->counts_up = true;
    features->list[features->n++] = made;
    return made;
}

/* Of a full sample about every second row goes. */
static bool make_room(struct fl_feature *f)
{
    while (f->n == FL_FEATURE_SAMPLE) {
        size_t kept = 0;
        f->limit /= 2;
        for (size_t i = 0; i < f->n; i++) {
            if (hash_of(f->sample[i].row) < f->limit) {
                f->sample[kept++] = f->sample[i];
            }
        }
        f->n = kept;
    }
    if (f->n == f->size) {
        size_t size = f->size ? f->size * 2 : 64;
        struct fl_feature_value *more = realloc(f->sample, size * sizeof *more);
        if (!more) {
            return false;
        }
        f->sample = more;
        f->size = size;
    }
    return true;
}

enum fl_status fl_feature_number(struct fl_feature *feature, long row, struct fl_at_step at,
                                 struct fl_err *err)
{
    uint64_t hash = hash_of(row);
    feature->counts_up &= feature->numbers == 0 || at.v > feature->last;
    feature->last = at.v;
    feature->numbers++;
    if (hash >= feature->limit) {
        return FL_OK;
    }
    if (!make_room(feature)) {
        return fl_fail(err, FL_NOMEM, "no memory for the values of %s", feature->name);
    }
    if (hash < feature->limit) {
        feature->sample[feature->n++] = (struct fl_feature_value){row, at};
    }
    return FL_OK;
}

static void count_category(struct fl_feature *f, struct fl_str text)
{
    uint64_t hash = fl_hash(text, 0);
    size_t i = 0;
    f->texts++;
    while (i < f->categories && i < FL_FEATURE_CATEGORIES && f->category[i].hash != hash) {
        i++;
    }
    if (i < FL_FEATURE_CATEGORIES) {
        f->category[i].hash = hash;
        f->category[i].count++;
    }
    f->categories = i == f->categories ? i + 1 : f->categories;
}

static bool says_nothing(struct fl_str text)
{
    static const char *const words[] = {"null", "none", "na", "n/a", "<na>"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (text.n == strlen(words[i]) && strncasecmp(text.p, words[i], text.n) == 0) {
            return true;
        }
    }
    return text.n == 0;
}

enum fl_status fl_feature_text(struct fl_feature *feature, long row, long step, struct fl_str text,
                               struct fl_err *err)
{
    char number[NUMBER_MAX];
    char *end = number;
    double value = 0;
    if (says_nothing(text)) {
        return FL_OK;
    }
    if (text.n < sizeof number) {
        memcpy(number, text.p, text.n);
        number[text.n] = '\0';
        value = strtod(number, &end);
    }
    if (text.n >= sizeof number || end == number || *end) {
        count_category(feature, text);
        return FL_OK;
    }
    if (!isfinite(value)) {
        feature->not_finite++;
        return FL_OK;
    }
    return fl_feature_number(feature, row, (struct fl_at_step){-1, step, value}, err);
}
