/* SPDX-License-Identifier: Apache-2.0 */
/* Is this word the name of a machine? Used where a log gives no other sign of it. Cautious: an
 * unknown node costs less than a wrong one. */
#pragma once
#include "service/base/str.h"

/* Bytes a host name may be made of. */
static inline bool fl_is_host_char(char c)
{
    return fl_is_digit(c) || fl_is_alpha(c) || c == '-' || c == '.';
}

/* Four numbers of up to three digits, whatever their values. */
bool fl_host_name_is_ipv4(struct fl_str name);

/* An address, or a lower-case name that ends in a number (gpu-042, cn5.site.edu, ip-10-0-0-3) and
 * is no program, file, module, device or key (python3, train.py, bf16, eth0, top-1). Names that
 * differ in the values of digits only are answered alike. */
bool fl_host_name_looks(struct fl_str name);

/* Stricter, for names of files and folders: begins like machines are called (node, gpu, dgx, ...)
 * and ends in a number too short for a job number. */
bool fl_host_name_is_common(struct fl_str name);
