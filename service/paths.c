/* SPDX-License-Identifier: Apache-2.0 */
#include "service/paths.h"

#include "service/base/fsio.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_set(const char *value)
{
    return value && *value;
}

const char *fl_paths_state(const char *flag, char out[static FL_PATHS_BYTES])
{
    const char *state = flag ? flag : getenv("FAULTLINE_STATE");
    const char *xdg = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int n = -1;
    if (is_set(state)) {
        return state;
    }
    if (is_set(xdg)) {
        n = snprintf(out, FL_PATHS_BYTES, "%s/faultline", xdg);
    } else if (is_set(home)) {
        n = snprintf(out, FL_PATHS_BYTES, "%s/.local/state/faultline", home);
    }
    return n > 0 && n < FL_PATHS_BYTES ? out : NULL;
}

static bool program_folder(char out[static FL_PATHS_BYTES])
{
    ssize_t got = readlink("/proc/self/exe", out, FL_PATHS_BYTES - 1);
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

const char *fl_paths_data(const char *relative, char out[static FL_PATHS_BYTES])
{
    static const char *const places[] = {"/../share/faultline", "/../..", "/../../.."};
    char folder[FL_PATHS_BYTES];
    const char *share = getenv("FAULTLINE_SHARE");
    if (is_set(share)) {
        int n = snprintf(out, FL_PATHS_BYTES, "%s/%s", share, relative);
        return n < FL_PATHS_BYTES ? out : relative;
    }
    bool known = program_folder(folder);
    for (size_t i = 0; known && i < sizeof places / sizeof *places; i++) {
        int n = snprintf(out, FL_PATHS_BYTES, "%.2000s%s/%.1000s", folder, places[i], relative);
        if (n < FL_PATHS_BYTES && fl_fsio_exists(out)) {
            return out;
        }
    }
    return relative;
}
