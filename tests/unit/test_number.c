/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers as logs print them: what is read, and that following a form gives the same. */
#include "rules/signals/number.h"
#include "tests/unit/test.h"

#include <inttypes.h>
#include <math.h>

enum { TURNS = 200000, BEFORE = 8 };

static uint64_t state = 2024;

static unsigned below(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % n;
}

static size_t put_digits(char *to, size_t n)
{
    unsigned zeros = below(4) ? 0 : below((unsigned)n + 1); /* "0.00012" */
    for (size_t i = 0; i < n; i++) {
        to[i] = i < zeros ? '0' : (char)('0' + below(10));
    }
    return n;
}

/* One of the ways in which programs print a number; at most 37 bytes. */
static size_t put_number(char *to)
{
    size_t n = 0;
    if (below(4) == 0) {
        to[n++] = below(2) ? '-' : '+';
    }
    n += put_digits(to + n, 1 + below(9));
    if (below(4)) {
        to[n++] = '.';
        n += put_digits(to + n, below(18));
    }
    if (below(3) == 0) {
        to[n++] = below(2) ? 'e' : 'E';
        to[n++] = below(2) ? '-' : '+';
        n += put_digits(to + n, 1 + below(3));
    }
    return n;
}

static bool alike(const struct fl_number *a, const struct fl_number *b)
{
    return memcmp(&a->value, &b->value, sizeof a->value) == 0 && a->digits == b->digits &&
           a->rounds == b->rounds;
}

/* The digits of a number, made others: its form stays. */
static void other_digits(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fl_is_digit(text[i])) {
            text[i] = (char)('0' + below(10));
        }
    }
}

TEST(following_is_reading)
{
    long followed = 0;
    for (int i = 0; i < TURNS; i++) {
        char text[BEFORE + FL_NUMBER_MAX];
        memset(text, 'x', BEFORE);
        size_t n = put_number(text + BEFORE);
        struct fl_str number = {text + BEFORE, n};
        struct fl_number_form form = fl_number_form_of(number);
        other_digits(text + BEFORE, n);
        struct fl_number one = {0};
        struct fl_number other = {0};
        CHECK(fl_number_read(number, &one));
        if (!fl_number_follow((struct fl_str){text, BEFORE + n}, BEFORE, form, &other)) {
            continue;
        }
        followed++;
        CHECK(alike(&one, &other));
        if (!alike(&one, &other)) {
            fprintf(stderr, "  %.*s: %.17g (%d digits), followed %.17g (%d)\n", (int)n, number.p,
                    one.value, one.digits, other.value, other.digits);
        }
    }
    CHECK(followed > TURNS / 4);
}

TEST(reading_is_the_library)
{
    for (int i = 0; i < TURNS; i++) {
        char text[FL_NUMBER_MAX + 1];
        size_t n = put_number(text);
        text[n] = '\0';
        struct fl_number number = {0};
        CHECK(fl_number_read((struct fl_str){text, n}, &number));
        double want = strtod(text, NULL);
        bool near = number.value == want ||
                    (number.digits > 15 && fabs(number.value - want) <= 4e-16 * fabs(want));
        CHECK(near);
        if (!near) {
            fprintf(stderr, "  %s: %.17g, not %.17g\n", text, number.value, want);
        }
    }
}

/* A number at the very front of a line has no eight bytes before its end. */
TEST(nothing_outside_the_line_is_read)
{
    struct fl_number out;
    struct fl_str at_front = FL_LIT("0.25 loss");
    struct fl_number_form form = fl_number_form_of(FL_LIT("0.25"));
    CHECK(!fl_number_follow(at_front, 0, form, &out));
    struct fl_str cut = FL_LIT("loss is at 0.2");
    CHECK(!fl_number_follow(cut, 11, form, &out));
    CHECK(fl_number_follow(FL_LIT("loss is at 0.25"), 11, form, &out) && out.value == 0.25);
}

TEST(other_forms)
{
    static const char *const texts[] = {"nan", "inf", "6,979", "5.", ".5", "1e5", "123456789.5", "-",
                                        "1.5e-005", ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK_EQ_INT(fl_number_form_of(fl_str_of(texts[i])).whole, 0);
    }
    struct fl_number out;
    CHECK(fl_number_read(FL_LIT("6,979"), &out) && out.value == 6979 && out.digits == 4);
    CHECK(fl_number_read(FL_LIT("nan"), &out) && isnan(out.value));
    CHECK(!fl_number_read(FL_LIT("lots"), &out));
    CHECK(fl_number_read(FL_LIT("0.000"), &out) && out.rounds && out.digits == 0);
    CHECK(fl_number_read(FL_LIT("0.0"), &out) && !out.rounds);
}

TEST(brief_for_people)
{
    static const struct {
        double value;
        const char *want;
    } all[] = {{11250, "11250"}, {1234.56, "1235"}, {0.00012, "0.00012"}, {2.34567, "2.346"}, {-0.0, "0"},
               {4.5e9, "4.5e+09"}, {-3, "-3"}, {(double)NAN, "nan"}, {(double)-INFINITY, "-inf"},
               {1e-5, "1e-05"}};
    char text[FL_NUMBER_BRIEF];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        CHECK_EQ_STR(fl_number_brief(all[i].value, text), all[i].want);
    }
}

int main(void)
{
    RUN(following_is_reading);
    RUN(reading_is_the_library);
    RUN(nothing_outside_the_line_is_read);
    RUN(other_forms);
    RUN(brief_for_people);
    return test_result();
}
