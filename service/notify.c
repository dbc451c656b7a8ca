/* SPDX-License-Identifier: Apache-2.0 */
#include "service/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void fl_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char text[128];
    struct timespec now;
    if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof to.sun_path) {
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(text, sizeof text, "%s\nMONOTONIC_USEC=%lld\n", state,
                     (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    memcpy(to.sun_path, path, strlen(path));
    if (*path == '@') {
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
        sendto(fd, text, (size_t)n, MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&to, size);
        close(fd);
    }
}
