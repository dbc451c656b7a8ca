/* SPDX-License-Identifier: Apache-2.0 */
/* Feature hashing with signs (Weinberger et al. 2009): two unrelated texts then have an expected
 * cosine of zero, however long they are. A feature weighs sqrt(count) times a constant for its
 * kind; words that stand in every log weigh little, identifiers much. A table of inverse document
 * frequencies was left out: it would change with every incident and with it all stored vectors.
 *
 * Everything is summed in integers (the square root is correctly rounded by IEEE 754), so that
 * neither the compiler nor the machine can change a vector. */
#include "rag/embed.h"

#include "service/base/arena.h"

#include <math.h>

enum {
    WORD_MAX = 48,   /* longer words are cut */
    CHUNK_MAX = 512, /* longer runs without a blank are read in pieces */
    SCALE = 64,      /* fixed point of sqrt(count) */
    ARENA_BYTES = 8 << 20,
    WEIGHT_WORD = 8,
    WEIGHT_NAME = 14, /* words with an underscore or a capital inside */
    WEIGHT_COMMON = 2,
    WEIGHT_MASK = 1,
    WEIGHT_PAIR = 2,
    WEIGHT_CODE = 14, /* "xid 79", "signal 9": the number is the message */
    WEIGHT_GRAM = 6,
};

struct feature {
    uint64_t hash;
    uint32_t count;
    uint32_t weight;
};

struct embedder {
    struct feature *table;
    size_t mask;
    size_t used;
    uint64_t previous; /* hash of the word before, 0 at the start of a line */
    int previous_weight;
    bool after_code; /* the word before announces a code */
};

static uint64_t hash_bytes(uint64_t hash, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ (unsigned char)p[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

/* The finishing step of splitmix64: FNV alone leaves its low bits alike. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static const uint64_t seed_word = UINT64_C(14695981039346656037);
static const uint64_t seed_gram = UINT64_C(0x9e3779b97f4a7c15);

static void count(struct embedder *e, uint64_t hash, int weight)
{
    hash = mix(hash);
    hash += hash == 0;
    size_t at = (size_t)hash & e->mask;
    while (e->table[at].hash && e->table[at].hash != hash) {
        at = (at + 1) & e->mask;
    }
    struct feature *f = &e->table[at];
    if (!f->hash) {
        if (e->used > e->mask - e->mask / 8) {
            return; /* cannot happen: the table is sized for the text */
        }
        e->used++;
        f->hash = hash;
        f->weight = (uint32_t)weight;
    }
    f->count++;
}

