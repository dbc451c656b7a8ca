/* SPDX-License-Identifier: Apache-2.0 */
/* The line is looked at word by word; the first byte of a word and its separators decide which
 * format is tried. Every format needs hours, minutes and seconds (or is an epoch number), which
 * keeps ratios, versions and step counts out. A bare time of day is trusted only where the message
 * begins, since elapsed and remaining times look the same. */
#include "service/ingest/timestamp.h"

#include "service/ingest/prefix.h"

enum { DAY_S = 86400, EPOCH_DIGITS = 10, EPOCH_MS_DIGITS = 13 };

struct when {
    int year; /* 0: not printed */
    int month;
    int day; /* 0: only a time of day */
    int hour, minute, second, ms;
    int offset_min;
    bool zone;
};

static bool take_blank(struct fl_str *s)
{
    if (!fl_str_take_char(s, ' ')) {
        return false;
    }
    fl_str_take_char(s, ' ');
    return true;
}

static bool take_literal(struct fl_str *s, struct fl_str literal)
{
    if (!fl_str_starts(*s, literal)) {
        return false;
    }
    *s = fl_str_skip(*s, literal.n);
    return true;
}

/* From min to max digits, and no digit after them. */
static bool take_digits(struct fl_str *s, size_t min, size_t max, int *value_r)
{
    int value = 0;
    size_t n = 0;
    while (n < s->n && n < max && fl_is_digit(s->p[n])) {
        value = value * 10 + (s->p[n++] - '0');
    }
    if (n < min || (n < s->n && fl_is_digit(s->p[n]))) {
        return false;
    }
    *s = fl_str_skip(*s, n);
    *value_r = value;
    return true;
}

/* .123456 or ,123 and HCCL's .687.450; digits beyond milliseconds are dropped. */
static void take_fraction(struct fl_str *s, int *ms_r)
{
    if (s->n < 2 || (*s->p != '.' && *s->p != ',') || !fl_is_digit(s->p[1])) {
        return;
    }
    int scale = 100;
    size_t i = 1;
    for (; i < s->n && fl_is_digit(s->p[i]); i++) {
        *ms_r += (s->p[i] - '0') * scale;
        scale /= 10;
    }
    if (i == 4 && s->n > 7 && s->p[4] == '.' && fl_is_digit(s->p[5]) && fl_is_digit(s->p[6]) &&
        fl_is_digit(s->p[7])) {
        i = 8;
    }
    *s = fl_str_skip(*s, i);
}

static bool take_half_day(struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    fl_str_take_char(&t, ' ');
    bool pm = take_literal(&t, FL_LIT("PM"));
    if ((!pm && !take_literal(&t, FL_LIT("AM"))) || w->hour > 12 || (t.n && fl_is_alpha(*t.p))) {
        return false;
    }
    w->hour = w->hour % 12 + (pm ? 12 : 0);
    *s = t;
    return true;
}

static bool take_clock(struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    if (!take_digits(&t, 1, 2, &w->hour) || !fl_str_take_char(&t, ':') ||
        !take_digits(&t, 2, 2, &w->minute) || !fl_str_take_char(&t, ':') ||
        !take_digits(&t, 2, 2, &w->second) || w->hour > 23 || w->minute > 59 || w->second > 60) {
        return false;
    }
    w->ms = 0;
    take_fraction(&t, &w->ms);
    (void)take_half_day(&t, w);
    *s = t;
    return true;
}

/* Z, UTC, GMT, +02:00, -0500; one blank may stand before all but Z. */
static void take_zone(struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    bool apart = fl_str_take_char(&t, ' ');
    if ((!apart && fl_str_take_char(&t, 'Z')) || take_literal(&t, FL_LIT("UTC")) ||
        take_literal(&t, FL_LIT("GMT"))) {
        if (t.n == 0 || !fl_is_alpha(*t.p)) {
            w->zone = true;
            *s = t;
        }
        return;
    }
    int sign = t.n && *t.p == '-' ? -1 : 1;
    int hours;
    int minutes = 0;
    if (t.n < 5 || (*t.p != '+' && *t.p != '-')) {
        return;
    }
    t = fl_str_skip(t, 1);
    if (take_digits(&t, 4, 4, &hours)) {
        minutes = hours % 100;
        hours /= 100;
    } else if (!take_digits(&t, 2, 2, &hours) || !fl_str_take_char(&t, ':') ||
               !take_digits(&t, 2, 2, &minutes)) {
        return;
    }
    if (hours <= 14 && minutes < 60) {
        w->zone = true;
        w->offset_min = sign * (hours * 60 + minutes);
        *s = t;
    }
}

