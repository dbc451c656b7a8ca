/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over the line without its escape sequences. At each byte the fields are tried that can
 * begin there; what none of them takes stays as it is. The launcher's prefix is asked for with each
 * run of digits replaced by the run's own number, so that the answer depends on the shape only and
 * the rank comes back as the run it stands in. */
#include "rules/template/form.h"

#include <string.h>

enum { WINDOW = 512, RUNS = 9, QUOTED = 300, PROSE = 3, HEX = 4, MANY_NUMBERS = 4 };

struct scan {
    char text[FL_FORM_LINE]; /* without escape sequences */
    uint16_t from[FL_FORM_LINE]; /* where in the line each byte was */
    char masked[WINDOW];         /* the first bytes, each run of digits replaced by its number */
    size_t masked_n;
    size_t n;
    bool cut;
    bool escape_last;
    struct fl_form *out;
};

static bool is_alnum(char c)
{
    return fl_is_digit(c) || fl_is_alpha(c);
}

static bool is_hex(char c)
{
    return fl_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The byte at i, NUL behind the end. */
static char at(const struct scan *s, size_t i)
{
    return i < s->n ? s->text[i] : '\0';
}

static size_t digits(const struct scan *s, size_t i)
{
    size_t n = 0;
    while (fl_is_digit(at(s, i + n))) {
        n++;
    }
    return n;
}

/* Length of the escape sequence at the front, 0 when there is none. */
static size_t escape(struct fl_str s)
{
    if (s.n < 2 || s.p[0] != '\x1b' || s.p[1] != '[') {
        return 0;
    }
    size_t n = 2;
    while (n < s.n && (fl_is_digit(s.p[n]) || s.p[n] == ';' || s.p[n] == '?')) {
        n++;
    }
    return n < s.n && fl_is_alpha(s.p[n]) ? n + 1 : 0;
}

static void clean(struct scan *s, struct fl_str line)
{
    size_t i = 0;
    while (line.n && (line.p[line.n - 1] == '\r' || is_blank(line.p[line.n - 1]))) {
        line.n--;
    }
    while (i < line.n && s->n < FL_FORM_LINE) {
        size_t n = escape(fl_str_skip(line, i));
        if (n == 0) {
            s->from[s->n] = (uint16_t)i;
            s->text[s->n++] = line.p[i++];
        }
        i += n;
        s->escape_last = n > 0;
        if (i > UINT16_MAX) {
            break;
        }
    }
    s->cut = i < line.n;
}

static bool escaped(const struct scan *s, size_t i)
{
    return i < s->n && (i ? s->from[i] != s->from[i - 1] + 1 : s->from[0] > 0);
}

/* How many of the n bytes from i on stand together, no escape sequence between them. */
static size_t unbroken(const struct scan *s, size_t i, size_t n)
{
    for (size_t k = 1; k < n; k++) {
        if (escaped(s, i + k)) {
            return k;
        }
    }
    return n;
}

/* ---- prefix and time stamp ---- */

static size_t peel(const struct fl_form_peel *with, struct scan *s, struct fl_str *node_r)
{
    char *masked = s->masked;
    uint16_t run_at[RUNS + 1] = {0};
    size_t n = s->n < WINDOW ? s->n : WINDOW;
    size_t runs = 0;
    for (size_t i = 0; i < n; i++) {
        bool digit = fl_is_digit(s->text[i]);
        if (digit && (i == 0 || !fl_is_digit(s->text[i - 1])) && runs <= RUNS) {
            runs++;
            run_at[runs <= RUNS ? runs : 0] = (uint16_t)i;
        }
        masked[i] = digit ? (char)('0' + (runs <= RUNS ? runs : 0)) : s->text[i];
    }
    long rank = -1;
    struct fl_str node = {masked, 0};
    s->masked_n = n;
    size_t peeled = with ? with->peel((struct fl_str){masked, n}, &rank, &node) : 0;
    if (rank > 0) {
        size_t run = run_at[rank % 10];
        s->out->rank_at = s->from[run];
        s->out->rank_n = (uint16_t)digits(s, run);
    }
    bool inside = node.n && node.p >= masked && node.p + node.n <= masked + peeled;
    *node_r = (struct fl_str){s->text + (inside ? node.p - masked : 0), inside ? node.n : 0};
    return peeled;
}

/* Fri, Sep: three letters of a list and no more. */
static bool calendar_name(const struct scan *s, size_t i)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDecMonTueWedThuFriSatSun";
    for (size_t k = 0; k + 1 < sizeof names && i + 3 <= s->n; k += 3) {
        if (memcmp(names + k, s->text + i, 3) == 0) {
            return !is_alnum(at(s, i + 3));
        }
    }
    return false;
}

