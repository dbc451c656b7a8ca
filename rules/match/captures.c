/* SPDX-License-Identifier: Apache-2.0 */
#include "rules/match/captures.h"

const struct fl_str *fl_captured(const struct fl_captures *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->item[i].name, name) == 0 && c->item[i].text.n) {
            return &c->item[i].text;
        }
    }
    return NULL;
}

long fl_captured_number(const struct fl_captures *c, const char *name)
{
    const struct fl_str *text = fl_captured(c, name);
    struct fl_str rest = text ? *text : (struct fl_str){NULL, 0};
    long value = -1;
    return fl_str_take_number(&rest, &value) ? value : -1;
}
