/* SPDX-License-Identifier: Apache-2.0 */
/* Where things are: the state folder, the shipped files. */
#pragma once

enum { FL_PATHS_BYTES = 4096 };

/* The state folder: flag, else $FAULTLINE_STATE, else $XDG_STATE_HOME/faultline, else
 * ~/.local/state/faultline; NULL when there is not even a home. Not created here. The text is the
 * flag's, the environment's, or in out. */
const char *fl_paths_state(const char *flag, char out[static FL_PATHS_BYTES]);

/* Full path of a shipped file or folder such as "data/incidents.jsonl", in out: below
 * $FAULTLINE_SHARE, else beside the program (the source tree of a build, PREFIX/share/faultline of
 * an installation). The name itself when nothing is found, so that the message is clear. */
const char *fl_paths_data(const char *relative, char out[static FL_PATHS_BYTES]);
