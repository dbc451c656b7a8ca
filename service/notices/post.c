/* SPDX-License-Identifier: Apache-2.0 */
#include "service/notices/post.h"

#include "service/base/buf.h"
#include "service/http/digest.h"
#include "service/notices/address.h"

#include <curl/curl.h>
#include <stdio.h>
#include <unistd.h>

enum { REPLY = 4096, REPLY_HEADERS = 64 << 10, REPLY_SHOWN = 120, WAIT_MOST_S = 3600 };

struct exchange {
    struct fl_post *post;
    struct fl_buf reply;
    size_t headers_n;
    bool forbidden;
};

static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct exchange *x = ctx;
    enum fl_reach reach = purpose == CURLSOCKTYPE_IPCXN ? fl_address_reach(&address->addr) : FL_REACH_NEVER;
    if (reach == FL_REACH_NEVER || (reach == FL_REACH_PRIVATE && !x->post->to->is_private)) {
        x->forbidden = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Ends the transfer when it is full: what there is will do. */
static size_t on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    size_t room = REPLY - x->reply.n;
    fl_buf_add(&x->reply, bytes, n < room ? n : room);
    return n <= room ? size * n : 0;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *ctx)
{
    struct exchange *x = ctx;
    (void)bytes;
    x->headers_n += n;
    return x->headers_n <= REPLY_HEADERS ? size * n : 0;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct exchange *x = ctx;
    (void)a, (void)b, (void)c, (void)d;
    return x->post->stop && atomic_load(x->post->stop);
}

static void add(struct curl_slist **list, bool *ok, const char *line)
{
    struct curl_slist *longer = *ok ? curl_slist_append(*list, line) : NULL;
    *ok = longer != NULL;
    *list = longer ? longer : *list;
}

static bool make_headers(const struct fl_post *post, struct curl_slist **list)
{
    char line[256];
    char mac[FL_DIGEST_HEX + 1];
    bool ok = true;
    add(list, &ok, "Content-Type: application/json");
    add(list, &ok, "Expect:");
    snprintf(line, sizeof line, "Idempotency-Key: %s", post->key);
    add(list, &ok, line);
    if (*post->trace) {
        snprintf(line, sizeof line, "traceparent: %s", post->trace);
        add(list, &ok, line);
    }
    if (post->to->key.n) {
        ok = ok && fl_digest(&post->to->key, post->body, mac, NULL) == FL_OK;
        snprintf(line, sizeof line, "X-Signature-256: sha256=%s", ok ? mac : "");
        add(list, &ok, line);
    }
    return ok;
}

static void set_options(CURL *curl, struct exchange *x, const struct curl_slist *headers)
{
    const struct fl_receiver *to = x->post->to;
    curl_easy_setopt(curl, CURLOPT_URL, to->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(to->timeout_s * 1000) + 1);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "faultline");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->post->body.p);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)x->post->body.n);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, x);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
    if (to->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, to->ca_file);
    }
}

static void end(struct fl_post *post, enum fl_post_end how, const char *why)
{
    post->end = how;
    snprintf(post->why, sizeof post->why, "%s", why);
}

static void end_http(struct exchange *x, long http)
{
    struct fl_post *post = x->post;
    bool again = http == 408 || http == 429 || http >= 500;
    struct fl_buf why;
    fl_buf_init(&why, 8 * REPLY_SHOWN);
    fl_buf_addf(&why, "HTTP %ld%s", http, http / 100 == 3 ? ", a redirect, which is not followed" : "");
    if (x->reply.n) {
        fl_buf_add_text(&why, ": ");
        fl_buf_add_safe(&why, fl_str_trim(fl_str_head(fl_buf_str(&x->reply), REPLY_SHOWN)));
    }
    end(post, http / 100 == 2 ? FL_POST_TAKEN : again ? FL_POST_AGAIN : FL_POST_NEVER, fl_buf_text(&why));
    fl_buf_free(&why);
}

static void judge(struct exchange *x, CURL *curl, CURLcode code)
{
    long http = 0;
    curl_off_t wait = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &http);
    bool full = code == CURLE_WRITE_ERROR && x->reply.n == REPLY;
    if (x->forbidden && http == 0) {
        end(x->post, FL_POST_NEVER, x->post->to->is_private
                ? "its name leads to a link-local, multicast or reserved address, where nothing is sent"
                : "its name leads to an address of this machine or of a private network (say \"private\": true"
                  " if that is meant)");
    } else if (code == CURLE_ABORTED_BY_CALLBACK) {
        end(x->post, FL_POST_STOPPED, "the service stopped");
    } else if (code != CURLE_OK && !full) {
        end(x->post, FL_POST_AGAIN, curl_easy_strerror(code));
    } else {
        end_http(x, http);
        if (curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0) {
            x->post->wait_s = wait < WAIT_MOST_S ? (double)wait : WAIT_MOST_S;
        }
    }
}

void fl_post(struct fl_post *post)
{
    struct exchange x = {.post = post};
    struct curl_slist *headers = NULL;
    post->wait_s = 0;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        end(post, FL_POST_AGAIN, "libcurl (libcurl.so.4) cannot be loaded or does not start");
        return;
    }
    fl_buf_init(&x.reply, REPLY);
    CURL *curl = curl_easy_init();
    if (curl && make_headers(post, &headers)) {
        set_options(curl, &x, headers);
        judge(&x, curl, curl_easy_perform(curl));
    } else {
        end(post, FL_POST_AGAIN, "no memory, or no libgnutls for the signature");
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    fl_buf_free(&x.reply);
    curl_global_cleanup();
}
