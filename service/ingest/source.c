/* SPDX-License-Identifier: Apache-2.0 */
/* One read path per kind of input. A followed file is read with pread, each time together with the
 * 256 bytes before the offset: when these differ from what was handed out, the file was rewritten
 * under us, whatever its size says. Kernel notices (inotify) only shorten the wait; network file
 * systems send none, so the file is looked at every 250 ms regardless. No mmap: a truncated file
 * would end in SIGBUS. */
#include "service/ingest/source.h"

#include "service/ingest/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "service/base/clock.h"

enum { INPUT_BYTES = 128 * 1024, OUTPUT_BYTES = 1 << 20, TAIL_BYTES = 256, POLL_MS = 250, ZSTD_WINDOW_LOG = 27,
       WAIT_MAX = 512 /* files whose notices end a wait; more are looked at every POLL_MS */ };

enum kind { KIND_PLAIN, KIND_GZIP, KIND_ZSTD };

enum step { STEP_DATA, STEP_WAIT, STEP_AGAIN };

struct fl_source {
    char *path; /* NULL for standard input */
    int fd;
    enum kind kind;
    bool follow;
    bool regular;
    bool input_end; /* nothing more behind input[input_n] */
    size_t zstd_hint; /* bytes that zstd would like next */
    bool in_member; /* between header and trailer of a gzip member or zstd frame */
    bool restarted;
    size_t input_at;
    size_t input_n;
    uint64_t packed_n; /* compressed bytes consumed */
    uint64_t offset;   /* bytes handed out since opening or restart */
    struct inflate_state *gzip;
    ZSTD_DCtx *zstd;
    const char *error; /* seen, but bytes before it are handed out first */
    int notify_fd;          /* inotify, or -1 */
    int64_t rotated_ms;     /* when the path was first seen to name another file, or 0 */
    size_t tail_n; /* bytes of tail, the last ones handed out of a followed file */
    unsigned char tail[TAIL_BYTES];
    unsigned char input[TAIL_BYTES + INPUT_BYTES];
};

const char *fl_source_name(const struct fl_source *src)
{
    return src->path ? src->path : "standard input";
}

uint64_t fl_source_offset(const struct fl_source *src)
{
    return src->offset;
}

bool fl_source_restarted(struct fl_source *src)
{
    bool restarted = src->restarted;
    src->restarted = false;
    return restarted;
}

/* ---- bytes as they lie on disk ---- */

static enum fl_status read_raw(struct fl_source *src, void *bytes, size_t n, size_t *got_r,
                               struct fl_err *err)
{
    ssize_t got = -1;
    do {
        got = read(src->fd, bytes, n);
    } while (got < 0 && errno == EINTR);
    *got_r = got < 0 ? 0 : (size_t)got;
    return got < 0 ? fl_fail_errno(err, "%s: cannot read", fl_source_name(src)) : FL_OK;
}

static enum fl_status fill_input(struct fl_source *src, struct fl_err *err)
{
    if (src->input_at < src->input_n || src->input_end) {
        return FL_OK;
    }
    src->input_at = src->input_n = 0;
    enum fl_status status = read_raw(src, src->input, INPUT_BYTES, &src->input_n, err);
    src->input_end = status == FL_OK && src->input_n == 0;
    return status;
}

/* Plain bytes: first what the look at the magic number took in, then straight from the file. */
static enum fl_status read_plain(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                                 struct fl_err *err)
{
    size_t ready = src->input_n - src->input_at;
    if (ready == 0) {
        return src->input_end ? FL_OK : read_raw(src, bytes, n, got_r, err);
    }
    *got_r = ready < n ? ready : n;
    memcpy(bytes, src->input + src->input_at, *got_r);
    src->input_at += *got_r;
    return FL_OK;
}

/* ---- gzip ---- */

static enum fl_status broken(const struct fl_source *src, const char *what, const char *why,
                             struct fl_err *err)
{
    return fl_fail(err, FL_CORRUPT, "%s: broken %s data after %llu bytes: %s", fl_source_name(src),
                   what, (unsigned long long)src->packed_n, why);
}

/* Between members: zero padding is allowed (tar, block devices), anything else is not gzip. */
static enum fl_status next_member(struct fl_source *src, struct fl_err *err)
{
    while (src->input_at < src->input_n && src->input[src->input_at] == 0) {
        src->input_at++;
        src->packed_n++;
    }
    if (src->input_at == src->input_n) {
        return FL_OK;
    }
    if (src->input[src->input_at] != 0x1f) {
        return broken(src, "gzip", "other bytes behind the end", err);
    }
    isal_inflate_reset(src->gzip);
    src->in_member = true;
    return FL_OK;
}

