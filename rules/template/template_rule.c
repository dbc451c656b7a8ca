/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/template/template_rule.h"

enum { VARIANTS = 6, VARIANTS_ASKED = 512 };

const char fl_template_rule_too_little[] = "holds too few bytes that never vary";

struct rule {
    const struct fl_templates *templates;
    const struct fl_template *of;
    struct fl_buf body;
    size_t literal;
};

/* The word of that number, from 0. */
static struct fl_str word_of(struct fl_str form, size_t number)
{
    size_t from = 0;
    for (size_t i = 0; i <= form.n; i++) {
        if (i < form.n && form.p[i] != ' ') {
            continue;
        }
        if (number-- == 0) {
            return (struct fl_str){form.p + from, i - from};
        }
        from = i + 1;
    }
    return (struct fl_str){form.p, 0};
}

/* What a word that varies was seen to be; too many: anything without a blank. */
static void add_varying(struct rule *r, size_t number)
{
    struct fl_str seen[VARIANTS];
    size_t n = 0;
    bool few = r->of->forms <= VARIANTS_ASKED;
    for (uint32_t i = 0; few && i < r->of->forms; i++) {
        struct fl_str word = word_of(fl_templates_form(r->templates, r->of->members[i]), number);
        size_t k = 0;
        while (k < n && !fl_str_eq(seen[k], word)) {
            k++;
        }
        few = k < VARIANTS && word.n;
        if (few && k == n) {
            seen[n++] = word;
        }
    }
    if (!few) {
        fl_buf_add_text(&r->body, number ? "\\S+" : "\\S*"); /* the first may be empty */
        return;
    }
    size_t least = SIZE_MAX;
    for (size_t k = 0; k < n; k++) {
        size_t literal = 0;
        fl_buf_add_text(&r->body, k ? "|" : "(?:");
        fl_form_pattern(seen[k], &r->body, &literal);
        least = literal < least ? literal : least;
    }
    r->literal += n ? least : 0;
    fl_buf_add_text(&r->body, ")");
}

/* The first `words` words as a pattern; the rest of the line, if any, may be anything. */
static void add_words(struct rule *r, size_t words)
{
    struct fl_str form = r->of->form;
    size_t from = 0;
    size_t start = 0;
    size_t number = 0;
    for (size_t i = 0; i <= form.n && number < words; i++) {
        if (i < form.n && form.p[i] != ' ') {
            continue;
        }
        bool varies = i == start + 1 && form.p[start] == FL_FIELD_WORD;
        bool last = i == form.n || number + 1 == words;
        if (varies || last) {
            struct fl_str part = {form.p + from, (varies ? start : i) - from};
            fl_form_pattern(part, &r->body, &r->literal);
            from = i;
        }
        if (varies) {
            add_varying(r, number);
        }
        start = i + 1;
        number++;
    }
    if (start <= form.n) {
        fl_buf_add_text(&r->body, ".*");
    }
}

static void add_heads(struct rule *r, struct fl_buf *out)
{
    unsigned n = 0;
    for (unsigned bit = 0; bit < FL_TEMPLATE_HEADS; bit++) {
        if (r->of->heads >> bit & 1) {
            fl_buf_add_text(out, n++ ? "|" : "(?:");
            fl_buf_add_str(out, fl_templates_head(r->templates, bit));
        }
    }
    fl_buf_add_text(out, n ? ")?" : "");
}

static const char *objection(const struct fl_template *of)
{
    if (of->alarming) {
        return "holds words that failures use, or a failure rule knows it";
    }
    if (of->headless || __builtin_popcountll(of->heads) > FL_TEMPLATE_RULE_HEADS) {
        return "has prefixes of too many kinds";
    }
    return NULL;
}

static size_t count_words(struct fl_str form)
{
    size_t n = 1;
    for (size_t i = 0; i < form.n; i++) {
        n += form.p[i] == ' ';
    }
    return n;
}

enum fl_status fl_template_rule(const struct fl_templates *t, const struct fl_template *of,
                                struct fl_buf *out, const char **why_r)
{
    struct rule r = {.templates = t, .of = of};
    *why_r = objection(of);
    if (*why_r) {
        return FL_DENIED;
    }
    struct fl_buf head;
    fl_buf_init(&head, FL_TEMPLATE_RULE_BYTES);
    fl_buf_init(&r.body, 8 * FL_TEMPLATE_RULE_BYTES);
    add_heads(&r, &head);
    size_t fixed = head.n + 16;
    size_t room = fixed < FL_TEMPLATE_RULE_BYTES ? FL_TEMPLATE_RULE_BYTES - fixed : 0;
    for (size_t words = count_words(of->form); words; words = words * 3 / 4) {
        fl_buf_clear(&r.body);
        r.literal = 0;
        add_words(&r, words);
        if (r.body.n <= room && !r.body.failed) {
            break;
        }
        *why_r = words == 1 ? "is too long" : NULL;
    }
    if (!*why_r && r.literal < FL_TEMPLATE_RULE_LITERAL) {
        *why_r = fl_template_rule_too_little;
    }
    if (!*why_r) {
        fl_buf_add_text(out, "^");
        fl_buf_add_str(out, fl_buf_str(&head));
        fl_buf_add_str(out, fl_buf_str(&r.body));
        fl_buf_add_text(out, "\\s*$");
    }
    bool failed = head.failed || r.body.failed || out->failed;
    fl_buf_free(&head);
    fl_buf_free(&r.body);
    return *why_r ? FL_DENIED : failed ? FL_NOMEM : FL_OK;
}
