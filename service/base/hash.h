/* SPDX-License-Identifier: Apache-2.0 */
/* 64 bits that tell texts apart and show damage: a word at a time, each step a bijection, so that
 * no change of a single word is lost; finished as in splitmix64. No protection against bytes that
 * an adversary chose. The same on every little-endian machine. */
#pragma once
#include "service/base/str.h"

#include <stdint.h>

static inline uint64_t fl_hash(struct fl_str s, uint64_t seed)
{
    uint64_t h = seed ^ (s.n * UINT64_C(0x9e3779b97f4a7c15));
    while (s.n) {
        uint64_t word = 0;
        size_t n = s.n < sizeof word ? s.n : sizeof word;
        memcpy(&word, s.p, n);
        h = (h ^ word) * UINT64_C(0xd6e8feb86659fd93);
        h ^= h >> 32;
        s = fl_str_skip(s, n);
    }
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 31);
}
