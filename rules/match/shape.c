/* SPDX-License-Identifier: Apache-2.0 */
/* The hash walks the line once, 32 bytes at a time where the CPU can, with every digit taken for a
 * '0'. Mixing is that of XXH3's accumulator (multiply the halves of data and key, add the data
 * crosswise), in four lanes that are multiplied in pairs at the end. */
#include "rules/match/shape.h"

#include "rules/match/quantifier.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    HUGE = 2 << 20, /* bytes of a huge page: lookups are scattered */
    WAYS = 4,
    SETS = FL_SHAPES / WAYS,
    USED = 16, /* looked up since its way was last passed over */
    WINDOW = 4096,     /* lines after which it is asked whether looking up pays */
    REST = 16 * WINDOW /* lines to go without, where it does not */
};

typedef void (*hasher)(const uint64_t *key, const struct fl_str *lines, size_t n, uint64_t *out);

struct fl_shapes {
    void *block; /* holds the table, at the start of a huge page */
    struct fl_shape *table;
    uint8_t *clock; /* per set: which way is next to make room, and USED << way */
    uint64_t key[8];
    hasher hash;
    size_t asked;
    size_t found;
    size_t resting; /* lines that are still to go without */
};

/* The word with each digit made a '0'. */
static uint64_t masked(uint64_t word)
{
    const uint64_t zeros = UINT64_C(0x3030303030303030);
    uint64_t t = word ^ zeros;
    uint64_t high = t & UINT64_C(0xf0f0f0f0f0f0f0f0);
    uint64_t low = ((t & UINT64_C(0x0f0f0f0f0f0f0f0f)) + UINT64_C(0x0606060606060606)) &
                   UINT64_C(0xf0f0f0f0f0f0f0f0);
    uint64_t other = high | low; /* a byte is zero where there is a digit */
    uint64_t flags =
        (((other & UINT64_C(0x7f7f7f7f7f7f7f7f)) + UINT64_C(0x7f7f7f7f7f7f7f7f)) | other) &
        UINT64_C(0x8080808080808080);
    uint64_t digits = ((flags >> 7) ^ UINT64_C(0x0101010101010101)) * 0xff;
    return (word & ~digits) | (zeros & digits);
}

