/* SPDX-License-Identifier: Apache-2.0 */
#include "service/identity.h"

#include "service/base/hash.h"
#include "service/llm/redact.h"

#include <stdio.h>
#include <stdlib.h>

/* The last folder and the file name without secrets, each run of digits as one mark. */
static void kind_of(struct fl_str path, char out[static FL_IDENTITY_NAME])
{
    struct fl_buf clean;
    struct fl_str name = path;
    int slashes = 0;
    for (size_t i = path.n; i-- > 0;) {
        slashes += path.p[i] == '/';
        if (slashes == 2) {
            name = fl_str_skip(path, i + 1);
            break;
        }
    }
    fl_buf_init(&clean, 2 * name.n + 64);
    if (fl_redact_text(name, &clean, NULL) != FL_OK) {
        fl_buf_clear(&clean);
    }
    name = fl_buf_str(&clean);
    size_t n = 0;
    for (size_t i = 0; i < name.n && n + 1 < FL_IDENTITY_NAME; i++) {
        bool digit = fl_is_digit(name.p[i]);
        if (!digit || i == 0 || !fl_is_digit(name.p[i - 1])) {
            out[n++] = digit ? '#' : name.p[i];
        }
    }
    out[n] = '\0';
    fl_buf_free(&clean);
}

void fl_identity_of(struct fl_job *job, const char *given, struct fl_identity *out)
{
    uint32_t n = 0;
    const struct fl_stream *streams = fl_diagnosis_streams(fl_job_diagnosis(job), &n);
    uint64_t hash = given ? fl_hash(fl_str_of(given), 0) : 0;
    *out = (struct fl_identity){.lines = 0};
    if (given) {
        kind_of(fl_str_of(given), out->name);
    }
    for (uint32_t i = 0; i < n; i++) {
        out->lines += streams[i].lines;
    }
    for (uint32_t i = 0; !given && i < n; i++) {
        char *real = realpath(streams[i].path, NULL);
        hash = fl_hash(fl_str_of(real ? real : streams[i].path), hash);
        if (!real) { /* standard input: by its size */
            hash = fl_hash((struct fl_str){(const char *)&streams[i].bytes,
                                           sizeof streams[i].bytes}, hash);
        }
        if (i == 0) {
            kind_of(fl_str_of(real ? real : streams[i].name), out->name);
        }
        free(real);
    }
    snprintf(out->job, sizeof out->job, "%016llx", (unsigned long long)hash);
}
