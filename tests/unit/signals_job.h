/* SPDX-License-Identifier: Apache-2.0 */
/* A made-up job that says metrics, line by line, for the tests of signals. */
#pragma once
#include "tests/unit/test.h"

#include "rules/signals/detect.h"
#include "service/base/fsio.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

static struct fl_metrics *metrics;

static inline int number_of(const char *metric)
{
    int m = fl_metrics_find(metrics, fl_str_of(metric));
    CHECK(m >= 0);
    return m;
}

static inline enum fl_status extend(struct fl_metrics **m, struct fl_str json, struct fl_err *err)
{
    fl_json *root = NULL;
    enum fl_status status = fl_json_parse(json, "metrics.json", &root, err);
    if (status == FL_OK) {
        status = fl_metrics_extend(m, root, "metrics.json", err);
    }
    fl_json_free(root);
    return status;
}

/* The names that are shipped; the program ends where they cannot be read. */
static inline void load_metrics(void)
{
    char path[512];
    struct fl_err err = {0};
    const char *source = getenv("FL_SOURCE");
    snprintf(path, sizeof path, "%s/rules/signals/metrics.json", source ? source : ".");
    struct fl_buf text;
    fl_buf_init(&text, FL_JSON_BYTES);
    if (fl_fsio_read(path, &text, &err) != FL_OK ||
        extend(&metrics, fl_buf_str(&text), &err) != FL_OK) {
        fprintf(stderr, "%s\n", err.msg);
        exit(EXIT_FAILURE);
    }
    fl_buf_free(&text);
}

struct job {
    struct fl_arena arena;
    struct fl_series_set set;
    struct fl_place place;
    uint64_t order;
    uint32_t run;
    uint32_t noise;
    struct fl_detection found[FL_DETECTIONS_MAX];
    size_t found_n;
};

static inline struct job *begin(void)
{
    struct job *j = calloc(1, sizeof *j);
    if (!j) {
        abort();
    }
    fl_arena_init(&j->arena, 64 << 20);
    fl_series_init(&j->set, metrics, &j->arena);
    j->place = (struct fl_place){.rank = -1, .local_rank = -1, .gpu = -1};
    j->noise = 7;
    return j;
}

static inline void end(struct job *j)
{
    fl_series_fini(&j->set);
    fl_arena_free(&j->arena);
    free(j);
}

__attribute__((format(printf, 2, 3)))
static inline void say(struct job *j, const char *fmt, ...)
{
    char line[512];
    va_list args;
    struct fl_values v = {.present = 0};
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    j->place.line++;
    fl_metrics_read(metrics, (struct fl_str){line, (size_t)n}, &v);
    fl_series_add(&j->set, j->run, &j->place, j->order++, -1, &v, (struct fl_str){line, (size_t)n});
}

/* In [-1, 1]; the same in every run. */
static inline double noise(struct job *j)
{
    j->noise = j->noise * 1664525U + 1013904223U;
    return (double)(j->noise >> 8) / (1 << 23) - 1;
}

static inline const struct fl_detection *see(struct job *j, const char *metric, const char *kind)
{
    j->found_n = fl_detect(&j->set, NULL, j->found);
    for (size_t i = 0; i < j->found_n; i++) {
        if (strcmp(j->found[i].metric, metric) == 0 && strcmp(j->found[i].kind, kind) == 0) {
            return &j->found[i];
        }
    }
    return NULL;
}

/* The detection is there, blames `cause` (NULL: nothing) and begins between the steps. Ends j. */
static inline void check_seen(struct job *j, const char *metric, const char *kind, const char *cause,
                       long from, long to)
{
    const struct fl_detection *d = see(j, metric, kind);
    CHECK(d != NULL);
    if (d) {
        CHECK(cause ? d->cause && strcmp(d->cause, cause) == 0 && d->weight > 0 && d->text[0]
                    : !d->cause);
        CHECK(d->from_step >= from && d->from_step <= to);
        CHECK(d->row && d->row->text_n && d->end && d->series);
        CHECK(d->text[0] != '\0');
        if (d->from_step < from || d->from_step > to) {
            fprintf(stderr, "  %s %s from step %ld\n", metric, kind, d->from_step);
        }
    } else {
        fprintf(stderr, "  no %s %s\n", metric, kind);
    }
    end(j);
}

/* Nothing is blamed. Ends j. */
static inline void check_healthy(struct job *j, const char *what)
{
    j->found_n = fl_detect(&j->set, NULL, j->found);
    CHECK_EQ_INT(j->found_n, 0);
    for (size_t i = 0; i < j->found_n; i++) {
        fprintf(stderr, "  %s: %s %s: %s\n", what, j->found[i].metric, j->found[i].kind,
                j->found[i].text);
    }
    end(j);
}

/* A usual loss: quick at first, then slow, with noise. */
static inline double usual(struct job *j, long step)
{
    return 2.2 + 8.5 * exp((double)-step / 60) + 0.05 * noise(j);
}
