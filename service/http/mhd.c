/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/mhd.h"

#include <dlfcn.h>
#include <string.h>

enum fl_status fl_mhd_load(struct fl_mhd *out, struct fl_err *err)
{
    void *library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        return fl_fail(err, FL_UNAVAILABLE, "libmicrohttpd cannot be loaded (Debian: apt-get install"
                                            " libmicrohttpd12): %s", dlerror());
    }
    void *symbol = NULL;
#define X(name)                                                                                    \
    symbol = dlsym(library, "MHD_" #name);                                                         \
    if (!symbol) {                                                                                 \
        return fl_fail(err, FL_UNAVAILABLE, "this libmicrohttpd has no MHD_" #name);               \
    }                                                                                              \
    memcpy(&out->name, &symbol, sizeof symbol); /* POSIX: dlsym gives functions, too */
    FL_MHD_MAP(X)
#undef X
    return FL_OK;
}