/* h:mm:ss with a fraction, h:mm; *full_r: with seconds. */
static size_t clock_length(const struct scan *s, size_t i, bool *full_r)
{
    size_t n = digits(s, i);
    if (n == 0 || n > 3 || at(s, i + n) != ':' || digits(s, i + n + 1) != 2) {
        return 0;
    }
    n += 3;
    *full_r = at(s, i + n) == ':' && digits(s, i + n + 1) == 2;
    n += *full_r ? 3 : 0;
    if (*full_r && (at(s, i + n) == '.' || at(s, i + n) == ',') && digits(s, i + n + 1)) {
        n += 1 + digits(s, i + n + 1);
    }
    char next = at(s, i + n);
    if (next == 'Z') {
        n++;
    } else if (*full_r && (next == '+' || next == '-') && digits(s, i + n + 1) == 2 &&
               at(s, i + n + 3) == ':' && digits(s, i + n + 4) == 2) {
        n += 6;
    } else if (*full_r && (next == '+' || next == '-') && digits(s, i + n + 1) == 4) {
        n += 5;
    }
    return is_alnum(at(s, i + n)) || at(s, i + n) == ':' ? 0 : n;
}

/* 2026-01-02, 2026/01/02, 01/02/2026; with a time behind it if one follows. */
static size_t date_length(const struct scan *s, size_t i, bool *full_r)
{
    size_t first = digits(s, i);
    char joint = at(s, i + first);
    if ((first != 4 && first != 2) || (joint != '-' && joint != '/')) {
        return 0;
    }
    size_t n = first + 1;
    size_t second = digits(s, i + n);
    n += second + 1;
    if (second == 0 || second > 2 || at(s, i + n - 1) != joint) {
        return 0;
    }
    size_t third = digits(s, i + n);
    if (third == 0 || third > 4 || (first == 2 && third != 4)) {
        return 0;
    }
    n += third;
    char gap = at(s, i + n);
    bool parts = gap == ' ' || gap == 'T' || gap == '_' || gap == '-';
    size_t more = parts ? clock_length(s, i + n + 1, full_r) : 0;
    n += more ? more + 1 : 0;
    return is_alnum(at(s, i + n)) ? 0 : n;
}

/* A time stamp where the message begins, with its brackets and what parts it from the text. */
static size_t stamp_length(const struct scan *s, size_t start)
{
    size_t i = start;
    bool clocked = false;
    bool named = false;
    while (is_blank(at(s, i))) {
        i++;
    }
    char open = at(s, i);
    i += open == '[' || open == '(';
    for (;;) {
        size_t n = 0;
        bool full = false;
        if (calendar_name(s, i)) {
            n = 3;
            named = true;
        } else if ((n = date_length(s, i, &full)) || (n = clock_length(s, i, &full))) {
            clocked |= full;
        } else if (named && (n = digits(s, i)) > 4) { /* of a month, or a year */
            n = 0;
        } else if (!named && digits(s, i) == 2 && at(s, i + 2) == '-' && digits(s, i + 3) == 2 &&
                   at(s, i + 5) == ' ') { /* 03-14 11:12:13 */
            n = 5;
            named = true;
        }
        if (n == 0) {
            break;
        }
        i += n;
        size_t gap = i;
        while (is_blank(at(s, gap))) {
            gap++;
        }
        if (gap == i) {
            break;
        }
        i = gap;
    }
    if (!clocked) {
        return 0;
    }
    i += (open == '[' && at(s, i) == ']') || (open == '(' && at(s, i) == ')');
    while (is_blank(at(s, i))) {
        i++;
    }
    return i - start;
}

/* ---- the head, as a regular expression ---- */

