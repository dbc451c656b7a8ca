/* SPDX-License-Identifier: Apache-2.0 */
/* Lines in, templates out: what a log says again and again, with what varies as fields.
 *
 * Each line is counted under its form (rules/template/form.h); lines of a shape seen before go to their form
 * without being read. fl_templates_settle then joins forms that differ in a few words. Both depend
 * on which lines there were and how often, not on their order (Drain, He et al. 2017, joins line by
 * line, so its templates depend on what came first).
 *
 * Two groups of lines may be told apart (runs that went well, and one that did not). Forms of the
 * first are joined among themselves; one that only the second has joins them only where it says
 * nothing that they do not.
 * Forms of alarming lines are joined with alarming ones only.
 *
 * Owns everything it returns, until fl_templates_free; settling ends the counting.
 * Limits: FL_TEMPLATES forms and FL_TEMPLATES_BYTES for them. Of more the rarest quarter is
 * counted as `other` (equally rare ones by their hash); here alone order can matter.
 * Threads: one. */
#pragma once
#include "rules/template/form.h"
#include "service/base/status.h"

enum {
    FL_TEMPLATES = 16384,
    FL_TEMPLATES_BYTES = 24 << 20,
    FL_TEMPLATE_SAMPLE = 4096, /* bytes kept of a first or last line */
    FL_TEMPLATE_HEADS = 64,    /* prefixes with time stamps, as regular expressions */
    FL_TEMPLATE_RANKS = 256,   /* told apart; higher ones share */
    FL_TEMPLATE_STREAMS = 64,
    FL_TEMPLATE_TAIL = 300,  /* last lines of a stream, which may tell of its end */
    FL_TEMPLATE_AFTER = 50,  /* and those after its last progress */
    FL_TEMPLATE_EPOCH = 256, /* lines that count as one moment */
};

/* What a line is to those who know failures. Asked once for each shape. */
enum fl_line_kind { FL_LINE_PLAIN, FL_LINE_PROGRESS, FL_LINE_ALARMING };

struct fl_template_ask {
    struct fl_form_peel prefixes;
    enum fl_line_kind (*kind)(void *ctx, struct fl_str line); /* NULL: all plain */
    void *ctx;
};

struct fl_template_line {
    uint32_t stream;
    long number;
    uint64_t offset;
    uint64_t order; /* among all lines */
    struct fl_str text; /* its first FL_TEMPLATE_SAMPLE bytes */
    bool cut;
};

struct fl_template {
    uint64_t id;        /* a hash of the form: the same in every run */
    struct fl_str form; /* see fl_form_show */
    uint64_t count[2];  /* by group */
    uint64_t guarded;   /* so many of them near the end of a stream, or of progress */
    uint32_t moments;   /* FL_TEMPLATE_EPOCH lines of a stream are one */
    uint32_t ranks;     /* different ones, or streams where no rank is known */
    uint32_t forms;     /* joined in it */
    long rank;          /* of the first line, -1: not known */
    uint64_t heads;     /* bit set of fl_templates_head */
    bool bare;          /* some lines had no prefix and no time stamp */
    bool headless;      /* some lines had one that is not among the heads */
    bool alarming;
    bool progress;
    struct fl_template_line first;
    struct fl_template_line last;
    const uint32_t *members; /* forms, for fl_templates_form; most frequent first */
};

struct fl_templates;

enum fl_status fl_templates_new(const struct fl_template_ask *ask, struct fl_templates **out,
                                struct fl_err *err) FL_MUST_USE;
void fl_templates_free(struct fl_templates *t);

/* A stream of a group (0, 1) begins; rank: what its name says, or -1. The one before has ended. */
void fl_templates_stream(struct fl_templates *t, uint32_t stream, int group, long rank);

/* Lines of the stream, in order; offsets and numbers as in the batch. */
struct fl_template_lines {
    const struct fl_str *texts;
    size_t n;
    void (*place)(const void *batch, size_t i, long *number_r, uint64_t *offset_r);
    const void *batch;
};
enum fl_status fl_templates_feed(struct fl_templates *t, const struct fl_template_lines *lines,
                                 struct fl_err *err) FL_MUST_USE;

/* Ends counting and joins forms. Most frequent first; equally frequent ones by their form. */
enum fl_status fl_templates_settle(struct fl_templates *t, const struct fl_template **out,
                                   size_t *n_r, struct fl_err *err) FL_MUST_USE;

uint64_t fl_templates_lines(const struct fl_templates *t);
uint64_t fl_templates_other(const struct fl_templates *t); /* of no template, for want of room */
uint32_t fl_templates_ranks(const struct fl_templates *t); /* ranks or streams in all */
/* One form of a template as a template of its own. */
void fl_templates_member(struct fl_templates *t, const uint32_t *member, struct fl_template *out);
struct fl_str fl_templates_form(const struct fl_templates *t, uint32_t member);
struct fl_str fl_templates_head(const struct fl_templates *t, unsigned bit);
