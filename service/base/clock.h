/* SPDX-License-Identifier: Apache-2.0 */
/* Time: monotonic for deadlines and durations, wall clock for records. */
#pragma once
#include <pthread.h>
#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t fl_clock_mono_ms(void);

/* Microseconds of CLOCK_MONOTONIC. */
int64_t fl_clock_mono_us(void);

/* Seconds since 1970, UTC. */
int64_t fl_clock_wall_s(void);

/* Milliseconds since 1970, UTC. */
int64_t fl_clock_wall_ms(void);

/* "2026-11-21T14:03:09Z" for seconds since 1970. */
void fl_clock_format(int64_t wall_s, char out[static 21]);

/* A condition that is waited for by the monotonic clock, and the wait, until_ms at the latest: 0, or
 * ETIMEDOUT. */
void fl_clock_cond_init(pthread_cond_t *cond);
int fl_clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms);
