/* SPDX-License-Identifier: Apache-2.0 */
/* A name that leads elsewhere each time it is asked for (DNS rebinding): what is connected to is judged, not
 * what the name said before. Resolver and connect() are this file's own; no packet leaves. */
#include "tests/unit/test.h"

#include "service/notices/post.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

enum { ADDRESSES = 3 };

static const char *const private[] = {"127.0.0.1", "10.1.2.3",  "169.254.169.254",  "192.168.0.9",
                                      "::1",       "fd00::1",   "::ffff:127.0.0.1", "64:ff9b::7f00:1",
                                      "0.0.0.0",   "100.64.0.1"};
static const char *const public[] = {"93.184.215.14", "2606:2800:21f::14"};
static unsigned dice;   /* the resolver's own thread rolls it, one post at a time */
static long connects[2]; /* to public addresses, to private ones */

static unsigned roll(unsigned n)
{
    dice = dice * 1664525U + 1013904223U;
    return (dice >> 16) % n;
}

static struct addrinfo *address_of(const char *text, const char *port)
{
    struct addrinfo *one = calloc(1, sizeof *one);
    struct sockaddr_in *v4 = calloc(1, sizeof(struct sockaddr_storage));
    struct sockaddr_in6 *v6 = (void *)v4;
    if (!one || !v4) {
        abort();
    }
    *one = (struct addrinfo){.ai_family = strchr(text, ':') ? AF_INET6 : AF_INET,
                             .ai_socktype = SOCK_STREAM, .ai_addr = (void *)v4};
    in_port_t at = htons((uint16_t)strtol(port, NULL, 10));
    if (one->ai_family == AF_INET) {
        *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = at};
        CHECK_EQ_INT(inet_pton(AF_INET, text, &v4->sin_addr), 1);
        one->ai_addrlen = sizeof *v4;
    } else {
        *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = at};
        CHECK_EQ_INT(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        one->ai_addrlen = sizeof *v6;
    }
    return one;
}

__attribute__((visibility("default"))) int
getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
    (void)node, (void)hints;
    *found = NULL;
    for (unsigned left = 1 + roll(ADDRESSES); left; left--) {
        bool shown = roll(2);
        struct addrinfo *one =
            address_of(shown ? public[roll(sizeof public / sizeof *public)]
                             : private[roll(sizeof private / sizeof *private)], service);
        one->ai_next = *found;
        *found = one;
    }
    return 0;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;
        free(list->ai_addr);
        free(list);
        list = next;
    }
}

__attribute__((visibility("default"))) int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t n)
{
    const struct sockaddr *address = to.__sockaddr__;
    char text[INET6_ADDRSTRLEN] = "";
    bool shown = false;
    (void)fd, (void)n;
    if (address->sa_family == AF_INET || address->sa_family == AF_INET6) {
        const void *at = address->sa_family == AF_INET
                             ? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
                             : (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        inet_ntop(address->sa_family, at, text, sizeof text);
        for (size_t i = 0; i < sizeof public / sizeof *public; i++) {
            shown |= strcmp(text, public[i]) == 0;
        }
        connects[!shown]++;
    }
    errno = ECONNREFUSED;
    return -1;
}

TEST(a_name_that_leads_elsewhere_each_time)
{
    char url[] = "http://rebinding.example:8080/hook";
    struct fl_receiver to = {.url = url, .timeout_s = 5};
    const char *is_long = getenv("FL_LONG");
    int tries = is_long && strcmp(is_long, "1") == 0 ? 1000 : 200;
    for (int i = 0; i < tries; i++) {
        struct fl_post post = {.to = &to, .body = FL_LIT("{}"), .key = "k", .trace = ""};
        fl_post(&post);
        CHECK(post.end == FL_POST_AGAIN || post.end == FL_POST_NEVER);
        CHECK(post.why[0] && !strstr(post.why, "rebinding.example"));
    }
    CHECK_EQ_INT(connects[1], 0);
    CHECK(connects[0] > tries / 10); /* the others are tried */
    to.is_private = true;
    connects[0] = connects[1] = 0;
    for (int i = 0; i < 50; i++) {
        struct fl_post post = {.to = &to, .body = FL_LIT("{}"), .key = "k", .trace = ""};
        fl_post(&post);
    }
    CHECK(connects[1] > 0); /* where it is allowed, it is seen here */
}

int main(void)
{
    RUN(a_name_that_leads_elsewhere_each_time);
    return test_result();
}