static void head_add(struct fl_form *f, const char *text, size_t n)
{
    if (f->head_n + n > sizeof f->head) {
        f->head_lost = true;
        return;
    }
    memcpy(f->head + f->head_n, text, n);
    f->head_n += n;
}

static void head_describe(struct scan *s, size_t n, size_t stamp, struct fl_str node)
{
    static const char escape_any[] = "(?:\\e\\[[\\d;?]*[A-Za-z])*";
    for (size_t i = 0; i < n;) {
        char c = s->text[i];
        size_t step = 1;
        if (escaped(s, i)) {
            head_add(s->out, escape_any, sizeof escape_any - 1);
        }
        if (node.n && s->text + i == node.p) {
            head_add(s->out, "[\\w.:-]+", 8);
            step = node.n;
        } else if (fl_is_digit(c)) {
            head_add(s->out, "\\d+", 3);
            step = digits(s, i);
        } else if (i >= stamp && calendar_name(s, i)) {
            head_add(s->out, "[A-Z][a-z]+", 11);
            step = 3;
        } else if (is_blank(c)) {
            head_add(s->out, "\\s*", 3);
            while (i + step < n && is_blank(s->text[i + step])) {
                step++;
            }
        } else if (c < ' ' || c > '~') {
            s->out->head_lost = true;
        } else {
            char quoted[2] = {'\\', c};
            head_add(s->out, fl_form_is_meta(c) ? quoted : &c, fl_form_is_meta(c) ? 2 : 1);
        }
        i += unbroken(s, i, step);
    }
    if (escaped(s, n)) {
        head_add(s->out, escape_any, sizeof escape_any - 1);
    }
}

/* ---- fields ---- */

static size_t hex_length(const struct scan *s, size_t i)
{
    size_t n = 0;
    if (fl_is_digit(at(s, i)) && at(s, i + 1) == 'x') {
        for (n = 2; is_hex(at(s, i + n)); n++) {
        }
        return n > 2 && !is_alnum(at(s, i + n)) ? n : 0;
    }
    size_t letters = 0;
    size_t capitals = 0; /* E0314 begins a line of glog */
    size_t figures = 0;
    size_t group = 0;
    for (; is_hex(at(s, i + n)) || (at(s, i + n) == '-' && n && is_hex(at(s, i + n + 1))); n++) {
        group += at(s, i + n) == '-';
        letters += fl_is_alpha(at(s, i + n));
        capitals += at(s, i + n) >= 'A' && at(s, i + n) <= 'F';
        figures += fl_is_digit(at(s, i + n));
    }
    bool over = !is_alnum(at(s, i + n)) && at(s, i + n) != '_';
    if (group == 4 && n == 36 && over) {
        return n; /* a UUID */
    }
    return over && !group && letters && figures && n >= (capitals ? 2 * HEX : HEX) ? n : 0;
}

static size_t host_length(const struct scan *s, size_t i)
{
    size_t n = 0;
    for (size_t group = 0; group < 4; group++) {
        size_t k = digits(s, i + n);
        n += k;
        if (k == 0 || k > 3 || (group < 3 && at(s, i + n++) != '.')) {
            return 0;
        }
    }
    if (at(s, i + n) == ':' && digits(s, i + n + 1)) {
        n += 1 + digits(s, i + n + 1);
    }
    char next = at(s, i + n);
    return is_alnum(next) || (next == '.' && digits(s, i + n + 1)) ? 0 : n;
}

static size_t unit_length(const struct scan *s, size_t i)
{
    static const char units[] = " B K M G T k KB MB GB TB PB kB KiB MiB GiB TiB PiB b Gb Mb "
                                "s ms us ns m h d min sec secs hrs ";
    char word[8] = " ";
    size_t n = 0;
    while (fl_is_alpha(at(s, i + n)) && n < 5) {
        word[n + 1] = at(s, i + n);
        n++;
    }
    word[n + 1] = ' ';
    return n && n < 5 && !is_alnum(at(s, i + n)) && memmem(units, sizeof units - 1, word, n + 2)
               ? n : 0;
}

