/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Tells the service manager, if one asked to be told ($NOTIFY_SOCKET; sd_notify(3)): "READY=1" ... */
void fl_notify(const char *state);
