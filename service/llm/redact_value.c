/* SPDX-License-Identifier: Apache-2.0 */
/* name = value, in the spellings of shells, URLs, headers, JSON, YAML, Python and tables. The name
 * is judged last: most words are followed by no separator. */
#include "service/llm/redact_match.h"

/* How a value is written. */
struct value {
    struct fl_str rest; /* from its first byte on */
    struct fl_str mark; /* the quote that opened it, as it was spelled, or empty */
    bool coded;         /* the separator was a %3D: then a %26 ends the value */
    bool pair;          /* ('name', 'value') */
    bool blank;         /* a blank stands before it */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool skip_blanks(struct fl_str *s)
{
    size_t before = s->n;
    char c = '\0';
    for (size_t n = 0; s->n && (n = fl_redact_char(*s, &c), is_blank(c));) {
        *s = fl_str_skip(*s, n);
    }
    return s->n < before;
}

/* The opening quote of a value, and what stands before it in Python: b, r, SecretStr(. */
static void take_quote(struct fl_str *s, struct value *v)
{
    char c = '\0';
    size_t letters = run(fl_str_head(*s, 32), is_word);
    bool call = letters < s->n && s->p[letters] == '(' &&
                find_fold(fl_str_head(*s, letters), "secret");
    struct fl_str at = fl_str_skip(*s, call ? letters + 1 : letters < 3 ? letters : 0);
    v->mark = FL_LIT("");
    if (at.n == 0) {
        return;
    }
    size_t n = fl_redact_char(at, &c);
    if (is_quote(c)) {
        v->mark = fl_str_head(at, n);
        *s = fl_str_skip(at, n);
    }
}

/* In `password: str = "x"` the type is no value. */
static void skip_type(struct fl_str *s)
{
    struct fl_str rest = fl_str_skip(*s, run(fl_str_head(*s, 40), is_word));
    if (rest.n < s->n && fl_str_starts(rest, FL_LIT(" = "))) {
        *s = fl_str_skip(rest, 3);
    }
}

/* Steps over = and : in their spellings, false at == and ::. */
static bool take_sign(struct fl_str *s, char sign, size_t n, struct value *v)
{
    char next = '\0';
    v->coded = n > 1 && *s->p == '%';
    *s = fl_str_skip(*s, n);
    n = s->n ? fl_redact_char(*s, &next) : 0;
    if (next == sign) {
        return false;
    }
    if ((sign == ':' && next == '=') || (sign == '=' && next == '>')) {
        *s = fl_str_skip(*s, n);
    }
    v->blank = skip_blanks(s);
    if (sign == ':' && v->blank) {
        skip_type(s);
    }
    return true;
}

/* Steps over what stands between a name and its value; false when there is no value. */
static bool take_separator(struct fl_str *s, bool is_option, char opener, struct value *v)
{
    char c = '\0';
    size_t n = s->n ? fl_redact_char(*s, &c) : 0;
    bool quoted = is_quote(c);
    *s = fl_str_skip(*s, quoted ? n : 0);
    n = s->n ? fl_redact_char(*s, &c) : 0;
    *s = fl_str_skip(*s, c == ']' ? n : 0);
    v->coded = s->n && *s->p == '%';
    bool blank = skip_blanks(s);
    if (s->n == 0) {
        return false;
    }
    n = fl_redact_char(*s, &c);
    size_t dots = c == '.' && blank ? run(*s, is_ident) : 0;
    if (c == '=' || c == ':') {
        return take_sign(s, c, n, v);
    }
    if ((c == ',' && quoted && is_quote(opener)) || (c == '|' && blank) ||
        (c == '>' && opener == '<')) {
        *s = fl_str_skip(*s, n);
        skip_blanks(s);
        v->pair = c == ',' && !is_option;
        return c != ',' || (s->n && (fl_redact_char(*s, &c), is_quote(c)));
    }
    if (dots > 2 && memcmp(s->p, "...", 3) == 0) { /* name ......... value */
        while (s->n && *s->p == '.') {
            *s = fl_str_skip(*s, 1);
        }
        return skip_blanks(s);
    }
    v->blank = blank;
    return is_option && blank && !quoted;
}

/* ---- where a value ends ---- */

/* At the quote that is spelled as the opening one was: behind as many backslashes. */
static size_t quoted_length(struct fl_str s, struct fl_str mark)
{
    if (!is_quote(mark.p[mark.n - 1])) {
        const char *end = fl_str_find(s, mark);
        return end ? (size_t)(end - s.p) : s.n;
    }
    size_t want = mark.n - 1;
    size_t slashes = 0;
    for (size_t i = 0; i < s.n && s.p[i] != '\n'; i++) {
        if (s.p[i] == mark.p[want] && slashes % (2 * (want + 1)) == want) {
            return i - want;
        }
        slashes = s.p[i] == '\\' ? slashes + 1 : 0;
    }
    const char *line_end = memchr(s.p, '\n', s.n);
    return line_end ? (size_t)(line_end - s.p) : s.n;
}

/* `&se=`, `, host:`, `;User Id=`: the next pair begins. */
static bool is_next_pair(struct fl_str s, char comma)
{
    char c = '\0';
    s = fl_str_skip(s, run(fl_str_head(s, 64), is_ident));
    if (comma == ';' && s.n && *s.p == ' ') {
        s = fl_str_skip(s, 1);
        s = fl_str_skip(s, run(fl_str_head(s, 64), is_ident));
    }
    if (s.n) {
        fl_redact_char(s, &c);
    }
    return c == '=' || (c == ':' && comma == ',');
}

/* c, of n bytes at the front of s, ends a value without quotes: a blank does, and punctuation that
 * is not in the midst of it. */
static bool is_value_end(struct fl_str s, size_t n, char c, bool coded)
{
    char next = ' ';
    if (n > 1 && *s.p == '%' && !coded) {
        return false;
    }
    if (fl_is_space(c)) {
        return true;
    }
    if (!is_among(c, ",;&|<>)}]\"'`")) {
        return false;
    }
    s = fl_str_skip(s, n);
    if (s.n) {
        fl_redact_char(s, &next);
    }
    return fl_is_space(next) || is_among(next, ",;&|<>)}]\"'`.:") ||
           ((c == ',' || c == ';' || c == '&') && is_next_pair(s, c)) ||
           (c == '<' && next == '/');
}

static size_t bare_length(struct fl_str s, bool coded)
{
    size_t i = 0;
    char c = '\0';
    while (i < s.n) {
        struct fl_str rest = fl_str_skip(s, i);
        size_t own = fl_redact_placeholder(rest);
        size_t n = own ? own : fl_redact_char(rest, &c);
        if (!own && is_value_end(rest, n, c, coded)) {
            break;
        }
        i += n;
    }
    return i;
}

/* A header's value: `Bearer x` is two words, anything else goes on to the end of the line, or to
 * the quote that stands before the header's name. */
static size_t header_length(struct fl_str s, const struct fl_redact_spot *spot)
{
    static const char *const schemes[] = {"bearer ", "basic ", "token ", "apikey "};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t n = strlen(schemes[i]);
        if (starts_fold(s, schemes[i])) {
            n += run(fl_str_skip(s, n), is_blank);
            struct fl_str value = fl_str_skip(s, n);
            size_t own = fl_redact_placeholder(value);
            return n + (own ? own : bare_length(value, false));
        }
    }
    size_t i = 0;
    char c = '\0';
    while (i < s.n && s.p[i] != '\n' && s.p[i] != '\r') {
        size_t n = fl_redact_char(fl_str_skip(s, i), &c);
        if (is_quote(c) && c == spot->opener && n == spot->opener_n) {
            break;
        }
        i += n;
    }
    return i;
}

