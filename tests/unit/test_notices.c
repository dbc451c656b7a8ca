/* SPDX-License-Identifier: Apache-2.0 */
/* Where notices may go (W1), what they say, and what jobs.db keeps of them. */
#include "tests/unit/test.h"

#include "service/jobs/outbox.h"
#include "service/notices/address.h"
#include "service/notices/notice.h"
#include "service/notices/post.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

/* ---- addresses ---- */

enum verdict { GOOD, PRIVATE, NEVER };

static enum verdict judged(const char *url)
{
    struct fl_err err = {0};
    bool open = fl_address_check(url, false, &err) == FL_OK;
    bool closed = fl_address_check(url, true, &err) == FL_OK;
    return open ? GOOD : closed ? PRIVATE : NEVER;
}

/* "v host" lines: g good, p private, n never */
static const char *const hosts[] = {
    "g example.com", "g hooks.slack.com", "g 1e100.net", "g a-b.c_d.example", "g xn--bcher-kva.example",
    "g EXAMPLE.COM", "g 8.8.8.8", "g 1.1.1.1", "g 93.184.216.34", "g 172.15.255.255", "g 172.32.0.1",
    "g 192.167.0.1", "g 169.253.0.1", "g 223.255.255.255", "g 100.63.255.255", "g 100.128.0.1", "g 11.0.0.1",
    "g [2606:4700::1111]", "g [2001:4860:4860::8888]", "g [64:ff9b::808:808]", "g [::ffff:8.8.8.8]",
    "g [2002:808:808::1]", "g alertmanager", "g alertmanager.monitoring.svc", "g 0x.example",
    "p 127.0.0.1", "p 127.255.255.254", "p 127.1.2.3", "p 10.0.0.1", "p 10.255.255.255", "p 172.16.0.1",
    "p 172.31.255.255", "p 192.168.0.1", "p 192.168.255.255", "p 100.64.0.1", "p 100.127.255.255",
    "p 100.100.100.200", "p 192.0.0.1", "p 192.0.0.170", "p 192.0.2.1", "p 198.18.0.1", "p 198.19.255.255",
    "p 198.51.100.7", "p 203.0.113.9", "p localhost", "p LOCALHOST", "p LocalHost", "p foo.localhost",
    "p [::1]", "p [0:0:0:0:0:0:0:1]", "p [0000:0000:0000:0000:0000:0000:0000:0001]", "p [::ffff:127.0.0.1]",
    "p [::ffff:7f00:1]", "p [::ffff:10.0.0.1]", "p [::ffff:c0a8:1]", "p [fc00::1]", "p [fd12:3456::1]",
    "p [fec0::1]", "p [2001:db8::1]", "p [64:ff9b::7f00:1]", "p [64:ff9b::10.0.0.1]", "p [2002:7f00:1::]",
    "p [2002:a00:1::1]", "p [::FFFF:192.168.1.1]",
    "n 169.254.169.254", "n 169.254.0.1", "n 169.254.255.255", "n 0.0.0.0", "n 0.1.2.3", "n 224.0.0.1",
    "n 239.255.255.250", "n 240.0.0.1", "n 255.255.255.255", "n [::]", "n [::ffff:169.254.169.254]",
    "n [::ffff:a9fe:a9fe]", "n [::ffff:0.0.0.0]", "n [fe80::1]", "n [febf::1]", "n [ff02::1]", "n [ff0e::1]",
    "n [fd00:ec2::254]", "n [64:ff9b::a9fe:a9fe]", "n [2002:a9fe:a9fe::]", "n [::7f00:1]", "n [::127.0.0.1]",
    "n [2001::1]", "n [4000::1]", "n [100::1]", "n [64:ff9b:1::1]", "n [fe80::1%25eth0]", "n [fe80::1%eth0]",
    "n [::1%25lo]", "n [::1%lo]", "n [::1", "n ::1", "n []", "n [127.0.0.1]", "n [1:2:3]", "n [::1]]", "n [[::1]]",
    "n [v1.x]", "n [::1]x", "n [::ffff:0x7f.1]",
    /* spellings of 127.0.0.1 and of the metadata address */
    "n 2130706433", "n 0x7f000001", "n 0X7F000001", "n 017700000001", "n 0177.0.0.1", "n 0x7f.0.0.1", "n 127.1",
    "n 127.0.1", "n 127.0.0.01", "n 127.0.0.1.", "n 127.0.0.1..", "n 0127.0.0.1", "n 127.0.0.0x1", "n 0x7f.1",
    "n 127.0.0.257", "n 127.0.0.1.1", "n 2852039166", "n 0xa9fea9fe", "n 0251.0376.0251.0376", "n 169.254.43518",
    "n 0xA9.0xFE.0xA9.0xFE", "n 025177524776", "n 1", "n 0", "n 00", "n 0x", "n 0.0", "n 256.256.256.256",
    "n 425.510.425.510", "n 169.254.169.254.", "n 4294967296", "n -1", "n 1.2.3.4.5",
    "n \xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1", "n 127\xe3\x80\x82" "0\xe3\x80\x82" "0\xe3\x80\x82" "1",
    "n \xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1", "n b\xc3\xbc" "cher.example", "n ex\xc2\xad" "ample.com",
    "n localhost.", "n example.com.", "n .example.com", "n example..com", "n -example.com", "n %6c%6fcalhost",
    "n exa%00mple.com", "n exam ple.com", "n exam\tple.com", "n exa\nmple.com", "n exa\r\nmple.com", "n exa\\mple.com",
    "n a,b", "n a;b", "n a!b", "n $(id)", "n `id`", "n *.example.com", "n \"x\"", "n <x>", "n {x}", "n a|b", "n ^",
    "n user@example.com", "n user:pw@example.com", "n @example.com", "n example.com@127.0.0.1",
    "n example.com:80@127.0.0.1", "n 127.0.0.1:80\\@example.com", "n example.com:", "n example.com:0",
    "n example.com:65536", "n example.com:99999999999", "n example.com:-1", "n example.com:8o", "n example.com:80:80",
    "n example.com: 80", "n example.com:+80", "n [::1]:", "n [::1]:x", "g example.com:1", "g example.com:65535",
    "p [::1]:9093", "p 127.0.0.1:9093", "n ",
};

