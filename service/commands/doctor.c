/* SPDX-License-Identifier: Apache-2.0 */
#include "service/commands/commands.h"

#include "rag/retrieve.h"
#include "service/base/cli.h"
#include "service/base/log.h"
#include "service/config.h"
#include "service/paths.h"
#include "service/rulebook.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <isa-l.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

static void line(bool good, const char *what, const char *detail)
{
    printf("%-4s %-14s %s\n", good ? "ok" : "!!", what, detail);
}

static void check_libraries(void)
{
    char text[200];
    line(true, "matcher", fl_matcher_engine(text, sizeof text));
    /* 3.7.0 to 3.51.2 can corrupt the write-ahead log when two connections checkpoint at once
     * (sqlite.org/wal.html, WAL-reset bug): we write through one connection a process. */
    snprintf(text, sizeof text, "%s%s", sqlite3_libversion(),
             sqlite3_libversion_number() < 3051003 ? " (has the WAL-reset bug; one writer only)"
                                                   : "");
    line(true, "sqlite", text);
    line(true, "libcurl", curl_version());
    snprintf(text, sizeof text, "cJSON %s, ISA-L %d.%d.%d, zstd %s", cJSON_Version(),
             ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION, ISAL_PATCH_VERSION, ZSTD_versionString());
    line(true, "libraries", text);
}

static void check_cpu(void)
{
    char text[200] = "portable paths";
#if defined(__x86_64__)
    __builtin_cpu_init();
    snprintf(text, sizeof text, "%s%s%s", __builtin_cpu_supports("sse4.2") ? "sse4.2 " : "",
             __builtin_cpu_supports("avx2") ? "avx2 " : "",
             __builtin_cpu_supports("avx512f") ? "avx512f" : "");
#endif
    line(true, "cpu", text);
}

static bool check_rules(const char *state)
{
    struct fl_rulebook book;
    struct fl_err err = {0};
    char text[200];
    if (fl_rulebook_check(state, &book, &err) != FL_OK) {
        line(false, "rules", err.msg);
        return false;
    }
    uint32_t filters = 0;
    for (uint32_t i = 0; i < book.set->read_n; i++) {
        filters += book.set->rules[i].is_filter;
    }
    snprintf(text, sizeof text, "%u diagnosis with %u codes, %u filter, %zu left out, %zu causes",
             book.set->read_n - filters, book.set->rules_n - book.set->read_n, filters, book.bad,
             book.taxonomy.n);
    line(book.bad == 0, "rules", text);
    bool good = book.bad == 0;
    fl_rulebook_close(&book);
    return good;
}

static bool check_memory(const char *state)
{
    struct fl_incidents *store = NULL;
    struct fl_arena arena;
    struct fl_hits hits = {NULL, 0};
    struct fl_err err = {0};
    char text[300];
    char seeds[FL_PATHS_BYTES];
    size_t n = 0;
    fl_arena_init(&arena, 4 << 20);
    enum fl_status status =
        fl_incidents_open(state, fl_paths_data("data/incidents.jsonl", seeds), false, &store, &err);
    if (status == FL_OK) {
        status = fl_incidents_count(store, &n, &err);
    }
    line(status == FL_OK, "state", status == FL_OK ? (state ? state : "in memory") : err.msg);
    if (status == FL_OK) {
        status = fl_retrieve(store, FL_LIT("CUDA out of memory"), 1, &arena, &hits, &err);
    }
    snprintf(text, sizeof text, "%zu incidents, nearest to \"CUDA out of memory\": %s", n,
             hits.n ? hits.list[0].incident.id.p : "none");
    line(status == FL_OK && hits.n, "index", status == FL_OK ? text : err.msg);
    bool good = status == FL_OK && hits.n;
    fl_incidents_close(store);
    fl_arena_free(&arena);
    return good;
}

int fl_cmd_doctor(int argc, char **argv)
{
    const char *state = NULL;
    const struct fl_opt options[] = {
        {"state", 0, FL_OPT_TEXT, "DIR", "state folder to look at", &state},
    };
    const struct fl_cli cli = {"doctor [OPTION ...]",
                               "Checks libraries, CPU, state folder, rules, index and endpoint "
                               "settings.\nSends nothing. Exit status 1 when something is wrong.",
                               NULL, options, sizeof options / sizeof *options};
    struct fl_err err = {0};
    struct fl_config config;
    int code = FL_EXIT_OK;
    if (!fl_cmd_options(&cli, &argc, argv, &code)) {
        return code;
    }
    enum fl_status status = fl_config_load(&config, &err);
    if (status != FL_OK) {
        fl_config_free(&config);
        return fl_cmd_fail(&err);
    }
    fl_config_flag(&config, FL_SET_STATE, state);
    check_libraries();
    check_cpu();
    bool good = check_rules(config.value[FL_SET_STATE]);
    good &= check_memory(config.value[FL_SET_STATE]);
    const char *url = config.value[FL_SET_BASE_URL];
    const char *model = config.value[FL_SET_MODEL];
    bool half = url && *url && !model;
    line(!half, "endpoint", !url ? "none set: nothing is ever sent" : half
                                 ? "OPENAI_BASE_URL is set, FAULTLINE_MODEL is not"
                                 : url);
    fl_config_free(&config);
    return good && !half ? FL_EXIT_OK : FL_EXIT_REACHED;
}
