/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of lines, and which patterns cannot tell lines of one shape apart. */
#include "tests/unit/dice.h"
#include "tests/unit/test.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "rules/match/literals.h"
#include "rules/match/shape.h"
#include "service/base/buf.h"

/* Other digits in place of the digits. */
static void fuzz_digits(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text[i] = fl_is_digit(text[i]) ? (char)('0' + below(10)) : text[i];
    }
}

/* ---- which patterns tell digits apart ---- */

TEST(blind_patterns)
{
    static const char *const blind[] = {
        "", "abc", "step \\d+", "\\d{2,3}x{4}", "\\w+\\W\\s\\S\\b\\B", "[0-9]+", "[\\d.]+e",
        "[[:digit:]]", "[^0-9]", "[^\\d]", "[^\\s]x", "[a-z_]", "[]a]", "[^]]", "[a-]",
        "[\\w-]", "[!-~]", "[ -;]", "[[:alpha:]_]", "[[:alnum:][:space:]]", "[\\]\\[]",
        "(?<step2>\\d+)", "(?<a>b)(?'c9'd)(?P<e5>f)", "(?i)Error", "(?i:a|b)", "(?-i)a", "(?m)^a$",
        "(?>ab|c)+", "(?|a|b)", "(?=\\d)x", "(?!\\d)x", "(?<=a)b", "(?<!\\d)b", "a++b*?c{3,}?d??",
        "\\.\\(\\[\\{", "\\t\\n\\r\\f\\a\\e", "\\A\\d\\z", "\\h\\v\\R", "^.*?$", "x{", "a{}b", "a{,}b",
        "{x}", "a{\\d}", "[\\V]", "caf\xc3\xa9", "[\xc3\xa9]",
    };
    static const char *const telling[] = {
        "7", "Xid 79", "[0-4]", "[5]", "[^5]", "[\\w]9", "[+--5]", "[0-8[:alpha:]]", "[a-f0-3]",
        "x{1", "x{1,2,3}", "x{2,,}", "x{,3}", "x{ 3}", "x{a3}", "\\{3}",
        "(a)\\1", "(?<n>a)\\k<n>", "\\g{n}", "(?P=n)", "(?R)", "(a)(?1)", "(?&n)", "(?P>n)", "(?-1)",
        "(a)?(?(1)b|c)", "(?(?=\\d)b|c)", "(*UTF)a", "(*ACCEPT)", "(*COMMIT)", "(*sr:a)",
        "\\x41", "\\x{31}", "\\o{61}", "\\061", "\\0", "\\c1", "\\N{U+31}", "\\N", "\\p{Nd}", "\\P{Nd}",
        "\\Q7\\E", "\\E", "\\X", "\\K", "\\G",
        "(?#5)", "(?#\\d)a", "(?x)a #[0-9\n5]", "(?x) a b", "(?xx)[ ]", "(?x:a)", "(?J)a", "(?^)a",
        "(?C1)a", "[[:^digit:]]", "[[:print:]]", "[[:<:]]a", "[a-\\d]", "[\\x30]", "[\\1]", "[\\Q5\\E]",
        "[\\N]", "[", "[^", "[0-9", "[\\", "\\", "(?", "(?<", "(?<n", "(?P<n", "[[:alpha:",
    };
    for (size_t i = 0; i < sizeof blind / sizeof *blind; i++) {
        CHECK_EQ_STR(fl_pattern_is_blind(fl_str_of(blind[i])) ? blind[i] : "not blind", blind[i]);
    }
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
        CHECK_EQ_STR(fl_pattern_is_blind(fl_str_of(telling[i])) ? "blind" : telling[i],
                     telling[i]);
    }
}

