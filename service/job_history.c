/* SPDX-License-Identifier: Apache-2.0 */
/* trainer_state.json of Hugging Face's Trainer: one JSON object, whose list "log_history" has an object for
 * each time that something was logged. Its numbers are read as those of a line are, since Python writes NaN
 * and Infinity, which are no JSON. */
#include "service/job_history.h"

#include "service/base/fsio.h"

enum { FILE_CAP = 64 << 20 };

bool fl_job_history_name(const char *path)
{
    return fl_str_ends(fl_str_of(path), FL_LIT("trainer_state.json"));
}

/* The object that begins at or behind *rest, before the list ends; steps over it. */
static bool next_object(struct fl_str *rest, struct fl_str *out)
{
    int depth = 0;
    bool quoted = false;
    const char *from = NULL;
    for (size_t i = 0; i < rest->n; i++) {
        char c = rest->p[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            from = depth++ == 0 ? rest->p + i : from;
        } else if (c == '}' || c == ']') {
            if (--depth < 0) {
                return false;
            }
            if (depth == 0) {
                *out = (struct fl_str){from, (size_t)(rest->p + i + 1 - from)};
                *rest = fl_str_skip(*rest, i + 1);
                return true;
            }
        }
    }
    return false;
}

/* The line of an object that its first value is printed on. */
static struct fl_str line_of(struct fl_str object, const struct fl_spots *spots, uint32_t axis)
{
    size_t at = 0;
    for (size_t i = spots->n; i-- > 0;) {
        at = axis >> spots->item[i].metric & 1 ? at : spots->item[i].at;
    }
    size_t from = at;
    while (from > 0 && object.p[from - 1] != '\n') {
        from--;
    }
    struct fl_str line = fl_str_skip(object, from);
    const char *end = memchr(line.p, '\n', line.n);
    return fl_str_trim((struct fl_str){line.p, end ? (size_t)(end - line.p) : line.n});
}

static void take_objects(struct fl_job *job, struct fl_str text, struct fl_str list, uint32_t stream,
                         long *rows_r)
{
    const struct fl_metrics *metrics = fl_diagnosis_rules(fl_job_diagnosis(job))->metrics;
    int step = fl_metrics_find(metrics, FL_LIT("step"));
    int epoch = fl_metrics_find(metrics, FL_LIT("epoch"));
    uint32_t axis = (step >= 0 ? 1U << step : 0) | (epoch >= 0 ? 1U << epoch : 0);
    struct fl_place place = {.stream = stream, .line = 1, .rank = -1, .local_rank = -1, .gpu = -1};
    const char *counted = text.p;
    for (struct fl_str object; next_object(&list, &object);) {
        struct fl_spots spots = {.n = 0};
        struct fl_values values = {.present = 0};
        fl_metrics_spots(metrics, object, &spots);
        fl_spots_read(&spots, object, &values);
        if (!(values.present & ~axis)) {
            continue;
        }
        struct fl_str line = line_of(object, &spots, axis);
        for (; counted < line.p; counted++) {
            place.line += *counted == '\n';
        }
        place.offset = (uint64_t)(line.p - text.p);
        fl_diagnosis_values(fl_job_diagnosis(job), &place, &values, line, (uint64_t)(*rows_r)++);
    }
}

enum fl_status fl_job_history(struct fl_job *job, const char *name, const char *path, bool *read_r,
                              struct fl_err *err)
{
    struct fl_buf file;
    uint32_t stream = 0;
    long rows = 0;
    fl_buf_init(&file, FILE_CAP);
    enum fl_status status = fl_fsio_read(path, &file, err);
    struct fl_str text = fl_buf_str(&file);
    const char *at = fl_str_find(text, FL_LIT("\"log_history\""));
    const char *list = at ? memchr(at, '[', (size_t)(text.p + text.n - at)) : NULL;
    *read_r = status == FL_OK && list && fl_diagnosis_rules(fl_job_diagnosis(job))->metrics;
    if (*read_r) {
        status = fl_diagnosis_stream(fl_job_diagnosis(job), name, path, &stream, err);
    }
    if (status == FL_OK && *read_r) {
        take_objects(job, text, fl_str_skip(text, (size_t)(list + 1 - text.p)), stream, &rows);
        uint32_t n = 0;
        struct fl_stream *s = &fl_diagnosis_streams(fl_job_diagnosis(job), &n)[stream];
        s->lines = s->kept = rows;
        s->bytes = text.n;
    }
    fl_buf_free(&file);
    return status;
}
