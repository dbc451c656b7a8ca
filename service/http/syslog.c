/* SPDX-License-Identifier: Apache-2.0 */
#include "service/http/syslog.h"

#include "service/base/clock.h"
#include "service/base/log.h"
#include "service/http/push.h"
#include "service/http/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ROOM = 2 * FL_SYSLOG_MESSAGE,
    BATCH = 4 << 20,
    LENGTH_DIGITS = 7,
    GATHER_MS = 50, /* what comes within is written together */
    FAULT_WAIT_MS = 1000,
};

struct sender {
    int fd;
    int64_t heard_ms;
    size_t n;
    bool over;
    char room[ROOM];
};

struct fl_syslog {
    struct fl_writer *writer;
    struct fl_triage *triage;
    struct fl_counters *counters;
    pthread_t thread;
    int listen_fd;
    int stop_fd;
    struct sender *senders[FL_SYSLOG_CONNECTIONS];
    size_t n;
    struct fl_push *push; /* what was read and not written yet; NULL: nothing */
    size_t push_bytes;
};

/* ---- frames ---- */

static ssize_t counted(struct fl_str s, struct fl_str *message_r)
{
    long length = 0;
    struct fl_str rest = s;
    bool number = fl_str_take_number(&rest, &length);
    if (!number || s.n - rest.n > LENGTH_DIGITS || (rest.n && *rest.p != ' ')) {
        return -1;
    }
    if (rest.n == 0 || rest.n - 1 < (size_t)length) {
        return length > FL_SYSLOG_MESSAGE ? -1 : 0;
    }
    *message_r = (struct fl_str){rest.p + 1, (size_t)length};
    return (ssize_t)(s.n - rest.n + 1 + (size_t)length);
}

ssize_t fl_syslog_frame(struct fl_str s, struct fl_str *message_r)
{
    if (s.n == 0) {
        return 0;
    }
    if (fl_is_digit(*s.p) && *s.p != '0') {
        return counted(s, message_r);
    }
    if (*s.p != '<' && *s.p != '\n') {
        return -1;
    }
    const char *end = memchr(s.p, '\n', s.n);
    if (end || s.n >= FL_SYSLOG_MESSAGE) {
        *message_r = (struct fl_str){s.p, end ? (size_t)(end - s.p) : FL_SYSLOG_MESSAGE};
        return (ssize_t)(message_r->n + (end != NULL));
    }
    return 0;
}

/* ---- writing ---- */

struct batch {
    struct fl_write write;
    struct fl_jobs_part *parts;
    size_t n;
};

static enum fl_status write_batch(struct fl_write *write, struct fl_jobs *jobs, struct fl_err *err)
{
    struct batch *b = FL_WRITE_OF(write, struct batch, write);
    return fl_jobs_add(jobs, b->parts, b->n, (struct fl_str){"", 0}, err);
}

static bool is_stopped(const struct fl_syslog *s, int wait_ms)
{
    struct pollfd stop = {.fd = s->stop_fd, .events = POLLIN};
    return poll(&stop, 1, wait_ms) > 0;
}

/* Until it is on disk: nothing more is read meanwhile. */
static void flush(struct fl_syslog *s)
{
    size_t n = 0;
    const struct fl_push_stream *streams = s->push ? fl_push_streams(s->push, &n) : NULL;
    struct batch b = {.write = {.run = write_batch, .bytes = s->push_bytes, .yields = true}, .n = n,
                      .parts = n ? calloc(n, sizeof *b.parts) : NULL};
    enum fl_status status = n && !b.parts ? FL_NOMEM : FL_OK;
    for (size_t i = 0; b.parts && i < n; i++) {
        b.parts[i] = (struct fl_jobs_part){.job = fl_str_of(streams[i].job),
                                           .stream = fl_str_of(streams[i].name),
                                           .node = fl_str_of(streams[i].node),
                                           .rank = streams[i].rank,
                                           .text = fl_buf_str(&streams[i].text),
                                           .lines = streams[i].lines,
                                           .offset = -1};
    }
    for (bool again = b.parts != NULL; again;) {
        status = fl_writer_do(s->writer, &b.write, NULL);
        again = status != FL_OK && !is_stopped(s, FAULT_WAIT_MS);
    }
    for (size_t i = 0; status == FL_OK && i < n; i++) {
        fl_triage_grown(s->triage, b.parts[i].row);
    }
    if (n) {
        const struct fl_counter_label label = {"protocol", "syslog"};
        long lines = fl_push_lines(s->push);
        fl_counters_add(s->counters, "faultline_ingest_bytes_total", &label, 1, (double)s->push_bytes);
        fl_counters_add(s->counters, status == FL_OK ? "faultline_ingest_lines_total"
                                                     : "faultline_ingest_rejected_total",
                        &label, 1, (double)lines);
    }
    free(b.parts);
    fl_push_free(s->push);
    s->push = NULL;
    s->push_bytes = 0;
}