static const char *inflate_error(int code)
{
    return code == ISAL_INCORRECT_CHECKSUM     ? "its checksum differs"
           : code == ISAL_UNSUPPORTED_METHOD   ? "not the deflate method"
           : code == ISAL_INVALID_WRAPPER      ? "a bad header"
           : code == ISAL_INVALID_LOOKBACK     ? "a distance too far back"
                                               : "a bad block";
}

static void inflate_some(struct fl_source *src, char *bytes, size_t n, size_t *got_r)
{
    struct inflate_state *z = src->gzip;
    z->next_in = src->input + src->input_at;
    z->avail_in = (uint32_t)(src->input_n - src->input_at);
    z->next_out = (uint8_t *)bytes;
    z->avail_out = n < OUTPUT_BYTES ? (uint32_t)n : OUTPUT_BYTES;
    uint32_t room = z->avail_out;
    int result = isal_inflate(z);
    size_t used = (src->input_n - src->input_at) - z->avail_in;
    src->input_at += used;
    src->packed_n += used;
    *got_r = room - z->avail_out;
    src->in_member = z->block_state != ISAL_BLOCK_FINISH;
    src->error = result < 0 ? inflate_error(result) : NULL;
}

static enum fl_status read_gzip(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                                struct fl_err *err)
{
    while (*got_r == 0) {
        enum fl_status status = fill_input(src, err);
        if (status == FL_OK && src->error) {
            status = broken(src, "gzip", src->error, err);
        }
        if (status == FL_OK && !src->in_member) {
            status = next_member(src, err);
        }
        if (status != FL_OK) {
            return status;
        }
        if (src->in_member) {
            inflate_some(src, bytes, n, got_r);
        }
        if (*got_r == 0 && !src->error && src->input_end) {
            return src->in_member ? broken(src, "gzip", "it ends too early", err) : FL_OK;
        }
    }
    return FL_OK;
}

/* ---- zstd ---- */

static enum fl_status read_zstd(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                                struct fl_err *err)
{
    while (*got_r == 0) {
        enum fl_status status = fill_input(src, err);
        if (status != FL_OK) {
            return status;
        }
        if (src->error) {
            return broken(src, "zstd", src->error, err);
        }
        if (src->input_end && !src->in_member) {
            return FL_OK;
        }
        /* After an error nothing of the call's output counts. So a block's last bytes and the next
         * block's header (three bytes, part of the hint) never go into one call. */
        size_t most = src->zstd_hint > 3 ? src->zstd_hint - 3 : 3;
        size_t held = src->input_n - src->input_at;
        ZSTD_inBuffer in = {src->input + src->input_at, held < most ? held : most, 0};
        ZSTD_outBuffer out = {bytes, n, 0};
        size_t result = ZSTD_decompressStream(src->zstd, &out, &in);
        src->input_at += in.pos;
        src->packed_n += in.pos;
        *got_r = out.pos;
        if (ZSTD_isError(result)) {
            src->error = ZSTD_getErrorName(result);
            continue;
        }
        src->in_member = result != 0;
        src->zstd_hint = result;
        if (src->input_end && src->input_at == src->input_n && src->in_member && *got_r == 0) {
            return broken(src, "zstd", "it ends too early", err);
        }
    }
    return FL_OK;
}

/* ---- following ---- */

static void remember_tail(struct fl_source *src, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    if (n >= TAIL_BYTES) {
        memcpy(src->tail, from + n - TAIL_BYTES, TAIL_BYTES);
        src->tail_n = TAIL_BYTES;
        return;
    }
    size_t keep = src->tail_n + n > TAIL_BYTES ? TAIL_BYTES - n : src->tail_n;
    memmove(src->tail, src->tail + src->tail_n - keep, keep);
    memcpy(src->tail + keep, from, n);
    src->tail_n = keep + n;
}

static void begin_anew(struct fl_source *src)
{
    src->offset = 0;
    src->tail_n = 0;
    src->restarted = true;
}

/* Known bytes and new ones in one pread, so that no rewrite can slip in between. */
static enum fl_status read_followed(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                                    enum step *step_r, struct fl_err *err)
{
    size_t want = src->tail_n + (n < INPUT_BYTES ? n : INPUT_BYTES);
    ssize_t got = pread(src->fd, src->input, want, (off_t)(src->offset - src->tail_n));
    if (got < 0 && errno != EINTR) {
        return fl_fail_errno(err, "%s: cannot read", fl_source_name(src));
    }
    if (got < 0) {
        *step_r = STEP_WAIT;
        return FL_OK;
    }
    if ((size_t)got < src->tail_n || memcmp(src->input, src->tail, src->tail_n) != 0) {
        begin_anew(src);
        *step_r = STEP_AGAIN;
        return FL_OK;
    }
    *got_r = (size_t)got - src->tail_n;
    memcpy(bytes, src->input + src->tail_n, *got_r);
    remember_tail(src, bytes, *got_r);
    *step_r = *got_r ? STEP_DATA : STEP_WAIT;
    return FL_OK;
}

