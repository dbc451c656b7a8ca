/* SPDX-License-Identifier: Apache-2.0 */
/* A log line in, its form out: what the line says with everything that varies replaced by typed
 * fields. Launcher prefix and time stamp are taken off and described apart.
 *
 * The form depends on the line's shape only (rules/match/shape.h): no decision looks at the value of a
 * digit, and no digit is left in a form. So lines of one shape have one form.
 * A form is text; a field is one byte below ' ' (enum fl_field), words are parted by one blank.
 * Limits: FL_FORM_LINE bytes of the line are read, what is behind is FL_FIELD_REST.
 * Threads: no state, safe anywhere. */
#pragma once
#include "service/base/buf.h"
#include "service/base/str.h"

#include <stdint.h>

enum { FL_FORM_LINE = 2048, FL_FORM_BYTES = 1024, FL_FORM_HEAD = 320 };

enum fl_field {
    FL_FIELD_NUM = 1, /* stands alone: sign, fraction, exponent */
    FL_FIELD_INT,     /* digits inside a name */
    FL_FIELD_AMOUNT,  /* number with a unit of size or time */
    FL_FIELD_NUMS,    /* four numbers or more with nothing but punctuation between them */
    FL_FIELD_HEX,
    FL_FIELD_PATH,
    FL_FIELD_HOST,
    FL_FIELD_TIME,
    FL_FIELD_TEXT, /* in quotes */
    FL_FIELD_BAR,  /* of a progress bar, between two | */
    FL_FIELD_WORD, /* given by rules/template/template.h to words that vary */
    FL_FIELD_REST, /* anything up to the end of the line */
    FL_FIELD_ODD,  /* a byte that is no text */
    FL_FIELD_ESCAPE, /* colour and the like; never shown */
    FL_FIELDS
};

/* What the service knows of launchers: how many bytes of the line their prefixes take, the rank
 * they give (-1), and the slice that names a host (empty); and how long the name of a host is with
 * which a message begins (0). */
struct fl_form_peel {
    size_t (*peel)(struct fl_str line, long *rank_r, struct fl_str *node_r);
    size_t (*host)(struct fl_str message);
};

struct fl_form {
    char text[FL_FORM_BYTES];
    size_t n;
    char head[FL_FORM_HEAD]; /* a regular expression for prefix and time stamp */
    size_t head_n;           /* 0: there was none */
    bool head_lost;          /* it did not fit */
    uint16_t rank_at;        /* where the line has the digits of its rank */
    uint16_t rank_n;         /* 0: nowhere */
    bool full;               /* the text ends early, with FL_FIELD_REST */
};

/* peel may be NULL: no prefixes are known. */
void fl_form_of(const struct fl_form_peel *peel, struct fl_str line, struct fl_form *out);

/* Appends the form as it is shown: `step <num> loss <num>`. */
enum fl_status fl_form_show(struct fl_str form, struct fl_buf *out);

/* Appends a regular expression for the form, in which no digit stands for itself. The number of
 * bytes that stand for themselves, blanks apart, is added to *literal_n. */
enum fl_status fl_form_pattern(struct fl_str form, struct fl_buf *out, size_t *literal_n);

/* For the two files of forms: a byte that regular expressions give a meaning; one behind which
 * blanks fill up a column when a number follows; a field that is a number. */
static inline bool fl_form_is_meta(char c)
{
    return c && strchr("\\^$.[]|()?*+{}", c);
}

static inline bool fl_form_pads(char c)
{
    return c && strchr("=(/[<|,", c);
}

static inline bool fl_form_is_number(char c)
{
    return c == FL_FIELD_NUM || c == FL_FIELD_INT || c == FL_FIELD_AMOUNT || c == FL_FIELD_NUMS;
}
