/* SPDX-License-Identifier: Apache-2.0 */
/* What a name says of its value, by its words: AWS_SECRET_ACCESS_KEY, dbPassword, X-Amz-Signature
 * and api.token are all read alike. The last telling word wins; a word about the secret behind it
 * (PASSWORD_FILE, secretName) takes that back. */
#include "service/llm/redact_match.h"

enum { WORD_BYTES = 24 };

struct word {
    char text[WORD_BYTES]; /* small letters, no digits at its end */
    size_t n;
};

static bool is_one_of(const struct word *word, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(word->text, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

#define ONE_OF(word, list) is_one_of(word, list, sizeof(list) / sizeof *(list))

static bool ends_in(const struct word *word, const char *tail)
{
    size_t n = strlen(tail);
    return word->n >= n && strcmp(word->text + word->n - n, tail) == 0;
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* dbPassword and HFToken are two words each. */
static bool is_seam(struct fl_str s, size_t i)
{
    bool next_small = i + 1 < s.n && s.p[i + 1] >= 'a' && s.p[i + 1] <= 'z';
    return i > 0 && is_upper(s.p[i]) && (!is_upper(s.p[i - 1]) || next_small);
}

/* Takes the next word off *ident; false at its end. Of a long word the end is kept. */
static bool next_word(struct fl_str *ident, struct word *word)
{
    while (ident->n && !is_alnum(*ident->p)) {
        *ident = fl_str_skip(*ident, 1);
    }
    size_t n = 0;
    while (n < ident->n && is_alnum(ident->p[n]) && !is_seam(*ident, n)) {
        n++;
    }
    struct fl_str text = fl_str_head(*ident, n);
    *ident = fl_str_skip(*ident, n);
    size_t letters = n;
    while (letters > 0 && fl_is_digit(text.p[letters - 1])) {
        letters--;
    }
    text.n = letters ? letters : n;
    text = text.n < WORD_BYTES ? text : fl_str_skip(text, text.n - WORD_BYTES + 1);
    for (size_t i = 0; i < text.n; i++) {
        word->text[i] = (char)(is_upper(text.p[i]) ? text.p[i] | 0x20 : text.p[i]);
    }
    word->text[text.n] = '\0';
    word->n = text.n;
    return n > 0;
}

/* A tokenizer has tokens that are no secrets. */
static bool is_vocabulary(struct fl_str ident)
{
    static const char *const words[] = {
        "eos",   "bos",    "pad",    "unk",     "cls",     "sep",    "mask",   "image",
        "start", "end",    "stop",   "first",   "last",    "next",   "prompt", "decoder",
        "per",   "video",  "audio",  "extra",   "prefix",  "middle", "suffix", "special",
        "new",   "max",    "min",    "num",     "total",   "forced", "unexpected",
        "invalid", "input", "output", "generated", "think", "tool", "control", "added"};
    struct word word;
    while (next_word(&ident, &word)) {
        size_t n = word.n > 5 && ends_in(&word, "token") ? word.n - 5 : word.n; /* padtoken */
        word.text[n] = '\0';
        if (ONE_OF(&word, words)) {
            return true;
        }
    }
    return false;
}

/* password_file, secret-name, token_type: about the secret, not the secret. */
static bool is_about(const struct word *word)
{
    static const char *const words[] = {
        "file",   "path",    "dir",     "name",    "names",   "length", "len",     "size",
        "type",   "policy",  "arn",     "uri",     "ttl",     "expiry", "expires", "expiration",
        "age",    "field",   "prompt",  "version", "enabled", "env",    "var",     "required",
        "manager", "store",  "provider", "min",    "max",     "count",  "input",   "reset",
        "id",     "ids",     "ref",     "class",   "format",  "header", "hint",    "location",
        "days",   "method",  "mode",    "source",  "error",   "status", "rotation", "index"};
    return ONE_OF(word, words);
}

/* What the key is for tells whether it is one to a lock or one of a map. */
static enum fl_redact_name key_of(const struct word *kind)
{
    static const char *const secret[] = {
        "api",     "secret",  "access",    "account", "encryption", "subscription", "license",
        "session", "master",  "shared",    "auth",    "storage",    "wandb",        "comet",
        "neptune", "openai",  "anthropic", "hf",      "ngc",        "datadog",      "dd",
        "kaggle",  "mistral", "cohere",    "groq",    "gemini",     "clearml",      "hmac",
        "jwt",     "fernet",  "aes",       "azure",   "swift",      "admin",        "webhook"};
    static const char *const file[] = {"private", "client", "ssh", "ssl", "tls", "service",
                                       "signing", "deploy", "rsa", "host"};
    return ONE_OF(kind, secret) ? FL_REDACT_PLAIN
           : ONE_OF(kind, file) ? FL_REDACT_FILED
                                : FL_REDACT_DENSE;
}

/* DB_PASS is one, forward_pass is not. */
static bool owns_pass(const struct word *owner, bool capitals)
{
    static const char *const words[] = {"",      "db",    "database", "user",  "smtp",     "login",
                                        "mail",  "ftp",   "proxy",    "redis", "mysql",    "pg",
                                        "admin", "root",  "http",     "ssh",   "rabbitmq", "mongo",
                                        "auth",  "broker", "postgres", "registry"};
    return capitals || ONE_OF(owner, words);
}

static enum fl_redact_name read_word(const struct word *word, const struct word *last,
                                     bool capitals)
{
    static const char *const always[] = {"password",  "passwd",     "passphrase", "passwort",
                                         "passcode",  "secret",     "apikey",     "accesskey",
                                         "secretkey", "accountkey", "encryptionkey", "pswd"};
    static const char *const random[] = {"signature", "sig", "credential", "credentials", "auth"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (ends_in(word, always[i])) {
            return FL_REDACT_PLAIN;
        }
    }
    if (ends_in(word, "privatekey") || strcmp(word->text, "pwd") == 0) {
        return FL_REDACT_FILED;
    }
    if (ends_in(word, "token")) {
        return FL_REDACT_TOKEN;
    }
    if (strcmp(word->text, "key") == 0) {
        return key_of(last);
    }
    if (strcmp(word->text, "pass") == 0 || strcmp(word->text, "pat") == 0) {
        return owns_pass(last, capitals) ? FL_REDACT_TOKEN : FL_REDACT_OPEN;
    }
    bool connection = strncmp(last->text, "conn", 4) == 0;
    if (ends_in(word, "authorization") || ends_in(word, "cookie") || strcmp(word->text, "dsn") == 0 ||
        (connection && strncmp(word->text, "str", 3) == 0)) {
        return FL_REDACT_HEADER;
    }
    return ONE_OF(word, random) ? FL_REDACT_RANDOM : FL_REDACT_OPEN;
}

static bool starts_stem(const char *p)
{
    static const char stems[][4] = {"pas", "pat", "pwd", "psw", "sec", "key", "tok", "cre",
                                    "sig", "aut", "coo", "dsn", "con", "use", "log"};
    for (size_t i = 0; i < sizeof stems / sizeof *stems; i++) {
        if ((p[0] | 0x20) == stems[i][0] && (p[1] | 0x20) == stems[i][1] &&
            (p[2] | 0x20) == stems[i][2]) {
            return true;
        }
    }
    return false;
}

/* Whether a word worth reading may be in it: most names have none. */
static bool has_stem(struct fl_str ident)
{
    for (size_t i = 0; i + 2 < ident.n; i++) {
        switch (ident.p[i] | 0x20) {
        case 'a':
        case 'c':
        case 'd':
        case 'k':
        case 'l':
        case 'p':
        case 's':
        case 't':
        case 'u':
            if (starts_stem(ident.p + i)) {
                return true;
            }
            break;
        default:
            break;
        }
    }
    return false;
}

static bool is_login(struct fl_str ident)
{
    return fl_str_eq(ident, FL_LIT("USER")) || fl_str_eq(ident, FL_LIT("LOGNAME")) ||
           fl_str_eq(ident, FL_LIT("USERNAME")) || fl_str_eq(ident, FL_LIT("SUDO_USER"));
}

static bool is_capitals(struct fl_str ident)
{
    for (size_t i = 0; i < ident.n; i++) {
        if (ident.p[i] >= 'a' && ident.p[i] <= 'z') {
            return false;
        }
    }
    return true;
}

enum fl_redact_name fl_redact_name(struct fl_str ident)
{
    enum fl_redact_name name = FL_REDACT_OPEN;
    bool capitals = is_capitals(ident);
    struct fl_str rest = ident;
    struct word word;
    struct word last = {.n = 0};
    if (!has_stem(ident)) {
        return FL_REDACT_OPEN;
    }
    for (; next_word(&rest, &word); last = word) {
        enum fl_redact_name now = read_word(&word, &last, capitals);
        bool key_id = name == FL_REDACT_PLAIN && strcmp(word.text, "id") == 0 && ends_in(&last, "key");
        if (now != FL_REDACT_OPEN && (now != FL_REDACT_DENSE || name == FL_REDACT_OPEN)) {
            name = now;
        } else if (is_about(&word) ? !key_id : name > FL_REDACT_FILED && !fl_is_digit(*word.text)) {
            name = FL_REDACT_OPEN; /* the weaker ones must come last */
        } else if (name != FL_REDACT_OPEN && !capitals && !key_id && !fl_is_digit(*word.text)) {
            name = FL_REDACT_RANDOM; /* secretButton; but DB_PASSWORD_PROD */
        }
    }
    if (name == FL_REDACT_TOKEN && is_vocabulary(ident)) {
        return FL_REDACT_OPEN;
    }
    return name == FL_REDACT_OPEN && is_login(ident) ? FL_REDACT_LOGIN : name;
}