static int month_of(struct fl_str s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; s.n >= 3 && i < 12; i++) {
        if (memcmp(months + (ptrdiff_t)i * 3, s.p, 3) == 0) {
            return i + 1;
        }
    }
    return 0;
}

static bool take_month(struct fl_str *s, int *month_r)
{
    *month_r = month_of(*s);
    if (*month_r == 0) {
        return false;
    }
    *s = fl_str_skip(*s, 3);
    return true;
}

static bool is_date(const struct when *w)
{
    return w->month >= 1 && w->month <= 12 && w->day >= 1 && w->day <= 31;
}

static bool is_year(int year)
{
    return year >= 1970 && year <= 2199;
}

/* Between a date and its time: blank, T, _ (elastic), - (HCCL), : (Apache). */
static bool take_gap(struct fl_str *s)
{
    if (s->n == 0 || !memchr(" T_-:", *s->p, 5)) {
        return false;
    }
    *s = fl_str_skip(*s, 1);
    return true;
}

/* 2025-06-16 22:31:04,970; 2021/05/03 11:57:46; 2025-06-19-09:09:19.687.450; 20260102T030405. */
static bool year_first(struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    int number;
    if (take_digits(&t, 8, 8, &number)) {
        w->year = number / 10000;
        w->month = number / 100 % 100;
        w->day = number % 100;
    } else {
        if (!take_digits(&t, 4, 4, &w->year) || t.n == 0 || !memchr("-/.", *t.p, 3)) {
            return false;
        }
        char joint = *t.p;
        if (!fl_str_take_char(&t, joint) || !take_digits(&t, 1, 2, &w->month) ||
            !fl_str_take_char(&t, joint) || !take_digits(&t, 1, 2, &w->day)) {
            return false;
        }
    }
    if (!is_year(w->year) || !is_date(w) || !take_gap(&t)) {
        return false;
    }
    struct fl_str compact = t;
    if (!take_clock(&t, w)) {
        if (!take_digits(&compact, 6, 6, &number) || number / 10000 > 23 ||
            number / 100 % 100 > 59 || number % 100 > 60) {
            return false;
        }
        w->hour = number / 10000;
        w->minute = number / 100 % 100;
        w->second = number % 100;
        t = compact;
        take_fraction(&t, &w->ms);
    }
    take_zone(&t, w);
    *s = t;
    return true;
}

/* A third number behind MM/DD: 05/25/2021, rich's 12/09/24, Spark's 24/12/09. */
static bool take_third(struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    int number;
    if (take_digits(s, 4, 4, &w->year)) {
        return is_year(w->year);
    }
    if (!take_digits(&t, 2, 2, &number)) {
        return false;
    }
    *s = t;
    if (w->month > 12) {
        w->year = 2000 + w->month;
        w->month = w->day;
        w->day = number;
    } else {
        w->year = 2000 + number;
    }
    return true;
}

/* 11/17 15:16:55; 01-20 18:50:43; 05/25/2021 06:53:45; 25/12/2021 06:53:45. */
static bool month_first(struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    if (!take_digits(&t, 1, 2, &w->month) || t.n == 0 || (*t.p != '/' && *t.p != '-')) {
        return false;
    }
    char joint = *t.p;
    if (!fl_str_take_char(&t, joint) || !take_digits(&t, 2, 2, &w->day)) {
        return false;
    }
    if (fl_str_take_char(&t, joint) && !take_third(&t, w)) {
        return false;
    }
    if (w->month > 12 && w->day <= 12) {
        int day = w->month;
        w->month = w->day;
        w->day = day;
    }
    fl_str_take_char(&t, ',');
    /* TensorRT: 11/17/2022-15:16:55 */
    bool apart = w->year ? take_gap(&t) : fl_str_take_char(&t, ' ');
    if (!is_date(w) || !apart || !take_clock(&t, w)) {
        return false;
    }
    take_zone(&t, w);
    *s = t;
    return true;
}