static size_t number_length(const struct scan *s, size_t i, enum fl_field *field_r)
{
    size_t n = at(s, i) == '-' || at(s, i) == '+';
    n += digits(s, i + n);
    while ((at(s, i + n) == '.' || at(s, i + n) == ',') && digits(s, i + n + 1)) {
        n += 1 + digits(s, i + n + 1);
    }
    if (at(s, i + n) == 'e' || at(s, i + n) == 'E') {
        size_t sign = at(s, i + n + 1) == '-' || at(s, i + n + 1) == '+';
        size_t power = digits(s, i + n + 1 + sign);
        n += power ? 1 + sign + power : 0;
    }
    size_t unit = unit_length(s, i + n);
    *field_r = unit ? FL_FIELD_AMOUNT : FL_FIELD_NUM;
    return n + unit;
}

/* /a/b, ./a, ~/a, scheme://a. */
static size_t path_length(const struct scan *s, size_t i)
{
    size_t n = 0;
    if (fl_is_alpha(at(s, i))) {
        while (n < 12 && (is_alnum(at(s, i + n)) || at(s, i + n) == '+')) {
            n++;
        }
        if (i + n + 3 > s->n || memcmp(s->text + i + n, "://", 3) != 0) {
            return 0;
        }
    } else {
        while (n < 2 && at(s, i + n) == '.') {
            n++;
        }
        n += n == 0 && at(s, i) == '~';
        char next = at(s, i + n) == '/' ? at(s, i + n + 1) : '\0';
        if (!is_alnum(next) && next != '_' && next != '.') {
            return 0;
        }
    }
    while (i + n < s->n && (unsigned char)s->text[i + n] > ' ' &&
           !strchr("'\"`,;()<>|[]{}", s->text[i + n])) {
        n++;
    }
    while (n > 1 && strchr(":.=", s->text[i + n - 1])) {
        n--;
    }
    size_t tail = n; /* path.py:12 */
    while (tail && fl_is_digit(s->text[i + tail - 1])) {
        tail--;
    }
    return tail && tail < n && s->text[i + tail - 1] == ':' ? tail - 1 : n;
}

/* What stands between two quotes, when it is more than a few words; 0 otherwise. */
static size_t quoted_length(const struct scan *s, size_t i)
{
    char quote = s->text[i];
    size_t blanks = 0;
    for (size_t n = 1; n < QUOTED && i + n < s->n; n++) {
        char c = s->text[i + n];
        if (c == quote) {
            return blanks >= PROSE && !is_alnum(at(s, i + n + 1)) ? n - 1 : 0;
        }
        blanks += c == ' ';
    }
    return 0;
}

static void put(struct fl_form *f, char c)
{
    if (f->n + 1 < sizeof f->text && !f->full) {
        f->text[f->n++] = c;
    } else {
        f->full = true;
    }
}

/* Puts a number without a unit; the last of many takes the others and what is between them. */
static void put_number(struct fl_form *f)
{
    size_t from = f->n;
    size_t found = 0;
    for (size_t i = f->n; i > 0; i--) {
        char c = f->text[i - 1];
        if (c == FL_FIELD_NUM || c == FL_FIELD_NUMS) {
            from = i - 1;
            found += c == FL_FIELD_NUMS ? MANY_NUMBERS : 1;
        } else if (!strchr(" ,;|/[]()<>:-", c) || f->n - i > 3 * MANY_NUMBERS) {
            break;
        }
    }
    if (found + 1 >= MANY_NUMBERS) {
        f->n = from;
        put(f, FL_FIELD_NUMS);
    } else {
        put(f, FL_FIELD_NUM);
    }
}

/* The field that begins at i, its length, 0 when there is none. */
static size_t field_at(const struct scan *s, size_t i, size_t start, enum fl_field *field_r)
{
    char c = s->text[i];
    char before = i > start ? s->text[i - 1] : ' ';
    bool inside = is_alnum(before) || before == '_';
    bool full = false;
    size_t n = 0;
    if (inside) {
        *field_r = FL_FIELD_INT;
        return digits(s, i);
    }
    if (is_hex(c) && (n = hex_length(s, i))) {
        *field_r = FL_FIELD_HEX;
    } else if (fl_is_digit(c)) {
        if ((n = date_length(s, i, &full)) || (n = clock_length(s, i, &full))) {
            *field_r = FL_FIELD_TIME;
        } else if ((n = host_length(s, i))) {
            *field_r = FL_FIELD_HOST;
        } else {
            n = number_length(s, i, field_r);
        }
    } else if ((c == '-' || c == '+') && fl_is_digit(at(s, i + 1)) && before != ')' &&
               before != ']') {
        n = number_length(s, i, field_r);
    } else if ((c == '/' || c == '.' || c == '~' || fl_is_alpha(c)) && before != '.' &&
               before != '/') {
        n = path_length(s, i);
        *field_r = FL_FIELD_PATH;
    }
    return n;
}

