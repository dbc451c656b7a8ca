/* SPDX-License-Identifier: Apache-2.0 */
/* Most patterns are never tried on most logs, and compiling and translating (JIT) them all costs
 * more than reading a small log. So a pattern is compiled when it is first tried, and translated
 * when it is tried often; a pattern that two threads try is compiled twice, and nothing is
 * published between them. The interpreter counts more steps than translated code does and also
 * limits depth: where it gives up, translated code is asked, so that the answer is the same on the
 * first try and on the thousandth. */
#include "rules/match/program.h"

#include "rules/match/blur.h"
#include "rules/match/shape.h"
#include "service/base/hash.h"

#include <stdlib.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    CALM_BYTES = 4096,
    CALM_STEPS = 10000,
    LEAST_STEPS = 500,
    JIT_STACK = 256 * 1024,
    OFTEN = 40, /* tries before translating pays */
};

struct code {
    pcre2_code *code;
    uint32_t tries;  /* by the interpreter */
    bool translated; /* or cannot be */
    bool native;     /* there is translated code */
};

struct program {
    struct code own;
    bool broken;      /* does not compile */
    bool blind;       /* cannot tell one digit from another */
    bool blurred;     /* the next one was asked for */
    struct code blur; /* asks less, see blur.h; without code: there is none */
};

struct fl_programs {
    const struct fl_pattern *patterns;
    uint32_t n;
    struct program *program;
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static enum fl_status compile(struct fl_str text, unsigned flags, pcre2_code **out, size_t *at_r,
                              struct fl_err *err)
{
    uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C |
                       (flags & FL_PATTERN_LINES ? PCRE2_MULTILINE : 0);
    int number = 0;
    PCRE2_SIZE at = 0;
    size_t size = 0;
    *at_r = 0;
    if (text.n > FL_PATTERN_BYTES) {
        return fl_fail(err, FL_LIMIT, "pattern longer than %d bytes", FL_PATTERN_BYTES);
    }
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)(text.p ? text.p : ""), text.n, options, &number, &at, NULL);
    if (!code) {
        char why[160] = "";
        pcre2_get_error_message(number, (PCRE2_UCHAR *)why, sizeof why);
        *at_r = at;
        return fl_fail(err, FL_SYNTAX, "%s", why);
    }
    pcre2_pattern_info(code, PCRE2_INFO_SIZE, &size);
    if (size > FL_PATTERN_CODE) {
        pcre2_code_free(code);
        return fl_fail(err, FL_LIMIT, "pattern compiles to %zu bytes, more than %d: use smaller "
                       "repeat counts", size, FL_PATTERN_CODE);
    }
    *out = code;
    return FL_OK;
}

enum fl_status fl_pattern_check(const struct fl_pattern *pattern, size_t *at_r,
                                struct fl_err *err)
{
    pcre2_code *code = NULL;
    enum fl_status status = compile(pattern->text, pattern->flags, &code, at_r, err);
    if (status == FL_OK) {
        pcre2_code_free(code);
    }
    return status;
}

static uint64_t hash_of(const struct fl_pattern *pattern)
{
    uint64_t hash = fl_hash(pattern->text, pattern->flags & FL_PATTERN_LINES);
    return hash ? hash : 1;
}

bool fl_checked_has(const struct fl_checked *checked, const struct fl_pattern *pattern)
{
    uint64_t hash = hash_of(pattern);
    return checked->hash[hash % FL_CHECKED] == hash;
}

void fl_checked_put(struct fl_checked *checked, const struct fl_pattern *pattern)
{
    uint64_t hash = hash_of(pattern);
    checked->hash[hash % FL_CHECKED] = hash;
}

enum fl_status fl_programs_new(const struct fl_pattern *patterns, uint32_t n,
                               struct fl_programs **out, struct fl_err *err)
{
    struct fl_programs *p = calloc(1, sizeof *p);
    *out = p;
    if (p) {
        p->patterns = patterns;
        p->n = n;
        p->program = calloc(n + 1U, sizeof *p->program);
        p->match = pcre2_match_data_create(FL_CAPTURES_MAX + 8, NULL);
        p->context = pcre2_match_context_create(NULL);
        p->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK, NULL);
    }
    if (!p || !p->program || !p->match || !p->context) {
        fl_programs_free(p);
        *out = NULL;
        return fl_fail(err, FL_NOMEM, "no memory for matching");
    }
    if (p->stack) {
        pcre2_jit_stack_assign(p->context, NULL, p->stack);
    }
    pcre2_set_depth_limit(p->context, 1000);
    return FL_OK;
}

void fl_programs_free(struct fl_programs *programs)
{
    if (!programs) {
        return;
    }
    for (uint32_t i = 0; programs->program && i < programs->n; i++) {
        pcre2_code_free(programs->program[i].own.code);
        pcre2_code_free(programs->program[i].blur.code);
    }
    free(programs->program);
    pcre2_match_data_free(programs->match);
    pcre2_match_context_free(programs->context);
    pcre2_jit_stack_free(programs->stack);
    free(programs);
}