static void watch(struct fl_source *src)
{
    if (src->notify_fd >= 0) {
        close(src->notify_fd);
    }
    src->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    char *folder = src->notify_fd >= 0 ? strdup(src->path) : NULL;
    if (!folder) {
        return;
    }
    (void)inotify_add_watch(src->notify_fd, src->path, IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF);
    char *slash = strrchr(folder, '/');
    if (slash) {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    (void)inotify_add_watch(src->notify_fd, slash ? folder : ".", IN_CREATE | IN_MOVED_TO);
    free(folder);
}

/* At the end of the open file: does the path name another one? The old file is given POLL_MS more,
 * since its writer may not have noticed yet. */
static enum step look_for_rotation(struct fl_source *src)
{
    struct stat now;
    struct stat mine;
    if (stat(src->path, &now) != 0 || fstat(src->fd, &mine) != 0 || !S_ISREG(now.st_mode) ||
        (now.st_dev == mine.st_dev && now.st_ino == mine.st_ino)) {
        src->rotated_ms = 0;
        return STEP_WAIT;
    }
    if (src->rotated_ms == 0) {
        src->rotated_ms = fl_clock_mono_ms();
    }
    if (fl_clock_mono_ms() - src->rotated_ms < POLL_MS) {
        return STEP_WAIT;
    }
    int fd = open(src->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return STEP_WAIT;
    }
    close(src->fd);
    src->fd = fd;
    src->rotated_ms = 0;
    begin_anew(src);
    watch(src);
    return STEP_AGAIN;
}

static enum fl_status poll_file(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                                struct fl_err *err)
{
    for (;;) {
        enum step step = STEP_WAIT;
        enum fl_status status = read_followed(src, bytes, n, got_r, &step, err);
        if (status != FL_OK || step == STEP_DATA) {
            return status;
        }
        if (step != STEP_AGAIN && look_for_rotation(src) != STEP_AGAIN) {
            return FL_OK;
        }
    }
}

static enum fl_status poll_pipe(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                                bool *over_r, struct fl_err *err)
{
    struct pollfd ready = {.fd = src->fd, .events = POLLIN};
    if (src->input_at == src->input_n && !src->input_end && poll(&ready, 1, 0) == 0) {
        return FL_OK;
    }
    enum fl_status status = read_plain(src, bytes, n, got_r, err);
    *over_r = *got_r == 0;
    return status;
}

enum fl_status fl_source_poll(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                              bool *over_r, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    *got_r = 0;
    *over_r = false;
    if (src->kind != KIND_PLAIN) {
        status = fl_source_read(src, bytes, n, got_r, err);
        *over_r = *got_r == 0;
        return status;
    }
    status = src->regular ? poll_file(src, bytes, n, got_r, err)
                          : poll_pipe(src, bytes, n, got_r, over_r, err);
    src->offset += *got_r;
    return status;
}

void fl_sources_wait(struct fl_source *const *list, size_t n)
{
    struct pollfd notices[WAIT_MAX];
    nfds_t watched = 0;
    bool rotated = false;
    for (size_t i = 0; i < n; i++) {
        int fd = list[i]->regular ? list[i]->notify_fd : list[i]->fd;
        rotated |= list[i]->rotated_ms != 0;
        if (fd >= 0 && watched < WAIT_MAX) {
            notices[watched++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
    }
    (void)poll(notices, watched, rotated ? POLL_MS / 5 : POLL_MS);
    for (size_t i = 0; i < n; i++) {
        char events[4096];
        while (list[i]->notify_fd >= 0 && read(list[i]->notify_fd, events, sizeof events) > 0) {
        }
    }
}

/* ---- opening ---- */

static bool may_be(const struct fl_source *src, const char *magic, size_t n)
{
    size_t have = src->input_n < n ? src->input_n : n;
    return memcmp(src->input, magic, have) == 0;
}

/* Reads on while the first bytes could still become a magic number. */
static enum fl_status sniff(struct fl_source *src, struct fl_err *err)
{
    static const char gzip[] = "\x1f\x8b\x08";
    static const char zstd[] = "\x28\xb5\x2f\xfd";
    while (src->input_n < 4 && (may_be(src, gzip, 3) || may_be(src, zstd, 4))) {
        size_t got;
        enum fl_status status =
            read_raw(src, src->input + src->input_n, INPUT_BYTES - src->input_n, &got, err);
        if (status != FL_OK) {
            return status;
        }
        if (got == 0) {
            src->input_end = true;
            break;
        }
        src->input_n += got;
    }
    if (src->input_n >= 3 && may_be(src, gzip, 3)) {
        src->kind = KIND_GZIP;
    } else if (src->input_n >= 4 && may_be(src, zstd, 4)) {
        src->kind = KIND_ZSTD;
    }
    return FL_OK;
}

static enum fl_status prepare(struct fl_source *src, struct fl_err *err)
{
    enum fl_status status = sniff(src, err);
    if (status != FL_OK) {
        return status;
    }
    if (src->kind == KIND_GZIP) {
        src->gzip = malloc(sizeof *src->gzip);
        if (!src->gzip) {
            return fl_fail(err, FL_NOMEM, "no memory for gzip");
        }
        isal_inflate_init(src->gzip);
        src->gzip->crc_flag = ISAL_GZIP;
        src->in_member = true;
        return FL_OK;
    }
    if (src->kind == KIND_ZSTD) {
        src->zstd = ZSTD_createDCtx();
        if (!src->zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(src->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))) {
            return fl_fail(err, FL_NOMEM, "no memory for zstd");
        }
        return FL_OK;
    }
    if (src->follow && src->regular) {
        src->input_n = 0; /* read once more by offset */
        watch(src);
    }
    return FL_OK;
}

static enum fl_status open_path(struct fl_source *src, const char *path, struct fl_err *err)
{
    if (strcmp(path, "-") == 0) {
        src->fd = STDIN_FILENO;
    } else {
        src->path = strdup(path);
        if (!src->path) {
            return fl_fail(err, FL_NOMEM, "%s: no memory", path);
        }
        src->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    }
    struct stat st;
    if (src->fd < 0 || fstat(src->fd, &st) != 0) {
        return fl_fail_errno(err, "%s: cannot open", path);
    }
    if (S_ISDIR(st.st_mode)) {
        return fl_fail(err, FL_USAGE, "%s: is a folder, not a log", path);
    }
    src->regular = S_ISREG(st.st_mode) && src->path;
    return FL_OK;
}

enum fl_status fl_source_open(const char *path, unsigned flags, struct fl_source **src_r,
                              struct fl_err *err)
{
    *src_r = NULL;
    struct fl_source *src = calloc(1, sizeof *src);
    if (!src) {
        return fl_fail(err, FL_NOMEM, "%s: no memory", path);
    }
    src->fd = -1;
    src->notify_fd = -1;
    src->follow = flags & FL_SOURCE_FOLLOW;
    enum fl_status status = open_path(src, path, err);
    if (status == FL_OK) {
        status = prepare(src, err);
    }
    if (status != FL_OK) {
        fl_source_close(src);
        return status;
    }
    *src_r = src;
    return FL_OK;
}

void fl_source_close(struct fl_source *src)
{
    if (!src) {
        return;
    }
    free(src->gzip);
    ZSTD_freeDCtx(src->zstd);
    if (src->notify_fd >= 0) {
        close(src->notify_fd);
    }
    if (src->fd >= 0 && src->path) {
        close(src->fd);
    }
    free(src->path);
    free(src);
}

enum fl_status fl_source_read(struct fl_source *src, char *bytes, size_t n, size_t *got_r,
                              struct fl_err *err)
{
    *got_r = 0;
    enum fl_status status = FL_OK;
    switch (src->kind) {
    case KIND_PLAIN:
        status = read_plain(src, bytes, n, got_r, err);
        break;
    case KIND_GZIP:
        status = read_gzip(src, bytes, n, got_r, err);
        break;
    case KIND_ZSTD:
        status = read_zstd(src, bytes, n, got_r, err);
        break;
    }
    src->offset += *got_r;
    return status;
}

enum fl_status fl_source_pour(struct fl_source *src, struct fl_lines *lines,
                              enum fl_status *read_r, struct fl_err *fault, struct fl_err *err)
{
    enum fl_status status = FL_OK;
    *read_r = FL_OK;
    for (size_t got = 1; status == FL_OK && *read_r == FL_OK && got;) {
        size_t room = 0;
        char *p = fl_lines_room(lines, &room);
        *read_r = fl_source_read(src, p, room, &got, fault);
        if (*read_r == FL_OK) {
            status = fl_lines_filled(lines, got, err);
        }
    }
    return status == FL_OK ? fl_lines_end(lines, err) : status;
}
