/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in the shapes that real clients send; and every beginning of each, which is either refused
 * or gives no more than the whole. */
#include "tests/unit/test.h"

#include "service/base/clock.h"
#include "service/http/push.h"
#include "service/http/push_key.h"

static const struct fl_push_given nothing = {.rank = -1};

/* All streams as text: `job|name|node|rank: line`. */
static const char *shown(const struct fl_push *push)
{
    static char out[1 << 16];
    size_t streams;
    size_t n = 0;
    const struct fl_push_stream *s = fl_push_streams(push, &streams);
    out[0] = '\0';
    for (size_t i = 0; i < streams; i++) {
        for (struct fl_str t = fl_buf_str(&s[i].text); t.n;) {
            size_t line = (size_t)((const char *)memchr(t.p, '\n', t.n) - t.p) + 1;
            n += (size_t)snprintf(out + n, sizeof out - n, "%s|%s|%s|%ld: %.*s", s[i].job,
                                  s[i].name, s[i].node, s[i].rank, (int)line, t.p);
            t = fl_str_skip(t, line);
        }
    }
    return out;
}

static struct fl_push *decoded(fl_push_decode decode, struct fl_str body,
                               const struct fl_push_given *given, enum fl_status *status_r)
{
    struct fl_err err = {0};
    struct fl_push *push = NULL;
    char *exact = malloc(body.n ? body.n : 1); /* so that a read past the end is seen */
    CHECK(fl_push_new(given, &push, &err) == FL_OK);
    memcpy(exact, body.p, body.n);
    *status_r = decode((struct fl_str){exact, body.n}, push, &err);
    CHECK((*status_r == FL_OK) == (err.msg[0] == '\0'));
    free(exact);
    return push;
}

static void gives(const char *file, int line, fl_push_decode decode, struct fl_str body,
                  const char *want)
{
    enum fl_status status;
    struct fl_push *push = decoded(decode, body, &nothing, &status);
    long lines = fl_push_lines(push);
    test_eq_int(file, line, "status", status, FL_OK);
    test_text(file, line, "streams", shown(push), want, 1);
    fl_push_free(push);
    for (size_t n = 0; n < body.n; n++) {
        push = decoded(decode, fl_str_head(body, n), &nothing, &status);
        if (status == FL_OK && fl_push_lines(push) > lines) {
            test_eq_int(file, line, "lines of a beginning", fl_push_lines(push), lines);
        }
        fl_push_free(push);
    }
}

#define GIVES(decode, body, want) gives(__FILE__, __LINE__, decode, FL_LIT(body), want)

static long rejected(fl_push_decode decode, struct fl_str body)
{
    enum fl_status status;
    struct fl_push *push = decoded(decode, body, &nothing, &status);
    long n = status == FL_OK ? fl_push_rejected(push) : -1;
    fl_push_free(push);
    return n;
}

static enum fl_status status_of(fl_push_decode decode, struct fl_str body)
{
    enum fl_status status;
    fl_push_free(decoded(decode, body, &nothing, &status));
    return status;
}

#define NOW "1795309323123456789"
#define STAMP "2026-11-22T01:02:03.123456789Z "

/* ---- Loki ---- */