static const char *const urls[] = {
    "g https://example.com", "g https://example.com/a/b?c=d", "g HTTP://example.com/", "g https://example.com?x",
    "g https://example.com/%0d%0aX", "g https://example.com/a@b", "g https://example.com/?u=http://127.0.0.1/",
    "n file:///etc/passwd", "n file://localhost/etc/passwd", "n gopher://127.0.0.1:6379/_INFO", "n ftp://example.com/",
    "n dict://127.0.0.1:11211/stat", "n ldap://127.0.0.1/", "n smb://x/y", "n scp://x/", "n tftp://x/", "n ws://x/",
    "n jar:http://example.com!/", "n javascript:alert(1)", "n data:text/plain,x", "n unix:/run/docker.sock",
    "n http:/example.com", "n http:example.com", "n http:///example.com", "n http:////example.com", "n //example.com",
    "n example.com", "n ", "n http://", "n https://", "n  https://example.com", "n https://example.com ",
    "n https://example.com/\r\nHost: x", "n https://example.com/\nx", "n https://example.com/a b",
    "n https://example.com/\x7f", "n https://example.com/\x01", "n https://example.com#@127.0.0.1/",
    "n https://example.com/#x", "n http+unix://x/", "n hxxp://example.com", "n https//example.com",
    "n https:\\\\example.com", "n url:http://example.com", "n http://?x", "n http:// /", "n http://#",
};

