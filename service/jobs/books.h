/* SPDX-License-Identifier: Apache-2.0 */
/* The rulebook of a program that runs on: one in force, which several threads read; when rules of the state
 * folder change, or on demand, a new one is built aside and put in its place. Who holds the old one may
 * finish with it.
 * Threads: any. */
#pragma once
#include "service/rulebook.h"

struct fl_books;

struct fl_book {
    struct fl_rulebook rules;
    int readers;
};

enum fl_status fl_books_open(const char *state_dir, struct fl_books **out, struct fl_err *err) FL_MUST_USE;
void fl_books_close(struct fl_books *books); /* after the last give */

struct fl_book *fl_books_take(struct fl_books *books);
void fl_books_give(struct fl_books *books, struct fl_book *book);

/* Builds it anew; the old one stays in force when that fails. */
enum fl_status fl_books_reload(struct fl_books *books, struct fl_err *err) FL_MUST_USE;