TEST(loki_json)
{
    /* winston-loki with json:true */
    GIVES(fl_push_loki_json,
          "{\"streams\":[{\"stream\":{\"job\":\"train-7b\",\"rank\":\"3\"},\"values\":[[\"" NOW
          "\",\"RuntimeError: boom\",{\"level\":\"error\"}]]}]}",
          "train-7b|rank3||3: " STAMP "RuntimeError: boom\n");
    /* Fluent Bit, two elements, no labels but its own; promtail's label of the file */
    GIVES(fl_push_loki_json,
          "{\"streams\":[{\"stream\":{\"job\":\"fluent-bit\",\"filename\":\"/out/rank_5.log\"},"
          "\"values\":[[\"" NOW "\",\"a\\r\\n\\tb\\n\"]]}]}",
          "fluent-bit|rank5||5: " STAMP "a\nfluent-bit|rank5||5: " STAMP "\tb\n");
    /* values before the stream, metadata that tells rank and node */
    GIVES(fl_push_loki_json,
          "{\"streams\": [ {\"values\": [[\"" NOW "\", \"x\", {\"rank\": \"1\", \"host.name\": "
          "\"gpu-1\"}], [\"" NOW "\", \"y\", {}]], \"stream\": {\"slurm_job_id\": \"881\"}} ] }",
          "slurm-881|rank1|gpu-1|1: " STAMP "x\nslurm-881|log||-1: " STAMP "y\n");
    /* the older push */
    GIVES(fl_push_loki_json,
          "{\"streams\":[{\"labels\":\"{app=\\\"a\\\", pod=\\\"a-0\\\"}\",\"entries\":[{\"ts\":"
          "\"2026-11-22T01:02:03.123456789Z\",\"line\":\"x\"}]}]}",
          "a|a-0||-1: " STAMP "x\n");
    /* pino-loki: a line is a record of pino as text */
    GIVES(fl_push_loki_json,
          "{\"streams\":[{\"stream\":{\"application\":\"trainer\",\"level\":\"info\"},\"values\":[["
          "\"" NOW "\",\"{\\\"level\\\":30,\\\"msg\\\":\\\"step 1\\\"}\"]]}]}",
          "trainer|log||-1: " STAMP "{\"level\":30,\"msg\":\"step 1\"}\n");
    CHECK_EQ_INT(status_of(fl_push_loki_json, FL_LIT("{\"streams\":{}}")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_loki_json, FL_LIT("{\"streams\":[{\"values\":[[1,\"x\"]]}]}")),
                 FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_loki_json, FL_LIT("{\"streams\":[]} {")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_loki_json, FL_LIT("")), FL_SYNTAX);
}

/* Protobuf put together from the inside out; ring of buffers. */
static struct fl_str field(unsigned number, struct fl_str bytes)
{
    static char ring[16][512];
    static int next;
    char *out = ring[next++ % 16];
    size_t n = 0;
    out[n++] = (char)(number << 3 | 2);
    if (bytes.n > 127) {
        out[n++] = (char)(bytes.n | 0x80);
        out[n++] = (char)(bytes.n >> 7);
    } else {
        out[n++] = (char)bytes.n;
    }
    memcpy(out + n, bytes.p, bytes.n);
    return (struct fl_str){out, n + bytes.n};
}

static struct fl_str joined(struct fl_str a, struct fl_str b)
{
    static char ring[16][512];
    static int next;
    char *out = ring[next++ % 16];
    memcpy(out, a.p, a.n);
    memcpy(out + a.n, b.p, b.n);
    return (struct fl_str){out, a.n + b.n};
}

static struct fl_str number(unsigned tag, unsigned long long value)
{
    static char ring[16][12];
    static int next;
    char *out = ring[next++ % 16];
    size_t n = 0;
    out[n++] = (char)tag;
    if ((tag & 7) == 1) {
        memcpy(out + n, &value, 8);
        return (struct fl_str){out, n + 8};
    }
    for (; value > 127; value >>= 7) {
        out[n++] = (char)(value | 0x80);
    }
    out[n++] = (char)value;
    return (struct fl_str){out, n};
}

static struct fl_str pair(struct fl_str key, struct fl_str value)
{
    return joined(field(1, key), field(2, value));
}

