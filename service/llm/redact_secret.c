/* SPDX-License-Identifier: Apache-2.0 */
#include "service/llm/redact_match.h"

static bool is_token(char c)
{
    return is_word(c) || c == '-';
}

static bool is_upper_digit(char c)
{
    return fl_is_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_bearer(char c)
{
    return is_base64(c) || c == '.' || c == '_' || c == '~' || c == '-';
}

static bool is_path_token(char c)
{
    return is_word(c) || c == '/' || c == '-';
}

/* ---- keys known by their prefix ---- */

static const struct prefix {
    const char *text;
    bool (*is)(char);
    size_t least; /* bytes after the prefix */
    bool digit;   /* one of them is a digit */
    bool keep;    /* the prefix is no secret */
} prefixes[] = {
    {"sk-", is_token, 16, true, false},
    {"sk_live_", is_token, 16, false, false},
    {"sk_test_", is_token, 16, false, false},
    {"rk_live_", is_token, 16, false, false},
    {"hf_", is_alnum, 16, false, false},
    {"api_org_", is_alnum, 20, false, false},
    {"ghp_", is_alnum, 16, false, false},
    {"gho_", is_alnum, 16, false, false},
    {"ghu_", is_alnum, 16, false, false},
    {"ghs_", is_alnum, 16, false, false},
    {"ghr_", is_alnum, 16, false, false},
    {"github_pat_", is_token, 16, false, false},
    {"glpat-", is_token, 12, false, false},
    {"gldt-", is_token, 16, false, false},
    {"glrt-", is_token, 16, false, false},
    {"AKIA", is_upper_digit, 12, false, false},
    {"ASIA", is_upper_digit, 12, true, false},
    {"xoxa-", is_token, 10, false, false},
    {"xoxb-", is_token, 10, false, false},
    {"xoxc-", is_token, 10, false, false},
    {"xoxd-", is_token, 10, false, false},
    {"xoxe-", is_token, 10, false, false},
    {"xoxp-", is_token, 10, false, false},
    {"xoxr-", is_token, 10, false, false},
    {"xoxs-", is_token, 10, false, false},
    {"xapp-", is_token, 10, true, false},
    {"AIza", is_token, 30, false, false},
    {"ya29.", is_token, 16, false, false},
    {"nvapi-", is_token, 16, false, false},
    {"gsk_", is_alnum, 20, false, false},
    {"r8_", is_alnum, 20, false, false},
    {"dapi", is_hex, 32, true, false},
    {"npm_", is_alnum, 30, false, false},
    {"pypi-", is_token, 40, false, false},
    {"dckr_pat_", is_token, 16, false, false},
    {"whsec_", is_base64, 16, false, false},
    {"AGE-SECRET-KEY-1", is_alnum, 20, false, false},
    {"hooks.slack.com/services/", is_path_token, 8, false, true},
};

static bool match_prefix(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const struct prefix *prefix = &prefixes[i];
        struct fl_str head = fl_str_of(prefix->text);
        if (!fl_str_starts(s, head)) {
            continue;
        }
        struct fl_str tail = fl_str_skip(s, head.n);
        size_t n = run(tail, prefix->is);
        if (n < prefix->least || (n < tail.n && is_word(tail.p[n])) ||
            (prefix->digit && !has_digit(front(tail, n)))) {
            continue;
        }
        *hit = prefix->keep ? (struct fl_redact_hit){head.n, n, FL_REDACT_SECRET}
                            : (struct fl_redact_hit){0, head.n + n, FL_REDACT_SECRET};
        return true;
    }
    return false;
}

static bool match_jwt(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    size_t n = run(s, is_token);
    if (!fl_str_starts(s, FL_LIT("eyJ")) || n < 12 || n >= s.n || s.p[n] != '.') {
        return false;
    }
    size_t body = run(fl_str_skip(s, n + 1), is_token);
    if (body < 8) {
        return false;
    }
    n += 1 + body;
    if (n < s.n && s.p[n] == '.') {
        n += 1 + run(fl_str_skip(s, n + 1), is_token);
    }
    *hit = (struct fl_redact_hit){0, n, FL_REDACT_SECRET};
    return true;
}