/* ---- what is a secret ---- */

static bool is_dull(struct fl_str value)
{
    static const char *const dull[] = {
        "none",    "null",     "nil",    "true",   "false",   "str",      "string",
        "optional", "not",     "unset",  "empty",  "missing", "invalid",  "required",
        "yes",     "no",       "redacted", "hidden", "masked", "undefined", "is",
        "bytes",   "int",      "any",    "object"};
    for (size_t i = 0; i < sizeof dull / sizeof *dull; i++) {
        if (value.n == strlen(dull[i]) && starts_fold(value, dull[i])) {
            return true;
        }
    }
    return value.n == 0;
}

static bool is_name_byte(char c)
{
    return is_word(c) || c == '.';
}

static bool is_variable(char c)
{
    return is_word(c) || c == '{' || c == '}' || c == '(' || c == ')';
}

static bool is_mask(char c)
{
    return c == '*' || c == '.' || c == 'x' || c == 'X';
}

/* $TOKEN, ${TOKEN}, ********, <your key>. */
static bool is_stand_in(struct fl_str value)
{
    struct fl_str tail = fl_str_skip(value, 1);
    return (*value.p == '$' && tail.n && (fl_is_alpha(*tail.p) || is_among(*tail.p, "_{(")) &&
            run(tail, is_variable) == tail.n && !has_digit(tail)) ||
           run(value, is_mask) == value.n ||
           (*value.p == '<' && value.p[value.n - 1] == '>' && !has_digit(value));
}

