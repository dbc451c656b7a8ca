/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of a sieve: taken when it is whole and one's own, and only then. A sieve
 * that was read back leaves the file alone; one that was compiled anew replaces it, which shows in
 * the inode. Either way the literals are found. */
#include "tests/unit/test.h"

#include "rules/match/sieve.h"
#include "service/base/fsio.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/faultline-sieve.XXXXXX";
static char cache[64];
static char file[512];

static const char *const fruit[] = {"apple", "(?i)pear", "\\w+"};
static const char *const roots[] = {"carrot", "turnip", "beet|turnip"};

struct search {
    const struct fl_needles *needles;
    char out[64];
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *ctx)
{
    struct search *s = ctx;
    (void)from;
    (void)to;
    (void)flags;
    for (uint32_t i = s->needles->first[id]; i < s->needles->first[id + 1]; i++) {
        snprintf(s->out + strlen(s->out), sizeof s->out - strlen(s->out), "%u ",
                 s->needles->users[i]);
    }
    return 0;
}

/* Which patterns the literals found in a fixed text are of, and behind a bar those that wait for none. */
static const char *found(const char *const *texts, size_t n, const char *where)
{
    static const char text[] = "apple APPLE PEAR turnip carrot pear";
    static struct search search;
    struct fl_pattern patterns[64] = {{.flags = 0}};
    struct fl_sieve_made_of of = {patterns, 0, (uint32_t)n, true, NULL};
    struct fl_sieve sieve;
    hs_scratch_t *scratch = NULL;
    struct fl_err err = {0};
    for (size_t i = 0; i < n; i++) {
        patterns[i] = (struct fl_pattern){fl_str_of(texts[i]), FL_PATTERN_TRUSTED};
    }
    CHECK_EQ_INT(fl_sieve_open(&of, where, "test", &sieve, &err), FL_OK);
    CHECK_EQ_STR(err.msg, "");
    search = (struct search){.needles = &sieve.needles};
    CHECK_EQ_INT(hs_alloc_scratch(sieve.scanner, &scratch), HS_SUCCESS);
    CHECK_EQ_INT(hs_scan(sieve.scanner, text, sizeof text - 1, 0, scratch, on_match, &search),
                 HS_SUCCESS);
    if (of.to < n) {
        snprintf(search.out + strlen(search.out), 16, "to %u ", of.to);
    }
    for (uint32_t i = 0; i < sieve.needles.always_n; i++) {
        snprintf(search.out + strlen(search.out), 8, "| %u", sieve.needles.always[i]);
    }
    hs_free_scratch(scratch);
    fl_sieve_fini(&sieve);
    return search.out;
}

static ino_t inode(void)
{
    struct stat st;
    return lstat(file, &st) == 0 ? st.st_ino : 0;
}

/* Opens it once more: the answers must be right. Was the file taken as it is? */
static bool taken(void)
{
    struct stat before;
    struct stat after;
    CHECK_EQ_INT(lstat(file, &before), 0);
    CHECK_EQ_STR(found(fruit, 3, cache), "0 1 1 | 2");
    CHECK_EQ_INT(lstat(file, &after), 0);
    return before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec &&
           before.st_mtim.tv_sec == after.st_mtim.tv_sec;
}

static struct fl_buf content(void)
{
    struct fl_buf bytes;
    fl_buf_init(&bytes, 1 << 20);
    CHECK_EQ_INT(fl_fsio_read(file, &bytes, NULL), FL_OK);
    return bytes;
}

static void put(struct fl_str bytes)
{
    CHECK_EQ_INT(fl_fsio_replace(file, bytes, false, NULL), FL_OK);
}

TEST(is_written_and_taken)
{
    struct stat st = {0};
    CHECK_EQ_STR(found(fruit, 3, NULL), "0 1 1 | 2");
    CHECK(!fl_fsio_exists(cache));
    CHECK_EQ_STR(found(fruit, 3, cache), "0 1 1 | 2");
    DIR *dir = opendir(cache);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (strncmp(e->d_name, "sieve-test-", 11) == 0) {
            snprintf(file, sizeof file, "%s/%s", cache, e->d_name);
        }
    }
    closedir(dir);
    CHECK_EQ_INT(lstat(file, &st), 0);
    CHECK_EQ_INT(st.st_mode & 07777, 0600);
    CHECK(taken());
}

