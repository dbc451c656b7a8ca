/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that look thrown, the same in each run. A test sets `dice` first. */
#pragma once

static unsigned dice;

static inline unsigned below(unsigned n)
{
    dice = dice * 1664525U + 1013904223U;
    return (dice >> 10) % n;
}