/* A variable: `MySecretOne` is none, `my_secret`, `mySecret` and `MY_SECRET` are. */
static bool is_variable_name(struct fl_str name)
{
    bool small = false;
    for (size_t i = 0; i < name.n; i++) {
        small |= name.p[i] >= 'a' && name.p[i] <= 'z';
    }
    return fl_redact_name(name) != FL_REDACT_OPEN && !(small && *name.p >= 'A' && *name.p <= 'Z');
}

/* Source code, as a traceback shows it: `token = self.token`, `token=get_token(x)`, and
 * `password=password`. */
static bool is_code(struct fl_str value)
{
    static const char *const owners[] = {"self.", "args.",     "cls.",  "config.",  "cfg.",
                                         "this.", "settings.", "os.",   "kwargs.",  "opts.",
                                         "ctx.",  "options.",  "typing.", "params.", "request."};
    size_t n = run(value, is_name_byte);
    struct fl_str name = fl_str_head(value, n);
    if (n == 0 || has_digit(name) || (n < value.n && !is_among(value.p[n], "([.,)]:"))) {
        return false;
    }
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        if (fl_str_starts(value, fl_str_of(owners[i]))) {
            return true;
        }
    }
    return n < value.n ? is_among(value.p[n], "([") : is_variable_name(name);
}

/* `password: the one of the account`: a word of prose, more of it behind. */
static bool is_sentence(const struct value *v, struct fl_str value)
{
    const char *p = value.p + value.n;
    return v->blank && v->mark.n == 0 && run(value, fl_is_alpha) == value.n &&
           !looks_random(value) && v->rest.n > value.n + 1 && *p == ' ' && fl_is_alpha(p[1]);
}

static bool is_path(struct fl_str value)
{
    size_t slashes = 0;
    for (size_t i = 0; i < value.n; i++) {
        slashes += value.p[i] == '/';
    }
    return (*value.p == '/' && (slashes > 1 || value.n < 24)) ||
           fl_str_starts(value, FL_LIT("~/")) || fl_str_starts(value, FL_LIT("./"));
}

static bool is_secret(enum fl_redact_name name, const struct value *v, struct fl_str value)
{
    bool random = looks_random(value);
    bool prose = v->blank && v->mark.n == 0;
    if (is_dull(value) || is_stand_in(value) || is_sentence(v, value) ||
        (v->mark.n == 0 && name != FL_REDACT_HEADER && is_code(value))) {
        return false;
    }
    if (v->pair && !random) {
        return false;
    }
    switch (name) {
    case FL_REDACT_PLAIN:
    case FL_REDACT_LOGIN:
        return true;
    case FL_REDACT_FILED:
        return !is_path(value);
    case FL_REDACT_TOKEN:
        return value.n >= 6 && !is_among(*value.p, "<[{(") &&
               run(value, fl_is_digit) != value.n && (!prose || (value.n >= 8 && random));
    case FL_REDACT_RANDOM:
        return value.n >= 12 && random && has_digit(value) && !is_path(value);
    case FL_REDACT_DENSE:
        return value.n >= 20 && looks_dense(value) && run(value, is_bearer) == value.n &&
               !memchr(value.p, '.', value.n) && !memchr(value.p, '/', value.n);
    case FL_REDACT_HEADER:
        return value.n >= 6 && (random || memchr(value.p, '=', value.n));
    case FL_REDACT_OPEN:
        break;
    }
    return false;
}

/* A word behind a blank is the next word: no separator. Told early, for speed. */
static bool is_prose(struct fl_str s)
{
    return s.n > 1 && *s.p == ' ' && is_word(s.p[1]);
}

/* ---- Bearer x, without a header's name ---- */

static size_t scheme_length(struct fl_str s)
{
    size_t n = starts_fold(s, "bearer") ? 6 : starts_fold(s, "basic") ? 5 : 0;
    struct fl_str rest = fl_str_skip(s, n);
    if (n && rest.n && *rest.p == '+') { /* a blank in a URL */
        return n + 1;
    }
    return n && skip_blanks(&rest) ? s.n - rest.n : 0;
}

/* Whether s is the base64 of `user:password`, as far as the colon. */
static bool is_login(struct fl_str s)
{
    uint32_t bits = 0;
    for (size_t n = 0; n < s.n && is_base64(s.p[n]) && s.p[n] != '='; n++) {
        char c = s.p[n];
        unsigned digit = c == '+'         ? 62
                         : c == '/'       ? 63
                         : fl_is_digit(c) ? (unsigned)(c - '0') + 52
                         : c >= 'a'       ? (unsigned)(c - 'a') + 26
                                          : (unsigned)(c - 'A');
        bits = bits << 6 | digit;
        for (unsigned i = 0; n % 4 == 3 && i < 3; i++) {
            unsigned byte = bits >> (16 - 8 * i) & 0xff;
            if (byte == ':' || byte <= ' ' || byte > '~') {
                return byte == ':';
            }
        }
    }
    return false;
}

