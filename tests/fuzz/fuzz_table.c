/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of metrics of any bytes: nothing is read past the end of a line (ASan), and what was read as a
 * table is a stream whose rows are counted. */
#include "service/job_table.h"
#include "service/rulebook.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fl_rulebook book; /* read once */

static void must(bool so)
{
    if (!so) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct fl_err err = {0};
    struct fl_job *job = NULL;
    bool read = false;
    uint32_t streams = 0;
    if (!book.set) {
        must(fl_rulebook_open(NULL, &book, &err) == FL_OK);
    }
    int fd = memfd_create("table", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(fl_job_new(book.set, &job, &err) == FL_OK);
    enum fl_status status = fl_job_table(job, "table.csv", path, &read, &err);
    const struct fl_stream *list = fl_diagnosis_streams(fl_job_diagnosis(job), &streams);
    must(status == FL_OK || err.msg[0]);
    must(streams == read);
    must(!read || (list[0].lines >= 0 && list[0].lines <= (long)size));
    fl_diagnosis_end(fl_job_diagnosis(job));
    struct fl_verdict verdict;
    fl_attribute(fl_job_diagnosis(job), &verdict);
    fl_job_free(job);
    close(fd);
    return 0;
}
