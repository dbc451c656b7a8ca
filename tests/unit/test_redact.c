/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing private gets out: a thousand made-up secrets of 25 classes in the kinds of lines that logs
 * have, spelled in the ways that programs spell them. And what is needed stays: where FL_CORPUS
 * names a folder of labelled logs, their evidence is read. */
#include "tests/unit/test.h"

#include "service/base/arena.h"
#include "service/base/fsio.h"
#include "service/base/json.h"
#include "service/llm/redact.h"

#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct fl_arena arena;

static const char *redacted(struct fl_redact *redact, const char *text)
{
    struct fl_buf out;
    fl_buf_init(&out, 1 << 20);
    CHECK(fl_redact_add(redact, fl_str_of(text), &out) == FL_OK);
    const char *kept = fl_arena_text(&arena, fl_buf_str(&out));
    fl_buf_free(&out);
    return kept;
}

static const char *redacted_once(const char *text)
{
    struct fl_redact redact;
    fl_redact_init(&redact);
    return redacted(&redact, text);
}

TEST(redact_hides_canaries)
{
    static const char *const cases[][2] = {
        {"key sk-proj-CANARYa1b2c3d4e5f6 used", "key <secret:1> used"},
        {"login hf_CANARYabcdefghijklmnop", "login <secret:1>"},
        {"clone with ghp_CANARYabcdefghijklmnop12", "clone with <secret:1>"},
        {"id AKIACANARYABCDEFGHIJ.", "id <secret:1>."},
        {"hook xoxb-123456-CANARYabcdef", "hook <secret:1>"},
        {"glpat-CANARYabcdefgh12", "<secret:1>"},
        {"maps AIzaCANARYabcdefghijklmnopqrstuvwxyz012", "maps <secret:1>"},
        {"nvapi-CANARYabcdefghijklmn", "<secret:1>"},
        {"jwt eyJhbGciOiJub25l.eyJDQU5BUlkiOjF9.c2ln end", "jwt <secret:1> end"},
        {"Authorization: Bearer CANARY123", "Authorization: <secret:1>"},
        {"sent 'Authorization': 'Basic Q0FOQVJZ'", "sent 'Authorization': '<secret:1>'"},
        {"header bearer CANARYtoken1 sent", "header bearer <secret:1> sent"},
        {"Set-Cookie: sid=CANARY; Path=/", "Set-Cookie: <secret:1>"},
        {"password=CANARY next=1", "password=<secret:1> next=1"},
        {"password=CANARYpassword refused", "password=<secret:1> refused"},
        {"--db-password CANARY --lr 1", "--db-password <secret:1> --lr 1"},
        {"Namespace(hf_token='CANARY1', lr=0.1)", "Namespace(hf_token='<secret:1>', lr=0.1)"},
        {"{\"api_key\": \"CANARY\"}", "{\"api_key\": \"<secret:1>\"}"},
        {"{\\\"secret\\\": \\\"CANARY\\\"}", "{\\\"secret\\\": \\\"<secret:1>\\\"}"},
        {"WANDB_API_KEY=CANARY0123", "WANDB_API_KEY=<secret:1>"},
        {"AWS_SECRET_ACCESS_KEY: CANARY/abc+1", "AWS_SECRET_ACCESS_KEY: <secret:1>"},
        {"AccountKey=CANARY==;Endpoint=x", "AccountKey=<secret:1>;Endpoint=x"},
        {"GET https://h/p?X-Amz-Signature=CANARY&a=1",
         "GET https://h/p?X-Amz-Signature=<secret:1>&a=1"},
        {"redis://:CANARY@cache:6379/0", "redis://<secret:1>@cache:6379/0"},
        {"postgres://me:CAN/ARY@db/x", "postgres://<secret:1>@db/x"},
        {"-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY----- x", "<secret:1> x"},
        {"DB_PASSWORD_PROD=CANARY1 secretButton=x", "DB_PASSWORD_PROD=<secret:1> secretButton=x"},
        {"password=SecretStr('CANARY')", "password=SecretStr('<secret:1>')"},
        {"def f(password: str = 'CANARY'):", "def f(password: str = '<secret:1>'):"},
        {"--- mysql -u me -pCANARY db", "--- mysql -u me -p<secret:1> db"},
        {"a \x1b[1mpass\x1b[0mword=CANARY", "a password=<secret:1>"},
        {"print('a\\nhf_CANARYabcdefghijklmnop')", "print('a\\n<secret:1>')"},
        {"mail canary.b@example.org.", "mail <email:1>."},
        {"open /home/canary/a.py failed", "open /home/<user:1>/a.py failed"},
        {"in C:\\Users\\canary\\a.py", "in C:\\Users\\<user:1>\\a.py"},
        {"connect 10.20.30.40:29500", "connect <ip:1>:29500"},
        {"via fe80::12ff:fe34:1 ok", "via <ip:1> ok"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CHECK_EQ_STR(redacted_once(cases[i][0]), cases[i][1]);
    }
}

TEST(redact_keeps_evidence)
{
    static const char *const texts[] = {
        "torch==2.1.0.1 NCCL version 2.18.1.1 cudnn-9.1.0.70",
        "listening on 127.0.0.1:8000 and 0.0.0.0",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "12:34:56 c10d::Reducer std::bad_alloc 0000:3b:00.0",
        "eos_token='</s>' pad_token_id=0 max_tokens=512 tokens: 12",
        "SyntaxError: invalid token: unexpected indent",
        "Basic training of the task-learning-module-2024-final run",
        "Bearer token missing, password=None, token=null",
        "login(password=user_password, token=accessToken, secret=API_SECRET)",
        "http://node7:29500/a@b size mismatch: [10, 20] vs [30]",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        CHECK_EQ_STR(redacted_once(texts[i]), texts[i]);
    }
}

TEST(redact_numbers_are_stable)
{
    struct fl_redact redact;
    fl_redact_init(&redact);
    CHECK_EQ_STR(redacted(&redact, "10.0.0.1 10.0.0.2"), "<ip:1> <ip:2>");
    CHECK_EQ_STR(redacted(&redact, "10.0.0.2 /home/ann/x"), "<ip:2> /home/<user:1>/x");
    CHECK_EQ_STR(redacted(&redact, "/home/bob /home/ann"), "/home/<user:2> /home/<user:1>");
}

TEST(redact_follows_key_blocks_over_lines)
{
    struct fl_redact redact;
    fl_redact_init(&redact);
    CHECK_EQ_STR(redacted(&redact, "-----BEGIN RSA PRIVATE KEY-----"), "<secret:1>");
    CHECK(!strstr(redacted(&redact, "MIIcanary+/abc="), "canary"));
    CHECK(!strstr(redacted(&redact, "tail= -----END RSA PRIVATE KEY----- step 3"), "tail="));
    CHECK_EQ_STR(redacted(&redact, "step 4"), "step 4");
}

/* Random joins of awkward pieces: a second pass changes nothing, the size is bounded. */
TEST(redact_is_idempotent_and_bounded)
{
    static const char *const pieces[] = {"password",
                                         "=",
                                         ":",
                                         " ",
                                         "\"",
                                         "'",
                                         "\\",
                                         "sk-",
                                         "abc1",
                                         "DEF",
                                         "<secret:1>",
                                         "<ip:2>",
                                         "<",
                                         "@",
                                         "example.com",
                                         "10.",
                                         "1.2.3.4",
                                         "fe80::",
                                         "1",
                                         "a",
                                         "/home/",
                                         "\\Users\\",
                                         "://",
                                         "token",
                                         "-",
                                         "--",
                                         "bearer ",
                                         "eyJ",
                                         "aaaaaaaaaaaaaaaa1",
                                         "AKIA",
                                         "\n",
                                         ".",
                                         "%3D",
                                         "<user",
                                         ":1>",
                                         "key",
                                         "-----BEGIN PRIVATE KEY-----",
                                         "pwd",
                                         "sig",
                                         "USER",
                                         "\xff"};
    unsigned seed = 20261;
    for (int round = 0; round < 3000; round++) {
        char text[1024] = "";
        for (int i = 0; i < 24; i++) {
            seed = seed * 1103515245U + 12345U;
            strncat(text, pieces[(seed >> 16) % COUNT(pieces)], sizeof text - strlen(text) - 1);
        }
        const char *once = redacted_once(text);
        CHECK_EQ_STR(redacted_once(once), once);
        CHECK(strlen(once) <= 2 * strlen(text) + 64);
        if (test_failures) {
            return;
        }
        fl_arena_free(&arena);
    }
}

/* ---- made-up secrets ---- */

static uint64_t rng;

static unsigned below(unsigned n)
{
    rng = rng * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(rng >> 33) % n;
}

/* Copies a pattern in which %A20 is twenty letters and digits, H hexadecimal digits, U capitals and
 * digits, D digits, B base64, T the same for URLs, P what people put into passwords. */
static void make_secret(const char *pattern, char out[static 512])
{
    static const char an[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/-_!@#$^*.~?";
    size_t n = 0;
    for (const char *p = pattern; *p && n < 500; p++) {
        if (*p != '%') {
            out[n++] = *p;
            continue;
        }
        char kind = *++p;
        char *end = NULL;
        unsigned long length = strtoul(p + 1, &end, 10);
        p = end - 1;
        for (unsigned long i = 0; i < length && n < 500; i++) {
            unsigned at = kind == 'A'   ? below(62)
                          : kind == 'H' ? (52 + below(16)) % 62 /* 0 to 9, a to f */
                          : kind == 'U' ? 26 + below(36)
                          : kind == 'D' ? 52 + below(10)
                          : kind == 'B' ? below(64)
                          : kind == 'T' ? below(64)
                                        : below(sizeof an - 1);
            at = kind == 'T' && at > 61 ? at + 2 : at;
            out[n++] = an[at];
        }
    }
    out[n] = '\0';
}

static void as_is(const char *text, struct fl_buf *out)
{
    fl_buf_add_text(out, text);
}

static void as_url(const char *text, struct fl_buf *out)
{
    for (; *text; text++) {
        bool plain = strchr("-_.~", *text) || (*text >= '0' && *text <= '9') ||
                     (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
        if (plain) {
            fl_buf_add(out, text, 1);
        } else {
            fl_buf_addf(out, "%%%02X", (unsigned)(unsigned char)*text);
        }
    }
}

static void as_json(const char *text, struct fl_buf *out)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            fl_buf_addf(out, "\\%c", *text);
        } else if (strchr("=&<>'", *text) || (unsigned char)*text < ' ') {
            fl_buf_addf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        } else {
            fl_buf_add(out, text, 1);
        }
    }
}