static bool in_list(struct fl_str word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (word.n && *list[i] == *word.p && fl_str_eq(word, fl_str_of(list[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_common(struct fl_str word)
{
    static const char *const list[] = {
        "a",     "an",     "and",   "are",    "as",     "at",     "be",       "by",    "call",
        "debug", "did",    "error", "failed", "file",   "for",    "from",     "had",   "has",
        "have",  "in",     "info",  "is",     "it",     "its",    "last",     "line",  "local",
        "main",  "module", "most",  "no",     "node",   "not",    "of",       "on",    "one",
        "or",    "py",     "rank",  "recent", "run",    "self",   "step",     "still", "that",
        "the",   "this",   "to",    "torch",  "train",  "warn",   "warning",  "was",   "were",
        "which", "while",  "with",  "args",   "kwargs", "return", "traceback"};
    return in_list(word, list, sizeof list / sizeof *list);
}

static bool announces_code(struct fl_str word)
{
    static const char *const list[] = {"code", "errno", "error",  "exit",   "exitcode",
                                       "http", "sig",   "signal", "status", "xid"};
    return in_list(word, list, sizeof list / sizeof *list);
}

static void add_grams(struct embedder *e, const char *p, size_t n)
{
    char edged[WORD_MAX + 2];
    edged[0] = ' ';
    memcpy(edged + 1, p, n);
    edged[n + 1] = ' ';
    for (size_t length = 3; length <= 5; length++) {
        for (size_t i = 0; i + length <= n + 2; i++) {
            count(e, hash_bytes(seed_gram + length, edged + i, length), WEIGHT_GRAM);
        }
    }
}

/* One normalised word: itself, the pair with the word before it, its character grams. */
static void add_word(struct embedder *e, struct fl_str word, int weight)
{
    uint64_t hash = hash_bytes(seed_word, word.p, word.n);
    count(e, hash, weight);
    if (e->previous && weight > WEIGHT_MASK && e->previous_weight > WEIGHT_MASK) {
        count(e, mix(e->previous) + hash, WEIGHT_PAIR);
    }
    if (weight >= WEIGHT_WORD && word.n > 2) {
        add_grams(e, word.p, word.n);
    }
    e->previous = hash;
    e->previous_weight = weight;
    e->after_code = announces_code(word);
}

static void add_mask(struct embedder *e, const char *name)
{
    add_word(e, fl_str_of(name), WEIGHT_MASK);
}

static bool is_hex(char c)
{
    return fl_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_word_byte(char c)
{
    return fl_is_alpha(c) || fl_is_digit(c) || c == '_' || (unsigned char)c >= 0x80;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void add_number(struct embedder *e, struct fl_str raw)
{
    if (e->after_code && raw.n <= 3) {
        count(e, hash_bytes(mix(e->previous), raw.p, raw.n), WEIGHT_CODE);
    }
    add_mask(e, "<number>");
}

/* A run of word bytes: number, hexadecimal, or a word whose digits become '0'. */
static void add_raw_word(struct embedder *e, struct fl_str raw)
{
    size_t digits = 0;
    size_t hexes = 0;
    bool name = false;
    char text[WORD_MAX];
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        digits += fl_is_digit(c);
        hexes += is_hex(c);
        name = name || c == '_' || (i > 0 && c >= 'A' && c <= 'Z' && raw.p[i - 1] >= 'a');
        bool run = fl_is_digit(c) && n > 0 && text[n - 1] == '0';
        if (n < WORD_MAX && !run) {
            text[n++] = fl_is_digit(c) ? '0' : lower(c);
        }
    }
    struct fl_str word = {text, n};
    bool prefixed = raw.n > 2 && raw.p[0] == '0' && (raw.p[1] | 0x20) == 'x';
    if (digits == raw.n) {
        add_number(e, raw);
    } else if ((prefixed && hexes == raw.n - 1) || (hexes == raw.n && raw.n >= 6 && digits)) {
        add_mask(e, "<hex>");
    } else if (is_common(word) || raw.n == 1) {
        add_word(e, word, WEIGHT_COMMON);
    } else {
        add_word(e, word, name ? WEIGHT_NAME : WEIGHT_WORD);
    }
}

static bool is_source(struct fl_str name)
{
    static const char *const ends[] = {".py", ".c", ".cc", ".cpp", ".cu", ".h", ".cuh", ".hpp"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (fl_str_ends(name, fl_str_of(ends[i]))) {
            return true;
        }
    }
    return false;
}

/* A path counts only by its last name, and only when that is source code. */
static bool add_path(struct embedder *e, struct fl_str chunk)
{
    const char *slash = memrchr(chunk.p, '/', chunk.n);
    size_t slashes = 0;
    for (size_t i = 0; i < chunk.n; i++) {
        slashes += chunk.p[i] == '/';
    }
    if (!slash || (slashes < 2 && slash != chunk.p)) {
        return false;
    }
    struct fl_str name = fl_str_skip(chunk, (size_t)(slash + 1 - chunk.p));
    while (name.n && !is_word_byte(name.p[name.n - 1])) {
        name.n--;
    }
    const char *colon = memchr(name.p, ':', name.n);
    name.n = colon ? (size_t)(colon - name.p) : name.n;
    if (is_source(name)) {
        add_raw_word(e, name);
    } else {
        add_mask(e, fl_str_find(chunk, FL_LIT("://")) ? "<address>" : "<path>");
    }
    return true;
}

static bool add_address(struct embedder *e, struct fl_str chunk)
{
    size_t digits = 0;
    size_t dots = 0;
    for (size_t i = 0; i < chunk.n; i++) {
        digits += fl_is_digit(chunk.p[i]);
        dots += chunk.p[i] == '.' || chunk.p[i] == ':' || chunk.p[i] == '-';
    }
    if (digits < 2 || dots < 1 || digits + dots != chunk.n) {
        return false;
    }
    add_mask(e, dots >= 3 ? "<address>" : "<number>");
    return true;
}

/* A run of bytes without blanks, quotes or brackets. */
static void add_chunk(struct embedder *e, struct fl_str chunk)
{
    if (add_path(e, chunk) || add_address(e, chunk)) {
        return;
    }
    size_t i = 0;
    while (i < chunk.n) {
        size_t start = i;
        while (i < chunk.n && is_word_byte(chunk.p[i])) {
            i++;
        }
        if (i > start) {
            add_raw_word(e, (struct fl_str){chunk.p + start, i - start});
        } else {
            i++;
        }
    }
}

static void add_text(struct embedder *e, struct fl_str text)
{
    size_t i = 0;
    while (i < text.n) {
        if (text.p[i] == '\n') {
            e->previous = 0;
            e->after_code = false;
        }
        size_t start = i;
        while (i < text.n && i - start < CHUNK_MAX && (unsigned char)text.p[i] > ' ' &&
               !strchr("\"'`()[]{}<>,;=|", text.p[i])) {
            i++;
        }
        if (i > start) {
            add_chunk(e, (struct fl_str){text.p + start, i - start});
        } else {
            i++;
        }
    }
}

/* Sums the features and scales the sum to length one. */
static bool finish(const struct embedder *e, float *out)
{
    int64_t sums[FL_EMBED_DIM] = {0};
    for (size_t i = 0; i <= e->mask; i++) {
        const struct feature *f = &e->table[i];
        if (f->hash) {
            int64_t value = (int64_t)(sqrt((double)f->count) * SCALE) * f->weight;
            sums[(f->hash >> 32) % FL_EMBED_DIM] += f->hash >> 63 ? -value : value;
        }
    }
    uint64_t squares = 0;
    for (size_t i = 0; i < FL_EMBED_DIM; i++) {
        squares += (uint64_t)(sums[i] * sums[i]);
    }
    double length = sqrt((double)squares);
    for (size_t i = 0; i < FL_EMBED_DIM; i++) {
        out[i] = squares ? (float)((double)sums[i] / length) : 0.0f;
    }
    return squares != 0;
}

enum fl_status fl_embed(struct fl_str text, float out[static FL_EMBED_DIM], bool *empty_r,
                        struct fl_err *err)
{
    text.n = text.n < FL_EMBED_BYTES ? text.n : FL_EMBED_BYTES;
    /* A word of n bytes gives at most 3n + 5 features. */
    size_t size = 256;
    while (size < text.n * 5) {
        size *= 2;
    }
    struct fl_arena arena;
    fl_arena_init(&arena, ARENA_BYTES);
    struct embedder e = {.mask = size - 1};
    e.table = fl_arena_alloc(&arena, size * sizeof *e.table);
    if (!e.table) {
        fl_arena_free(&arena);
        return fl_fail(err, FL_NOMEM, "no memory to compare incidents");
    }
    add_text(&e, text);
    *empty_r = !finish(&e, out);
    fl_arena_free(&arena);
    return FL_OK;
}