TEST(urls_as_written)
{
    static const char letters[] = "gpn";
    size_t n = 0;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++, n++) {
        char url[256];
        snprintf(url, sizeof url, "%s://%s/hook", i % 2 ? "https" : "http", hosts[i] + 2);
        if (letters[judged(url)] != hosts[i][0]) {
            test_failures++;
            fprintf(stderr, "%s is judged %c\n", hosts[i], letters[judged(url)]);
        }
    }
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++, n++) {
        if (letters[judged(urls[i] + 2)] != urls[i][0]) {
            test_failures++;
            fprintf(stderr, "%s is judged %c\n", urls[i], letters[judged(urls[i] + 2)]);
        }
    }
    fprintf(stderr, "%zu URLs\n", n);
    CHECK(n >= 200);
    char longest[FL_ADDRESS_URL + 100];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "https://e.example/", 18);
    longest[sizeof longest - 1] = '\0';
    CHECK_EQ_INT(judged(longest), NEVER);
}

/* A listener that nobody may reach. */
static int listen_here(int *port_r)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, n) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)&at, &n)) {
        exit(EXIT_FAILURE);
    }
    *port_r = ntohs(at.sin_port);
    return fd;
}

/* As if the check of what is written had let them pass: the socket is not even opened. */
TEST(addresses_as_resolved)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.1",
                                        "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "0.0.0.0", "[::]", "0",
                                        "ip6-localhost", "10.255.255.1", "192.168.255.1", "169.254.169.254"};
    int port = 0;
    int fd = listen_here(&port);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        for (int is_private = 0; is_private < 2; is_private++) {
            bool never = strchr("0", names[i][0]) || strstr(names[i], "[::]") || strstr(names[i], "169.");
            if (is_private && (!never || strstr(names[i], "0x") || strstr(names[i], "017"))) {
                continue;
            }
            char url[128];
            snprintf(url, sizeof url, "http://%s:%d/", names[i], port);
            const struct fl_receiver to = {.name = "x", .url = url, .key = {"", 0}, .timeout_s = 2,
                                           .is_private = is_private};
            struct fl_post post = {.to = &to, .body = FL_LIT("{}"), .key = "k", .trace = ""};
            fl_post(&post);
            bool unknown = strstr(post.why, "resolve") != NULL; /* where a name is not known */
            if (post.end != FL_POST_NEVER && !unknown) {
                test_failures++;
                fprintf(stderr, "%s (private %d): end %d, %s\n", url, is_private, (int)post.end, post.why);
            }
        }
    }
    CHECK_EQ_INT(accept(fd, NULL, NULL), -1);
    close(fd);
}

/* ---- what is said ---- */

static struct fl_notice hostile(void)
{
    static char much[5000];
    memset(much, '&', sizeof much);
    struct fl_str all = {much, sizeof much};
    return (struct fl_notice){.event = FL_NOTICE_FAILED, .job = FL_LIT("job-1"), .cause = FL_LIT("gpu_oom"),
                              .category = {"", 0}, .severity = FL_LIT("high"), .summary = all,
                              .action = FL_LIT("restart"), .evidence = FL_LIT("a:1: ```<!channel> \x1b[1m `x`"),
                              .incident = {"", 0}, .trace = {"", 0}, .link = {"", 0}, .jobs = 3};
}

TEST(slack)
{
    struct fl_notice notice = hostile();
    struct fl_buf out;
    fl_json *root = NULL;
    struct fl_err err = {0};
    fl_buf_init(&out, 64 << 10);
    fl_notice_write(FL_RECEIVER_SLACK, &notice, &out);
    CHECK_EQ_INT(fl_json_parse(fl_buf_str(&out), "slack", &root, &err), FL_OK);
    CHECK_HAS(fl_json_get_str(root, "text").p, "*FAILED* gpu_oom in job job-1 (seen in 3 jobs)");
    for (const fl_json *b = fl_json_first(fl_json_get(root, "blocks")); b; b = fl_json_next(b)) {
        struct fl_str text = fl_json_get_str(fl_json_get(b, "text"), "text");
        CHECK(text.n > 0 && text.n < 3000);
        CHECK(!fl_str_find(text, FL_LIT("<!channel>")));
        CHECK(!memchr(text.p, '\x1b', text.n));
    }
    fl_json_free(root);
    fl_buf_free(&out);
}