/* Text that may or may not be a pattern: most of what PCRE2 knows, digits in odd places. */
static void make_pattern(struct fl_buf *out, int depth)
{
    static const char *const atoms[] = {
        "a", "b", "ab", "A", "_", " ", ".", ":", "\\d", "\\d", "\\d", "\\w", "\\S", "\\D", "\\W", "\\s",
        "\\b", "\\B", "^", "$", "\\.", "\\:", "5", "79", "[0-9]", "[^0-9]", "[\\d.]", "[^\\s:]", "[ab]",
        "[0-4]", "[a-c5]", "[[:alpha:]]", "[[:digit:]a]", "[[:alnum:]_]", "[^[:digit:]]", "[!-~]",
        "[-5]", "[5-]", "[\\w-]", "[\\d-5]", "[.--]", "[]0]", "[^]]", "[\\]]", "[\\V]", "[\\H5]",
        "\\V", "\\H", "\\R", "\\K", "\\1", "\\g{1}", "\\k<n>", "(?P=n)", "(?1)", "(?R)", "\\N", "\\x35",
        "\\065", "\\Q[0-9]\\E", "\\Qa", "\\E", "[\\D5]", "[\\W5]", "\\X", "\\c5", "(?i)", "(?-i)", "(?m)", "(?s)", "(?x)",
        "(?xx)", "(?^)", "(?n)", "(?U)", "(?#5)", "(?#[0-9)", "#[0-9\n5]", "#(\n", "(*COMMIT)", "(*F)",
        "{", "}", "{5", "{5}", "{,5}", "{1,2,3}", "{ 1}", "{x5}", "]", "[[:<:]]", "\\A", "\\z", "\\Z",
        "(?=\\d)", "(?!\\d)", "(?<=\\d)", "(?<![0-9])", "(?<=5)", "\\h", "\\v", "\\t", "\\e", "-", "\\-",
    };
    static const char *const quantifiers[] = {"?", "*", "+", "*?", "+?", "??", "++", "*+", "{2}",
                                              "{1,2}", "{0,3}", "{2,}", "{0}", "{2}{2}", "{1,}+"};
    static const char *const heads[] = {"(", "(?:", "(?<n>", "(?<n5>", "(?'q7'", "(?P<r9>", "(?>",
                                        "(?|", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?(1)",
                                        "(?(?=\\d)", "(?x:", "(?m-i:", "(?s)(", "(*atomic:", "(*sr:"};
    for (unsigned parts = below(5) + 1; parts > 0; parts--) {
        if (below(4) == 0 && depth < 3) {
            fl_buf_add_text(out, heads[below(3) ? below(6) : below(sizeof heads / sizeof *heads)]);
            make_pattern(out, depth + 1);
            for (unsigned k = below(3); k > 0; k--) {
                fl_buf_add_text(out, "|");
                make_pattern(out, depth + 1);
            }
            fl_buf_add_text(out, ")");
        } else { /* the first ones come more often, else hardly a pattern is blind */
            fl_buf_add_text(out, atoms[below(3) ? below(22) : below(sizeof atoms / sizeof *atoms)]);
        }
        if (below(3) == 0) {
            fl_buf_add_text(out, quantifiers[below(sizeof quantifiers / sizeof *quantifiers)]);
        }
    }
}

TEST(cut_patterns_are_not_read_past_their_end)
{
    struct fl_buf pattern;
    fl_buf_init(&pattern, 1 << 16);
    for (int i = 0; i < 5000; i++) {
        fl_buf_clear(&pattern);
        make_pattern(&pattern, 0);
        size_t n = below((unsigned)pattern.n + 1);
        char *copy = malloc(n + !n); /* exactly as long, so that ASan sees a step too far */
        if (!copy) {
            abort();
        }
        memcpy(copy, fl_buf_text(&pattern), n);
        struct fl_literals set;
        fl_literals_of((struct fl_str){copy, n}, NULL, &set);
        CHECK(set.n <= FL_LITERALS_MAX);
        (void)fl_pattern_is_blind((struct fl_str){copy, n});
        free(copy);
    }
    fl_buf_free(&pattern);
}

/* Everything that a match says: the answer and where all captures are. */
struct told {
    int rc;
    PCRE2_SIZE span[64];
};

