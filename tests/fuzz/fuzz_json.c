/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader on any bytes; what it takes, the writer gives back so that it reads the same. */
#include "service/base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static void write(const fl_json *root, bool pretty, struct fl_buf *out)
{
    struct fl_jw w;
    fl_buf_init(out, 1 << 22);
    fl_jw_init(&w, out, pretty);
    fl_jw_json(&w, root);
    must(out->failed == FL_OK);
}

/* Writing repairs broken UTF-8 once; from then on writing and reading change nothing. */
static void again(const fl_json *root, bool pretty)
{
    struct fl_err err = {0};
    struct fl_buf text[3];
    fl_json *copy[2] = {NULL, NULL};
    write(root, pretty, &text[0]);
    for (size_t i = 0; i < 2; i++) {
        bool taken = fl_json_parse(fl_buf_str(&text[i]), "written", &copy[i], &err) == FL_OK;
        /* repaired keys may have become equal ones */
        must(taken || (i == 0 && fl_str_find(fl_buf_str(&text[0]), FL_LIT("\\ufffd"))));
        write(copy[i], pretty, &text[i + 1]);
    }
    must(!copy[0] || fl_str_eq(fl_buf_str(&text[1]), fl_buf_str(&text[2])));
    for (size_t i = 0; i < 3; i++) {
        fl_buf_free(&text[i]);
    }
    fl_json_free(copy[0]);
    fl_json_free(copy[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size ? size : 1);
    must(text != NULL);
    memcpy(text, data, size);
    struct fl_err err = {0};
    fl_json *root = NULL;
    if (fl_json_parse((struct fl_str){text, size}, "fuzz", &root, &err) == FL_OK) {
        again(root, false);
        again(root, true);
    } else {
        must(root == NULL && err.msg[0] != '\0');
    }
    fl_json_free(root);
    free(text);
    return 0;
}