static uint64_t mix(uint64_t acc, uint64_t data, uint64_t key)
{
    uint64_t keyed = data ^ key;
    return acc + (data << 32 | data >> 32) + (keyed & UINT32_MAX) * (keyed >> 32);
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t finish(const uint64_t *key, const uint64_t lane[4], size_t n)
{
    uint64_t h = n * UINT64_C(0x9e3779b185ebca87);
    h += fold(lane[0] ^ key[6], lane[1] ^ key[7]) + fold(lane[2] ^ key[4], lane[3] ^ key[5]);
    h = (h ^ h >> 37) * UINT64_C(0x165667919e3779f9);
    h ^= h >> 32;
    return h ? h : 1;
}

static void hash_words(const uint64_t *key, const struct fl_str *lines, size_t n, uint64_t *out)
{
    for (size_t k = 0; k < n; k++) {
        struct fl_str line = lines[k];
        uint64_t acc[4] = {key[4], key[5], key[6], key[7]};
        uint64_t turn = 0;
        for (size_t i = 0; i < line.n; i += 8) {
            uint64_t word = 0;
            size_t left = line.n - i < 8 ? line.n - i : 8;
            memcpy(&word, line.p + i, left);
            size_t lane = i / 8 % 4;
            acc[lane] = mix(acc[lane], masked(word), key[lane] + turn);
            turn += lane == 3 ? UINT64_C(0x9e3779b97f4a7c15) : 0;
        }
        out[k] = finish(key, acc, line.n);
    }
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i masked_avx2(__m256i v)
{
    __m256i t = _mm256_sub_epi8(v, _mm256_set1_epi8('0'));
    __m256i digit = _mm256_cmpeq_epi8(_mm256_min_epu8(t, _mm256_set1_epi8(9)), t);
    return _mm256_blendv_epi8(v, _mm256_set1_epi8('0'), digit);
}

AVX2 static inline __m256i mix_avx2(__m256i acc, __m256i data, __m256i key)
{
    __m256i keyed = _mm256_xor_si256(data, key);
    __m256i product = _mm256_mul_epu32(keyed, _mm256_srli_epi64(keyed, 32));
    __m256i crossed = _mm256_shuffle_epi32(data, _MM_SHUFFLE(2, 3, 0, 1));
    return _mm256_add_epi64(acc, _mm256_add_epi64(crossed, product));
}

/* All bytes of a line of at most 32: its head and its tail, which overlap. */
AVX2 static inline __m256i load_short(struct fl_str s)
{
    uint64_t head = 0;
    uint64_t tail = 0;
    if (s.n >= 16) {
        __m128i low = _mm_loadu_si128((const __m128i *)(const void *)s.p);
        __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(s.p + s.n - 16));
        return _mm256_set_m128i(high, low);
    }
    if (s.n >= 8) {
        memcpy(&head, s.p, 8);
        memcpy(&tail, s.p + s.n - 8, 8);
    } else if (s.n >= 4) {
        memcpy(&head, s.p, 4);
        memcpy(&tail, s.p + s.n - 4, 4);
    } else if (s.n) {
        head = (uint64_t)(unsigned char)s.p[0] << 16 | (uint64_t)(unsigned char)s.p[s.n / 2] << 8 |
               (unsigned char)s.p[s.n - 1];
    }
    return _mm256_set_epi64x(0, 0, (long long)tail, (long long)head);
}

/* The last block of a long line ends where the line does. */
AVX2 static void hash_avx2(const uint64_t *key, const struct fl_str *lines, size_t n, uint64_t *out)
{
    const __m256i turn = _mm256_set1_epi64x((long long)UINT64_C(0x9e3779b97f4a7c15));
    const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)key);
    for (size_t k = 0; k < n; k++) {
        struct fl_str line = lines[k];
        __m256i acc = _mm256_loadu_si256((const __m256i *)(const void *)(key + 4));
        __m256i secret = first;
        __m256i last;
        uint64_t lane[4];
        if (line.n > 32) {
            for (size_t at = 0; at < line.n - 32; at += 32) {
                __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(line.p + at));
                acc = mix_avx2(acc, masked_avx2(v), secret);
                secret = _mm256_add_epi64(secret, turn);
            }
            last = _mm256_loadu_si256((const __m256i *)(const void *)(line.p + line.n - 32));
        } else {
            last = load_short(line);
        }
        acc = mix_avx2(acc, masked_avx2(last), secret);
        _mm256_storeu_si256((__m256i *)(void *)lane, acc);
        out[k] = finish(key, lane, line.n);
    }
}
#endif

enum fl_status fl_shapes_new(struct fl_shapes **out, struct fl_err *err)
{
    const size_t bytes = (FL_SHAPES * sizeof(struct fl_shape) + HUGE - 1) / HUGE * HUGE;
    struct fl_shapes *s = calloc(1, sizeof *s);
    *out = s;
    if (s) {
        s->block = calloc(1, bytes + HUGE); /* fresh from the system it need not be cleared */
        if (s->block) {
            char *begin = s->block;
            s->table = (void *)(begin + (HUGE - (uintptr_t)begin % HUGE) % HUGE);
            (void)madvise(s->table, bytes, MADV_HUGEPAGE);
        }
        s->clock = calloc(SETS, sizeof *s->clock);
    }
    if (!s || !s->block || !s->clock) {
        fl_shapes_free(s);
        *out = NULL;
        return fl_fail(err, FL_NOMEM, "no memory for the shapes of lines");
    }
    s->hash = hash_words;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && !getenv("FAULTLINE_NO_AVX2")) {
        s->hash = hash_avx2;
    }
#endif
    if (getrandom(s->key, sizeof s->key, 0) != (ssize_t)sizeof s->key) {
        fl_shapes_free(s);
        *out = NULL;
        return fl_fail_errno(err, "getrandom");
    }
    return FL_OK;
}

