/* SPDX-License-Identifier: Apache-2.0 */
/* What questions to a model have in common: a template in a file, log text made safe to show, marks
 * around it that it cannot forge, and the one JSON object of an answer. */
#pragma once
#include "service/base/arena.h"
#include "service/base/buf.h"
#include "service/base/json.h"
#include "service/llm/redact.h"

/* NAME.md (a line `version: N`, then `## system` and `## user`) and NAME.schema.json. */
struct fl_talk {
    struct fl_buf template;
    struct fl_buf schema;
    struct fl_buf raw; /* scratch: redacted, not yet safe */
    struct fl_redact redact;
};

struct fl_talk_slot {
    const char *name; /* stands for {{name}} */
    struct fl_str value;
};

/* FL_NOTFOUND or FL_SYNTAX when the files are not as they should be. */
enum fl_status fl_talk_open(struct fl_talk *talk, const char *prompts_dir, const char *name,
                            struct fl_err *err) FL_MUST_USE;
void fl_talk_close(struct fl_talk *talk);

/* "NAME/VERSION-HASH of template and schema", in the arena. */
enum fl_status fl_talk_id(const struct fl_talk *talk, const char *name, struct fl_arena *arena,
                          struct fl_str *out) FL_MUST_USE;

/* Redacts text and writes it out safe for one line, at most head + tail bytes and a mark between. */
enum fl_status fl_talk_line(struct fl_talk *talk, struct fl_str text, size_t head, size_t tail,
                            struct fl_buf *out) FL_MUST_USE;

/* About how many tokens a model makes of the text, rather too many than too few: a token for each six
 * letters of a word, each three digits, each other byte but blanks. */
size_t fl_talk_tokens(struct fl_str text);

/* A mark that occurs in none of the parts. It comes from them, not from chance: the same log gives the
 * same prompt. */
void fl_talk_fence(const struct fl_str *parts, size_t n, char fence[static 32]);

/* A part of the template ("\n## user\n"), or the schema (NULL), with its placeholders filled; what
 * is filled in is not looked at again. A placeholder that nobody fills is FL_SYNTAX. */
enum fl_status fl_talk_fill(const struct fl_talk *talk, const char *part,
                            const struct fl_talk_slot *slots, size_t n, struct fl_arena *arena,
                            struct fl_str *out, struct fl_err *err) FL_MUST_USE;

/* The first JSON object of an answer that has the key; free it with fl_json_free. FL_SYNTAX says in
 * words that may be sent back why there is none. */
enum fl_status fl_talk_object(struct fl_str answer, const char *key, fl_json **out,
                              struct fl_err *err) FL_MUST_USE;
