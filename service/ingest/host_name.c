/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines are full of `word: text`. What tells a host from a key or a program is mostly the
 * number at the end of its first label, so that is demanded, and the words which also end in a
 * number (layers, metrics, number formats, devices, tools) are listed. */
#include "service/ingest/host_name.h"

enum { NAME_MAX_N = 64, JOB_NUMBER_DIGITS = 5, RANDOM_PART_N = 24 };

struct word {
    const char *text;
    size_t n;
};
#define W(text)                                                                                    \
    {                                                                                              \
        (text), sizeof(text) - 1                                                                   \
    }

/* First words (up to the first digit, dash or dot) that are no machines. */
static const struct word not_hosts[] = {
    W("acc"),        W("accuracy"),   W("adam"),
    W("ap"),         W("ar"),         W("attempt"),
    W("backup"),     W("batch"),      W("beta"),
    W("betas"),      W("bf"),         W("bleu"),
    W("block"),      W("blocks"),     W("bn"),
    W("bond"),       W("cache"),      W("cc"),
    W("ckpt"),       W("checkpoint"), W("chunk"),
    W("clang"),      W("class"),      W("col"),
    W("conv"),       W("core"),       W("cpu"),
    W("cuda"),       W("cudnn"),      W("d"),
    W("data"),       W("dec"),        W("dev"),
    W("device"),     W("dim"),        W("docker"),
    W("dropout"),    W("embed"),      W("enc"),
    W("engine"),     W("ens"),        W("epoch"),
    W("epochs"),     W("err"),        W("error"),
    W("eth"),        W("eval"),       W("exit"),
    W("exp"),        W("ext"),        W("fc"),
    W("file"),       W("float"),      W("fold"),
    W("fp"),         W("gcc"),        W("gelu"),
    W("gpt"),        W("grad"),       W("group"),
    W("head"),       W("hits"),       W("ib"),
    W("id"),         W("image"),      W("img"),
    W("infiniband"), W("int"),        W("iou"),
    W("item"),       W("iter"),       W("iteration"),
    W("java"),       W("job"),        W("key"),
    W("label"),      W("layer"),      W("layers"),
    W("level"),      W("libnccl"),    W("line"),
    W("linear"),     W("llama"),      W("llvm"),
    W("loop"),       W("loss"),       W("lr"),
    W("map"),        W("md"),         W("metric"),
    W("ml"),         W("mlp"),        W("mlx"),
    W("model"),      W("module"),     W("mp"),
    W("mpi"),        W("name"),       W("norm"),
    W("note"),       W("num"),        W("nvidia-nvswitch"),
    W("nvlink"),     W("nvme"),       W("nvswitch"),
    W("opt"),        W("opus"),       W("out"),
    W("part"),       W("phase"),      W("pip"),
    W("port"),       W("precision"),  W("process"),
    W("python"),     W("qwen"),       W("rank"),
    W("recall"),     W("resnet"),     W("retry"),
    W("rouge"),      W("round"),      W("row"),
    W("run"),        W("sample"),     W("sd"),
    W("seed"),       W("seq"),        W("sha"),
    W("shard"),      W("size"),       W("split"),
    W("stage"),      W("step"),       W("steps"),
    W("subtest"),    W("task"),       W("tensor"),
    W("test"),       W("tf"),         W("thread"),
    W("time"),       W("token"),      W("top"),
    W("torch"),      W("train"),      W("trial"),
    W("try"),        W("uint"),       W("utf"),
    W("val"),        W("valid"),      W("var"),
    W("version"),    W("virtio"),     W("weight"),
    W("window"),     W("x86"),        W("slurmstepd"),
    W("srun"),       W("urllib"),     W("httplib"),
    W("psycopg"),    W("jinja"),      W("tp"),
    W("pp"),         W("dp"),         W("ep"),
    W("cp"),         W("q"),          W("p"),
    W("f"),          W("bash"),       W("perl"),
};

/* Last labels behind a dot that are no domains. */
static const struct word not_domains[] = {
    W("bias"), W("bin"),   W("cc"),  W("cfg"),         W("ckpt"),    W("conf"),  W("cpp"),
    W("cu"),   W("csv"),   W("deb"), W("err"),         W("gguf"),    W("gz"),    W("hh"),
    W("ini"),  W("ipynb"), W("jpg"), W("js"),          W("json"),    W("jsonl"), W("log"),
    W("md"),   W("model"), W("npy"), W("out"),         W("parquet"), W("png"),   W("pt"),
    W("pth"),  W("py"),    W("pyc"), W("safetensors"), W("sh"),      W("so"),    W("sql"),
    W("tar"),  W("toml"),  W("ts"),  W("txt"),         W("weight"),  W("whl"),   W("xml"),
    W("yaml"), W("yml"),   W("zip"), W("zst"),
};

/* How machines are called. */
static const struct word common[] = {
    W("a"),       W("b"),       W("c"),     W("cn"),  W("compute"), W("dgx"),  W("g"),      W("gb"),
    W("gpu"),     W("gpunode"), W("h"),     W("hgx"), W("host"),    W("hpc"),  W("ip"),     W("l"),
    W("machine"), W("master"),  W("mi"),    W("n"),   W("nid"),     W("node"), W("nodes"),  W("ps"),
    W("r"),       W("server"),  W("slave"), W("tpu"), W("v"),       W("vm"),   W("worker"), W("x"),
};

