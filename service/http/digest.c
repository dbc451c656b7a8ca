/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/digest.h"

#include <dlfcn.h>
#include <gnutls/crypto.h>
#include <stdio.h>

enum fl_status fl_digest(const struct fl_str *key, struct fl_str text, char out[static FL_DIGEST_HEX + 1],
                         struct fl_err *err)
{
    unsigned char sum[FL_DIGEST_BYTES];
    __typeof__(&gnutls_hash_fast) hash = NULL;
    __typeof__(&gnutls_hmac_fast) hmac = NULL;
    void *library = dlopen("libgnutls.so.30", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, key ? "gnutls_hmac_fast" : "gnutls_hash_fast") : NULL;
    int code = -1;
    if (symbol && key) {
        memcpy(&hmac, &symbol, sizeof symbol);
        code = hmac(GNUTLS_MAC_SHA256, key->p, key->n, text.p, text.n, sum);
    } else if (symbol) {
        memcpy(&hash, &symbol, sizeof symbol);
        code = hash(GNUTLS_DIG_SHA256, text.p, text.n, sum);
    }
    if (code != 0) {
        return fl_fail(err, FL_UNAVAILABLE, "no SHA-256: libgnutls cannot be used (Debian: apt-get"
                                            " install libgnutls30)");
    }
    for (size_t i = 0; i < sizeof sum; i++) {
        snprintf(out + 2 * i, 3, "%02x", sum[i]);
    }
    return FL_OK;
}

bool fl_digest_eq(const char a[static FL_DIGEST_HEX], const char b[static FL_DIGEST_HEX])
{
    unsigned char differ = 0;
    for (size_t i = 0; i < FL_DIGEST_HEX; i++) {
        differ |= (unsigned char)(a[i] ^ b[i]);
    }
    return differ == 0;
}