/* 25/Sep/2020:16:52:53 +0000; 25 Sep 2020 16:52:53; 25-Sep-2020 16:52:53. */
static bool day_first(struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    if (!take_digits(&t, 1, 2, &w->day) || t.n == 0 || !memchr(" /-", *t.p, 3)) {
        return false;
    }
    char joint = *t.p;
    if (!fl_str_take_char(&t, joint) || !take_month(&t, &w->month) ||
        !fl_str_take_char(&t, joint) || !take_digits(&t, 4, 4, &w->year) || !is_year(w->year) ||
        !is_date(w) || !take_gap(&t) || !take_clock(&t, w)) {
        return false;
    }
    take_zone(&t, w);
    *s = t;
    return true;
}

/* Oct 14 11:37:48; Feb 25 2025 13:59:45; Sep 25 16:52:53 2020; Sep 25 16:52:53 UTC 2020. */
static bool month_named(struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    if (!take_month(&t, &w->month) || !take_blank(&t) || !take_digits(&t, 1, 2, &w->day)) {
        return false;
    }
    fl_str_take_char(&t, ',');
    if (!fl_str_take_char(&t, ' ') || !is_date(w)) {
        return false;
    }
    struct fl_str year = t;
    if (take_digits(&year, 4, 4, &w->year) && is_year(w->year) && fl_str_take_char(&year, ' ')) {
        t = year;
    } else {
        w->year = 0;
    }
    if (!take_clock(&t, w)) {
        return false;
    }
    take_zone(&t, w);
    year = t;
    if (!w->year && fl_str_take_char(&year, ' ')) {
        struct fl_str name = year; /* CEST and the like say nothing we could count with */
        while (name.n && fl_is_alpha(*name.p)) {
            name = fl_str_skip(name, 1);
        }
        bool short_name = name.n < year.n && year.n - name.n <= 4;
        year = short_name && fl_str_take_char(&name, ' ') ? name : year;
        if (take_digits(&year, 4, 4, &w->year) && is_year(w->year)) {
            t = year;
        } else {
            w->year = 0;
        }
    }
    *s = t;
    return true;
}

/* glog and klog: I0613 17:36:53.936666; newer c10 prints E907 for September 7. */
static bool glog(struct fl_str *s, struct when *w)
{
    struct fl_str t = fl_str_skip(*s, 1);
    int number;
    if (!take_digits(&t, 3, 4, &number) || !fl_str_take_char(&t, ' ')) {
        return false;
    }
    w->month = number / 100;
    w->day = number % 100;
    if (!is_date(w) || !take_clock(&t, w)) {
        return false;
    }
    *s = t;
    return true;
}

static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* the year begins in March: leap days come last */
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t fl_timestamp_ms(int year, int month, int day, int hour, int minute, int second, int ms)
{
    return ((days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second) * 1000) + ms;
}

/* 1594407135.546337 and, behind a key that says so, milliseconds: "time_ms": 1760025473040. */
static bool epoch(struct fl_str line, size_t at, struct fl_timestamp *out)
{
    struct fl_str s = fl_str_skip(line, at);
    size_t n = 0;
    int64_t value = 0;
    while (n < s.n && n <= EPOCH_MS_DIGITS && fl_is_digit(s.p[n])) {
        value = value * 10 + (s.p[n++] - '0');
    }
    if (n == EPOCH_MS_DIGITS && at > 7) {
        struct fl_str before = {line.p + (at > 14 ? at - 14 : 0), at > 14 ? 14 : at};
        if (!fl_str_find(before, FL_LIT("time")) && !fl_str_find(before, FL_LIT("ts\""))) {
            return false;
        }
    } else if (n == EPOCH_DIGITS && n + 3 < s.n && s.p[n] == '.' && fl_is_digit(s.p[n + 1]) &&
               fl_is_digit(s.p[n + 2]) && (at == 0 || memchr("[ :=", line.p[at - 1], 4))) {
        struct fl_str fraction = fl_str_skip(s, n);
        int ms = 0;
        take_fraction(&fraction, &ms);
        n = s.n - fraction.n;
        value = value * 1000 + ms;
    } else {
        return false;
    }
    if (value < INT64_C(1200000000000) || value > INT64_C(4000000000000)) {
        return false;
    }
    *out = (struct fl_timestamp){value, true, true, true, at, n};
    return true;
}