TEST(loki_proto)
{
    struct fl_str time = joined(number(1 << 3, 1795309323), number(2 << 3, 123456789));
    struct fl_str entry = joined(joined(field(1, time), field(2, FL_LIT("[rank2]: boom"))),
                                 field(3, pair(FL_LIT("level"), FL_LIT("error"))));
    struct fl_str labels =
        field(1, FL_LIT("{job=\"t\\\"1\", pod=\"t-0-x7k2p\", container=\"main\"}"));
    struct fl_str stream = joined(joined(labels, field(2, entry)), number(3 << 3, 77));
    static const char want[] = "t-1|t-0-x7k2p/main||-1: " STAMP "[rank2]: boom\n";
    gives(__FILE__, __LINE__, fl_push_loki_proto, field(1, stream), want);
    /* a group of a number that nobody knows is passed over */
    gives(__FILE__, __LINE__, fl_push_loki_proto,
          joined(FL_LIT("\x4b\x08\x01\x4c"), field(1, stream)), want);
    CHECK_EQ_INT(status_of(fl_push_loki_proto, FL_LIT("\x4b\x08\x01")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_loki_proto, FL_LIT("{\"streams\":[]}")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_loki_proto, field(1, field(1, FL_LIT("{job=}")))), FL_SYNTAX);
}

/* ---- OpenTelemetry ---- */

TEST(otlp_json)
{
    GIVES(
        fl_push_otlp_json,
        "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
        "{\"stringValue\":\"pretrain\"}},{\"key\":\"process.rank\",\"value\":{\"intValue\":\"7\"}},"
        "{\"key\":\"host.name\",\"value\":{\"stringValue\":\"gpu-9\"}}],\"droppedAttributesCount\":"
        "0},"
        "\"scopeLogs\":[{\"scope\":{\"name\":\"x\"},\"logRecords\":[{\"timeUnixNano\":\"" NOW
        "\",\"observedTimeUnixNano\":\"" NOW "\",\"severityNumber\":17,\"severityText\":\"ERROR\","
        "\"body\":{\"stringValue\":\"CUDA out of memory\"},\"attributes\":[],"
        "\"traceId\":\"5b8efff798038103d269b633813fc60c\",\"flags\":1}]}]}]}",
        "pretrain|rank7|gpu-9|7: " STAMP "CUDA out of memory\n");
    /* numbers bare, observed time, a body that is a map; a traceback as attributes; no body at all
     */
    GIVES(fl_push_otlp_json,
          "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"observedTimeUnixNano\":" NOW
          ",\"body\":{\"kvlistValue\":{\"values\":[{\"key\":\"a\",\"value\":{\"intValue\":1}},{"
          "\"key\":\"b\","
          "\"value\":{\"arrayValue\":{\"values\":[{\"stringValue\":\"x\\n\"},{\"boolValue\":true},{"
          "}]}}}]}}},"
          "{\"body\":{\"stringValue\":\"failed\"},\"attributes\":[{\"key\":\"rank\",\"value\":{"
          "\"intValue\":0}},"
          "{\"key\":\"exception.stacktrace\",\"value\":{\"stringValue\":\"Traceback\\nValueError: "
          "x\"}}]},"
          "{\"severityNumber\":9}]}],\"resource\":{\"attributes\":[{\"key\":\"k8s.job.name\","
          "\"value\":{\"stringValue\":\"j\"}},{\"key\":\"service.name\",\"value\":{\"stringValue\":"
          "\"unknown_service:node\"}}]}}]}",
          "j|log||-1: " STAMP "{\"a\":1,\"b\":[\"x\\n\",true,null]}\n"
          "j|rank0||0: failed\nj|rank0||0: Traceback\nj|rank0||0: ValueError: x\n");
    CHECK_EQ_INT(status_of(fl_push_otlp_json, FL_LIT("{\"resourceLogs\":[1]}")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_otlp_json, FL_LIT("{}")), FL_OK);
}

TEST(otlp_proto)
{
    struct fl_str rank = field(6, pair(FL_LIT("rank"), number(3 << 3, 4)));
    struct fl_str list =
        field(5, joined(field(1, field(1, FL_LIT("a\"b"))), field(1, number(4 << 3 | 1, 0))));
    struct fl_str text =
        joined(joined(number(1 << 3 | 1, 1795309323123456789ULL), number(2 << 3, 9)),
               field(5, field(1, FL_LIT("loss is nan"))));
    struct fl_str odd = joined(number(11 << 3 | 1, 1795309323123456789ULL), field(5, list));
    struct fl_str logs = joined(field(2, joined(text, rank)), field(2, odd));
    struct fl_str resource =
        field(1, field(1, pair(FL_LIT("slurm.job.id"), field(1, FL_LIT("42")))));
    gives(__FILE__, __LINE__, fl_push_otlp_proto, field(1, joined(field(2, logs), resource)),
          "slurm-42|rank4||4: " STAMP "loss is nan\nslurm-42|log||-1: " STAMP "[\"a\\\"b\",0]\n");
    CHECK_EQ_INT(status_of(fl_push_otlp_proto, FL_LIT("")), FL_OK);
}