TEST(alert_without_empty_values)
{
    struct fl_notice notice = hostile();
    struct fl_buf out;
    fl_buf_init(&out, 64 << 10);
    fl_notice_write(FL_RECEIVER_ALERTMANAGER, &notice, &out);
    CHECK_HAS(fl_buf_text(&out), "\"labels\":{\"alertname\":\"FaultlineJobFailed\",\"cause\":\"gpu_oom\","
                                 "\"severity\":\"high\",\"job\":\"job-1\"}");
    CHECK(!strstr(fl_buf_text(&out), "\"\""));
    CHECK(!strstr(fl_buf_text(&out), "generatorURL"));
    fl_buf_free(&out);
}

TEST(document_is_redacted)
{
    struct fl_notice notice = hostile();
    struct fl_buf out;
    fl_json *document = NULL;
    struct fl_err err = {0};
    const struct fl_str text = FL_LIT("{\"schema\":\"faultline.verdict/1\",\"evidence\":[{\"line\":3,\"text\":"
                                      "\"login password=hunter2hunter2 from bob@corp.example\",\"rank\":null}]}");
    CHECK_EQ_INT(fl_json_parse(text, "a verdict", &document, &err), FL_OK);
    notice.document = document;
    fl_buf_init(&out, 64 << 10);
    fl_notice_write(FL_RECEIVER_WEBHOOK, &notice, &out);
    CHECK_HAS(fl_buf_text(&out), "\"rank\":null");
    CHECK_HAS(fl_buf_text(&out), "\"line\":3");
    CHECK(!strstr(fl_buf_text(&out), "hunter2") && !strstr(fl_buf_text(&out), "corp.example"));
    fl_json_free(document);
    fl_buf_free(&out);
}

static struct fl_jobs_row row_of(const char *facts)
{
    return (struct fl_jobs_row){.name = FL_LIT("j"), .facts = fl_str_of(facts),
                                .last = {.cause = FL_LIT("gpu_oom"), .severity = FL_LIT("high"),
                                         .action = FL_LIT("restart"), .incident = {"", 0},
                                         .summary = FL_LIT("secret_key=abcdefabcdefabcdef12")}};
}

TEST(facts_and_traces)
{
    static const struct {
        const char *trace;
        bool good;
    } cases[] = {
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false},
        {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\\r\\nX: y", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char facts[200];
        struct fl_buf out;
        struct fl_notice notice = {.jobs = 1};
        fl_json *root = NULL;
        struct fl_err err = {0};
        snprintf(facts, sizeof facts, "{\"traceparent\":\"%s\"}", cases[i].trace);
        struct fl_jobs_row row = row_of(facts);
        fl_buf_init(&out, 4096);
        fl_notice_facts(&row, NULL, &out);
        CHECK_EQ_INT(fl_notice_read(fl_buf_str(&out), &root, &notice, &err), FL_OK);
        CHECK_EQ_INT(notice.trace.n > 0, cases[i].good);
        CHECK(!fl_str_find(notice.summary, FL_LIT("abcdef")));
        CHECK_EQ_STR(notice.cause.p, "gpu_oom");
        fl_json_free(root);
        fl_buf_free(&out);
    }
}

/* ---- what is kept ---- */

static enum fl_status count_one(void *ctx, const struct fl_message *message, struct fl_err *err)
{
    (void)err;
    ++((int *)ctx)[message->dead];
    return FL_OK;
}

