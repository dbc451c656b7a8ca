/* SPDX-License-Identifier: Apache-2.0 */
/* An incoming webhook of Slack, or of what understands its form (Mattermost, Rocket.Chat ...): at most 3000
 * characters a text; & < > stand for themselves only when written as entities. */
#include "service/notices/notice.h"

#include <stdio.h>

enum { TEXT_MOST = 2800, PART_MOST = 1000 };

/* Text of a log as it may be shown: no control signs, no entity cut in two, nothing that ends a code block. */
static void add_plain(struct fl_buf *out, struct fl_str text)
{
    static const char marks[] = "&<>`";
    static const char *const instead[] = {"&amp;", "&lt;", "&gt;", "'"};
    struct fl_buf safe;
    size_t end = out->n + PART_MOST;
    size_t i = 0;
    fl_buf_init(&safe, 8 * PART_MOST);
    fl_buf_add_safe(&safe, fl_str_trim(fl_str_head(text, PART_MOST)));
    for (; i < safe.n && out->n < end; i++) {
        const char *mark = strchr(marks, safe.p[i]);
        if (mark && *mark) {
            fl_buf_add_text(out, instead[mark - marks]);
        } else {
            fl_buf_add(out, safe.p + i, 1);
        }
    }
    fl_buf_add_text(out, i < safe.n || text.n > PART_MOST ? " ..." : "");
    fl_buf_free(&safe);
}

static void add_head(struct fl_buf *out, const struct fl_notice *n)
{
    static const char *const words[] = {"FAILED", "FAILED AGAIN", "RESOLVED", "TEST"};
    fl_buf_addf(out, "*%s* ", words[n->event]);
    add_plain(out, n->cause);
    fl_buf_add_text(out, n->cause.n ? " in job " : "job ");
    add_plain(out, n->job);
    if (n->jobs > 1) {
        fl_buf_addf(out, " (seen in %ld jobs)", n->jobs);
    }
}

static void add_section(struct fl_jw *w, const struct fl_buf *text)
{
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "type", "section");
    fl_jw_key(w, "text");
    fl_jw_begin(w, '{');
    fl_jw_key_text(w, "type", "mrkdwn");
    fl_jw_key(w, "verbatim"); /* makes no links of what only looks like one */
    fl_jw_bool(w, true);
    fl_jw_key_str(w, "text", fl_buf_str(text));
    fl_jw_end(w, '}');
    fl_jw_end(w, '}');
}

static void add_details(struct fl_buf *out, const struct fl_notice *n)
{
    add_plain(out, n->summary);
    if (n->event != FL_NOTICE_RESOLVED && n->evidence.n) {
        fl_buf_add_text(out, "\n```");
        add_plain(out, n->evidence);
        fl_buf_add_text(out, "```");
    }
    if (n->event != FL_NOTICE_RESOLVED && n->action.n) {
        fl_buf_addf(out, "\n*do* `%.*s`  *severity* %.*s", (int)n->action.n, n->action.p, (int)n->severity.n,
                    n->severity.p);
    }
    if (n->link.n) {
        fl_buf_addf(out, "\n<%.*s|the whole verdict>", (int)n->link.n, n->link.p);
    }
}

void fl_notice_slack(const struct fl_notice *n, struct fl_buf *out)
{
    struct fl_buf head;
    struct fl_buf details;
    struct fl_jw w;
    fl_buf_init(&head, TEXT_MOST);
    fl_buf_init(&details, 8 * TEXT_MOST);
    add_head(&head, n);
    add_details(&details, n);
    fl_jw_init(&w, out, false);
    fl_jw_begin(&w, '{');
    fl_jw_key_str(&w, "text", fl_buf_str(&head));
    fl_jw_key(&w, "unfurl_links");
    fl_jw_bool(&w, false);
    fl_jw_key(&w, "blocks");
    fl_jw_begin(&w, '[');
    add_section(&w, &head);
    if (details.n) {
        add_section(&w, &details);
    }
    fl_jw_end(&w, ']');
    fl_jw_end(&w, '}');
    fl_buf_free(&details);
    fl_buf_free(&head);
}