TEST(values_nest_only_so_deep)
{
    char body[8192] = "{\"resourceLogs\":[{\"scopeLogs\":[{\"logRecords\":[{\"body\":";
    for (int i = 0; i < 40; i++) {
        strncat(body, "{\"arrayValue\":{\"values\":[", sizeof body - strlen(body) - 1);
    }
    CHECK_EQ_INT(status_of(fl_push_otlp_json, fl_str_of(body)), FL_SYNTAX);
    struct fl_str value = field(1, FL_LIT("x"));
    for (int i = 0; i < 40; i++) {
        value = field(5, field(1, value));
    }
    struct fl_str logs = field(2, field(2, field(5, value)));
    CHECK_EQ_INT(status_of(fl_push_otlp_proto, field(1, logs)), FL_SYNTAX);
}

/* ---- records ---- */

TEST(records)
{
    /* Fluent Bit, format json, with the Kubernetes filter */
    GIVES(
        fl_push_records,
        "[{\"date\":1795309323.123456,\"log\":\"step 1\\n\",\"stream\":\"stderr\",\"kubernetes\":{"
        "\"pod_name\":\"llama-0-x7k2p\",\"namespace_name\":\"ml\",\"container_name\":\"train\","
        "\"host\":"
        "\"gpu-3\",\"labels\":{\"batch.kubernetes.io/job-name\":\"llama\",\"app\":\"x\"},"
        "\"annotations\":{\"job\":\"no\"}}},{\"date\":1795309323,\"log\":\"\"}]",
        "llama|llama-0-x7k2p/train|gpu-3|-1: 2026-11-22T01:02:03.123456000Z step "
        "1\nunnamed|log||-1: \n");
    /* json_lines; Vector; python's json loggers; a bare string */
    GIVES(
        fl_push_records,
        "{\"date\":\"2026-11-22T01:02:03.123456789Z\",\"message\":\"a\",\"job_id\":17,\"rank\":0}"
        "\n\n"
        "{\"timestamp\":\"2026-11-22T02:02:03.123456789+01:00\",\"message\":\"b\",\"host\":\"n1\","
        "\"file\":\"/var/log/t.log\"}\n"
        "{\"event\":\"c\",\"level\":\"error\",\"exception\":\"Traceback:\\n  x\",\"job\":\"j\","
        "\"filename\":\"train.py\"}\n\"d\"\n",
        "17|rank0||0: " STAMP "a\nnode.n1|/var/log/t.log|n1|-1: " STAMP "b\nj|log||-1: c\n"
        "j|log||-1: Traceback:\nj|log||-1:   x\nunnamed|log||-1: d\n");
    /* syslog-ng */
    GIVES(fl_push_records,
          "{\"PROGRAM\":\"kernel\",\"MESSAGE\":\"NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen "
          "off the "
          "bus.\",\"ISODATE\":\"2026-11-22T01:02:03+00:00\",\"HOST\":\"gpu-07\"}\n",
          "node.gpu-07|kernel|gpu-07|-1: 2026-11-22T01:02:03.000000000Z NVRM: Xid "
          "(PCI:0000:3b:00): 79, "
          "GPU has fallen off the bus.\n");
    /* pino, an error without a text of its own; printed over lines, one behind the other */
    GIVES(fl_push_records,
          "{\"level\":50,\"time\":1795309323123,\"hostname\":\"h\",\"x\":1}{\n  \"msg\": \"e\",\n  "
          "\"err\": "
          "{\"type\": \"E\", \"stack\": \"E: m\\n    at f\"}\n}",
          "node.h|h|h|-1: 2026-11-22T01:02:03.123000000Z "
          "{\"level\":50,\"time\":1795309323123,\"hostname\":\"h\",\"x\":1}\n"
          "unnamed|log||-1: e\nunnamed|log||-1: E: m\nunnamed|log||-1:     at f\n");
    CHECK_EQ_INT(
        rejected(fl_push_records, FL_LIT("{\"cpu\":1}\n{\"log\":{\"a\":1}}\n7\n[{},\"x\"]")), 4);
    CHECK_EQ_INT(status_of(fl_push_records, FL_LIT("{\"log\":\"a\"}\n{\"log\":\"b\n\"}")),
                 FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_records, FL_LIT("{\"log\":\"a\",}")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_records, FL_LIT("{\"log\":\"\\x\"}")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_records, FL_LIT("  \n")), FL_OK);
}

