/* SPDX-License-Identifier: Apache-2.0 */
/* The decoders of pushed bodies on any bytes, the first of which chooses one: texts are whole
 * lines, names are of the bytes and lengths that were promised, and what is refused says why. */
#include "service/http/push.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static void check(const struct fl_push_stream *s)
{
    long lines = 0;
    for (size_t i = 0; i < s->text.n; i++) {
        lines += s->text.p[i] == '\n';
    }
    must(lines == s->lines && lines > 0 && s->text.p[s->text.n - 1] == '\n');
    must(s->job[0] && strlen(s->job) <= FL_PUSH_JOB && strcmp(s->job, ".") != 0 &&
         strcmp(s->job, "..") != 0);
    for (const char *p = s->job; *p; p++) {
        must(fl_is_alpha(*p) || fl_is_digit(*p) || strchr("._-", *p));
    }
    must(s->name[0] && strlen(s->name) <= FL_PUSH_NAME && strlen(s->node) <= FL_PUSH_NODE);
    must(s->rank >= -1 && s->local_rank >= -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const fl_push_decode decoders[] = {
        fl_push_loki_json, fl_push_loki_proto, fl_push_otlp_json, fl_push_otlp_proto, fl_push_bulk,
        fl_push_records,   fl_push_text,       fl_push_journal,   fl_push_syslog,
    };
    if (size == 0) {
        return 0;
    }
    struct fl_push_given given = {.rank = -1};
    struct fl_push *push = NULL;
    struct fl_err err = {0};
    char *body = malloc(size); /* one byte less is the body */
    must(body && fl_push_new(&given, &push, &err) == FL_OK);
    memcpy(body, data + 1, size - 1);
    struct fl_str exact = {body, size - 1};
    enum fl_status status = decoders[(data[0] - '0') % 9U](exact, push, &err);
    must((status == FL_OK) == (err.msg[0] == '\0'));
    must(status != FL_INTERNAL && status != FL_NOMEM);
    size_t n;
    const struct fl_push_stream *streams = fl_push_streams(push, &n);
    for (size_t i = 0; status == FL_OK && i < n; i++) {
        check(&streams[i]);
    }
    (void)fl_push_choose((enum fl_push_path)(data[0] % 5), fl_str_head(exact, 20), exact);
    fl_push_free(push);
    free(body);
    return 0;
}
