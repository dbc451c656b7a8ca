/* SPDX-License-Identifier: Apache-2.0 */
/* A rule file of any bytes: it is refused, or its rules load, pass or fail their samples, and can
 * be written out and read again. */
#include "rules/base/rulefile.h"
#include "rules/base/ruleset.h"
#include "service/base/fsio.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

static void listen(void *ctx, const char *message)
{
    (void)ctx;
    must(message && *message);
}

static const struct fl_taxonomy *taxonomy(void)
{
    static struct fl_taxonomy loaded;
    if (!loaded.n) {
        char path[4096];
        struct fl_err err = {0};
        const char *source = getenv("FL_SOURCE");
        snprintf(path, sizeof path, "%s/data/taxonomy.json", source ? source : ".");
        if (fl_taxonomy_load(path, &loaded, &err) != FL_OK) {
            fprintf(stderr, "%s\n", err.msg);
            abort();
        }
    }
    return &loaded;
}

/* Each rule as text, one behind the other: what was written reads back as the same. */
static void write_rules(const fl_json *root, struct fl_buf *out, struct fl_arena *arena)
{
    struct fl_rulefile file;
    struct fl_err err = {0};
    struct fl_jw w;
    fl_jw_init(&w, out, false);
    if (fl_rulefile_open(root, "fuzz.json", "operator", taxonomy(), arena, &file, &err) != FL_OK) {
        return;
    }
    for (size_t i = 0; i < file.n; i++) {
        struct fl_rule rule;
        struct fl_err fault = {0};
        if (fl_rulefile_next(&file, &rule, &fault) == FL_OK) {
            fl_rule_write(&w, &rule);
        } else {
            must(fault.msg[0] != '\0');
        }
    }
}

static void load(const char *path)
{
    struct fl_ruleset *set = NULL;
    struct fl_err err = {0};
    size_t bad = 0;
    must(fl_ruleset_new(taxonomy(), &set, &err) == FL_OK);
    enum fl_status status = fl_ruleset_load(set, path, "operator", listen, NULL, &bad, &err);
    if (status == FL_OK) {
        status = fl_ruleset_ready(set, listen, NULL, &bad, &err);
    }
    must(status == FL_OK || err.msg[0] != '\0');
    fl_ruleset_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    struct fl_err err = {0};
    fl_json *root = NULL;
    struct fl_str text = {(const char *)data, size};
    if (!path[0]) {
        snprintf(path, sizeof path, "/dev/shm/fl-fuzz-rules-%ld.json", (long)getpid());
    }
    if (fl_json_parse(text, "fuzz", &root, &err) == FL_OK) {
        struct fl_arena arena;
        struct fl_buf first;
        fl_arena_init(&arena, 64 << 20);
        fl_buf_init(&first, 16 << 20);
        write_rules(root, &first, &arena);
        fl_buf_free(&first);
        fl_arena_free(&arena);
        FILE *f = fopen(path, "wb");
        if (f) {
            must(size == 0 || fwrite(data, 1, size, f) == size);
            must(fclose(f) == 0);
            load(path);
            unlink(path);
        }
    }
    fl_json_free(root);
    return 0;
}