static void add(struct fl_syslog *s, struct fl_str message)
{
    static const struct fl_push_given given = {{"", 0}, {"", 0}, {"", 0}, -1};
    if (message.n == 0) {
        return;
    }
    if (!s->push && fl_push_new(&given, &s->push, NULL) != FL_OK) {
        return;
    }
    if (fl_push_syslog(message, s->push, NULL) != FL_OK) { /* full: what it holds is written, then once more */
        flush(s);
        if (fl_push_new(&given, &s->push, NULL) != FL_OK || fl_push_syslog(message, s->push, NULL) != FL_OK) {
            return;
        }
    }
    s->push_bytes += message.n;
    if (s->push_bytes >= BATCH) {
        flush(s);
    }
}

/* ---- connections ---- */

static void take_messages(struct fl_syslog *s, struct sender *from, bool ended)
{
    struct fl_str rest = {from->room, from->n};
    struct fl_str message = {"", 0};
    ssize_t n = 0;
    while ((n = fl_syslog_frame(rest, &message)) > 0) {
        add(s, message);
        rest = fl_str_skip(rest, (size_t)n);
    }
    if (n == 0 && ended && rest.n && *rest.p == '<') {
        add(s, rest); /* the last one needs no LF */
    }
    from->over |= n < 0 || ended;
    memmove(from->room, rest.p, rest.n);
    from->n = rest.n;
}

static void read_sender(struct fl_syslog *s, struct sender *from)
{
    ssize_t got = recv(from->fd, from->room + from->n, sizeof from->room - from->n, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    from->heard_ms = fl_clock_mono_ms();
    from->n += got > 0 ? (size_t)got : 0;
    take_messages(s, from, got <= 0);
}

static void accept_sender(struct fl_syslog *s)
{
    int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct sender *from = fd >= 0 && s->n < FL_SYSLOG_CONNECTIONS ? malloc(sizeof *from) : NULL;
    if (!from) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    from->fd = fd;
    from->n = 0;
    from->over = false;
    from->heard_ms = fl_clock_mono_ms();
    s->senders[s->n++] = from;
}

static void close_over(struct fl_syslog *s)
{
    int64_t now = fl_clock_mono_ms();
    for (size_t i = 0; i < s->n;) {
        struct sender *from = s->senders[i];
        if (from->over || now - from->heard_ms > FL_SYSLOG_IDLE_S * 1000LL) {
            close(from->fd);
            free(from);
            s->senders[i] = s->senders[--s->n];
        } else {
            i++;
        }
    }
}

static void *run(void *arg)
{
    struct fl_syslog *s = arg;
    struct pollfd fds[FL_SYSLOG_CONNECTIONS + 2];
    int64_t first = 0; /* when the oldest unwritten message was read */
    for (;;) {
        size_t n = s->n;
        fds[0] = (struct pollfd){.fd = s->stop_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = s->listen_fd, .events = POLLIN};
        for (size_t i = 0; i < n; i++) {
            fds[2 + i] = (struct pollfd){.fd = s->senders[i]->fd, .events = POLLIN};
        }
        (void)poll(fds, n + 2, s->push ? GATHER_MS : 10000);
        bool stop = fds[0].revents != 0;
        for (size_t i = 0; i < n; i++) {
            if (fds[2 + i].revents) {
                read_sender(s, s->senders[i]);
            }
        }
        if (fds[1].revents && !stop) {
            accept_sender(s);
        }
        int64_t now = fl_clock_mono_ms();
        first = s->push ? (first ? first : now) : 0;
        if (s->push && (stop || now - first >= GATHER_MS)) {
            flush(s);
            first = 0;
        }
        close_over(s);
        if (stop) {
            return NULL;
        }
    }
}

/* ---- start and end ---- */

enum fl_status fl_syslog_start(const char *listen_at, struct fl_writer *writer, struct fl_triage *triage,
                               struct fl_counters *counters, struct fl_syslog **out, struct fl_err *err)
{
    struct fl_syslog *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) {
        return fl_fail(err, FL_NOMEM, "no memory for syslog");
    }
    *s = (struct fl_syslog){.writer = writer, .triage = triage, .counters = counters, .listen_fd = -1,
                            .stop_fd = eventfd(0, EFD_CLOEXEC)};
    enum fl_status status = fl_http_listen(listen_at, &s->listen_fd, err);
    if (status == FL_OK && (s->stop_fd < 0 || pthread_create(&s->thread, NULL, run, s) != 0)) {
        status = fl_fail(err, FL_NOMEM, "no thread for syslog");
    }
    if (status != FL_OK) {
        close(s->stop_fd);
        close(s->listen_fd);
        free(s);
        return status;
    }
    *out = s;
    return FL_OK;
}

int fl_syslog_port(const struct fl_syslog *s)
{
    return fl_http_port_of(s->listen_fd);
}

void fl_syslog_stop(struct fl_syslog *s)
{
    if (!s) {
        return;
    }
    const uint64_t one = 1;
    if (write(s->stop_fd, &one, sizeof one) == sizeof one) {
        pthread_join(s->thread, NULL);
    }
    for (size_t i = 0; i < s->n; i++) {
        close(s->senders[i]->fd);
        free(s->senders[i]);
    }
    fl_push_free(s->push);
    close(s->listen_fd);
    close(s->stop_fd);
    free(s);
}
