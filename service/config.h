/* SPDX-License-Identifier: Apache-2.0 */
/* Settings and where each came from: flag over environment over configuration file over default.
 * The file is JSON, one object of the names below: $FAULTLINE_CONFIG, else
 * $XDG_CONFIG_HOME/faultline/config.json, else ~/.config/faultline/config.json. */
#pragma once
#include "service/base/arena.h"
#include "service/base/status.h"

enum fl_setting {
    FL_SET_STATE,
    FL_SET_BASE_URL,
    FL_SET_API_KEY,
    FL_SET_API_KEY_FILE, /* becomes the key when none is set in as strong a place */
    FL_SET_HEADERS,      /* "Name: value" lines for the endpoint; may hold secrets */
    FL_SET_CA_FILE,
    FL_SET_CERT_FILE,
    FL_SET_MODEL,
    FL_SET_EMBED_MODEL,
    FL_SET_DEADLINE,
    FL_SET_AUTO_ACTIVATE,
    FL_SET_PROTECT,
    FL_SET_PROMPTS, /* folder of prompts in place of the shipped ones */
    FL_SET_VOTES,
    FL_SET_DAY_CALLS,  /* at most a day */
    FL_SET_DAY_TOKENS, /* at most a day */
    FL_SET_PRICE_IN,   /* of a million tokens */
    FL_SET_PRICE_OUT,
    FL_SET_NOTICES, /* file of those who are told of failures (service/notices/receivers.h) */
    FL_SET_LOG_ROOTS, /* folders with colons between: where logs of ended jobs are read; so the next one */
    FL_SET_WATCH,
    FL_SETTINGS_N
};

struct fl_config {
    struct fl_arena arena;
    const char *value[FL_SETTINGS_N]; /* NULL: not set */
    const char *from[FL_SETTINGS_N];  /* "flag --state", "environment OPENAI_BASE_URL", ... */
    const char *file;                 /* the configuration file, NULL when there is none */
    const char *const *headers;       /* lines of FL_SET_HEADERS, up to NULL; NULL: none */
    bool offline;
    bool no_learned; /* without learned rules */
    bool forgets;    /* nothing of a job is kept */
    const char *without_rules; /* shell patterns of rules to leave out, or NULL */
};

/* Reads environment and file, and the key file if there is one: a regular file of this user or
 * root that nobody else may write. A file that cannot be read or understood is an error that names the
 * place. */
enum fl_status fl_config_load(struct fl_config *config, struct fl_err *err) FL_MUST_USE;
void fl_config_free(struct fl_config *config);

/* A flag's value wins; NULL changes nothing. */
void fl_config_flag(struct fl_config *config, enum fl_setting setting, const char *value);

const char *fl_config_name(enum fl_setting setting); /* key in the file */
const char *fl_config_env(enum fl_setting setting);

/* A number of 0 or more, or the default. */
double fl_config_number(const struct fl_config *config, enum fl_setting setting, double missing);

/* Whole number of a setting, or the default. */
int fl_config_int(const struct fl_config *config, enum fl_setting setting, int missing);