static void match(const pcre2_code *code, pcre2_match_data *data, pcre2_match_context *context,
                  const char *text, size_t n, struct told *out)
{
    memset(out, 0, sizeof *out);
    out->rc = pcre2_match(code, (PCRE2_SPTR)text, n, 0, 0, data, context);
    if (out->rc > 0) {
        memcpy(out->span, pcre2_get_ovector_pointer(data),
               (size_t)out->rc * 2 * sizeof *out->span);
    }
}

/* Text at random, with stretches of the pattern's own. */
static size_t make_text(struct fl_str pattern, char *out, size_t size)
{
    size_t n = 0;
    for (size_t want = below((unsigned)size); n < want;) {
        if (below(6) == 0 && pattern.n) {
            size_t at = below((unsigned)pattern.n);
            for (size_t left = below(12) + 1; left && at < pattern.n && n < want; left--) {
                out[n++] = pattern.p[at++];
            }
        } else {
            out[n++] = "0123456789055779ab ab_ABab.:-{},[]#\n"[below(36)];
        }
    }
    return n;
}

/* True when a text with digits in the matched part was seen. */
static bool try_texts(const pcre2_code *code, pcre2_match_data *data, pcre2_match_context *context,
                      struct fl_str pattern)
{
    bool telling = false;
    for (int i = 0; i < 12; i++) {
        char text[2][24];
        struct told told[2];
        size_t n = make_text(pattern, text[0], sizeof text[0]);
        match(code, data, context, text[0], n, &told[0]);
        for (PCRE2_SIZE k = told[0].span[0]; told[0].rc > 0 && k < told[0].span[1]; k++) {
            telling |= fl_is_digit(text[0][k]);
        }
        for (int other = 0; other < 3; other++) {
            memcpy(text[1], text[0], n);
            fuzz_digits(text[1], n);
            match(code, data, context, text[1], n, &told[1]);
            bool same = memcmp(&told[0], &told[1], sizeof *told) == 0;
            CHECK(same);
            if (!same) {
                fprintf(stderr, "  pattern %.*s\n  %.*s\n  %.*s\n", (int)pattern.n, pattern.p,
                        (int)n, text[0], (int)n, text[1]);
                return telling;
            }
        }
    }
    return telling;
}

TEST(blind_patterns_answer_alike)
{
    pcre2_match_data *data = pcre2_match_data_create(32, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    struct fl_buf pattern;
    long compiled = 0;
    long blind = 0;
    long telling = 0;
    int before = test_failures;
    fl_buf_init(&pattern, 1 << 16);
    pcre2_set_match_limit(context, 10000);
    for (int i = 0; i < 80000 && test_failures == before; i++) {
        int number = 0;
        PCRE2_SIZE at = 0;
        fl_buf_clear(&pattern);
        fl_buf_add_text(&pattern, below(16) ? "" : "(?x)");
        make_pattern(&pattern, 0);
        struct fl_str text = fl_buf_str(&pattern);
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)text.p, text.n,
                                         PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &number, &at, NULL);
        compiled += code != NULL;
        if (code && fl_pattern_is_blind(text)) {
            blind++;
            telling += try_texts(code, data, context, text);
        }
        pcre2_code_free(code);
    }
    CHECK(compiled > 30000 && blind > 5000 && telling > 1000);
    fprintf(stderr, "       %ld of %ld patterns are blind, %ld of them matched digits\n", blind,
            compiled, telling);
    fl_buf_free(&pattern);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
}

/* ---- shapes ---- */

static struct fl_shapes *new_shapes(void)
{
    struct fl_shapes *shapes = NULL;
    CHECK_EQ_INT(fl_shapes_new(&shapes, NULL), FL_OK);
    if (!shapes) {
        abort();
    }
    return shapes;
}