TEST(bulk)
{
    GIVES(fl_push_bulk,
          "{\"index\":{\"_index\":\"logs\"}}\n{\"message\":\"a\",\"hostname\":\"n\",\"syslog-tag\":"
          "\"sshd[1]:\"}\n"
          "\n{\"create\":{}}\n{\"message\":\"b\",\"job\":\"j\"}\n\n{\"delete\":{\"_id\":\"1\"}}\n"
          "{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{\"message\":\"c\"}}\n",
          "node.n|sshd|n|-1: a\nj|log||-1: b\n");
    CHECK_EQ_INT(rejected(fl_push_bulk, FL_LIT("{\"delete\":{}}\n{\"index\":{}}\n{\"cpu\":1}\n")),
                 2);
    CHECK_EQ_INT(status_of(fl_push_bulk, FL_LIT("{\"message\":\"a\"}\n")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_bulk, FL_LIT("{\"index\":{}}\n")), FL_SYNTAX);
}

/* ---- hosts ---- */

TEST(journal)
{
    GIVES(fl_push_journal,
          "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795309320000000\n_SOURCE_REALTIME_TIMESTAMP="
          "1795309323123456\n"
          "_TRANSPORT=kernel\nSYSLOG_IDENTIFIER=kernel\n_HOSTNAME=gpu-1\nJOB_ID=9\nMESSAGE=NVRM: "
          "Xid: x\n\n"
          "__REALTIME_TIMESTAMP=1795309323123456\n_HOSTNAME=gpu-1\n_SYSTEMD_UNIT=slurmd.service\n"
          "SLURM_JOB_ID=12\nMESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n\n",
          "node.gpu-1|kernel|gpu-1|-1: 2026-11-22T01:02:03.123456000Z NVRM: Xid: x\n"
          "slurm-12|slurmd.service|gpu-1|-1: 2026-11-22T01:02:03.123456000Z a\n"
          "slurm-12|slurmd.service|gpu-1|-1: 2026-11-22T01:02:03.123456000Z b\n");
    CHECK_EQ_INT(status_of(fl_push_journal, FL_LIT("MESSAGE=a\n")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_journal, FL_LIT("MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff"
                                                   "a\n\n")),
                 FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_journal, FL_LIT("")), FL_OK);
}

