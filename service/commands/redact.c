/* SPDX-License-Identifier: Apache-2.0 */
/* What a model would be shown of a log, or only how much of it is private. Lines are redacted one
 * by one, as they are for a model. A line longer than a block is redacted in pieces, cut
 * behind a comma or at a blank, so that no secret is torn in two. */
#include "service/commands/commands.h"

#include "service/base/cli.h"
#include "service/base/fsio.h"
#include "service/base/json.h"
#include "service/base/log.h"
#include "service/ingest/lines.h"
#include "service/ingest/source.h"
#include "service/llm/redact.h"

#include <unistd.h>

enum { OUT_BYTES = 256 << 10, OUT_CAP = 8 * FL_LINES_BLOCK, TAIL_BYTES = 8 << 10 };

struct printer {
    struct fl_redact redact;
    struct fl_buf held; /* the beginning of a line that goes on */
    struct fl_buf out;
    uint64_t lines;
    bool counts;
};

static enum fl_status flush(struct printer *p, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    if (!p->counts) {
        status = fl_fsio_write_all(STDOUT_FILENO, "standard output", fl_buf_str(&p->out), err);
    }
    fl_buf_clear(&p->out);
    return status;
}

static enum fl_status print(struct printer *p, struct fl_str text, struct fl_err *err)
{
    enum fl_status status = fl_redact_add(&p->redact, text, &p->out);
    if (status != FL_OK) {
        return fl_fail(err, status, "no memory to redact a line of %zu bytes", text.n);
    }
    return p->out.n < OUT_BYTES ? FL_OK : flush(p, err);
}

/* Where a blank ends the text last, if that is near; one behind a comma if `comma`, as it parts no
 * name from its value. */
static size_t last_blank(struct fl_str text, bool comma)
{
    size_t least = text.n > TAIL_BYTES ? text.n - TAIL_BYTES : 1;
    for (size_t n = text.n; n > least; n--) {
        if (text.p[n - 1] == ' ' && (!comma || text.p[n - 2] == ',' || text.p[n - 2] == ';')) {
            return n;
        }
    }
    return 0;
}

/* Keeps a piece of a line that goes on, and prints what is more than a line has as a rule. */
static enum fl_status hold(struct printer *p, struct fl_str piece, struct fl_err *err)
{
    enum fl_status status = fl_buf_add_str(&p->held, piece);
    if (status != FL_OK) {
        return fl_fail(err, status, "no memory for a line");
    }
    if (p->held.n < FL_LINES_BLOCK) {
        return FL_OK;
    }
    struct fl_str text = fl_buf_str(&p->held);
    size_t n = last_blank(text, true);
    n = n ? n : last_blank(text, false);
    n = n ? n : text.n;
    status = print(p, fl_str_head(text, n), err);
    fl_buf_shift(&p->held, n);
    return status;
}

static enum fl_status end_line(struct printer *p, struct fl_str text, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    if (p->held.n) {
        status = fl_buf_add_str(&p->held, text);
        text = fl_buf_str(&p->held);
    }
    if (status == FL_OK) {
        status = print(p, text, err);
    }
    fl_buf_clear(&p->held);
    p->lines++;
    return status;
}

/* A piece whose line end was not seen goes on in the next one, or was the last of all. */
static enum fl_status on_batch(void *ctx, const struct fl_batch *batch, struct fl_err *err)
{
    struct printer *p = ctx;
    enum fl_status status = FL_OK;
    for (size_t i = 0; status == FL_OK && i < batch->n; i++) {
        if (batch->at[i].flags & (FL_LINE_CUT | FL_LINE_OPEN)) {
            status = hold(p, batch->texts[i], err);
            continue;
        }
        status = end_line(p, batch->texts[i], err);
        fl_buf_add_text(&p->out, "\n");
    }
    return status;
}

