/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets and personal data out of a text before it leaves the machine. What is taken out is
 * replaced by a numbered placeholder, <secret:1>, <user:1>, <ip:2>, <email:1>: the same value has
 * the same number as long as the same struct fl_redact is used (one a job).
 *
 * Taken out: provider keys by their prefix, JWTs, Authorization, Cookie, Bearer and Basic values,
 * values of password-, token- and key-like names, signatures in URLs, user info in URLs, private
 * key blocks (also when fed line by line, with lines of others between them), e-mail addresses, IPv4 and IPv6 addresses, user names in
 * home folders. Also as a URL, JSON or HTML spells them. Terminal escape sequences are dropped, for
 * a secret may stand between two. Kept: loopback addresses, version numbers, hashes and checksums,
 * source code that names a secret (evidence).
 *
 * Owns nothing: values are remembered by hash only, so there is nothing to free.
 * Limits: FL_REDACT_VALUES different values are numbered, later ones read <secret>; the output is
 * at most twice the input plus 64 bytes. Redacting twice changes nothing. One thread at a time. */
#pragma once
#include "service/base/buf.h"

#include <stdint.h>

enum fl_redact_kind { FL_REDACT_SECRET, FL_REDACT_USER, FL_REDACT_IP, FL_REDACT_EMAIL };
enum { FL_REDACT_VALUES = 1024, FL_REDACT_KINDS = 4 };

struct fl_redact {
    struct {
        uint64_t hash;
        uint32_t number;
        uint32_t kind;
    } values[FL_REDACT_VALUES];
    size_t values_n;
    uint32_t last[FL_REDACT_KINDS];  /* the last number given out, by kind */
    uint64_t count[FL_REDACT_KINDS]; /* how many places were replaced */
    bool in_key_block;               /* a private key block was begun and not ended */
    uint64_t key_prefix;             /* tells what stood before its last line: a time, a rank */
    unsigned foreign_lines;          /* lines since its last one */
};

/* "secret", "user", "ip", "email". */
const char *fl_redact_kind_name(enum fl_redact_kind kind);

void fl_redact_init(struct fl_redact *redact);

/* Appends text, redacted, to out. FL_OK, FL_LIMIT (cap of out) or FL_NOMEM; after a failure out may
 * hold nothing of the text, never an unredacted part of it. */
enum fl_status fl_redact_add(struct fl_redact *redact, struct fl_str text,
                             struct fl_buf *out) FL_MUST_USE;

/* The same for a text by itself, line by line. *secrets_r (NULL allowed): how many were in it. */
enum fl_status fl_redact_text(struct fl_str text, struct fl_buf *out, uint64_t *secrets_r) FL_MUST_USE;
