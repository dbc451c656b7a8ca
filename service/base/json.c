/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

static bool is_hex(char c)
{
    return fl_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* What is wrong with the escape that begins at s, or NULL. */
static const char *check_escape(struct fl_str s)
{
    if (s.n < 2 || s.p[1] != 'u') {
        return NULL; /* cJSON checks these itself */
    }
    bool zero = true;
    for (size_t i = 2; i < 6; i++) {
        if (i >= s.n || !is_hex(s.p[i])) {
            return "\\u wants four hexadecimal digits";
        }
        zero &= s.p[i] == '0';
    }
    return zero ? "a string holds \\u0000" : NULL;
}

/* cJSON cuts a string at \u0000, takes \uZZZZ and accepts deep nesting up to its own limit; all are
 * found by one walk over the text before it sees it. */
static const char *scan_text(struct fl_str text)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\0') {
            return "a NUL byte";
        }
        if (quoted) {
            if (c == '\\') {
                const char *fault = check_escape(fl_str_skip(text, i));
                if (fault) {
                    return fault;
                }
                i++;
            } else if (c == '"') {
                quoted = false;
            }
        } else if (c == '"') {
            quoted = true;
        } else if ((c == '{' || c == '[') && ++depth > FL_JSON_DEPTH) {
            return "nested too deeply";
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return NULL;
}