static void as_json_twice(const char *text, struct fl_buf *out)
{
    struct fl_buf once;
    fl_buf_init(&once, 1 << 20);
    as_json(text, &once);
    as_json(fl_buf_text(&once), out);
    fl_buf_free(&once);
}

static void as_base64(const char *text, struct fl_buf *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = 0;
        for (size_t k = 0; k < 3; k++) {
            v = v << 8 | (i + k < n ? (unsigned char)text[i + k] : 0U);
        }
        for (size_t k = 0; k < 4; k++) {
            fl_buf_add(out, i + k > n ? "=" : &digits[v >> (18 - 6 * k) & 63], 1);
        }
    }
}

/* How a line is disguised: what stands around and in the secret, how all of it is spelled. */
static const struct disguise {
    const char *before;
    const char *within;
    const char *behind;
    const char *line; /* {} is the line */
    void (*spell)(const char *text, struct fl_buf *out);
} disguises[] = {
    {"", "", "", "{}", as_is},
    {"", "", "", "[rank3]: 2031-03-14 11:02:03,456 ERROR {}", as_is},
    {"", "", "", "\x1b[1;31m{}\x1b[0m", as_is},
    {"\x1b[32m", "", "\x1b[0m", "{}", as_is},
    {"", "\x1b[01;31m\x1b[K", "", "{}", as_is},
    {"\\u001b[1m", "", "\\u001b[0m", "log: {}\\n", as_is},
    {"", "", "", "{\"log\":\"{}\\n\",\"stream\":\"stderr\"}", as_json},
    {"", "", "", "{\"log\":\"{}\"}", as_json_twice},
    {"", "", "", "GET /log?line={}&n=1 HTTP/1.1", as_url},
};

