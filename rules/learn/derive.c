/* SPDX-License-Identifier: Apache-2.0 */
/* Longest first: a pattern of the whole message claims least. What is too long loses its last words. */
#include "rules/learn/derive.h"

/* "ERROR:root:" and the like: a logger's way to begin. */
static struct fl_str skip_level(struct fl_str s)
{
    static const char *const levels[] = {"DEBUG:", "INFO:", "WARNING:", "ERROR:", "CRITICAL:"};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct fl_str level = fl_str_of(levels[i]);
        const char *colon = fl_str_starts(s, level)
                                ? memchr(s.p + level.n, ':', s.n - level.n) : NULL;
        size_t name = colon ? (size_t)(colon - s.p) - level.n : 0;
        if (colon && !memchr(s.p + level.n, ' ', name)) {
            return fl_str_skip(s, level.n + name + 1);
        }
    }
    return s;
}

/* From the first word on: fields and marks in front of it say nothing. */
static struct fl_str body_of(const struct fl_form *form)
{
    struct fl_str body = skip_level((struct fl_str){form->text, form->n});
    while (body.n && !fl_is_alpha(*body.p)) {
        body = fl_str_skip(body, 1);
    }
    while (body.n && (body.p[body.n - 1] == FL_FIELD_REST || body.p[body.n - 1] == ' ')) {
        body.n--;
    }
    return body;
}

static struct fl_str first_words(struct fl_str form, size_t words)
{
    for (size_t i = 0; i < form.n; i++) {
        words -= form.p[i] == ' ';
        if (words == 0) {
            return (struct fl_str){form.p, i};
        }
    }
    return form;
}

enum fl_status fl_derive(const struct fl_form_peel *peel, struct fl_str line, struct fl_buf *out,
                         struct fl_err *err)
{
    struct fl_form form;
    struct fl_buf pattern;
    size_t literal = 0;
    fl_form_of(peel, line, &form);
    struct fl_str body = body_of(&form);
    fl_buf_init(&pattern, 16 * FL_FORM_BYTES);
    for (size_t words = FL_DERIVE_WORDS; words; words = words * 3 / 4) {
        literal = 0;
        fl_buf_clear(&pattern);
        fl_buf_add_text(&pattern, "\\b");
        fl_form_pattern(first_words(body, words), &pattern, &literal);
        if (pattern.n <= FL_DERIVE_BYTES) {
            break;
        }
    }
    enum fl_status status = pattern.failed;
    if (status == FL_OK && literal < FL_DERIVE_LITERAL) {
        status = fl_fail(err, FL_DENIED, "no rule from this line: it says too little that does not vary");
    }
    if (status == FL_OK) {
        status = fl_buf_add_str(out, fl_buf_str(&pattern));
    }
    fl_buf_free(&pattern);
    return status == FL_OK ? FL_OK : fl_fail(err, status, "no memory for a rule");
}
