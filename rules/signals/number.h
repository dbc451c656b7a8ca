/* SPDX-License-Identifier: Apache-2.0 */
/* Decimal numbers as logs print them: "0.25", "-1.5e-05", "6,979", "nan", "inf". Stateless. */
#pragma once
#include "service/base/str.h"

#include <stdint.h>

enum { FL_NUMBER_MAX = 40 }; /* longer ones are none */

struct fl_number {
    double value;
    uint8_t digits; /* it was printed with, leading zeros out; 255: and more */
    bool rounds;    /* a zero that may be a small number cut at few decimals */
};

/* Where a number's digits stand, which is the same for all numbers that differ in digits only.
 * whole 0: it is written in another way than [sign] whole [. decimals] [e sign exponent]. */
struct fl_number_form {
    uint8_t sign;
    uint8_t whole;
    uint8_t decimals;
    uint8_t exponent;
};

/* False: it is none. */
bool fl_number_read(struct fl_str number, struct fl_number *out);

struct fl_number_form fl_number_form_of(struct fl_str number);

/* The number of that form that begins at text.p + at: what fl_number_read gives, without a look at any
 * byte but its digits. False, and nothing given: it must be read. */
bool fl_number_follow(struct fl_str text, size_t at, struct fl_number_form form,
                      struct fl_number *out);

/* For people: "0.0001234", "11250", "4.5e+09", "nan"; whole numbers below ten million whole. Gives out. */
enum { FL_NUMBER_BRIEF = 24 };
const char *fl_number_brief(double value, char out[static FL_NUMBER_BRIEF]);
