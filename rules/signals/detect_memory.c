/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/signals/detecting.h"

/* Growing still in its last third, beyond nearly all before: a leak, not a cache that fills nor one
 * that is emptied again and again. */
static void memory_growth(struct fl_detecting *w, const struct fl_series *s, const char *name,
                          const char *called)
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
    char from_text[FL_NUMBER_BRIEF];
    char to_text[FL_NUMBER_BRIEF];
    fl_detecting_blame(d, NULL, 0, "the %s grew from %s to %s and did not stop growing", called,
                       fl_number_brief(low, from_text), fl_number_brief(end, to_text));
    if (d) {
        d->severity = FL_SEVERITY_MEDIUM;
        d->confidence = 0.8;
    }
}

/* What PyTorch's allocator holds grows apart from what tensors use: free blocks that fit nothing (PyTorch,
 * notes on CUDA: memory management). It ends in an out-of-memory with gigabytes reserved but unallocated. */
static void fragmentation(struct fl_detecting *w, const struct fl_series *s)
{
    static const char *const steps[] = {
        "Set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True",
        "Keep shapes of batches the same (padding, buckets), or free the cache between phases"};
    struct fl_column used;
    struct fl_column held;
    double gap[FL_SERIES_ROWS + 1];
    fl_column_of(s, fl_detecting_metric(w, "memory"), &used);
    fl_column_of(s, fl_detecting_metric(w, "memory_reserved"), &held);
    size_t n = held.n;
    if (n < 20 || used.n != n) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        gap[i] = held.v[i] > 0 ? (held.v[i] - used.v[i]) / held.v[i] : -1;
        if (used.row[i] != held.row[i] || gap[i] < 0) {
            return; /* not of one line, or not in one unit */
        }
    }
    double first = fl_median(gap, n / 5);
    double last = fl_median(gap + n - n / 5, n / 5);
    bool grew = fl_median(held.v + n - n / 5, n / 5) > 1.2 * fl_median(held.v, n / 5);
    if (last < 0.3 || last < first + 0.15 || !grew) {
        return;
    }
    size_t from = n - 1;
    while (from > 0 && gap[from - 1] > first + 0.5 * (last - first)) {
        from--;
    }
    struct fl_detection *d = fl_detecting_add(w, s, held.row[from],
                                              fl_detecting_metric(w, "memory_reserved"), "memory_growth");
    fl_detecting_blame(d, NULL, 0, "the allocator holds memory that nothing uses: %.0f %% of it, %.0f %% at"
                       " first (fragmentation)", 100 * last, 100 * first);
    fl_detecting_advise(d, steps, sizeof steps / sizeof *steps);
    if (d) {
        d->severity = FL_SEVERITY_MEDIUM;
        d->confidence = 0.7;
    }
}

void fl_detect_memory(struct fl_detecting *w, const struct fl_series *s)
{
    size_t before = w->n;
    memory_growth(w, s, "memory", "memory in use");
    memory_growth(w, s, "host_memory", "memory of the host");
    fragmentation(w, s);
    if (w->n == before) {
        memory_growth(w, s, "memory_reserved", "reserved memory");
    }
}
