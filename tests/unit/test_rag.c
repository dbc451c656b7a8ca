/* SPDX-License-Identifier: Apache-2.0 */
/* The room rag/: what is stored stays, what is forgotten is gone, what is damaged is left alone,
 * and the index says what a plain loop says. Run from anywhere; FL_SEEDS names the shipped seeds.
 */
#include "tests/unit/test.h"

#include "rag/dense.h"
#include "rag/embed.h"
#include "rag/incidents.h"
#include "rag/index.h"
#include "rag/retrieve.h"
#include "service/base/clock.h"
#include "service/base/fsio.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];
static struct fl_arena arena;

/* A new empty folder and a new arena for the test. */
static void setup(void)
{
    fl_arena_free(&arena);
    fl_arena_init(&arena, 64 << 20);
    snprintf(folder, sizeof folder, "/tmp/fl-rag-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
}

static void teardown(void)
{
    static const char *const names[] = {"faultline.db",      "faultline.db-wal", "faultline.db-shm",
                                        "faultline.db.lock", "seeds.jsonl",      "out.jsonl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    fl_arena_free(&arena);
}

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct fl_incidents *open_store(const char *seeds)
{
    struct fl_incidents *store = NULL;
    struct fl_err err = {0};
    CHECK_EQ_INT(fl_incidents_open(folder, seeds, false, &store, &err), FL_OK);
    CHECK_EQ_STR(err.msg, "");
    return store;
}

static enum fl_status add(struct fl_incidents *store, const char *id, const char *title,
                          const char *text)
{
    struct fl_incident incident = {.id = fl_str_of(id),
                                   .cause = FL_LIT("gpu_oom"),
                                   .title = fl_str_of(title),
                                   .text = fl_str_of(text)};
    return fl_incidents_add(store, &incident, &arena, NULL, NULL);
}

static size_t count(struct fl_incidents *store)
{
    size_t n = 0;
    CHECK_EQ_INT(fl_incidents_count(store, &n, NULL), FL_OK);
    return n;
}

/* The id of the best hit, "" when there is none. */
static const char *best(struct fl_incidents *store, const char *text)
{
    struct fl_hits hits;
    struct fl_err err = {0};
    CHECK_EQ_INT(fl_retrieve(store, fl_str_of(text), 5, &arena, &hits, &err), FL_OK);
    CHECK_EQ_STR(err.msg, "");
    return hits.n ? fl_arena_text(&arena, hits.list[0].incident.id) : "";
}

static void write_file(const char *path, const char *text)
{
    CHECK_EQ_INT(fl_fsio_replace(path, fl_str_of(text), false, NULL), FL_OK);
}

static const char oom[] = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB";
static const char disk[] = "OSError: [Errno 28] No space left on device: '/scratch/ckpt/step_900'";
static const char nccl[] = "Watchdog caught collective operation timeout: WorkNCCL(SeqNum=8812)";

TEST(keeps_what_was_added)
{
    setup();
    struct fl_incidents *store = open_store(NULL);
    CHECK_EQ_INT(add(store, "a", "GPU memory", oom), FL_OK);
    CHECK_EQ_INT(add(store, "b", "Full disk", disk), FL_OK);
    CHECK_EQ_INT(add(store, "c", "Collective timeout", nccl), FL_OK);
    CHECK_EQ_INT(add(store, "a", "again", oom), FL_CONFLICT);
    CHECK_EQ_STR(best(store, "OSError: [Errno 28] No space left on device: '/data/x/1'"), "b");
    fl_incidents_close(store);

    store = open_store(NULL);
    struct fl_incident incident = {0};
    CHECK_EQ_INT(count(store), 3);
    CHECK_EQ_INT(fl_incidents_get(store, FL_LIT("a"), &arena, &incident, NULL), FL_OK);
    CHECK_EQ_STR(incident.text.p, oom);
    CHECK_EQ_STR(incident.origin.p, "operator");
    CHECK_EQ_INT(incident.created.n, 20);
    CHECK_EQ_INT(fl_incidents_get(store, FL_LIT("z"), &arena, &incident, NULL), FL_NOTFOUND);
    CHECK_EQ_STR(best(store, "CUDA out of memory. Tried to allocate 13 GiB"), "a");
    CHECK_EQ_STR(best(store, "WorkNCCL(SeqNum=12) timeout, Watchdog caught collective"), "c");
    CHECK_EQ_STR(best(store, "the quick brown fox jumps"), "");
    struct fl_hits hits;
    CHECK_EQ_INT(fl_retrieve_loose(store, FL_LIT("watchdog"), 3, &arena, &hits, NULL), FL_OK);
    CHECK_EQ_INT(hits.n, 1);
    CHECK_EQ_STR(best(store, ""), "");
    fl_incidents_close(store);
    struct stat st;
    CHECK_EQ_INT(stat(in_folder("faultline.db"), &st), 0);
    CHECK_EQ_INT(st.st_mode & 077, 0);
    teardown();
}

TEST(makes_ids_and_repairs_text)
{
    setup();
    struct fl_incidents *store = open_store(NULL);
    struct fl_incident incident = {.title = {"bad \xff\0 byte", 11}};
    struct fl_incident back = {0};
    struct fl_str id = {0};
    CHECK_EQ_INT(fl_incidents_add(store, &incident, &arena, &id, NULL), FL_OK);
    CHECK_EQ_INT(id.n, 16);
    CHECK(fl_str_starts(id, FL_LIT("inc-")));
    CHECK_EQ_INT(fl_incidents_get(store, id, &arena, &back, NULL), FL_OK);
    CHECK_EQ_STR(back.title.p, "bad \xef\xbf\xbd\xef\xbf\xbd byte");
    CHECK_EQ_INT(add(store, "bell\a", "x", "y"), FL_SYNTAX);
    CHECK_EQ_INT(add(store, "two words", "x", "y"), FL_SYNTAX);
    CHECK_EQ_INT(add(store, "empty", " ", "\n"), FL_SYNTAX);
    char *big = fl_arena_alloc(&arena, FL_INCIDENT_TEXT + 2);
    memset(big, 'x', FL_INCIDENT_TEXT + 1);
    CHECK_EQ_INT(add(store, "big", "x", big), FL_LIMIT);
    CHECK_EQ_INT(count(store), 1);
    fl_incidents_close(store);
    teardown();
}

/* No byte of it is left in the file or its journal. */
static bool file_holds(const char *name, const char *needle)
{
    struct fl_buf bytes;
    fl_buf_init(&bytes, 64 << 20);
    bool found = fl_fsio_read(in_folder(name), &bytes, NULL) == FL_OK &&
                 fl_str_find(fl_buf_str(&bytes), fl_str_of(needle));
    fl_buf_free(&bytes);
    return found;
}

TEST(forgets_for_good)
{
    setup();
    struct fl_incidents *store = open_store(NULL);
    CHECK_EQ_INT(add(store, "secret", "Zanzibarquux", "the zanzibarquux host failed"), FL_OK);
    CHECK_EQ_INT(add(store, "other", "Full disk", disk), FL_OK);
    CHECK_EQ_STR(best(store, "zanzibarquux host failed"), "secret");
    CHECK_EQ_INT(fl_incidents_forget(store, FL_LIT("secret"), NULL), FL_OK);
    CHECK_EQ_INT(fl_incidents_forget(store, FL_LIT("secret"), NULL), FL_NOTFOUND);
    CHECK_EQ_STR(best(store, "zanzibarquux host failed"), "");
    CHECK_EQ_INT(count(store), 1);
    fl_incidents_close(store);
    CHECK(!file_holds("faultline.db", "anzibarquux"));
    CHECK(!file_holds("faultline.db-wal", "anzibarquux"));
    teardown();
}

static const char seeds_1[] =
    "{\"id\":\"s1\",\"title\":\"one\",\"text\":\"first edition\"}\n"
    "{\"id\":\"s2\",\"title\":\"two\"}\n{\"id\":\"s3\",\"title\":\"three\"}\n";
static const char seeds_2[] = "{\"id\":\"s1\",\"title\":\"one\",\"text\":\"second edition\"}\n"
                              "{\"id\":\"s2\",\"title\":\"two, better\"}\n"
                              "{\"id\":\"s3\",\"title\":\"three, better\"}\n";

static const char *title_of(struct fl_incidents *store, const char *id)
{
    struct fl_incident incident = {0};
    return fl_incidents_get(store, fl_str_of(id), &arena, &incident, NULL) == FL_OK
               ? incident.title.p
               : "(gone)";
}

TEST(seeds_respect_the_user)
{
    setup();
    char seeds[128];
    snprintf(seeds, sizeof seeds, "%s", in_folder("seeds.jsonl"));
    write_file(seeds, seeds_1);
    struct fl_incidents *store = open_store(seeds);
    size_t n = 0;
    CHECK_EQ_INT(count(store), 3);
    CHECK_EQ_INT(fl_incidents_forget(store, FL_LIT("s2"), NULL), FL_OK);
    CHECK_EQ_INT(
        fl_incidents_import(store, FL_LIT("{\"id\":\"s3\",\"title\":\"mine\"}"), "in", &n, NULL),
        FL_OK);
    CHECK_EQ_INT(n, 1);
    fl_incidents_close(store);

    write_file(seeds, seeds_2);
    store = open_store(seeds);
    struct fl_incident incident = {0};
    CHECK_EQ_INT(fl_incidents_get(store, FL_LIT("s1"), &arena, &incident, NULL), FL_OK);
    CHECK_EQ_STR(incident.text.p, "second edition");
    CHECK_EQ_STR(title_of(store, "s2"), "(gone)");
    CHECK_EQ_STR(title_of(store, "s3"), "mine");
    fl_incidents_close(store);

    CHECK_EQ_INT(fl_incidents_open(NULL, seeds, false, &store, NULL), FL_OK);
    CHECK_EQ_INT(count(store), 3);
    CHECK_EQ_STR(best(store, "second edition"), "s1");
    fl_incidents_close(store);

    write_file(seeds, "{\"id\":\"s9\",\"title\":\"nine\"}\n{\"id\":");
    store = open_store(seeds); /* a warning, and what was there before */
    CHECK_EQ_INT(count(store), 2);
    fl_incidents_close(store);
    teardown();
}

TEST(refuses_a_newer_schema)
{
    setup();
    fl_incidents_close(open_store(NULL));
    sqlite3 *db = NULL;
    CHECK_EQ_INT(sqlite3_open(in_folder("faultline.db"), &db), SQLITE_OK);
    CHECK_EQ_INT(sqlite3_exec(db, "PRAGMA user_version = 7", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    struct fl_incidents *store = NULL;
    struct fl_err err = {0};
    CHECK_EQ_INT(fl_incidents_open(folder, NULL, false, &store, &err), FL_CONFLICT);
    CHECK(store == NULL);
    CHECK_HAS(err.msg, "faultline.db");
    CHECK_HAS(err.msg, "schema 7");
    CHECK_HAS(err.msg, "--state");
    teardown();
}

/* As somebody without rights, in a child. */
static void child_denied(void)
{
    struct fl_incidents *store = NULL;
    struct fl_err err = {0};
    if (geteuid() == 0 && setuid(65534) != 0) {
        _exit(0);
    }
    CHECK_EQ_INT(fl_incidents_open(folder, NULL, false, &store, &err), FL_DENIED);
    CHECK_HAS(err.msg, folder);
    CHECK_HAS(err.msg, "--state");
    _exit(test_failures != 0);
}

static int wait_for(pid_t pid)
{
    int status = 0;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(says_when_it_cannot_write)
{
    setup();
    CHECK_EQ_INT(chmod(folder, 0555), 0);
    pid_t pid = fork();
    if (pid == 0) {
        child_denied();
    }
    CHECK_EQ_INT(wait_for(pid), 0);
    CHECK_EQ_INT(chmod(folder, 0700), 0);

    struct fl_incidents *store = NULL;
    struct fl_err err = {0};
    CHECK(fl_incidents_open("/dev/null/state", NULL, false, &store, &err) != FL_OK);
    CHECK_HAS(err.msg, "/dev/null");
    CHECK_HAS(err.msg, "--state");
    err = (struct fl_err){0};
    CHECK_EQ_INT(fl_incidents_open(folder, NULL, true, &store, &err), FL_NOTFOUND);
    fl_incidents_close(open_store(NULL));
    CHECK_EQ_INT(fl_incidents_open(folder, NULL, true, &store, NULL), FL_OK);
    CHECK_EQ_INT(add(store, "x", "y", "z"), FL_DENIED);
    CHECK_EQ_STR(best(store, "anything"), "");
    fl_incidents_close(store);
    teardown();
}

static void check_damaged(struct fl_str bytes)
{
    struct fl_incidents *store = NULL;
    struct fl_err err = {0};
    struct fl_buf after;
    CHECK_EQ_INT(fl_fsio_replace(in_folder("faultline.db"), bytes, false, NULL), FL_OK);
    enum fl_status status = fl_incidents_open(folder, NULL, false, &store, &err);
    if (status == FL_OK) {
        struct fl_hits hits;
        status = fl_retrieve(store, fl_str_of(oom), 5, &arena, &hits, &err);
        fl_incidents_close(store);
    }
    CHECK_EQ_INT(status, FL_CORRUPT);
    CHECK_HAS(err.msg, "faultline.db: the database is damaged");
    CHECK_HAS(err.msg, "Move it away");
    fl_buf_init(&after, 64 << 20);
    CHECK_EQ_INT(fl_fsio_read(in_folder("faultline.db"), &after, NULL), FL_OK);
    CHECK(fl_str_eq(fl_buf_str(&after), bytes));
    fl_buf_free(&after);
}

TEST(leaves_a_damaged_file_alone)
{
    setup();
    struct fl_incidents *store = open_store(NULL);
    struct fl_buf bytes;
    for (int i = 0; i < 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", i);
        CHECK_EQ_INT(add(store, id, "GPU memory", oom), FL_OK);
    }
    fl_incidents_close(store);
    unlink(in_folder("faultline.db-wal"));
    unlink(in_folder("faultline.db-shm"));
    fl_buf_init(&bytes, 64 << 20);
    CHECK_EQ_INT(fl_fsio_read(in_folder("faultline.db"), &bytes, NULL), FL_OK);
    CHECK(bytes.n > 100 * 1024);
    memset(bytes.p + 8192, 0xa5, bytes.n - 8192);
    check_damaged(fl_buf_str(&bytes));
    check_damaged(FL_LIT("this is no database, but it is long enough to look like a header of one, "
                         "so that the library reads it and finds out for itself what it is not"));
    fl_buf_free(&bytes);
    teardown();
}

/* A small generator, the same everywhere. */
static uint32_t random_state;
static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

static void random_vector(float *v)
{
    double squares = 0;
    for (size_t i = 0; i < FL_EMBED_DIM; i++) {
        v[i] = (float)((double)next_random() / (1 << 23) - 1);
        squares += (double)v[i] * (double)v[i];
    }
    for (size_t i = 0; i < FL_EMBED_DIM; i++) {
        v[i] = (float)((double)v[i] / __builtin_sqrt(squares));
    }
}

TEST(index_equals_brute_force)
{
    enum { N = 500, K = 5, QUERIES = 200 };
    setup();
    random_state = 42;
    float *all = fl_arena_alloc(&arena, N * FL_EMBED_DIM * sizeof *all);
    int64_t *ids = fl_arena_alloc(&arena, N * sizeof *ids);
    struct fl_index *index = NULL;
    for (size_t i = 0; i < N; i++) {
        random_vector(all + i * FL_EMBED_DIM);
        ids[i] = (int64_t)(i * 3 + 7);
    }
    CHECK_EQ_INT(fl_index_new(FL_EMBED_DIM, &index, NULL), FL_OK);
    CHECK_EQ_INT(fl_index_add(index, N, all, ids, NULL), FL_OK);
    CHECK_EQ_INT(fl_index_count(index), N);
    for (int q = 0; q < QUERIES; q++) {
        float query[FL_EMBED_DIM];
        int64_t got[K];
        float scores[K];
        size_t n = 0;
        bool used[N] = {false};
        random_vector(query);
        CHECK_EQ_INT(fl_index_search(index, query, K, got, scores, &n, NULL), FL_OK);
        CHECK_EQ_INT(n, K);
        for (size_t rank = 0; rank < n; rank++) {
            size_t top = 0;
            double most = -2;
            for (size_t i = 0; i < N; i++) {
                double dot = 0;
                for (size_t d = 0; d < FL_EMBED_DIM; d++) {
                    dot += (double)query[d] * (double)all[i * FL_EMBED_DIM + d];
                }
                if (!used[i] && dot > most) {
                    most = dot;
                    top = i;
                }
            }
            used[top] = true;
            CHECK_EQ_INT(got[rank], ids[top]);
        }
    }
    fl_index_free(index);
    teardown();
}

static double cosine(const float a[static FL_EMBED_DIM], const float b[static FL_EMBED_DIM])
{
    double sum = 0;
    for (size_t i = 0; i < FL_EMBED_DIM; i++) {
        sum += (double)a[i] * (double)b[i];
    }
    return sum < 0 ? 0 : sum > 1 ? 1 : sum;
}

TEST(embedding_masks_what_varies)
{
    float a[FL_EMBED_DIM];
    float b[FL_EMBED_DIM];
    bool empty = false;
    const char *one = "rank3: /srv/a/run17/train.py:188 Tried to allocate 2.5 GiB at 0x7f3a99 on "
                      "10.0.3.4:29500 deadbeef01";
    const char *two = "rank11: /home/b/train.py:52 Tried to allocate 73.25 GiB at 0x55aa17c0 on "
                      "10.9.1.77:31337 0badcafe99";
    CHECK_EQ_INT(fl_embed(fl_str_of(one), a, &empty, NULL), FL_OK);
    CHECK_EQ_INT(fl_embed(fl_str_of(two), b, &empty, NULL), FL_OK);
    CHECK(cosine(a, b) > 0.99);
    CHECK_EQ_INT(fl_embed(fl_str_of("Xid 79 on gpu"), a, &empty, NULL), FL_OK);
    CHECK_EQ_INT(fl_embed(fl_str_of("Xid 31 on gpu"), b, &empty, NULL), FL_OK);
    CHECK(cosine(a, b) < 0.95);
    CHECK_EQ_INT(fl_embed(FL_LIT(" \n\t\0 ,,, "), a, &empty, NULL), FL_OK);
    CHECK(empty);
}

enum { CHILDREN = 2, EACH = 40 };

static void add_many(int child)
{
    struct fl_incidents *store = open_store(NULL);
    for (int i = 0; i < EACH; i++) {
        char id[32];
        snprintf(id, sizeof id, "c%d-%d", child, i);
        CHECK_EQ_INT(add(store, id, "Collective timeout", nccl), FL_OK);
    }
    fl_incidents_close(store);
    _exit(test_failures != 0);
}

TEST(two_processes_add_at_once)
{
    setup();
    pid_t pids[CHILDREN];
    for (int c = 0; c < CHILDREN; c++) {
        pids[c] = fork(); /* the first to come makes the database */
        if (pids[c] == 0) {
            add_many(c);
        }
    }
    for (int c = 0; c < CHILDREN; c++) {
        CHECK_EQ_INT(wait_for(pids[c]), 0);
    }
    struct fl_incidents *store = open_store(NULL);
    CHECK_EQ_INT(count(store), CHILDREN * EACH);
    CHECK(*best(store, nccl) == 'c');
    pid_t pid = fork();
    if (pid == 0) { /* what another process adds is found by an open store */
        struct fl_incidents *other = open_store(NULL);
        CHECK_EQ_INT(add(other, "late", "Full disk", disk), FL_OK);
        fl_incidents_close(other);
        _exit(test_failures != 0);
    }
    CHECK_EQ_INT(wait_for(pid), 0);
    CHECK_EQ_STR(best(store, disk), "late");
    fl_incidents_close(store);
    teardown();
}

static void check_import(struct fl_incidents *store, const char *text, const char *part)
{
    struct fl_err err = {0};
    size_t n = 0;
    CHECK(fl_incidents_import(store, fl_str_of(text), "in.jsonl", &n, &err) != FL_OK);
    CHECK_HAS(err.msg, "in.jsonl: line ");
    CHECK_HAS(err.msg, part);
    CHECK_EQ_INT(n, 0);
    CHECK_EQ_INT(count(store), 1);
}

TEST(imports_all_or_nothing)
{
    setup();
    struct fl_incidents *store = open_store(NULL);
    CHECK_EQ_INT(add(store, "a", "GPU memory", oom), FL_OK);
    check_import(store, "{\"title\":\"x\"}\n\n{\"title\":\"y\"", "line 3");
    check_import(store, "{\"title\":\"x\"}\n{\"tittle\":\"y\"}", "\"tittle\"");
    check_import(store, "{\"title\":\"x\"}\n{\"title\":5}", "must be a string");
    check_import(store, "[1]", "expected an object");
    check_import(store, "{\"id\":\"a b\",\"title\":\"x\"}", "\"id\"");
    check_import(store, "{\"id\":\"n\",\"cause\":\"gpu_oom\"}", "needs a");
    char *big = fl_arena_alloc(&arena, FL_INCIDENT_PART + 64);
    memset(big, 'x', FL_INCIDENT_PART + 40);
    memcpy(big, "{\"title\":\"", 10);
    memcpy(big + FL_INCIDENT_PART + 38, "\"}", 2);
    check_import(store, big, "at most 4096");
    fl_incidents_close(store);
    teardown();
}

TEST(export_comes_back)
{
    setup();
    struct fl_incidents *store = open_store(NULL);
    size_t n = 0;
    CHECK_EQ_INT(add(store, "a", "GPU \"memory\"\n<b>", oom), FL_OK);
    CHECK_EQ_INT(add(store, "b", "Full disk", disk), FL_OK);
    int fd = open(in_folder("out.jsonl"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_EQ_INT(fl_incidents_export(store, fd, "out", NULL), FL_OK);
    close(fd);
    fl_incidents_close(store);
    struct fl_buf text;
    fl_buf_init(&text, 1 << 20);
    CHECK_EQ_INT(fl_fsio_read(in_folder("out.jsonl"), &text, NULL), FL_OK);
    CHECK_EQ_INT(fl_incidents_open(NULL, NULL, false, &store, NULL), FL_OK);
    for (int twice = 0; twice < 2; twice++) {
        CHECK_EQ_INT(fl_incidents_import(store, fl_buf_str(&text), "out", &n, NULL), FL_OK);
        CHECK_EQ_INT(n, 2);
        CHECK_EQ_INT(count(store), 2);
    }
    CHECK_EQ_STR(title_of(store, "a"), "GPU \"memory\"\n<b>");
    fl_buf_free(&text);
    fl_incidents_close(store);
    teardown();
}

TEST(hostile_queries_are_only_text)
{
    static const char *const texts[] = {"\" OR 1 --",
                                        "title : * NEAR(a b, 3) AND NOT",
                                        "^\"'*)(*&^%$#@!",
                                        "AND OR NOT NEAR",
                                        "\xff\xfe\x80 \xc3\x28",
                                        "'; DROP TABLE incidents; --",
                                        "\x1b[2J\x07 out of memory"};
    setup();
    struct fl_incidents *store = open_store(NULL);
    CHECK_EQ_INT(add(store, "a", "GPU memory", oom), FL_OK);
    CHECK_EQ_INT(add(store, "b", "NOT AND OR", "NEAR title : *"), FL_OK);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        best(store, texts[i]);
    }
    char *big = fl_arena_alloc(&arena, (1 << 20) + 1);
    for (size_t i = 0; i < 1 << 20; i++) {
        big[i] = (char)(next_random() % 255 + 1);
    }
    best(store, big);
    memset(big, '"', 1 << 20);
    best(store, big);
    CHECK_EQ_INT(count(store), 2);
    fl_incidents_close(store);
    teardown();
}

TEST(vectors_of_another_version_are_made_anew)
{
    setup();
    struct fl_incidents *store = open_store(NULL);
    CHECK_EQ_INT(add(store, "a", "GPU memory", oom), FL_OK);
    CHECK_EQ_INT(add(store, "b", "Full disk", disk), FL_OK);
    fl_incidents_close(store);
    sqlite3 *db = NULL;
    CHECK_EQ_INT(sqlite3_open(in_folder("faultline.db"), &db), SQLITE_OK);
    CHECK_EQ_INT(sqlite3_exec(db, "UPDATE vectors SET version = 0, vector = x'00' WHERE row = 1",
                              NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(db);
    for (int readonly = 1; readonly >= 0; readonly--) {
        CHECK_EQ_INT(fl_incidents_open(folder, NULL, readonly, &store, NULL), FL_OK);
        CHECK_EQ_STR(best(store, oom), "a");
        CHECK_EQ_STR(best(store, disk), "b");
        fl_incidents_close(store);
    }
    teardown();
}

/* Each shipped incident finds itself by its text, and opening is quick. */

/* An embedding model's vectors: kept by model, missing again when text or model change, and a ranking. */
TEST(vectors_of_a_model)
{
    setup();
    struct fl_incidents *store = open_store(NULL);
    CHECK_EQ_INT(add(store, "a", "Collective timeout", nccl), FL_OK);
    CHECK_EQ_INT(add(store, "b", "Full disk", disk), FL_OK);
    struct fl_dense_text missing[4];
    size_t n = 0;
    CHECK_EQ_INT(fl_dense_missing(store, FL_LIT("m"), 4, &arena, missing, &n, NULL), FL_OK);
    CHECK_EQ_INT(n, 2); /* newest first: b, a */
    CHECK(fl_str_eq(missing[1].text, fl_str_of(nccl)));
    const float vectors[] = {1, 0, 0, 1};
    CHECK_EQ_INT(fl_dense_keep(store, FL_LIT("m"), 2, missing, vectors, 2, NULL), FL_OK);
    CHECK_EQ_INT(fl_dense_missing(store, FL_LIT("m"), 4, &arena, missing, &n, NULL), FL_OK);
    CHECK_EQ_INT(n, 0);
    CHECK_EQ_INT(fl_dense_missing(store, FL_LIT("other"), 4, &arena, missing, &n, NULL), FL_OK);
    CHECK_EQ_INT(n, 2);

    struct fl_near near[4];
    const float query[] = {0.6F, 0.8F};
    CHECK_EQ_INT(fl_dense_near(store, FL_LIT("m"), query, 2, 4, near, &n, NULL), FL_OK);
    CHECK_EQ_INT(n, 2);
    CHECK(near[0].row == missing[1].row && near[0].score > 0.79 && near[0].score < 0.81);
    CHECK_EQ_INT(fl_dense_near(store, FL_LIT("m"), query, 1, 4, near, &n, NULL), FL_OK);
    CHECK_EQ_INT(n, 0); /* none with so many numbers */

    struct fl_hits hits;
    near[0] = (struct fl_near){missing[1].row, 0.9};
    CHECK_EQ_INT(fl_retrieve_others(store, FL_LIT("words that no incident has"), FL_LIT(""), near, 1, 5,
                                    &arena, &hits, NULL), FL_OK);
    CHECK_EQ_INT(hits.n, 1);
    CHECK(hits.n && fl_str_eq(hits.list[0].incident.id, FL_LIT("a")) &&
          hits.list[0].similarity < 0.5);

    struct fl_incident changed;
    CHECK_EQ_INT(fl_incidents_get(store, FL_LIT("a"), &arena, &changed, NULL), FL_OK);
    changed.text = FL_LIT("another text altogether");
    CHECK_EQ_INT(fl_incidents_put(store, &changed, NULL), FL_OK);
    CHECK_EQ_INT(fl_incidents_forget(store, FL_LIT("b"), NULL), FL_OK);
    CHECK_EQ_INT(fl_dense_near(store, FL_LIT("m"), query, 2, 4, near, &n, NULL), FL_OK);
    CHECK_EQ_INT(n, 0);
    fl_incidents_close(store);
}

TEST(shipped_seeds_load)
{
    const char *seeds = getenv("FL_SEEDS");
    if (!seeds) {
        return;
    }
    setup();
    fl_incidents_close(open_store(seeds));
    int64_t start = fl_clock_mono_us();
    struct fl_incidents *store = open_store(seeds);
    best(store, oom);
    fprintf(stderr, "       opened and searched %zu in %lld us\n", count(store),
            (long long)(fl_clock_mono_us() - start));
    CHECK(count(store) >= 50);
    fl_incidents_close(store);
    teardown();
}

int main(void)
{
    RUN(keeps_what_was_added);
    RUN(makes_ids_and_repairs_text);
    RUN(forgets_for_good);
    RUN(seeds_respect_the_user);
    RUN(refuses_a_newer_schema);
    RUN(says_when_it_cannot_write);
    RUN(leaves_a_damaged_file_alone);
    RUN(index_equals_brute_force);
    RUN(embedding_masks_what_varies);
    RUN(two_processes_add_at_once);
    RUN(imports_all_or_nothing);
    RUN(export_comes_back);
    RUN(hostile_queries_are_only_text);
    RUN(vectors_of_another_version_are_made_anew);
    RUN(vectors_of_a_model);
    RUN(shipped_seeds_load);
    return test_result();
}