/* {} is the secret, {%} the secret as it stands in a URL, {64} base64 of user:secret. */
static const char *const anywhere[] = {
    "HTTP 401 for {}",
    "login with {} failed.",
    "HELPER={}",
    "Namespace(lr=0.1, helper='{}', steps=10)",
    "GET https://hub.example/api/models?x={%}&page=2",
    "clone https://oauth2:{}@git.example/group/repo.git",
    "curl -H 'X-Any: {}' https://h.example/v1",
    "{\"k\": \"{}\", \"n\": 1}",
    "  k: {}",
    "{'k': '{}', 'n': 1}",
    "RuntimeError: request refused (key {})",
    "    client = Client(\"{}\")",
    "subprocess.CalledProcessError: Command '['run', '--x', '{}']' returned 1",
    "x={};y=2",
    "| k | {} |",
    "Authorization: Bearer {}",
};

static const char *const named[] = {
    "{N}={}",
    "export {N}=\"{}\"",
    "declare -x {N}='{}'",
    "environ({'HOME': '/root', '{N}': '{}', 'LANG': 'C'})",
    "os.environ[\"{N}\"] = \"{}\"",
    "{\"{N}\": \"{}\", \"n\": 1}",
    "Namespace(lr=0.1, {N}='{}', steps=10)",
    "  {N}: {}",
    "  {N}: \"{}\"",
    "train.py --{N} {} --lr 0.1",
    "train.py --{N}={} --lr 0.1",
    "Command '['python', 'train.py', '--{N}', '{}', '--lr']' returned non-zero exit status 1.",
    "('{N}', '{}'), ('lr', 0.1)",
    "  {N} ................................ {}",
    "POST https://h.example/login?{N}={%}&x=1",
    "ValueError: bad setting {N}={}",
};