static bool listed(const struct word *words, size_t n, struct fl_str s)
{
    for (size_t i = 0; i < n; i++) {
        if (words[i].n == s.n && memcmp(words[i].text, s.p, s.n) == 0) {
            return true;
        }
    }
    return false;
}

#define LISTED(words, s) listed((words), sizeof(words) / sizeof *(words), (s))

bool fl_host_name_is_ipv4(struct fl_str name)
{
    for (int part = 0; part < 4; part++) {
        if (part && (name.n == 0 || *name.p != '.')) {
            return false;
        }
        name = fl_str_skip(name, part ? 1 : 0);
        long value;
        size_t before = name.n;
        if (!fl_str_take_number(&name, &value) || before - name.n > 3) {
            return false;
        }
    }
    return name.n == 0;
}

static struct fl_str letters_at_front(struct fl_str name)
{
    size_t n = 0;
    while (n < name.n && fl_is_alpha(name.p[n])) {
        n++;
    }
    return (struct fl_str){name.p, n};
}

static size_t digits_at_end(struct fl_str name)
{
    size_t n = 0;
    while (n < name.n && fl_is_digit(name.p[name.n - 1 - n])) {
        n++;
    }
    return n;
}

/* A dash-separated part this long is an identifier, not a name. */
static bool has_random_part(struct fl_str name)
{
    size_t run = 0;
    for (size_t i = 0; i < name.n; i++) {
        run = name.p[i] == '-' || name.p[i] == '.' ? 0 : run + 1;
        if (run >= RANDOM_PART_N) {
            return true;
        }
    }
    return false;
}

static bool is_lower_name(struct fl_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool joint = c == '-' || c == '.';
        if (!joint && !fl_is_digit(c) && !(c >= 'a' && c <= 'z')) {
            return false;
        }
        if (joint && (i + 1 == name.n || name.p[i + 1] == '-' || name.p[i + 1] == '.')) {
            return false;
        }
    }
    return true;
}

/* The labels behind the first: each begins with a letter, the last is no file suffix. */
static bool is_domain(struct fl_str name)
{
    while (name.n) {
        const char *dot = memchr(name.p, '.', name.n);
        size_t n = dot ? (size_t)(dot - name.p) : name.n;
        struct fl_str label = {name.p, n};
        if (n < 2 || !fl_is_alpha(*label.p) || LISTED(not_domains, label)) {
            return false;
        }
        name = fl_str_skip(name, dot ? n + 1 : n);
    }
    return true;
}

bool fl_host_name_looks(struct fl_str name)
{
    if (name.n < 2 || name.n > NAME_MAX_N) {
        return false;
    }
    if (fl_is_digit(*name.p)) {
        return fl_host_name_is_ipv4(name);
    }
    const char *dot = memchr(name.p, '.', name.n);
    struct fl_str first = {name.p, dot ? (size_t)(dot - name.p) : name.n};
    size_t digits = digits_at_end(first);
    if (digits == 0 || !fl_is_alpha(*name.p) || !is_lower_name(name) || has_random_part(name)) {
        return false;
    }
    struct fl_str word = letters_at_front(first);
    bool joined = memchr(first.p, '-', first.n) != NULL;
    if (LISTED(not_hosts, word) || fl_str_starts(first, FL_LIT("nvidia-nvswitch")) ||
        (fl_str_starts(first, FL_LIT("lib")) && !joined)) {
        return false;
    }
    if (!joined && (word.n == 1 ? digits < 3 && first.n < 5
                                : word.n == 3 && digits < 2 && memcmp(word.p, "gpu", 3) == 0)) {
        return false; /* p99, x1, gpu0 */
    }
    return !dot || is_domain(fl_str_skip(name, first.n + 1));
}

/* gpu-a100-17, ip-10-0-0-3, gpu-node-11: every dash-separated part but the first holds a digit or is
 * such a word itself. */
static bool is_numbered(struct fl_str name)
{
    bool digit = true;
    size_t from = 0; /* of the part in hand */
    for (size_t i = 0; i < name.n && name.p[i] != '.'; i++) {
        if (name.p[i] == '-') {
            struct fl_str part = {name.p + from, i - from};
            if (!digit && from && !(part.n > 2 && LISTED(common, part))) {
                return false;
            }
            from = i + 1;
            digit = false;
        } else {
            digit = digit || fl_is_digit(name.p[i]);
        }
    }
    return digit;
}

bool fl_host_name_is_common(struct fl_str name)
{
    if (name.n < 2 || name.n > NAME_MAX_N || has_random_part(name)) {
        return false;
    }
    if (fl_host_name_is_ipv4(name)) {
        return true;
    }
    struct fl_str word = letters_at_front(name);
    size_t digits = digits_at_end(name);
    if (word.n == 0 || digits == 0 || !LISTED(common, word) || !is_numbered(name)) {
        return false;
    }
    char before = name.p[name.n - digits - 1];
    if (digits >= JOB_NUMBER_DIGITS && !fl_is_alpha(before)) {
        return false;
    }
    return word.n > 1 || digits > 2 || name.n > 5; /* not v1, a2, c10 */
}
