/* SPDX-License-Identifier: Apache-2.0 */
#include "service/jobs/books.h"

#include "service/base/fsio.h"
#include "service/base/log.h"
#include "service/refresh.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct fl_books {
    const char *state_dir;
    char folder[4096];
    pthread_mutex_t mutex;
    struct fl_book *now;
    struct fl_refresh *refresh; /* NULL: the folder cannot be watched */
};

static enum fl_status build(void *ctx, struct fl_checked *checked, struct fl_rulebook *out,
                            struct fl_err *err)
{
    struct fl_books *books = ctx;
    return fl_rulebook_open_part(books->state_dir, true, NULL, checked, out, err);
}

static void drop(struct fl_book *book)
{
    if (book) {
        fl_rulebook_close(&book->rules);
        free(book);
    }
}

/* Takes the rules over; the mutex is held. */
static bool put(struct fl_books *books, struct fl_rulebook *rules)
{
    struct fl_book *book = calloc(1, sizeof *book);
    if (!book) {
        fl_rulebook_close(rules);
        return false;
    }
    book->rules = *rules;
    struct fl_book *old = books->now;
    books->now = book;
    if (old && old->readers == 0) {
        drop(old);
    }
    return true;
}

enum fl_status fl_books_open(const char *state_dir, struct fl_books **out, struct fl_err *err)
{
    struct fl_books *books = calloc(1, sizeof *books);
    struct fl_rulebook rules = {.set = NULL};
    *out = NULL;
    if (!books) {
        return fl_fail(err, FL_NOMEM, "no memory for the rules");
    }
    books->state_dir = state_dir;
    pthread_mutex_init(&books->mutex, NULL);
    snprintf(books->folder, sizeof books->folder, "%s/rules", state_dir);
    enum fl_status status = fl_fsio_mkdirs(books->folder, err);
    if (status == FL_OK) {
        status = build(books, NULL, &rules, err);
    }
    if (status == FL_OK && !put(books, &rules)) {
        status = fl_fail(err, FL_NOMEM, "no memory for the rules");
    }
    struct fl_err fault = {0};
    if (status == FL_OK &&
        fl_refresh_start(books->folder, build, books, &books->refresh, &fault) != FL_OK) {
        fl_log(FL_LOG_WARN, "%s (rules are read anew at SIGHUP only)", fault.msg);
    }
    if (status != FL_OK) {
        fl_rulebook_close(&rules);
        fl_books_close(books);
        return status;
    }
    *out = books;
    return FL_OK;
}

void fl_books_close(struct fl_books *books)
{
    if (books) {
        if (books->refresh) {
            fl_refresh_stop(books->refresh);
        }
        drop(books->now);
        pthread_mutex_destroy(&books->mutex);
        free(books);
    }
}

struct fl_book *fl_books_take(struct fl_books *books)
{
    struct fl_rulebook fresh;
    pthread_mutex_lock(&books->mutex);
    if (books->refresh && fl_refresh_take(books->refresh, &fresh)) {
        put(books, &fresh);
    }
    struct fl_book *book = books->now;
    book->readers++;
    pthread_mutex_unlock(&books->mutex);
    return book;
}

void fl_books_give(struct fl_books *books, struct fl_book *book)
{
    pthread_mutex_lock(&books->mutex);
    bool last = --book->readers == 0 && book != books->now;
    pthread_mutex_unlock(&books->mutex);
    if (last) {
        drop(book);
    }
}

enum fl_status fl_books_reload(struct fl_books *books, struct fl_err *err)
{
    struct fl_rulebook rules = {.set = NULL};
    enum fl_status status = build(books, NULL, &rules, err);
    if (status != FL_OK) {
        fl_rulebook_close(&rules);
        return status;
    }
    pthread_mutex_lock(&books->mutex);
    bool ok = put(books, &rules);
    pthread_mutex_unlock(&books->mutex);
    return ok ? FL_OK : fl_fail(err, FL_NOMEM, "no memory for the rules");
}