static const char *const wandb[] = {
    "WANDB_API_KEY={}",
    "wandb: Paste an API key from your profile and hit enter: {}",
    "wandb login --relogin {}",
    "wandb.login(key='{}')",
    "machine api.wandb.ai login user password {}",
    "wandb: ERROR API key {} is not valid",
};
static const char *const aws[] = {
    "AWS_SECRET_ACCESS_KEY={}", "aws_secret_access_key = {}", "'aws_secret_access_key': '{}'",
    "Session(aws_access_key_id='x', aws_secret_access_key='{}')", "\"SecretAccessKey\": \"{}\",",
    "fs.s3a.secret.key={}", "--aws-secret-key {}", "aws configure: AKIAABCDEFGHIJKLMNOP,{}"};
static const char *const azure[] = {
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={};EndpointSuffix=core.windows.net",
    "AZURE_STORAGE_KEY={}", "AZURE_STORAGE_CONNECTION_STRING='AccountName=a;AccountKey={}'",
    "Endpoint=sb://n.servicebus.windows.net/;SharedAccessKeyName=root;SharedAccessKey={}",
    "--account-key {}", "account_key: \"{}\"", "key is {}"};
static const char *const headers[] = {
    "Authorization: Bearer {}", "> authorization: bearer {}",
    "headers={'Authorization': 'Bearer {}', 'Accept': '*/*'}",
    "curl -sS -H \"Authorization: Bearer {}\" https://h.example", "Authorization: Basic {64}",
    "Proxy-Authorization: Basic {64}", "\"Authorization\": \"Basic {64}\",",
    "Authorization: Digest username=\"u\", realm=\"r\", response=\"{}\"",
    "Authorization: token {}", "X-Api-Key: {}", "x-auth-token: {}", "failed with Bearer {} twice",
    "curl -u user:{} https://h.example/", "\"auth\": \"{64}\""};
static const char *const cookies[] = {
    "Cookie: session={}; theme=dark", "Set-Cookie: sid={}; Path=/; HttpOnly",
    "headers: {'Cookie': 'a=1; sessionid={}', 'Accept': '*/*'}", "curl -H 'Cookie: s={}' h.example",
    "cookie: csrftoken=abcdef; s={}", "\"set-cookie\": \"s={}; Secure\""};
static const char *const userinfo[] = {
    "git clone https://user:{}@git.example/r.git", "pip: Looking in indexes: https://u:{}@pypi.example/simple",
    "https_proxy=http://proxyuser:{}@proxy:3128", "remote: https://{%}@github.com/a/b.git not found",
    "ftp://anna:{}@h.example:2121/x y", "url = 's3://key:{}@minio:9000/b'", "<https://u:{%}@h.example/a>"};
static const char *const signed_urls[] = {
    "GET https://b.s3.amazonaws.com/k?X-Amz-Date=20310314T110203Z&X-Amz-Signature={%}&x-id=GetObject",
    "https://a.blob.core.windows.net/c/f?sv=2022-11-02&se=2031-03-14&sr=b&sp=r&sig={%} 403",
    "https://storage.googleapis.com/b/o?X-Goog-Expires=600&X-Goog-Signature={%}",
    "https://b.s3.amazonaws.com/k?AWSAccessKeyId=x&Expires=17&Signature={%}'",
    "'https://cdn.example/f?Expires=17&Key-Pair-Id=K&Signature={%}~&n=1'",
    "https://b.s3.amazonaws.com/k?X-Amz-Security-Token={%}&a=b", "https://h.example/f?access_token={%}",
    "SharedAccessSignature sr=h&sig={%}&se=17&skn=root"};
static const char *const connections[] = {
    "postgres://me:{}@db:5432/train", "mysql+pymysql://root:{}@10.0.0.1/db?charset=utf8",
    "mongodb+srv://u:{%}@c.example.net/?w=majority", "redis://:{}@cache:6379/0",
    "amqp://guest:{}@mq:5672/vhost", "host=db port=5432 user=me password={} dbname=x",
    "host=db user=me password='{}' dbname=x", "Server=db;Database=x;User Id=sa;Password={};Encrypt=yes",
    "Driver={ODBC};UID=sa;PWD={};", "jdbc:postgresql://db/x?user=me&password={%}&ssl=true",
    "jdbc:sqlserver://db;user=sa;password={};encrypt=true", "dsn = me:{}@tcp(db:3306)/x",
    "sqlalchemy.exc.OperationalError: (postgresql://me:{}@db/x)"};

static const char *const hooks[] = {
    "POST https://hooks.slack.com/services/{} 404", "SLACK_WEBHOOK=https://hooks.slack.com/services/{}",
    "\"url\": \"https://hooks.slack.com/services/{}\",", "curl -X POST hooks.slack.com/services/{}"};

