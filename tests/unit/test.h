/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that print what they saw and go on; a test fails when one of its checks does.
 *   TEST(adds_up) { CHECK_EQ_INT(1 + 1, 2); }
 *   int main(void) { RUN(adds_up); return test_result(); } */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_failures;
static int test_count;

#define TEST(name) static void test_##name(void)
#define RUN(name) test_run(#name, test_##name)

#define CHECK(cond)                                                                                \
    ((cond) ? (void)0                                                                              \
            : (void)(test_failures++,                                                              \
                     fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond)))
#define CHECK_EQ_INT(got, want) test_eq_int(__FILE__, __LINE__, #got, (long long)(got), (want))
#define CHECK_EQ_STR(got, want) test_text(__FILE__, __LINE__, #got, (got), (want), 1)
/* The text holds the part. */
#define CHECK_HAS(text, part) test_text(__FILE__, __LINE__, #text, (text), (part), 0)

static inline void test_eq_int(const char *file, int line, const char *what, long long got,
                               long long want)
{
    if (got != want) {
        test_failures++;
        fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, what, got, want);
    }
}

static inline void test_text(const char *file, int line, const char *what, const char *got,
                             const char *want, int whole)
{
    if (!got || (whole ? strcmp(got, want) != 0 : !strstr(got, want))) {
        test_failures++;
        fprintf(stderr, "%s:%d: %s\n  is    \"%s\"\n  %s \"%s\"\n", file, line, what,
                got ? got : "(null)", whole ? "not  " : "lacks", want);
    }
}

static inline void test_run(const char *name, void (*test)(void))
{
    int before = test_failures;
    test_count++;
    test();
    fprintf(stderr, "%s %s\n", test_failures == before ? "ok    " : "FAILED", name);
}

static inline int test_result(void)
{
    fprintf(stderr, "%d tests, %d failed checks\n", test_count, test_failures);
    return test_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