static void read_captures(const pcre2_code *code, pcre2_match_data *match, struct fl_str subject,
                          struct fl_captures *out)
{
    const PCRE2_SIZE *ovector = pcre2_get_ovector_pointer(match);
    uint32_t names = 0;
    uint32_t width = 0;
    PCRE2_SPTR table = NULL;
    out->n = 0;
    out->start = ovector[0];
    out->end = ovector[1];
    pcre2_pattern_info(code, PCRE2_INFO_NAMECOUNT, &names);
    pcre2_pattern_info(code, PCRE2_INFO_NAMEENTRYSIZE, &width);
    pcre2_pattern_info(code, PCRE2_INFO_NAMETABLE, &table);
    uint32_t groups = pcre2_get_ovector_count(match);
    for (uint32_t i = 0; i < names && out->n < FL_CAPTURES_MAX; i++, table += width) {
        uint32_t group = (uint32_t)table[0] << 8 | table[1];
        if (group < groups && ovector[2 * group] != PCRE2_UNSET &&
            ovector[2 * group + 1] >= ovector[2 * group]) {
            size_t at = ovector[2 * group];
            out->item[out->n++] =
                (struct fl_capture){(const char *)table + 2,
                                    {subject.p + at, ovector[2 * group + 1] - at}};
        }
    }
}

/* Without JIT the interpreter goes on serving. */
static void translate(struct code *c)
{
    c->native = pcre2_jit_compile(c->code, PCRE2_JIT_COMPLETE) == 0;
    c->translated = true;
}

/* NULL when the pattern does not compile. */
static struct code *own_code(struct fl_programs *programs, uint32_t pattern)
{
    struct program *program = &programs->program[pattern];
    const struct fl_pattern *p = &programs->patterns[pattern];
    if (!program->own.code && !program->broken) {
        size_t at = 0;
        program->broken = compile(p->text, p->flags, &program->own.code, &at, NULL) != FL_OK;
        program->blind = fl_pattern_is_blind(p->text);
    }
    return program->broken ? NULL : &program->own;
}

static int run(struct fl_programs *programs, struct code *c, struct fl_str subject)
{
    PCRE2_SPTR text = (PCRE2_SPTR)(subject.p ? subject.p : "");
    if (!c->translated && ++c->tries > OFTEN) {
        translate(c);
    }
    return c->native ? pcre2_jit_match(c->code, text, subject.n, 0, 0, programs->match,
                                       programs->context)
                     : pcre2_match(c->code, text, subject.n, 0, 0, programs->match,
                                   programs->context);
}

enum fl_match fl_program_try(struct fl_programs *programs, uint32_t pattern, struct fl_str subject,
                             struct fl_captures *captures)
{
    struct code *c = own_code(programs, pattern);
    uint32_t steps = CALM_STEPS;
    unsigned flags = programs->patterns[pattern].flags;
    if (!c || (flags & FL_PATTERN_LEARNED && subject.n > FL_PATTERN_SUBJECT)) {
        return FL_MATCH_ERROR;
    }
    if (subject.n > CALM_BYTES) {
        steps = (uint32_t)((size_t)CALM_STEPS * CALM_BYTES / subject.n);
        steps = steps < LEAST_STEPS ? LEAST_STEPS : steps;
        if (!c->translated && !(flags & FL_PATTERN_TRUSTED)) {
            translate(c); /* it may run away */
        }
    }
    pcre2_set_match_limit(programs->context, steps);
    int rc = run(programs, c, subject);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH && !c->translated) {
        translate(c);
        rc = run(programs, c, subject);
    }
    if (rc >= 0 && captures) {
        read_captures(c->code, programs->match, subject, captures);
    }
    return rc >= 0 ? FL_MATCH_YES : rc == PCRE2_ERROR_NOMATCH ? FL_MATCH_NO : FL_MATCH_ERROR;
}

/* Does the pattern that asks less say no, too? */
static bool never_matches(struct fl_programs *programs, uint32_t pattern, struct fl_str subject)
{
    struct program *program = &programs->program[pattern];
    const struct fl_pattern *p = &programs->patterns[pattern];
    if (!program->blurred) {
        struct fl_buf text;
        size_t at = 0;
        program->blurred = true;
        fl_buf_init(&text, FL_PATTERN_BYTES);
        if (fl_pattern_blur(p->text, &text) &&
            compile(fl_buf_str(&text), p->flags, &program->blur.code, &at, NULL) != FL_OK) {
            program->blur.code = NULL;
        }
        fl_buf_free(&text);
    }
    return program->blur.code && run(programs, &program->blur, subject) == PCRE2_ERROR_NOMATCH;
}

bool fl_program_is_blind(const struct fl_programs *programs, uint32_t pattern)
{
    return programs->program[pattern].blind;
}

bool fl_program_holds(struct fl_programs *programs, uint32_t pattern, struct fl_str subject,
                      enum fl_match answer)
{
    return programs->program[pattern].blind ||
           (answer == FL_MATCH_NO && never_matches(programs, pattern, subject));
}
