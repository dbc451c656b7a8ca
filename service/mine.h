/* SPDX-License-Identifier: Apache-2.0 */
/* Log files in, templates out (rules/template/template.h): files and folders as `diagnose` takes them. */
#pragma once
#include "rules/base/ruleset.h"
#include "rules/template/template.h"

struct fl_mine;

/* The prefixes of launchers and hosts in front of lines, as templates leave them out. */
extern const struct fl_form_peel fl_mine_prefixes;

/* With a rule set it is known which lines are progress and which are alarming: a diagnosis rule
 * knows them in a role other than progress, metric, roll or benign, or they hold a word that failures
 * use. NULL: all are plain. raw: lines as they lie in the file, for what is to match them so;
 * otherwise a progress bar's redraws are lines, and colour is gone. */
enum fl_status fl_mine_new(const struct fl_ruleset *set, bool raw, struct fl_mine **out,
                           struct fl_err *err) FL_MUST_USE;
void fl_mine_free(struct fl_mine *mine);

/* Reads a file, a folder of files, or "-", as streams of the group. What cannot be read is told on
 * standard error; FL_NOTFOUND when nothing could. */
enum fl_status fl_mine_read(struct fl_mine *mine, const char *path, int group,
                            struct fl_err *err) FL_MUST_USE;

struct fl_templates *fl_mine_templates(struct fl_mine *mine);
const char *fl_mine_stream_name(const struct fl_mine *mine, uint32_t stream);
