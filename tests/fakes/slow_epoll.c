/* SPDX-License-Identifier: Apache-2.0 */
/* To be preloaded: taking a descriptor out of an epoll set lasts, so that two threads that do it meet. */
#include <dlfcn.h>
#include <sys/epoll.h>
#include <unistd.h>

__attribute__((visibility("default"))) int epoll_ctl(int set, int what, int fd, struct epoll_event *event)
{
    int (*real)(int, int, int, struct epoll_event *) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "epoll_ctl");
    if (what == EPOLL_CTL_DEL) {
        usleep(20 * 1000);
    }
    return real(set, what, fd, event);
}
