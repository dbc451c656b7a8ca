/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and tokens that are known by their look, wherever they stand. */
#include "service/llm/redact_match.h"

static bool is_upper_digit(char c)
{
    return fl_is_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_path_token(char c)
{
    return is_token(c) || c == '/';
}

static const struct prefix {
    char text[32]; /* in place: all are looked at, at each long word */
    bool (*is)(char);
    size_t least; /* bytes after the prefix */
    bool digit;   /* one of them is a digit */
    bool keep;    /* the prefix is no secret */
} prefixes[] = {
    {"sk-", is_token, 16, true, false},
    {"sk_live_", is_token, 16, false, false},
    {"sk_test_", is_token, 16, false, false},
    {"rk_live_", is_token, 16, false, false},
    {"rk_test_", is_token, 16, false, false},
    {"pplx-", is_alnum, 32, false, false},
    {"xai-", is_alnum, 40, false, false},
    {"gsk_", is_alnum, 20, false, false},
    {"r8_", is_alnum, 20, false, false},
    {"hf_", is_alnum, 16, false, false},
    {"api_org_", is_alnum, 20, false, false},
    {"wandb_v1_", is_token, 16, false, false},
    {"nvapi-", is_token, 16, false, false},
    {"ghp_", is_alnum, 16, false, false},
    {"gho_", is_alnum, 16, false, false},
    {"ghu_", is_alnum, 16, false, false},
    {"ghs_", is_alnum, 16, false, false},
    {"ghr_", is_alnum, 16, false, false},
    {"github_pat_", is_token, 16, false, false},
    {"glpat-", is_ident, 12, false, false},
    {"gldt-", is_token, 16, false, false},
    {"glrt-", is_ident, 16, false, false},
    {"glptt-", is_token, 16, false, false},
    {"glcbt-", is_token, 16, false, false},
    {"AKIA", is_upper_digit, 12, false, false},
    {"ASIA", is_upper_digit, 12, true, false},
    {"ABIA", is_upper_digit, 16, true, false},
    {"ACCA", is_upper_digit, 16, true, false},
    {"IQoJb3JpZ2lu", is_base64, 40, false, false}, /* a session token of AWS */
    {"FwoGZXIvYXdz", is_base64, 40, false, false},
    {"AIza", is_token, 30, false, false},
    {"ya29.", is_token, 16, false, false},
    {"GOCSPX-", is_token, 16, false, false},
    {"xoxa-", is_token, 10, false, false},
    {"xoxb-", is_token, 10, false, false},
    {"xoxc-", is_token, 10, false, false},
    {"xoxd-", is_token, 10, false, false},
    {"xoxe-", is_token, 10, false, false},
    {"xoxe.xoxp-", is_token, 10, false, false},
    {"xoxp-", is_token, 10, false, false},
    {"xoxr-", is_token, 10, false, false},
    {"xoxs-", is_token, 10, false, false},
    {"xapp-", is_token, 10, true, false},
    {"hooks.slack.com", is_path_token, 20, false, true},
    {"discord.com/api/webhooks/", is_path_token, 8, false, true},
    {"discordapp.com/api/webhooks/", is_path_token, 8, false, true},
    {"dapi", is_hex, 32, true, false},
    {"npm_", is_alnum, 30, false, false},
    {"pypi-", is_token, 40, false, false},
    {"dckr_pat_", is_token, 16, false, false},
    {"dckr_oat_", is_token, 16, false, false},
    {"dop_v1_", is_hex, 32, false, false},
    {"whsec_", is_base64, 16, false, false},
    {"SG.", is_ident, 40, false, false},
    {"hvs.", is_token, 24, false, false},
    {"hvb.", is_token, 24, false, false},
    {"glsa_", is_token, 32, false, false},
    {"AGE-SECRET-KEY-1", is_alnum, 20, false, false},
    {"eyJhcGlfYWRkcmVzcyI6", is_base64, 16, false, false}, /* {"api_address": of Neptune */
    {"eyJhcGlf", is_base64, 60, false, false},
    {"LS0tLS1CRUdJTi", is_base64, 40, false, false}, /* -----BEGIN in base64 */
};

static bool match_prefix(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const struct prefix *prefix = &prefixes[i];
        if (*s.p != *prefix->text || !fl_str_starts(s, fl_str_of(prefix->text))) {
            continue;
        }
        size_t head = strlen(prefix->text);
        struct fl_str tail = fl_str_skip(s, head);
        size_t chars = 0;
        size_t n = spelled_run(tail, prefix->is, &chars);
        while (prefix->is == is_ident && n && tail.p[n - 1] == '.') {
            n--; /* it ends a sentence */
        }
        if (chars < prefix->least || (n < tail.n && is_word(tail.p[n])) ||
            (prefix->digit && !has_digit(fl_str_head(tail, n)))) {
            continue;
        }
        *hit = prefix->keep ? (struct fl_redact_hit){head, n, FL_REDACT_SECRET}
                            : (struct fl_redact_hit){0, head + n, FL_REDACT_SECRET};
        return true;
    }
    return false;
}

