/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/signals/detecting.h"

/* Growing still in its last third, beyond nearly all before: a leak, not a cache that fills nor one
 * that is emptied again and again. */
static void memory_growth(struct fl_detecting *w, const struct fl_series *s, const char *name)
{
    struct fl_column c;
    int m = fl_detecting_metric(w, name);
    fl_column_of(s, m, &c);
    if (c.n < 20) {
        return;
    }
    double low = fl_smallest(c.v, c.n);
    double end = fl_median(c.v + c.n - c.n / 10, c.n / 10);
    double before = fl_median(c.v + c.n * 6 / 10, c.n / 10);
    if (!(end > 1.4 * low) || end - before < 0.15 * (end - low)) {
        return;
    }
    size_t higher = 0;
    for (size_t i = 0; i < c.n * 2 / 3; i++) {
        higher += c.v[i] >= end;
    }
    if (higher > c.n / 20) {
        return;
    }
    size_t from = c.n - 1;
    while (from > 0 && c.v[from - 1] > low + 0.03 * (end - low)) {
        from--;
    }
    struct fl_detection *d = fl_detecting_add(w, s, c.row[from], m, "memory_growth");
    fl_detecting_blame(d, NULL, 0, "the %s grew from %.4g to %.4g and did not stop growing",
                       strcmp(name, "memory") == 0 ? "memory in use" : "memory of the host", low,
                       end);
    if (d) {
        d->severity = FL_SEVERITY_MEDIUM;
        d->confidence = 0.8;
    }
}

void fl_detect_memory(struct fl_detecting *w, const struct fl_series *s)
{
    memory_growth(w, s, "memory");
    memory_growth(w, s, "host_memory");
}
