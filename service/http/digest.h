/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104) of libgnutls, loaded by the first call (see mhd.h). */
#pragma once
#include "service/base/status.h"
#include "service/base/str.h"

enum { FL_DIGEST_BYTES = 32, FL_DIGEST_HEX = 2 * FL_DIGEST_BYTES };

/* Lower-case hexadecimal and a NUL. key: NULL for the plain hash. */
enum fl_status fl_digest(const struct fl_str *key, struct fl_str text, char out[static FL_DIGEST_HEX + 1],
                         struct fl_err *err) FL_MUST_USE;

/* In a time that does not tell where they differ. */
bool fl_digest_eq(const char a[static FL_DIGEST_HEX], const char b[static FL_DIGEST_HEX]);