/* Something longer than a field: a quoted text, a progress bar. Puts it; how many bytes it took. */
static size_t put_pair(struct scan *s, size_t i, size_t start)
{
    char c = s->text[i];
    char before = i > start ? s->text[i - 1] : ' ';
    if ((c == '"' || c == '\'') && !is_alnum(before)) {
        size_t n = quoted_length(s, i);
        if (n && unbroken(s, i, n + 2) == n + 2) {
            put(s->out, c);
            put(s->out, FL_FIELD_TEXT);
            put(s->out, c);
            return n + 2;
        }
    }
    if (c == '|' && before == '%') {
        const char *end = memchr(s->text + i + 1, '|', s->n - i - 1);
        size_t n = end ? (size_t)(end - s->text) - i + 1 : 0;
        if (n && unbroken(s, i, n) == n) {
            put(s->out, FL_FIELD_BAR);
            return n;
        }
    }
    return 0;
}

/* One byte, or one character, that is no field. */
static size_t put_plain(struct scan *s, size_t i)
{
    uint32_t point = 0;
    size_t n = fl_utf8_take((struct fl_str){s->text + i, s->n - i}, &point);
    if (n == 0 || (n == 1 && (point < ' ' || point == 0x7f))) {
        put(s->out, FL_FIELD_ODD);
        return 1;
    }
    s->out->full |= s->out->n + n >= sizeof s->out->text; /* whole characters only */
    for (size_t k = 0; k < n; k++) {
        put(s->out, s->text[i + k]);
    }
    return n;
}

static void say(struct scan *s, size_t start)
{
    for (size_t i = start; i < s->n && !s->out->full;) {
        enum fl_field field = FL_FIELD_NUM;
        if (i > start && escaped(s, i)) {
            put(s->out, FL_FIELD_ESCAPE);
        }
        if (is_blank(s->text[i])) {
            do {
                i++;
            } while (i < s->n && is_blank(s->text[i]) && !escaped(s, i));
            char before = s->out->n ? s->out->text[s->out->n - 1] : '\0';
            if (!fl_is_digit(at(s, i)) || !fl_form_pads(before)) {
                put(s->out, ' ');
            }
            continue;
        }
        size_t n = unbroken(s, i, field_at(s, i, start, &field));
        n = n == 1 && (s->text[i] == '-' || s->text[i] == '+') ? 0 : n;
        if (n && field == FL_FIELD_NUM) {
            put_number(s->out);
        } else if (n) {
            put(s->out, (char)field);
        } else {
            n = put_pair(s, i, start);
            n = n ? n : put_plain(s, i);
        }
        i += n;
    }
    if (s->escape_last) {
        put(s->out, FL_FIELD_ESCAPE);
    }
}

void fl_form_of(const struct fl_form_peel *with, struct fl_str line, struct fl_form *out)
{
    struct scan s;
    struct fl_str node;
    s.n = 0;
    s.cut = s.escape_last = false;
    s.out = out;
    out->n = out->head_n = 0;
    out->head_lost = out->full = false;
    out->rank_at = out->rank_n = 0;
    clean(&s, line);
    size_t peeled = peel(with, &s, &node);
    size_t start = peeled + stamp_length(&s, peeled);
    head_describe(&s, start, peeled, node);
    size_t host = 0;
    if (with && start < s.masked_n) {
        host = with->host((struct fl_str){s.masked + start, s.masked_n - start});
        host = unbroken(&s, start, host) == host ? host : 0;
        if (host) {
            put(out, FL_FIELD_HOST);
        }
    }
    say(&s, start + host);
    if (s.cut || out->full) {
        out->text[out->n++] = FL_FIELD_REST;
    }
}