static bool match_scheme(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    size_t keep = scheme_length(s);
    struct fl_str value = fl_str_skip(s, keep);
    size_t chars = 0;
    value.n = keep ? spelled_run(value, is_bearer, &chars) : 0;
    if (chars < 6 || !looks_random(value) || (s.p[1] != 'e' && s.p[1] != 'E' && !is_login(value))) {
        return false;
    }
    *hit = (struct fl_redact_hit){keep, value.n, FL_REDACT_SECRET};
    return true;
}

static bool match_named(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct value v = {.coded = false};
    size_t dashes = 0;
    while (dashes < 2 && dashes < spot->at && spot->all.p[spot->at - 1 - dashes] == '-') {
        dashes++;
    }
    struct fl_str ident = spot->ident;
    while (ident.n && ident.p[ident.n - 1] == '.') {
        ident.n--;
    }
    if (is_ident(spot->opener) || ident.n < 3) {
        return false;
    }
    struct fl_str s = fl_str_skip(rest_of(spot), ident.n);
    if ((dashes == 0 && is_prose(s)) || !take_separator(&s, dashes > 0, spot->opener, &v)) {
        return false;
    }
    enum fl_redact_name name = fl_redact_name(ident);
    if (name == FL_REDACT_OPEN) {
        return false;
    }
    if (name == FL_REDACT_RANDOM && (spot->prev == '?' || spot->prev == '&')) {
        name = FL_REDACT_PLAIN; /* a signed URL */
    }
    take_quote(&s, &v);
    v.rest = s;
    struct fl_str value = s;
    value.n = v.mark.n                  ? quoted_length(s, v.mark)
              : name == FL_REDACT_HEADER ? header_length(s, spot)
                                         : bare_length(s, v.coded);
    if (value.n == 0 || !is_secret(name, &v, value) || fl_redact_placeholder(value) == value.n) {
        return false;
    }
    *hit = (struct fl_redact_hit){(size_t)(s.p - (spot->all.p + spot->at)), value.n,
                                  name == FL_REDACT_LOGIN ? FL_REDACT_USER : FL_REDACT_SECRET};
    return true;
}

bool fl_redact_match_value(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    char c = spot->all.p[spot->at];
    return match_named(spot, hit) || ((c == 'b' || c == 'B') && match_scheme(spot, hit));
}

/* ---- options of commands that take a secret under a short name ---- */

static const struct option {
    const char *command;
    const char *option;
    bool glued; /* -pSECRET */
    bool colon; /* -u user:SECRET */
} options[] = {
    {"curl", "-u", false, true},
    {"curl", "-U", false, true},
    {"curl", "--user", false, true},
    {"curl", "--proxy-user", false, true},
    {"mysql ", "-p", true, false},
    {"mysqldump ", "-p", true, false},
    {"mysqladmin ", "-p", true, false},
    {"sshpass ", "-p", false, false},
    {"docker login", "-p", false, false},
    {"podman login", "-p", false, false},
    {"registry login", "-p", false, false},
    {"redis-cli ", "-a", false, false},
    {"machine ", "password", false, false}, /* .netrc */
};

bool fl_redact_match_option(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    struct fl_str said = before(spot, 512);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const struct option *o = &options[i];
        size_t n = strlen(o->option);
        if (!fl_str_starts(s, fl_str_of(o->option)) ||
            !fl_str_find(said, fl_str_of(o->command))) {
            continue;
        }
        struct value v = {.coded = false};
        struct fl_str value = fl_str_skip(s, n);
        if (!o->glued && !take_separator(&value, true, spot->opener, &v)) {
            continue;
        }
        take_quote(&value, &v);
        size_t length = v.mark.n ? quoted_length(value, v.mark) : bare_length(value, v.coded);
        struct fl_str text = fl_str_head(value, length);
        if (length < 3 || is_stand_in(text) || fl_redact_placeholder(text) == length ||
            (o->colon && !memchr(text.p, ':', length) && !find_fold(text, "%3a"))) {
            continue;
        }
        *hit = (struct fl_redact_hit){(size_t)(value.p - s.p), length, FL_REDACT_SECRET};
        return true;
    }
    return false;
}
