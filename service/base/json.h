/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in and out. The only file that knows cJSON, whose traps it closes: trailing bytes after
 * the value, duplicate keys, case-blind lookup, NUL in strings and invalid UTF-8 are all refused
 * or repaired here. Limits: FL_JSON_DEPTH levels, FL_JSON_BYTES of text. */
#pragma once
#include "service/base/buf.h"
#include "service/base/status.h"
#include "service/base/str.h"

#include <stdint.h>

enum { FL_JSON_DEPTH = 64, FL_JSON_BYTES = 64 << 20 };

typedef struct cJSON fl_json;

/* Parses exactly one value (blanks around it allowed). `name` is what error messages call the
 * text; they give line and column. The caller frees *root_r with fl_json_free. */
enum fl_status fl_json_parse(struct fl_str text, const char *name, fl_json **root_r,
                             struct fl_err *err) FL_MUST_USE;
void fl_json_free(fl_json *root);

/* Lookups never fail: a missing or ill-typed thing is NULL, {NULL,0}, or the given default.
 * Returned slices live as long as the root. */
const fl_json *fl_json_get(const fl_json *object, const char *key);
const char *fl_json_key(const fl_json *node);
struct fl_str fl_json_str(const fl_json *node);
struct fl_str fl_json_get_str(const fl_json *object, const char *key);
double fl_json_num(const fl_json *node, double missing);
double fl_json_get_num(const fl_json *object, const char *key, double missing);
bool fl_json_bool(const fl_json *node, bool missing);
bool fl_json_is_object(const fl_json *node);
bool fl_json_is_array(const fl_json *node);
bool fl_json_is_string(const fl_json *node);
bool fl_json_is_number(const fl_json *node);
bool fl_json_is_bool(const fl_json *node);
bool fl_json_is_null(const fl_json *node);
size_t fl_json_count(const fl_json *node);
/* for (const fl_json *e = fl_json_first(array); e; e = fl_json_next(e)) */
const fl_json *fl_json_first(const fl_json *node);
const fl_json *fl_json_next(const fl_json *node);

/* A streaming writer into a buffer. Commas, indentation and escaping are its work; `<` and broken
 * UTF-8 are escaped (\ufffd for the latter). Failures collect in out->failed. */
struct fl_jw {
    struct fl_buf *out;
    int depth;
    bool pretty;
    bool need_comma;
};

void fl_jw_init(struct fl_jw *w, struct fl_buf *out, bool pretty);
void fl_jw_key(struct fl_jw *w, const char *key);
void fl_jw_begin(struct fl_jw *w, char bracket); /* '{' or '[' */
void fl_jw_end(struct fl_jw *w, char bracket);   /* '}' or ']' */
void fl_jw_str(struct fl_jw *w, struct fl_str s);
void fl_jw_text(struct fl_jw *w, const char *text); /* NULL writes null */
void fl_jw_int(struct fl_jw *w, int64_t value);
void fl_jw_num(struct fl_jw *w, double value); /* up to 6 significant digits; not finite: null */
void fl_jw_bool(struct fl_jw *w, bool value);
void fl_jw_null(struct fl_jw *w);
/* A key with its value. */
void fl_jw_key_str(struct fl_jw *w, const char *key, struct fl_str s);
void fl_jw_key_text(struct fl_jw *w, const char *key, const char *text);
void fl_jw_key_int(struct fl_jw *w, const char *key, int64_t value);
/* Writes a parsed value as it is. */
void fl_jw_json(struct fl_jw *w, const fl_json *node);
