/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again follows what the clients of OpenAI do, for that is what gateways are tested
 * with. Each attempt is a connection of its own: attempts are rare and far apart. */
#include "service/llm/client_wire.h"

#include "service/base/clock.h"
#include "service/llm/client_error.h"
#include "service/llm/client_stream.h"

#include <curl/curl.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

enum {
    CONNECT_MS = 10 * 1000,
    HEADERS_CAP = 256 * 1024, /* of a response, in all */
    RETRIES = 2,
    PAUSE_MS = 500,
    PAUSE_MAX_MS = 8000,
    WAIT_MAX_MS = 60 * 1000, /* asked to wait longer, we give up */
    HEADER_CAP = 8192,       /* of one that we send */
    HEADERS_MAX = 32,
    SECRET_SHORTEST = 8, /* shorter keys ("none", "ollama") are placeholders */
    SECRET_CERTAIN = 16  /* and up to this, words that an answer may hold */
};

_Static_assert(sizeof((struct fl_client_wire){0}.reason) >= CURL_ERROR_SIZE, "room for curl");

/* ---- what is sent with the body ---- */

static bool is_header_value(const char *text)
{
    size_t n = 0;
    for (; text[n]; n++) {
        if ((unsigned char)text[n] < 0x20 || text[n] == 0x7f) {
            return false;
        }
    }
    return n < HEADER_CAP;
}

/* "Name: value" */
static bool is_header(const char *line)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    const char *p = line;
    while (fl_is_alpha(*p) || fl_is_digit(*p) || (*p && strchr(marks, *p))) {
        p++;
    }
    return p > line && *p == ':' && is_header_value(line);
}

static bool has_header(const struct fl_client_request *request, const char *name)
{
    for (const char *const *h = request->to.headers; h && *h; h++) {
        if (strncasecmp(*h, name, strlen(name)) == 0) {
            return true;
        }
    }
    return false;
}

static enum fl_status check_request(struct fl_client_wire *wire)
{
    const struct fl_client_request *request = wire->request;
    if (!request->to.model || !*request->to.model) {
        return fl_fail(wire->err, FL_USAGE, "no model name set (FAULTLINE_MODEL)");
    }
    if (request->to.api_key && !is_header_value(request->to.api_key)) {
        return fl_fail(wire->err, FL_USAGE, "the API key holds a line end or is too long");
    }
    for (size_t i = 0; request->to.headers && request->to.headers[i]; i++) {
        if (i == HEADERS_MAX || !is_header(request->to.headers[i])) {
            return fl_fail(wire->err, FL_USAGE,
                           "extra header %zu for the model endpoint is not \"Name: value\", or "
                           "there are more than %d",
                           i + 1, HEADERS_MAX);
        }
    }
    return FL_OK;
}

static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *h = headers; h; h = h->next) {
        explicit_bzero(h->data, strlen(h->data));
    }
    curl_slist_free_all(headers);
}

/* Appends a line; *list is NULL once there was no memory. */
static void add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = *list ? curl_slist_append(*list, line) : NULL;
    if (!longer) {
        free_headers(*list);
    }
    *list = longer;
}

static struct curl_slist *make_headers(const struct fl_client_wire *wire)
{
    const struct fl_client_request *request = wire->request;
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    add_header(&list, "Accept: application/json");
    const char *key = request->to.api_key;
    if (key && *key && !has_header(request, "authorization:") && !has_header(request, "api-key:")) {
        char line[HEADER_CAP + 32];
        snprintf(line, sizeof line, "%s%s",
                 wire->address.is_azure ? "api-key: " : "Authorization: Bearer ", key);
        add_header(&list, line);
        explicit_bzero(line, sizeof line);
    }
    for (const char *const *h = request->to.headers; h && *h; h++) {
        add_header(&list, *h);
    }
    return list;
}

/* ---- one exchange ---- */

static size_t on_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct fl_client_wire *wire = ctx;
    return fl_buf_add(&wire->response, bytes, size * n) == FL_OK ? size * n : 0;
}