static enum fl_status syntax(struct fl_str text, const char *at, const char *name, const char *what,
                             struct fl_err *err)
{
    size_t line = 1;
    size_t column = 1;
    for (const char *p = text.p; p < at; p++) {
        column++;
        if (*p == '\n') {
            line++;
            column = 1;
        }
    }
    return fl_fail(err, FL_SYNTAX, "%s:%zu:%zu: not valid JSON: %s", name, line, column, what);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *key_of(const cJSON *e)
{
    return e->string ? e->string : "";
}

static const char *duplicate_of_few(const cJSON *object)
{
    for (const cJSON *e = object->child; e; e = e->next) {
        for (const cJSON *other = e->next; other; other = other->next) {
            if (strcmp(key_of(e), key_of(other)) == 0) {
                return key_of(e);
            }
        }
    }
    return NULL;
}

/* The key that stands twice in an object, or NULL. */
static const char *duplicate_key(const cJSON *object)
{
    enum { FEW = 16 };
    size_t n = 0;
    for (const cJSON *e = object->child; e; e = e->next) {
        n++;
    }
    if (n <= FEW) {
        return duplicate_of_few(object);
    }
    const char **keys = malloc(n * sizeof *keys);
    if (!keys) {
        return NULL;
    }
    n = 0;
    for (const cJSON *e = object->child; e; e = e->next) {
        keys[n++] = key_of(e);
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    const char *twice = NULL;
    for (size_t i = 1; i < n && !twice; i++) {
        twice = strcmp(keys[i - 1], keys[i]) == 0 ? keys[i] : NULL;
    }
    free(keys);
    return twice;
}

/* Walks the tree without recursion: cJSON's nodes have no parent, so the path is kept. */
static const char *find_duplicate(const cJSON *root)
{
    const cJSON *path[FL_JSON_DEPTH + 2];
    int top = 0;
    path[0] = root;
    while (top >= 0) {
        const cJSON *node = path[top];
        if (!node) {
            top--;
            continue;
        }
        path[top] = top > 0 ? node->next : NULL;
        if (cJSON_IsObject(node)) {
            const char *key = duplicate_key(node);
            if (key) {
                return key;
            }
        }
        if (node->child) {
            path[++top] = node->child;
        }
    }
    return NULL;
}

enum fl_status fl_json_parse(struct fl_str text, const char *name, fl_json **root_r,
                             struct fl_err *err)
{
    *root_r = NULL;
    if (text.n > FL_JSON_BYTES) {
        return fl_fail(err, FL_LIMIT, "%s: JSON text over %d bytes", name, FL_JSON_BYTES);
    }
    const char *fault = scan_text(text);
    if (fault) {
        return fl_fail(err, FL_SYNTAX, "%s: not valid JSON: %s", name, fault);
    }
    const char *end = text.p;
    cJSON *root = cJSON_ParseWithLengthOpts(text.p, text.n, &end, false);
    if (!root) {
        return syntax(text, end ? end : text.p, name, "unexpected text here", err);
    }
    size_t used = (size_t)(end - text.p);
    struct fl_str rest = fl_str_trim(fl_str_skip(text, used < text.n ? used : text.n));
    if (rest.n) {
        cJSON_Delete(root);
        return syntax(text, rest.p, name, "text after the value", err);
    }
    const char *twice = find_duplicate(root);
    if (twice) {
        fl_fail(err, FL_SYNTAX, "%s: the key \"%.80s\" stands twice in one object", name, twice);
        cJSON_Delete(root);
        return FL_SYNTAX;
    }
    *root_r = root;
    return FL_OK;
}

void fl_json_free(fl_json *root)
{
    cJSON_Delete(root);
}

const fl_json *fl_json_get(const fl_json *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const char *fl_json_key(const fl_json *node)
{
    return node ? node->string : NULL;
}

struct fl_str fl_json_str(const fl_json *node)
{
    return cJSON_IsString(node) ? fl_str_of(node->valuestring) : (struct fl_str){NULL, 0};
}

struct fl_str fl_json_get_str(const fl_json *object, const char *key)
{
    return fl_json_str(fl_json_get(object, key));
}

double fl_json_num(const fl_json *node, double missing)
{
    return cJSON_IsNumber(node) ? node->valuedouble : missing;
}

double fl_json_get_num(const fl_json *object, const char *key, double missing)
{
    return fl_json_num(fl_json_get(object, key), missing);
}

bool fl_json_bool(const fl_json *node, bool missing)
{
    return cJSON_IsBool(node) ? cJSON_IsTrue(node) : missing;
}

bool fl_json_is_object(const fl_json *node)
{
    return cJSON_IsObject(node);
}

bool fl_json_is_array(const fl_json *node)
{
    return cJSON_IsArray(node);
}

bool fl_json_is_string(const fl_json *node)
{
    return cJSON_IsString(node);
}

bool fl_json_is_number(const fl_json *node)
{
    return cJSON_IsNumber(node);
}

bool fl_json_is_bool(const fl_json *node)
{
    return cJSON_IsBool(node);
}

bool fl_json_is_null(const fl_json *node)
{
    return cJSON_IsNull(node);
}

size_t fl_json_count(const fl_json *node)
{
    return node ? (size_t)cJSON_GetArraySize(node) : 0;
}

const fl_json *fl_json_first(const fl_json *node)
{
    return node ? node->child : NULL;
}

const fl_json *fl_json_next(const fl_json *node)
{
    return node ? node->next : NULL;
}

void fl_jw_init(struct fl_jw *w, struct fl_buf *out, bool pretty)
{
    *w = (struct fl_jw){.out = out, .pretty = pretty};
}

static void newline(struct fl_jw *w)
{
    if (w->pretty && w->depth > 0) {
        fl_buf_addf(w->out, "\n%*s", w->depth * 2, "");
    }
}

static void before_value(struct fl_jw *w)
{
    if (w->need_comma) {
        fl_buf_add_text(w->out, ",");
        newline(w);
    }
    w->need_comma = true;
}

static void quoted(struct fl_buf *out, struct fl_str s)
{
    fl_buf_add_text(out, "\"");
    while (s.n) {
        uint32_t point = 0;
        size_t n = fl_utf8_take(s, &point);
        if (n == 0) {
            n = 1;
            fl_buf_add_text(out, "\\ufffd");
        } else if (point == '"' || point == '\\') {
            fl_buf_addf(out, "\\%c", (char)point);
        } else if (point == '\n' || point == '\t') {
            fl_buf_add_text(out, point == '\n' ? "\\n" : "\\t");
        } else if (point < 0x20 || point == '<' || point == 0x7f) {
            fl_buf_addf(out, "\\u%04x", (unsigned)point);
        } else {
            fl_buf_add(out, s.p, n);
        }
        s = fl_str_skip(s, n);
    }
    fl_buf_add_text(out, "\"");
}

void fl_jw_key(struct fl_jw *w, const char *key)
{
    before_value(w);
    quoted(w->out, fl_str_of(key));
    fl_buf_add_text(w->out, w->pretty ? ": " : ":");
    w->need_comma = false;
}

void fl_jw_begin(struct fl_jw *w, char bracket)
{
    before_value(w);
    fl_buf_add(w->out, &bracket, 1);
    w->depth++;
    w->need_comma = false;
    newline(w);
}

void fl_jw_end(struct fl_jw *w, char bracket)
{
    w->depth--;
    if (w->pretty && w->need_comma) {
        fl_buf_addf(w->out, "\n%*s", w->depth * 2, "");
    } else if (w->pretty) {
        while (w->out->n && fl_is_space(w->out->p[w->out->n - 1])) {
            w->out->p[--w->out->n] = '\0';
        }
    }
    fl_buf_add(w->out, &bracket, 1);
    w->need_comma = true;
}

void fl_jw_str(struct fl_jw *w, struct fl_str s)
{
    before_value(w);
    quoted(w->out, s);
}

void fl_jw_text(struct fl_jw *w, const char *text)
{
    if (text) {
        fl_jw_str(w, fl_str_of(text));
    } else {
        fl_jw_null(w);
    }
}

void fl_jw_int(struct fl_jw *w, int64_t value)
{
    before_value(w);
    fl_buf_addf(w->out, "%lld", (long long)value);
}

void fl_jw_num(struct fl_jw *w, double value)
{
    before_value(w);
    if (!isfinite(value)) {
        fl_buf_add_text(w->out, "null");
    } else if (value == floor(value) && fabs(value) < 1e15) {
        fl_buf_addf(w->out, "%.0f", value);
    } else {
        fl_buf_addf(w->out, "%.6g", value);
    }
}

void fl_jw_bool(struct fl_jw *w, bool value)
{
    before_value(w);
    fl_buf_add_text(w->out, value ? "true" : "false");
}

void fl_jw_null(struct fl_jw *w)
{
    before_value(w);
    fl_buf_add_text(w->out, "null");
}

void fl_jw_key_str(struct fl_jw *w, const char *key, struct fl_str s)
{
    fl_jw_key(w, key);
    fl_jw_str(w, s);
}

void fl_jw_key_text(struct fl_jw *w, const char *key, const char *text)
{
    fl_jw_key(w, key);
    fl_jw_text(w, text);
}

void fl_jw_key_int(struct fl_jw *w, const char *key, int64_t value)
{
    fl_jw_key(w, key);
    fl_jw_int(w, value);
}

void fl_jw_json(struct fl_jw *w, const fl_json *node)
{
    if (cJSON_IsObject(node) || cJSON_IsArray(node)) {
        bool object = cJSON_IsObject(node);
        fl_jw_begin(w, object ? '{' : '[');
        for (const fl_json *e = fl_json_first(node); e; e = fl_json_next(e)) {
            if (object) {
                fl_jw_key(w, e->string);
            }
            fl_jw_json(w, e);
        }
        fl_jw_end(w, object ? '}' : ']');
    } else if (cJSON_IsString(node)) {
        fl_jw_text(w, node->valuestring);
    } else if (cJSON_IsNumber(node)) {
        fl_jw_num(w, node->valuedouble);
    } else if (cJSON_IsBool(node)) {
        fl_jw_bool(w, cJSON_IsTrue(node));
    } else {
        fl_jw_null(w);
    }
}
