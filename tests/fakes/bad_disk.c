/* SPDX-License-Identifier: Apache-2.0 */
/* To be preloaded: the Nth call that changes a file below a folder fails, as if the disk were full or broken;
 * and the wall clock jumps.
 *   BAD_DISK_UNDER=/folder   files that it is about
 *   BAD_DISK_AT=N            this call fails (from 1; 0: none)
 *   BAD_DISK_FOR=M           and the next M - 1, too
 *   BAD_DISK_ERRNO=28        with this
 *   BAD_DISK_FILE=/path      the count of calls so far is kept there; its first byte '!' lets nothing fail
 *   BAD_CLOCK_FILE=/path     seconds to add to the wall clock, read anew now and then */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

static atomic_long calls;

static long number(const char *name, long missing)
{
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : missing;
}

static int is_ours(int fd)
{
    char link[64];
    char path[4096];
    const char *under = getenv("BAD_DISK_UNDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = under ? readlink(link, path, sizeof path - 1) : -1;
    if (n <= 0) {
        return 0;
    }
    path[n] = '\0';
    return strncmp(path, under, strlen(under)) == 0;
}

/* Is this call one that fails? */
static int fails(int fd)
{
    long at = number("BAD_DISK_AT", 0);
    int kept = errno;
    if (!is_ours(fd)) {
        errno = kept;
        return 0;
    }
    long n = atomic_fetch_add(&calls, 1) + 1;
    const char *file = getenv("BAD_DISK_FILE");
    if (file) {
        char text[32] = "";
        int log = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (log >= 0) {
            syscall(SYS_pread64, log, text, 1L, 0L);
            int off = text[0] == '!';
            int len = snprintf(text, sizeof text, "%c%ld\n", off ? '!' : ' ', n);
            syscall(SYS_pwrite64, log, text, (long)len, 0L);
            syscall(SYS_close, log);
            if (off) {
                errno = kept;
                return 0;
            }
        }
    }
    errno = kept;
    if (at > 0 && n >= at && n < at + number("BAD_DISK_FOR", 1)) {
        errno = (int)number("BAD_DISK_ERRNO", ENOSPC);
        return 1;
    }
    return 0;
}

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

typedef ssize_t (*write_call)(int, const void *, size_t);
typedef ssize_t (*pwrite_call)(int, const void *, size_t, off64_t);
typedef int (*sync_call)(int);
typedef int (*truncate_call)(int, off64_t);
typedef int (*clock_call)(clockid_t, struct timespec *);

SHOWN ssize_t write(int fd, const void *p, size_t n)
{
    return fails(fd) ? -1 : NEXT(write_call, "write")(fd, p, n);
}

SHOWN ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return fails(fd) ? -1 : NEXT(pwrite_call, "pwrite")(fd, p, n, at);
}

SHOWN ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return fails(fd) ? -1 : NEXT(pwrite_call, "pwrite64")(fd, p, n, at);
}

SHOWN int fsync(int fd)
{
    return fails(fd) ? -1 : NEXT(sync_call, "fsync")(fd);
}

SHOWN int fdatasync(int fd)
{
    return fails(fd) ? -1 : NEXT(sync_call, "fdatasync")(fd);
}

SHOWN int ftruncate(int fd, off_t n)
{
    return fails(fd) ? -1 : NEXT(truncate_call, "ftruncate")(fd, n);
}

SHOWN int ftruncate64(int fd, off64_t n)
{
    return fails(fd) ? -1 : NEXT(truncate_call, "ftruncate64")(fd, n);
}

SHOWN int clock_gettime(clockid_t which, struct timespec *out)
{
    static atomic_long asked;
    static atomic_long jump;
    const char *file = getenv("BAD_CLOCK_FILE");
    int code = (int)syscall(SYS_clock_gettime, (long)which, out);
    if (file && which == CLOCK_REALTIME && code == 0) {
        if (atomic_fetch_add(&asked, 1) % 4 == 0) {
            char text[32] = "";
            int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
            if (fd >= 0) {
                if (syscall(SYS_read, fd, text, sizeof text - 1) > 0) {
                    atomic_store(&jump, strtol(text, NULL, 10));
                }
                syscall(SYS_close, fd);
            }
        }
        out->tv_sec += atomic_load(&jump);
    }
    return code;
}

SHOWN time_t time(time_t *out)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    if (out) {
        *out = ts.tv_sec;
    }
    return ts.tv_sec;
}