void fl_shapes_free(struct fl_shapes *shapes)
{
    if (shapes) {
        free(shapes->block);
        free(shapes->clock);
        free(shapes);
    }
}

void fl_shapes_of(const struct fl_shapes *shapes, const struct fl_str *lines, size_t n,
                  uint64_t *out)
{
    shapes->hash(shapes->key, lines, n, out);
}

void fl_shapes_fetch(const struct fl_shapes *shapes, uint64_t hash)
{
    const char *set = (const char *)&shapes->table[(hash % SETS) * WAYS];
    __builtin_prefetch(set);
    __builtin_prefetch(set + 64);
    __builtin_prefetch(set + 128);
}

const struct fl_shape *fl_shapes_find(struct fl_shapes *shapes, uint64_t hash)
{
    size_t set = hash % SETS;
    for (size_t i = 0; i < WAYS; i++) {
        const struct fl_shape *one = &shapes->table[set * WAYS + i];
        if (one->hash == hash) {
            shapes->clock[set] |= (uint8_t)(USED << i);
            return one;
        }
    }
    return NULL;
}

/* The entry of the shape, or of one that was not looked up for long. */
static size_t room(struct fl_shapes *shapes, size_t set, uint64_t hash)
{
    uint8_t *clock = &shapes->clock[set];
    for (size_t i = 0; i < WAYS; i++) {
        if (shapes->table[set * WAYS + i].hash == hash) {
            return i;
        }
    }
    size_t way = *clock % WAYS;
    for (; *clock & USED << way; way = (way + 1) % WAYS) {
        *clock &= (uint8_t)~(USED << way);
    }
    *clock = (uint8_t)(*clock / USED * USED + (way + 1) % WAYS);
    return way;
}

void fl_shapes_put(struct fl_shapes *shapes, const struct fl_shape *shape)
{
    size_t set = shape->hash % SETS;
    shapes->table[set * WAYS + room(shapes, set, shape->hash)] = *shape;
}

bool fl_shapes_pay(struct fl_shapes *shapes, size_t n)
{
    if (shapes->resting) {
        shapes->resting -= n < shapes->resting ? n : shapes->resting;
        return false;
    }
    if (shapes->asked >= WINDOW) {
        shapes->resting = shapes->found * 2 < shapes->asked ? REST : 0;
        shapes->asked = shapes->found = 0;
    }
    return shapes->resting == 0;
}

void fl_shapes_asked(struct fl_shapes *shapes, size_t n, size_t found)
{
    shapes->asked += n;
    shapes->found += found;
}

void fl_shape_mask(char *out, struct fl_str line)
{
    for (size_t i = 0; i < line.n; i++) {
        out[i] = fl_is_digit(line.p[i]) ? '0' : line.p[i];
    }
}

/* Behind a backslash: "x" and two hexadecimal digits. */
static bool hex_byte(const char *p, const char *end, unsigned char *out)
{
    unsigned value = 0;
    if (end - p < 3 || *p != 'x') {
        return false;
    }
    for (size_t i = 1; i < 3; i++) {
        char low = (char)(p[i] | 32);
        bool letter = low >= 'a' && low <= 'f';
        if (!letter && !fl_is_digit(p[i])) {
            return false;
        }
        value = value * 16 + (unsigned)(letter ? low - 'a' + 10 : p[i] - '0');
    }
    *out = (unsigned char)value;
    return true;
}

/* Which digits a class holds: all, none, or some (then it tells them apart). p is behind the
 * opening bracket; returns a pointer behind the closing one, NULL when some or in doubt. */