TEST(other_patterns_replace_it)
{
    ino_t before = inode();
    CHECK_EQ_STR(found(roots, 3, cache), "1 2 0 ");
    CHECK(inode() != before);
    CHECK(!taken());
    CHECK(taken());
}

/* Patterns that came since are left to another sieve, until they are many; one that changed is not, nor
 * one that went. */
TEST(late_ones_are_left_out)
{
    enum { MANY = 40 };
    const char *list[3 + MANY] = {"apple", "(?i)pear", "\\w+", "turnip"};
    char text[MANY][16];
    ino_t before = inode();
    CHECK_EQ_STR(found(list, 4, cache), "0 1 1 to 3 | 2");
    CHECK(inode() == before && taken());
    for (size_t i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "turnip%zu", i);
        list[3 + i] = text[i];
    }
    CHECK_EQ_STR(found(list, 3 + 32, cache), "0 1 1 to 3 | 2");
    CHECK(inode() == before);
    CHECK_EQ_STR(found(list, 3 + 33, cache), "0 1 1 | 2");
    CHECK(inode() != before);
    list[34] = "carrot"; /* not the last one */
    CHECK_EQ_STR(found(list, 3 + 33, cache), "0 1 34 1 | 2");
    before = inode();
    CHECK_EQ_STR(found(list, 3 + 20, cache), "0 1 1 | 2");
    CHECK(inode() != before);
    CHECK_EQ_STR(found(fruit, 3, cache), "0 1 1 | 2");
}

/* Each damaged byte is seen, wherever it is; so is each cut. */
TEST(damage_is_seen)
{
    struct fl_buf whole = content();
    for (size_t i = 0; i < whole.n; i += i < 100 ? 1 : 97) {
        whole.p[i] ^= 0x10;
        put(fl_buf_str(&whole));
        CHECK(!taken());
        whole.p[i] ^= 0x10;
    }
    for (size_t n = 0; n < whole.n; n += n < 100 ? 1 : 211) {
        put((struct fl_str){whole.p, n});
        CHECK(!taken());
    }
    fl_buf_add_text(&whole, "more");
    put(fl_buf_str(&whole));
    CHECK(!taken());
    CHECK(taken());
    fl_buf_free(&whole);
}

TEST(only_ones_own_file_counts)
{
    static const mode_t modes[] = {0620, 0602, 0666};
    char other[600];
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        CHECK_EQ_INT(chmod(file, modes[i]), 0);
        CHECK(!taken());
        CHECK(taken());
    }
    snprintf(other, sizeof other, "%s/other", cache);
    CHECK_EQ_INT(rename(file, other), 0);
    CHECK_EQ_INT(symlink(other, file), 0);
    CHECK(!taken());
    CHECK(taken());
    CHECK_EQ_INT(unlink(other), 0);
    CHECK_EQ_INT(unlink(file), 0);
    CHECK_EQ_INT(mkfifo(file, 0600), 0);
    CHECK(!taken());
    CHECK(taken());
    if (geteuid() == 0) {
        CHECK_EQ_INT(chown(file, 65534, 65534), 0);
        CHECK(!taken());
        CHECK(taken());
    }
}

TEST(goes_without)
{
    CHECK_EQ_INT(unlink(file), 0);
    CHECK_EQ_INT(mkdir(file, 0700), 0); /* cannot be read, cannot be replaced */
    CHECK_EQ_STR(found(fruit, 3, cache), "0 1 1 | 2");
    CHECK_EQ_INT(rmdir(file), 0);
    CHECK_EQ_INT(rmdir(cache), 0);
    FILE *f = fopen(cache, "w"); /* a file where the folder should be */
    CHECK(f && fclose(f) == 0);
    CHECK_EQ_STR(found(fruit, 3, cache), "0 1 1 | 2");
    CHECK_EQ_INT(unlink(cache), 0);
    CHECK_EQ_STR(found(fruit, 3, "/proc/no/such/folder"), "0 1 1 | 2");
}

int main(void)
{
    if (!mkdtemp(folder)) {
        return 1;
    }
    snprintf(cache, sizeof cache, "%s/cache", folder);
    RUN(is_written_and_taken);
    RUN(other_patterns_replace_it);
    RUN(late_ones_are_left_out);
    RUN(damage_is_seen);
    RUN(only_ones_own_file_counts);
    RUN(goes_without);
    CHECK_EQ_INT(rmdir(folder), 0);
    return test_result();
}
