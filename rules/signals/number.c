/* SPDX-License-Identifier: Apache-2.0 */
/* A job prints the same few numbers millions of times over. How one is written is found out once;
 * then its digits are taken eight at a time. */
#include "rules/signals/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_DIGITS = 18 }; /* that one whole number holds */

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A number as its decimal digits tell it. */
struct decimal {
    uint64_t digits; /* all of them as one whole number, when there are at most 18 */
    int n;           /* without leading zeros */
    int decimals;    /* behind the point */
    int exponent;
    bool minus;
    bool plain; /* nothing but such digits, no "nan" */
    bool with_exponent;
};

/* Takes the digits from i on; gives the place behind them. */
static size_t take_digits(struct fl_str s, size_t i, struct decimal *d)
{
    size_t from = i;
    while (i < s.n && s.p[i] == '0' && d->n == 0) {
        i++;
    }
    size_t zeros = i - from;
    while (i < s.n && fl_is_digit(s.p[i])) {
        d->digits = d->digits * 10 + (uint64_t)(s.p[i++] - '0');
    }
    d->n += (int)(i - from - zeros);
    return i;
}

static struct decimal decimal_of(struct fl_str s)
{
    struct decimal d = {.n = 0};
    size_t i = s.n && (*s.p == '-' || *s.p == '+');
    d.minus = i && *s.p == '-';
    i = take_digits(s, i, &d);
    while (i < s.n && s.p[i] == ',') {
        i = take_digits(s, i + 1, &d);
    }
    if (i < s.n && s.p[i] == '.') {
        size_t from = i + 1;
        i = take_digits(s, from, &d);
        d.decimals = (int)(i - from);
    }
    d.with_exponent = i < s.n && (s.p[i] | 32) == 'e';
    if (d.with_exponent) {
        i++;
        bool down = i < s.n && s.p[i] == '-';
        for (i += i < s.n && (down || s.p[i] == '+'); i < s.n && fl_is_digit(s.p[i]); i++) {
            d.exponent = d.exponent < 10000 ? d.exponent * 10 + (s.p[i] - '0') : d.exponent;
        }
        d.exponent = down ? -d.exponent : d.exponent;
    }
    d.plain = i == s.n;
    return d;
}

static double by_library(struct fl_str number, bool *ok_r)
{
    char text[FL_NUMBER_MAX];
    char *end = NULL;
    size_t n = 0;
    for (size_t i = 0; i < number.n && n + 1 < sizeof text; i++) {
        if (number.p[i] != ',') {
            text[n++] = number.p[i];
        }
    }
    text[n] = 0;
    double value = strtod(text, &end);
    *ok_r = end != text;
    return value;
}

/* Up to 15 digits both factors are exact doubles, and one rounding makes the nearest one (Clinger
 * 1990); up to 18 it may be the next to it. */
static double scaled(uint64_t digits, int power, bool minus)
{
    double value = (double)digits;
    value = power < 0 ? value / powers[-power] : value * powers[power];
    return minus ? -value : value;
}

static bool is_scale(int power)
{
    return power >= -22 && power <= 22;
}

static bool may_round(double value, int decimals, bool with_exponent)
{
    return value == 0 && !with_exponent && decimals > 1 && decimals < 6;
}

bool fl_number_read(struct fl_str number, struct fl_number *out)
{
    if (number.n >= FL_NUMBER_MAX) {
        return false;
    }
    bool ok = true;
    struct decimal d = decimal_of(number);
    int power = d.exponent - d.decimals;
    out->value = d.plain && d.n <= MOST_DIGITS && is_scale(power) ? scaled(d.digits, power, d.minus)
                                                                  : by_library(number, &ok);
    out->digits = (uint8_t)(d.n < 255 ? d.n : 255);
    out->rounds = may_round(out->value, d.decimals, d.with_exponent);
    return ok;
}

static size_t digits_at(struct fl_str s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && fl_is_digit(s.p[at + n])) {
        n++;
    }
    return n;
}