TEST(syslog)
{
    GIVES(fl_push_syslog,
          "<3>1 2026-11-22T01:02:03.123456789Z gpu-1 kernel - - [x@1 job=\"17\" n=\"a\\\"\\]\"][y] "
          "\xef\xbb\xbfNVRM: Xid (PCI:0000:3b:00): 79",
          "17|kernel|gpu-1|-1: " STAMP "kernel: NVRM: Xid (PCI:0000:3b:00): 79\n");
    GIVES(fl_push_syslog, "<34>1 - gpu-1 sshd 12 - - x\n",
          "node.gpu-1|sshd|gpu-1|-1: sshd[12]: x\n");
    GIVES(fl_push_syslog, "<4>Oct  4 11:37:48 gpu-1 kernel: NVRM: Xid",
          "node.gpu-1|kernel|gpu-1|-1: Oct  4 11:37:48 gpu-1 kernel: NVRM: Xid\n");
    GIVES(fl_push_syslog, "<4>Oct 14 11:37:48 kernel: x",
          "unnamed|kernel||-1: Oct 14 11:37:48 kernel: x\n");
    GIVES(fl_push_syslog, "<4>2026-11-22T02:02:03.123456789+01:00 gpu-1 app[1]: x",
          "node.gpu-1|app|gpu-1|-1: " STAMP "app[1]: x\n");
    CHECK_EQ_INT(status_of(fl_push_syslog, FL_LIT("<3>1 - h a - - [x y=\"z")), FL_SYNTAX);
    CHECK_EQ_INT(status_of(fl_push_syslog, FL_LIT("no header at all")), FL_OK);
}

TEST(plain_text)
{
    GIVES(fl_push_text, "a\r\n\x1b[31mb\x1b[0m\n\nc\0d",
          "unnamed|log||-1: a\nunnamed|log||-1: \x1b[31mb\x1b[0m\nunnamed|log||-1: "
          "\nunnamed|log||-1: c");
}

/* ---- who ---- */

TEST(the_address_wins)
{
    struct fl_push_given given = {FL_LIT("a b/c"), {"", 0}, FL_LIT("gpu-1"), 2};
    enum fl_status status;
    struct fl_push *push = decoded(
        fl_push_records, FL_LIT("{\"msg\":\"x\",\"job\":\"no\",\"rank\":7,\"node\":\"no\"}"),
        &given, &status);
    CHECK_EQ_STR(shown(push), "a-b-c|rank2|gpu-1|2: x\n");
    fl_push_free(push);
    given = (struct fl_push_given){.job = FL_LIT(".."), .stream = FL_LIT("s/\x01"), .rank = -1};
    push = decoded(fl_push_text, FL_LIT("x"), &given, &status);
    CHECK_EQ_STR(shown(push), "unnamed|s/-||-1: x\n");
    fl_push_free(push);
}

static void is_key(const char *key, enum fl_push_role role)
{
    test_eq_int(__FILE__, __LINE__, key, fl_push_key_of(FL_LIT(""), fl_str_of(key)).role, role);
}

TEST(keys)
{
    is_key("SLURM_JOB_ID", FL_PUSH_IS_JOB);
    is_key("slurm.job-id", FL_PUSH_IS_JOB);
    is_key("Job", FL_PUSH_IS_JOB);
    is_key("volcano.sh/job-name", FL_PUSH_IS_JOB);
    is_key("app.kubernetes.io/name", FL_PUSH_IS_JOB);
    is_key("global_rank", FL_PUSH_IS_RANK);
    is_key("world-rank", FL_PUSH_IS_RANK);
    is_key("_HOSTNAME", FL_PUSH_IS_NODE);
    is_key("_SOURCE_REALTIME_TIMESTAMP", FL_PUSH_IS_TIME);
    is_key("@timestamp", FL_PUSH_IS_TIME);
    is_key("unit", FL_PUSH_IS_PROGRAM);
    is_key("jo", FL_PUSH_IS_OTHER);
    is_key("", FL_PUSH_IS_OTHER);
    CHECK(fl_push_key_of(FL_LIT("kubernetes"), FL_LIT("host")).role == FL_PUSH_IS_NODE);
    CHECK_EQ_INT(fl_push_rank(FL_LIT("12")), 12);
    CHECK_EQ_INT(fl_push_rank(FL_LIT("1.5")), -1);
    CHECK_EQ_INT(fl_push_rank(FL_LIT("99999999")), -1);
}

static const char *cut(struct fl_str s)
{
    static char out[128];
    snprintf(out, sizeof out, "%.*s", (int)s.n, s.p);
    return out;
}