/* A W&B key is 40 hexadecimal digits, as is a commit: only the words before it tell. */
static bool match_wandb(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    if (s.n < 40 || !is_hex(*s.p) || run(front(s, 41), is_hex) != 40 ||
        (s.n > 40 && is_word(s.p[40]))) {
        return false;
    }
    size_t back = spot->at < 100 ? spot->at : 100;
    struct fl_str before = {s.p - back, back};
    if (!find_fold(before, "wandb") || !(find_fold(before, "key") || find_fold(before, "login"))) {
        return false;
    }
    *hit = (struct fl_redact_hit){0, 40, FL_REDACT_SECRET};
    return true;
}

static bool match_scheme(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    size_t keep = starts_fold(s, "bearer ") ? 7 : starts_fold(s, "basic ") ? 6 : 0;
    if (keep == 0) {
        return false;
    }
    keep += run(fl_str_skip(s, keep), fl_is_space);
    struct fl_str value = fl_str_skip(s, keep);
    value.n = run(value, is_bearer);
    if (value.n < 6 || !looks_random(value)) {
        return false;
    }
    *hit = (struct fl_redact_hit){keep, value.n, FL_REDACT_SECRET};
    return true;
}

/* ---- name = value ---- */

enum strength { PLAIN, TOKEN, HEADER, WHOLE, LOGIN };

static const struct name {
    const char *text;
    enum strength strength; /* WHOLE and LOGIN: the name is nothing more than this */
} names[] = {
    {"password", PLAIN},
    {"passwd", PLAIN},
    {"passphrase", PLAIN},
    {"passwort", PLAIN},
    {"pwd", PLAIN},
    {"secret", PLAIN},
    {"secret_key", PLAIN},
    {"secret-key", PLAIN},
    {"secretkey", PLAIN},
    {"api_key", PLAIN},
    {"api-key", PLAIN},
    {"apikey", PLAIN},
    {"api_token", PLAIN},
    {"access_key", PLAIN},
    {"access-key", PLAIN},
    {"accesskey", PLAIN},
    {"accesskeyid", PLAIN},
    {"access_key_id", PLAIN},
    {"account_key", PLAIN},
    {"accountkey", PLAIN},
    {"private_key", PLAIN},
    {"privatekey", PLAIN},
    {"private-key", PLAIN},
    {"encryption_key", PLAIN},
    {"subscription-key", PLAIN},
    {"subscription_key", PLAIN},
    {"license_key", PLAIN},
    {"session_key", PLAIN},
    {"master_key", PLAIN},
    {"credential", PLAIN},
    {"client_secret", PLAIN},
    {"signature", PLAIN},
    {"connection_string", HEADER},
    {"token", TOKEN},
    {"authorization", HEADER},
    {"cookie", HEADER},
    {"sig", WHOLE},
    {"pass", WHOLE},
    {"pat", WHOLE},
    {"USER", LOGIN},
    {"LOGNAME", LOGIN},
    {"USERNAME", LOGIN},
    {"SUDO_USER", LOGIN},
};

/* A tokenizer has tokens that are no secrets. */
static bool is_vocabulary(struct fl_str ident)
{
    static const char *const words[] = {"eos",   "bos",   "pad",     "unk",    "cls",     "sep",
                                        "mask",  "image", "special", "start",  "end",     "stop",
                                        "first", "last",  "next",    "prompt", "decoder", "per",
                                        "video", "audio", "extra",   "prefix", "middle",  "suffix"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (find_fold(ident, words[i])) {
            return true;
        }
    }
    return false;
}

static const struct name *find_name(struct fl_str ident)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i].text);
        if (ident.n < n) {
            continue;
        }
        struct fl_str tail = fl_str_skip(ident, ident.n - n);
        enum strength strength = names[i].strength;
        if (strength == LOGIN ? fl_str_eq(ident, fl_str_of(names[i].text))
                              : strncasecmp(tail.p, names[i].text, n) == 0 &&
                                    (strength != WHOLE || ident.n == n) &&
                                    (n > 3 || ident.n == n || !fl_is_alpha(tail.p[-1]))) {
            return strength == TOKEN && is_vocabulary(ident) ? NULL : &names[i];
        }
    }
    return NULL;
}

/* Steps over what stands between a name and its value: `=`, `: `, `": "`, `\": \"`, `%3D`.
 * Returns its length, 0 when there is no value; *quote_r is the quote that opened it, or 0. */