struct fl_number_form fl_number_form_of(struct fl_str s)
{
    struct fl_number_form none = {.whole = 0};
    size_t sign = s.n && (*s.p == '-' || *s.p == '+');
    size_t whole = digits_at(s, sign);
    size_t at = sign + whole;
    size_t decimals = at < s.n && s.p[at] == '.' ? digits_at(s, at + 1) : 0;
    at += decimals ? decimals + 1 : 0;
    size_t exponent = 0;
    if (at + 1 < s.n && (s.p[at] | 32) == 'e' && (s.p[at + 1] == '-' || s.p[at + 1] == '+')) {
        exponent = digits_at(s, at + 2);
        at += 2 + exponent;
    }
    bool usual = at == s.n && whole <= 8 && decimals <= 16 && whole + decimals <= MOST_DIGITS &&
                 (exponent == 0 || exponent == 2);
    return usual ? (struct fl_number_form){(uint8_t)sign, (uint8_t)whole, (uint8_t)decimals,
                                           (uint8_t)exponent}
                 : none;
}

/* A mask of the last n of eight bytes, 1 to 8. */
static uint64_t last(unsigned n)
{
    return UINT64_MAX << (64 - 8 * n);
}

/* The eight bytes before end, the first one lowest; digits are their values. */
static uint64_t before(const char *end)
{
    uint64_t word = 0;
    memcpy(&word, end - 8, 8);
    return word ^ UINT64_C(0x3030303030303030);
}

/* Eight digits as a number: pairs, then fours, then all are joined side by side. */
static uint64_t joined(uint64_t word)
{
    const uint64_t every_fourth = UINT64_C(0x000000ff000000ff);
    word = word * 10 + (word >> 8);
    return ((word & every_fourth) * (100 + (UINT64_C(1000000) << 32)) +
            (word >> 16 & every_fourth) * (1 + (UINT64_C(10000) << 32))) >> 32;
}

/* The digits before end, of which n stand without a point between them, 1 to 16. */
static uint64_t digits_before(const char *end, unsigned n)
{
    return n > 8 ? joined(before(end - 8) & last(n - 8)) * 100000000 + joined(before(end))
                 : joined(before(end) & last(n));
}

static const uint64_t tens[] = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, UINT64_C(1000000000),
    UINT64_C(10000000000), UINT64_C(100000000000), UINT64_C(1000000000000),
    UINT64_C(10000000000000), UINT64_C(100000000000000), UINT64_C(1000000000000000),
    UINT64_C(10000000000000000), UINT64_C(100000000000000000), UINT64_C(1000000000000000000)
};

/* 1233 / 4096 is a little more than log10(2). */
static unsigned length_of(uint64_t value)
{
    unsigned guess = (64U - (unsigned)__builtin_clzll(value | 1)) * 1233 >> 12;
    return guess + (value >= tens[guess]);
}

bool fl_number_follow(struct fl_str text, size_t at, struct fl_number_form form,
                      struct fl_number *out)
{
    size_t point = at + form.sign + form.whole;
    size_t end = point + (form.decimals ? form.decimals + 1U : 0);
    size_t stop = end + (form.exponent ? 4 : 0);
    if (!form.whole || point < 8 || stop > text.n || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
        return false;
    }
    uint64_t digits = 0;
    int power = -form.decimals;
    if (form.decimals && form.whole + form.decimals < 8) { /* all of it in one word */
        uint64_t word = before(text.p + end);
        uint64_t behind = last(form.decimals);
        word = (word & behind) | (word << 8 & ~behind); /* over the point */
        digits = joined(word & last((unsigned)form.whole + form.decimals));
    } else {
        digits = digits_before(text.p + point, form.whole);
        if (form.decimals) {
            digits = digits * tens[form.decimals] + digits_before(text.p + end, form.decimals);
        }
    }
    if (form.exponent) {
        int exponent = (text.p[end + 2] - '0') * 10 + text.p[end + 3] - '0';
        power += text.p[end + 1] == '-' ? -exponent : exponent;
    }
    if (!is_scale(power)) {
        return false;
    }
    out->value = scaled(digits, power, form.sign && text.p[at] == '-');
    out->digits = (uint8_t)length_of(digits);
    out->rounds = may_round(out->value, form.decimals, form.exponent);
    return true;
}

const char *fl_number_brief(double value, char out[static FL_NUMBER_BRIEF])
{
    double size = fabs(value);
    bool whole = size < 1e7 && (size >= 1000 || value == floor(value));
    snprintf(out, FL_NUMBER_BRIEF, whole ? "%.0f" : "%.4g", value == 0 ? 0.0 : value);
    return isnan(value) ? "nan" : out;
}
