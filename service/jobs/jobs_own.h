/* SPDX-License-Identifier: Apache-2.0 */
/* For jobs.c and jobs_read.c only: the connection. */
#pragma once
#include "service/jobs/jobs.h"

#include <zstd.h>

enum fl_jobs_statement {
    FL_JOBS_FIND,
    FL_JOBS_NEW,
    FL_JOBS_GROW,
    FL_JOBS_NOTE,
    FL_JOBS_STREAM_FIND,
    FL_JOBS_STREAM_NEW,
    FL_JOBS_STREAM_COUNT,
    FL_JOBS_STREAM_GROW,
    FL_JOBS_CHUNK_NEW,
    FL_JOBS_RECEIPT,
    FL_JOBS_RECEIPTS_OLD,
    FL_JOBS_STATEMENTS,
};

struct fl_jobs {
    struct fl_db db;
    sqlite3_stmt *statement[FL_JOBS_STATEMENTS];
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    char room[ZSTD_COMPRESSBOUND(FL_JOBS_CHUNK)];
};