TEST(names)
{
    char job[FL_PUSH_JOB + 1];
    char text[300];
    CHECK_EQ_STR(cut(fl_push_pod_job(FL_LIT("train-0-x7k2p"))), "train");
    CHECK_EQ_STR(cut(fl_push_pod_job(FL_LIT("web-7d4f9c6b58-x7k2p"))), "web");
    CHECK_EQ_STR(cut(fl_push_pod_job(FL_LIT("bert-worker-11"))), "bert");
    CHECK_EQ_STR(cut(fl_push_pod_job(FL_LIT("solo"))), "solo");
    CHECK_EQ_STR(cut(fl_push_slurm_job(FL_LIT("/home/u/slurm-123_4.out"))), "slurm-123_4");
    CHECK_EQ_STR(cut(fl_push_slurm_job(FL_LIT("/home/u/train.out"))), "");
    memset(text, 'x', sizeof text);
    fl_push_job_name((struct fl_str){text, sizeof text}, job);
    CHECK_EQ_INT((long long)strlen(job), FL_PUSH_JOB);
    fl_push_job_name(FL_LIT("\xc3\xa9 \"<>"), job);
    CHECK_EQ_STR(job, "------");
}

TEST(times)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {NOW, 1795309323123456789},
        {"1795309323", 1795309323000000000},
        {"1795309323.25", 1795309323250000000},
        {"1795309323123", 1795309323123000000},
        {"1795309323123456", 1795309323123456000},
        {"1.795309323e9", 1795309323000000000},
        {"2026-11-22T01:02:03.123456789Z", 1795309323123456789},
        {"2026-11-22T02:02:03,123+01:00", 1795309323123000000},
        {"12.5", 0},
        {"", 0},
        {"soon", 0},
        {"01:02:03", 0},
        {"99999999999", 0},
        {"-1", 0},
        {"99999999999999999999", 0},
        {"9223372036854775807", 0},
        {"1e400", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_eq_int(__FILE__, __LINE__, cases[i].text, fl_push_time(fl_str_of(cases[i].text)),
                    cases[i].ns);
    }
}

TEST(a_time_of_its_own_stays_alone)
{
    static const char *const own[] = {
        "2026-11-22 01:02:03,123 INFO x", "[rank3]: [2026-11-22 01:02:03] x",
        "[INFO] 2026-11-22 01:02:03 x", "2026-11-22T01:02:03Z stderr F x"};
    static const char *const none[] = {"x", "[rank3]: x", "I1122 01:02:03.123456 1 a.cc:1] x",
                                       "saved to /ckpt/2026-11-22 at 01:02:03"};
    char body[256];
    for (size_t i = 0; i < 8; i++) {
        enum fl_status status;
        const char *line = i < 4 ? own[i] : none[i - 4];
        snprintf(body, sizeof body, "{\"time\":" NOW ",\"msg\":\"%s\"}", line);
        struct fl_push *push = decoded(fl_push_records, fl_str_of(body), &nothing, &status);
        snprintf(body, sizeof body, "unnamed|log||-1: %s%s\n", i < 4 ? "" : STAMP, line);
        CHECK_EQ_STR(shown(push), body);
        fl_push_free(push);
    }
}

TEST(streams_have_a_limit)
{
    static char body[4000 * 40];
    enum fl_status status;
    for (int most = FL_PUSH_STREAMS; most <= FL_PUSH_STREAMS + 1; most++) {
        size_t n = 0;
        for (int i = 0; i < most; i++) {
            n += (size_t)snprintf(body + n, sizeof body - n,
                                  "{\"msg\":\"x\",\"job\":\"j\",\"rank\":%d}\n", i);
        }
        struct fl_push *push =
            decoded(fl_push_records, (struct fl_str){body, n}, &nothing, &status);
        CHECK_EQ_INT(status, most > FL_PUSH_STREAMS ? FL_LIMIT : FL_OK);
        fl_push_free(push);
    }
}

