/* SPDX-License-Identifier: Apache-2.0 */
#include "service/paths.h"

#include "service/base/fsio.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Kept for the life of the process, as the header says. */
static const char *keep(struct fl_buf *buf)
{
    return buf->failed ? NULL : buf->p;
}

const char *fl_paths_state(const char *flag)
{
    const char *state = flag ? flag : getenv("FAULTLINE_STATE");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    struct fl_buf path;
    fl_buf_init(&path, 4096);
    if (state && *state) {
        return state;
    }
    if (xdg && *xdg) {
        fl_buf_addf(&path, "%s/faultline", xdg);
    } else if (home && *home) {
        fl_buf_addf(&path, "%s/.local/state/faultline", home);
    } else {
        return NULL;
    }
    return keep(&path);
}

static bool program_folder(char *out, size_t n)
{
    ssize_t got = readlink("/proc/self/exe", out, n - 1);
    if (got <= 0) {
        return false;
    }
    out[got] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) {
        *slash = '\0';
    }
    return slash != NULL;
}

const char *fl_paths_data(const char *relative)
{
    static const char *const places[] = {"/../share/faultline", "/../..", "/../../.."};
    char folder[4096];
    struct fl_buf path;
    const char *share = getenv("FAULTLINE_SHARE");
    fl_buf_init(&path, 8192);
    if (share && *share) {
        fl_buf_addf(&path, "%s/%s", share, relative);
        return keep(&path);
    }
    bool known = program_folder(folder, sizeof folder);
    for (size_t i = 0; known && i < sizeof places / sizeof *places; i++) {
        fl_buf_clear(&path);
        fl_buf_addf(&path, "%s%s/%s", folder, places[i], relative);
        if (fl_fsio_exists(fl_buf_text(&path))) {
            return keep(&path);
        }
    }
    fl_buf_free(&path);
    return relative;
}
