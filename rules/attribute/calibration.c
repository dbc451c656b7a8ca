/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/attribute/calibration.h"

#include "service/base/fsio.h"
#include "service/base/json.h"

const char *fl_basis_name(enum fl_basis basis)
{
    static const char *const names[FL_BASES_N] = {"failed_by_rule", "failed_by_signal",
                                                  "healthy_by_success", "healthy_by_progress",
                                                  "unknown"};
    return names[basis];
}

static double within(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

double fl_curve_at(const struct fl_curve *curve, double score)
{
    const struct fl_curve_point *p = curve->point;
    double chance = score;
    size_t i = 0;
    while (i < curve->n && p[i].score < score) {
        i++;
    }
    if (curve->n && (i == 0 || i == curve->n)) {
        chance = p[i ? i - 1 : 0].chance;
    } else if (curve->n) {
        double part = (score - p[i - 1].score) / (p[i].score - p[i - 1].score);
        chance = p[i - 1].chance + part * (p[i].chance - p[i - 1].chance);
    }
    return within(chance, FL_CHANCE_LEAST, FL_CHANCE_MOST);
}

void fl_calibrate(const struct fl_calibration *calibration, struct fl_verdict *v)
{
    double sum = 0;
    size_t others = v->outcome == FL_OUTCOME_FAILED; /* the first of them */
    v->confidence = fl_curve_at(&calibration->curve[v->basis], v->score);
    for (size_t i = others; i < v->hypotheses_n; i++) {
        sum += v->hypotheses[i].score;
    }
    double share = (1 - v->confidence) / (sum > 1 ? sum : 1);
    for (size_t i = 0; i < v->hypotheses_n; i++) {
        double chance = i < others ? v->confidence : v->hypotheses[i].score * share;
        v->hypotheses[i].confidence =
            others && chance > v->confidence ? v->confidence : chance;
    }
}

static enum fl_status read_curve(const fl_json *node, const char *path, const char *name,
                                 struct fl_curve *out, struct fl_err *err)
{
    out->cases = (long)fl_json_get_num(node, "cases", 0);
    struct fl_curve_point last = {0, FL_CHANCE_LEAST};
    const fl_json *e = fl_json_first(fl_json_get(node, "points"));
    for (; e; e = fl_json_next(e)) {
        const fl_json *score = fl_json_first(e);
        const fl_json *chance = score ? fl_json_next(score) : NULL;
        struct fl_curve_point p = {fl_json_num(score, -1), fl_json_num(chance, -1)};
        if (!(p.score >= last.score && p.score <= 1 && p.chance >= last.chance &&
              p.chance <= FL_CHANCE_MOST)) {
            return fl_fail(err, FL_SYNTAX, "%s: %s: point %zu is no [score, chance] that rises "
                           "within 0 to 1 and %g to %g", path, name, out->n + 1, FL_CHANCE_LEAST,
                           FL_CHANCE_MOST);
        }
        if (out->n == FL_CURVE_POINTS) {
            return fl_fail(err, FL_LIMIT, "%s: %s: more than %d points", path, name,
                           FL_CURVE_POINTS);
        }
        out->point[out->n++] = last = p;
    }
    return FL_OK;
}

enum fl_status fl_calibration_load(const char *path, struct fl_calibration *out, struct fl_err *err)
{
    struct fl_buf text;
    fl_json *root = NULL;
    *out = (struct fl_calibration){.curve = {{.n = 0}}};
    if (!fl_fsio_exists(path)) {
        return FL_OK;
    }
    fl_buf_init(&text, 1 << 20);
    enum fl_status status = fl_fsio_read(path, &text, err);
    if (status == FL_OK && text.n > 0) { /* empty: a new one is just being written into it */
        status = fl_json_parse(fl_buf_str(&text), path, &root, err);
    }
    if (root && !fl_str_eq(fl_json_get_str(root, "format"), FL_LIT("faultline.calibration/1"))) {
        status = fl_fail(err, FL_SYNTAX, "%s: \"format\" is not faultline.calibration/1", path);
    }
    const fl_json *kinds = fl_json_get(root, "kinds");
    for (unsigned i = 0; status == FL_OK && i < FL_BASES_N; i++) {
        const char *name = fl_basis_name((enum fl_basis)i);
        status = read_curve(fl_json_get(kinds, name), path, name, &out->curve[i], err);
    }
    if (status != FL_OK) {
        *out = (struct fl_calibration){.curve = {{.n = 0}}};
    }
    fl_json_free(root);
    fl_buf_free(&text);
    return status;
}
