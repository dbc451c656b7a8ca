/* SPDX-License-Identifier: Apache-2.0 */
#include "service/notices/address.h"

#include "service/base/str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <strings.h>

/* ---- resolved ---- */

struct range4 {
    uint32_t net;
    int bits;
    enum fl_reach reach;
};

/* IANA's registry of special-purpose addresses */
static const struct range4 ranges4[] = {
    {0x00000000, 8, FL_REACH_NEVER},    {0xa9fe0000, 16, FL_REACH_NEVER},
    {0xe0000000, 3, FL_REACH_NEVER},    {0x7f000000, 8, FL_REACH_PRIVATE},
    {0x0a000000, 8, FL_REACH_PRIVATE},  {0xac100000, 12, FL_REACH_PRIVATE},
    {0xc0a80000, 16, FL_REACH_PRIVATE}, {0x64400000, 10, FL_REACH_PRIVATE},
    {0xc0000000, 24, FL_REACH_PRIVATE}, {0xc6120000, 15, FL_REACH_PRIVATE},
    {0xc0000200, 24, FL_REACH_PRIVATE}, {0xc6336400, 24, FL_REACH_PRIVATE},
    {0xcb007100, 24, FL_REACH_PRIVATE},
};

static enum fl_reach reach4(const uint8_t b[static 4])
{
    uint32_t ip = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    for (size_t i = 0; i < sizeof ranges4 / sizeof *ranges4; i++) {
        if ((ip ^ ranges4[i].net) >> (32 - ranges4[i].bits) == 0) {
            return ranges4[i].reach;
        }
    }
    return FL_REACH_PUBLIC;
}

static bool begins(const uint8_t b[static 16], const char *hex, int bits)
{
    struct in6_addr net;
    bool same = inet_pton(AF_INET6, hex, &net) == 1;
    for (int i = 0; same && i < bits; i++) {
        same = !((b[i / 8] ^ net.s6_addr[i / 8]) >> (7 - i % 8) & 1);
    }
    return same;
}

static enum fl_reach reach6(const uint8_t b[static 16])
{
    static const struct {
        const char *net;
        int bits;
        enum fl_reach reach;
    } ranges[] = {
        {"::1", 128, FL_REACH_PRIVATE},      {"fd00:ec2::254", 128, FL_REACH_NEVER},
        {"fc00::", 7, FL_REACH_PRIVATE},     {"fec0::", 10, FL_REACH_PRIVATE},
        {"2001:db8::", 32, FL_REACH_PRIVATE}, {"2001::", 32, FL_REACH_NEVER},
        {"2000::", 3, FL_REACH_PUBLIC},
    };
    if (begins(b, "::ffff:0:0", 96) || begins(b, "64:ff9b::", 96)) {
        return reach4(b + 12);
    }
    if (begins(b, "2002::", 16)) {
        return reach4(b + 2);
    }
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (begins(b, ranges[i].net, ranges[i].bits)) {
            return ranges[i].reach;
        }
    }
    return FL_REACH_NEVER;
}

enum fl_reach fl_address_reach(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return reach4((const uint8_t *)&in.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return reach6(in6.sin6_addr.s6_addr);
    }
    return FL_REACH_NEVER;
}

/* ---- as it is written ---- */

static const char *const is_private = "is an address of this machine or of a private network; say"
                                      " \"private\": true if that is meant";
static const char *const is_never = "is a link-local, multicast or reserved address, where nothing is sent";

static const char *judge(enum fl_reach reach, bool may_be_private)
{
    return reach == FL_REACH_NEVER                        ? is_never
           : reach == FL_REACH_PRIVATE && !may_be_private ? is_private
                                                          : NULL;
}

static const char *check_ip(int family, struct fl_str host, bool may_be_private)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    char text[INET6_ADDRSTRLEN + 1];
    snprintf(text, sizeof text, "%.*s", (int)host.n, host.p);
    void *to = family == AF_INET ? (void *)&in.sin_addr : (void *)&in6.sin6_addr;
    if (host.n >= sizeof text || inet_pton(family, text, to) != 1) {
        return family == AF_INET ? "has a number for a host that is no address like 192.0.2.1"
                                 : "has no IPv6 address between its [ ]";
    }
    const void *address = family == AF_INET ? (const void *)&in : (const void *)&in6;
    return judge(fl_address_reach(address), may_be_private);
}

static const char *check_name(struct fl_str host, bool may_be_private)
{
    const char *dot = memrchr(host.p, '.', host.n);
    struct fl_str last = dot ? fl_str_skip(host, (size_t)(dot + 1 - host.p)) : host;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (!fl_is_alpha(c) && !fl_is_digit(c) && c != '-' && c != '_' && c != '.') {
            return "has a host of other signs than A-Z a-z 0-9 - _ . (other scripts: write the xn-- form)";
        }
    }
    if (host.n == 0 || host.n > 253 || last.n == 0 || *host.p == '.' || *host.p == '-' ||
        fl_str_find(host, FL_LIT(".."))) {
        return "has no host, or one with an empty part";
    }
    if (fl_is_digit(*last.p)) { /* no name ends so: one of the many spellings of an IPv4 address */
        return check_ip(AF_INET, host, may_be_private);
    }
    bool local = last.n == 9 && strncasecmp(last.p, "localhost", 9) == 0;
    return judge(local ? FL_REACH_PRIVATE : FL_REACH_PUBLIC, may_be_private);
}

static const char *check_port(struct fl_str text)
{
    long port = 0;
    bool good = text.n == 0 || (fl_str_take_char(&text, ':') && text.n <= 5 &&
                                fl_str_take_number(&text, &port) && text.n == 0 && port > 0 && port < 65536);
    return good ? NULL : "has a port that is no number from 1 to 65535";
}

static const char *check_authority(struct fl_str text, bool may_be_private)
{
    bool is6 = fl_str_take_char(&text, '[');
    const char *end = memchr(text.p, is6 ? ']' : ':', text.n);
    if (is6 && !end) {
        return "has a [ without ]";
    }
    struct fl_str host = {text.p, end ? (size_t)(end - text.p) : text.n};
    const char *fault =
        is6 ? check_ip(AF_INET6, host, may_be_private) : check_name(host, may_be_private);
    return fault ? fault : check_port(fl_str_skip(text, host.n + is6));
}

static const char *check(struct fl_str url, bool may_be_private)
{
    for (size_t i = 0; i < url.n; i++) {
        unsigned char c = (unsigned char)url.p[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\\\"<>^`{|}", c)) {
            return "holds a blank, a line end or another sign that does not belong in a URL";
        }
    }
    struct fl_str rest = url;
    size_t scheme = strncasecmp(url.p, "https://", 8) == 0 ? 8 : strncasecmp(url.p, "http://", 7) == 0 ? 7 : 0;
    if (scheme == 0) {
        return "begins neither with https:// nor with http://";
    }
    rest = fl_str_skip(rest, scheme);
    size_t n = strcspn(rest.p, "/?#");
    if (memchr(rest.p, '@', n)) {
        return "holds a user name; there is no place for one";
    }
    if (strchr(rest.p, '#')) {
        return "holds a #, which is never sent";
    }
    return url.n >= FL_ADDRESS_URL ? "is too long" : check_authority(fl_str_head(rest, n), may_be_private);
}

enum fl_status fl_address_check(const char *url, bool may_be_private, struct fl_err *err)
{
    const char *fault = check(fl_str_of(url), may_be_private);
    return fault ? fl_fail(err, FL_USAGE, "%s", fault) : FL_OK;
}