static bool take_name(struct fl_str *line, struct fl_str name)
{
    if (line->n <= name.n || strncasecmp(line->p, name.p, name.n) != 0 || line->p[name.n] != ':') {
        return false;
    }
    *line = fl_str_trim(fl_str_skip(*line, name.n + 1));
    return true;
}

static void keep_request_id(struct fl_client_wire *wire, struct fl_str id)
{
    size_t n = 0;
    for (; n < id.n && n + 1 < sizeof wire->request_id; n++) {
        char c = id.p[n];
        bool plain = fl_is_alpha(c) || fl_is_digit(c) || strchr("-_.:/", c);
        wire->request_id[n] = plain && c ? c : '?';
    }
    wire->request_id[n] = '\0';
}

static size_t on_header(char *bytes, size_t size, size_t n, void *ctx)
{
    struct fl_client_wire *wire = ctx;
    struct fl_str line = {bytes, size * n};
    long ms = 0;
    wire->headers_n += line.n;
    if (take_name(&line, FL_LIT("retry-after-ms"))) {
        wire->wait_ms = fl_str_take_number(&line, &ms) ? ms : 0;
    } else if (take_name(&line, FL_LIT("x-should-retry"))) {
        wire->should_retry = fl_str_eq(line, FL_LIT("true"))    ? 1
                             : fl_str_eq(line, FL_LIT("false")) ? -1
                                                                : 0;
    } else if (take_name(&line, FL_LIT("x-request-id")) || take_name(&line, FL_LIT("request-id"))) {
        keep_request_id(wire, line);
    }
    return wire->headers_n <= HEADERS_CAP ? size * n : 0;
}

static int64_t left_ms(const struct fl_client_wire *wire)
{
    return wire->request->deadline_ms - fl_clock_mono_ms();
}

static void set_options(CURL *curl, struct fl_client_wire *wire, struct curl_slist *headers)
{
    const struct fl_client_request *request = wire->request;
    long left = (long)left_ms(wire);
    left = left > 1 ? left : 1; /* 0 would be for ever */
    curl_easy_setopt(curl, CURLOPT_URL, wire->address.url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* a name server may be late, we are not */
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, left < CONNECT_MS ? left : CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, left);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE, (long)wire->response.cap);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "gzip"); /* what proxies do unasked */
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "faultline");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, fl_buf_text(&wire->body));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)wire->body.n);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, wire);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, wire);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, wire->reason);
    if (wire->address.is_local) {
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    }
    if (request->to.ca_file && *request->to.ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, request->to.ca_file);
    }
    if (request->to.cert_file && *request->to.cert_file) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, request->to.cert_file);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, request->to.cert_file);
    }
}

static enum fl_status too_late(struct fl_client_wire *wire)
{
    return fl_fail(wire->err, FL_TIMEOUT, "%s: no answer before the deadline", wire->address.shown);
}

static void forget_response(struct fl_client_wire *wire)
{
    fl_buf_clear(&wire->response);
    fl_buf_clear(&wire->complaint);
    wire->http = 0;
    wire->refused = 0;
    wire->wait_ms = 0;
    wire->should_retry = 0;
    wire->headers_n = 0;
    wire->request_id[0] = '\0';
    wire->reason[0] = '\0';
}

static void note_wait(struct fl_client_wire *wire, CURL *curl)
{
    curl_off_t seconds = 0;
    if (wire->wait_ms <= 0 && curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK &&
        seconds > 0) {
        wire->wait_ms = (int64_t)(seconds < 1000000 ? seconds : 1000000) * 1000;
    }
}

static void join_stream(struct fl_client_wire *wire)
{
    struct fl_buf joined;
    fl_buf_init(&joined, wire->response.cap);
    fl_client_join_stream(fl_client_wire_text(wire), &joined);
    fl_buf_free(&wire->response);
    wire->response = joined;
}