static enum fl_status read_file(struct printer *p, const char *path, struct fl_err *err)
{
    struct fl_source *src = NULL;
    struct fl_lines *lines = NULL;
    struct fl_err fault = {0};
    enum fl_status read = FL_OK;
    enum fl_status status = fl_source_open(path, 0, &src, &fault);
    if (status != FL_OK) {
        return fl_fail(err, status, "%s; %s", fault.msg,
                       status == FL_USAGE ? "name the files in it" : "give a log you may read");
    }
    if (status == FL_OK) {
        status = fl_lines_new(0, on_batch, p, &lines, err);
    }
    if (status == FL_OK) {
        status = fl_source_pour(src, lines, &read, &fault, err);
    }
    if (status == FL_OK && p->held.n) {
        status = end_line(p, FL_LIT(""), err);
    }
    if (status == FL_OK && read != FL_OK) {
        status = fl_fail(err, read, "%s", fault.msg);
    }
    fl_lines_free(lines);
    fl_source_close(src);
    return status;
}

static enum fl_status report(struct printer *p, bool json, struct fl_err *err)
{
    struct fl_jw w;
    fl_jw_init(&w, &p->out, true);
    if (json) {
        fl_jw_begin(&w, '{');
        fl_jw_key_text(&w, "schema", "faultline.redact/1");
        fl_jw_key_int(&w, "lines", (int64_t)p->lines);
    }
    for (size_t i = 0; i < FL_REDACT_KINDS; i++) {
        const char *name = fl_redact_kind_name((enum fl_redact_kind)i);
        uint32_t different = p->redact.last[i];
        if (json) {
            fl_jw_key(&w, name);
            fl_jw_begin(&w, '{');
            fl_jw_key_int(&w, "replaced", (int64_t)p->redact.count[i]);
            fl_jw_key_int(&w, "different", different);
            fl_jw_end(&w, '}');
        } else {
            fl_buf_addf(&p->out, "%-7s %llu replaced, %u different\n", name,
                        (unsigned long long)p->redact.count[i], different);
        }
    }
    if (json) {
        fl_jw_end(&w, '}');
        fl_buf_add_text(&p->out, "\n");
    }
    p->counts = false;
    return p->out.failed == FL_OK ? flush(p, err) : fl_fail(err, p->out.failed, "no memory");
}

static enum fl_status run(char **paths, int n, bool counts, bool json, struct fl_err *err)
{
    struct printer p = {.counts = counts};
    enum fl_status status = FL_OK;
    fl_redact_init(&p.redact);
    fl_buf_init(&p.held, 3 * FL_LINES_BLOCK);
    fl_buf_init(&p.out, OUT_CAP);
    for (int i = 0; status == FL_OK && i < n; i++) {
        status = read_file(&p, paths[i], err);
    }
    enum fl_status flushed = flush(&p, status == FL_OK ? err : NULL);
    status = status == FL_OK ? flushed : status;
    if (status == FL_OK && counts) {
        status = report(&p, json, err);
    }
    fl_buf_free(&p.held);
    fl_buf_free(&p.out);
    return status;
}

int fl_cmd_redact(int argc, char **argv)
{
    bool counts = false;
    int format = 0;
    const struct fl_opt options[] = {
        {"count", 'c', FL_OPT_FLAG, NULL, "print only how much was replaced, by kind", &counts},
        {"format", 'f', FL_OPT_CHOICE, "text|json", "how to print the counts", &format},
    };
    const struct fl_cli cli = {
        "redact [OPTION ...] [FILE...]",
        "Prints logs as they would leave this machine: keys, passwords, tokens, e-mail and IP\n"
        "addresses and user names in paths are replaced by <secret:1>, <email:1>, <ip:1>, <user:1>;\n"
        "the same value has the same number in all FILEs. Without FILE, or for -, reads standard\n"
        "input. gzip and zstd are unpacked. Nothing is sent.",
        NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    if (format && !counts) {
        fl_log(FL_LOG_ERROR, "--format json is for counts: add --count");
        return FL_EXIT_USAGE;
    }
    static char standard_input[] = "-";
    char *only[] = {standard_input};
    enum fl_status status = argc > 1 ? run(argv + 1, argc - 1, counts, format == 1, &err)
                                     : run(only, 1, counts, format == 1, &err);
    return status == FL_OK ? FL_EXIT_OK : fl_cmd_fail(&err);
}
