/* SPDX-License-Identifier: Apache-2.0 */
#include "service/base/clock.h"

#include <time.h>

int64_t fl_clock_mono_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t fl_clock_mono_ms(void)
{
    return fl_clock_mono_us() / 1000;
}

int64_t fl_clock_wall_s(void)
{
    return (int64_t)time(NULL);
}

int64_t fl_clock_wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void fl_clock_format(int64_t wall_s, char out[static 21])
{
    time_t t = (time_t)wall_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void fl_clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t how;
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &how);
    pthread_condattr_destroy(&how);
}

int fl_clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ms)
{
    const struct timespec ts = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    return pthread_cond_timedwait(cond, mutex, &ts);
}