/* Three parts, five when it is encrypted. */
static bool match_jwt(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    size_t n = fl_str_starts(s, FL_LIT("eyJ")) ? run(s, is_token) : 0;
    if (n < 12 || n >= s.n || s.p[n] != '.' || run(fl_str_skip(s, n + 1), is_token) < 8) {
        return false;
    }
    for (int part = 1; part < 5 && n < s.n && s.p[n] == '.'; part++) {
        n += 1 + run(fl_str_skip(s, n + 1), is_token);
    }
    *hit = (struct fl_redact_hit){0, n, FL_REDACT_SECRET};
    return true;
}

/* Keys that look like a commit or a checksum: only the words before them tell. */
static const struct near {
    const char *service;
    size_t n;
    bool (*is)(char);
} nears[] = {
    {"wandb", 40, is_hex},   {"comet", 25, is_alnum}, {"kaggle", 32, is_hex},
    {"datadog", 32, is_hex}, {"dd_", 32, is_hex},     {"databricks", 32, is_hex},
};

static bool match_near(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    size_t n = run(fl_str_head(s, 41), is_alnum);
    if (n < 25 || n > 40 || (n < s.n && is_word(s.p[n])) || !has_digit(fl_str_head(s, n))) {
        return false;
    }
    struct fl_str said = before(spot, 160);
    bool key = find_fold(said, "key") || find_fold(said, "login") || find_fold(said, "token");
    for (size_t i = 0; key && i < sizeof nears / sizeof *nears; i++) {
        if (n == nears[i].n && run(fl_str_head(s, n), nears[i].is) == n &&
            find_fold(said, nears[i].service)) {
            *hit = (struct fl_redact_hit){0, n, FL_REDACT_SECRET};
            return true;
        }
    }
    return false;
}

static bool is_base64_digit(char c)
{
    return is_alnum(c) || c == '+' || c == '/';
}

static bool is_padding(char c)
{
    return c == '=';
}

/* No checksum: those are of one case. */
static bool is_mixed(struct fl_str s)
{
    bool small = false;
    bool capital = false;
    for (size_t i = 0; i < s.n; i++) {
        small |= s.p[i] >= 'a' && s.p[i] <= 'z';
        capital |= s.p[i] >= 'A' && s.p[i] <= 'Z';
    }
    return small && capital;
}

/* Bare base64 of a known length: an account key of Azure (64 bytes, as a SHA-512 has, which is
 * written behind a dash), a secret key of AWS (30 bytes) with AWS named before it. A key may begin
 * with a few + and /, but a match begins at a letter: those are missed. */
static bool match_base64(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    enum { AZURE = 86, AWS = 40, MISSED = 3 };
    struct fl_str s = rest_of(spot);
    size_t chars = 0;
    size_t pads = 0;
    size_t n = spelled_run(fl_str_head(s, 512), is_base64_digit, &chars);
    size_t missed = is_among(spot->prev, "+/") ? MISSED : 0;
    bool azure = chars + missed >= AZURE && chars <= AZURE && spot->prev != '-';
    bool aws = chars + missed >= AWS && chars <= AWS;
    if ((!azure && !aws) || !is_mixed(fl_str_head(s, n))) {
        return false;
    }
    size_t padding = spelled_run(fl_str_head(fl_str_skip(s, n), 64), is_padding, &pads);
    struct fl_str said = before(spot, 100);
    *hit = (struct fl_redact_hit){0, n + padding, FL_REDACT_SECRET};
    return azure ? pads == 2
                 : pads == 0 && (find_fold(said, "aws") || fl_str_find(said, FL_LIT("AKIA")) ||
                                 fl_str_find(said, FL_LIT("ASIA")));
}

/* What may go on in base64, plain or spelled. */
static bool goes_on(struct fl_str s)
{
    char c = '\0';
    return s.n && (fl_redact_char(s, &c), c == '+' || c == '/');
}

bool fl_redact_match_token(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    enum { SHORTEST = 15 }; /* xoxb-, and ten more */
    if (spot->ident.n < SHORTEST) {
        return goes_on(fl_str_skip(rest_of(spot), spot->ident.n)) && match_base64(spot, hit);
    }
    return match_prefix(spot, hit) || match_jwt(spot, hit) || match_near(spot, hit) ||
           match_base64(spot, hit);
}
