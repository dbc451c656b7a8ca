/* SPDX-License-Identifier: Apache-2.0 */
#include "service/llm/client_address.h"

#include "service/base/str.h"

#include <curl/curl.h>
#include <stdio.h>
#include <strings.h>

static bool ends_with(const char *text, const char *tail)
{
    return fl_str_ends(fl_str_of(text), fl_str_of(tail));
}

static bool has_control(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text <= 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

static void note_host(struct fl_client_address *out, const char *host)
{
    out->is_openai = strcasecmp(host, "api.openai.com") == 0;
    out->is_azure = ends_with(host, ".openai.azure.com") ||
                    ends_with(host, ".cognitiveservices.azure.com") ||
                    ends_with(host, ".services.ai.azure.com");
    out->is_local = strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
                    strcmp(host, "[::1]") == 0;
}

/* The path without slashes at its end and without the leaf of any of our questions. */
static int stem_of(const char *path)
{
    static const char *const leaves[] = {"/chat/completions", "/embeddings"};
    struct fl_str stem = fl_str_of(path);
    while (fl_str_ends(stem, FL_LIT("/"))) {
        stem.n--;
    }
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        struct fl_str leaf = fl_str_of(leaves[i]);
        stem.n -= fl_str_ends(stem, leaf) ? leaf.n : 0;
    }
    return (int)stem.n;
}

static bool set_path(CURLU *url, const char *leaf)
{
    char *path = NULL;
    if (curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK) {
        return false;
    }
    char full[FL_CLIENT_URL_CAP];
    int length = snprintf(full, sizeof full, "%.*s%s", stem_of(path), path, leaf);
    curl_free(path);
    return length > 0 && (size_t)length < sizeof full &&
           curl_url_set(url, CURLUPART_PATH, full, 0) == CURLUE_OK;
}

static bool copy_url(CURLU *url, char out[static FL_CLIENT_URL_CAP])
{
    char *text = NULL;
    if (curl_url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK) {
        return false;
    }
    int n = snprintf(out, FL_CLIENT_URL_CAP, "%s", text);
    curl_free(text);
    return n > 0 && n < FL_CLIENT_URL_CAP;
}

/* Null when the address is good, else what is wrong with it. */
static const char *take(CURLU *url, const char *base, const char *leaf,
                        struct fl_client_address *out)
{
    if (has_control(base) || curl_url_set(url, CURLUPART_URL, base, 0) != CURLUE_OK) {
        return "not a URL";
    }
    char *part = NULL;
    if (curl_url_get(url, CURLUPART_USER, &part, 0) == CURLUE_OK) {
        curl_free(part);
        return "holds a user name; the key belongs in OPENAI_API_KEY";
    }
    if (curl_url_get(url, CURLUPART_SCHEME, &part, 0) != CURLUE_OK) {
        return "has no scheme";
    }
    bool web = strcmp(part, "http") == 0 || strcmp(part, "https") == 0;
    curl_free(part);
    if (!web) {
        return "neither http nor https";
    }
    if (curl_url_get(url, CURLUPART_HOST, &part, 0) != CURLUE_OK) {
        return "has no host";
    }
    note_host(out, part);
    curl_free(part);
    bool fits =
        set_path(url, leaf) && curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK &&
        copy_url(url, out->url) && curl_url_set(url, CURLUPART_QUERY, NULL, 0) == CURLUE_OK &&
        copy_url(url, out->shown);
    return fits ? NULL : "too long";
}

enum fl_status fl_client_address(const char *base, const char *leaf, struct fl_client_address *out,
                                 struct fl_err *err)
{
    if (!base || !*base) {
        return fl_fail(err, FL_USAGE, "no model endpoint set (OPENAI_BASE_URL)");
    }
    CURLU *url = curl_url();
    if (!url) {
        return fl_fail(err, FL_NOMEM, "model endpoint: out of memory");
    }
    *out = (struct fl_client_address){.is_local = false};
    const char *fault = take(url, base, leaf, out);
    curl_url_cleanup(url);
    return fault ? fl_fail(err, FL_USAGE, "model endpoint address (OPENAI_BASE_URL): %s", fault)
                 : FL_OK;
}