static const struct secret_class {
    const char *name;
    const char *pattern;
    const char *const *lines;
    size_t lines_n;
    const char *key; /* what {N} stands for; then it is of the class of which a few may leak */
} classes[] = {
#define IN(lines) lines, COUNT(lines)
    {"openai", "sk-proj-%T74T3BlbkFJ%T74", IN(anywhere), NULL},
    {"anthropic", "sk-ant-api03-%T93AA", IN(anywhere), NULL},
    {"hugging face", "hf_%A34", IN(anywhere), NULL},
    {"github", "ghp_%A36", IN(anywhere), NULL},
    {"github, fine", "github_pat_%A22_%A59", IN(anywhere), NULL},
    {"gitlab", "glpat-%T20", IN(anywhere), NULL},
    {"aws id", "AKIA%U16", IN(anywhere), NULL},
    {"aws secret", "%B40", IN(aws), NULL},
    {"google", "AIza%T35", IN(anywhere), NULL},
    {"azure", "%B86==", IN(azure), NULL},
    {"slack", "xoxb-%D12-%D13-%A24", IN(anywhere), NULL},
    {"slack hook", "T%U8/B%U10/%A24", IN(hooks), NULL},
    {"wandb", "%H40", IN(wandb), NULL},
    {"neptune", "eyJhcGlfYWRkcmVzcyI6%B100", IN(anywhere), NULL},
    {"nvidia", "nvapi-%T64", IN(anywhere), NULL},
    {"docker", "dckr_pat_%T27", IN(anywhere), NULL},
    {"jwt", "eyJhbGciOiJIUzI1NiJ9.eyJ%T60.%T43", IN(anywhere), NULL},
    {"header", "%A40", IN(headers), NULL},
    {"cookie", "%A32", IN(cookies), NULL},
    {"userinfo", "%A10%P8%A6", IN(userinfo), NULL},
    {"signed url", "%A20%B20=", IN(signed_urls), NULL},
    {"connection", "%A6%P12%A2", IN(connections), NULL},
    {"password", "%A6%P12%A2", IN(named), "db_password"},
    {"token", "%A24", IN(named), "ACCESS_TOKEN"},
    {"api key", "%A25", IN(named), "comet_api_key"},
};
static const char *const vendors[] = {
    "npm_%A36", "pypi-AgEIcHlwaS5vcmc%T120", "dapi%H32", "sk_live_%A24", "SG.%T22.%T43", "gsk_%A52",
    "r8_%A37", "xoxp-%D11-%D11-%D12-%H32", "ya29.%T100", "GOCSPX-%T28", "glptt-%H40", "hvs.%T90",
    "wandb_v1_%A60"};

/* Puts each of `{}`, `{%}`, `{64}` and `{N}` of a line into out. */
static void plant(const char *line, const char *key, const char *secret, const struct disguise *d,
                  struct fl_buf *out)
{
    char user[600];
    snprintf(user, sizeof user, "user:%s", secret);
    for (const char *p = line; *p; p++) {
        if (strncmp(p, "{}", 2) == 0) {
            int half = (int)strlen(secret) / 2;
            fl_buf_addf(out, "%s%.*s%s%s%s", d->before, half, secret, d->within, secret + half,
                        d->behind);
            p += 1;
        } else if (strncmp(p, "{%}", 3) == 0) {
            as_url(secret, out);
            p += 2;
        } else if (strncmp(p, "{64}", 4) == 0) {
            as_base64(user, out);
            p += 3;
        } else if (strncmp(p, "{N}", 3) == 0) {
            fl_buf_add_text(out, key);
            p += 2;
        } else {
            fl_buf_add(out, p, 1);
        }
    }
}

/* Whether eight bytes of the secret, as it is or in one of the spellings, are in the text. */
static bool leaks(const char *text, const char *secret, const struct disguise *d)
{
    static void (*const spellings[])(const char *, struct fl_buf *) = {as_is, as_url, as_base64};
    char user[600];
    bool found = false;
    snprintf(user, sizeof user, "user:%s", secret);
    for (size_t i = 0; i < 2 * COUNT(spellings) && !found; i++) {
        if (i % 2 && d->spell == as_is) {
            continue;
        }
        struct fl_buf form;
        struct fl_buf spelled;
        fl_buf_init(&form, 1 << 16);
        fl_buf_init(&spelled, 1 << 16);
        bool base64 = spellings[i / 2] == as_base64;
        spellings[i / 2](base64 ? user : secret, &form);
        while (form.n && form.p[form.n - 1] == '=') {
            form.p[--form.n] = '\0'; /* padding is no secret */
        }
        (i % 2 ? d->spell : as_is)(fl_buf_text(&form), &spelled);
        struct fl_str s = fl_buf_str(&spelled);
        for (size_t at = base64 ? 8 : 0; at + 8 <= s.n && !found; at++) { /* "user" is no secret */
            found = memmem(text, strlen(text), s.p + at, 8) != NULL;
        }
        fl_buf_free(&form);
        fl_buf_free(&spelled);
    }
    return found;
}

