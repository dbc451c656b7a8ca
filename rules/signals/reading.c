/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/signals/reading.h"

static struct fl_spot spot_of(const struct fl_captures *c, const char *name, struct fl_str text)
{
    const struct fl_str *part = fl_captured(c, name);
    return part ? fl_spot_at(text, *part, -1) : (struct fl_spot){.n = 0};
}

void fl_reading_find(const struct fl_metrics *metrics, const struct fl_captures *captures,
                     struct fl_str text, struct fl_reading *out)
{
    out->step = spot_of(captures, "step", text);
    out->done = spot_of(captures, "done", text);
    out->batches = spot_of(captures, "batches", text);
    out->epoch = spot_of(captures, "epoch", text);
    out->epoch_from_1 = spot_of(captures, "epoch_from_1", text);
    out->epoch_steps = spot_of(captures, "epoch_steps", text);
    out->values.n = 0;
    out->values.holds = text.n < UINT16_MAX;
    for (size_t i = 0; i < captures->n; i++) {
        int metric = fl_metrics_find(metrics, fl_str_of(captures->item[i].name));
        fl_spots_add(&out->values, text, captures->item[i].text, metric);
    }
    if (metrics) {
        fl_metrics_spots(metrics, text, &out->values);
    }
}

long fl_reading_number(struct fl_spot spot, struct fl_str text)
{
    struct fl_str rest = fl_spot_text(spot, text);
    long value = -1;
    return fl_str_take_number(&rest, &value) ? value : -1;
}

/* Where steps begin anew in each epoch, those of the epochs before are added. */
long fl_reading_step(const struct fl_reading *reading, struct fl_str text)
{
    long step = fl_reading_number(reading->step, text);
    long steps = fl_reading_number(reading->epoch_steps, text);
    long epoch = fl_reading_number(reading->epoch, text);
    long before = epoch >= 0 ? epoch : fl_reading_number(reading->epoch_from_1, text) - 1;
    bool counts = step >= 0 && before >= 0 && before < INT32_MAX && steps > 0 && steps < INT32_MAX;
    return counts ? before * steps + step : step;
}