/* Answer or refusal, and what the refusal is about. */
static void judge(struct fl_client_wire *wire)
{
    if (wire->http == 200 && fl_client_is_stream(fl_client_wire_text(wire))) {
        join_stream(wire);
    }
    struct fl_str text = fl_client_wire_text(wire);
    wire->refused = wire->http == 200 ? fl_client_hidden_error(text) : wire->http;
    if (wire->refused) {
        fl_client_complaint(text, &wire->complaint);
    }
}

/* Sends the body once. */
static enum fl_status exchange(struct fl_client_wire *wire)
{
    if (left_ms(wire) <= 0) {
        return too_late(wire);
    }
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl ? make_headers(wire) : NULL;
    if (!headers) {
        curl_easy_cleanup(curl);
        return fl_fail(wire->err, FL_NOMEM, "%s: out of memory", wire->address.shown);
    }
    forget_response(wire);
    set_options(curl, wire, headers);
    wire->code = (int)curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &wire->http);
    note_wait(wire, curl);
    curl_easy_cleanup(curl);
    free_headers(headers);
    if (wire->code == CURLE_OK) {
        judge(wire);
    }
    return FL_OK;
}

/* ---- trying again ---- */

static bool may_retry(const struct fl_client_wire *wire)
{
    static const char *const hopeless[] = {"insufficient_quota", NULL};
    struct fl_str complaint = fl_buf_str(&wire->complaint);
    long ignored = 0;
    switch (wire->code) {
    case CURLE_OK:
        break;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT: /* of the connecting; the rest is the deadline */
    case CURLE_HTTP2_STREAM:
        return true;
    default:
        return false;
    }
    if (!wire->refused || wire->should_retry < 0 || fl_client_mentions(complaint, hopeless) ||
        fl_client_too_long(complaint, &ignored)) {
        return false;
    }
    return wire->should_retry > 0 || wire->refused == 408 || wire->refused == 409 ||
           wire->refused == 429 ||
           (wire->refused >= 500 && wire->refused != 501 && wire->refused != 505);
}

/* Sleeps before attempt number `attempt` + 1; false when that would be too long. */
static bool pause_before(const struct fl_client_wire *wire, int attempt)
{
    int64_t ms = PAUSE_MS << attempt;
    ms = ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
    ms -= fl_clock_mono_us() % (ms / 4); /* spreads clients that failed together */
    ms = wire->wait_ms > 0 ? wire->wait_ms : ms;
    if (ms > WAIT_MAX_MS || ms >= left_ms(wire)) {
        return false;
    }
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&wait, &wait) != 0 && left_ms(wire) > 0) {
    }
    return true;
}

static enum fl_status transport_failure(struct fl_client_wire *wire)
{
    const char *shown = wire->address.shown;
    if (wire->response.failed == FL_LIMIT || wire->code == CURLE_FILESIZE_EXCEEDED) {
        return fl_fail(wire->err, FL_LIMIT, "%s: the response is over %zu bytes", shown,
                       wire->response.cap);
    }
    if (wire->response.failed != FL_OK) {
        return fl_fail(wire->err, wire->response.failed, "%s: the response: %s", shown,
                       fl_status_text(wire->response.failed));
    }
    if (wire->headers_n > HEADERS_CAP) {
        return fl_fail(wire->err, FL_LIMIT, "%s: the headers of the response are over %d bytes",
                       shown, HEADERS_CAP);
    }
    if (wire->code == CURLE_OPERATION_TIMEDOUT && left_ms(wire) <= 0) {
        return too_late(wire);
    }
    return fl_fail(wire->err, FL_UNAVAILABLE, "%s: %s", shown,
                   wire->reason[0] ? wire->reason : curl_easy_strerror((CURLcode)wire->code));
}

enum fl_status fl_client_wire_post(struct fl_client_wire *wire)
{
    for (int attempt = 0;; attempt++) {
        enum fl_status status = exchange(wire);
        if (status != FL_OK) {
            return status;
        }
        if (attempt == RETRIES || !may_retry(wire) || !pause_before(wire, attempt)) {
            break;
        }
    }
    return wire->code == CURLE_OK && wire->response.failed == FL_OK ? FL_OK
                                                                    : transport_failure(wire);
}