/* Plants a secret in a line, redacts it, and tells whether it leaked. */
static bool leaks_from(const struct secret_class *class, const char *line, const char *secret,
                       const struct disguise *d)
{
    struct fl_buf planted;
    struct fl_buf spelled;
    struct fl_buf text;
    fl_buf_init(&planted, 1 << 16);
    fl_buf_init(&spelled, 1 << 18);
    fl_buf_init(&text, 1 << 18);
    plant(line, class->key, secret, d, &planted);
    d->spell(fl_buf_text(&planted), &spelled);
    const char *hole = strstr(d->line, "{}");
    fl_buf_addf(&text, "%.*s%s%s", (int)(hole - d->line), d->line, fl_buf_text(&spelled), hole + 2);
    CHECK_EQ_INT(text.failed, FL_OK);
    const char *out = redacted_once(fl_buf_text(&text));
    bool leaked = leaks(out, secret, d);
    bool planted_well = leaks(fl_buf_text(&text), secret, d) || *d->within;
    CHECK(planted_well); /* else it tests nothing */
    if (leaked || !planted_well) {
        fprintf(stderr, "  %s: %s\n    ->  %s\n", class->name, fl_buf_text(&text), out);
    }
    fl_buf_free(&planted);
    fl_buf_free(&spelled);
    fl_buf_free(&text);
    fl_arena_free(&arena);
    return leaked;
}

static unsigned leaks_of(const struct secret_class *class, const char *pattern, unsigned n)
{
    unsigned leaked = 0;
    for (unsigned i = 0; i < n; i++) {
        char secret[512];
        make_secret(pattern, secret);
        const char *line = class->lines[i % class->lines_n];
        for (size_t k = 0; k < COUNT(disguises); k++) {
            leaked += leaks_from(class, line, secret, &disguises[k]);
        }
    }
    return leaked;
}

TEST(a_thousand_canaries)
{
    enum { EACH = 40 };
    CHECK_EQ_INT(COUNT(classes), 25);
    rng = 20310314;
    for (size_t i = 0; i < COUNT(classes); i++) {
        unsigned leaked = leaks_of(&classes[i], classes[i].pattern, EACH);
        CHECK(leaked <= (classes[i].key ? EACH * COUNT(disguises) / 50 : 0));
        if (leaked) {
            fprintf(stderr, "  %s: %u of %zu leaked\n", classes[i].name, leaked,
                    EACH * COUNT(disguises));
        }
    }
}

TEST(canaries_of_more_vendors)
{
    rng = 5;
    for (size_t i = 0; i < COUNT(vendors); i++) {
        struct secret_class class = {vendors[i], vendors[i], IN(anywhere), NULL};
        CHECK_EQ_INT(leaks_of(&class, vendors[i], COUNT(anywhere)), 0);
    }
}

/* ---- key blocks, line by line ---- */

enum { KEY_LINES = 12, KEY_WIDTH = 64 };

static const struct block {
    const char *begin;
    const char *prefix; /* of each line */
    const char *behind; /* each line */
    size_t width;
    bool foreign; /* lines of others between them */
    bool open;    /* the END line never comes */
} blocks[] = {
    {"-----BEGIN PRIVATE KEY-----", "", "", 64, false, false},
    {"-----BEGIN RSA PRIVATE KEY-----", "", "", 64, false, false},
    {"-----BEGIN OPENSSH PRIVATE KEY-----", "", "", 70, false, false},
    {"-----BEGIN EC PRIVATE KEY-----", "[rank3]: ", "", 64, false, false},
    {"-----BEGIN OPENSSH PRIVATE KEY-----", "2031-03-14 11:02:03,456 INFO boot - ", "", 70, false, false},
    {"-----BEGIN PRIVATE KEY-----", "    ", "", 64, false, false},
    {"-----BEGIN PRIVATE KEY-----", "  \"", "\\n\",", 64, false, false},
    {"-----BEGIN PRIVATE KEY-----", "", "", 64, true, false},
    {"-----BEGIN RSA PRIVATE KEY-----", "[rank3]: ", "", 64, true, false},
    {"-----BEGIN PGP PRIVATE KEY BLOCK-----", "", "", 64, false, true},
    {"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----", "", "", 70, false, true},
    {"\x1b[33m-----BEGIN PRIVATE KEY-----", "\x1b[33m", "\x1b[0m", 64, false, false},
};

