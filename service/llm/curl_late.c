/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl brings some thirty libraries with it, whose loading takes longer than reading a small log,
 * and most runs ask no model. So it is not linked: the functions that we call are here, by their own
 * names and contracts (curl/curl.h), and each asks the library, which is loaded by the first. Where it
 * cannot be, curl_global_init says so, as it does when the library does not start. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

typedef void (*function)(void);

/* NULL: there is no libcurl. Loading it again costs next to nothing. */
static function find(const char *name)
{
    function out = NULL;
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, name) : NULL;
    memcpy(&out, &symbol, sizeof out); /* POSIX: dlsym gives functions, too */
    return out;
}

CURLcode curl_global_init(long flags)
{
    CURLcode (*f)(long) = (CURLcode (*)(long))find("curl_global_init");
    return f ? f(flags) : CURLE_FAILED_INIT;
}

void curl_global_cleanup(void)
{
    function f = find("curl_global_cleanup");
    if (f) {
        f();
    }
}

char *curl_version(void)
{
    static char none[] = "cannot be loaded";
    char *(*f)(void) = (char *(*)(void))find("curl_version");
    return f ? f() : none;
}

CURL *curl_easy_init(void)
{
    CURL *(*f)(void) = (CURL *(*)(void))find("curl_easy_init");
    return f ? f() : NULL;
}

void curl_easy_cleanup(CURL *curl)
{
    void (*f)(CURL *) = (void (*)(CURL *))find("curl_easy_cleanup");
    if (f) {
        f(curl);
    }
}

CURLcode curl_easy_perform(CURL *curl)
{
    CURLcode (*f)(CURL *) = (CURLcode (*)(CURL *))find("curl_easy_perform");
    return f ? f(curl) : CURLE_FAILED_INIT;
}

const char *curl_easy_strerror(CURLcode code)
{
    const char *(*f)(CURLcode) = (const char *(*)(CURLcode))find("curl_easy_strerror");
    return f ? f(code) : "there is no libcurl";
}

/* The number of an option tells the type of its value. */
CURLcode curl_easy_setopt(CURL *curl, CURLoption option, ...)
{
    CURLcode (*f)(CURL *, CURLoption, ...) =
        (CURLcode (*)(CURL *, CURLoption, ...))find("curl_easy_setopt");
    CURLcode code = CURLE_FAILED_INIT;
    va_list args;
    va_start(args, option);
    if (f && option < (CURLoption)CURLOPTTYPE_OBJECTPOINT) {
        code = f(curl, option, va_arg(args, long));
    } else if (f && option < (CURLoption)CURLOPTTYPE_FUNCTIONPOINT) {
        code = f(curl, option, va_arg(args, void *));
    } else if (f && option < (CURLoption)CURLOPTTYPE_OFF_T) {
        code = f(curl, option, va_arg(args, function));
    } else if (f) {
        code = f(curl, option, va_arg(args, curl_off_t));
    }
    va_end(args);
    return code;
}

CURLcode curl_easy_getinfo(CURL *curl, CURLINFO info, ...)
{
    CURLcode (*f)(CURL *, CURLINFO, ...) =
        (CURLcode (*)(CURL *, CURLINFO, ...))find("curl_easy_getinfo");
    va_list args;
    va_start(args, info);
    CURLcode code = f ? f(curl, info, va_arg(args, void *)) : CURLE_FAILED_INIT;
    va_end(args);
    return code;
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
    struct curl_slist *(*f)(struct curl_slist *, const char *) =
        (struct curl_slist * (*)(struct curl_slist *, const char *)) find("curl_slist_append");
    return f ? f(list, text) : NULL;
}

void curl_slist_free_all(struct curl_slist *list)
{
    void (*f)(struct curl_slist *) =
        (void (*)(struct curl_slist *))find("curl_slist_free_all");
    if (f) {
        f(list);
    }
}

void curl_free(void *bytes)
{
    void (*f)(void *) = (void (*)(void *))find("curl_free");
    if (f) {
        f(bytes);
    }
}

CURLU *curl_url(void)
{
    CURLU *(*f)(void) = (CURLU * (*)(void)) find("curl_url");
    return f ? f() : NULL;
}

void curl_url_cleanup(CURLU *url)
{
    void (*f)(CURLU *) = (void (*)(CURLU *))find("curl_url_cleanup");
    if (f) {
        f(url);
    }
}

CURLUcode curl_url_get(CURLU *url, CURLUPart what, char **part, unsigned flags)
{
    CURLUcode (*f)(CURLU *, CURLUPart, char **, unsigned) =
        (CURLUcode (*)(CURLU *, CURLUPart, char **, unsigned))find("curl_url_get");
    return f ? f(url, what, part, flags) : CURLUE_OUT_OF_MEMORY;
}

CURLUcode curl_url_set(CURLU *url, CURLUPart what, const char *part, unsigned flags)
{
    CURLUcode (*f)(CURLU *, CURLUPart, const char *, unsigned) =
        (CURLUcode (*)(CURLU *, CURLUPart, const char *, unsigned))find("curl_url_set");
    return f ? f(url, what, part, flags) : CURLUE_OUT_OF_MEMORY;
}
