/* SPDX-License-Identifier: Apache-2.0 */
/* VACUUM INTO reads in one transaction, so that what was acknowledged before it began is in the copy. */
#include "service/backup.h"

#include "service/base/fsio.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_CAP = 4096, FILE_CAP = 64 << 20, BUSY_MS = 10000 };

static const char *const databases[] = {"faultline.db", "jobs.db"};

static enum fl_status fail(sqlite3 *db, const char *path, const char *doing, struct fl_err *err)
{
    int code = db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM;
    enum fl_status status = code == SQLITE_FULL ? FL_FULL : code == SQLITE_CORRUPT ? FL_CORRUPT : FL_IO;
    return fl_fail(err, status, "%s: cannot %s: %s", path, doing, db ? sqlite3_errmsg(db) : "no memory");
}

/* "ok" and nothing else is what a whole database says. */
static enum fl_status check(const char *path, struct fl_err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    enum fl_status status = FL_OK;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW) {
        status = fail(db, path, "check it", err);
    } else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0) {
        status = fl_fail(err, FL_CORRUPT, "%s: is damaged: %s", path, sqlite3_column_text(s, 0));
    }
    sqlite3_finalize(s);
    sqlite3_close_v2(db);
    return status;
}

static enum fl_status copy_database(const char *from, const char *to, struct fl_err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    enum fl_status status = FL_OK;
    if (sqlite3_open_v2(from, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_bind_text(s, 1, to, -1, SQLITE_STATIC) != SQLITE_OK || sqlite3_step(s) != SQLITE_DONE) {
        status = fail(db, from, "copy it", err);
    }
    sqlite3_finalize(s);
    sqlite3_close_v2(db);
    return status == FL_OK ? check(to, err) : status;
}

struct copying {
    const char *from;
    const char *to;
};

static enum fl_status copy_file(const char *from, const char *to, struct fl_err *err)
{
    char folder[PATH_CAP];
    struct fl_buf bytes;
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(to, '/') - to), to);
    fl_buf_init(&bytes, FILE_CAP);
    enum fl_status status = fl_fsio_mkdirs(folder, err);
    if (status == FL_OK) {
        status = fl_fsio_read(from, &bytes, err);
    }
    if (status == FL_OK) {
        status = fl_fsio_replace(to, fl_buf_str(&bytes), false, err);
    }
    fl_buf_free(&bytes);
    return status;
}

static enum fl_status copy_rule_file(void *ctx, const char *path, struct fl_err *err)
{
    const struct copying *c = ctx;
    char to[PATH_CAP];
    int n = snprintf(to, sizeof to, "%s%s", c->to, path + strlen(c->from));
    return n < (int)sizeof to ? copy_file(path, to, err)
                              : fl_fail(err, FL_LIMIT, "%s: the path is too long", path);
}

/* Everything that is there, from one folder to the other. */
static enum fl_status copy_all(const char *from, const char *to, struct fl_err *err)
{
    char a[PATH_CAP];
    char b[PATH_CAP];
    enum fl_status status = fl_fsio_mkdirs(to, err);
    bool any = false;
    for (size_t i = 0; status == FL_OK && i < sizeof databases / sizeof *databases; i++) {
        snprintf(a, sizeof a, "%s/%s", from, databases[i]);
        snprintf(b, sizeof b, "%s/%s", to, databases[i]);
        any |= fl_fsio_exists(a);
        status = fl_fsio_exists(a) ? copy_database(a, b, err) : FL_OK;
    }
    if (status == FL_OK && !any) {
        return fl_fail(err, FL_NOTFOUND, "%s: holds no database", from);
    }
    snprintf(a, sizeof a, "%s/tokens.json", from);
    snprintf(b, sizeof b, "%s/tokens.json", to);
    if (status == FL_OK && fl_fsio_exists(a)) {
        status = copy_file(a, b, err);
    }
    snprintf(a, sizeof a, "%s/rules", from);
    struct copying c = {from, to};
    return status == FL_OK && fl_fsio_is_dir(a) ? fl_fsio_walk(a, copy_rule_file, &c, err) : status;
}

static enum fl_status remove_file(void *ctx, const char *path, struct fl_err *err)
{
    (void)ctx;
    (void)err;
    unlink(path);
    return FL_OK;
}

static void remove_copy(const char *folder)
{
    static const char *const below[] = {"/rules/operator", "/rules", ""};
    char path[PATH_CAP];
    if (fl_fsio_walk(folder, remove_file, NULL, NULL) == FL_OK) {
        for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
            snprintf(path, sizeof path, "%s%s", folder, below[i]);
            rmdir(path);
        }
    }
}

enum fl_status fl_backup(const char *state_dir, const char *to, struct fl_err *err)
{
    char partial[PATH_CAP];
    int n = snprintf(partial, sizeof partial, "%s.partial", to);
    if (n >= (int)sizeof partial - 64) {
        return fl_fail(err, FL_LIMIT, "%.64s...: the path is too long", to);
    }
    if (fl_fsio_exists(to)) {
        return fl_fail(err, FL_CONFLICT, "%s: is there already; give another folder", to);
    }
    remove_copy(partial);
    enum fl_status status = copy_all(state_dir, partial, err);
    if (status == FL_OK && rename(partial, to) != 0) {
        status = fl_fail_errno(err, "%s", to);
    }
    if (status != FL_OK) {
        remove_copy(partial);
    }
    return status;
}

enum fl_status fl_restore(const char *from, const char *state_dir, struct fl_err *err)
{
    char path[PATH_CAP];
    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++) {
        snprintf(path, sizeof path, "%s/%s", state_dir, databases[i]);
        if (fl_fsio_exists(path)) {
            return fl_fail(err, FL_CONFLICT, "%s: is there already; move the state folder away first", path);
        }
    }
    return copy_all(from, state_dir, err);
}