static void try_block(const struct block *b)
{
    static const char foreign[] = "[rank1]: step 7 loss 2.31 lr 0.001";
    struct fl_redact redact;
    char line[512];
    char end[128];
    fl_redact_init(&redact);
    snprintf(line, sizeof line, "%s%s%s", b->prefix, b->begin, b->behind);
    CHECK_HAS(redacted(&redact, line), "<secret:1>");
    for (size_t i = 0; i < KEY_LINES; i++) {
        char pattern[32];
        char body[512];
        char text[640];
        bool last = i + 1 == KEY_LINES;
        snprintf(pattern, sizeof pattern, "%%B%zu", last ? 9 + below(40) : b->width);
        make_secret(pattern, body);
        snprintf(text, sizeof text, "%s%s%s%s", b->prefix, body, last ? "==" : "", b->behind);
        const char *out = redacted(&redact, text);
        if (leaks(out, body, &disguises[0])) {
            test_failures++;
            fprintf(stderr, "  %s leaks by %s: %s\n", b->begin, text, out);
        }
        if (b->foreign && !last) {
            CHECK_EQ_STR(redacted(&redact, foreign), foreign);
        }
    }
    if (!b->open) {
        const char *title = strstr(b->begin, "BEGIN") + 5;
        snprintf(end, sizeof end, "%s-----END%s%s", b->prefix, title, b->behind);
        CHECK(!strstr(redacted(&redact, end), "KEY"));
    }
    CHECK_EQ_STR(redacted(&redact, foreign), foreign);
    CHECK_EQ_STR(redacted(&redact, "Traceback (most recent call last):"),
                 "Traceback (most recent call last):");
}

TEST(key_blocks_of_many_kinds)
{
    rng = 77;
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < COUNT(blocks); i++) {
            try_block(&blocks[i]);
        }
        fl_arena_free(&arena);
    }
}

/* The whole key in one line, as JSON, Python and URLs have it; and a key whose BEGIN nobody saw. */
TEST(key_blocks_in_one_line)
{
    static const char *const lines[] = {
        "{\"type\": \"service_account\", \"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n\"}",
        "key='-----BEGIN RSA PRIVATE KEY-----\\n{}\\n-----END RSA PRIVATE KEY-----\\n', n=1",
        "KEY=-----BEGIN PRIVATE KEY----- {} -----END PRIVATE KEY-----",
        "k=-----BEGIN%20PRIVATE%20KEY-----%0A{%}%0A-----END%20PRIVATE%20KEY-----",
        "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ{}",
        "{}",
    };
    struct secret_class class = {"key", "%B64", IN(lines), NULL};
    rng = 78;
    for (size_t i = 0; i < 4 * COUNT(lines); i++) {
        char secret[512];
        make_secret(class.pattern, secret);
        CHECK(!leaks_from(&class, lines[i % COUNT(lines)], secret, &disguises[0]));
        CHECK(!leaks_from(&class, lines[i % COUNT(lines)], secret, &disguises[2]));
    }
}

/* ---- what must stay ---- */

TEST(evidence_of_all_kinds_stays)
{
    static const char *const texts[] = {
        "HEAD is now at 0123456789abcdef0123456789abcdef01234567 wandb",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "integrity sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
        "md5=d41d8cd98f00b204e9800998ecf8427e checksum: 9f86d081884c7d65",
        "/root/.cache/hub/models--a--b/snapshots/5f0b02c75b57c5855da9ae460ce51323ea669d8a/config.json",
        "GPU-1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901: Xid 79, fallen off the bus",
        "tokens: 4096 max_tokens=512 num_tokens=1B tokens/s: 12345.6 tokenizer=LlamaTokenizerFast",
        "KeyError: 'model.layers.0.self_attn.q_proj.weight' key=layer.0.weight",
        "Missing key(s) in state_dict: \"module.bert.embeddings.word_embeddings.weight\"",
        "pad_token=<pad> eos_token_id=128009 bos_token='<s>' unk_token: [UNK]",
        "size mismatch for key lm_head.weight: torch.Size([32000, 4096])",
        "RuntimeError: Expected key_padding_mask dtype torch.bool, got key_mask=torch.float16",
        "cache_key=model.layers.11.mlp primary_key: id sort_key=step public_key: none",
        "Secret \"regcred\" not found; MountVolume.SetUp failed for volume \"kube-api-access-x2x9z\"",
        "secretName: hf-secret secret_name=hf-secret-2 PASSWORD_FILE=/run/secrets/db token_type=bearer1",
        "GOOGLE_APPLICATION_CREDENTIALS=/etc/gcp/key.json private_key=/root/.ssh/id_rsa",
        "password: not set, api_key=None token=${HF_TOKEN} secret=********",
        "forward_pass: 12.3ms pass=3 fail=0 bypass=true signature=serving_default",
        "/opt/conda/lib/python3.10/site-packages/torch/distributed/run.py:785: FutureWarning",
        "[rank0]:[W1114 socket.cpp:697] [c10d] The client socket has failed to connect",
        "nvidia-driver-535.104.05 libcuda.so.535.104.05 cuDNN 8.9.2.26 NCCL version 2.18.5.1",
        "uuid=6f1c2b3a-4d5e-6f70-8192-a3b4c5d6e7f8 run-20240314_110203-abc12xyz",
        "W&B: run a1b2c3d4 at https://wandb.ai/team/project/runs/a1b2c3d4",
        "torchrun --rdzv_id=4711 --rdzv_backend=c10d --rdzv_endpoint=node7:29500 train.py -u --p 3",
        "--world_info=eyJsb2NhbGhvc3QiOiBbMCwgMSwgMiwgMywgNCwgNSwgNiwgN119",
        "Basic TensorFlow setup; bearer of news; ---- BEGIN log ---- -------- x",
        "    token = self.token if token is None else get_token(name)",
        "    client = Client(api_key=api_key, password=args.password, token=os.environ[\"HF_TOKEN\"])",
        "def login(password: Optional[str] = None, token: str = None) -> bool:",
        "password: the one of your account, please",
        "words: \"Unable to locate credentials\", \"NoCredentialsError2\"",
        "Step 10%|#  | 100/1000 [00:10<01:30, 10.00it/s, loss=2.31, lr=1e-4]",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        CHECK_EQ_STR(redacted_once(texts[i]), texts[i]);
    }
}

