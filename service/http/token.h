/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what: tokens of the file tokens.json in the state folder (owner only). Of a token only its
 * SHA-256 is kept; 192 random bits need no salt. */
#pragma once
#include "service/base/arena.h"
#include "service/base/status.h"

#include <stdint.h>

enum { FL_SCOPE_INGEST = 1, FL_SCOPE_READ = 2, FL_SCOPE_ADMIN = 4 /* means the others, too */ };
enum { FL_TOKEN_TEXT = 64, FL_TOKENS_MAX = 1000 };

struct fl_token {
    const char *name;
    const char *hash;
    const char *created;
    unsigned scopes;
};

struct fl_tokens {
    struct fl_arena arena;
    struct fl_token *list;
    size_t n;
};

/* No file: no tokens. */
enum fl_status fl_tokens_load(const char *state_dir, struct fl_tokens *out,
                              struct fl_err *err) FL_MUST_USE;
void fl_tokens_free(struct fl_tokens *tokens);

/* Makes one; its text goes to `text` and is kept nowhere. FL_CONFLICT: there is one of that name. */
enum fl_status fl_tokens_add(const char *state_dir, const char *name, unsigned scopes,
                             char text[static FL_TOKEN_TEXT], struct fl_err *err) FL_MUST_USE;
enum fl_status fl_tokens_revoke(const char *state_dir, const char *name, struct fl_err *err) FL_MUST_USE;

/* "ingest,read"; 0: not understood. */
unsigned fl_scopes_of(struct fl_str text);
const char *fl_scopes_name(unsigned scopes, char out[static 24]);

/* The token, or NULL. Takes the same time for any that is none. */
const struct fl_token *fl_tokens_find(const struct fl_tokens *tokens, struct fl_str text);