static bool emit(const struct when *w, int year_hint, size_t at, size_t n, struct fl_timestamp *out)
{
    bool has_date = w->day != 0;
    int year = w->year ? w->year : year_hint ? year_hint : 1970;
    int64_t ms = has_date
                     ? fl_timestamp_ms(year, w->month, w->day, w->hour, w->minute, w->second, w->ms)
                     : fl_timestamp_ms(1970, 1, 1, w->hour, w->minute, w->second, w->ms);
    ms -= (int64_t)w->offset_min * 60000;
    *out = (struct fl_timestamp){ms, has_date, has_date && w->year != 0, w->zone, at, n};
    return true;
}

/* A bare time of day: where the message begins, and not HH:MM:SS<... of a progress bar. */
static bool day_time(struct fl_str line, size_t at, struct fl_str *s, struct when *w)
{
    struct fl_str t = *s;
    if (t.n < 8 || t.p[2] != ':' || !take_clock(&t, w)) {
        return false;
    }
    if (t.n > 6 && *t.p == '-') { /* 14:06:40-973914 */
        int micros;
        t = fl_str_skip(t, 1);
        if (!take_digits(&t, 6, 6, &micros)) {
            return false;
        }
        w->ms = micros / 1000;
    }
    if (t.n && !memchr(" ]|\t,", *t.p, 5)) {
        return false;
    }
    if (at > 1) {
        struct fl_prefix prefix;
        size_t peeled = fl_prefix_peel(line, &prefix);
        if (at != peeled && (at != peeled + 1 || line.p[peeled] != '[')) {
            return false;
        }
    } else if (at == 1 && *line.p != '[') {
        return false;
    }
    *s = t;
    return true;
}

static bool numeric(struct fl_str line, size_t at, int year_hint, struct fl_timestamp *out)
{
    static bool (*const formats[])(struct fl_str *, struct when *) = {year_first, month_first,
                                                                      day_first};
    struct fl_str s = fl_str_skip(line, at);
    if (at && memchr("/-", line.p[at - 1], 2)) {
        return false; /* part of a path or range */
    }
    size_t digits = 1;
    while (digits < s.n && digits < EPOCH_MS_DIGITS + 1 && fl_is_digit(s.p[digits])) {
        digits++;
    }
    if (digits >= EPOCH_DIGITS) {
        return epoch(line, at, out);
    }
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct when w = {0};
        struct fl_str t = s;
        if (formats[i](&t, &w)) {
            return emit(&w, year_hint, at, s.n - t.n, out);
        }
    }
    struct when w = {0};
    struct fl_str t = s;
    return day_time(line, at, &t, &w) && emit(&w, year_hint, at, s.n - t.n, out);
}

/* One word of the line at `at`, which begins with a letter or digit. */
static bool try_at(struct fl_str line, size_t at, int year_hint, struct fl_timestamp *out)
{
    struct fl_str s = fl_str_skip(line, at);
    if (s.n < 8) {
        return false;
    }
    if (fl_is_digit(*s.p)) {
        return numeric(line, at, year_hint, out);
    }
    struct when w = {0};
    struct fl_str t = s;
    if (fl_is_digit(s.p[1])) {
        return memchr("IWEFDVC", *s.p, 7) && glog(&t, &w) &&
               emit(&w, year_hint, at + 1, s.n - t.n - 1, out);
    }
    return month_of(s) && month_named(&t, &w) && emit(&w, year_hint, at, s.n - t.n, out);
}

bool fl_timestamp_find(struct fl_str line, int year_hint, struct fl_timestamp *out)
{
    bool in_word = false;
    for (size_t i = 0; i < line.n && i < FL_TIMESTAMP_WINDOW; i++) {
        bool of_word = fl_is_digit(line.p[i]) || fl_is_alpha(line.p[i]) || line.p[i] == '_';
        if (of_word && !in_word && try_at(line, i, year_hint, out)) {
            return true;
        }
        in_word = of_word;
    }
    static const char cancelled[] = "CANCELLED AT ";
    const char *at = fl_str_find(line, FL_LIT(cancelled));
    return at && try_at(line, (size_t)(at - line.p) + sizeof cancelled - 1, year_hint, out);
}