/* Of a copy that ends where its memory does and begins `skip` bytes behind where that begins. */
static uint64_t shape_of(const struct fl_shapes *shapes, const char *text, size_t n, size_t skip)
{
    char *copy = malloc(skip + n + !(skip + n));
    if (!copy) {
        abort();
    }
    memcpy(copy + skip, text, n);
    uint64_t hash = 0;
    fl_shapes_of(shapes, &(struct fl_str){copy + skip, n}, 1, &hash);
    free(copy);
    return hash;
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool all_differ(uint64_t *hashes, size_t n)
{
    qsort(hashes, n, sizeof *hashes, compare_hashes);
    for (size_t i = 1; i < n; i++) {
        if (hashes[i] == hashes[i - 1]) {
            return false;
        }
    }
    return true;
}

enum { LENGTH_MAX = 200 };

static const char filler[] = "step 12/900 loss=3.25 [gpu7:0x1F] \xc3\xa9 -9..0: /:@;_`{| ";

static void same_for_other_digits(const struct fl_shapes *shapes)
{
    for (size_t n = 0; n <= LENGTH_MAX; n++) {
        char text[LENGTH_MAX];
        for (size_t i = 0; i < n; i++) {
            text[i] = filler[(i + n) % (sizeof filler - 1)];
        }
        uint64_t want = shape_of(shapes, text, n, 0);
        CHECK(want != 0);
        for (size_t skip = 1; skip < 40; skip++) {
            fuzz_digits(text, n);
            CHECK(shape_of(shapes, text, n, skip) == want);
        }
    }
}

/* Each byte value at each place: ten of them are one, the others are themselves. */
static void each_byte_counts(const struct fl_shapes *shapes)
{
    for (size_t n = 1; n <= 75; n += n < 40 ? 1 : 7) {
        for (size_t at = 0; at < n; at++) {
            char text[LENGTH_MAX];
            uint64_t others[256];
            size_t others_n = 0;
            memset(text, '5', n);
            uint64_t digits = shape_of(shapes, text, n, 0);
            for (int byte = 0; byte < 256; byte++) {
                text[at] = (char)byte;
                uint64_t hash = shape_of(shapes, text, n, 0);
                if (fl_is_digit((char)byte)) {
                    CHECK(hash == digits);
                } else {
                    others[others_n++] = hash;
                }
            }
            others[others_n++] = digits;
            CHECK_EQ_INT((long long)others_n, 247);
            CHECK(all_differ(others, others_n));
        }
    }
}

/* Lengths of lines and of runs of digits, one byte changed, parts exchanged: all differ. */
static void other_lines_differ(const struct fl_shapes *shapes)
{
    enum { ROOM = 3 * (LENGTH_MAX + 2) * (LENGTH_MAX + 2) };
    uint64_t *hashes = calloc(ROOM, sizeof *hashes);
    size_t used = 0;
    if (!hashes) {
        abort();
    }
    for (size_t n = 0; n <= LENGTH_MAX; n++) {
        char text[LENGTH_MAX];
        memset(text, '\0', n);
        hashes[used++] = shape_of(shapes, text, n, 0);
        memset(text, 'x', n);
        hashes[used++] = n ? shape_of(shapes, text, n, 0) : 0;
        for (size_t at = 0; at < n; at++) {
            text[at] = 'y';
            hashes[used++] = shape_of(shapes, text, n, 0);
            text[at] = '7';
            hashes[used++] = shape_of(shapes, text, n, 0);
            memset(text, '8', at + 1); /* a run of digits up to here */
            if (at > 0) {
                hashes[used++] = shape_of(shapes, text, n, 0);
            }
            memset(text, 'x', n);
        }
    }
    CHECK(all_differ(hashes, used));
    for (size_t size = 1; size <= 64; size *= 2) { /* two stretches exchanged */
        for (size_t gap = size; gap + size <= LENGTH_MAX; gap++) {
            char text[2][LENGTH_MAX];
            memset(text, '-', sizeof text);
            memset(text[0], 'a', size);
            memset(text[0] + gap, 'b', size);
            memset(text[1], 'b', size);
            memset(text[1] + gap, 'a', size);
            CHECK(shape_of(shapes, text[0], LENGTH_MAX, 0) !=
                  shape_of(shapes, text[1], LENGTH_MAX, 0));
        }
    }
    free(hashes);
}

static void check_hash(void)
{
    struct fl_shapes *shapes = new_shapes();
    same_for_other_digits(shapes);
    each_byte_counts(shapes);
    other_lines_differ(shapes);
    fl_shapes_free(shapes);
}

TEST(one_shape_for_lines_that_differ_in_digits)
{
    check_hash();
}

TEST(the_same_without_avx2)
{
    setenv("FAULTLINE_NO_AVX2", "1", 1);
    check_hash();
    unsetenv("FAULTLINE_NO_AVX2");
}

static void put_shape(struct fl_shapes *shapes, uint32_t i)
{
    struct fl_shape shape = {.hash = 77 + (uint64_t)i * FL_SHAPES, .n = 1, .pattern = {i}};
    fl_shapes_put(shapes, &shape);
}

TEST(a_shape_that_is_looked_up_stays)
{
    struct fl_shapes *shapes = new_shapes();
    for (uint32_t i = 0; i < 100; i++) {
        put_shape(shapes, i);
        CHECK(fl_shapes_find(shapes, 77) != NULL);
    }
    for (uint32_t i = 100; i < 110; i++) { /* not for ever */
        put_shape(shapes, i);
    }
    CHECK(!fl_shapes_find(shapes, 77));
    fl_shapes_free(shapes);
}

TEST(the_oldest_of_a_set_makes_room)
{
    struct fl_shapes *shapes = new_shapes();
    for (uint32_t i = 0; i < 6; i++) {
        CHECK(!fl_shapes_find(shapes, 77 + (uint64_t)i * FL_SHAPES));
        put_shape(shapes, i);
    }
    for (uint32_t i = 0; i < 6; i++) {
        const struct fl_shape *found = fl_shapes_find(shapes, 77 + (uint64_t)i * FL_SHAPES);
        CHECK((found != NULL) == (i >= 2));
        CHECK_EQ_INT(found ? found->pattern[0] : i, (long long)i);
    }
    struct fl_shape other = {.hash = 77 + 5 * (uint64_t)FL_SHAPES, .n = 0};
    fl_shapes_put(shapes, &other); /* what is known is replaced */
    const struct fl_shape *found = fl_shapes_find(shapes, other.hash);
    CHECK_EQ_INT(found ? (long long)found->n : -1, 0);
    CHECK(fl_shapes_find(shapes, 77 + 4 * (uint64_t)FL_SHAPES) != NULL);
    CHECK(!fl_shapes_find(shapes, 78));
    fl_shapes_free(shapes);
}

/* Ask for n hashes, of which one in `every` is known. */
static void ask(struct fl_shapes *shapes, size_t n, size_t every)
{
    struct fl_shape known = {.hash = 5};
    fl_shapes_put(shapes, &known);
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        found += fl_shapes_find(shapes, i % every ? 1000 + i : 5) != NULL;
    }
    fl_shapes_asked(shapes, n, found);
}