static const char *blind_class(const char *p, const char *end)
{
    static const char every[] = "dwSHV";
    static const char none[] = "DWsbtnrfeahv";
    unsigned digits = 0;
    const unsigned all = 0x3ff;
    p += p < end && *p == '^';
    for (bool first = true; p < end && (first || *p != ']'); first = false) {
        if (*p == '[' && p + 1 < end && p[1] == ':') {
            const char *close = memmem(p, (size_t)(end - p), ":]", 2);
            struct fl_str name = {p + 2, close ? (size_t)(close - p - 2) : 0};
            bool letters = fl_str_eq(name, FL_LIT("alpha")) || fl_str_eq(name, FL_LIT("space")) ||
                           fl_str_eq(name, FL_LIT("upper")) || fl_str_eq(name, FL_LIT("lower")) ||
                           fl_str_eq(name, FL_LIT("blank")) || fl_str_eq(name, FL_LIT("punct"));
            bool numbers = fl_str_eq(name, FL_LIT("digit")) || fl_str_eq(name, FL_LIT("alnum")) ||
                           fl_str_eq(name, FL_LIT("xdigit")) || fl_str_eq(name, FL_LIT("word"));
            if (!letters && !numbers) {
                return NULL;
            }
            digits |= numbers ? all : 0;
            p = close + 2;
            continue;
        }
        unsigned char from = (unsigned char)*p++;
        if (from == '\\' && hex_byte(p, end, &from)) {
            p += 3;
        } else if (from == '\\') {
            from = p < end ? (unsigned char)*p++ : 0;
            if (fl_is_alpha((char)from)) {
                if (!strchr(every, from) && !strchr(none, from)) {
                    return NULL;
                }
                digits |= strchr(every, from) ? all : 0;
                continue;
            }
            if (fl_is_digit((char)from) || from == 0) {
                return NULL;
            }
        }
        unsigned char to = from;
        if (p + 1 < end && *p == '-' && p[1] != ']') {
            bool hex = p[1] == '\\' && hex_byte(p + 2, end, &to);
            if (!hex && (p[1] == '\\' || p[1] == '[')) {
                return NULL;
            }
            to = hex ? to : (unsigned char)p[1];
            p += hex ? 5 : 2;
        }
        for (unsigned char c = '0'; c <= '9'; c++) {
            digits |= c >= from && c <= to ? 1U << (c - '0') : 0;
        }
    }
    return p < end && (digits == 0 || digits == all) ? p + 1 : NULL;
}

/* Behind "(?": a pointer to the group's content, NULL for what may look at digits another way
 * (back-references, recursion, conditionals) and where comments may follow. */
static const char *blind_group(const char *p, const char *end)
{
    char c = p < end ? *p : '\0';
    char d = p + 1 < end ? p[1] : '\0';
    if (c == ':' || c == '>' || c == '=' || c == '!' || c == '|') {
        return p + 1;
    }
    if (c == '<' && (d == '=' || d == '!')) {
        return p + 2;
    }
    bool python = c == 'P' && d == '<';
    if (c == '<' || c == '\'' || python) {
        p += python ? 2 : 1;
        const char *close = p < end ? memchr(p, c == '\'' ? '\'' : '>', (size_t)(end - p)) : NULL;
        return close ? close + 1 : NULL;
    }
    while (p < end && (strchr("imsn-", *p) && *p)) {
        p++;
    }
    return p < end && (*p == ':' || *p == ')') ? p + (*p == ':') : NULL;
}

bool fl_pattern_is_blind(struct fl_str pattern)
{
    static const char known[] = "dDwWsSbBAzZhHvVRtnrfae";
    const char *p = pattern.p;
    const char *end = p + pattern.n;
    while (p && p < end) {
        char c = *p++;
        if (c == '\\') {
            char escaped = p < end ? *p++ : '\0';
            if (escaped == '\0' || fl_is_digit(escaped) ||
                (fl_is_alpha(escaped) && !strchr(known, escaped))) {
                return false;
            }
        } else if (c == '[') {
            p = blind_class(p, end);
        } else if (c == '{') {
            size_t n = fl_quantifier_at((struct fl_str){p - 1, (size_t)(end - p) + 1}).n;
            p += n ? n - 1 : 0;
        } else if (c == '(' && p < end && *p == '*') {
            return false;
        } else if (c == '(' && p < end && *p == '?') {
            p = blind_group(p + 1, end);
        } else if (fl_is_digit(c)) {
            return false;
        }
    }
    return p != NULL;
}