TEST(label_sets_are_streams)
{
    enum fl_status status;
    size_t n;
    struct fl_push *push = decoded(fl_push_loki_json,
                                   FL_LIT("{\"streams\":[{\"stream\":{\"job\":\"j\",\"shard\":"
                                          "\"1\",\"az\":\"b\"},\"values\":[[\"1\",\"x\"]]},"
                                          "{\"stream\":{\"az\":\"b\",\"shard\":\"1\",\"job\":\"j\","
                                          "\"level\":\"warn\"},\"values\":[[\"1\",\"y\"]]},"
                                          "{\"stream\":{\"job\":\"j\",\"shard\":\"2\",\"az\":\"b\"}"
                                          ",\"values\":[[\"1\",\"z\"]]}]}"),
                                   &nothing, &status);
    const struct fl_push_stream *s = fl_push_streams(push, &n);
    CHECK_EQ_INT((long long)n, 2);
    CHECK_EQ_INT(s[0].lines, 2);
    fl_push_free(push);
}

/* ---- which decoder ---- */

TEST(choice)
{
    static const struct {
        enum fl_push_path path;
        const char *type;
        const char *body;
        fl_push_decode want;
    } cases[] = {
        {FL_PUSH_AT_LOKI, "Application/JSON; charset=utf-8", "", fl_push_loki_json},
        {FL_PUSH_AT_LOKI, "application/x-protobuf", "{", fl_push_loki_proto},
        {FL_PUSH_AT_LOKI, "", " {}", fl_push_loki_json},
        {FL_PUSH_AT_LOKI, "", "\x0a", fl_push_loki_proto},
        {FL_PUSH_AT_OTLP, "application/json", "", fl_push_otlp_json},
        {FL_PUSH_AT_OTLP, "application/x-protobuf", "", fl_push_otlp_proto},
        {FL_PUSH_AT_OTLP, "text/html", "", NULL},
        {FL_PUSH_AT_BULK, "", "", fl_push_bulk},
        {FL_PUSH_AT_JOURNAL, "", "", fl_push_journal},
        {FL_PUSH_AT_INGEST, "application/x-ndjson", "", fl_push_records},
        {FL_PUSH_AT_INGEST, "text/plain; charset=utf-8", "{\"msg\":1}", fl_push_text},
        {FL_PUSH_AT_INGEST, "application/vnd.fdo.journal", "", fl_push_journal},
        {FL_PUSH_AT_INGEST, "application/msgpack", "", NULL},
        {FL_PUSH_AT_INGEST, "application/x-www-form-urlencoded", "{\"a\":1}\n{\"a\":2",
         fl_push_records},
        {FL_PUSH_AT_INGEST, "", "[{\"a\":1}]", fl_push_records},
        {FL_PUSH_AT_INGEST, "", "[rank0]: x", fl_push_text},
        {FL_PUSH_AT_INGEST, "", "{\"config\": 1}\nstep 1\n", fl_push_text},
        {FL_PUSH_AT_INGEST, "", "", fl_push_text},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool right = fl_push_choose(cases[i].path, fl_str_of(cases[i].type),
                                    fl_str_of(cases[i].body)) == cases[i].want;
        test_eq_int(__FILE__, __LINE__, cases[i].type, right, true);
    }
    CHECK(fl_push_is_snappy(FL_PUSH_AT_LOKI, FL_LIT("application/x-protobuf"), FL_LIT("")));
    CHECK(!fl_push_is_snappy(FL_PUSH_AT_LOKI, FL_LIT("application/json"), FL_LIT("")));
    CHECK(!fl_push_is_snappy(FL_PUSH_AT_OTLP, FL_LIT("application/x-protobuf"), FL_LIT("")));
}

int main(void)
{
    RUN(loki_json);
    RUN(loki_proto);
    RUN(otlp_json);
    RUN(otlp_proto);
    RUN(values_nest_only_so_deep);
    RUN(records);
    RUN(bulk);
    RUN(journal);
    RUN(syslog);
    RUN(plain_text);
    RUN(the_address_wins);
    RUN(keys);
    RUN(names);
    RUN(times);
    RUN(a_time_of_its_own_stays_alone);
    RUN(streams_have_a_limit);
    RUN(label_sets_are_streams);
    RUN(choice);
    return test_result();
}
