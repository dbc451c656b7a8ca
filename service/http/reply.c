/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/reply.h"

#include "service/base/str.h"

static void begin(struct fl_http_request *r, unsigned status, const char *type)
{
    r->status = status;
    r->type = type;
    fl_buf_clear(&r->answer);
}

void fl_reply_json(struct fl_http_request *r, unsigned status, struct fl_jw *w)
{
    begin(r, status, "application/json");
    fl_jw_init(w, &r->answer, false);
}

void fl_reply_text(struct fl_http_request *r, unsigned status, const char *text)
{
    begin(r, status, "text/plain; charset=utf-8");
    fl_buf_add_text(&r->answer, text);
}

void fl_reply_empty(struct fl_http_request *r, unsigned status)
{
    begin(r, status, NULL);
}

static const char *title_of(unsigned status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 503: return "Service Unavailable";
    case 507: return "Insufficient Storage";
    default: return "Internal Server Error";
    }
}

void fl_reply_problem(struct fl_http_request *r, unsigned status, const char *detail)
{
    struct fl_jw w;
    fl_reply_json(r, status, &w);
    r->type = "application/problem+json";
    fl_jw_begin(&w, '{');
    fl_jw_key_text(&w, "type", "about:blank");
    fl_jw_key_text(&w, "title", title_of(status));
    fl_jw_key_int(&w, "status", status);
    fl_jw_key_text(&w, "detail", detail);
    fl_jw_key_text(&w, "request", r->id);
    fl_jw_end(&w, '}');
    if (status == 503 || status == 429 || status == 507) {
        fl_http_set(r, "Retry-After", status == 507 ? "30" : "1");
    }
}

unsigned fl_reply_status(enum fl_status status)
{
    switch (status) {
    case FL_OK: return 200;
    case FL_SYNTAX:
    case FL_USAGE: return 400;
    case FL_DENIED: return 403;
    case FL_NOTFOUND: return 404;
    case FL_CONFLICT: return 409;
    case FL_LIMIT: return 413;
    case FL_FULL: return 507;
    case FL_NOMEM:
    case FL_IO:
    case FL_TIMEOUT:
    case FL_UNAVAILABLE:
    case FL_CORRUPT: return 503;
    case FL_INTERNAL: return 500;
    }
    return 500;
}

void fl_reply_failed(struct fl_http_request *r, enum fl_status status, const struct fl_err *err)
{
    fl_reply_problem(r, fl_reply_status(status), *err->msg ? err->msg : fl_status_text(status));
}
