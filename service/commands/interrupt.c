/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

void fl_cmd_until_interrupted(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool fl_cmd_interrupted(void *ctx)
{
    (void)ctx;
    return interrupted != 0;
}