static struct {
    size_t texts;
    size_t altered;
} seen;

static void read_evidence(const fl_json *list)
{
    for (const fl_json *e = fl_json_first(list); e; e = fl_json_next(e)) {
        struct fl_str text = fl_json_get_str(e, "text");
        if (text.n == 0) {
            continue;
        }
        const char *out = redacted_once(fl_arena_text(&arena, text));
        seen.texts++;
        if (strstr(out, "<secret")) {
            seen.altered++;
            fprintf(stderr, "  lost: %s\n", out);
        }
    }
}

static enum fl_status read_label(void *ctx, const char *path, struct fl_err *err)
{
    (void)ctx;
    fl_json *root = NULL;
    struct fl_buf text;
    if (!fl_str_ends(fl_str_of(path), FL_LIT("/label.json"))) {
        return FL_OK;
    }
    fl_buf_init(&text, 1 << 20);
    enum fl_status status = fl_fsio_read(path, &text, err);
    if (status == FL_OK) {
        status = fl_json_parse(fl_buf_str(&text), path, &root, err);
    }
    if (status == FL_OK) {
        read_evidence(fl_json_get(root, "evidence"));
        read_evidence(fl_json_get(root, "symptoms"));
    }
    fl_json_free(root);
    fl_buf_free(&text);
    fl_arena_free(&arena);
    return status;
}

TEST(evidence_of_labelled_logs_stays)
{
    const char *corpus = getenv("FL_CORPUS");
    struct fl_err err = {0};
    if (!corpus || !fl_fsio_is_dir(corpus)) {
        fprintf(stderr, "       (skipped: FL_CORPUS names no folder of labelled logs)\n");
        return;
    }
    CHECK_EQ_INT(fl_fsio_walk(corpus, read_label, NULL, &err), FL_OK);
    CHECK_EQ_STR(err.msg, "");
    CHECK(seen.texts > 0 && seen.altered * 200 <= seen.texts);
}

/* ---- time ---- */

/* A quarter of a megabyte in one line, of what a matcher might look at again and again: a minute
 * if one did, a few tens of milliseconds otherwise. */
TEST(long_lines_take_no_long)
{
    enum { LENGTH = 256 << 10 };
    static const char *const pieces[] = {
        "a", "a.", "a-", "-", "=", "a=", "password=", "\\", "%25", "://", "a@", "a:", "/", "1.", "f:",
        "-----BEGIN ", "eyJ.", "<secret:1>", "token=\"", "wandb key 0123456789abcdef0123456789abcdef0123456 ",
        "Authorization: x ", "curl -u ", "&amp;", "AKIA/", "\x1b]", "x://a:b@c ", "password='\\"};
    char *text = malloc(LENGTH + 1);
    for (size_t i = 0; text && i < COUNT(pieces); i++) {
        size_t n = 0;
        for (size_t m = strlen(pieces[i]); n + m <= LENGTH; n += m) {
            memcpy(text + n, pieces[i], m);
        }
        text[n] = '\0';
        clock_t begun = clock();
        redacted_once(text);
        double seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
        CHECK(seconds < 2);
        if (seconds > 0.2) {
            fprintf(stderr, "  %s: %.2f s\n", pieces[i], seconds);
        }
        fl_arena_free(&arena);
    }
    free(text);
}

int main(void)
{
    fl_arena_init(&arena, 64 << 20);
    RUN(redact_hides_canaries);
    RUN(redact_keeps_evidence);
    RUN(redact_numbers_are_stable);
    RUN(redact_follows_key_blocks_over_lines);
    RUN(redact_is_idempotent_and_bounded);
    RUN(a_thousand_canaries);
    RUN(canaries_of_more_vendors);
    RUN(key_blocks_of_many_kinds);
    RUN(key_blocks_in_one_line);
    RUN(evidence_of_all_kinds_stays);
    RUN(evidence_of_labelled_logs_stays);
    RUN(long_lines_take_no_long);
    fl_arena_free(&arena);
    return test_result();
}
