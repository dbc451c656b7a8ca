/* SPDX-License-Identifier: Apache-2.0 */
/* To be preloaded: a name server that answers after ten seconds, and then knows nothing. */
#include <netdb.h>
#include <unistd.h>

__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict found)
{
    (void)node;
    (void)service;
    (void)hints;
    *found = NULL;
    sleep(10);
    return EAI_FAIL;
}
