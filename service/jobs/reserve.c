/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/reserve.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void fl_reserve_init(struct fl_reserve *r, const char *beside)
{
    const char *slash = strrchr(beside, '/');
    int folder = slash ? (int)(slash - beside) : 0;
    struct statvfs fs;
    struct stat file;
    *r = (struct fl_reserve){.bytes = FL_RESERVE_BYTES};
    snprintf(r->path, sizeof r->path, "%.*s", folder, beside);
    if (!slash || statvfs(r->path, &fs) != 0) {
        r->path[0] = '\0';
        return;
    }
    int64_t quarter = (int64_t)(fs.f_blocks / 4 * fs.f_frsize);
    r->bytes = quarter < r->bytes ? quarter : r->bytes;
    snprintf(r->path, sizeof r->path, "%.*s/reserve", folder, beside);
    r->is_held = stat(r->path, &file) == 0 && file.st_size >= r->bytes;
}

bool fl_reserve_hold(struct fl_reserve *r)
{
    struct statvfs fs;
    int fd = -1;
    if (r->is_held || !*r->path) {
        return r->is_held;
    }
    char *name = strrchr(r->path, '/');
    *name = '\0';
    bool room = statvfs(r->path, &fs) == 0 && (int64_t)(fs.f_bavail * fs.f_frsize) >= 2 * r->bytes;
    *name = '/';
    if (room) {
        fd = open(r->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    if (fd >= 0) {
        r->is_held = posix_fallocate(fd, 0, r->bytes) == 0;
        close(fd);
        if (!r->is_held) {
            unlink(r->path);
        }
    }
    return r->is_held;
}

void fl_reserve_give_up(struct fl_reserve *r)
{
    if (*r->path) {
        unlink(r->path);
    }
    r->is_held = false;
}
