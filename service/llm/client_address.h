/* SPDX-License-Identifier: Apache-2.0 */
/* The address of the endpoint, checked and completed. */
#pragma once
#include "service/base/status.h"

#include <stdbool.h>

enum { FL_CLIENT_URL_CAP = 2048 };

struct fl_client_address {
    char url[FL_CLIENT_URL_CAP];   /* BASE_URL and the leaf, with its query */
    char shown[FL_CLIENT_URL_CAP]; /* the same without query, which may hold a key */
    bool is_openai, is_azure;
    bool is_local; /* this machine: no proxy */
};

/* leaf: "/chat/completions" or "/embeddings"; a base that ends in either loses it first. FL_USAGE
 * when base is no http or https address, or holds a user name. */
enum fl_status fl_client_address(const char *base, const char *leaf, struct fl_client_address *out,
                                 struct fl_err *err) FL_MUST_USE;