/* ---- what came back ---- */

struct fl_str fl_client_wire_text(const struct fl_client_wire *wire)
{
    struct fl_str text = fl_buf_str(&wire->response);
    fl_str_take(&text, FL_LIT("\xef\xbb\xbf"));
    return fl_str_trim(text);
}

static bool holds_key(const struct fl_client_wire *wire, struct fl_str text, size_t shortest)
{
    struct fl_str key = fl_str_of(wire->request->to.api_key);
    return key.n >= shortest && fl_str_find(text, key);
}

bool fl_client_wire_leaks(const struct fl_client_wire *wire)
{
    return holds_key(wire, fl_buf_str(&wire->response), SECRET_CERTAIN);
}

static enum fl_status status_of(const struct fl_client_wire *wire)
{
    long ignored = 0;
    if (fl_client_too_long(fl_buf_str(&wire->complaint), &ignored)) {
        return FL_LIMIT;
    }
    switch (wire->refused) {
    case 401:
    case 403:
        return FL_DENIED;
    case 404:
        return FL_NOTFOUND;
    case 408:
        return FL_TIMEOUT;
    case 413:
        return FL_LIMIT;
    default:
        return FL_UNAVAILABLE;
    }
}

static void add_reason(const struct fl_client_wire *wire, struct fl_buf *out)
{
    if (wire->http >= 300 && wire->http < 400) {
        fl_buf_add_text(out, ", a redirect, which is not followed");
        return;
    }
    struct fl_buf text;
    fl_buf_init(&text, 4096);
    fl_client_error_text(fl_client_wire_text(wire), &text);
    bool secret = holds_key(wire, fl_buf_str(&wire->response), SECRET_SHORTEST) ||
                  holds_key(wire, fl_buf_str(&text), SECRET_SHORTEST);
    if (text.n) {
        fl_buf_addf(out, ": %s", secret ? "(a text that repeats the API key)" : fl_buf_text(&text));
    }
    if (wire->wait_ms >= 1000) {
        fl_buf_addf(out, " (wants to be asked again in %lld s, not before)",
                    (long long)(wire->wait_ms / 1000));
    }
    if (wire->request_id[0] && !holds_key(wire, fl_str_of(wire->request_id), SECRET_SHORTEST)) {
        fl_buf_addf(out, " [request %s]", wire->request_id);
    }
    fl_buf_free(&text);
}

enum fl_status fl_client_wire_refusal(struct fl_client_wire *wire)
{
    struct fl_buf text;
    fl_buf_init(&text, 8192);
    add_reason(wire, &text);
    enum fl_status status = fl_fail(wire->err, status_of(wire), "%s: HTTP %ld%s",
                                    wire->address.shown, wire->http, fl_buf_text(&text));
    fl_buf_free(&text);
    return status;
}

enum fl_status fl_client_wire_open(struct fl_client_wire *wire,
                                   const struct fl_client_request *request, const char *leaf,
                                   size_t response_cap, struct fl_err *err)
{
    *wire = (struct fl_client_wire){.request = request, .err = err};
    fl_buf_init(&wire->body, FL_CLIENT_BODY_CAP);
    fl_buf_init(&wire->response, response_cap);
    fl_buf_init(&wire->complaint, FL_CLIENT_COMPLAINT_CAP);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return fl_fail(err, FL_INTERNAL,
                       "libcurl (libcurl.so.4) cannot be loaded or does not start");
    }
    enum fl_status status = check_request(wire);
    return status == FL_OK ? fl_client_address(request->to.base_url, leaf, &wire->address, err)
                           : status;
}

void fl_client_wire_close(struct fl_client_wire *wire)
{
    fl_buf_free(&wire->complaint);
    fl_buf_free(&wire->response);
    fl_buf_free(&wire->body);
    curl_global_cleanup();
}