TEST(looking_up_rests_where_it_does_not_pay)
{
    struct fl_shapes *shapes = new_shapes();
    CHECK(fl_shapes_pay(shapes, 100));
    ask(shapes, 100000, 1);
    CHECK(fl_shapes_pay(shapes, 100));
    ask(shapes, 10000, 2);
    CHECK(fl_shapes_pay(shapes, 100)); /* every second one is enough */
    ask(shapes, 10000, 3);
    CHECK(!fl_shapes_pay(shapes, 100));
    size_t rest = 0;
    while (!fl_shapes_pay(shapes, 100) && rest < 10000000) {
        rest += 100;
    }
    CHECK(rest >= 10000 && rest < 1000000);
    ask(shapes, 10000, 1);
    CHECK(fl_shapes_pay(shapes, 100));
    fl_shapes_free(shapes);
}

int main(void)
{
    dice = 90125;
    RUN(blind_patterns);
    RUN(cut_patterns_are_not_read_past_their_end);
    RUN(blind_patterns_answer_alike);
    RUN(one_shape_for_lines_that_differ_in_digits);
    RUN(the_same_without_avx2);
    RUN(a_shape_that_is_looked_up_stays);
    RUN(the_oldest_of_a_set_makes_room);
    RUN(looking_up_rests_where_it_does_not_pay);
    return test_result();
}