static size_t separator(struct fl_str s, bool is_flag, char *quote_r)
{
    size_t i = 0;
    while (i < s.n && i < 3 && (s.p[i] == '\\' || s.p[i] == '"' || s.p[i] == '\'')) {
        i++;
    }
    size_t blanks = i;
    while (i < s.n && s.p[i] == ' ') {
        i++;
    }
    if (starts_fold(fl_str_skip(s, i), "%3d") || starts_fold(fl_str_skip(s, i), "%3a")) {
        i += 3;
    } else if (i < s.n && (s.p[i] == '=' || s.p[i] == ':')) {
        bool twice = i + 1 < s.n && s.p[i + 1] == s.p[i];
        if (twice) {
            return 0; /* a comparison, a C++ name */
        }
        i += i + 1 < s.n && (s.p[i + 1] == '>' || s.p[i + 1] == '=') ? 2 : 1;
    } else if (!is_flag || i == blanks) {
        return 0;
    }
    while (i < s.n && s.p[i] == ' ') {
        i++;
    }
    size_t quote = i;
    while (quote < s.n && quote < i + 3 && (s.p[quote] == '\\' || s.p[quote] == 'b')) {
        quote++;
    }
    *quote_r = quote < s.n && (s.p[quote] == '"' || s.p[quote] == '\'') ? s.p[quote] : '\0';
    return *quote_r ? quote + 1 : i;
}

static size_t value_length(struct fl_str s, char quote, bool to_end)
{
    size_t i = 0;
    for (; i < s.n && s.p[i] != '\n' && s.p[i] != '\r'; i++) {
        char c = s.p[i];
        if (quote ? c == quote : c == '"' || c == '\'') {
            break;
        }
        if (!quote && !to_end && (fl_is_space(c) || strchr(",;&|<>)}]", c))) {
            break;
        }
    }
    while (quote && i > 0 && i < s.n && s.p[i - 1] == '\\') {
        i--;
    }
    return i;
}

static bool is_dull(struct fl_str value)
{
    static const char *const dull[] = {"none", "null", "nil", "true", "false", "str", "optional"};
    for (size_t i = 0; i < sizeof dull / sizeof *dull; i++) {
        if (value.n == strlen(dull[i]) && starts_fold(value, dull[i])) {
            return true;
        }
    }
    return value.n == 0 || *value.p == '$' || *value.p == '*' || *value.p == '<';
}

static bool is_secret_value(struct fl_str name, enum strength strength, struct fl_str value,
                            bool loose)
{
    if (is_dull(value) && !(strength == HEADER && value.n && *value.p == '<')) {
        return false;
    }
    if (strength == TOKEN) {
        return value.n >= 6 && !strchr("<[{(", *value.p) && run(value, fl_is_digit) != value.n &&
               (!loose || (value.n >= 8 && looks_random(value)));
    }
    bool folder =
        *value.p == '/' && name.n >= 3 && starts_fold(fl_str_skip(name, name.n - 3), "pwd");
    return !folder;
}

static bool match_value(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    size_t begin = spot->at;
    while (begin > 0 && spot->all.p[begin - 1] == '-') {
        begin--;
    }
    struct fl_str s = rest_of(spot);
    struct fl_str ident = front(s, run(front(s, 256), is_ident));
    if ((begin > 0 && is_ident(spot->all.p[begin - 1])) || ident.n < 3) {
        return false;
    }
    const struct name *name = find_name(ident);
    char quote = '\0';
    size_t gap = name ? separator(fl_str_skip(s, ident.n), begin < spot->at, &quote) : 0;
    if (gap == 0) {
        return false;
    }
    struct fl_str value = fl_str_skip(s, ident.n + gap);
    bool loose = !quote && s.p[ident.n + gap - 1] == ' ';
    value.n = value_length(value, quote, name->strength == HEADER);
    if (!is_secret_value(ident, name->strength, value, loose) ||
        fl_redact_placeholder(value) == value.n) {
        return false;
    }
    *hit = (struct fl_redact_hit){ident.n + gap, value.n,
                                  name->strength == LOGIN ? FL_REDACT_USER : FL_REDACT_SECRET};
    return true;
}

bool fl_redact_match_secret(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    return match_prefix(spot, hit) || match_jwt(spot, hit) || match_wandb(spot, hit) ||
           match_value(spot, hit) || match_scheme(spot, hit);
}