TEST(outbox)
{
    struct fl_err err = {0};
    struct fl_jobs *jobs = NULL;
    struct fl_arena arena;
    struct fl_message m = {.matter = 1, .receiver = FL_LIT("a"), .event = FL_LIT("failed"), .job = FL_LIT("j"),
                           .trace = {"", 0}, .body = FL_LIT("{}")};
    struct fl_message due;
    int n[2] = {0, 0};
    fl_arena_init(&arena, 1 << 20);
    CHECK_EQ_INT(fl_jobs_open(NULL, false, &jobs, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_add(jobs, &m, false, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_add(jobs, &m, false, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_add(jobs, &m, true, &err), FL_OK); /* in place of both */
    m.receiver = FL_LIT("b");
    CHECK_EQ_INT(fl_outbox_add(jobs, &m, true, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_due(jobs, FL_LIT("a"), 1, &arena, &due, &err), FL_OK);
    CHECK_EQ_INT(due.row, 3);
    due.due_ms = 100;
    due.tries = 1;
    due.why = FL_LIT("it was late");
    CHECK_EQ_INT(fl_outbox_failed(jobs, &due, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_due(jobs, FL_LIT("a"), 99, &arena, &due, &err), FL_NOTFOUND);
    CHECK_EQ_INT(fl_outbox_due(jobs, FL_LIT("a"), 100, &arena, &due, &err), FL_OK);
    CHECK_EQ_STR(due.why.p, "it was late");
    CHECK_EQ_INT(fl_outbox_retry(jobs, due.row, &err), FL_NOTFOUND); /* it is not dead */
    CHECK_EQ_INT(fl_outbox_orphans(jobs, FL_LIT("[\"b\"]"), &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_list(jobs, count_one, n, &err), FL_OK);
    CHECK(n[0] == 1 && n[1] == 1);
    CHECK_EQ_INT(fl_outbox_retry(jobs, 0, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_due(jobs, FL_LIT("a"), 1, &arena, &due, &err), FL_OK);
    CHECK_EQ_INT(due.tries, 0);
    CHECK_EQ_INT(fl_outbox_taken(jobs, due.row, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_due(jobs, FL_LIT("a"), INT64_MAX, &arena, &due, &err), FL_NOTFOUND);
    fl_jobs_close(jobs);
    fl_arena_free(&arena);
}

TEST(news_of_a_verdict)
{
    struct fl_err err = {0};
    struct fl_jobs *jobs = NULL;
    struct fl_news news;
    long number = 0;
    struct fl_jobs_part part = {.job = FL_LIT("j"), .stream = FL_LIT("s"), .node = {"", 0}, .rank = -1,
                                .text = FL_LIT("x\n"), .lines = 1, .offset = -1};
    struct fl_revision r = {.judged = 2, .outcome = FL_LIT("failed"), .cause = {"", 0}, .severity = {"", 0},
                            .action = {"", 0}, .method = {"", 0}, .node = {"", 0}, .incident = {"", 0},
                            .summary = {"", 0}, .document = FL_LIT("{}"), .rank = -1};
    CHECK_EQ_INT(fl_jobs_open(NULL, false, &jobs, &err), FL_OK);
    CHECK_EQ_INT(fl_jobs_add(jobs, &part, 1, FL_LIT(""), &err), FL_OK);
    CHECK_EQ_INT(fl_jobs_judge(jobs, part.row, &r, &number, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_news(jobs, &news, &err), FL_OK);
    CHECK_EQ_INT(news.row, 0); /* it goes on */
    r.final = true;
    CHECK_EQ_INT(fl_jobs_judge(jobs, part.row, &r, &number, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_news(jobs, &news, &err), FL_OK);
    CHECK_EQ_INT(news.job, part.row);
    int64_t before = news.row;
    CHECK_EQ_INT(fl_jobs_judge(jobs, part.row, &r, &number, &err), FL_OK); /* meanwhile */
    CHECK_EQ_INT(fl_outbox_read(jobs, before, &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_news(jobs, &news, &err), FL_OK);
    CHECK(news.row > before);
    CHECK_EQ_INT(fl_outbox_read(jobs, news.row, &err), FL_OK);
    CHECK_EQ_INT(fl_jobs_forget(jobs, FL_LIT("j"), &err), FL_OK);
    CHECK_EQ_INT(fl_outbox_news(jobs, &news, &err), FL_OK);
    CHECK_EQ_INT(news.job, part.row);
    fl_jobs_close(jobs);
}

int main(void)
{
    RUN(urls_as_written);
    RUN(addresses_as_resolved);
    RUN(slack);
    RUN(alert_without_empty_values);
    RUN(document_is_redacted);
    RUN(facts_and_traces);
    RUN(outbox);
    RUN(news_of_a_verdict);
    return test_result();
}
