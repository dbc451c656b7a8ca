/* SPDX-License-Identifier: Apache-2.0 */
#include "service/llm/redact_match.h"

static bool is_local_part(char c)
{
    return is_word(c) || c == '.' || c == '+' || c == '-' || c == '%';
}

static bool match_email(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    size_t n = run(fl_str_head(s, 65), is_local_part);
    if (n == 0 || n >= s.n || s.p[n] != '@' || is_local_part(spot->prev)) {
        return false;
    }
    struct fl_str domain = fl_str_skip(s, n + 1);
    domain.n = run(domain, is_ident);
    while (domain.n && !is_alnum(domain.p[domain.n - 1])) {
        domain.n--;
    }
    size_t top = 0;
    while (top < domain.n && fl_is_alpha(domain.p[domain.n - 1 - top])) {
        top++;
    }
    if (top < 2 || top + 2 > domain.n || domain.p[domain.n - 1 - top] != '.') {
        return false;
    }
    *hit = (struct fl_redact_hit){0, n + 1 + domain.n, FL_REDACT_EMAIL};
    return true;
}

/* Version numbers of four parts look like addresses: pkg==12.4.5.8, cudnn-9.1.0.70,
 * version 2.18.1.1. */
static bool is_version(const struct fl_redact_spot *spot)
{
    struct fl_str before = {spot->all.p, spot->at};
    size_t back = before.n < 12 ? before.n : 12;
    struct fl_str near = fl_str_skip(before, before.n - back);
    return spot->prev == '-' || fl_str_ends(before, FL_LIT("==")) || find_fold(near, "version") ||
           find_fold(near, "driver") || find_fold(near, "cudnn");
}

static bool match_ipv4(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    struct fl_str left = s;
    long part[4];
    for (int i = 0; i < 4; i++) {
        size_t before = left.n;
        if (i > 0) {
            if (left.n == 0 || *left.p != '.') {
                return false;
            }
            left = fl_str_skip(left, 1);
            before--;
        }
        if (!fl_str_take_number(&left, &part[i]) || part[i] > 255 || before - left.n > 3) {
            return false;
        }
    }
    bool ends =
        left.n == 0 || (!is_word(*left.p) && (*left.p != '.' || left.n < 2 || !is_word(left.p[1])));
    if (!ends || spot->prev == '.' || part[0] == 127 || (part[0] == 0 && part[3] == 0) ||
        is_version(spot)) {
        return false;
    }
    *hit = (struct fl_redact_hit){0, s.n - left.n, FL_REDACT_IP};
    return true;
}

static bool is_ipv6_byte(char c)
{
    return is_hex(c) || c == ':';
}

/* Eight groups, or one "::" with a first group such as fe80 or 2001: clock times, PCI addresses
 * and C++ names stay. */
static bool match_ipv6(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    size_t digits = run(fl_str_head(s, 5), is_hex);
    if (digits > 4 || digits >= s.n || s.p[digits] != ':') {
        return false;
    }
    struct fl_str all = fl_str_head(s, run(fl_str_head(s, 41), is_ipv6_byte));
    while (all.n && all.p[all.n - 1] == ':') {
        all.n--;
    }
    size_t groups = 0;
    size_t doubles = 0;
    size_t first = run(all, is_hex);
    for (size_t i = 0; i < all.n;) {
        digits = run(fl_str_skip(all, i), is_hex);
        if (digits > 4) {
            return false;
        }
        groups += digits > 0;
        i += digits;
        size_t colons = 0;
        for (; i < all.n && all.p[i] == ':'; i++) {
            colons++;
        }
        doubles += colons == 2;
        if (colons > 2) {
            return false;
        }
    }
    bool compressed =
        doubles == 1 && groups >= 2 && groups < 8 && first >= 3 && strchr("23fF", *all.p);
    bool ends = all.n == s.n || !is_word(s.p[all.n]);
    if (all.n < 6 || !ends || spot->prev == ':' || !((groups == 8 && doubles == 0) || compressed)) {
        return false;
    }
    *hit = (struct fl_redact_hit){0, all.n, FL_REDACT_IP};
    return true;
}

static bool is_port(struct fl_str s)
{
    return s.n <= 5 && run(s, fl_is_digit) == s.n;
}

/* The next character of a URL, which may itself stand in another one: only there %40 is a @, and
 * %2540 a %40. */
static size_t url_char(struct fl_str s, bool coded, char *c_r)
{
    *c_r = *s.p;
    if (fl_str_starts(s, FL_LIT("%25"))) {
        return 3;
    }
    return coded || *s.p == '\\' ? fl_redact_char(s, c_r) : 1;
}

/* Steps over "://". */
static bool take_scheme_end(struct fl_str *s)
{
    for (size_t i = 0; i < 3; i++) {
        char c = '\0';
        size_t n = s->n ? fl_redact_char(*s, &c) : 0;
        if (c != "://"[i]) {
            return false;
        }
        *s = fl_str_skip(*s, n);
    }
    return true;
}

/* Length of the user info of a URL behind its scheme, 0 when there is none. A bare slash in the
 * password is forgiven. */
static size_t userinfo_length(struct fl_str s, bool coded)
{
    size_t end = 0;
    size_t host_end = 0;
    size_t colon = 0;
    size_t at = 0;
    for (size_t n = 0; end < s.n && end < 1024; end += n) {
        char c = '\0';
        n = url_char(fl_str_skip(s, end), coded, &c);
        if (fl_is_space(c) || is_quote(c) || (coded && s.p[end] == '&')) {
            break;
        }
        if (!host_end && end > 0 && (is_among(c, "/?#\\") || (c == ';' && !colon))) {
            host_end = end;
        }
        if (c == ':' && !host_end && !colon) {
            colon = end + n;
        }
        if (c == '@' &&
            (!host_end || (colon && !is_port((struct fl_str){s.p + colon, host_end - colon})))) {
            at = end;
        }
    }
    return at;
}

/* scheme://user:password@host */
bool fl_redact_match_userinfo(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    struct fl_str s = rest_of(spot);
    bool coded = *s.p == '%';
    if (!is_word(spot->prev) || !take_scheme_end(&s)) {
        return false;
    }
    size_t n = userinfo_length(s, coded);
    if (n == 0 || fl_redact_placeholder(fl_str_head(s, n)) == n) {
        return false;
    }
    *hit = (struct fl_redact_hit){(size_t)(s.p - rest_of(spot).p), n, FL_REDACT_SECRET};
    return true;
}

static bool is_user_byte(char c)
{
    return is_word(c) || c == '.' || c == '-' || c == '+' || (unsigned char)c >= 0x80;
}

bool fl_redact_match_home(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    static const char *const folders[] = {"/home/", "/Users/", "\\Users\\", "\\\\Users\\\\"};
    struct fl_str s = rest_of(spot);
    if (s.n < 7 || !is_among(s.p[1], "hU\\")) {
        return false;
    }
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct fl_str folder = fl_str_of(folders[i]);
        if (!fl_str_starts(s, folder)) {
            continue;
        }
        size_t n = run(fl_str_skip(s, folder.n), is_user_byte);
        *hit = (struct fl_redact_hit){folder.n, n, FL_REDACT_USER};
        return n > 0;
    }
    return false;
}

bool fl_redact_match_address(const struct fl_redact_spot *spot, struct fl_redact_hit *hit)
{
    char c = spot->all.p[spot->at];
    return (spot->has_at && match_email(spot, hit)) || (fl_is_digit(c) && match_ipv4(spot, hit)) ||
           (is_hex(c) && match_ipv6(spot, hit));
}
