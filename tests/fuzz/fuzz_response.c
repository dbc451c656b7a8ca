/* SPDX-License-Identifier: Apache-2.0 */
/* A response of any bytes: a stream becomes JSON, a refusal becomes words that may be shown. */
#include "service/base/json.h"
#include "service/llm/client_error.h"
#include "service/llm/client_stream.h"
#include "service/llm/client_text.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static void check_stream(struct fl_str body)
{
    struct fl_buf joined;
    fl_json *root = NULL;
    fl_buf_init(&joined, 2 << 20);
    fl_client_join_stream(body, &joined);
    if (joined.failed == FL_OK) {
        must(fl_json_parse(fl_buf_str(&joined), "joined", &root, NULL) == FL_OK);
        must(fl_json_get(root, "choices") || fl_json_get(root, "error"));
    }
    fl_json_free(root);
    fl_buf_free(&joined);
}

static void check_words(struct fl_str body)
{
    struct fl_buf shown;
    struct fl_buf complaint;
    long tokens = 0;
    fl_buf_init(&shown, 4096);
    fl_buf_init(&complaint, FL_CLIENT_COMPLAINT_CAP);
    fl_client_error_text(body, &shown);
    must(shown.failed == FL_OK);
    for (size_t i = 0; i < shown.n; i++) {
        must((unsigned char)shown.p[i] >= 0x20 && shown.p[i] != 0x7f);
    }
    fl_client_complaint(body, &complaint);
    if (fl_client_too_long(fl_buf_str(&complaint), &tokens)) {
        must(tokens == 0 || (tokens >= 256 && tokens < 1000000000));
    }
    long hidden = fl_client_hidden_error(body);
    must(hidden == 0 || (hidden >= 400 && hidden < 600));
    fl_buf_free(&complaint);
    fl_buf_free(&shown);
}

static void check_message(struct fl_str body)
{
    fl_json *root = NULL;
    struct fl_buf text;
    fl_buf_init(&text, 1 << 20);
    if (fl_json_parse(body, "message", &root, NULL) == FL_OK) {
        fl_client_message_text(root, &text);
        struct fl_str answer = fl_client_strip_reasoning(fl_buf_str(&text));
        must(answer.n <= text.n);
    }
    fl_json_free(root);
    fl_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fl_str body = {(const char *)data, size};
    must(fl_client_is_stream(body) || !fl_str_starts(body, FL_LIT("data:")));
    check_stream(body);
    check_words(body);
    check_message(body);
    return 0;
}
